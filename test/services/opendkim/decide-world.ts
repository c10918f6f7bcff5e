/** A host in memory whose OpenDKIM is asked by its configuration. */
import {generateKeyPairSync} from 'node:crypto';
import {absolute} from '../../../src/domain/paths.ts';
import {type KnownHost, openDkimSigners} from '../../../src/services/opendkim/decide/read.ts';
import type {OpenDkimFacts} from '../../../src/services/opendkim/facts.ts';
import type {SignerView, SigningAnswer} from '../../../src/services/signer.ts';
import {type FakeHost, fakeHost} from '../../support/fake-host.ts';

export const CONFIG = '/etc/opendkim.conf';

const pem = (bits: number): string =>
  generateKeyPairSync('rsa', {
    modulusLength: bits,
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
    publicKeyEncoding: {type: 'spki', format: 'pem'},
  }).privateKey;

export const KEYS = {
  rsa: pem(1024),
  short: pem(512),
  ed25519: generateKeyPairSync('ed25519', {
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
    publicKeyEncoding: {type: 'spki', format: 'pem'},
  }).privateKey,
};

/** Owned by the account of OpenDKIM, as Debian has it. */
export const OWN = {mode: 0o600, uid: 104, gid: 110};

export interface World {
  readonly conf: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Last changes to the tree. */
  readonly change?: (host: FakeHost) => void;
  readonly facts?: Partial<OpenDkimFacts>;
  readonly layout?: KnownHost['layout'];
}

/** Every OpenDKIM of a host with these files; a key lies at /etc/dkimkeys/k. */
export async function signersOf({
  conf,
  files = {},
  change,
  facts = {},
  layout = undefined,
}: World): Promise<readonly SignerView[]> {
  const host = fakeHost();
  host.files.put(CONFIG, `UserID opendkim\n${conf}\n`);
  host.files.put('/etc/dkimkeys/k', KEYS.rsa, OWN);
  for (const [path, content] of Object.entries(files)) host.files.put(path, content);
  change?.(host);
  const opendkim = {
    configFile: absolute(CONFIG),
    version: '2.11.0',
    unit: 'opendkim.service',
    active: true,
    ...facts,
  };
  return await openDkimSigners(host, {signer: opendkim, layout, serviceManager: 'systemd'});
}

export async function signerOf(world: World): Promise<SignerView> {
  const [first] = await signersOf(world);
  if (first === undefined) throw new TypeError('no signer');
  return first;
}

export interface Mail {
  readonly from?: string;
  readonly sender?: string;
  readonly address?: string;
  readonly name?: string;
  readonly macros?: Readonly<Record<string, string>>;
  readonly to?: readonly string[];
}

export function ask(signer: SignerView, mail: Mail = {}): SigningAnswer {
  const {from = 'alice@example.com', address = '127.0.0.1', macros = {}, to = ['bob@example.net']} = mail;
  return signer.wouldSign({
    from,
    ...(mail.sender === undefined ? {} : {sender: mail.sender}),
    client: {name: mail.name ?? (address === '127.0.0.1' ? 'localhost' : `[${address}]`), address},
    macros: new Map(Object.entries(macros)),
    recipients: to,
  });
}

/** `signed example.com/s1`, or the outcome alone. */
export const short = ({outcome, by}: SigningAnswer): string =>
  [outcome, ...by.map(({domain, selector}) => `${domain}/${selector}`)].join(' ');

export const last = (answer: SigningAnswer): string => answer.decisions.at(-1)?.says ?? '';
