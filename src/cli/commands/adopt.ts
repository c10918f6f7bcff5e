import {command} from '../../domain/command.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {visible} from '../../domain/text.ts';
import {recordKey} from '../../host/index.ts';
import {adoptKeys, releaseKeys} from '../../jobs/rotate/adopt.ts';
import {entryName} from '../../rotation/index.ts';
import {isSet} from '../arguments.ts';
import {changing} from '../changing.ts';
import {type Context, resolversOf, rootPorts} from '../context.ts';
import {tell} from '../print.ts';
import {domainReportOf, domainsOf} from '../state-report.ts';
import {usage} from '../usage.ts';

/**
 * `waxseal adopt [--domain D]`: keys that sign here and were made by others become known to waxseal, and nothing else
 * changes; `--release` forgets them again. Exit 4 where a key was not adopted.
 */
export async function adopt(context: Context): Promise<ExitCode> {
  const ports = await rootPorts(context, 'Keys and tables can be read by root only.');
  const {flags, outside, signal} = context;
  const dryRun = isSet(flags, 'dry-run');
  const domains = domainsOf(context);
  const now = ports.clock.now();
  if (isSet(flags, 'release')) {
    const gone = await changing(context, ports, 'adopt', () => releaseKeys(ports, domains, dryRun));
    const lines = gone.map(
      ({record}) => `${dryRun ? 'Would be forgotten' : 'Forgotten'}: ${record.name}. It signs as before.`,
    );
    const changed = gone.length > 0 && !dryRun;
    return await tell(context, {exitCode: 0, changed}, gone.length > 0 ? lines : [NOTHING_ADOPTED]);
  }
  const options = {resolvers: resolversOf(flags), environment: outside.environment, dryRun};
  const {adopted, state} = await adoptKeys(ports, options, domains, signal);
  const unknown = (domains ?? []).find(
    name => adopted.every(({domain}) => domain !== name) && state.keys.every(({domain}) => domain !== name),
  );
  if (unknown !== undefined) {
    throw usage(
      'domain.unknown',
      `No key for ${unknown} signs on this host.`,
      `Set it up with: ${command('waxseal', 'setup', '--domain', unknown)}`,
    );
  }
  const taken = new Set(
    adopted.flatMap(({domain, selector, why}) => (why === undefined ? [recordKey(domain, selector)] : [])),
  );
  const keys = state.keys.filter(key => taken.has(entryName(key)));
  const lines = adopted.map(({domain, selector, why}) => {
    const name = `${visible(selector)}._domainkey.${visible(domain)}`;
    return why === undefined
      ? `${dryRun ? 'Would be adopted' : 'Adopted'}: ${name}`
      : `Not adopted: ${name}: ${visible(why)}`;
  });
  const exitCode: ExitCode = adopted.every(({why}) => why === undefined) ? 0 : 4;
  const outcome = {
    exitCode,
    changed: keys.length > 0 && !dryRun,
    domains: keys.map(key => domainReportOf(key, now)),
  };
  return await tell(context, outcome, lines.length > 0 ? lines : ['Every key that signs here is known.']);
}

const NOTHING_ADOPTED = 'No key here is known by adoption only.';
