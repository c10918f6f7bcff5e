/** Whose mail another OpenDKIM signs than the known one, or a program whose configuration is written like its own. */
import {parseDomain} from '../../domain/names.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {Files} from '../../system/ports.ts';
import type {RivalDomains} from '../facts.ts';
import {FoundDomains} from '../found-domains.ts';
import {configurationTexts, openDkimProcesses, type ProcessFiles} from './decide/instances.ts';
import {commandLineOptions} from './decide/options.ts';
import {effectiveSettings} from './decide/settings.ts';
import {readSigningRows} from './tables/read.ts';
import {domainOfPattern} from './tables/rows.ts';

/** A signer whose configuration is written as OpenDKIM's: OpenDKIM itself, dkimpy-milter. The first file that is there counts. */
export async function openDkimDomains(
  files: Pick<Files, 'inspect'>,
  name: string,
  configs: readonly AbsolutePath[],
): Promise<RivalDomains> {
  const found = new FoundDomains();
  for (const config of configs) {
    const texts = await configurationTexts(files, config);
    if (texts.get(config)?.text === undefined) continue;
    const started = {by: 'file', path: config, line: 1} as const;
    const settings = effectiveSettings(config, path => texts.get(path)?.text, new Map(), started);
    const {keys, signing, dead, domains, unread} = await readSigningRows(files, settings);
    for (const what of unread) found.lost(`${what} in ${config}`);
    const rows = signing.filter(row => !dead.has(row)).map(({key}) => ({key, domain: domainOfPattern(key)}));
    for (const {key} of rows.filter(({domain}) => domain === '')) found.lost(`${key} in ${config}`);
    // A name that can be no mail domain signs nobody's mail.
    for (const {domain} of [...rows, ...keys, ...domains.map(domain => ({domain}))])
      if (parseDomain(domain).ok) found.add(domain, config);
    if (settings('SetupPolicyScript') !== undefined) found.lost(`SetupPolicyScript in ${config}`);
    return found.domains;
  }
  found.lost(`the configuration of ${name}`);
  return found.domains;
}

/** Configurations of running OpenDKIM processes other than `own`, by their command lines. */
export async function runningOpenDkims(
  files: ProcessFiles,
  own: AbsolutePath,
): Promise<readonly AbsolutePath[]> {
  const processes = await openDkimProcesses(files);
  const configs = processes.flatMap(({argv}) => {
    const config = parseAbsolutePath(commandLineOptions(argv).get('x') ?? '');
    return config.ok && config.value !== own ? config.value : [];
  });
  return [...new Set(configs)];
}
