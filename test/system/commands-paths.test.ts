/**
 * No program is given a path that another account can change: it would look the name up again, as root, and whoever
 * owns a directory on the way can have put anything there meanwhile. This reads every place in the source where a
 * program is run, or an argument vector is made. One of plain words that name no file passes. For any other the list
 * below says why its paths are safe; a new one fails until somebody has thought about it.
 */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {expect, it} from 'vitest';

const source = path.join(import.meta.dirname, '..', '..', 'src');

/** Where an argument vector is handed on or made. `demo` only pretends to run programs. */
const PLACES =
  /\b(?:commands|getent)\.run\(|\brunWithHandles\(|\bspawn\(|\b\w*[aA]rgv\??(?::\s*Argv)?\s*[:=]\s*(?=\[)/g;

/** Programs that change or read what they are given the path of. */
const ON_FILES =
  /^\[\s*'(cp|mv|rm|rmdir|ln|chmod|chown|chgrp|touch|shred|install|truncate|dd|tee|sed|tar|cat|setfacl|getfacl|setfattr|getfattr|chcon|restorecon|stat|ls|find|mkdir)'/;

interface Site {
  readonly file: string;
  readonly argv: string;
}

/** The text of the first argument, or of the literal, from `at` on: until its brackets are closed or a comma comes. */
function firstTerm(text: string, at: number): string {
  let depth = 0;
  let quote = '';
  let index = at;
  for (; index < text.length; index += 1) {
    const character = text[index] ?? '';
    if (quote !== '') {
      if (character === '\\') index += 1;
      else if (character === quote) quote = '';
    } else if (/['"`]/.test(character)) quote = character;
    else if (/[([{]/.test(character)) depth += 1;
    else if (/[)\]}]/.test(character) && --depth < 0) break;
    else if (/[,;]/.test(character) && depth === 0) break;
  }
  return text
    .slice(at, index)
    .replace(/\/\/[^\n]*/g, '')
    .replace(/\s+/g, ' ')
    .replace(/\[ /g, '[')
    .replace(/,? \]/g, ']')
    .replace(/ as const$/, '')
    .trim();
}

const sitesIn = (file: string, text: string): readonly Site[] =>
  [...text.matchAll(PLACES)].map(match => ({file, argv: firstTerm(text, match.index + match[0].length)}));

/** Comments say nothing of what is run. */
const withoutComments = (text: string): string => text.replace(/(^|\n)\s*(?:\/\/|\*|\/\*)[^\n]*/g, '$1');

const sites: readonly Site[] = readdirSync(source, {recursive: true, encoding: 'utf8'})
  .filter(name => /\.tsx?$/.test(name) && !name.startsWith('demo'))
  .sort()
  .flatMap(name =>
    sitesIn(name.split(path.sep).join('/'), withoutComments(readFileSync(path.join(source, name), 'utf8'))),
  );

/** Words in quotes, none of which is a path. */
const isPlain = (argv: string): boolean => /^\[(?:'[^'/]*'(?:, )?)+\]$/.test(argv);

const HANDED_ON = 'handed on: made at another place of this list';
const NO_PATH = 'no path: names, addresses and numbers, each parsed';
const ROOTS =
  "root's alone: the configuration of this host, named by main.cf or by the unit, which only root writes";
const OWN = "root's alone: in a directory that waxseal has made below /var/lib/waxseal";
const UNPRIVILEGED =
  'run as the account that could change it, without any right of root, and only asked what it may or sees';
const SHOWN = 'never run: it is shown to a person, as the source of a fact';
const HANDLES = 'handles of the files themselves: the program inherits them';

/** Why each of these is safe, by file and argument vector. */
const REASONS: Readonly<Record<string, string>> = {
  'cli/context.ts argv': HANDED_ON,
  "dns/publish/programs.ts [by, ...(by === 'nsupdate' ? ['-v'] : []), '-t', String(UPDATE_SECONDS), ...(tsigKey === undefined ? [] : ['-k', tsigKey])]":
    'the key file that root has named; it is read as a key only, and its owner can change the zone anyway',
  'dns/publish/programs.ts [path, change.action]':
    'a hook that run.ts has judged: looseWay, every directory and link on the way',
  "dns/publish/programs.ts ['lexicon', '--delegated', change.zone, ...(config === undefined ? [] : ['--config-dir', config]), provider, ...words]":
    'the directory that root has named; what is in it is read as the configuration of lexicon only',
  'dns/publish/run.ts program.argv': HANDED_ON,
  'doctor/sending.ts argv': HANDED_ON,
  "flow/command-line.ts [mode.command, ...QUESTION_ORDER.flatMap(id => argvOf(state, id)), ...(mode.waitMs === undefined ? [] : mode.waitMs === 0 ? ['--no-wait'] : ['--wait', durationText(mode.waitMs)]), ...(state.resolverOnly ? ['--resolver-only'] : []), ...(mode.yes || state.result?.applied === true ? ['--yes'] : [])]":
    'never run: it is shown to a person',
  "services/postfix/queue.ts ['postconf', ...which, '-xh', ...names]": ROOTS,
  "services/postfix/queue.ts ['postqueue', ...which, '-j']": ROOTS,
  'jobs/rotate/hooks.ts [path, event]':
    "root's alone: the hook and every directory above it are judged before",
  "jobs/rotate/notify.ts ['sendmail', '-i', '--', to]": NO_PATH,
  'plan/carry-out.ts step.argv': HANDED_ON,
  'plan/packages.ts argv': HANDED_ON,
  'plan/service-state.ts activeArgv': HANDED_ON,
  'plan/service-state.ts step.argv': HANDED_ON,
  'plan/service-state.ts argv': HANDED_ON,
  "plan/service-state.ts [step.argv[0], 'reset-failed', unit]": NO_PATH,
  "plan/service-state.ts [step.argv[0], 'restart', unit]": NO_PATH,
  "proof/journal.ts ['journalctl', '-t', identifier, '--since', `@${seconds}`, '-o', 'cat', '--no-pager', '-q', '-n', '200']":
    NO_PATH,
  "jobs/live-test.ts ['runuser', '-u', user, '--', 'test', '-w', path]": UNPRIVILEGED,
  "services/postfix/prove/prove.ts [program, '-i', '-Nnever', '-f', mail.from, mail.recipient]": ROOTS,
  'jobs/trial.ts this.#argv(setup.check)': OWN,
  'jobs/trial.ts this.#argv(setup.start)': OWN,
  "jobs/trial.ts ['kill', '-KILL', pid]": NO_PATH,
  "services/postfix/prove/queue.ts ['postcat', '-qbh', id]": NO_PATH,
  'services/postfix/prove/queue.ts removal(knownId)': NO_PATH,
  'services/postfix/prove/queue.ts removal(entry.id)': NO_PATH,
  "services/key-access.ts asIdentity(identity, ['test', isKey ? '-r' : '-x', real])": UNPRIVILEGED,
  "services/postfix/prove/route.ts ['postconf', '-c', configDirectory, ...argv]": ROOTS,
  "services/postfix/prove/route.ts ['postmap', '-c', configDirectory, '-q', OWN_ADDRESS, table]": ROOTS,
  'services/postfix/prove/route.ts argv': HANDED_ON,
  "services/postfix/prove/route.ts ['postmap', '-c', configDirectory, '-q', '-', table]": ROOTS,
  "host/reach.ts ['runuser', '-u', account.user, '--', 'test', '-w', endpoint.path]": UNPRIVILEGED,
  "services/account.ts ['id', '-G', '--', name]": NO_PATH,
  "services/opendkim/decide/instances.ts ['ps', '-o', 'args=', '-p', pid]": SHOWN,
  "services/opendkim/decide/instances.ts ['systemctl', 'cat', name]": SHOWN,
  "services/postfix/queued.ts ['postcat', '-c', configDirectory, '-q', id]": ROOTS,
  "services/postfix/ways/read.ts ['postconf', '-d', ...Object.keys(BUILT_IN).sort()]": NO_PATH,
  "services/postfix/ways/read.ts ['id', '-Gn', '--', entry.name]": NO_PATH,
  "services/postfix/ways/read.ts ['postmap', '-s', `${word.type}:${index}`]": ROOTS,
  "services/account.ts ['setpriv', `--reuid=${identity.uid}`, `--regid=${identity.gid}`, `--groups=${identity.gids.join(',')}`, '--inh-caps=-all', '--', ...argv]":
    UNPRIVILEGED,
  'services/manager.ts argv': NO_PATH,
  "services/opendkim/movable-key.ts asIdentity(identity, ['sha256sum', '--', path])": UNPRIVILEGED,
  "services/opendkim/start.ts ['opendkim', '-n', '-x', host.opendkim.configFile]": ROOTS,
  'services/postfix/detect.ts argv': HANDED_ON,
  'services/rspamd/dump.ts argv': UNPRIVILEGED,
  "services/systemd.ts ['systemctl', 'show', ...units, '-p', properties.join(',')]": NO_PATH,
  "system/real/commands.ts ['chroot', options.root, ...argv]": 'the root that a person has named with --root',
  'system/real/commands.ts program': HANDED_ON,
  "system/real/access-list.ts ['getfacl', '--numeric', '--absolute-names', '--', ...handles.map((_, at) => handedOn(at))]":
    HANDLES,
  'system/real/access-list.ts argv': HANDED_ON,
  "system/real/labels.ts ['ls', '-ldnLU', '--', ...handles.map((_, at) => handedOn(at))]": HANDLES,
  'system/real/labels.ts argv': HANDED_ON,
  "system/real/labels.ts ['cp', '--attributes-only', `--preserve=mode,xattr${label}`, '--dereference', '--no-target-directory', '--', handedOn(0), handedOn(1)]":
    HANDLES,
  "system/real/users.ts ['getent', database, key]": NO_PATH,
};

it('reads the places where programs are run', () => {
  const text = `
    // commands.run(['commented'])
    await ports.commands.run(
      ['cp', '--', from, to], // why
      {timeoutMs: 1},
    );
    const argv: Argv = ['systemctl', 'stop', 'opendkim'];
    spawn(program, rest);
  `;
  expect(sitesIn('a.ts', withoutComments(text)).map(({argv}) => argv)).toEqual([
    "['cp', '--', from, to]",
    "['systemctl', 'stop', 'opendkim']",
    'program',
  ]);
  expect(isPlain("['systemctl', 'stop', 'opendkim']")).toBe(true);
  expect(isPlain("['cat', '/etc/passwd']")).toBe(false);
  expect(isPlain("['cat', path]")).toBe(false);
  expect(sites.length).toBeGreaterThan(40);
});

it('gives no program a path that another account can change', () => {
  const found = new Set(sites.filter(({argv}) => !isPlain(argv)).map(({file, argv}) => `${file} ${argv}`));
  // A new place: see that its paths are root's alone, or handles, and say why. A place that is gone: take it off.
  expect([...found].filter(each => REASONS[each] === undefined)).toEqual([]);
  expect(Object.keys(REASONS).filter(each => !found.has(each))).toEqual([]);
});

it('has Node do what can be done by a handle: programs that work on files get nothing but handles', () => {
  const wrong = sites.filter(
    ({file, argv}) =>
      ON_FILES.test(argv) &&
      !(['system/real/labels.ts', 'system/real/access-list.ts'].includes(file) && argv.includes('handedOn(')),
  );
  expect(wrong).toEqual([]);
});
