import {createPrivateKey} from 'node:crypto';
import {signMessageSync, verifyMessage} from '../dkim/index.ts';
import {type DomainName, keyRecordName, parseDomain, parseSelector, type Selector} from '../domain/names.ts';
import {fail, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {inspectKey, type KeyDescription} from './inspect.ts';

export interface SelfTestName {
  readonly domain: DomainName;
  readonly selector: Selector;
}

/**
 * Signs a message with the key and verifies it against the very text that will be published: what a receiver will do.
 * Problem `key.self-test` where that does not pass, with the reason of the engine.
 */
export async function selfTest(
  pem: string,
  recordValue: string,
  name: SelfTestName = exampleName(),
): Promise<Result<KeyDescription>> {
  const described = inspectKey(pem);
  if (!described.ok) return described;
  const {domain, selector} = name;
  const message = messageFrom(domain);
  const refused = (why: string): Result<never> =>
    fail(
      problem(
        'key.self-test',
        `The key and its record do not fit: ${visible(why)}.`,
        'Make a new key; where this one was imported, check its file.',
      ),
    );
  try {
    const field = signMessageSync(message, {domain, selector, key: createPrivateKey(pem)});
    const owner = keyRecordName(selector, domain);
    const verdicts = await verifyMessage(Buffer.concat([Buffer.from(`${field}\r\n`, 'latin1'), message]), {
      lookup: async asked =>
        asked === owner ? {status: 'found', records: [recordValue]} : {status: 'absent'},
      now: 0,
    });
    const [verdict] = verdicts;
    if (verdicts.length !== 1 || verdict === undefined) return refused('there is no single signature');
    return verdict.result === 'pass' ? described : refused(verdict.reason?.message ?? verdict.result);
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

// Names of RFC 2606: the test says something about the key, not about a domain.
function exampleName(): SelfTestName {
  const [domain, selector] = [parseDomain('example.org'), parseSelector('self-test')];
  if (!domain.ok || !selector.ok) throw new TypeError('the names of the self-test are wrong');
  return {domain: domain.value, selector: selector.value};
}

const messageFrom = (domain: DomainName): Buffer =>
  Buffer.from(
    [
      `From: waxseal <waxseal@${domain}>`,
      `To: waxseal <waxseal@${domain}>`,
      'Subject: self-test',
      'Date: Thu, 01 Jan 1970 00:00:00 +0000',
      `Message-ID: <self-test@${domain}>`,
      '',
      'The key signs.',
      '',
    ].join('\r\n'),
  );
