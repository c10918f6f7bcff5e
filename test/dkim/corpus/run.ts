import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {createKeyCache, type SignatureVerdict, verifyMessage} from '../../../src/dkim/index.ts';
import {
  type CorpusCase,
  optionsFor,
  pieces,
  readCases,
  readJson,
  type Score,
  score,
  seeded,
} from './cases.ts';
import {checkVectors} from './vectors.ts';

/** What came out of a run over a corpus. */
export interface CorpusReport {
  readonly cases: number;
  readonly signatures: number;
  readonly counts: Readonly<Record<Score, number>>;
  /** Disagreements with cases whose expectation the corpus itself calls disputed; they do not count above. */
  readonly disputed: number;
  /** Verdicts that changed with the way the message was cut. */
  readonly unstable: number;
  /** Canonical header and body inputs compared, and how many differ. */
  readonly inputs: {readonly compared: number; readonly wrong: number};
  readonly vectors: {readonly compared: number; readonly wrong: number};
  /** A line for each disagreement. */
  readonly lines: readonly string[];
}

interface HashInput {
  readonly id: string;
  readonly sig: number;
  readonly canonical_body_length: number;
  readonly hashed_body_length: number;
  readonly canonical_body_sha256: string;
  readonly header_input_length: number;
  readonly header_input_sha256: string;
}

const words = (verdicts: readonly SignatureVerdict[]): string => verdicts.map(one => one.result).join(',');

/** Runs every case whole, octet by octet and in random pieces, and compares the hash inputs and unit vectors. */
export async function runCorpus(directory: string): Promise<CorpusReport> {
  const cases = readCases(directory);
  const counts = {ok: 0, soft: 0, hard: 0};
  const lines: string[] = [];
  let signatures = 0;
  let disputed = 0;
  let unstable = 0;
  const keyCache = createKeyCache();
  const random = seeded(20_261_121);
  for (const one of cases) {
    const message = readFileSync(path.join(directory, one.file));
    const options = {...optionsFor(one), keyCache};
    const whole = await verifyMessage(message, options);
    signatures += one.expected.length;
    const outcome = score(one, whole);
    if (one.disputed !== undefined && outcome !== 'ok') {
      disputed++;
      lines.push(line('disputed', one, whole));
    } else {
      counts[outcome]++;
      if (outcome !== 'ok') lines.push(line(outcome, one, whole));
    }
    for (const size of [() => 1, () => Math.ceil(random() * 7), () => Math.ceil(random() * 300)]) {
      const cut = await verifyMessage(pieces(message, size), options);
      if (JSON.stringify(cut) !== JSON.stringify(whole)) {
        unstable++;
        lines.push(`unstable  ${one.id}: whole ${words(whole)}, cut ${words(cut)}`);
      }
    }
  }
  const inputs = await compareInputs(directory, cases, lines);
  const vectors = checkVectors(readJson(directory, 'vectors.json'), lines);
  return {cases: cases.length, signatures, counts, disputed, unstable, inputs, vectors, lines};
}

const line = (kind: string, one: CorpusCase, got: readonly SignatureVerdict[]): string =>
  `${kind.padEnd(9)} ${one.id}: expected ${one.expected.map(each => `${each.result} (${each.why ?? ''})`).join(', ')}; ` +
  `got ${got.map(each => `${each.result} (${each.reason.id})`).join(', ')}`;

async function compareInputs(
  directory: string,
  cases: readonly CorpusCase[],
  lines: string[],
): Promise<{compared: number; wrong: number}> {
  const byId = new Map(cases.map(one => [one.id, one]));
  let compared = 0;
  let wrong = 0;
  for (const input of readJson<readonly HashInput[]>(directory, 'hash_inputs.json')) {
    const one = byId.get(input.id);
    if (one === undefined) continue;
    const message = readFileSync(path.join(directory, one.file));
    const verdicts = await verifyMessage(message, {...optionsFor(one), explain: {bodyOctets: 1 << 27}});
    const verdict = verdicts[input.sig];
    const explanation = verdict?.explanation;
    compared++;
    const header = explanation?.headerInput ?? Buffer.alloc(0);
    const same =
      header.length === input.header_input_length &&
      createHash('sha256').update(header).digest('hex') === input.header_input_sha256 &&
      explanation?.bodyInputLength === input.hashed_body_length &&
      verdict?.body?.canonical === input.canonical_body_length &&
      // The corpus gives the hash of the whole canonical body, the engine that of what l= covers.
      (input.hashed_body_length !== input.canonical_body_length ||
        Buffer.from(explanation?.bodyHash ?? '', 'base64').toString('hex') === input.canonical_body_sha256);
    if (!same) {
      wrong++;
      lines.push(`input     ${input.id} signature ${input.sig}: the hash input differs`);
    }
  }
  return {compared, wrong};
}
