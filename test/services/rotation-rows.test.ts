/** Which rows a rotation moves to the new key, and which stay. */
import {describe, expect, it} from 'vitest';
import type {Step} from '../../src/services/step.ts';
import {type FakeHost, fixtureHost} from '../support/fake-host.ts';
import {candidateOf, planOn, selector, value, type Wanted, wantedOn} from './wanted.ts';

const OLD = '/etc/dkimkeys/example.com/old.private';
const CONFIG = 'KeyTable /etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n';

interface Tables {
  readonly keys: string;
  readonly signing: string | Buffer;
  readonly config?: string;
}

/** A host that signs by these tables; the old key of example.com is there. */
function hostWith({keys, signing, config = CONFIG}: Tables): FakeHost {
  const host = fixtureHost('debian-13');
  const owner = {uid: 109, gid: 114};
  host.files.put(OLD, 'the old key\n', {mode: 0o600, ...owner});
  host.files.put('/etc/opendkim/KeyTable', keys);
  host.files.put('/etc/opendkim/SigningTable', signing);
  host.files.put('/etc/opendkim.conf', `Mode sv\nUserID opendkim\n${config}`);
  return host;
}

const replacing = (host: FakeHost, names: readonly string[] = ['example.com']): Wanted => {
  const wanted = wantedOn(host, names, {subdomains: false}, 'new');
  return {...wanted, sign: wanted.sign.map(each => ({...each, replaces: selector('old')}))};
};

const signingTable = (steps: readonly Step[]): string => {
  const step = steps.find(each => each.id === 'file:/etc/opendkim/SigningTable');
  return step?.kind === 'file' && step.after.content.from === 'text' ? step.after.content.text : '';
};

async function rotated(tables: Tables, names?: readonly string[]) {
  const host = hostWith(tables);
  const change = value((await planOn(host, replacing(host, names))).change);
  return {
    ...change,
    rows: signingTable(change.steps)
      .split('\n')
      .filter(line => line !== ''),
  };
}

const NEW = 'new._domainkey.example.com';

