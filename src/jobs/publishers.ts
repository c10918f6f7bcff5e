/** Which programs of this host could enter records: remembered ones, nsupdate with a key, lexicon with its credentials. */
import {formatPublish, nameOfPublisher, parsePublish} from '../dns/publish/index.ts';
import {type AbsolutePath, absolute, below} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import type {RotationState} from '../rotation/index.ts';
import type {PublisherFact} from '../services/facts.ts';
import type {Ports} from '../system/ports.ts';
import type {WorkOptions} from './options.ts';

const PROGRAM_DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin'].map(absolute);
const KEY_DIRECTORIES = ['/etc/waxseal', '/etc/bind', '/etc/bind/keys', '/etc/named'].map(absolute);
const LEXICON_DIRECTORY = absolute('/etc/lexicon');

/** Keys for the control channel and for updates from the name server itself: of no use for a zone elsewhere. */
const OTHER_KEYS = /^(?:rndc|session|bind|K[^+]*\+.*)\.key$/;
const KEY_BYTES = 4096;
/** The statement that nsupdate reads: `key "waxseal" { algorithm …; secret …; };`. */
const KEY_STATEMENT = /^[ \t]*key\s+"?([^\s"{]+)"?\s*\{[^}]*\bsecret\b/m;

/** What could be proposed; nothing is run, and of a key only its name is read. */
export async function findPublishers(
  ports: Pick<Ports, 'files'>,
  state: RotationState,
  {environment = {}}: Pick<WorkOptions, 'environment'>,
): Promise<readonly PublisherFact[]> {
  const remembered = [...new Set((state.publishers ?? []).map(({publish}) => formatPublish(publish)))];
  const found = [...(await byUpdate(ports)), ...(await byLexicon(ports, environment))];
  return [
    ...remembered.map(publish => ({publish, label: labelOf(publish), remembered: true})),
    ...found
      .filter(publish => !remembered.includes(publish))
      .map(publish => ({publish, label: labelOf(publish), remembered: false})),
  ];
}

function labelOf(publish: string): string {
  const choice = parsePublish(publish);
  if (!choice.ok) return visible(publish);
  const key = 'tsigKey' in choice.value ? choice.value.tsigKey : undefined;
  return visible(`${nameOfPublisher(choice.value)}${key === undefined ? '' : ` with ${key}`}`);
}

async function hasProgram({files}: Pick<Ports, 'files'>, name: string): Promise<boolean> {
  for (const directory of PROGRAM_DIRECTORIES) {
    if ((await files.resolve(below(directory, name)).catch(() => undefined)) !== undefined) return true;
  }
  return false;
}

async function byUpdate(ports: Pick<Ports, 'files'>): Promise<readonly string[]> {
  if (!(await hasProgram(ports, 'nsupdate'))) return [];
  const found: string[] = [];
  for (const directory of KEY_DIRECTORIES) {
    for (const name of (await ports.files.list(directory).catch(() => undefined)) ?? []) {
      if (!name.endsWith('.key') || OTHER_KEYS.test(name)) continue;
      const path = below(directory, name);
      if (await isUpdateKey(ports, path)) found.push(formatPublish({by: 'nsupdate', tsigKey: path}));
    }
  }
  return found;
}

async function isUpdateKey({files}: Pick<Ports, 'files'>, path: AbsolutePath): Promise<boolean> {
  try {
    const stat = await files.stat(path);
    if (stat?.kind !== 'file' || stat.size > KEY_BYTES) return false;
    return KEY_STATEMENT.test(Buffer.from((await files.read(path)) ?? []).toString('latin1'));
  } catch {
    return false;
  }
}

/** Providers whose credentials are in the environment (`LEXICON_GANDI_AUTH_TOKEN`) or in lexicon's own directory. */
async function byLexicon(
  ports: Pick<Ports, 'files'>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  if (!(await hasProgram(ports, 'lexicon'))) return [];
  const files = (await ports.files.list(LEXICON_DIRECTORY).catch(() => undefined)) ?? [];
  const inFiles = files.flatMap(name => /^lexicon_([a-z][a-z0-9]*)\.yml$/.exec(name)?.[1] ?? []);
  const inVariables = Object.keys(environment).flatMap(
    name => /^LEXICON_([A-Z][A-Z0-9]*)_[A-Z0-9_]+$/.exec(name)?.[1]?.toLowerCase() ?? [],
  );
  return [
    ...inFiles.map(provider => `lexicon:${provider} config=${LEXICON_DIRECTORY}`),
    ...[...new Set(inVariables)].map(provider => `lexicon:${provider}`),
  ];
}
