import {createHash} from 'node:crypto';
import {type ExitCode, HostError, UsageError} from '../../domain/errors.ts';
import {stagedKeyPath} from '../../domain/places.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {setupStart} from '../../flow/setup-rule.ts';
import {nameUse} from '../../host/index.ts';
import {must} from '../../jobs/key-book.ts';
import {lookAtUses} from '../../jobs/key-uses.ts';
import {inspectKey, selfTest, stageKey} from '../../keys/index.ts';
import {
  addEntry,
  type ForeignKey,
  findEntry,
  type KeyEntry,
  newEntry,
  parseForeignKeys,
  type RotationState,
  saveState,
} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import {isSet} from '../arguments.ts';
import {changing} from '../changing.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {tell} from '../print.ts';
import {stateOf} from '../state-report.ts';

interface Export {
  readonly host: string;
  readonly keys: readonly ForeignKey[];
  readonly secret: ReadonlyMap<string, string>;
}

/** `waxseal import FILE`: keys of another host become known here; those that came with their private key can sign here. */
export async function importState(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  mustBeRoot(ports, 'The keys of this host belong to root.');
  const [file] = context.operands;
  if (file === undefined) {
    throw new UsageError(
      problem(
        'usage.missing',
        'The file is missing.',
        'Name the file that waxseal export wrote on the other host.',
      ),
    );
  }
  const content = await (await context.namedFiles()).readDeciding(context.pathOf(file));
  if (content === undefined) {
    throw new UsageError(problem('usage.file', `There is no file ${visible(file)}.`, 'Check the name.'));
  }
  const read = readExport(Buffer.from(content).toString('utf8'));
  const {hostname} = await lookAtHost(ports, context.signal);
  if (read.host === hostname) {
    throw new UsageError(
      problem(
        'import.own',
        `${visible(file)} was exported by this very host.`,
        'Import it on the other one.',
      ),
    );
  }
  return await changing(ports, 'import', async () => {
    const before = await stateOf(ports);
    const others = (before.elsewhere ?? []).filter(({host}) => host !== read.host);
    let state: RotationState = {...before, elsewhere: [...others, ...read.keys]};
    const lines = [`Known now: ${read.keys.length} keys of ${visible(read.host)}`];
    const taken: {readonly key: ForeignKey; readonly pem: string}[] = [];
    for (const key of read.keys) {
      const pem = read.secret.get(key.record.name);
      if (pem === undefined || findEntry(state, key.domain, key.selector) !== undefined) continue;
      state = must(addEntry(state, await entryOf(key, pem, ports.clock.now())));
      taken.push({key, pem});
      const {start} = setupStart(
        state.keys.filter(({domain}) => domain === key.domain),
        key.selector,
      );
      lines.push(
        `To sign with the same key here: waxseal ${start === 'rotation' ? 'rotate' : 'setup'} --domain ${key.domain} --selector ${key.selector}`,
      );
    }
    const uses = taken.length === 0 ? undefined : await lookAtUses(ports, context.signal);
    for (const {key} of taken) {
      const rows = (uses?.(key) ?? []).filter(row => row.key.known);
      if (rows.length > 0)
        lines.push(`The key of ${key.record.name} signs here already: ${rows.map(nameUse).join(', ')}`);
    }
    if (!isSet(context.flags, 'dry-run')) {
      // Only when all of them are known to be good: a half import would leave private keys that nothing names.
      for (const {key, pem} of taken) {
        must(await stageKey(ports, {domain: key.domain, selector: key.selector, pem}));
      }
      await saveState(ports.files, state);
    }
    return await tell(context, {exitCode: 0, changed: !isSet(context.flags, 'dry-run')}, [
      ...lines,
      'Whether the hosts agree: waxseal rotate --check-hosts',
    ]);
  });
}

/** A key enters as one that waits: it has been tested here. */
async function entryOf({domain, selector, record}: ForeignKey, pem: string, now: Date): Promise<KeyEntry> {
  const tested = await selfTest(pem, record.value);
  if (!tested.ok) throw new HostError(tested.problem);
  const {algorithm, bits} = must(inspectKey(pem));
  const fingerprint = createHash('sha256').update(pem, 'utf8').digest('hex');
  const stagedPath = stagedKeyPath(domain, selector);
  return newEntry(
    {domain, selector, algorithm, bits, record, stagedPath},
    {kind: 'self-test', fingerprint},
    now,
  );
}

function readExport(text: string): Export {
  const damaged = (): UsageError =>
    new UsageError(
      problem(
        'import.damaged',
        'This is no export of waxseal.',
        'Make one on the other host: waxseal export',
      ),
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged();
  }
  if (typeof value !== 'object' || value === null) throw damaged();
  const fields: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(value));
  const {waxseal, version, host, keys, private: secret} = fields;
  if (waxseal !== 'export' || version !== 1 || typeof host !== 'string' || !Array.isArray(keys)) {
    throw damaged();
  }
  const pairs = typeof secret === 'object' && secret !== null ? Object.entries(secret) : [];
  return {
    host,
    // Whatever it says of single keys: they are those of the host that the file is of.
    keys: must(parseForeignKeys(keys)).map(key => ({...key, host})),
    secret: new Map(pairs.flatMap(([name, pem]) => (typeof pem === 'string' ? [[name, pem] as const] : []))),
  };
}