describe('a rotation', () => {
  it('moves the rows of addresses, subdomains and other domains that sign with the old key', async () => {
    const {rows, keptRows} = await rotated({
      keys: `main example.com:old:${OLD}\n`,
      signing:
        'joe@example.com main\n*@shop.example.com\tmain # shop\n*@example.net main\n*@example.com main\n',
    });
    expect(rows).toEqual([
      `joe@example.com ${NEW}`,
      `*@shop.example.com\t${NEW} # shop`,
      `*@example.net ${NEW}`,
      `*@example.com ${NEW}`,
    ]);
    expect(keptRows).toEqual([]);
  });

  it('moves every label of the old key, be it by its record, its file, a link or a copy', async () => {
    const host = hostWith({
      keys: [
        `main example.com:old:${OLD}`,
        'record EXAMPLE.com:OLD:/elsewhere/gone.private',
        `file example.com:alias:${OLD}`,
        'link example.com:linked:/etc/dkimkeys/link.private',
        'copy example.com:copied:/etc/dkimkeys/copy.private',
        'other example.com:other:/etc/dkimkeys/other.private',
        '',
      ].join('\n'),
      signing: ['main', 'record', 'file', 'link', 'copy', 'other']
        .map(label => `${label}@example.com ${label}\n`)
        .join(''),
    });
    host.files.symlink('/etc/dkimkeys/link.private', OLD);
    host.files.put('/etc/dkimkeys/copy.private', 'the old key\n', {mode: 0o600});
    host.files.put('/etc/dkimkeys/other.private', 'another key\n', {mode: 0o600});
    const {steps, remarks} = value((await planOn(host, replacing(host))).change);
    expect(signingTable(steps)).toBe(
      [
        ...['main', 'record', 'file', 'link', 'copy'].map(name => `${name}@example.com ${NEW}\n`),
        'other@example.com other\n',
        `*@example.com ${NEW}\n`,
      ].join(''),
    );
    // What is said of rows is said of the final ones.
    const [said, ...more] = remarks.filter(({id}) => id === 'opendkim.address-rows');
    expect(said?.message).toContain('other@example.com;');
    expect(more).toEqual([]);
  });

  it('changes the label and not the pattern of a row where the one contains the other', async () => {
    const {rows} = await rotated({
      keys: `example.com example.com:old:${OLD}\njoe example.com:old:${OLD}\n`,
      signing:
        '*@example.com example.com\njoe@example.com  joe:joe@example.com\n*@lists.example.com example.com # example.com\n',
    });
    expect(rows).toEqual([
      `*@example.com ${NEW}`,
      `joe@example.com  ${NEW}:joe@example.com`,
      `*@lists.example.com ${NEW} # example.com`,
    ]);
  });

  it('leaves the rows of other domains that have the key for themselves, and names them', async () => {
    const {rows, remarks, keptRows} = await rotated({
      keys: `# keys\nmain example.com:old:${OLD}\nnet example.net:old:${OLD}\norg example.org:old:/etc/dkimkeys/o\n`,
      signing: '*@example.net net\n*@example.com main\n*@example.org org\n',
    });
    expect(rows).toEqual(['*@example.net net', `*@example.com ${NEW}`, '*@example.org org']);
    expect(keptRows).toEqual([]);
    expect(remarks.filter(({id}) => id === 'opendkim.shared-key')).toEqual([
      {
        id: 'opendkim.shared-key',
        message:
          'The old key of example.com also signs for example.net (/etc/opendkim/KeyTable:3); that mail keeps it.',
        hint: 'Rotate it there too: waxseal rotate --domain example.net',
      },
    ]);
  });

  it('moves them where they are rotated too, each to its own', async () => {
    const {rows, remarks} = await rotated(
      {
        keys: `main example.com:old:${OLD}\nnet example.net:old:${OLD}\n`,
        signing: 'joe@example.net net\n*@example.net net\nx@example.net main\n*@example.com main\n',
      },
      ['example.com', 'example.net'],
    );
    expect(rows).toEqual([
      'joe@example.net new._domainkey.example.net',
      '*@example.net new._domainkey.example.net',
      `x@example.net ${NEW}`,
      `*@example.com ${NEW}`,
    ]);
    expect(remarks.filter(({id}) => id === 'opendkim.shared-key')).toEqual([]);
  });

  it('moves a row of a key for any domain where it stands for the domain alone', async () => {
    const {rows, keptRows} = await rotated({
      keys: `any %:old:${OLD}\n`,
      signing: 'joe@example.com any\n*@*.example.com any\njoe@example.net any\n* any\n',
    });
    expect(rows).toEqual([
      `joe@example.com ${NEW}`,
      `*@*.example.com ${NEW}`,
      'joe@example.net any',
      // The row of the domain goes above what would catch its mail; mail of others keeps its key.
      `*@example.com ${NEW}`,
      '* any',
    ]);
    expect(keptRows).toEqual([]);
  });

  it('names the row that would sign with the old key all the same', async () => {
    const {keptRows} = await rotated({
      keys: `any %:old:${OLD}\n`,
      signing: '# all\n* any\n*@example.net any\n',
      config: `${CONFIG}MultipleSignatures yes\n`,
    });
    expect(keptRows).toEqual(['/etc/opendkim/SigningTable:2: * any']);
  });

  it('keeps a second signature of the domain by another key, and moves the one of the old key', async () => {
    const {rows} = await rotated({
      keys: `esp example.com:esp:/etc/dkimkeys/esp\nmain example.com:old:${OLD}\n`,
      signing: '*@example.com esp\n*@example.com main\n',
      config: `${CONFIG}MultipleSignatures yes\n`,
    });
    expect(rows).toEqual(['*@example.com esp', `*@example.com ${NEW}`]);
  });

  it('keeps every other octet: Latin-1, line ends, no end of the last line, a link', async () => {
    const table = Buffer.from('# Schl\xfcssel\r\njoe@example.com main\r\n*@example.com main', 'latin1');
    const host = hostWith({keys: `main example.com:old:${OLD}\n`, signing: ''});
    host.files.put('/srv/SigningTable', table, {mode: 0o640});
    host.files.nodes.delete('/etc/opendkim/SigningTable');
    host.files.symlink('/etc/opendkim/SigningTable', '/srv/SigningTable');
    const change = value((await planOn(host, replacing(host))).change);
    const {steps} = change;
    const step = steps.find(each => each.id === 'file:/srv/SigningTable');
    const content =
      step?.kind === 'file' && step.after.content.from === 'text' ? step.after.content : undefined;
    expect(Buffer.from(content?.text ?? '', content?.encoding).toString('latin1')).toBe(
      `# Schl\xfcssel\r\njoe@example.com ${NEW}\r\n*@example.com ${NEW}`,
    );
    expect(candidateOf(change).signingTable).toEqual({
      path: '/etc/opendkim/SigningTable',
      realPath: '/srv/SigningTable',
      kind: 'refile',
      text: content?.text,
      encoding: 'latin1',
    });
  });
});

it('a set-up moves no row but those of the domain', async () => {
  const host = hostWith({
    keys: `main example.com:old:${OLD}\n`,
    signing: 'joe@example.com main\n*@example.net main\n',
  });
  const {steps, remarks} = value((await planOn(host, wantedOn(host, ['example.com'], {}, 'new'))).change);
  expect(signingTable(steps)).toBe(
    `joe@example.com main\n*@example.net main\n*@example.com ${NEW}\n*@*.example.com ${NEW}\n`,
  );
  expect(remarks.map(({id}) => id)).toContain('opendkim.address-rows');
});
