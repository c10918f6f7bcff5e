/** Servers that were given up in a run, as a person and the JSON contract see them. */
import {command} from '../domain/command.ts';
import {counted, visible} from '../domain/text.ts';
import {checkFrom, warned} from '../proof/finding.ts';
import type {Check} from '../proof/proof.ts';
import type {SilentFacts} from '../rotation/index.ts';

const DNS_PORT = 53;

/** One sentence a server: `10.53.0.53 didn't answer 20 queries in a row; 980 records weren't checked.` */
export const silentLines = (silent: readonly SilentFacts[] = []): readonly string[] =>
  silent.map(({address, port, unanswered, records}) => {
    const where = visible(port === DNS_PORT ? address : `${address} port ${port}`);
    const what = `${counted(records, 'record')} ${records === 1 ? "wasn't" : "weren't"} checked`;
    return `${where} didn't answer ${counted(unanswered, 'query', 'queries')} in a row; ${what}.`;
  });

/** One warning a server: `dns.unasked`. */
export const silentChecks = (silent: readonly SilentFacts[] = []): readonly Check[] =>
  silentLines(silent).map((cause, at) => {
    const {address = '', records = 0} = silent[at] ?? {};
    const fix = `Check that it runs and that this host reaches it: ${command('dig', `@${address}`, '.', 'NS')}`;
    const finding = warned(counted(records, 'record'), cause, fix);
    return checkFrom('dns.unasked', `DNS server ${visible(address)}`, finding);
  });
