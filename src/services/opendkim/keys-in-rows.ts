/** Which rows of a key table hold a certain key: by the record that verifies it, and by the file. */
import {command} from '../../domain/command.ts';
import type {DomainName, Selector} from '../../domain/names.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {entryOf} from '../files.ts';
import type {WantedDomain} from '../intent.ts';
import type {OpenDkimHost} from './host.ts';
import type {ReplacedLabels} from './tables/edit.ts';
import type {KeyRow} from './tables/rows.ts';

export interface KeyUse {
  readonly labels: ReplacedLabels;
  /** Rows that sign as other domains with the same key. */
  readonly others: readonly KeyRow[];
}

/**
 * Finds the rows of the key `selector` of a domain: those of its record, whatever file they name, and those that name the
 * same key under another selector or domain (the same file, a link to it, or a copy octet for octet). Each question
 * costs what it finds, so that ten thousand domains can be asked for.
 */
export function createKeyFinder(
  host: OpenDkimHost,
  rows: readonly KeyRow[],
): (domain: DomainName, selector: Selector) => KeyUse {
  const byDomain = new Map<string, KeyRow[]>();
  const byMark = new Map<string, KeyRow[]>();
  const add = (index: Map<string, KeyRow[]>, key: string, row: KeyRow): void => {
    const same = index.get(key);
    if (same === undefined) index.set(key, [row]);
    else same.push(row);
  };
  for (const row of rows) {
    add(byDomain, signerOf(row), row);
    if (signerOf(row) !== ANY) for (const mark of marksOf(host, row, signerOf(row))) add(byMark, mark, row);
  }
  const forAny = byDomain.get(ANY) ?? [];
  return (domain, selector) => {
    const named = [...(byDomain.get(domain) ?? []), ...forAny].filter(
      row => row.selector.toLowerCase() === selector,
    );
    const marks = new Set(named.flatMap(row => marksOf(host, row, domain)));
    const found = new Set([
      ...named,
      ...[...marks].flatMap(mark => byMark.get(mark) ?? []),
      ...forAny.filter(row => marksOf(host, row, domain).some(mark => marks.has(mark))),
    ]);
    const labels = (signer: string): ReadonlySet<string> =>
      new Set([...found].filter(row => signerOf(row) === signer).map(({label}) => label));
    return {
      labels: {own: labels(domain), anyDomain: labels(ANY)},
      others: [...found].filter(row => ![domain, ANY].includes(signerOf(row))),
    };
  };
}

/** As the domain of the sender. */
const ANY = '%';

const signerOf = (row: KeyRow): string => row.domain.toLowerCase();

/** The file behind a row, links resolved, and its content; a key that stands in the row itself is its own mark. */
function marksOf(host: OpenDkimHost, row: KeyRow, domain: string): readonly string[] {
  const path = parseAbsolutePath(row.path.replaceAll('%', domain));
  if (!path.ok) return [row.path];
  const {path: real, sha256} = entryOf(host.snapshot, path.value);
  return sha256 === '' ? [real] : [real, sha256];
}

const NAMED = 3;

/** Other domains that sign with a replaced key: they have records of their own and keep it. */
export function sharedKeyRemarks(
  keyTable: AbsolutePath,
  find: ReturnType<typeof createKeyFinder>,
  wanted: readonly WantedDomain[],
): readonly Problem[] {
  const moving = new Set<string>(wanted.map(({domain}) => domain));
  return wanted.flatMap(({domain, replaces}) => {
    const others =
      replaces === undefined ? [] : find(domain, replaces).others.filter(row => !moving.has(signerOf(row)));
    if (others.length === 0) return [];
    const places = others.slice(0, NAMED).map(row => `${visible(row.domain)} (${keyTable}:${row.line + 1})`);
    const more = others.length > NAMED ? ` and ${others.length - NAMED} more` : '';
    return [
      problem(
        'opendkim.shared-key',
        `The old key of ${domain} also signs for ${places.join(', ')}${more}; that mail keeps it.`,
        `Rotate it there too: ${command('waxseal', 'rotate', '--domain', others[0]?.domain ?? '')}`,
      ),
    ];
  });
}
