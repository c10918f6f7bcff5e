import {createHash} from 'node:crypto';
import {
  type Explanation,
  type KeyLookup,
  type Reason,
  type SignatureVerdict,
  type VerifyOptions,
  verifyMessage,
} from '../../dkim/index.ts';
import {createKeyLookup} from '../../dns/key-lookup.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {visible} from '../../domain/text.ts';
import {checkFrom, failed} from '../../proof/finding.ts';
import type {Check} from '../../proof/proof.ts';
import {isSet, textOf} from '../arguments.ts';
import {type Context, resolversOf} from '../context.ts';
import {messageInput, withLineEndings} from '../message-input.ts';
import {tell} from '../print.ts';

/** `waxseal verify [--record TXT | --resolver ADDR] < in`: exit 0 where a signature passes, 4 where none does. */
export async function verify(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const record = textOf(context.flags, 'record');
  const lookup: KeyLookup =
    record === undefined
      ? createKeyLookup(ports, {resolvers: resolversOf(context.flags)})
      : async () => ({status: 'found', records: [record]});
  const {message, lineEndings} = await withLineEndings(await messageInput(context));
  const options: VerifyOptions = {
    lookup,
    now: Math.floor(ports.clock.now().getTime() / 1000),
    lineEndings,
    diagnose: true,
    ...(isSet(context.flags, 'explain') ? {explain: {bodyOctets: SHOWN_OCTETS}} : {}),
  };
  const verdicts = await verifyMessage(message, options);
  const passed = verdicts.some(({result}) => result === 'pass');
  const exitCode: ExitCode = passed ? 0 : 4;
  const checks = verdicts.length === 0 ? [unsigned] : verdicts.flatMap(checksOf);
  const lines = verdicts.length === 0 ? ['no signature'] : verdicts.flatMap(linesOf);
  return await tell(context, {exitCode, checks}, lines);
}

const unsigned = checkFrom(
  'verify.signature',
  'The message has a signature',
  failed('no DKIM-Signature field', 'The message was not signed, or the field was removed on its way.', ''),
);

const name = (verdict: SignatureVerdict): string =>
  `d=${visible(verdict.domain ?? '?')} s=${visible(verdict.selector ?? '?')} a=${visible(verdict.algorithm ?? '?')}`;

/** What did not decide but matters: octets or fields that nobody signed, a clock that is wrong, a key on trial. */
const notesOn = ({notes, testing}: SignatureVerdict): readonly Reason[] =>
  testing ? [...notes, TEST_KEY] : notes;

const TEST_KEY: Reason = {
  id: 'note.test-key',
  message: 'The key is published as a test (t=y).',
  section: 'RFC 6376 §3.6.1',
};

function checksOf(verdict: SignatureVerdict): readonly Check[] {
  const {result, explanation} = verdict;
  const passed = result === 'pass';
  const notes = notesOn(verdict);
  const reasons = [...(passed ? [] : [verdict.reason]), ...notes];
  const signature = `Signature ${verdict.index + 1}`;
  return [
    {
      id: 'verify.signature',
      title: `${signature}: ${name(verdict)}`,
      status: passed ? (notes.length === 0 ? 'pass' : 'warn') : 'fail',
      evidence: [`${result}: ${verdict.reason.message}`, ...notes.map(note => note.message)]
        .map(text => visible(text))
        .join(' '),
      cause: reasons.map(({message, id}) => `${visible(message)} (${id})`).join(' '),
      fix: '',
    },
    ...(explanation === undefined
      ? []
      : [
          // Octets, not text: base64 is what two programs can compare.
          {
            ...SHOWN,
            id: 'verify.header-input',
            title: `${signature}: what b= signs`,
            evidence: `${explanation.headerInput.length} octets, SHA-256 ${sha256(explanation.headerInput)}, base64 ${explanation.headerInput.toString('base64')}`,
          },
          {
            ...SHOWN,
            id: 'verify.body-input',
            title: `${signature}: what bh= covers`,
            evidence: `${explanation.bodyInputLength} octets, SHA-256 ${hexOf(explanation.bodyHash)}, base64 of the first ${explanation.bodyInput.length} ${explanation.bodyInput.toString('base64')}`,
          },
        ]),
  ];
}

/** Judges nothing. */
const SHOWN = {status: 'skip', cause: '', fix: ''} as const;

const SHOWN_OCTETS = 4096;
const sha256 = (octets: Uint8Array): string => createHash('sha256').update(octets).digest('hex');
const hexOf = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

function linesOf(verdict: SignatureVerdict): readonly string[] {
  const {explanation} = verdict;
  return [
    `${verdict.result}  ${name(verdict)}`,
    `      ${told(verdict.reason)}`,
    ...notesOn(verdict).map(note => `      note: ${told(note)}`),
    ...(explanation === undefined ? [] : inputLines(explanation)),
  ];
}

const told = ({message, section}: Reason): string =>
  `${visible(message)}${section === undefined ? '' : ` (${section})`}`;

function inputLines({headerInput, bodyInput, bodyInputLength, bodyHash}: Explanation): readonly string[] {
  return [
    `      header hash input (${headerInput.length} octets, SHA-256 ${sha256(headerInput)}):`,
    ...octetLines(headerInput),
    `      body hash input (${bodyInputLength} octets), computed bh=${bodyHash}:`,
    ...octetLines(bodyInput),
    ...(bodyInput.length < bodyInputLength
      ? [`      (only the first ${bodyInput.length} octets are shown)`]
      : []),
  ];
}

const octetLines = (octets: Buffer): readonly string[] =>
  octets
    .toString('latin1')
    .split('\r\n')
    .map(line => `      | ${visible(line)}`);
