import type {KeyLookup} from '../../src/dkim/index.ts';
import type {DnsName} from '../../src/domain/names.ts';

/** A lookup that knows only the given records: for proving a key against the record that is to be published. */
export const verifyAgainst =
  (records: Readonly<Record<DnsName, string>>): KeyLookup =>
  name => {
    const text = Object.hasOwn(records, name) ? records[name] : undefined;
    return Promise.resolve(text === undefined ? {status: 'absent'} : {status: 'found', records: [text]});
  };
