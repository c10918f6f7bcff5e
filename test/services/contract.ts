/**
 * What every signer of the registry keeps to, with every mail server of it: run over all host fixtures that have both. A
 * new signer brings fixtures and passes this; it needs no test of its own for what stands here.
 */
import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import type {DomainSelector} from '../../src/domain/names.ts';
import {lookAtHost} from '../../src/services/look.ts';
import type {Mta} from '../../src/services/mta.ts';
import {readConfiguration} from '../../src/services/read-snapshot.ts';
import type {Signer, SigningAnswer} from '../../src/services/signer.ts';
import {type HostChange, planChange} from '../../src/services/signing.ts';
import {
  carryOut,
  type FakeHost,
  fixtureHost,
  fixtureNames,
  type Manifest,
  sha256,
} from '../support/fake-host.ts';
import {apply, rewrite, WRITTEN} from './there-and-back.ts';
import {domain, planOn, selector, value, wantedOn} from './wanted.ts';

type Fixture = FakeHost & {readonly manifest: Manifest};
type Store = 'files' | 'opendkim.conf' | 'none';

const OURS = domain('example.com');
const OTHER = domain('example.info');

/** Runs the contract for one pair. Fixtures on which planning is refused or blocked say nothing about it. */
export function signerContract(signer: Signer, mta: Mta): void {
  const names = fixtureNames().filter(name => {
    const {refused, blocked = []} = fixtureHost(name).manifest;
    return refused === undefined && blocked.length === 0;
  });

  it('has hosts of every way to keep rows', async () => {
    const stores = new Set<Store>();
    for (const name of names) stores.add(await storeOn(fixtureHost(name), signer, mta));
    expect([...stores].sort()).toEqual(['files', 'none', 'opendkim.conf']);
  });

  it('has hosts that sign for others before', async () => {
    let signed = 0;
    for (const name of names) {
      const host = fixtureHost(name);
      await giveKeys(host);
      const told = [...(await answers(signer, host)).values()];
      signed += told.filter(answer => answer.startsWith('signed')).length;
    }
    expect(signed).toBeGreaterThan(20);
  });

  describe.each(names)('%s', name => {
    it('is found the same twice', async () => {
      const host = fixtureHost(name);
      const facts = await lookAtHost(host);
      expect([facts.signer?.kind, facts.mta?.kind]).toEqual([signer.kind, mta.kind]);
      expect(await lookAtHost(host)).toEqual(facts);
    });

    it('needs nothing more once a plan is carried out, and has the very texts that were tried', async () => {
      const host = fixtureHost(name);
      const {trial, steps} = await setUp(host);
      await carryOut(host, steps);
      for (const file of trial.proven()) {
        const {content = ''} = host.files.nodes.get(file.path) as {content?: Uint8Array | string};
        expect([file.path, sha256(content)]).toEqual([file.path, file.sha256]);
      }
      expect((await setUp(host)).steps).toEqual([]);
      const facts = await lookAtHost(host);
      const mine = facts.signer?.keys.filter(key => key.domain === OURS && key.selector === '202611');
      expect(mine).toMatchObject([{used: true}]);
    });

    it.each(Object.entries(WRITTEN))(
      '%s: set-up, rotation, end and undo give every octet back',
      async (_, how) => {
        const host = fixtureHost(name);
        rewrite(host, (await setUp(fixtureHost(name))).steps, how);
        const undos: (() => Promise<void>)[] = [];
        undos.push(await apply(host, await setUp(host)));
        undos.push(await apply(host, await setUp(host, '202612', '202611')));
        undos.push(await apply(host, await change(host, {stop: [OURS]})));
        expect((await lookAtHost(host)).signer?.signedDomains).not.toContain(OURS);
        for (const undo of undos.toReversed()) await undo();
      },
    );

    it('signs for everybody else as before, and as its remarks say', async () => {
      const host = fixtureHost(name);
      await giveKeys(host);
      const before = await answers(signer, host);
      const planned = await setUp(host);
      await carryOut(host, planned.steps);
      await giveKeys(host);
      const after = await answers(signer, host, [...before.keys()]);
      for (const [from, answer] of before) {
        if (answer.startsWith('signed')) expect([from, after.get(from)]).toEqual([from, answer]);
      }
      const kept = planned.remarks
        .filter(({message}) => /keeps (?:them|it)\b/.test(message))
        .flatMap(({message}) => message.match(/[\w.+-]+@[\w.-]+\w/g) ?? []);
      for (const [from, answer] of await answers(signer, host, kept)) {
        expect([from, answer]).not.toEqual([from, expect.stringContaining('202611')]);
      }
      const own = await answers(signer, host, [`postmaster@${OURS}`]);
      // Clients of a list that waxseal cannot read may be anybody.
      expect(own.get(`postmaster@${OURS}`)).toMatch(/\bexample\.com 202611|^unknown/);
    });

    it('lets the keys of others be when one is disposed of', async () => {
      const host = fixtureHost(name);
      await carryOut(host, (await setUp(host)).steps);
      const others = wantedOn(host, [OTHER], host.manifest.wanted ?? {}, '202701');
      await carryOut(host, value((await planOn(host, others)).change).steps);
      const gone: DomainSelector = {domain: OURS, selector: selector('202611')};
      // A row refers to it yet: nothing is forgotten.
      expect((await change(host, {forget: [gone]})).steps).toEqual([]);
      const before = othersOf(await lookAtHost(host));
      const ended = await change(host, {stop: [OURS], forget: [gone]});
      expect(ended.place).toEqual([]);
      await carryOut(host, ended.steps);
      expect(othersOf(await lookAtHost(host))).toEqual(before);
      expect(before).toContain(`${OTHER} 202701`);
    });
  });
}

