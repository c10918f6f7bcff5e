/** Who enters the record: what a person chose, as data and as the text of an answer. Pure. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {fail, ok, problem, type Result} from '../../domain/result.ts';
import type {DnsServer} from '../../system/ports.ts';

export type PublishChoice =
  | {readonly by: 'manual'}
  | {
      readonly by: 'nsupdate' | 'knsupdate';
      /** In the form that the program reads: a `key` statement for nsupdate, `algorithm:name:secret` for knsupdate. */
      readonly tsigKey?: AbsolutePath;
      /** Instead of the primary that the SOA names. */
      readonly server?: DnsServer;
      /** TTL of what is entered, instead of an hour: a key is revoked no faster than its record leaves the caches. */
      readonly ttlSeconds?: number;
    }
  | {readonly by: 'hook'; readonly path: AbsolutePath}
  | {
      readonly by: 'lexicon';
      /** Name of a provider as `lexicon --help` lists them. */
      readonly provider: string;
      /** Directory of lexicon.yml and lexicon_PROVIDER.yml, with the credentials. */
      readonly config?: AbsolutePath;
    };

const MANUAL: PublishChoice = {by: 'manual'};

const refuse = (message: string): Result<PublishChoice> =>
  fail(
    problem(
      'publish.syntax',
      message,
      'Use --publish manual, nsupdate, knsupdate, hook: with the path of a program, or lexicon: with a provider.',
    ),
  );

const SHOWN = 80;

/**
 * Reads the text of an answer: the way, then what belongs to it as `name=value` words, as
 * `nsupdate key=/etc/bind/waxseal.key server=192.0.2.1:5353`. Paths may have blanks in them.
 */
export function parsePublish(text: string): Result<PublishChoice> {
  const [way = '', ...words] = text
    .trim()
    .split(/\s(?=(?:key|server|ttl|config)=)/)
    .map(word => word.trimEnd());
  const given = new Map(
    words.map(word => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)] as const),
  );
  const choice = parseWay(way, given);
  if (!choice.ok) return choice;
  const known = TAKES[choice.value.by];
  const odd = [...given.keys()].find(name => !known.includes(name));
  return odd === undefined
    ? choice
    : fail(
        problem(
          'publish.flags',
          `${FLAG_OF[odd]} is not for --publish ${choice.value.by}.`,
          `Leave ${FLAG_OF[odd]} out.`,
        ),
      );
}

const TAKES: Readonly<Record<PublishChoice['by'], readonly string[]>> = {
  manual: [],
  nsupdate: ['key', 'server', 'ttl'],
  knsupdate: ['key', 'server', 'ttl'],
  hook: [],
  lexicon: ['config'],
};

const FLAG_OF: Readonly<Record<string, string>> = {
  key: '--tsig-key',
  server: '--update-server',
  ttl: '--update-ttl',
  config: '--lexicon-config',
};

function parseWay(way: string, given: ReadonlyMap<string, string>): Result<PublishChoice> {
  const lower = way.toLowerCase();
  if (lower === '' || lower === 'manual') return ok(MANUAL);
  if (lower === 'nsupdate' || lower === 'knsupdate') return parseUpdate(lower, given);
  if (lower.startsWith('hook:')) {
    const path = parseAbsolutePath(way.slice('hook:'.length).trim());
    return path.ok
      ? ok({by: 'hook', path: path.value})
      : fail(
          problem('publish.hook-path', path.problem.message, 'Give its whole path: --publish hook:/path.'),
        );
  }
  if (lower.startsWith('lexicon:')) return parseLexicon(lower.slice('lexicon:'.length), given);
  return refuse(`${JSON.stringify(way.slice(0, SHOWN))} is no way to publish a record.`);
}

