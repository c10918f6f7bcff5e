import {describe, expect, it} from 'vitest';
import type {SocketEndpoint} from '../../src/domain/endpoint.ts';
import type {SignerAsked} from '../../src/host/index.ts';
import {LOCALHOST} from '../../src/host/index.ts';
import {agreement, type ExplainRequest, explainAll, triedCheck} from '../../src/jobs/explain.ts';
import {createClock} from '../../src/system/real/clock.ts';
import {createRandom} from '../../src/system/real/random.ts';
import {createSockets} from '../../src/system/real/sockets.ts';
import {entrance, line, macros, picture, row, signer, submission} from '../host/pictures.ts';
import {serve} from '../milter/serving.ts';
import {scratchHost} from '../proof/scratch.ts';

const request = (part: Partial<ExplainRequest> = {}): ExplainRequest => ({
  ...{
    from: 'alice@example.com',
    recipients: [],
    entrance: undefined,
    client: undefined,
    authenticated: false,
  },
  ...part,
});

const told = (part: Partial<ExplainRequest> = {}): readonly string[] => {
  const all = explainAll(picture(), request(part));
  return all.ok
    ? all.value.map(
        ({entrance, question, answer}) => `${entrance.id} ${question.client.address} ${answer.outcome}`,
      )
    : [all.problem.hint];
};

const remote = {name: '[192.0.2.7]', address: '192.0.2.7'};

describe('explainAll', () => {
  it.each([
    [{}, ['local 127.0.0.1 signed', 'smtp/inet 127.0.0.1 signed', 'submission/inet 198.51.100.77 signed']],
    [{client: remote}, ['smtp/inet 192.0.2.7 unsigned']],
    [{client: remote, authenticated: true}, ['submission/inet 192.0.2.7 signed']],
    [{authenticated: true}, ['submission/inet 198.51.100.77 signed']],
    [{entrance: 'submission'}, ['submission/inet 127.0.0.1 refused']],
    [{entrance: 'submission/inet', authenticated: true}, ['submission/inet 198.51.100.77 signed']],
    [{entrance: 'local'}, ['local 127.0.0.1 signed']],
    [{entrance: 'smtp', client: remote}, ['smtp/inet 192.0.2.7 unsigned']],
    [{entrance: 'fax'}, ['Use one of: smtp/inet, local, submission/inet.']],
    [{from: 'a@example.net', entrance: 'local'}, ['local 127.0.0.1 unsigned']],
  ] as const)('%j: %j', (part, expected) => {
    expect(told(part as Partial<ExplainRequest>)).toEqual(expected);
  });
});

/** The signer is told of the method and of the name of a login. */
const LOGIN_MACROS = macros(['{auth_type}', undefined], ['{auth_authen}', undefined]);

const submissionTo = (endpoint: SocketEndpoint) =>
  submission({
    macros: LOGIN_MACROS,
    milters: [{text: 'running', endpoint, whenDown: 'unsigned'}],
  });

describe('what a signer is told', () => {
  const askedOf = (part: Partial<ExplainRequest>) => {
    const asked = request({entrance: 'submission', authenticated: true, ...part});
    const all = explainAll(picture({entrances: [submission({macros: LOGIN_MACROS})]}), asked);
    if (!all.ok) throw new TypeError(all.problem.message);
    const [first] = all.value.flatMap(({answer}) => answer.asked);
    return [first?.macros.get('{auth_authen}'), first?.envelope];
  };

  it.each([
    [{}, ['alice@example.com', undefined]],
    [{login: 'alice', envelope: 'bounces@example.org'}, ['alice', 'bounces@example.org']],
    [{envelope: ''}, ['alice@example.com', '']],
  ])('%j: login and envelope %j', (part, expected) => {
    expect(askedOf(part)).toEqual(expected);
  });
});

