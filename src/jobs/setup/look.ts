/** The first look, and what an earlier run left. */

import {recordForms} from '../../dns/forms.ts';
import {recogniseProvider} from '../../dns/provider.ts';
import type {Zone} from '../../dns/survey.ts';
import {findZone} from '../../dns/zone.ts';
import {refuseDamagedNotes} from '../../doctor/notes.ts';
import type {DnsName, DomainName} from '../../domain/names.ts';
import {ok, type Result} from '../../domain/result.ts';
import type {Answers, KeyChoice} from '../../flow/answers.ts';
import type {DomainFacts, LookResult, PendingSetup, StagedDomain} from '../../flow/operations.ts';
import {QUESTION_ORDER, questionOf} from '../../flow/questions.ts';
import {readStagedKey} from '../../keys/index.ts';
import {findUnfinished} from '../../plan/index.ts';
import {isComing, type KeyEntry, loadDraft, type RotationState, saveDraft} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {readKeys} from '../key-book.ts';
import {HELD, type Turns} from '../lock-turns.ts';
import type {WorkOptions} from '../options.ts';
import {findPublishers} from '../publishers.ts';

/**
 * Looks at the host and at waxseal's own notes; who is not root sees no notes. LockHeld where another run is at work:
 * what it has begun would look like something that was cut off. HostError where the notes are damaged.
 */
export async function look(
  ports: Ports,
  options: WorkOptions,
  signal: AbortSignal,
  turns: Turns = HELD,
): Promise<LookResult> {
  if (!ports.process.privileged) {
    const facts = await lookAtHost(ports, signal);
    return {facts, pending: undefined, unfinished: undefined, draft: undefined};
  }
  const {host, run, state} = await turns.take(
    signal,
    async own => {
      await refuseDamagedNotes(ports);
      const [first] = await findUnfinished(ports);
      return {host: await lookAtHost(ports, own), run: first, state: await readKeys(ports)};
    },
    {wait: false},
  );
  const facts = {...host, publishers: await findPublishers(ports, state, options)};
  const draft = await draftAnswers(ports, facts, options);
  return {
    facts,
    pending: facts.blockers.length > 0 ? undefined : await pendingSetup(ports, options, state, draft, signal),
    unfinished: run === undefined ? undefined : {id: run.run, title: run.title, startedAt: run.at},
    draft,
  };
}

/** Zone cut, servers and provider of a mail domain. */
export async function inspectDomain(
  ports: Ports,
  options: WorkOptions,
  domain: DomainName,
  signal: AbortSignal,
): Promise<Result<DomainFacts>> {
  const zone = await findZone(ports, `_domainkey.${domain}` as DnsName, {
    resolvers: options.resolvers,
    signal,
  });
  if (!zone.ok) return zone;
  return ok({domain, zone: zone.value, provider: recogniseProvider(serverNames(zone.value))?.name});
}

const serverNames = (zone: Zone): readonly string[] => [...new Set(zone.servers.map(({name}) => name))];

/**
 * The keys of the newest setup that is on its way, for a rotation those of the newest rotation: those that were written
 * down together. Neither goes on with what the other one began.
 */
async function pendingSetup(
  ports: Ports,
  options: WorkOptions,
  state: RotationState,
  draft: Answers | undefined,
  signal: AbortSignal,
): Promise<PendingSetup | undefined> {
  const signing = new Set(state.keys.filter(key => key.state === 'active').map(({domain}) => domain));
  const isRotation = options.newSelector === true;
  const coming = state.keys.filter(key => isComing(key) && signing.has(key.domain) === isRotation);
  const newest = coming.toSorted((one, other) => (one.createdAt < other.createdAt ? 1 : -1))[0];
  if (newest === undefined) return undefined;
  // Single domains may have selectors of their own.
  const entries = coming.filter(({createdAt}) => createdAt === newest.createdAt);
  const staged: StagedDomain[] = [];
  for (const entry of entries) {
    const each = await stagedAgain(ports, options, entry, signal);
    if (each !== undefined) staged.push(each);
  }
  const [first] = staged;
  if (first === undefined) return undefined;
  return {
    staged,
    since: newest.log.at(-1)?.at ?? newest.createdAt,
    answers: {
      ...withoutSelectors(draft),
      domains: staged.map(({domain}) => domain),
      ...selectorsOf(staged),
      key: draft?.key?.source === 'import' ? draft.key : keyChoice(first),
    },
  };
}

