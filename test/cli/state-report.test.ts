import {expect, it} from 'vitest';
import {byHandReport} from '../../src/cli/state-report.ts';
import {absolute} from '../../src/domain/paths.ts';

const keyOf = (program: string): Parameters<typeof byHandReport>[0] => ({
  ...{domain: 'example.org', selector: 's1', keyPath: absolute('/etc/dkim/s1.key'), program},
  key: {known: false, why: 'is missing'},
  row: {
    ...{pattern: '*@example.org', domain: 'example.org', selector: 's1', keyPath: undefined},
    source: {by: 'default', program},
  },
});

it('offers to adopt a key of the signer that is set up, and no other', () => {
  expect(byHandReport(keyOf('OpenDKIM')).nextStep).toMatch(/sudo waxseal adopt --domain example\.org$/);
  expect(byHandReport(keyOf('rspamd')).nextStep).toBe("waxseal doesn't rotate keys of rspamd.");
});
