/**
 * A private key that a configuration names and that a plan would copy to OpenDKIM's own account. Who can write the
 * configuration may name any file of the host. So where that isn't root alone, nothing is copied that this account can't
 * read where it is.
 */
import {createHash} from 'node:crypto';
import {command} from '../../domain/command.ts';
import {ToolError} from '../../domain/errors.ts';
import {type AbsolutePath, below, nameOf} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {privateFingerprint} from '../../keys/index.ts';
import type {InspectedFile, Ports} from '../../system/ports.ts';
import {asIdentity, type Identity, identitiesOf} from '../account.ts';
import {COMMAND_MS} from '../limits.ts';
import {isRootsWord} from '../roots-word.ts';
import type {MovableKey} from '../snapshot.ts';
import type {OpenDkimFacts} from './facts.ts';

type MovePorts = Pick<Ports, 'files' | 'users' | 'commands'>;

/** No private key is longer. */
const MOST_OCTETS = 65_536;

/**
 * Reads the key at `path`, by one handle. Unless it is root's file, named by root, OpenDKIM's account reads it, too: what both have read is the key. The problem `opendkim.key-not-moved` says why it may not be copied.
 */
export async function readMovableKey(
  ports: MovePorts,
  opendkim: OpenDkimFacts,
  path: AbsolutePath,
  keyDirectory: AbsolutePath,
): Promise<Result<MovableKey>> {
  const refused = (why: string, hint: string): Result<never> => fail(notMoved(opendkim, path, why, hint));
  const found = await inspected(ports, path);
  if ('why' in found) return refused(found.why, NAME_ANOTHER);
  const {real, content, stat} = found;
  if (stat.links !== 1) return refused('has several names (hard links)', NAME_ANOTHER);
  const fingerprint = content.length > MOST_OCTETS ? undefined : privateFingerprint(content);
  if (fingerprint === undefined) return refused('holds no private key that can be read', NAME_ANOTHER);
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (await isRootsWord(ports, [opendkim.configFile], {path, real}, stat))
    return ok({path: real, sha256, fingerprint});
  const identities = await identitiesOf(ports, opendkim);
  if ('unknown' in identities)
    return refused(`can't be read: there is no ${identities.unknown}`, NAME_ANOTHER);
  if ((await hashReadBy(ports, identities.work, real)) !== sha256) {
    return refused(
      `can't be read by ${visible(identities.work.name)}, as whom OpenDKIM signs`,
      letItRead(identities.work, path, keyDirectory),
    );
  }
  return ok({path: real, sha256, fingerprint});
}

async function inspected(
  {files}: MovePorts,
  path: AbsolutePath,
): Promise<(InspectedFile & {readonly real: AbsolutePath}) | {readonly why: string}> {
  try {
    const real = await files.resolve(path);
    const found = real === undefined ? undefined : await files.inspect(real);
    return real === undefined || found === undefined ? {why: 'is missing'} : {...found, real};
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return {why: 'is no regular file that can be read'};
  }
}

/** The kernel judges: access lists and every directory on the way count, and a file exchanged meanwhile has another hash. */
async function hashReadBy(
  {commands}: MovePorts,
  identity: Identity,
  path: AbsolutePath,
): Promise<string | undefined> {
  const {status, stdout} = await commands.run(asIdentity(identity, ['sha256sum', '--', path]), {
    timeoutMs: COMMAND_MS,
  });
  // A name with a backslash or line feed is quoted, and the line begins with a backslash (sha256sum(1)).
  return status === 0 ? /^\\?([0-9a-f]{64}) /.exec(stdout)?.[1] : undefined;
}

const NAME_ANOTHER = 'Name the private key file itself in KeyFile, then run waxseal again.';

function letItRead({name}: Identity, path: AbsolutePath, keyDirectory: AbsolutePath): string {
  if (path.startsWith(`${keyDirectory}/`))
    return `If it is your DKIM key: ${command('sudo', 'chown', name, path)}`;
  const place = below(keyDirectory, nameOf(path));
  const copy = command('sudo', 'install', '-o', name, '-m', '600', path, place);
  return `If it is your DKIM key, copy it and name the copy in KeyFile: ${copy}`;
}

const notMoved = ({configFile}: OpenDkimFacts, path: AbsolutePath, why: string, hint: string): Problem =>
  problem(
    'opendkim.key-not-moved',
    `${visible(path)}, named by KeyFile in ${configFile}, ${why}. waxseal doesn't copy it, and nothing was changed.`,
    hint,
  );
