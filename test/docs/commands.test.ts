/** Every `waxseal …` in a shell block of the documentation is a command line that the program takes. */
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {argumentsFromFile, parseArguments} from '../../src/cli/arguments.ts';
import {checkFlags} from '../../src/cli/check-flags.ts';
import {openWorld} from '../demo/world.ts';

const top = path.join(import.meta.dirname, '../..');

interface Shown {
  readonly page: string;
  readonly text: string;
}

const pages: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(path.join(top, 'docs'), {recursive: true, encoding: 'utf8'})
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
];

const read = (page: string): string => readFileSync(path.join(top, page), 'utf8');

const blocks = (page: string, language: string): readonly string[] =>
  [...read(page).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    match => match[1] ?? '',
  );

const shown: readonly Shown[] = pages.flatMap(page =>
  blocks(page, 'sh')
    .flatMap(block => block.replaceAll('\\\n', ' ').split('\n'))
    .map(line =>
      line
        .replace(/^\$ /, '')
        .replace(/\s#.*$/, '')
        .trim(),
    )
    .filter(line => /^(sudo )?waxseal\b/.test(line))
    .map(text => ({page, text})),
);

/** Words of a simple command; redirections and what follows a pipe are the shell's. */
const wordsOf = (text: string): readonly string[] =>
  text
    .replace(/^(sudo )?waxseal/, '')
    .replace(/\s[<>|].*$/, '')
    .trim()
    .split(/\s+/)
    .filter(word => word !== '')
    .map(word => word.replace(/^(['"])(.*)\1$/, '$2'));

describe('the documentation', () => {
  it('shows commands', () => {
    expect(shown.length).toBeGreaterThan(8);
  });

  it.each(shown)('$page: $text', ({text}) => {
    const {command, flags, operands} = parseArguments(wordsOf(text));
    expect(() => checkFlags(command ?? 'setup', flags, operands)).not.toThrow();
  });

  it('shows files of flags that can be read', () => {
    const files = pages.flatMap(page => blocks(page, 'ini'));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(() => parseArguments(argumentsFromFile(file, 'file'))).not.toThrow();
  });

  it('links to pages that are there', () => {
    const missing = pages.flatMap(page =>
      [...read(page).matchAll(/\]\(([^)#\s]+\.md)(?:#[^)]*)?\)/g)]
        .map(match => path.posix.join(path.posix.dirname(page), match[1] ?? ''))
        .filter(target => !pages.includes(target))
        .map(target => `${page} -> ${target}`),
    );
    expect(missing).toEqual([]);
  });

  it('shows commands that work one after the other on a host', async () => {
    const world = await openWorld();
    // As the list of domains has it.
    expect((await world.setUp('--domain', 'example.org', '--selector', 'main')).exitCode).toBe(0);
    writeFileSync(
      path.join(world.home, 'domains.csv'),
      blocks('docs/how-to/many-domains.md', 'csv')[0] ?? '',
    );
    for (const {page, text} of shown) {
      const argv = wordsOf(text);
      const [command] = argv;
      // What needs a file of the reader's, or is another host than this one, is not run.
      if (command === undefined || ['demo', 'sign', 'verify'].includes(command)) continue;
      if (argv.includes('--config') || argv.includes('--key')) continue;
      const {exitCode, err} = await world.run([...argv, ...answersFor(argv)]);
      expect([0, 3], `${page}: ${text}\n${err}`).toContain(exitCode);
      const {report} = await world.run(['status', '--json']);
      world.publish({...report, domains: report.domains.filter(({state}) => state === 'pending')});
    }
  });
});

/** What a person at the terminal would say where the page leaves it to them. */
function answersFor(argv: readonly string[]): readonly string[] {
  const isChange = ['setup', 'rotate', 'undo', 'remove'].includes(argv[0] ?? '');
  const agrees = isChange && !argv.some(word => ['--yes', '--dry-run', '--list'].includes(word));
  const waits = ['setup', 'rotate'].includes(argv[0] ?? '') && !argv.some(word => /^--(no-)?wait/.test(word));
  return [...(agrees ? ['--yes'] : []), ...(waits ? ['--no-wait'] : [])];
}
