/** Which signatures a message is to get: Domain or SigningTable, and what KeyTable says of the key. */
import {type AbsolutePath, parseAbsolutePath} from '../../../domain/paths.ts';
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {KeyState} from '../../key-look.ts';
import type {SignedBy, SigningRow} from '../../signer.ts';
import {fillIn, isPath, keyFields, signingFields} from '../tables/rows.ts';
import type {Author} from './author.ts';
import {lowerCase, type SetKind, type SetRow} from './data-set.ts';
import type {NamedSet} from './model.ts';
import type {Setting} from './settings.ts';
import type {Outcome, Trace} from './trace.ts';

/** A signature that was asked for, with the key that is to make it. */
export interface Request {
  readonly by: SignedBy;
  /** The address of the signer (i=), '' where the row names none. */
  readonly signer: string;
  readonly key: KeyState;
  readonly decision: Decision;
}

/** The signatures to make; an outcome where there are none. */
export function findRequests(trace: Trace, author: Author, requests: Request[]): Outcome | undefined {
  const signing = trace.set('SigningTable');
  const keys = trace.set('KeyTable');
  // Domain is not even opened where there is a KeyTable (dkimf_config_load).
  if (keys === undefined) return byDomain(trace, author, requests);
  if (signing === undefined) return 'unsigned';
  return bySigningTable(trace, author, signing, keys, requests);
}

function byDomain(trace: Trace, author: Author, requests: Request[]): Outcome | undefined {
  const domains = trace.set('Domain');
  if (domains === undefined) {
    trace.note(
      {name: 'Domain', value: '', source: trace.byDefault()},
      'OpenDKIM has no key: neither KeyTable nor Domain is set.',
    );
    return 'unsigned';
  }
  if (domains.set === undefined) return trace.unread(domains.setting, trace.unreadable(domains));
  const tried = [author.domain, '*', ...(trace.flag('SubDomains', false) ? parentsOf(author.domain) : [])];
  for (const name of tried) {
    const row = domains.set.first(name);
    if (row === 'unread') return trace.unread(domains.setting, trace.unreadable(domains));
    if (row === undefined) continue;
    const signsAs = name === '*' ? author.domain : name;
    const location = trace.setting('KeyFile')?.value;
    const selector = trace.setting('Selector')?.value;
    const decision = trace.note(
      domains.setting,
      `${visible(author.domain)} is in Domain, so it signs as ${visible(signsAs)}.`,
      row,
    );
    if (location === undefined || selector === undefined) {
      trace.note(domains.setting, 'KeyFile or Selector is not set, so OpenDKIM refuses the mail.');
      return 'refused';
    }
    const domain = row.key.includes('*') ? '%' : row.key;
    const of = signingRow(row, {domain, selector, location});
    const by = {domain: lowerCase(signsAs), selector: lowerCase(selector), keyPath: of.keyPath, row: of};
    requests.push({by, signer: '', key: trace.model.keyState(location), decision});
    return undefined;
  }
  trace.note(domains.setting, `${visible(author.domain)} isn't in Domain, so its mail isn't signed.`);
  return 'unsigned';
}

/** dkimf_apply_signtable. */
function bySigningTable(
  trace: Trace,
  author: Author,
  signing: NamedSet,
  keys: NamedSet,
  requests: Request[],
): Outcome | undefined {
  if (signing.set === undefined) return trace.unread(signing.setting, trace.unreadable(signing));
  const {set, setting} = signing;
  const texts = textsFor(set.kind, author.address);
  const found = set.kind === 'refile' ? texts.flatMap(set.all) : texts.flatMap(text => set.first(text) ?? []);
  const rows = trace.flag('MultipleSignatures', false) ? found : found.slice(0, 1);
  if (rows.length === 0) {
    trace.note(
      setting,
      `No row of SigningTable is for ${visible(author.address)}, so its mail isn't signed.`,
    );
    return 'unsigned';
  }
  for (const row of rows) {
    if (row === 'unread') return trace.unread(setting, trace.unreadable(signing));
    const end = byRow(trace, author, setting, row, keys, requests);
    if (end !== undefined) return end;
  }
  return undefined;
}

