/** The words for faults: each program of the registry has its own, and names others only by what they are called. */
import {expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {FaultContext, ProbeFault} from '../../src/proof/fault.ts';
import {faultOf, toFinding} from '../../src/proof/fault.ts';
import {hintsFor, MTAS, SIGNER} from '../../src/services/registry.ts';
import {domainOf, selectorOf} from '../proof/keys.ts';

const context: FaultContext = {
  domain: domainOf('example.com'),
  selector: selectorOf('202611'),
  endpoint: {kind: 'unix', path: absolute('/run/opendkim/opendkim.sock')},
  others: [{program: 'rspamd'}],
};

test('every fault has a cause and a fix', () => {
  const hints = hintsFor();
  expect(Object.keys(hints).length).toBeGreaterThan(15);
  const words = Object.keys(hints).map(fault => {
    const finding = toFinding(faultOf(fault as ProbeFault, 'seen'), hints, context);
    expect(finding).toMatchObject({status: 'fail', evidence: 'seen'});
    expect(finding.cause).not.toBe('');
    expect(finding.fix).not.toBe('');
    return `${fault}\n  ${finding.cause}\n  ${finding.fix}`;
  });
  expect(words.join('\n')).toMatchSnapshot();
});

test('a signer names the mail server by the words that it brings, and not by its own', () => {
  const [postfix] = MTAS;
  const other = {
    program: 'Sendmail',
    user: 'smmsp',
    milterSetting: 'INPUT_MAIL_FILTER in sendmail.mc',
    relaySetting: 'SMART_HOST',
  };
  const texts = Object.values(SIGNER.hints(other)).map(hint => JSON.stringify(hint(context)));
  const all = texts.join('\n');
  expect(all).toContain('compare INPUT_MAIL_FILTER in sendmail.mc with Socket in opendkim.conf');
  expect(all).not.toContain(postfix.words.program);
  expect(all).not.toContain(postfix.words.milterSetting);
});
