/** Every row that any program on this host signs by, adopted by waxseal or not. */
import {absolute} from '../domain/paths.ts';
import type {HostFacts} from '../services/facts.ts';
import {
  type Instance,
  lying,
  otherInstances,
  runningInstances,
} from '../services/opendkim/decide/instances.ts';
import type {Files} from '../system/ports.ts';
import {amavisRows} from './amavis.ts';
import {createKeyReader, unknown} from './key-files.ts';
import type {RowKey, SignerRow} from './key-uses.ts';
import {openDkimRows} from './opendkim.ts';
import {rspamdRows} from './rspamd.ts';

type Reads = Pick<Files, 'inspect' | 'list' | 'resolve' | 'readLink'>;

const DKIMPY = [
  absolute('/etc/dkimpy-milter/dkimpy-milter.conf'),
  absolute('/etc/dkimpy-milter.conf'),
] as const;

/** Signers that are known by name only: where they keep their keys is not read. */
const UNREAD: ReadonlySet<string> = new Set(['dkim-milter', 'dkimproxy']);

/**
 * Looks at what every signer reads now. Never rejects for what cannot be read: that is a row of its own, which counts
 * as a use of any key.
 *
 * @param seen what key files held before in the same run, by what they were then; leave it out where something is
 *   about to be destroyed
 */
export async function lookAtSignerRows(
  ports: {readonly files: Reads},
  facts: HostFacts,
  seen?: Map<string, RowKey>,
): Promise<readonly SignerRow[]> {
  const {files} = ports;
  const keys = createKeyReader(files, seen);
  const rows: SignerRow[] = [];
  const instances = await openDkimInstances(files, facts);
  for (const instance of instances) {
    rows.push(...(await openDkimRows({files, keys, signer: 'OpenDKIM'}, instance)));
  }
  for (const config of DKIMPY) {
    rows.push(...(await openDkimRows({files, keys, signer: 'dkimpy-milter'}, lying(config, ''))));
  }
  rows.push(
    ...(await rspamdRows(
      files,
      keys,
      facts.rivals.some(({name}) => name === 'rspamd'),
    )),
  );
  rows.push(...(await amavisRows(files, keys)));
  for (const {name, evidence, signs} of facts.rivals) {
    const isUnread = UNREAD.has(name) || (name === 'opendkim' && instances.length < 2);
    if (signs === 'no' || !isUnread) continue;
    rows.push({
      signer: name,
      file: evidence,
      what: 'its configuration',
      key: unknown('is not read by waxseal'),
    });
  }
  return rows;
}

/**
 * The known OpenDKIM, every other one that runs, and what lies beside the known one and names keys: an instance that is
 * stopped now signs again after its start.
 */
async function openDkimInstances(files: Reads, facts: HostFacts): Promise<readonly Instance[]> {
  const own = facts.signer?.configFile ?? facts.layout?.opendkim.configFile;
  const running = await runningInstances(files, own ?? absolute('/etc/opendkim.conf'));
  const isRunning = running.some(({config}) => config === own);
  const found = own === undefined || isRunning ? running : [lying(own, ''), ...running];
  return [...found, ...(await otherInstances(files, found))];
}
