/** The screens of the tutorial are the real ones: `vitest -u` puts the present frames into the page. */
import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {expect, it} from 'vitest';

const top = path.join(import.meta.dirname, '../..');
const page = readFileSync(path.join(top, 'docs/tutorial/first-domain.md'), 'utf8');
const SCREEN = /<!-- screen: ([\w.-]+) -->\n```text\n[\s\S]*?```\n/g;

const frame = (name: string): string => path.join(top, 'snapshots/views/tui', `${name}.txt`);

it('the tutorial shows the screens as they are', async () => {
  const names = [...page.matchAll(SCREEN)].map(match => match[1] ?? '');
  expect(names.length).toBeGreaterThan(8);
  expect(names.filter(name => !existsSync(frame(name)))).toEqual([]);
  const current = page.replace(SCREEN, (_, name: string) => {
    const text = readFileSync(frame(name), 'utf8').replace(/\s+$/, '');
    return `<!-- screen: ${name} -->\n\`\`\`text\n${text}\n\`\`\`\n`;
  });
  await expect(current).toMatchFileSnapshot('../../docs/tutorial/first-domain.md');
});