it('gives a bounce no sender', () => {
  const bounce = entrance({id: 'bounce', kind: 'bounce', listensOn: ''});
  const all = explainAll(
    picture({entrances: [bounce]}),
    request({entrance: 'bounce', envelope: 'b@example.org'}),
  );
  if (!all.ok) throw new TypeError(all.problem.message);
  expect(all.value.flatMap(({answer}) => answer.asked).map(({envelope}) => envelope)).toEqual(['']);
});

describe('agreement', () => {
  it('asks the running signer about the same login and envelope', async () => {
    let seen: readonly (string | undefined)[] = [];
    const running = await serve((_, {from, macros: sent}) => {
      seen = [from, sent['{auth_authen}']];
      return {verdict: 'continue'};
    });
    const endpoints = [{endpoint: running.endpoint, source: line(3)}];
    const entrances = [submissionTo(running.endpoint)];
    const host = picture({entrances, signers: [signer([row('*@example.com')], {endpoints})]});
    const all = explainAll(
      host,
      request({entrance: 'submission', authenticated: true, login: 'alice', envelope: 'b@example.org'}),
    );
    if (!all.ok) throw new TypeError(all.problem.message);
    const scratch = scratchHost({});
    scratch.remove();
    const ports = {...scratch.ports, sockets: createSockets(), clock: createClock(), random: createRandom()};
    await agreement(ports, all.value, undefined, new AbortController().signal);
    await running.stop();
    expect(seen).toEqual(['<b@example.org>', 'alice']);
  });

  it('never asks the running signer about a message that could harm it', async () => {
    const broken = {...row('*@foo.example'), keyPath: undefined};
    const host = picture({signers: [signer([broken])]});
    const all = explainAll(host, request({from: 'bob@foo.example', entrance: 'local', client: LOCALHOST}));
    if (!all.ok) throw new TypeError(all.problem.message);
    const never = () => {
      throw new TypeError('it was asked');
    };
    const scratch = scratchHost({});
    scratch.remove();
    const ports = {
      ...scratch.ports,
      sockets: {connect: never},
    };
    expect(await agreement(ports, all.value, undefined, new AbortController().signal)).toMatchObject([
      {id: 'explain.agreed', status: 'skip'},
    ]);
  });
});

describe('triedCheck', () => {
  const of = (from: string, rows = [row('*@example.com')]): SignerAsked => {
    const all = explainAll(picture({signers: [signer(rows)]}), request({from, entrance: 'local'}));
    const [asked] = all.ok ? (all.value[0]?.answer.asked ?? []) : [];
    if (asked === undefined) throw new TypeError('nobody was asked');
    return asked;
  };
  const by = [{domain: 'example.com', selector: 's1', algorithm: 'rsa-sha256'}];
  const noKey = [{...row('*@foo.example'), keyPath: undefined}];

  it.each([
    ['signs', of('a@example.com'), {state: 'signed', by}],
    ['leaves it', of('a@example.net'), {state: 'unsigned'}],
    ['stops it', of('a@foo.example', noKey), {state: 'broken', why: '451'}],
  ] as const)('agrees where the temporary signer %s as expected', (_, asked, mark) => {
    expect(triedCheck(asked, mark)).toMatchObject({id: 'explain.tried', status: 'pass'});
  });

  it.each([
    ['d=example.com s=s1', 'not signed', of('a@example.com'), {state: 'unsigned'}],
    ['d=example.com s=s1', 'no answer (451)', of('a@example.com'), {state: 'broken', why: '451'}],
    ['not signed', 'd=example.com s=s1', of('a@example.net'), {state: 'signed', by}],
    ['refused', 'not signed', of('a@foo.example', noKey), {state: 'unsigned'}],
  ] as const)('reports a bug where %s is expected and it says %s', (expected, said, asked, mark) => {
    const found = triedCheck(asked, mark);
    expect(found).toMatchObject({status: 'fail', fix: expect.stringContaining('bug in waxseal')});
    expect(found.cause).toBe(
      `waxseal's reading of this host and the signer's answer differ: waxseal expects ${expected}, a temporary Signer with the same configuration says ${said}.`,
    );
  });
});