/** dkimf_add_signrequest: whatever is wrong here stops the mail, even where Mode is v. */
function byRow(
  trace: Trace,
  author: Author,
  setting: Setting,
  row: SetRow,
  keys: NamedSet,
  requests: Request[],
): Outcome | undefined {
  const {label: written, signer} = signingFields(row.value);
  const label = written === '%' ? author.domain : written;
  const at = {...setting, name: visible(row.key), value: visible(row.value), source: row.source};
  if (written === '') {
    trace.note(at, 'This row of SigningTable names no key, and OpenDKIM dies of the mail.');
    trace.dies = true;
    return 'refused';
  }
  trace.note(at, `This row of SigningTable is for ${visible(author.address)}.`);
  if (keys.set === undefined) return trace.unread(keys.setting, trace.unreadable(keys));
  const key = keys.set.first(label);
  if (key === 'unread') return trace.unread(keys.setting, trace.unreadable(keys));
  if (key === undefined) {
    trace.note(keys.setting, `KeyTable has no key ${visible(label)}, so OpenDKIM refuses the mail.`);
    return 'refused';
  }
  const place = {...keys.setting, name: visible(key.key), source: key.source};
  const fields = keyFields(key.value);
  if (fields === undefined) {
    trace.note(
      {...place, value: ''},
      'This row of KeyTable is not domain:selector:path, so OpenDKIM refuses the mail.',
    );
    return 'refused';
  }
  const domain = fields.domain === '%' ? author.domain : fields.domain;
  const location = fillIn(fields.location, domain);
  const shown = `${fields.domain}:${fields.selector}:${isPath(fields.location) ? fields.location : '…'}`;
  const state = trace.model.keyState(location);
  const where = isPath(location) ? `The key ${visible(location)}` : 'The key in this row';
  const noted = {...place, value: visible(shown)};
  if (state.access === 'unknown') return trace.unread(noted, `${where} can't be judged: ${state.why}.`);
  if (state.access === 'failed') {
    trace.note(noted, `${where} ${state.why}, so OpenDKIM refuses the mail.`);
    return 'refused';
  }
  if (state.unsafe !== undefined && trace.flag('RequireSafeKeys', true)) {
    trace.note(noted, `${where} ${state.unsafe}, so OpenDKIM refuses the mail.`);
    return 'refused';
  }
  const of = signingRow(row, fields);
  const by: SignedBy = {
    domain: lowerCase(domain),
    selector: lowerCase(fields.selector),
    keyPath: pathOf(location),
    row: of,
  };
  const decision = trace.note(
    noted,
    `${where} signs as ${visible(by.domain)} with the selector ${visible(by.selector)}.`,
  );
  requests.push({by, signer: signer.replaceAll('%', () => author.domain), key: state, decision});
  return undefined;
}

const parentsOf = (domain: string): readonly string[] => {
  const labels = domain.split('.');
  return labels.slice(1).map((_, at) => labels.slice(at + 1).join('.'));
};

/**
 * What a signing table is asked for an address, the most exact first: a table of patterns the address, another one
 * `u@d`, `d`, `u@.above`, `.above`, ..., `u@*`, `*`. There only ASCII is (DKIMF_DB_FLAG_ASCIIONLY).
 */
export function textsFor(kind: SetKind, address: string): readonly string[] {
  if (kind === 'refile') return [address];
  const at = address.lastIndexOf('@');
  const [user, domain] = [address.slice(0, at), address.slice(at + 1)];
  const names = [address, domain];
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    names.push(`${user}@${domain.slice(dot)}`, domain.slice(dot));
  }
  return [...names, `${user}@*`, '*'].filter(name => !/[^\0-\x7f]/.test(name));
}

const pathOf = (location: string): AbsolutePath | undefined => {
  const path = parseAbsolutePath(location);
  return path.ok ? path.value : undefined;
};

/** A row as the contract of a signer has it, with the key that it names. */
export const signingRow = (
  row: SetRow,
  {
    domain,
    selector,
    location,
  }: {readonly domain: string; readonly selector: string; readonly location: string},
): SigningRow => ({
  pattern: visible(row.key),
  domain: domain === '%' ? undefined : lowerCase(domain),
  selector: visible(lowerCase(selector)),
  keyPath: pathOf(location),
  source: row.source,
});
