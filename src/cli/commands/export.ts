import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {foreignOf} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
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
      problem('usage.missing', 'Private keys go into a file only.', 'Give --output FILE; it gets mode 0600.'),
    );
  }
  const keys = chosen(context, await stateOf(ports));
  const {hostname} = await lookAtHost(ports, context.signal);
  const secret: Record<string, string> = {};
  for (const key of withKeys ? keys.filter(({state}) => state === 'active') : []) {
    const path = key.keyPath ?? key.stagedPath;
    const content = path === undefined ? undefined : await ports.files.read(path);
    if (content !== undefined) secret[key.record.name] = Buffer.from(content).toString('utf8');
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
  const files = await context.outside.files();
  const {uid, gid} = context.outside.person;
  await files.create(context.pathOf(file), new TextEncoder().encode(text), {mode: 0o600, uid, gid});
  return await tell(context, {exitCode: 0}, [
    `Written: ${file}${withKeys ? ' (with private keys: carry it by a safe way and delete it then)' : ''}`,
    `On the other host: waxseal import ${file}`,
  ]);
}
