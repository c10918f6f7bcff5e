import {describe, expect, it} from 'vitest';
import {LOCALHOST} from '../../src/host/index.ts';
import {agreement, type ExplainRequest, explainAll} from '../../src/jobs/explain.ts';
import {picture, row, signer} from '../host/pictures.ts';

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

describe('agreement', () => {
  it('never asks the running signer about a message that could harm it', async () => {
    const broken = {...row('*@foo.example'), keyPath: undefined};
    const host = picture({signers: [signer([broken])]});
    const all = explainAll(host, request({from: 'bob@foo.example', entrance: 'local', client: LOCALHOST}));
    if (!all.ok) throw new TypeError(all.problem.message);
    const never = () => {
      throw new TypeError('it was asked');
    };
    const ports = {
      sockets: {connect: never},
      clock: {now: () => new Date(), sleep: never},
      random: {bytes: never},
    };
    expect(await agreement(ports, all.value, new AbortController().signal)).toMatchObject([
      {id: 'explain.agreed', status: 'skip'},
    ]);
  });
});
