import {command} from '../../domain/command.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {nameUse} from '../../host/index.ts';
import {exportKeys} from '../../jobs/export/export.ts';
import {readKeys} from '../../jobs/key-book.ts';
import {createNamedFiles} from '../../jobs/named-files.ts';
import {isSet, textOf} from '../arguments.ts';
import {type Context, rootPorts} from '../context.ts';
import {tell} from '../print.ts';
import {chosen} from '../state-report.ts';
import {usage} from '../usage.ts';
import {writeOut} from '../write-out.ts';

/**
 * `waxseal export`: what is known of the keys of this host, as JSON, for another host of the same domains. Private keys
 * only with `--with-keys`, and only into a file of mode 0600.
 */
export async function exportState(context: Context): Promise<ExitCode> {
  const ports = await rootPorts(context, 'The keys of this host belong to root.');
  const file = textOf(context.flags, 'output');
  const withKeys = isSet(context.flags, 'with-keys');
  if (withKeys && file === undefined) {
    throw usage(
      'usage.missing',
      'Private keys go into a file only.',
      'Name one with --output; it gets mode 0600.',
    );
  }
  const keys = chosen(context, await readKeys(ports));
  const {text, shared} = await exportKeys(ports, keys, {withKeys}, context.signal);
  if (file === undefined) {
    await writeOut(context.streams.stdout, text);
    return 0;
  }
  const named = createNamedFiles(await context.outside.files(), context.outside.person);
  await named.create(context.pathOf(file), text);
  return await tell(context, {exitCode: 0}, [
    `Written: ${file}${withKeys ? ' (with private keys: carry it by a safe way and delete it then)' : ''}`,
    ...shared.map(
      ({key, others}) => `The key of ${key.record.name} also signs for: ${others.map(nameUse).join(', ')}`,
    ),
    `On the other host: ${command('waxseal', 'import', file)}`,
  ]);
}
