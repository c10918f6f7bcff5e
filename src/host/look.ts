/** Every row that any program on this host signs by, adopted by waxseal or not. */
import {type AbsolutePath, absolute, below, parseAbsolutePath} from '../domain/paths.ts';
import type {HostFacts} from '../services/facts.ts';
import {parseConfigLines} from '../services/opendkim/parse.ts';
import {optionValue} from '../services/systemd.ts';
import type {Files} from '../system/ports.ts';
import {amavisRows} from './amavis.ts';
import {createKeyReader, unknown} from './key-files.ts';
import type {RowKey, SignerRow} from './key-uses.ts';
import {configurationTexts, openDkimRows} from './opendkim.ts';
import {rspamdRows} from './rspamd.ts';
import {readText} from './texts.ts';

type Reads = Pick<Files, 'inspect' | 'list' | 'resolve'>;

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
  const configurations = await openDkimConfigurations(files, facts);
  for (const config of configurations) {
    rows.push(...(await openDkimRows({files, keys, signer: 'OpenDKIM'}, config)));
  }
  for (const config of DKIMPY) {
    rows.push(...(await openDkimRows({files, keys, signer: 'dkimpy-milter'}, config)));
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
    const isUnread = UNREAD.has(name) || (name === 'opendkim' && configurations.length < 2);
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
 * The configuration of the known OpenDKIM, of every other one that runs, and what lies beside the known one and names
 * keys: an instance that is stopped now signs again after its start.
 */
async function openDkimConfigurations(files: Reads, facts: HostFacts): Promise<readonly AbsolutePath[]> {
  const own = facts.signer?.configFile ?? facts.layout?.opendkim.configFile;
  const found = new Set<AbsolutePath>(own === undefined ? [] : [own]);
  for (const config of await runningConfigurations(files)) found.add(config);
  const included = new Set<AbsolutePath>();
  for (const config of found) {
    for (const path of (await configurationTexts(files, config)).keys()) included.add(path);
  }
  const etc = absolute('/etc');
  const named = [
    ...((await files.list(etc).catch(() => undefined)) ?? [])
      .filter(name => /^opendkim.*\.conf$/.test(name))
      .map(name => below(etc, name)),
    ...((await files.list(below(etc, 'opendkim')).catch(() => undefined)) ?? [])
      .filter(name => name.endsWith('.conf'))
      .map(name => below(etc, 'opendkim', name)),
  ];
  for (const path of named) {
    if (included.has(path) || found.has(path)) continue;
    const read = await readText(files, path);
    const isConfiguration =
      read.text === undefined
        ? !read.isMissing
        : parseConfigLines(read.text).some(({name}) => /^key(table|file)$/i.test(name));
    if (isConfiguration) found.add(path);
  }
  return [...found];
}

/** What running processes were started with (proc(5)); one in a container has files of its own, and is not ours. */
async function runningConfigurations(files: Reads): Promise<readonly AbsolutePath[]> {
  const proc = absolute('/proc');
  const found: AbsolutePath[] = [];
  for (const pid of (await files.list(proc).catch(() => undefined)) ?? []) {
    if (!/^\d+$/.test(pid)) continue;
    const name = await readText(files, below(proc, pid, 'comm'));
    if (name.text?.trim() !== 'opendkim') continue;
    const line = await files.inspect(below(proc, pid, 'cmdline')).catch(() => undefined);
    const argv = Buffer.from(line?.content ?? [])
      .toString('utf8')
      .split('\0');
    const config = parseAbsolutePath(optionValue(argv, 'x') ?? '');
    if (config.ok && (await files.inspect(config.value, {follow: true}).catch(() => undefined)) !== undefined)
      found.push(config.value);
  }
  return found;
}
