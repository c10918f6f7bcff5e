/** What is known of the keys of this host, as a document for another host of the same domains. */
import {HostError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {SignerRow} from '../../host/index.ts';
import {privateFingerprint, recordFingerprint} from '../../keys/index.ts';
import {foreignOf, type KeyEntry} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {lookAtUses} from '../key-uses.ts';

export interface KeyExport {
  /** JSON, with a newline at its end; secret where `withKeys` was asked for. */
  readonly text: string;
  /** Keys that are given out and sign for other domains too: whoever gets one can sign for them. */
  readonly shared: readonly {readonly key: KeyEntry; readonly others: readonly SignerRow[]}[];
}

/** Rejects with HostError `export.not-the-key` where a file does not hold the key that it should. */
export async function exportKeys(
  ports: Ports,
  keys: readonly KeyEntry[],
  {withKeys}: {readonly withKeys: boolean},
  signal: AbortSignal,
): Promise<KeyExport> {
  const {hostname} = await lookAtHost(ports, signal);
  const secret: Record<string, string> = {};
  const shared: KeyExport['shared'][number][] = [];
  if (withKeys) {
    const uses = await lookAtUses(ports, signal);
    for (const key of keys.filter(({state}) => state === 'active')) {
      const pem = await privateKeyOf(ports, key);
      if (pem !== undefined) secret[key.record.name] = pem;
      const others = uses(key).filter(row => row.key.known && row.domain !== key.domain);
      if (others.length > 0) shared.push({key, others});
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
  return {text: `${JSON.stringify(document, null, 2)}\n`, shared};
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
