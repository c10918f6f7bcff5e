/** Pictures by hand: a small mail server and a small signer whose rules can be seen at a glance. */
import {absolute} from '../../src/domain/paths.ts';
import type {Decision, Source} from '../../src/domain/source.ts';
import type {HostPicture} from '../../src/host/picture.ts';
import type {Breaker, Entrance, MilterHop, MilterStage, Pass, SenderRewrite} from '../../src/services/mta.ts';
import type {SignerView, SigningRow} from '../../src/services/signer.ts';

export const MAIN = absolute('/etc/mta/main.conf');
export const line = (number: number, path = MAIN): Source => ({by: 'file', path, line: number});

export const decision = (name: string, value: string, says = `${name} is ${value}.`, at = 1): Decision => ({
  ...{name, value, says},
  source: line(at),
});

export const HOP: MilterHop = {
  text: 'inet:127.0.0.1:8891',
  endpoint: {kind: 'tcp', host: '127.0.0.1', port: 8891},
  whenDown: 'unsigned',
};

const STAGES: readonly MilterStage[] = ['connect', 'helo', 'mail', 'rcpt', 'data', 'eoh', 'eom'];

/** Macros of the step `mail`; the others send none. */
export const macros = (...mail: readonly (readonly [string, string | undefined])[]): Pass['macros'] =>
  Object.fromEntries(
    STAGES.map(stage => [stage, new Map(stage === 'mail' ? mail : [])]),
  ) as unknown as Pass['macros'];

export const pass = (part: Partial<Pass> = {}): Pass => ({
  service: 'smtp/inet',
  chroot: true,
  account: {user: 'postfix', groups: ['postfix']},
  milters: [HOP],
  decidedBy: [decision('milters', HOP.text)],
  byClient: [],
  loginMacros: decision('login macros', ''),
  hasContent: true,
  client: 'remote',
  rewrites: [],
  macros: macros(['{auth_type}', undefined]),
  macrosOnRequest: macros(['{auth_type}', undefined]),
  ...part,
});

export const entrance = (part: Partial<Entrance> = {}): Entrance => ({
  ...{id: 'smtp/inet', instance: '', kind: 'smtp', listensOn: '25', source: line(10)},
  ...{login: 'no', passes: [pass()], isPassUncertain: false, breakers: []},
  ...part,
});

export const local = (part: Partial<Pass> = {}): Entrance =>
  entrance({
    ...{id: 'local', kind: 'local', listensOn: ''},
    passes: [pass({service: 'cleanup/unix', client: 'localhost', macros: macros(), ...part})],
  });

export const submission = (part: Partial<Pass> = {}): Entrance =>
  entrance({
    ...{id: 'submission/inet', kind: 'submission', listensOn: '587', login: 'must'},
    passes: [pass({service: 'submission/inet', ...part})],
  });

export const breaker = (part: Partial<Breaker> = {}): Breaker => ({
  ...{decision: decision('generic', 'hash:/etc/x'), where: 'delivery', changes: 'header', isCertain: true},
  ...part,
});

export const rewriteTo = (to: string | undefined | 'unknown'): SenderRewrite => ({
  decision: decision('canonical', 'hash:/etc/canonical'),
  rewrite: () => to,
});

export const row = (pattern: string, domain = pattern.replace('*@', ''), selector = 's1'): SigningRow => ({
  ...{pattern, domain, selector, source: line(1, absolute('/etc/signer/table'))},
  keyPath: absolute(`/etc/keys/${domain}.${selector}`),
});

/** Signs for clients in `internal` and for those that log in; rows are `*@domain` or a whole address, the first one wins. */
export function signer(
  rows: readonly SigningRow[],
  part: Partial<SignerView> & {readonly internal?: (address: string) => boolean} = {},
): SignerView {
  const {internal = address => address === '127.0.0.1', ...rest} = part;
  return {
    ...{kind: 'test', program: 'Signer', unit: 'signer.service', isRunning: true, rows, unread: [], idle: []},
    endpoints: [{endpoint: {kind: 'tcp', host: 'localhost', port: 8891}, source: line(3)}],
    wouldSign({from, client, macros: sent}) {
      const isOwn = internal(client.address) || (sent.get('{auth_type}') ?? '') !== '';
      const who = decision(
        'InternalHosts',
        client.address,
        `${client.address} is ${isOwn ? '' : 'not '}own.`,
      );
      if (!isOwn) return {outcome: 'unsigned', by: [], decisions: [who]};
      const found = rows.find(({pattern}) => pattern === from || pattern === from.replace(/^.*@/, '*@'));
      if (found === undefined) {
        const none = decision('table', from, `No row matches ${from}.`);
        return {outcome: 'unsigned', by: [], decisions: [who, none]};
      }
      const {domain = from.replace(/^.*@/, ''), selector, keyPath} = found;
      const match: Decision = {
        name: found.pattern,
        value: selector,
        source: found.source,
        says: 'It matches.',
      };
      if (keyPath === undefined) return {outcome: 'refused', by: [], decisions: [who, match]};
      return {
        outcome: 'signed',
        by: [{domain, selector, keyPath, row: found}],
        decisions: [who, match],
      };
    },
    ...rest,
  };
}

export const picture = (part: Partial<HostPicture> = {}): HostPicture => ({
  seenAt: new Date('2026-11-29T14:46:00Z'),
  entrances: [entrance(), local(), submission()],
  signers: [signer([row('*@example.com')])],
  keys: new Map(),
  reach: new Map(),
  shown: [],
  records: new Map(),
  ...part,
});
