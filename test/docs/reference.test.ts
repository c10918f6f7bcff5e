import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {commandsPage, manPage} from './pages.ts';

const top = path.join(import.meta.dirname, '../..');

const textsIn = (...rooms: readonly string[]): readonly string[] =>
  rooms.flatMap(room =>
    room.endsWith('.ts')
      ? [readFileSync(path.join(top, room), 'utf8')]
      : readdirSync(path.join(top, room), {recursive: true, encoding: 'utf8'})
          .filter(name => /\.tsx?$/.test(name))
          .map(name => readFileSync(path.join(top, room, name), 'utf8')),
  );

const idsIn = (texts: readonly string[], pattern: RegExp): readonly string[] =>
  texts.flatMap(text =>
    [...text.matchAll(pattern)].map(match => match.slice(1).find(id => id !== undefined) ?? ''),
  );

describe('the reference', () => {
  it('of commands is what the program takes', async () => {
    await expect(commandsPage()).toMatchFileSnapshot('../../docs/reference/commands.md');
  });

  it('as a manual page is what the program takes', async () => {
    await expect(manPage()).toMatchFileSnapshot('../../docs/man/waxseal.8');
  });

  it('of checks has the prefix of every check in the code', () => {
    // A literal of a check has a status or a title beside its id: no family may be left out of the list below.
    const all = idsIn(
      textsIn('src'),
      /(?:\bcheckFrom\(\s*'([a-z]+\.[a-z-]+)'|\bid: '([a-z]+\.[a-z-]+)',\s+title:)/g,
    );
    expect(all.length).toBeGreaterThan(10);
    const page = readFileSync(path.join(top, 'docs/reference/checks.md'), 'utf8');
    for (const id of all) expect(page).toContain(`| \`${id}\` |`);
  });

  it('of checks has every id there is, and no other', () => {
    const ids = new Set([
      'host',
      ...idsIn(
        textsIn('src/proof', 'src/doctor', 'src/cli', 'src/jobs', 'src/flow/dns-report.ts'),
        /(?:\bid: |\bcheckFrom\(\s*)'((?:host|mail|dns|live|preflight|explain|sign|verify|remove|rotate|state|status|address)\.[a-z-]+)'/g,
      ),
      ...idsIn(textsIn('src/doctor/mail.ts'), /\bcheck\(\s*'(mail\.[a-z-]+)'/g),
      ...idsIn(textsIn('src/cli/proving.ts'), /problem\(\s*'(signer\.[a-z-]+)'/g),
      ...idsIn(
        textsIn(
          'src/services/look.ts',
          'src/services/by-name/lists.ts',
          'src/services/postfix/detect.ts',
          'src/services/postfix/ways/remarks.ts',
          'src/services/opendkim/detect.ts',
        ),
        /problem\(\s*'((?:host|postfix|opendkim)\.[a-z-]+)'/g,
      ),
      ...idsIn(
        textsIn(
          'src/keys/state-directory.ts',
          'src/plan/journal.ts',
          'src/rotation/parse.ts',
          'src/rotation/draft.ts',
        ),
        /problem\(\s*'((?:run|state|draft)\.[a-z-]+)'/g,
      ),
      ...idsIn(
        textsIn('src/services/signing.ts', 'src/services/opendkim/index.ts'),
        /problem\(\s*'(host\.no-mta|host\.other-mta|host\.unsupported|opendkim\.missing)'/g,
      ),
    ]);
    const page = readFileSync(path.join(top, 'docs/reference/checks.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `([a-z.-]+)` \|/gm)].map(match => match[1] ?? '');
    expect(documented.toSorted()).toEqual([...ids].toSorted());
    expect(new Set(documented).size).toBe(documented.length);
  });

  it('of exit codes has every code', () => {
    const page = readFileSync(path.join(top, 'docs/reference/exit-codes.md'), 'utf8');
    const source = readFileSync(path.join(top, 'src/domain/errors.ts'), 'utf8');
    const codes = /type ExitCode = ([^;]+);/.exec(source)?.[1]?.split(' | ') ?? [];
    expect(codes.length).toBeGreaterThan(10);
    for (const code of codes) expect(page).toMatch(new RegExp(`^\\| (?:\\d+, )?${code}\\b`, 'm'));
  });
});
