/**
 * What waxseal says of a message, held against a real host: every configuration is applied, every message really sent,
 * caught where it leaves, and its signatures are verified. What is known of the daemons is a table of its own.
 */
import {describe, expect, test} from 'vitest';
import {
  type Agreement,
  agreement,
  describePrediction,
  describeTruth,
  type Prediction,
  question,
  type Truth,
} from './matrix/configuration.ts';
import {type MailHost, startMailHost} from './matrix/mail-host.ts';
import {type Change, describeChanges, type Round, rounds, together} from './matrix/random.ts';
import {rows} from './matrix/rows.ts';
import {releases} from './support/release.ts';
import {inWorld} from './support/world.ts';

/** WAXSEAL_MATRIX: a regular expression for the names of the rows that are wanted. */
const only = new RegExp(process.env['WAXSEAL_MATRIX'] ?? '');
/** One dead line among many words would be overlooked. */
const MINIMUM = 150;

const keysOf = ({signatures}: Truth): string =>
  signatures.map(({domain, selector}) => `${domain}/${selector}`).join(' ');

/** One line of the matrix. */
function line(asked: string, truth: Truth, prediction: Prediction): string {
  const because = prediction.because === '' ? '' : `  (${prediction.because})`;
  return `  ${agreement(question(asked), truth, prediction).padEnd(9)}  ${asked}: ${describeTruth(truth)} ${keysOf(truth)}  waxseal: ${describePrediction(prediction)} ${prediction.keys.join(' ')}${because}`;
}

/** Rounds of random configurations; WAXSEAL_SEED begins another sequence. */
const ROUNDS = Number(
  process.env['WAXSEAL_MATRIX_ROUNDS'] ?? ((process.env['WAXSEAL_LAB_ALL'] ?? '') === '' ? 40 : 200),
);
const SEED = Number(process.env['WAXSEAL_SEED'] ?? 1) || Date.now() % 1_000_000;

/** Lines of the matrix that disagree, and how many agree. */
async function compared(
  mail: MailHost,
  changes: readonly Change[],
  questions: readonly string[],
): Promise<{readonly disagreed: readonly string[]; readonly undecided: number}> {
  const {truths, predictions} = await mail.ask(together(changes), questions);
  const disagreed: string[] = [];
  let undecided = 0;
  for (const [at, words] of questions.entries()) {
    const [truth, prediction] = [truths[at], predictions[at]];
    if (truth === undefined || prediction === undefined) throw new Error('an answer is missing');
    const verdict = agreement(question(words), truth, prediction);
    if (verdict === 'undecided') undecided += 1;
    if (verdict === 'disagreed') disagreed.push(line(words, truth, prediction));
  }
  return {disagreed, undecided};
}

/** Leaves out one change after the other as long as one of the questions is still answered otherwise than by the host. */
async function reduced(mail: MailHost, {changes, questions}: Round): Promise<string> {
  let left = changes;
  let lines: readonly string[] = [];
  for (const change of changes) {
    const without = left.filter(each => each !== change);
    const {disagreed} = await compared(mail, without, questions);
    if (disagreed.length > 0) [left, lines] = [without, disagreed];
  }
  if (lines.length === 0) lines = (await compared(mail, left, questions)).disagreed;
  return [describeChanges(left), ...lines].join('\n');
}

describe.each(releases)('$name', release => {
  test('every row of the tables does what is known of it, and what waxseal says of it', () =>
    inWorld(release, async ({host, internet}) => {
      const mail = await startMailHost(host, internet.namespace);
      const wrong: string[] = [];
      const disagreed: string[] = [];
      const sums: Record<Agreement, number> = {agreed: 0, undecided: 0, disagreed: 0};
      try {
        for (const {expected, ...configuration} of rows.filter(({name}) => only.test(name))) {
          const asked = expected.map(each => each.slice(0, each.lastIndexOf(': ')));
          const {truths, predictions, milliseconds} = await mail.ask(configuration, asked);
          const lines = [`${configuration.name} (${milliseconds.join('+')} ms)`];
          for (const [at, known] of expected.entries()) {
            const [words = '', truth, prediction] = [asked[at], truths[at], predictions[at]];
            if (truth === undefined || prediction === undefined) throw new Error('an answer is missing');
            const said = `${words}: ${describeTruth(truth)}`;
            if (said !== known) wrong.push(`${configuration.name}: ${known} known, ${said}: ${truth.reply}`);
            lines.push(line(words, truth, prediction));
            const verdict = agreement(question(words), truth, prediction);
            sums[verdict] += 1;
            if (verdict === 'disagreed') disagreed.push(`${configuration.name}:${lines.at(-1)}`);
          }
          console.log(lines.join('\n'));
        }
      } finally {
        await mail.stop();
      }
      const {agreed, undecided} = sums;
      console.log(`${agreed} agreed, ${undecided} undecided, ${disagreed.length} disagreed`);
      expect(wrong).toEqual([]);
      expect(disagreed).toEqual([]);
      if (only.source === '(?:)') expect(agreed).toBeGreaterThan(MINIMUM);
    }));

  test(`${ROUNDS} random configurations do what waxseal says of them`, () =>
    inWorld(release, async ({host, internet}) => {
      const mail = await startMailHost(host, internet.namespace);
      const wrong: string[] = [];
      const sums = {asked: 0, undecided: 0};
      const sequence = rounds(SEED);
      try {
        for (let at = 1; at <= ROUNDS; at += 1) {
          const round: Round = sequence.next().value;
          const {disagreed, undecided} = await compared(mail, round.changes, round.questions);
          sums.asked += round.questions.length;
          sums.undecided += undecided;
          if (disagreed.length === 0) continue;
          wrong.push(`round ${at} of seed ${SEED}\n${await reduced(mail, round)}`);
          console.log(wrong.at(-1));
        }
      } finally {
        await mail.stop();
      }
      const {asked, undecided} = sums;
      console.log(`seed ${SEED}: ${asked} messages, ${undecided} undecided, ${wrong.length} rounds disagree`);
      expect(wrong).toEqual([]);
      expect(undecided).toBeLessThan(asked / 5);
    }));
});
