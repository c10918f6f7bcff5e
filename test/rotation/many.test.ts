/** Ten thousand domains on one host: the work grows with their number, not with its square. */
import {describe, expect, it} from 'vitest';
import {dueReports} from '../../src/cli/due-report.ts';
import {parseDomain} from '../../src/domain/names.ts';
import {hubRows} from '../../src/flow/hub.ts';
import {DEFAULT_SETTINGS, due} from '../../src/rotation/index.ts';
import {keyIn, NOW, take} from './keys.ts';

describe('many domains', () => {
  it('cost as much each as one: what comes next is a question to the keys of its own domain', () => {
    const COUNT = 400;
    let looks = 0;
    const keys = Array.from({length: COUNT}, (_, at) => at).flatMap(at =>
      (['active', 'retiring', 'ready'] as const).map(state => {
        const key = keyIn(state, state);
        const domain = take(parseDomain(`d${at}.example.org`));
        return Object.defineProperty({...key}, 'domain', {
          enumerable: true,
          get: () => {
            looks += 1;
            return domain;
          },
        });
      }),
    );
    const facts = {
      now: new Date(NOW),
      settings: DEFAULT_SETTINGS,
      queue: {known: true, lifetimeSeconds: 432_000, bounceSeconds: 432_000},
      records: new Map(),
      inUse: new Map(),
    } as const;
    const all = due({keys}, facts);
    expect(all).toHaveLength(3 * COUNT);
    hubRows({keys}, all, new Date(NOW), () => '');
    expect(dueReports({keys}, all, new Date(NOW))).toHaveLength(3 * COUNT);
    expect(looks).toBeLessThan(keys.length * 50);
  });
});
