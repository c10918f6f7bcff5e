import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';

const top = path.join(import.meta.dirname, '../..');

/** Names of the members of an interface: lines indented by two blanks that begin with one. */
function membersOf(file: string, name: string): readonly string[] {
  const text = readFileSync(path.join(top, file), 'utf8');
  const [, rest = ''] = text.split(new RegExp(`export interface ${name}\\b`));
  const [body = ''] = rest.split('\n}');
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, member = '']) => member);
}

describe('the pages for those who add something', () => {
  it.each(['docs/architecture.md', 'docs/how-to/add-a-distribution.md', 'docs/how-to/add-a-check.md'])(
    '%s names files that are there',
    page => {
      const text = readFileSync(path.join(top, page), 'utf8');
      const named = [...text.matchAll(/`((?:src|test|docs)\/[\w./-]*)`/g)].map(([, file = '']) => file);
      const absent = named.filter(file => !file.includes('NAME') && !existsSync(path.join(top, file)));
      expect(named.length).toBeGreaterThan(5);
      expect(absent).toEqual([]);
    },
  );

  it.each([
    ['docs/how-to/add-a-signer.md', 'src/services/signer.ts', ['SigningProgram', 'Signer']],
    ['docs/how-to/add-an-mta.md', 'src/services/mta.ts', ['Mta']],
  ])('%s has every member of the contract', (page, file, names) => {
    const text = readFileSync(path.join(top, page), 'utf8');
    const told = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, member = '']) => member);
    const members = new Set(names.flatMap(name => membersOf(file, name)));
    expect(members.size).toBeGreaterThan(5);
    expect(told.toSorted()).toEqual([...members].toSorted());
  });
});
