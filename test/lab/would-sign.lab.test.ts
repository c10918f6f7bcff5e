/**
 * What is known of the way of mail, held against a real host: every configuration is applied, every message really sent,
 * caught where it leaves, and its signatures are verified.
 */
import {describe, expect, test} from 'vitest';
import {describeTruth} from './matrix/configuration.ts';
import {startMailHost} from './matrix/mail-host.ts';
import {rows} from './matrix/rows.ts';
import {releases} from './support/release.ts';
import {inWorld} from './support/world.ts';

const only = process.env['WAXSEAL_MATRIX'] ?? '';
/** One dead line among many words would be overlooked. */
const MINIMUM = 150;

describe.each(releases)('$name', release => {
  test('every row of the tables does what is known of it', () =>
    inWorld(release, async ({host}) => {
      const mail = await startMailHost(host);
      const wrong: string[] = [];
      let count = 0;
      try {
        for (const {expected, ...configuration} of rows.filter(({name}) => name.includes(only))) {
          const asked = expected.map(line => line.slice(0, line.lastIndexOf(': ')));
          const {truths, milliseconds} = await mail.ask(configuration, asked);
          const lines = [`${configuration.name} (${milliseconds.join('+')} ms)`];
          for (const [at, line] of expected.entries()) {
            const truth = truths[at];
            if (truth === undefined) throw new Error('an answer is missing');
            const said = `${asked[at]}: ${describeTruth(truth)}`;
            count += 1;
            const keys = truth.signatures.map(({domain, selector}) => `d=${domain} s=${selector}`).join(', ');
            lines.push(
              `  ${said === line ? 'as known' : 'DIFFERENT'}  ${said}${keys === '' ? '' : `  (${keys})`}`,
            );
            if (said !== line) wrong.push(`${configuration.name}: ${line} expected, ${said}: ${truth.reply}`);
          }
          console.log(lines.join('\n'));
        }
      } finally {
        mail.stop();
      }
      console.log(`${count} messages, ${wrong.length} not as known`);
      expect(wrong).toEqual([]);
      if (only === '') expect(count).toBeGreaterThan(MINIMUM);
    }));
});
