/** What to do about a mistake, in the words of the provider's panel where the provider is known. */
import {type DnsName, relativeTo} from '../domain/names.ts';
import type {Problem} from '../domain/result.ts';
import {adviceOf, recogniseProvider} from './provider.ts';

export interface Published {
  readonly name: DnsName;
  readonly expected: string;
  /** One entry a TXT record, its strings joined. */
  readonly records: readonly string[];
  /** The records' octets as they came, in the same order; for showing what a wrong character is made of. */
  readonly octets?: readonly Uint8Array[];
  /** The zone and its name servers, by which the provider is recognised. */
  readonly apex?: DnsName;
  readonly serverNames?: readonly string[];
  /** Values published earlier, as of the selector before this one. */
  readonly formerValues?: readonly string[];
}

/** Says what is wrong with a record that is not the one it should be; undefined where it is not this mistake. */
export type Rule = (found: string, published: Published) => Problem | undefined;

/** How this record is entered at the provider at hand; empty where the provider is not known. */
export function atProvider({name, expected, apex, serverNames}: Omit<Published, 'records'>): string {
  const provider = recogniseProvider(serverNames ?? []);
  if (provider === undefined || apex === undefined) return '';
  const advice = adviceOf(provider, {
    relativeName: relativeTo(name, apex),
    absoluteName: name,
    valueOctets: Buffer.byteLength(expected),
  });
  return ` At ${provider.name}: ${advice.join(' ')}`;
}

/** The commonest repair; `more` comes before what the provider wants. */
export const replaceIt = (published: Published, more = ''): string =>
  `Replace the TXT record at ${published.name} by the one shown.${more === '' ? '' : ` ${more}`}${atProvider(published)}`;
