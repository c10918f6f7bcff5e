import {generateKeyPairSync} from 'node:crypto';
import {afterEach, describe, expect, test} from 'vitest';
import type {KeyLookup} from '../../src/dkim/index.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {MilterHandler} from '../../src/milter/server.ts';
import {toFinding} from '../../src/proof/fault.ts';
import {checkFrom} from '../../src/proof/finding.ts';
import {type MilterTarget, type ProbePorts, probeSigning} from '../../src/proof/milter-probe.ts';
import type {Check} from '../../src/proof/proof.ts';
import {hintsFor} from '../../src/services/registry.ts';
import {createClock} from '../../src/system/real/clock.ts';
import {createRandom} from '../../src/system/real/random.ts';
import {createSockets} from '../../src/system/real/sockets.ts';
import {type Listening, serve, serveRaw} from '../milter/serving.ts';
import {domainOf, makeKey, publishing, selectorOf} from '../proof/keys.ts';
import {openDkimManner, rspamdManner} from '../support/manners.ts';
import {signingMilter} from '../support/signing-milter.ts';

const proveMilter = async (ports: ProbePorts, target: MilterTarget) =>
  checkFrom('live.milter', 'It signs', toFinding(await probeSigning(ports, target), hintsFor(), target));

const ports = {sockets: createSockets(), clock: createClock(), random: createRandom()};
const domain = domainOf('example.com');
const selector = selectorOf('202611');
const {key, record} = makeKey();
const signer = {domain, selector, key};
const now = () => 1_795_230_486;
const lookup = publishing(domain, selector, record);

const open: Listening[] = [];
afterEach(async () => {
  for (const listening of open.splice(0)) await listening.stop();
});

async function prove(
  handler: MilterHandler,
  options: {lookup?: KeyLookup; manner?: typeof openDkimManner} = {},
) {
  const listening = await serve(handler, options.manner);
  open.push(listening);
  return proveMilter(ports, {
    endpoint: listening.endpoint,
    domain,
    selector,
    lookup: options.lookup ?? lookup,
  });
}

const signing = (keys: readonly (typeof signer)[]): MilterHandler =>
  signingMilter({keysFor: from => (from === domain ? keys : []), now});

describe('a signer that signs', () => {
  test.each([
    ['as OpenDKIM', openDkimManner],
    ['as rspamd', rspamdManner],
  ])('%s', async (_, manner) => {
    const check = await prove(signing([signer]), {manner});
    expect(check).toMatchObject({id: 'live.milter', status: 'pass', cause: '', fix: ''});
    expect(check.evidence).toBe(
      'one signature, d=example.com s=202611, rsa-sha256 with 2048 bits, verified against DNS',
    );
  });

  test.each([
    {header: 'simple', body: 'simple'},
    {header: 'relaxed', body: 'relaxed'},
  ] as const)('with every canonicalization, blanks kept: %o', async canonicalization => {
    const handler = signingMilter({keysFor: () => [signer], canonicalization, now});
    for (const manner of [openDkimManner, rspamdManner]) {
      expect(await prove(handler, {manner})).toMatchObject({status: 'pass'});
    }
  });

  test('a test-mode record is told', async () => {
    const testing = publishing(domain, selector, record.replace('k=rsa;', 'k=rsa; t=y;'));
    expect((await prove(signing([signer]), {lookup: testing})).evidence).toContain('t=y');
  });
});

