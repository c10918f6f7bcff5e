import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {expect, test} from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'docs/reference/dns-mistakes.md'), 'utf8');

test('every mistake that the DNS room can name has its row in the reference, and every row a mistake', () => {
  const source = readdirSync(path.join(root, 'src/dns'))
    .filter(file => file.endsWith('.ts'))
    .map(file => readFileSync(path.join(root, 'src/dns', file), 'utf8'))
    .join('\n');
  const ids = new Set([...source.matchAll(/'(dns\.[a-z0-9-]+)'/g)].map(match => match[1]));
  const rows = new Set(
    [...page.matchAll(/^\| .*?(?= \|)/gm)].flatMap(row => row[0].match(/dns\.[a-z0-9-]+/g) ?? []),
  );
  expect(ids.size).toBeGreaterThan(80);
  expect([...rows].sort()).toEqual([...ids].sort());
});
