/** rspamd, as a program that may sign beside the signer that waxseal serves. */
import {absolute} from '../../domain/paths.ts';
import type {Rival} from '../facts.ts';
import {milters} from '../handed-to.ts';
import {COMMAND_MS} from '../limits.ts';
import {withLine} from '../lines.ts';
import {tryReadText, withoutComments} from '../reading.ts';
import type {RivalContext, SigningProgram} from '../signer.ts';
import {rspamdDomains} from './domains.ts';
import {enabledIn, rspamdRows} from './key-rows.ts';
import {rspamdSigners} from './read.ts';

const UNIT = 'rspamd.service';

export const rspamd: SigningProgram = {
  kind: 'rspamd',
  units: [UNIT],
  rival,
  keyRows: ({files, keys}, {rivals}) =>
    rspamdRows(
      files,
      keys,
      rivals.some(({kind}) => kind === 'rspamd'),
    ),
  views: (ports, {serviceManager}, signal) => rspamdSigners(ports, serviceManager, signal),
  switchOff: {
    by: 'configuration',
    edit: text => withLine(text, /^[ \t]*enabled[ \t]*=[ \t]*([^;\s#]+)/, 'false', 'enabled = false;'),
    check: [
      {
        kind: 'check',
        id: 'check:rspamd',
        why: 'Let rspamd check its configuration',
        argv: ['rspamadm', 'configtest'],
        timeoutMs: COMMAND_MS,
      },
    ],
    action: 'reload',
    // It takes a new configuration some seconds after its reload (daemons/rspamd.md#reload).
    steadyMs: 8000,
  },
};

/** Its signing module is on by default and signs as soon as it finds a key (daemons/rspamd.md#signing). */
async function rival({ports, entrances, active}: RivalContext): Promise<Rival | undefined> {
  const entry = milters(entrances).find(({text}) => /:11332\b|rspamd/.test(text));
  const running = active.has(UNIT);
  const local = absolute('/etc/rspamd/local.d/dkim_signing.conf');
  const override = absolute('/etc/rspamd/override.d/dkim_signing.conf');
  const [general = '', winning = ''] = await Promise.all(
    [local, override].map(async path => withoutComments((await tryReadText(ports.files, path)) ?? '')),
  );
  const text = `${general}\n${winning}`;
  if (entry === undefined && !running && text.trim() === '') return undefined;
  const keys = (await ports.files.list(absolute('/var/lib/rspamd/dkim')).catch(() => undefined)) ?? [];
  const wins = enabledIn(winning) !== undefined;
  const off = /^(false|no|off)$/.test(enabledIn(winning) ?? enabledIn(general) ?? '');
  const hasKeys =
    keys.some(name => name.endsWith('.key')) || /\b(path|selector|domain|path_map|use_redis)\b/.test(text);
  const otherwise = running ? `${UNIT} is running` : `${local} is there`;
  return {
    ...{kind: 'rspamd', program: 'rspamd'},
    evidence: entry === undefined ? otherwise : entry.evidence,
    signs: off || entry === undefined ? 'no' : hasKeys ? 'yes' : 'perhaps',
    configFile: wins ? override : local,
    domains: await rspamdDomains(ports.files, [
      {path: local, text: general},
      {path: override, text: winning},
    ]),
    ...(running ? {unit: UNIT} : {}),
  };
}
