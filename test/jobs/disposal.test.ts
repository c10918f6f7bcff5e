/** What is done with the private key of a removed selector, where other keys of the state are the same or lie there, too. */
import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {parseDomain} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import {disposeKeys} from '../../src/jobs/dispose.ts';
import {privateFingerprint} from '../../src/keys/index.ts';
import {type KeyEntry, saveState} from '../../src/rotation/index.ts';
import {keyIn, servers, take} from '../rotation/keys.ts';
import {fixtureHost, planPorts} from '../support/fake-host.ts';

const FOLDER = '/var/lib/waxseal/retired';
const PATH = absolute('/etc/dkimkeys/example.org/old.private');

const pair = generateKeyPairSync('rsa', {
  modulusLength: 1024,
  privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  publicKeyEncoding: {type: 'spki', format: 'der'},
});
const PEM = pair.privateKey;
const VALUE = `v=DKIM1; k=rsa; p=${pair.publicKey.toString('base64')}`;
const PUBLISHED = absolute(`${FOLDER}/${privateFingerprint(Buffer.from(PEM))}.pem`);

/** A key without any file, unless one is named. */
function key(state: KeyEntry['state'], name: string, more: Partial<KeyEntry>, value = VALUE): KeyEntry {
  const {stagedPath: _none, ...entry} = keyIn(state, name);
  return {...entry, record: {...entry.record, value}, ...more};
}

const OLD = key('revoked', 'old', {keyPath: PATH});
const ELSEWHERE = {domain: take(parseDomain('example.net'))};

interface Given {
  readonly old?: KeyEntry;
  readonly others?: readonly KeyEntry[];
  readonly wanted?: 'published' | 'shredded' | 'kept';
  readonly content?: string | undefined;
}

async function dispose({old = OLD, others = [], wanted = 'published', content = PEM}: Given) {
  const host = fixtureHost('debian-13');
  host.files.directory('/var/lib');
  if (content !== '') host.files.put(PATH, content, {mode: 0o600, uid: 104, gid: 110});
  await saveState(host.files, {keys: [old, ...others]});
  const [end] = await disposeKeys(
    planPorts(host),
    [{key: old, evidence: {kind: 'record-gone', servers, key: wanted}, text: 'As wanted.'}],
    FOLDER,
    () => undefined,
    new AbortController().signal,
  );
  if (end === undefined || 'refused' in end) throw new TypeError('refused');
  return {
    end: end.evidence.key,
    said: end.said,
    isThere: host.files.nodes.has(PATH),
    isPublished: host.files.nodes.has(PUBLISHED),
  };
}

describe('the private key of a removed selector', () => {
  it.each(['published', 'shredded', 'kept'] as const)('is %s where that is wanted', async wanted => {
    expect(await dispose({wanted})).toEqual({
      ...{end: wanted, said: 'As wanted.'},
      ...{isThere: wanted === 'kept', isPublished: wanted === 'published'},
    });
  });

  it.each([
    ['of another selector', key('pending', 'other', {})],
    ['of another domain', key('active', 'old', ELSEWHERE)],
    ['that is revoked itself', key('revoked', 'other', {})],
  ])('is never published while it is the key %s', async (_whose, other) => {
    expect(await dispose({others: [other]})).toMatchObject({
      ...{end: 'shredded', isThere: false, isPublished: false},
      said: expect.stringContaining('not published, since the key of another record is the same'),
    });
  });

  it('is published where the other record of it is removed', async () => {
    const other = key('removed', 'other', {keyPath: PATH});
    expect(await dispose({others: [other]})).toMatchObject({end: 'published', isThere: false});
  });

  it.each(['keyPath', 'stagedPath'] as const)(
    'stays where its file is the %s of another key, too',
    async field => {
      const other = key('active', 'old', {...ELSEWHERE, [field]: PATH}, 'v=DKIM1; k=rsa; p=AAAA');
      expect(await dispose({others: [other]})).toMatchObject({
        ...{end: 'kept', isThere: true, isPublished: false},
        said: expect.stringContaining('is the key file of another domain, too'),
      });
    },
  );

  it('stays where nobody can read the record that it should be of', async () => {
    expect(await dispose({old: {...OLD, record: {...OLD.record, value: 'v=DKIM1; p='}}})).toMatchObject({
      ...{end: 'kept', isThere: true, isPublished: false},
      said: expect.stringContaining('the record cannot be read'),
    });
  });

  it('is missing where nothing is there and nothing says that it was destroyed', async () => {
    for (const wanted of ['published', 'shredded'] as const) {
      expect(await dispose({wanted, content: ''})).toMatchObject({end: 'missing', isPublished: false});
    }
  });
});
