/** Which steps switch another signer off, and that none is taken where its line says so already. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {Rival} from '../../src/services/facts.ts';
import {switchOver, whyNotSwitched} from '../../src/services/switch-over.ts';
import type {FileStat} from '../../src/system/ports.ts';
import {fixtureHost} from '../support/fake-host.ts';
import {planOn, value, wantedOn} from './wanted.ts';

const RSPAMD = absolute('/etc/rspamd/local.d/dkim_signing.conf');
const AMAVIS = absolute('/etc/amavis/conf.d/50-user');

async function stepsFor(signer: Omit<Rival, 'evidence'>, text: string) {
  const {facts, snapshot} = await planOn(
    fixtureHost('debian-13'),
    wantedOn(fixtureHost('debian-13'), ['example.com']),
  );
  const {layout, signer: opendkim, mta: postfix} = facts;
  if (layout === undefined || opendkim === undefined || postfix === undefined) {
    throw new TypeError('a fixture without services');
  }
  const path = signer.configFile ?? RSPAMD;
  const stat: FileStat = {
    ...{kind: 'file', mode: 0o644, uid: 0, gid: 0, size: 1, links: 1, device: 1, inode: 1, modifiedMs: 0},
  };
  const entries = {...snapshot.entries, [path]: {path, stat, text, sha256: ''}};
  const steps = value(
    switchOver({
      ...{layout, opendkim, postfix},
      facts: {...facts, rivals: [{...signer, evidence: 'seen'}]},
      snapshot: {...snapshot, entries},
    }),
  );
  return steps.map(step =>
    step.kind === 'file' && step.after.content.from === 'text' ? step.after.content.text : step.id,
  );
}

const rspamd = {
  kind: 'rspamd',
  program: 'rspamd',
  signs: 'yes',
  configFile: RSPAMD,
  unit: 'rspamd.service',
} as const;
const amavis = {
  kind: 'amavis',
  program: 'amavis',
  signs: 'perhaps',
  configFile: AMAVIS,
  unit: 'amavis.service',
} as const;

describe('another signer', () => {
  it.each([
    ['opendkim', undefined],
    ['dkimpy', undefined],
    ['dkim-milter', undefined],
    ['dkimproxy', 'dkimproxy is not known well enough to be switched off'],
    ['rspamd', 'rspamd is no running service of this host'],
    ['amavis', 'amavis is no running service of this host'],
  ])('%s can be switched off, or it is said why not', (kind, why) => {
    expect(whyNotSwitched({kind, program: kind, evidence: '', signs: 'yes'})).toBe(why);
  });

  it('is switched off by its own line, checked, and told', async () => {
    expect(await stepsFor(rspamd, 'enabled = true; # mine\n')).toEqual([
      'enabled = false; # mine\n',
      'check:rspamd',
      'service:rspamd.service',
    ]);
    expect(await stepsFor(rspamd, 'path = "x";')).toContain('path = "x";\nenabled = false;\n');
    expect(await stepsFor(amavis, '$enable_dkim_signing = 1;\n')).toEqual([
      '$enable_dkim_signing = 0;\n',
      'service:amavis.service',
    ]);
  });

  it('is left in peace where its line says so already, or where there is none to change', async () => {
    expect(await stepsFor(rspamd, 'enabled = false;\n')).toEqual([]);
    expect(await stepsFor(amavis, '$enable_dkim_signing = 0;\n')).toEqual([]);
    expect(await stepsFor(amavis, '# nothing\n')).toEqual([]);
  });

  it('has no steps where it does not sign, or nobody knows where or which service', async () => {
    expect(await stepsFor({...rspamd, signs: 'no'}, 'enabled = true;\n')).toEqual([]);
    const {unit: _unit, ...noUnit} = rspamd;
    expect(await stepsFor(noUnit, 'enabled = true;\n')).toEqual([]);
    const {configFile: _file, ...noFile} = rspamd;
    expect(await stepsFor(noFile, 'enabled = true;\n')).toEqual([]);
  });
});