function withoutSelectors(draft: Answers | undefined): Answers {
  const {selectors: _own, selector: _common, ...rest} = draft ?? {};
  return rest;
}

/** One selector for all, or each its own: as the answers have it. */
function selectorsOf(staged: readonly StagedDomain[]): Pick<Answers, 'selector' | 'selectors'> {
  const [first, ...others] = new Set(staged.map(({selector}) => selector));
  if (first !== undefined && others.length === 0) return {selector: first};
  return {selectors: new Map(staged.map(({domain, selector}) => [domain, selector]))};
}

const keyChoice = ({algorithm, bits}: StagedDomain): KeyChoice =>
  algorithm === 'ed25519'
    ? {source: 'generate', spec: {algorithm}}
    : {source: 'generate', spec: {algorithm, bits: bits === 3072 || bits === 4096 ? bits : 2048}};

/** A staged key with its zone looked up anew: servers may have changed while nobody was looking. */
export async function stagedAgain(
  ports: Ports,
  options: WorkOptions,
  entry: KeyEntry,
  signal: AbortSignal,
): Promise<StagedDomain | undefined> {
  const key = await readStagedKey(ports, entry.domain, entry.selector);
  if (key?.ok !== true || !isComing(entry)) return undefined;
  const found = await findZone(ports, entry.record.name, {resolvers: options.resolvers, signal});
  // A zone that is gone must not keep other domains from being set up; this one says so when it is asked for.
  if (!found.ok) return undefined;
  const zone = found.value;
  return {
    domain: entry.domain,
    selector: entry.selector,
    algorithm: entry.algorithm,
    bits: entry.bits,
    state: entry.state === 'pending' || entry.state === 'ready' ? entry.state : 'staged',
    stagedPath: key.value.path,
    sha256: key.value.sha256,
    zone,
    record: recordForms({
      apex: zone.apex,
      name: entry.record.name,
      value: entry.record.value,
      servers: serverNames(zone),
    }),
    remarks: [],
  };
}

/** Answers are kept as the texts that their flags take, and read back by the parsers of today. */
export async function keepDraft(
  ports: Ports,
  options: Pick<WorkOptions, 'newSelector'>,
  answers: Answers,
): Promise<void> {
  if (!ports.process.privileged) return;
  const texts = QUESTION_ORDER.flatMap(id => {
    const text = questionOf(id).textIn(answers);
    return text === undefined ? [] : [[id, text] as const];
  });
  await saveDraft(ports.files, {...Object.fromEntries(texts), command: commandOf(options)});
}

/** Whose answers they are: those of a rotation are none for a set-up, and the other way round. */
const commandOf = ({newSelector}: Pick<WorkOptions, 'newSelector'>): 'rotate' | 'setup' =>
  newSelector === true ? 'rotate' : 'setup';

async function draftAnswers(
  ports: Ports,
  facts: HostFacts,
  options: WorkOptions,
): Promise<Answers | undefined> {
  const draft = await loadDraft(ports.files);
  if (draft?.ok !== true || (draft.value['command'] ?? 'setup') !== commandOf(options)) return undefined;
  let answers: Answers = {};
  for (const id of QUESTION_ORDER) {
    const text = draft.value[id];
    if (typeof text !== 'string') continue;
    const read = questionOf(id).accept(text, answers, facts);
    if (read.ok) answers = read.value;
  }
  return answers;
}
