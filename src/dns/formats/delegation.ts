/**
 * One record in the DNS of the mail domain that sends receivers to another zone, where the keys are kept: published
 * once, after that every rotation happens in the other zone alone. waxseal follows all three when it looks.
 */
import {type DnsName, isWithin} from '../../domain/names.ts';
import {fail, ok, problem, type Result} from '../../domain/result.ts';
import type {RecordForms} from '../survey.ts';

/**
 * `cname`: one selector. `dname`: every selector (RFC 6672). `ns`: `_domainkey` becomes a zone of its own, on the
 * servers that are named.
 */
export type DelegationKind = 'cname' | 'dname' | 'ns';

const TTL = 3600;

/** The records as zone file lines, each with what it is for, and where the key goes then. */
export function delegation(
  kind: DelegationKind,
  record: Pick<RecordForms, 'absoluteName' | 'strings' | 'zoneFile'>,
  targets: readonly DnsName[],
): Result<string> {
  const [target] = targets;
  const name = record.absoluteName;
  const at = name.lastIndexOf('_domainkey.');
  if (target === undefined || target === '' || at < 0) {
    return fail(
      problem(
        'format.target',
        'A delegation needs to know where to.',
        kind === 'ns'
          ? 'Name the servers: --target ns1.example.net --target ns2.example.net.'
          : 'Name a zone of yours: --target keys.example.net.',
      ),
    );
  }
  if (isWithin(target, name.slice(at)) && kind !== 'ns') {
    return fail(
      problem(
        'format.target-within',
        `${target} is below ${name.slice(at)}: the alias would run in a circle.`,
        'Name a zone elsewhere.',
      ),
    );
  }
  const subtree = name.slice(at);
  const domain = subtree.slice('_domainkey.'.length);
  const move = (to: string): string => record.zoneFile.replace(`${name}. `, `${to}. `);
  switch (kind) {
    case 'cname': {
      const there = `${name.slice(0, at)}${domain}.${target}`;
      return ok(
        [
          `; Once, in the DNS of ${domain}. Rotation needs one such alias for each selector.`,
          `${name}. ${TTL} IN CNAME ${there}.`,
          `; In ${target}: the key. A program may change it there (--publish), the mail domain stays as it is.`,
          move(there),
        ].join('\n'),
      );
    }
    case 'dname': {
      const there = `${domain}.${target}`;
      return ok(
        [
          `; Once, in the DNS of ${domain}: every selector, now and later, is looked up below ${there}.`,
          `${subtree}. ${TTL} IN DNAME ${there}.`,
          `; In ${target}: the key. New selectors need nothing but a record there.`,
          move(`${name.slice(0, at)}${there}`),
        ].join('\n'),
      );
    }
    case 'ns':
      return ok(
        [
          `; Once, in the DNS of ${domain}: everything at and below _domainkey is asked at these servers.`,
          ...targets.map(server => `${subtree}. ${TTL} IN NS ${server}.`),
          `; In the zone ${subtree} on them: the key. New selectors need nothing but a record there.`,
          record.zoneFile,
        ].join('\n'),
      );
  }
}
