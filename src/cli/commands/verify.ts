import {type KeyLookup, type SignatureVerdict, type VerifyOptions, verifyMessage} from '../../dkim/index.ts';
import {createKeyLookup} from '../../dns/key-lookup.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {visible} from '../../domain/text.ts';
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
    ...(isSet(context.flags, 'explain') ? {explain: {bodyOctets: 4096}} : {}),
  };
  const verdicts = await verifyMessage(message, options);
  const passed = verdicts.some(({result}) => result === 'pass');
  const exitCode: ExitCode = passed ? 0 : 4;
  const checks = verdicts.length === 0 ? [unsigned] : verdicts.map(checkOf);
  const lines = verdicts.length === 0 ? ['no signature'] : verdicts.flatMap(linesOf);
  return await tell(context, {exitCode, checks}, lines);
}

const unsigned: Check = {
  id: 'verify.signature',
  title: 'The message has a signature',
  status: 'fail',
  evidence: 'no DKIM-Signature field',
  cause: 'The message was not signed, or the field was removed on its way.',
  fix: '',
};

const name = (verdict: SignatureVerdict): string =>
  `d=${visible(verdict.domain ?? '?')} s=${visible(verdict.selector ?? '?')} a=${visible(verdict.algorithm ?? '?')}`;

const checkOf = (verdict: SignatureVerdict): Check => ({
  id: 'verify.signature',
  title: `Signature ${verdict.index + 1}: ${name(verdict)}`,
  status: verdict.result === 'pass' ? 'pass' : 'fail',
  evidence: `${verdict.result}: ${visible(verdict.reason.message)}`,
  cause: verdict.result === 'pass' ? '' : `${visible(verdict.reason.message)} (${verdict.reason.id})`,
  fix: '',
});

function linesOf(verdict: SignatureVerdict): readonly string[] {
  const section = verdict.reason.section === undefined ? '' : ` (${verdict.reason.section})`;
  const {explanation} = verdict;
  return [
    `${verdict.result}  ${name(verdict)}`,
    `      ${visible(verdict.reason.message)}${section}`,
    ...(explanation === undefined
      ? []
      : [
          '      header hash input:',
          ...explanation.headerInput
            .toString('latin1')
            .split('\r\n')
            .map(line => `      | ${visible(line)}`),
          `      body hash input (${explanation.bodyInputLength} octets), computed bh=${explanation.bodyHash}:`,
          ...explanation.bodyInput
            .toString('latin1')
            .split('\r\n')
            .map(line => `      | ${visible(line)}`),
        ]),
  ];
}
