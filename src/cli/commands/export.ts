import {command} from '../../domain/command.ts';
import {type ExitCode, HostError, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {nameUse, type SignerRow} from '../../host/index.ts';
import {lookAtUses} from '../../jobs/key-uses.ts';
import {createNamedFiles} from '../../jobs/named-files.ts';
import {privateFingerprint, recordFingerprint} from '../../keys/index.ts';
import {foreignOf, type KeyEntry} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet, textOf} from '../arguments.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {tell} from '../print.ts';
import {chosen, stateOf} from '../state-report.ts';
import {writeOut} from '../write-out.ts';

/**
 * `waxseal export`: what is known of the keys of this host, as JSON, for another host of the same domains. Private keys
 * only with `--with-keys`, and only into a file of mode 0600.
 */
export async function exportState(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  mustBeRoot(ports, 'The keys of this host belong to root.');
  const file = textOf(context.flags, 'output');
  const withKeys = isSet(context.flags, 'with-keys');
  if (withKeys && file === undefined) {
    throw new UsageError(
      problem(
        'usage.missing',
        'Private keys go into a file only.',
        'Name one with --output; it gets mode 0600.',
      ),
    );
  }
  const keys = chosen(context, await stateOf(ports));
  const {hostname} = await lookAtHost(ports, context.signal);
  const secret: Record<string, string> = {};
  const shared: string[] = [];
  if (withKeys) {
    const uses = await lookAtUses(ports, context.signal);
    for (const key of keys.filter(({state}) => state === 'active')) {
      const pem = await privateKeyOf(ports, key);
      if (pem !== undefined) secret[key.record.name] = pem;
      shared.push(...sharedLines(key, uses(key)));
    }
  }
  const document = {
    waxseal: 'export',
    version: 1,
    host: hostname,
    at: ports.clock.now().toISOString(),
    keys: keys.map(key => foreignOf(hostname, key)),
    ...(withKeys ? {private: secret} : {}),
  };
  const text = `${JSON.stringify(document, null, 2)}\n`;
  if (file === undefined) {
    await writeOut(context.streams.stdout, text);
    return 0;
  }
  const named = createNamedFiles(await context.outside.files(), context.outside.person);
  await named.create(context.pathOf(file), text);
  return await tell(context, {exitCode: 0}, [
    `Written: ${file}${withKeys ? ' (with private keys: carry it by a safe way and delete it then)' : ''}`,
    ...shared,
    `On the other host: ${command('waxseal', 'import', file)}`,
  ]);
}

/**
 * The private key that belongs to a record; undefined where none was put in place. The file is read once, and only what
 * is that key is given out: who owns its directory could have put a link to any file of the host there.
 */
async function privateKeyOf({files}: Ports, key: KeyEntry): Promise<string | undefined> {
  const path = key.keyPath ?? key.stagedPath;
  if (path === undefined) return undefined;
  const found = await files.inspect(path, {follow: true});
  const fingerprint = recordFingerprint(key.record.value);
  if (found !== undefined && fingerprint !== undefined && privateFingerprint(found.content) === fingerprint) {
    return Buffer.from(found.content).toString('utf8');
  }
  throw new HostError(
    problem(
      'export.not-the-key',
      `${visible(path)} ${found === undefined ? 'is missing' : `does not hold the key of ${key.record.name}`}. Nothing was exported.`,
      'Export without the private keys: waxseal export',
    ),
  );
}

/** Rows of other domains that sign with the key: whoever gets it can sign for them. */
function sharedLines(key: KeyEntry, rows: readonly SignerRow[]): readonly string[] {
  const others = rows.filter(row => row.key.known && row.domain !== key.domain);
  return others.length === 0
    ? []
    : [`The key of ${key.record.name} also signs for: ${others.map(nameUse).join(', ')}`];
}