function parseUpdate(
  by: 'nsupdate' | 'knsupdate',
  given: ReadonlyMap<string, string>,
): Result<PublishChoice> {
  const key = optionalPath(given.get('key'), '--tsig-key');
  if (!key.ok) return key;
  const text = given.get('server');
  const server = text === undefined ? undefined : parseServer(text);
  if (text !== undefined && server === undefined) {
    return fail(
      problem(
        'publish.server',
        `${JSON.stringify(text.slice(0, SHOWN))} is not the address of a name server.`,
        'Give an IP address, as --update-server 192.0.2.1 or --update-server [2001:db8::1]:5353.',
      ),
    );
  }
  const ttl = given.get('ttl');
  const ttlSeconds = ttl === undefined ? undefined : parseTtl(ttl);
  if (ttl !== undefined && ttlSeconds === undefined) {
    return fail(
      problem(
        'publish.ttl',
        `${JSON.stringify(ttl.slice(0, SHOWN))} is no TTL.`,
        'Give seconds, from 1 to 604800, as --update-ttl 300.',
      ),
    );
  }
  return ok({
    by,
    ...(key.value === undefined ? {} : {tsigKey: key.value}),
    ...(server === undefined ? {} : {server}),
    ...(ttlSeconds === undefined ? {} : {ttlSeconds}),
  });
}

function parseLexicon(provider: string, given: ReadonlyMap<string, string>): Result<PublishChoice> {
  // It becomes a word of a command line: nothing that could be an option.
  if (!/^[a-z][a-z0-9]{0,31}$/.test(provider)) {
    return refuse(`${JSON.stringify(provider.slice(0, SHOWN))} is no provider of lexicon.`);
  }
  const config = optionalPath(given.get('config'), '--lexicon-config');
  if (!config.ok) return config;
  return ok({by: 'lexicon', provider, ...(config.value === undefined ? {} : {config: config.value})});
}

function optionalPath(text: string | undefined, flag: string): Result<AbsolutePath | undefined> {
  if (text === undefined) return ok(undefined);
  const path = parseAbsolutePath(text);
  return path.ok ? path : fail(problem('publish.path', path.problem.message, `Check ${flag}.`));
}

const WEEK_SECONDS = 604_800;

function parseTtl(text: string): number | undefined {
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return seconds >= 1 && seconds <= WEEK_SECONDS ? seconds : undefined;
}

function parseServer(text: string): DnsServer | undefined {
  const match =
    /^\[([0-9a-fA-F:.]+)\](?::(\d{1,5}))?$/.exec(text) ??
    /^(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(text) ??
    /^([0-9a-fA-F.]*:[0-9a-fA-F:.]*)()$/.exec(text);
  const port = Number(match?.[2] || 53);
  return match?.[1] === undefined || port < 1 || port > 65_535 ? undefined : {address: match[1], port};
}

/** The text that `parsePublish` reads back to the same choice. */
export function formatPublish(choice: PublishChoice): string {
  const [way = '', ...rest] = wordsOf(choice);
  return [way, ...rest.map(([name, value]) => `${name}=${value}`)].join(' ');
}

/** Who it is, for a sentence. */
export function nameOfPublisher(choice: PublishChoice): string {
  switch (choice.by) {
    case 'manual':
      return 'you';
    case 'hook':
      return `the hook ${choice.path}`;
    case 'lexicon':
      return `lexicon at ${choice.provider}`;
    default:
      return choice.by;
  }
}

/** The words of a command line that give the same choice; none for the default. */
export function publishArgv(choice: PublishChoice): readonly string[] {
  if (choice.by === 'manual') return [];
  const [way = '', ...rest] = wordsOf(choice);
  return [
    '--publish',
    String(way),
    ...rest.flatMap(([name = '', value = '']) => [FLAG_OF[name] ?? '', value]),
  ];
}

function wordsOf(choice: PublishChoice): readonly [string, ...(readonly [string, string])[]] {
  switch (choice.by) {
    case 'manual':
      return ['manual'];
    case 'hook':
      return [`hook:${choice.path}`];
    case 'lexicon':
      return [
        `lexicon:${choice.provider}`,
        ...(choice.config === undefined ? [] : [['config', choice.config] as const]),
      ];
    case 'nsupdate':
    case 'knsupdate':
      return [
        choice.by,
        ...(choice.tsigKey === undefined ? [] : [['key', choice.tsigKey] as const]),
        ...(choice.server === undefined ? [] : [['server', serverText(choice.server)] as const]),
        ...(choice.ttlSeconds === undefined ? [] : [['ttl', String(choice.ttlSeconds)] as const]),
      ];
  }
}

const serverText = ({address, port}: DnsServer): string => {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === 53 ? host : `${host}:${port}`;
};
