import type {ExitCode} from '../../domain/errors.ts';
import {visible} from '../../domain/text.ts';
import {nameUse} from '../../host/index.ts';
import {importKeys, readExport, type TakenKey} from '../../jobs/import/import.ts';
import {lookAtHost} from '../../services/look.ts';
import {isSet} from '../arguments.ts';
import {changing} from '../changing.ts';
import {type Context, rootPorts} from '../context.ts';
import {tell} from '../print.ts';
import {present, usage} from '../usage.ts';

/** `waxseal import FILE`: keys of another host become known here; those that came with their private key can sign here. */
export async function importState(context: Context): Promise<ExitCode> {
  const ports = await rootPorts(context, 'The keys of this host belong to root.');
  const [file] = context.operands;
  if (file === undefined) {
    throw usage(
      'usage.missing',
      'The file is missing.',
      'Name the file that waxseal export wrote on the other host.',
    );
  }
  const reading = (await context.namedFiles()).readDeciding(context.pathOf(file));
  const content = await present(reading, file, 'usage.file', 'Check the name.');
  const read = readExport(Buffer.from(content).toString('utf8'));
  const {hostname} = await lookAtHost(ports, context.signal);
  if (read.host === hostname) {
    throw usage(
      'import.own',
      `${visible(file)} was exported by this very host.`,
      'Import it on the other one.',
    );
  }
  const dryRun = isSet(context.flags, 'dry-run');
  const taken = await changing(context, ports, 'import', ({signal}) =>
    importKeys(ports, read, {dryRun}, signal),
  );
  return await tell(context, {exitCode: 0, changed: !dryRun}, [
    `Known now: ${read.keys.length} keys of ${visible(read.host)}`,
    ...taken.map(startLine),
    ...taken.flatMap(({key, rows}) =>
      rows.length === 0
        ? []
        : [`The key of ${key.record.name} signs here already: ${rows.map(nameUse).join(', ')}`],
    ),
    'Whether the hosts agree: waxseal rotate --check-hosts',
  ]);
}

const startLine = ({key: {domain, selector}, start}: TakenKey): string =>
  `To sign with the same key here: waxseal ${start === 'rotation' ? 'rotate' : 'setup'} --domain ${domain} --selector ${selector}`;