describe('a signer that does not', () => {
  const expectFailure = (check: Check, words: {evidence?: RegExp; cause: RegExp; fix: RegExp}): void => {
    expect(check.status).toBe('fail');
    expect(check.evidence).toMatch(words.evidence ?? /./);
    expect(check.cause).toMatch(words.cause);
    expect(check.fix).toMatch(words.fix);
  };

  test('no socket', async () => {
    const endpoint = {kind: 'unix', path: absolute('/nonexistent/milter.sock')} as const;
    const check = await proveMilter(ports, {endpoint, domain, selector, lookup});
    expectFailure(check, {evidence: /ENOENT/, cause: /no socket at this path/, fix: /smtpd_milters/});
  });

  test('a socket that may not be used', async () => {
    const denied = Object.assign(new Error('connect EACCES'), {code: 'EACCES'});
    const sockets = {connect: () => Promise.reject(denied)};
    const endpoint = {kind: 'unix', path: absolute('/x/milter.sock')} as const;
    const check = await proveMilter({...ports, sockets}, {endpoint, domain, selector, lookup});
    expectFailure(check, {cause: /may not be used/, fix: /opendkim:postfix 2750/});
  });

  test('nobody listens', async () => {
    const listening = await serve(signing([signer]), undefined, 'tcp');
    await listening.stop();
    const check = await proveMilter(ports, {endpoint: listening.endpoint, domain, selector, lookup});
    expectFailure(check, {
      evidence: /^inet:127\.0\.0\.1:\d+: .*ECONNREFUSED/,
      cause: /Nobody listens/,
      fix: /restart/,
    });
  });

  test('not a milter', async () => {
    const listening = await serveRaw(socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'tcp');
    open.push(listening);
    const check = await proveMilter(ports, {endpoint: listening.endpoint, domain, selector, lookup});
    expectFailure(check, {evidence: /negotiate/, cause: /does not speak/, fix: /ss -lxtp/});
  });

  test('it dies while it is asked', async () => {
    const check = await prove(step => ({verdict: step === 'end-of-headers' ? 'hang-up' : 'continue'}));
    expectFailure(check, {evidence: /end-of-headers/, cause: /crashed/, fix: /journalctl/});
  });

  test.each(['end-of-headers', 'end-of-message'])('tempfail at %s: the key', async at => {
    const check = await prove(step => ({verdict: step === at ? 'tempfail' : 'continue'}));
    expectFailure(check, {
      evidence: new RegExp(`tempfail at ${at}`),
      cause: /cannot use the key/,
      fix: /0600/,
    });
  });

  test('451 by text', async () => {
    const check = await prove(() => ({verdict: {code: 451, text: '4.7.0 resource unavailable'}}));
    expectFailure(check, {evidence: /451 4\.7\.0 resource/, cause: /cannot use the key/, fix: /0600/});
  });

  test('550: the key is too small', async () => {
    const check = await prove(() => ({verdict: {code: 550, text: '5.7.0 DKIM signing error'}}));
    expectFailure(check, {cause: /too small/, fix: /journalctl/});
  });

  test('discard', async () => {
    expectFailure(await prove(() => ({verdict: 'discard'})), {cause: /drops/, fix: /journalctl/});
  });

  test('accepted without a signature, early or late', async () => {
    const late = await prove(signing([]));
    expectFailure(late, {cause: /signing table.*InternalHosts/, fix: /\*@example\.com 202611\._domainkey/});
    const early = await prove(() => ({verdict: 'accept'}));
    expectFailure(early, {evidence: /already at connect/, cause: /InternalHosts/, fix: /127\.0\.0\.1/});
  });

  test('this host is not internal', async () => {
    const outside = signingMilter({keysFor: () => [signer], isInternal: () => false, now});
    expectFailure(await prove(outside), {cause: /127\.0\.0\.1 is not among/, fix: /InternalHosts/});
  });

  test('another selector', async () => {
    const other = {...signer, selector: selectorOf('old')};
    expectFailure(await prove(signing([other])), {
      evidence: /s=old instead of s=202611/,
      cause: /another key/,
      fix: /restart/,
    });
  });

  test('another domain', async () => {
    const other = {...signer, domain: domainOf('example.net')};
    expectFailure(await prove(signing([other])), {
      evidence: /d=example\.net/,
      cause: /Another row/,
      fix: /signing table/,
    });
  });

  test('two signatures', async () => {
    const check = await prove(signing([signer, {...signer, selector: selectorOf('old')}]));
    expectFailure(check, {evidence: /2 signatures/, cause: /More than one signer/, fix: /no_milters/});
  });

  test('another key than the published one', async () => {
    const other = generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey;
    const check = await prove(signing([{...signer, key: other}]));
    expectFailure(check, {evidence: /fail/, cause: /not the one of the record/, fix: /testkey/});
  });

  test('a signature of something else', async () => {
    const handler = signing([signer]);
    const check = await prove(async (step, session) =>
      handler(step, {...session, body: Buffer.from('other\r\n')}),
    );
    expectFailure(check, {cause: /body was changed/, fix: /last milter/});
  });

  test('a signature that is none', async () => {
    const check = await prove(step =>
      step === 'end-of-message'
        ? {
            verdict: 'accept',
            insert: [{name: 'DKIM-Signature', value: 'v=1; d=example.com; s=202611; b=x\x1b[2J'}],
          }
        : {verdict: 'continue'},
    );
    expectFailure(check, {cause: /not valid/, fix: /journalctl/});
    expect(check.evidence).not.toContain('\x1b');
  });

  test('no record, a revoked one, a DNS that does not answer', async () => {
    const absent: KeyLookup = () => Promise.resolve({status: 'absent'});
    expectFailure(await prove(signing([signer]), {lookup: absent}), {
      cause: /no record at 202611\._domainkey/,
      fix: /waxseal record/,
    });
    const revoked = publishing(domain, selector, 'v=DKIM1; p=');
    expectFailure(await prove(signing([signer]), {lookup: revoked}), {
      cause: /cannot be used/,
      fix: /waxseal record/,
    });
    const silent: KeyLookup = () => Promise.resolve({status: 'temporary', reason: 'timeout'});
    expectFailure(await prove(signing([signer]), {lookup: silent}), {
      cause: /did not answer/,
      fix: /dig TXT/,
    });
  });
});

test('the probe is an internal client that is not logged in, and its token is in the queue id', async () => {
  const seen: string[] = [];
  const handler = signing([signer]);
  await prove((step, session) => {
    if (step === 'end-of-message') {
      seen.push(session.client.address, session.macros['i'] ?? '', session.from, session.recipients.join());
    }
    return handler(step, session);
  });
  expect(seen[0]).toBe('127.0.0.1');
  expect(seen[1]).toMatch(/^WAXSEAL-[0-9A-F]{16}$/);
  expect(seen[2]).toBe('<postmaster@example.com>');
  expect(seen[3]).toBe(`<${seen[1]?.toLowerCase()}@[255.255.255.255]>`);
});
