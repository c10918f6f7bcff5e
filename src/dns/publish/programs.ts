/** From a choice and a change to the programs that make it. Pure: what is run is decided here, run.ts only runs it. */
import type {Program, RecordChange} from './change.ts';
import type {PublishChoice} from './choice.ts';

/** nsupdate itself would try for five minutes. */
const UPDATE_SECONDS = 20;
const UPDATE_MS = 45_000;
/** As long as a provider's API may take, with a script's own waits. */
const HOOK_MS = 120_000;
const LEXICON_MS = 120_000;

/** Credentials that lexicon takes from its environment (`LEXICON_CLOUDFLARE_TOKEN`). */
const LEXICON_VARIABLE = /^LEXICON_[A-Z0-9_]+$/;

/**
 * The programs, one after the other; an empty list for `manual`.
 * @param environment of waxseal itself; only variables that are lexicon's are passed on, and only to it
 */
export function programsFor(
  choice: PublishChoice,
  change: RecordChange,
  environment: Readonly<Record<string, string | undefined>> = {},
): readonly Program[] {
  switch (choice.by) {
    case 'manual':
      return [];
    case 'nsupdate':
    case 'knsupdate':
      return [update(choice, change)];
    case 'hook':
      return [hook(choice.path, change)];
    case 'lexicon':
      return lexicon(choice, change, environment);
  }
}

type UpdateChoice = Extract<PublishChoice, {by: 'nsupdate' | 'knsupdate'}>;

/** RFC 2136. The key stays in its file, the request goes over standard input. */
function update(choice: UpdateChoice, change: RecordChange): Program {
  const {by, tsigKey} = choice;
  return {
    argv: [
      by,
      ...(by === 'nsupdate' ? ['-v'] : []),
      '-t',
      String(UPDATE_SECONDS),
      ...(tsigKey === undefined ? [] : ['-k', tsigKey]),
    ],
    input: updateScript(choice, change),
    timeoutMs: UPDATE_MS,
  };
}

/** What both programs understand. */
export function updateScript(
  {server: chosen, ttlSeconds: own}: Pick<UpdateChoice, 'server' | 'ttlSeconds'>,
  {action, name, zone, primary, servers, ttlSeconds, quoted}: RecordChange,
): string {
  // Updates go to the primary (RFC 2136 §4.3); its name where it is hidden from the NS records.
  const server = chosen ?? servers.find(each => each.name === primary);
  const to =
    server === undefined ? (primary === '' ? undefined : `${primary}.`) : `${server.address} ${server.port}`;
  const lines =
    action === 'add'
      ? [`update delete ${name}. TXT`, `update add ${name}. ${own ?? ttlSeconds} TXT ${quoted}`]
      : // Only this very record: another one at the name is not ours.
        [`update delete ${name}. TXT ${quoted}`];
  return [...(to === undefined ? [] : [`server ${to}`]), `zone ${zone}.`, ...lines, 'send', ''].join('\n');
}

/** docs/how-to/publish.md has these names; they are an interface. */
function hook(path: string, change: RecordChange): Program {
  return {
    argv: [path, change.action],
    environment: {
      WAXSEAL_ACTION: change.action,
      WAXSEAL_DOMAIN: change.domain,
      WAXSEAL_SELECTOR: change.selector,
      WAXSEAL_ZONE: change.zone,
      WAXSEAL_RECORD_NAME: change.name,
      WAXSEAL_RECORD_RELATIVE_NAME: change.relativeName,
      WAXSEAL_RECORD_TYPE: 'TXT',
      WAXSEAL_RECORD_TTL: String(change.ttlSeconds),
      WAXSEAL_RECORD_VALUE: change.value,
      WAXSEAL_RECORD_STRINGS: change.quoted,
    },
    timeoutMs: HOOK_MS,
  };
}

function lexicon(
  {provider, config}: Extract<PublishChoice, {by: 'lexicon'}>,
  change: RecordChange,
  environment: Readonly<Record<string, string | undefined>>,
): readonly Program[] {
  const own = Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      LEXICON_VARIABLE.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  );
  const program = (...words: readonly string[]): Program => ({
    argv: [
      'lexicon',
      // Without it lexicon would take the registered domain for the zone.
      '--delegated',
      change.zone,
      ...(config === undefined ? [] : ['--config-dir', config]),
      provider,
      ...words,
    ],
    environment: own,
    timeoutMs: LEXICON_MS,
  });
  const name = ['--name', change.name] as const;
  // With an equals sign: a value is never taken for an option.
  const content = `--content=${contentFor(provider, change)}`;
  if (change.action === 'remove') {
    // localzone puts the outer quotes around what it looks for.
    const sought = provider === 'localzone' ? `--content=${change.quoted.slice(1, -1)}` : content;
    return [program('delete', change.zone, 'TXT', ...name, sought)];
  }
  return [
    ...(change.replaces ? [program('delete', change.zone, 'TXT', ...name)] : []),
    program('create', change.zone, 'TXT', ...name, content, '--ttl', String(change.ttlSeconds)),
  ];
}

/**
 * Providers that hand the content to dnspython as the text of a zone file: unquoted, the value would end at its first
 * semicolon.
 */
const ZONE_FILE_TEXT: readonly string[] = ['ddns', 'localzone'];

const contentFor = (provider: string, {value, quoted}: RecordChange): string =>
  ZONE_FILE_TEXT.includes(provider) ? quoted : value;
