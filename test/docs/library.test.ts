/** The examples of the library page: type-checked and run as they stand there. */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {afterEach, expect, it, vi} from 'vitest';

const examples = path.resolve(import.meta.dirname, 'library');
const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/how-to/library.md'), 'utf8');

afterEach(() => vi.restoreAllMocks());

const run = async (name: string): Promise<readonly string[]> => {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((...words: readonly unknown[]) => {
    lines.push(words.join(' '));
  });
  await import(`./library/${name}.ts`);
  return lines;
};

it('shows every example, word for word, and no other', () => {
  const texts = readdirSync(examples).map(file =>
    readFileSync(path.join(examples, file), 'utf8').replaceAll('../../../src/dkim/index.ts', 'waxseal/dkim'),
  );
  const shown = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(match => match[1] ?? '');
  expect(shown.toSorted()).toEqual(texts.toSorted());
});

it('signs and verifies', async () => {
  expect(await run('sign-and-verify')).toEqual(['pass example.org The signature is good.']);
});

it('reads a stream', async () => {
  expect(await run('stream')).toEqual([' a=rsa-sha256', ' a=ed25519-sha256', '0']);
});

it('lints', async () => {
  expect((await run('lint')).join('\n')).toMatch(
    /^error There are 2 TXT records at the name;.*\nwarning .*t=y/s,
  );
});
