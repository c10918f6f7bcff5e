/** A milter that signs with the engine: mail of internal and logged-in clients, by the domain of From. */
import type {KeyObject} from 'node:crypto';
import {type Canonicalization, signMessageSync} from '../../src/dkim/index.ts';
import type {DomainName, Selector} from '../../src/domain/names.ts';
import type {MilterHandler, MilterSession} from '../../src/milter/server.ts';

export interface SigningKey {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly key: KeyObject;
}

export interface SigningOptions {
  /** The keys that sign for a From domain (lower case); none: the message is let through unsigned. */
  readonly keysFor: (fromDomain: string) => readonly SigningKey[];
  /** Clients whose mail is signed; default 127.0.0.1 and ::1. */
  readonly isInternal?: (address: string) => boolean;
  /** Default relaxed/simple. */
  readonly canonicalization?: Canonicalization;
  /** Seconds since 1970, for t=. */
  readonly now: () => number;
}

const LOOPBACK: readonly string[] = ['127.0.0.1', '::1'];

/** A handler for `serveMilter` that signs at the end of the message. */
export const signingMilter =
  (options: SigningOptions): MilterHandler =>
  (step, session) => {
    if (step !== 'end-of-message') return {verdict: 'continue'};
    if (!isTrusted(options, session)) return {verdict: 'accept'};
    const insert = options.keysFor(fromDomain(session)).map(({domain, selector, key}) => {
      const field = signMessageSync(octetsOf(session), {
        domain,
        selector,
        key,
        canonicalization: options.canonicalization ?? {header: 'relaxed', body: 'simple'},
        timestamp: options.now(),
      });
      const colon = field.indexOf(':');
      return {name: field.slice(0, colon), value: field.slice(colon + 1).replace(/^ /, '')};
    });
    return {verdict: 'accept', insert};
  };

const isTrusted = (options: SigningOptions, session: MilterSession): boolean =>
  (session.macros['{auth_type}'] ?? '') !== '' ||
  (options.isInternal?.(session.client.address) ?? LOOPBACK.includes(session.client.address));

/** Domain of the first address of the first From field; '' where there is none. */
function fromDomain(session: MilterSession): string {
  const from = session.headers.find(field => field.name.toLowerCase() === 'from')?.value ?? '';
  const address = /<([^<>]*)>/.exec(from)?.[1] ?? from.trim();
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

function octetsOf(session: MilterSession): Uint8Array {
  const header = session.headers
    .map(field => `${field.name}: ${field.value.replaceAll(/\r?\n/g, '\r\n')}\r\n`)
    .join('');
  return Buffer.concat([Buffer.from(`${header}\r\n`, 'latin1'), session.body]);
}
