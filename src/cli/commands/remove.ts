import {takenOver} from '../../doctor/removal.ts';
import type {ExitCode} from '../../domain/errors.ts';
import type {DomainName} from '../../domain/names.ts';
import {listed, visible} from '../../domain/text.ts';
import type {Outcome} from '../../flow/report.ts';
import {type Withdrawn, withdrawRecords} from '../../jobs/remove/records.ts';
import {type Removal, removeSigning} from '../../jobs/remove/remove.ts';
import {MTAS, SIGNER} from '../../services/registry.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {changing} from '../changing.ts';
import {type Context, resolversOf, rootPorts} from '../context.ts';
import {dialogOf} from '../dialog.ts';
import {dueLines, dueReports} from '../due-report.ts';
import {changeLines, tell} from '../print.ts';
import {publishFlag} from '../publisher.ts';
import {domainTexts} from '../session.ts';
import {domainsIn, usage} from '../usage.ts';

/** `waxseal remove --domain NAME`: stops signing first; the record stays until no mail needs it any more. */
export async function remove(context: Context): Promise<ExitCode> {
  const domains = await domainsToRemove(context);
  const ports = await rootPorts(context, 'A removal changes the mail configuration, and needs root.');
  const publish = publishFlag(context);
  const options = {
    resolvers: resolversOf(context.flags),
    environment: context.outside.environment,
    ...(publish === undefined ? {} : {publish}),
  };
  const removal = await changing(context, ports, 'remove', ({signal}, released) =>
    removeSigning(ports, dialogOf(context, released), domains, options, signal),
  );
  // Takes the lock itself, for one act at a time: records need the DNS.
  const records = isSet(context.flags, 'dry-run')
    ? undefined
    : await withdrawRecords(ports, domains, options, context.signal);
  return await tellRemoval(context, ports, domains, removal, records);
}

/** Those of `--domain` and `--domains-file`, each once. */
async function domainsToRemove(context: Context): Promise<readonly DomainName[]> {
  const {texts} = await domainTexts(context);
  if (texts.length > 0) return domainsIn(texts);
  throw usage(
    'usage.missing',
    '--domain is missing.',
    'Give the domain with --domain, or a list with --domains-file.',
  );
}

async function tellRemoval(
  context: Context,
  ports: Ports,
  domains: readonly DomainName[],
  removal: Removal,
  records: Withdrawn | undefined,
): Promise<ExitCode> {
  const {changes} = removal;
  if (removal.result === 'shown') {
    return await tell(context, {exitCode: 0, changes}, [...changes.flatMap(changeLines), ...removal.further]);
  }
  const {checks, result} = removal;
  const after = recordsOutcome(ports, records);
  if (result !== 'removed') {
    const word =
      result === 'given-up'
        ? `Given up: the setup of ${listed(domains)}`
        : `Nothing to remove: ${listed(domains)} ${domains.length === 1 ? 'is' : 'are'} not signed here.`;
    return await tell(context, {exitCode: 0, ...after}, [word, ...recordsLines(records)]);
  }
  return await tell(context, {exitCode: 0, changes, checks, ...after, changed: true}, [
    `No longer signed: ${listed(domains)}`,
    ...checks.flatMap(check => {
      const how = takenOver(check);
      return how === undefined ? [] : [`${check.title}: signed ${how}`];
    }),
    // The signer stays where it is, so that one undo takes the removal back.
    ...(removal.othersSign ? [] : [NOBODY_LEFT]),
    ...recordsLines(records),
  ]);
}

const NOBODY_LEFT = `No domain is signed here any more. ${SIGNER.words.program} runs on and leaves mail as it is; ${MTAS[0].words.program} still asks it.`;

const recordsOutcome = (ports: Ports, records: Withdrawn | undefined): Partial<Outcome> =>
  records === undefined
    ? {}
    : {changed: records.changed, domains: dueReports(records.state, records.due, ports.clock.now())};

const recordsLines = (records: Withdrawn | undefined): readonly string[] =>
  records === undefined
    ? []
    : [
        ...records.lines,
        ...records.done.map(text => `done: ${visible(text)}`),
        ...records.refused.map(({message, hint}) => `NOT DONE: ${visible(message)} ${visible(hint)}`),
        ...dueLines(records.due),
        ...(records.due.length === 0 ? [] : ['Go on with: waxseal rotate --advance (its timer does, too)']),
      ];