const othersOf = ({signer}: Awaited<ReturnType<typeof lookAtHost>>): readonly string[] =>
  (signer?.keys ?? []).filter(key => key.domain !== OURS).map(key => `${key.domain} ${key.selector}`);

const RSA = generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
});

/** Every key that a row names is one that the signer can use: fixtures have none, or one of another algorithm. */
async function giveKeys(host: Fixture): Promise<void> {
  const {signer} = await lookAtHost(host);
  const user = await host.users.user(signer?.user ?? '');
  for (const {path} of signer?.keys ?? []) {
    if (path.startsWith('/') && !path.includes('%'))
      host.files.put(path, String(RSA), {mode: 0o600, uid: user?.uid ?? 0, gid: user?.gid ?? 0});
  }
}

async function storeOn(host: Fixture, signer: Signer, mta: Mta): Promise<Store> {
  const facts = await lookAtHost(host);
  if (facts.signer?.kind !== signer.kind || facts.mta?.kind !== mta.kind) return 'none';
  if (facts.signer.keys.length === 0) return 'none';
  return facts.signer.keySources.length > 1 ? 'files' : 'opendkim.conf';
}

/** Plans signing for the domain; with `replaces`, that its row moves to the new key. */
async function setUp(host: Fixture, chosen = '202611', replaces?: string) {
  const settings = {...host.manifest.wanted, ...(replaces === undefined ? {} : {subdomains: false})};
  const wanted = wantedOn(host, [OURS], settings, chosen);
  const sign = wanted.sign.map(each =>
    replaces === undefined ? each : {...each, replaces: selector(replaces)},
  );
  return value((await planOn(host, {...wanted, sign})).change);
}

async function change(host: Fixture, intent: Parameters<typeof planChange>[2]): Promise<HostChange> {
  const facts = await lookAtHost(host);
  return value(planChange(facts, await readConfiguration(host, facts), intent));
}

/** By which keys mail is signed that the host itself sends: of `senders`, or of one for each row of another domain. */
async function answers(
  signer: Signer,
  host: Fixture,
  senders?: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const views = await signer.views(host, await lookAtHost(host));
  const patterns = views.flatMap(view => view.rows.map(row => row.pattern));
  const asked = senders ?? patterns.flatMap(pattern => senderOf(pattern) ?? []);
  return new Map(
    asked.map(from => [from, views.map(view => told(view.wouldSign(questionOf(from)))).join('; ')]),
  );
}

/** An address that a pattern is for; none for one that may be for the domain of the plan, or for many. */
function senderOf(pattern: string): string | undefined {
  const address = /^(?:(\*|[\w.+-]+)@)?((?:\*\.|\.)?[\w-]+(?:\.[\w-]+)+)$/.exec(pattern.toLowerCase());
  const [, local = 'x', host = ''] = address ?? [];
  const name = host.replace(/^\*?\./, 'sub.');
  return address === null || name.endsWith(OURS) ? undefined : `${local === '*' ? 'x' : local}@${name}`;
}

const questionOf = (from: string) => ({
  from,
  client: {name: 'localhost', address: '127.0.0.1'},
  macros: new Map([['i', 'CONTRACT']]),
  recipients: ['somebody@example.net'],
});

const told = ({outcome, by}: SigningAnswer): string =>
  [outcome, ...by.map(each => `${each.domain} ${each.selector}`)].join(' ');
