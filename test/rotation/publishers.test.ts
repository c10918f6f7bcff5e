import {expect, test} from 'vitest';
import {parsePublish} from '../../src/dns/publish/index.ts';
import {formatState, parseState, publisherOf, withPublisher} from '../../src/rotation/index.ts';
import {domainOf} from '../support/fake-operations.ts';

const choiceOf = (text: string) => {
  const parsed = parsePublish(text);
  if (!parsed.ok) throw new TypeError(text);
  return parsed.value;
};
const org = domainOf('example.org');
const net = domainOf('example.net');
const byUpdate = choiceOf('nsupdate key=/etc/waxseal/update.key server=192.0.2.1 ttl=300');

test('what entered the records of a domain is remembered, in the file too', () => {
  const state = withPublisher({keys: []}, [org], byUpdate);
  const again = parseState(formatState(state));
  if (!again.ok) throw new TypeError(again.problem.message);
  expect(publisherOf(again.value, org)).toEqual(byUpdate);
  expect(publisherOf(again.value, net)).toBeUndefined();
});

test('the last one counts, domain by domain; a person who takes over makes it forgotten', () => {
  const both = withPublisher({keys: []}, [org, net], byUpdate);
  const changed = withPublisher(both, [net], choiceOf('lexicon:gandi config=/etc/lexicon'));
  expect(publisherOf(changed, org)).toEqual(byUpdate);
  expect(publisherOf(changed, net)).toMatchObject({by: 'lexicon'});
  const manual = withPublisher(withPublisher(changed, [org], choiceOf('manual')), [net], choiceOf('manual'));
  expect(manual).toEqual({keys: []});
});

test('a file that names no way to publish is refused, not guessed', () => {
  const text = formatState(withPublisher({keys: []}, [org], byUpdate)).replace('nsupdate key', 'nsupdat key');
  expect(parseState(text)).toMatchObject({ok: false, problem: {id: 'state.damaged'}});
});
