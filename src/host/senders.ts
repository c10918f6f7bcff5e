/** One address for every row that signs: the address that stands for all that the row covers. Pure. */
import {parseDomain} from '../domain/names.ts';
import type {SignerView, SigningRow} from '../services/signer.ts';
import {filterOf, type HostPicture, signerAt} from './picture.ts';

export interface OwnSender {
  /** An address that the row is there for. */
  readonly address: string;
  readonly row: SigningRow;
  readonly signer: SignerView;
}

/** Stands for whatever a star may be. */
const ANYTHING = 'x';
/** A name that no host has (RFC 6761 §6.4), for rows that cover every domain. */
const ANY_DOMAIN = 'waxseal.invalid';

/**
 * Signers that count: those that run, and those that the MTA hands mail to. A configuration that lies beside them makes
 * no promise about anybody's mail.
 */
export function signersInUse({signers, entrances}: Wanted): readonly SignerView[] {
  const reached = new Set(
    entrances.flatMap(({passes}) =>
      passes.flatMap(pass => [
        ...('fatal' in pass.milters ? [] : pass.milters.flatMap(hop => signerAt(signers, hop) ?? [])),
        ...[filterOf(signers, pass)].flatMap(filter => filter ?? []),
      ]),
    ),
  );
  return signers.filter(signer => signer.isRunning || reached.has(signer));
}

type Wanted = Pick<HostPicture, 'signers' | 'entrances'>;

/** In the order of the rows; an address once. Rows whose text can be no address have none. */
export function ownSenders(picture: Wanted): readonly OwnSender[] {
  const seen = new Set<string>();
  return signersInUse(picture).flatMap(signer =>
    signer.rows.flatMap(row => {
      const address = sampleOf(row.pattern);
      if (address === undefined || seen.has(address)) return [];
      seen.add(address);
      return [{address, row, signer}];
    }),
  );
}

/** `*@example.org`, `example.org` and `.example.org`, whole addresses, and stars anywhere in them. */
export function sampleOf(pattern: string): string | undefined {
  const text = pattern.toLowerCase();
  const at = text.lastIndexOf('@');
  const local = at < 0 ? '*' : text.slice(0, at);
  const host = text.slice(at + 1);
  const mailbox = local === '*' || local === '' ? 'postmaster' : local.replace(/\*+/g, ANYTHING);
  const domain =
    host === '*'
      ? ANY_DOMAIN
      : (host.startsWith('.') ? `${ANYTHING}${host}` : host).replace(/\*+/g, ANYTHING);
  const name = parseDomain(domain);
  if (!name.ok || !/^[a-z0-9!#$%&'+/=?^_`{|}~.-]+$/.test(mailbox)) return undefined;
  return `${mailbox}@${name.value}`;
}
