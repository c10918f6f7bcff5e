/** Servers that were given up in a run, as a person and the JSON contract see them. */
import {command} from '../domain/command.ts';
import {visible} from '../domain/text.ts';
import type {Check} from '../proof/proof.ts';
import type {SilentFacts} from '../rotation/index.ts';

const counted = (count: number, one: string, many: string): string =>
  `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;

const DNS_PORT = 53;

/** One sentence a server: `10.53.0.53 didn't answer 20 queries in a row; 980 records weren't checked.` */
export const silentLines = (silent: readonly SilentFacts[] = []): readonly string[] =>
  silent.map(({address, port, unanswered, records}) => {
    const where = visible(port === DNS_PORT ? address : `${address} port ${port}`);
    const what = `${counted(records, 'record', 'records')} ${records === 1 ? "wasn't" : "weren't"} checked`;
    return `${where} didn't answer ${counted(unanswered, 'query', 'queries')} in a row; ${what}.`;
  });

/** One warning a server: `dns.unasked`. */
export const silentChecks = (silent: readonly SilentFacts[] = []): readonly Check[] =>
  silentLines(silent).map((cause, at) => ({
    id: 'dns.unasked',
    title: `DNS server ${visible(silent[at]?.address ?? '')}`,
    status: 'warn',
    evidence: counted(silent[at]?.records ?? 0, 'record', 'records'),
    cause,
    fix: `Check that it runs and that this host reaches it: ${command('dig', `@${silent[at]?.address ?? ''}`, '.', 'NS')}`,
  }));
