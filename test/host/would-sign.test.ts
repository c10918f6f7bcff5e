import {describe, expect, it} from 'vitest';
import {type HostPicture, reachKey} from '../../src/host/picture.ts';
import {LOCALHOST, type MailAnswer, type MailQuestion, wouldSign} from '../../src/host/would-sign.ts';
import {
  breaker,
  decision,
  entrance,
  HOP,
  local,
  macros,
  pass,
  picture,
  rewriteTo,
  row,
  signer,
  submission,
} from './pictures.ts';

const STRANGER = {name: 'c.ext', address: '203.0.113.5'};

/** What becomes of mail at the entrance of an id. */
function at(id: string, host: HostPicture, question: Partial<MailQuestion> = {}): MailAnswer {
  const found = host.entrances.find(each => each.id === id);
  if (found === undefined) throw new TypeError(`no entrance ${id}`);
  const whole = {
    from: 'alice@example.com',
    client: LOCALHOST,
    authenticated: false,
    recipients: [],
    ...question,
  };
  return wouldSign(host, found, whole);
}

const told = ({outcome, signatures, survives, because}: MailAnswer): string =>
  [outcome, signatures.length, survives, because?.decision.name ?? '-'].join(' ');

describe('wouldSign', () => {
  it('walks from the entrance to the row, each decision with its source', () => {
    const answer = at('local', picture());
    expect(told(answer)).toBe('signed 1 yes -');
    expect(answer.signatures[0]).toMatchObject({domain: 'example.com', selector: 's1', program: 'Signer'});
    expect(answer.steps.map(({kind, by, decision: {name}}) => `${kind} ${by} ${name}`)).toEqual([
      'passes cleanup/unix milters',
      'passes Signer InternalHosts',
      'signs Signer *@example.com',
    ]);
  });

  it.each([
    ['local', {}, 'signed 1 yes -'],
    ['smtp/inet', {}, 'signed 1 yes -'],
    ['smtp/inet', {client: STRANGER}, 'unsigned 0 yes InternalHosts'],
    // No login at this port: the answer is about a client that has one all the same.
    ['smtp/inet', {client: STRANGER, authenticated: true}, 'signed 1 yes -'],
    ['submission/inet', {client: STRANGER, authenticated: true}, 'signed 1 yes -'],
    ['submission/inet', {client: STRANGER}, 'refused 0 yes submission/inet'],
    ['local', {from: 'alice@example.net'}, 'unsigned 0 yes table'],
    ['local', {from: 'Alice@EXAMPLE.com'}, 'signed 1 yes -'],
  ] as const)('at %s, %j: %s', (id, question, expected) => {
    expect(told(at(id, picture(), question))).toBe(expected);
  });

  it.each([
    ['no milter at all', pass({milters: [], decidedBy: [decision('milters', '')]}), 'unsigned 0 yes milters'],
    [
      'a word that stops the service',
      pass({milters: {fatal: 'garbage after port'}}),
      'refused 0 yes milters',
    ],
    ['the envelope only', pass({hasContent: false}), 'unsigned 0 yes milters'],
    [
      'another port',
      pass({milters: [{...HOP, endpoint: {kind: 'tcp', host: '127.0.0.1', port: 8899}}]}),
      'unknown 0 yes milters',
    ],
    ['nothing to connect to', pass({milters: [{...HOP, endpoint: undefined}]}), 'unsigned 0 yes milters'],
    [
      '... while mail waits',
      pass({milters: [{...HOP, endpoint: undefined, whenDown: 'delayed'}]}),
      'refused 0 yes milters',
    ],
    ['no macro for the login', pass({macros: macros(['i', undefined])}), 'unsigned 0 yes login macros'],
    // milter_macro_defaults: the whole world is logged in.
    ['a fixed login', pass({macros: macros(['{auth_type}', 'x'])}), 'signed 1 yes -'],
  ])('with %s', (_, each, expected) => {
    const host = picture({entrances: [entrance({login: 'may', passes: [each]})]});
    const client = STRANGER;
    const authenticated = !expected.startsWith('signed');
    expect(told(at('smtp/inet', host, {client, authenticated}))).toBe(expected);
  });

  it.each([
    ['unsigned', 'unsigned 0 yes milters'],
    ['delayed', 'refused 0 yes milters'],
    ['unknown', 'unknown 0 yes milters'],
  ] as const)('knows what becomes of mail while the signer is down: %s', (whenDown, expected) => {
    const entrances = [local({milters: [{...HOP, whenDown}]})];
    const [first] = entrances;
    const down = picture({entrances, signers: [signer([row('*@example.com')], {isRunning: false})]});
    expect(told(at('local', down))).toBe(expected);
    const reach = new Map([
      [reachKey(first?.passes[0] ?? pass(), HOP), {outcome: 'denied', detail: 'Permission denied'} as const],
    ]);
    const denied = at('local', picture({entrances, reach}));
    expect(told(denied)).toBe(expected);
    expect(denied.because?.decision.says).toContain('Permission denied');
  });

  it('counts a second pass, whose client is this host', () => {
    const back = pass({service: '10025/inet', client: 'localhost'});
    const twice = picture({entrances: [entrance({passes: [pass(), back]})]});
    expect(told(at('smtp/inet', twice))).toBe('signed 2 yes -');
    // Forged mail that comes back from the filter gets our signature.
    expect(told(at('smtp/inet', twice, {client: STRANGER}))).toBe('signed 1 yes -');
  });

  it.each([
    [breaker(), 'signed 1 no generic'],
    [breaker({isCertain: false}), 'signed 1 depends generic'],
    [breaker({where: 'filter'}), 'signed 1 no generic'],
  ])('says what breaks the signature: %j', (each, expected) => {
    const passes = [pass(), pass({milters: [], decidedBy: [decision('back', '')]})];
    const host = picture({entrances: [entrance({passes, breakers: [each]})]});
    expect(told(at('smtp/inet', host))).toBe(expected);
  });

  it('does not blame a filter for a signature that is made after it', () => {
    const passes = [pass({hasContent: false}), pass({service: '10025/inet', client: 'localhost'})];
    const host = picture({entrances: [entrance({passes, breakers: [breaker({where: 'filter'})]})]});
    expect(told(at('smtp/inet', host))).toBe('signed 1 yes -');
  });

  it.each([
    [{pass: 0, milter: 1}, 'signed 1 depends generic'],
    [{pass: 0, milter: 0}, 'signed 1 yes -'],
    [{pass: 1, milter: 0}, 'signed 1 depends generic'],
  ])('blames a milter only for what an earlier one has signed: %j', (after, expected) => {
    const later = breaker({where: 'later-milter', isCertain: false, after});
    const host = picture({entrances: [entrance({breakers: [later]})]});
    expect(told(at('smtp/inet', host))).toBe(expected);
  });

  it('tells the rules of rewriting who hands the message in', () => {
    const seen: unknown[] = [];
    const rule = {...rewriteTo(undefined), rewrite: (_: string, by: unknown) => void seen.push(by)};
    const host = picture({entrances: [entrance({passes: [pass({rewrites: [rule]})], login: 'may'})]});
    at('smtp/inet', host, {client: STRANGER, authenticated: true});
    expect(seen).toEqual([{address: STRANGER.address, authenticated: true}]);
  });

  it('asks about the sender as it is rewritten', () => {
    const rewritten = (to: string) =>
      picture({entrances: [entrance({passes: [pass({rewrites: [rewriteTo(to)]})]})]});
    expect(told(at('smtp/inet', rewritten('alice@other.example')))).toBe('unsigned 0 yes table');
    expect(told(at('smtp/inet', rewritten('alice@example.com'), {from: 'alice@www.example.com'}))).toBe(
      'signed 1 yes -',
    );
    expect(told(at('smtp/inet', rewritten('unknown'), {from: 'a@example.net'}))).toBe(
      'unknown 0 yes canonical',
    );
  });

  it('hands the Sender field to the signer as it is rewritten, too', () => {
    const seen: unknown[] = [];
    const asked = signer([row('*@example.com')], {
      wouldSign(question) {
        seen.push(question.from, question.sender);
        return {outcome: 'unsigned', by: [], decisions: [decision('table', '')]};
      },
    });
    const rule = {
      ...rewriteTo(undefined),
      rewrite: (address: string) => address.replace('example.com', 'example.org'),
    };
    const host = picture({entrances: [entrance({passes: [pass({rewrites: [rule]})]})], signers: [asked]});
    const answer = at('smtp/inet', host, {from: 'x@other.test', sender: 'alice@example.com'});
    expect(seen).toEqual(['x@other.test', 'alice@example.org']);
    expect(answer.steps.filter(({decision: {name}}) => name === 'canonical')).toHaveLength(1);
  });

  it('rewrites the sender again at each pass, for the client that it sees', () => {
    const seen: unknown[] = [];
    const completing = (service: string) =>
      pass({
        ...{service, client: service === 'smtp/inet' ? 'remote' : 'localhost'},
        rewrites: [
          {
            decision: decision('origin', 'example.com'),
            rewrite(address, by) {
              seen.push(by);
              return by?.address !== '127.0.0.1' || address.includes('@')
                ? undefined
                : `${address}@Example.com`;
            },
          },
        ],
      });
    const passes = [completing('smtp/inet'), completing('10025/inet'), completing('10027/inet')];
    const host = picture({entrances: [entrance({passes, login: 'may'})]});
    const answer = at('smtp/inet', host, {from: 'alice', client: STRANGER, authenticated: true});
    const here = {address: '127.0.0.1', authenticated: false};
    expect(seen).toEqual([{address: STRANGER.address, authenticated: true}, here, here]);
    expect(answer.signatures.map(({service}) => service)).toEqual(['10025/inet', '10027/inet']);
    expect(answer.asked.map(({from}) => from)).toEqual(['alice', 'alice@example.com', 'alice@example.com']);
    expect(answer.from).toBe('alice@example.com');
    expect(
      answer.steps.map(({kind, by, decision: {name, says}}) => `${kind} ${by} ${name}: ${says}`),
    ).toContainEqual('passes 10025/inet origin: alice becomes alice@Example.com before milters see it.');
    expect(answer.steps.map(({by, decision: {name}}) => `${by} ${name}`).slice(3, 6)).toEqual([
      '10025/inet origin',
      '10025/inet milters',
      'Signer InternalHosts',
    ]);
  });

  it('tells an address apart that signers see in two ways', () => {
    const to = (address: string) => pass({rewrites: [rewriteTo(address)]});
    const passes = [to('a@other.example'), to('a@example.com'), to('b@other.example')];
    const {asked} = at('smtp/inet', picture({entrances: [entrance({passes})]}));
    expect(asked.map(({from, answer}) => `${from} ${answer.outcome}`)).toEqual([
      'a@other.example unsigned',
      'a@example.com signed',
      'b@other.example unsigned',
    ]);
  });

  it.each([
    ['no milters', [], 'signed 1 no canonical'],
    ['a signer that has no key for it', [HOP], 'signed 1 no canonical'],
  ])('knows that another From breaks the signature: %s', (_, milters, expected) => {
    const last = pass({milters, service: '10025/inet', rewrites: [rewriteTo('a@other.example')]});
    const again = breaker({where: 'second-pass', isCertain: false, decision: rewriteTo('').decision});
    const host = picture({entrances: [entrance({passes: [pass(), last], breakers: [again]})]});
    const answer = at('smtp/inet', host);
    expect(told(answer)).toBe(expected);
    expect(answer.steps.filter(({kind}) => kind === 'breaks').map(({decision: {says}}) => says)).toEqual([
      'alice@example.com becomes a@other.example at 10025/inet, after mail was signed.',
    ]);
  });

  it.each([
    ['another Sender', {sender: 'bob'}, {}, 'signed 1 depends origin'],
    [
      'a way back that is only likely',
      {from: 'bob@ours'},
      {isPassUncertain: true},
      'signed 1 depends origin',
    ],
    ['there and back', {from: 'c@ours'}, {}, 'signed 1 yes -'],
    ['the same again, in other letters', {from: 'a@x.example'}, {}, 'signed 1 yes -'],
  ] as const)('knows what a change after the signature does: %s', (name, question, part, expected) => {
    const rules: Readonly<Record<string, string>> = {
      bob: 'bob@example.com',
      'bob@ours': 'bob@example.com',
      'a@x.example': 'A@Example.com',
      'c@ours': 'd@ours',
    };
    const rewrite = (address: string) => (address === 'A@example.com' ? 'A@Example.com' : rules[address]);
    const rule = {decision: decision('origin', 'example.com'), rewrite};
    const back = {...rule, rewrite: (address: string) => (address === 'd@ours' ? 'c@ours' : undefined)};
    const isFirst = name.startsWith('the same');
    const last = pass({milters: [], decidedBy: [decision('back', '')], rewrites: [rule, back]});
    const first = pass({rewrites: isFirst ? [rule] : []});
    const own = signer([row('*@example.com'), row('*@ours')]);
    const host = picture({entrances: [entrance({passes: [first, last], ...part})], signers: [own]});
    expect(told(at('smtp/inet', host, question))).toBe(expected);
  });

  it('needs no table of a pass that no milter sees', () => {
    const last = pass({milters: [], decidedBy: [decision('back', '')], rewrites: [rewriteTo('unknown')]});
    const host = picture({entrances: [entrance({passes: [pass(), last]})]});
    expect(told(at('smtp/inet', host, {from: 'a@example.net'}))).toBe('unsigned 0 yes table');
  });

  it('does not guess the way back of a filter', () => {
    const host = picture({entrances: [entrance({isPassUncertain: true})]});
    expect(told(at('smtp/inet', host))).toBe('signed 1 depends -');
    expect(told(at('smtp/inet', host, {client: STRANGER}))).toBe('unknown 0 yes smtp/inet');
  });

  it('stops at a row without a key', () => {
    const broken = {...row('*@foo.example'), keyPath: undefined};
    const host = picture({signers: [signer([broken])]});
    const answer = at('local', host, {from: 'bob@foo.example'});
    expect(told(answer)).toBe('refused 0 yes *@foo.example');
    expect(answer.because?.decision.source).toMatchObject({path: '/etc/signer/table', line: 1});
  });

  it('knows mail that no milter ever sees', () => {
    const forward = entrance({id: 'forward', kind: 'forward', passes: []});
    expect(told(at('forward', picture({entrances: [forward, submission()]})))).toBe('unsigned 0 yes forward');
  });
});
