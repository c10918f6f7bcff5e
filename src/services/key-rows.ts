/** The rows that programs sign by, and the keys behind them, read as a daemon would: links resolved, whatever they lead to. */
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {privateFingerprint} from '../keys/index.ts';
import type {FileStat, Files} from '../system/ports.ts';
import type {Rival} from './facts.ts';
import {filledPaths} from './filled-paths.ts';

/** One place of a configuration that makes a program on this host sign. */
export interface SignerRow {
  /** The program, as its makers write it. */
  readonly signer: string;
  /** Where it stands, made harmless; a line counts from 1. */
  readonly file: string;
  readonly line?: number;
  /** What stands there, made harmless: the row, or the name of a parameter. Never a key. */
  readonly what: string;
  /** The domain that it signs as (d=), lower case, where that is one. */
  readonly domain?: string;
  readonly selector?: string;
  readonly key: RowKey;
}

/** What is behind a row. Not known: it cannot be read, is missing, or is kept where waxseal does not look. */
export type RowKey =
  | {
      readonly known: true;
      /** As `KeyDescription.fingerprint`. */
      readonly fingerprint: string;
    }
  | {readonly known: false; readonly why: string};

/** No private key is longer. */
const MOST_OCTETS = 65_536;

export type KeyFiles = Pick<Files, 'inspect' | 'list' | 'resolve'>;

export interface KeyReader {
  /**
   * The keys behind a path of a configuration. Parts that a daemon fills in (`%`, `$domain`, `$selector`) match any
   * text without a slash: then every file that is there counts.
   */
  read(text: string, placeholders?: RegExp): Promise<readonly RowKey[]>;
}

/** @param seen fingerprints of files that were read before, by what they were then; may be kept for one run */
export function createKeyReader(files: KeyFiles, seen = new Map<string, RowKey>()): KeyReader {
  const byPath = new Map<string, Promise<RowKey>>();
  const once = (path: AbsolutePath): Promise<RowKey> => {
    const before = byPath.get(path) ?? readFile(files, path, seen);
    byPath.set(path, before);
    return before;
  };
  return {
    async read(text, placeholders) {
      if (text.split('/').includes('..')) return [unknown('leads upward ("..")')];
      const path = parseAbsolutePath(text);
      if (!path.ok) return [unknown('is no absolute path')];
      if (placeholders?.test(text) !== true) return [await once(path.value)];
      const paths = await filledPaths(files, path.value, placeholders);
      return await Promise.all(paths.map(once));
    },
  };
}

/** A program of which the keys are not read may use any, unless it does not sign. */
export const unreadRow = ({program, evidence, signs}: Rival): readonly SignerRow[] =>
  signs === 'no'
    ? []
    : [{signer: program, file: evidence, what: 'its configuration', key: unknown('is not read by waxseal')}];

export const unknown = (why: string): RowKey => ({known: false, why});

async function readFile(files: KeyFiles, path: AbsolutePath, seen: Map<string, RowKey>): Promise<RowKey> {
  try {
    const found = await files.inspect(path, {follow: true});
    if (found === undefined) return unknown(`names ${path}, which is missing`);
    const {content, stat} = found;
    const mark = markOf(path, stat);
    const before = seen.get(mark);
    if (before !== undefined) return before;
    const fingerprint = content.length > MOST_OCTETS ? undefined : privateFingerprint(content);
    const key: RowKey =
      fingerprint === undefined
        ? unknown(`names ${path}, which holds no private key that can be read`)
        : {known: true, fingerprint};
    seen.set(mark, key);
    return key;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return unknown(`names ${path}, which cannot be read`);
  }
}

const markOf = (path: AbsolutePath, {device, inode, size, modifiedMs}: FileStat): string =>
  `${path} ${device} ${inode} ${size} ${modifiedMs}`;
