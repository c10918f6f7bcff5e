/**
 * Whether OpenDKIM signs one message. The order of the tests is that of opendkim.c: mlfi_connect (PeerList), then
 * mlfi_eoh (author, ExemptDomains, MTA, MacroList, InternalHosts, login, Domain or SigningTable, Mode,
 * DontSignMailTo), then mlfi_eom (the keys themselves). What depends on the size or the other fields of a message
 * (MaximumHeaders, RequiredHeaders, several From fields) is not asked here.
 */
import {type AbsolutePath, parseAbsolutePath} from '../../../domain/paths.ts';
import type {Decision, Source} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {SignedBy, SigningAnswer, SigningQuestion, SigningRow} from '../../signer.ts';
import {lowerCase, type SetRow} from './data-set.ts';
import {matchHost} from './hosts.ts';
import type {KeyState} from './key-state.ts';
import {fillIn, isPath, keyFields, type Model, type NamedSet, type SetName, signingFields} from './model.ts';
import {flag, type Setting} from './settings.ts';

/** What one test says: go on, or an end of the whole decision. */
type Outcome = 'signed' | 'unsigned' | 'refused' | 'unknown';
type Origin = 'yes' | 'no' | 'unknown';

interface Author {
  readonly user: string;
  /** Lower case. */
  readonly domain: string;
  readonly address: string;
}

/** A signature that was asked for, with the key that is to make it. */
interface Request {
  readonly by: SignedBy;
  /** The address of the signer (i=), '' where the row names none. */
  readonly signer: string;
  readonly key: KeyState;
  readonly decision: Decision;
}

export const wouldSign = (model: Model, question: SigningQuestion): SigningAnswer =>
  new Question(model, question).answer();

class Question {
  readonly #model: Model;
  readonly #asked: SigningQuestion;
  readonly #decisions: Decision[] = [];
  /** Tests that waxseal cannot follow and that the answer may depend on. */
  readonly #open: Decision[] = [];

  constructor(model: Model, asked: SigningQuestion) {
    this.#model = model;
    this.#asked = asked;
  }

  answer(): SigningAnswer {
    const {refusal} = this.#model;
    if (refusal !== undefined) return {outcome: 'unknown', by: [], decisions: [refusal]};
    const requests: Request[] = [];
    const outcome = this.#outcome(requests);
    // A test that cannot be followed matters only where the tests after it do not say "unsigned" anyway.
    if (outcome === 'unknown' || (outcome !== 'unsigned' && this.#open.length > 0)) {
      const last = this.#open.at(-1);
      const before = this.#decisions.filter(decision => decision !== last);
      return {outcome: 'unknown', by: [], decisions: last === undefined ? before : [...before, last]};
    }
    const by = outcome === 'signed' ? requests.map(request => request.by) : [];
    return {outcome, by, decisions: this.#decisions};
  }

  #outcome(requests: Request[]): Outcome {
    if (this.#isPeer()) return 'unsigned';
    const author = this.#author();
    if (author === undefined) return 'unsigned';
    if (this.#isExempt(author)) return 'unsigned';
    const origin = this.#origin();
    if (origin === 'no') return 'unsigned';
    const asked = this.#requests(author, requests);
    const script = this.#setting('SetupPolicyScript');
    if (asked !== 'refused' && script !== undefined) {
      return this.#unread(script, 'A script chooses the keys. waxseal does not read it.');
    }
    if (asked !== undefined) return asked;
    return this.#mode() ?? this.#recipients() ?? this.#sign(requests);
  }

  /** mlfi_connect. */
  #isPeer(): boolean {
    const peers = this.#set('PeerList');
    if (peers === undefined) return false;
    const {name, address} = this.#asked.client;
    const client = {name: name.startsWith('[') ? '' : lowerCase(name), address};
    const found = peers.set === undefined ? {isIn: 'unread' as const} : matchHost(peers.set, client);
    if (found.isIn === 'unread') return this.#unread(peers.setting, this.#unreadable(peers)) !== 'unknown';
    if (!found.isIn) return false;
    this.#note(peers.setting, `${this.#client()} is in PeerList, so OpenDKIM ignores this mail.`, found.row);
    return true;
  }

  /** SenderMacro, then the first field of SenderHeaders that is there, then From. */
  #author(): Author | undefined {
    const macro = this.#setting('SenderMacro');
    const ofMacro = macro === undefined ? undefined : this.#macro(macro.value);
    const headers = this.#set('SenderHeaders');
    const text = ofMacro?.replace(/^<(.*)>$/s, '$1') ?? this.#senderField(headers);
    const at = text.lastIndexOf('@');
    const [user, domain] = [text.slice(0, at), text.slice(at + 1)];
    if (at < 1 || domain === '') {
      this.#note(
        {name: 'From', value: text, source: this.#byDefault()},
        `"${visible(text)}" is no address, so OpenDKIM doesn't sign this mail.`,
      );
      return undefined;
    }
    const author = {user, domain: lowerCase(domain), address: `${user}@${lowerCase(domain)}`};
    const setting = ofMacro === undefined ? headers?.setting : macro;
    if (setting !== undefined) this.#note(setting, `${visible(author.address)} decides which key signs.`);
    return author;
  }

  #senderField(headers: NamedSet | undefined): string {
    const {from, sender} = this.#asked;
    if (headers !== undefined && headers.set === undefined)
      this.#unread(headers.setting, this.#unreadable(headers));
    const names = headers?.set?.rows.map(row => lowerCase(row.key)) ?? [];
    const first = names.find(name => name === 'from' || (name === 'sender' && sender !== undefined));
    return first === 'sender' ? (sender ?? from) : from;
  }

  #isExempt({domain}: Author): boolean {
    const exempt = this.#set('ExemptDomains');
    if (exempt === undefined) return false;
    const row = exempt.set === undefined ? 'unread' : exempt.set.first(domain);
    if (row === 'unread') return this.#unread(exempt.setting, this.#unreadable(exempt)) !== 'unknown';
    if (row === undefined) return false;
    this.#note(exempt.setting, `${visible(domain)} is in ExemptDomains, so OpenDKIM ignores this mail.`, row);
    return true;
  }

  /** A yes of MTA, MacroList, InternalHosts or the login is enough; but a no of MacroList takes a yes of MTA back. */
  #origin(): Origin {
    const before = this.#open.length;
    const byMta = this.#byMta();
    const listed = this.#byMacros() ?? byMta;
    const found = [listed, listed === 'yes' ? listed : this.#byHost()];
    if (!found.includes('yes')) found.push(this.#byLogin());
    if (found.includes('yes')) {
      // What could not be followed does not matter any more.
      this.#open.length = before;
      return 'yes';
    }
    return found.includes('unknown') ? 'unknown' : 'no';
  }

  #byMta(): Origin {
    const mtas = this.#set('MTA');
    if (mtas === undefined) return 'no';
    const name = this.#macro('{daemon_name}');
    const row = mtas.set === undefined ? 'unread' : name === undefined ? undefined : mtas.set.first(name);
    if (row === 'unread') return this.#unread(mtas.setting, this.#unreadable(mtas));
    const called = name === undefined ? 'a service without a name' : `the service ${visible(name)}`;
    if (row === undefined) {
      this.#note(mtas.setting, `This mail comes by ${called}, which isn't in MTA.`);
      return 'no';
    }
    this.#note(mtas.setting, `This mail comes by ${called}, which is in MTA: it counts as internal.`, row);
    return 'yes';
  }

  /** Each macro that has a value is compared, and the last of them decides (mlfi_eoh never sets "done"). */
  #byMacros(): Origin | undefined {
    const macros = this.#set('MacroList');
    if (macros === undefined) return undefined;
    if (macros.set === undefined) return this.#unread(macros.setting, this.#unreadable(macros));
    let match: SetRow | undefined;
    let isCompared = false;
    for (const {key} of macros.set.rows) {
      const value = this.#macro(`{${key}}`);
      if (value === undefined) continue;
      isCompared = true;
      match = macros.set.all(key).find((row): row is SetRow => row !== 'unread' && accepts(row, value));
    }
    const says =
      match === undefined
        ? 'No macro has a value of MacroList.'
        : `The macro ${visible(match.key)} has a value of MacroList: this mail counts as internal.`;
    this.#note(macros.setting, says, match);
    return match !== undefined ? 'yes' : isCompared ? 'no' : undefined;
  }

  #byHost(): Origin {
    const hosts = this.#set('InternalHosts');
    if (hosts === undefined) return 'no';
    const found =
      hosts.set === undefined ? {isIn: 'unread' as const} : matchHost(hosts.set, this.#asked.client);
    if (found.isIn === 'unread') return this.#unread(hosts.setting, this.#unreadable(hosts));
    if (found.isIn) {
      this.#note(hosts.setting, `${this.#client()} is in InternalHosts.`, found.row);
      return 'yes';
    }
    if ((this.#macro('{auth_type}') ?? '') !== '') {
      this.#note(hosts.setting, `${this.#client()} isn't in InternalHosts.`, found.row);
      return 'no';
    }
    const only = this.#verifies()
      ? 'so OpenDKIM only verifies this mail'
      : "so OpenDKIM doesn't sign this mail";
    this.#note(
      hosts.setting,
      `${this.#client()} isn't in InternalHosts and isn't logged in, ${only}.`,
      found.row,
    );
    return 'no';
  }

  #byLogin(): Origin {
    const method = this.#macro('{auth_type}') ?? '';
    if (method === '') return 'no';
    this.#note(
      {name: '{auth_type}', value: method, source: this.#byDefault()},
      'The client is logged in: OpenDKIM signs its mail like that of an internal host.',
    );
    return 'yes';
  }

  /** The signatures to make; an outcome where there are none. */
  #requests(author: Author, requests: Request[]): Outcome | undefined {
    const signing = this.#set('SigningTable');
    const keys = this.#set('KeyTable');
    // Domain is not even opened where there is a KeyTable (dkimf_config_load).
    if (keys === undefined) return this.#byDomain(author, requests);
    if (signing === undefined) return 'unsigned';
    return this.#bySigningTable(author, signing, keys, requests);
  }

  #byDomain(author: Author, requests: Request[]): Outcome | undefined {
    const domains = this.#set('Domain');
    if (domains === undefined) {
      this.#note(
        {name: 'Domain', value: '', source: this.#byDefault()},
        'OpenDKIM has no key: neither KeyTable nor Domain is set.',
      );
      return 'unsigned';
    }
    if (domains.set === undefined) return this.#unread(domains.setting, this.#unreadable(domains));
    const tried = [author.domain, '*', ...(this.#flag('SubDomains', false) ? parentsOf(author.domain) : [])];
    for (const name of tried) {
      const row = domains.set.first(name);
      if (row === 'unread') return this.#unread(domains.setting, this.#unreadable(domains));
      if (row === undefined) continue;
      const signsAs = name === '*' ? author.domain : name;
      const location = this.#setting('KeyFile')?.value;
      const selector = this.#setting('Selector')?.value;
      const decision = this.#note(
        domains.setting,
        `${visible(author.domain)} is in Domain, so it signs as ${visible(signsAs)}.`,
        row,
      );
      if (location === undefined || selector === undefined) {
        this.#note(domains.setting, 'KeyFile or Selector is not set, so OpenDKIM refuses the mail.');
        return 'refused';
      }
      const domain = row.key.includes('*') ? '%' : row.key;
      const of = signingRow(row, {domain, selector, location});
      const by = {domain: lowerCase(signsAs), selector: lowerCase(selector), keyPath: of.keyPath, row: of};
      requests.push({by, signer: '', key: this.#model.keyState(location), decision});
      return undefined;
    }
    this.#note(domains.setting, `${visible(author.domain)} isn't in Domain, so its mail isn't signed.`);
    return 'unsigned';
  }

  /** dkimf_apply_signtable. */
  #bySigningTable(
    author: Author,
    signing: NamedSet,
    keys: NamedSet,
    requests: Request[],
  ): Outcome | undefined {
    if (signing.set === undefined) return this.#unread(signing.setting, this.#unreadable(signing));
    const {set, setting} = signing;
    const found =
      set.kind === 'refile'
        ? set.all(author.address)
        : lookups(author).flatMap(text => set.first(text) ?? []);
    const rows = this.#flag('MultipleSignatures', false) ? found : found.slice(0, 1);
    if (rows.length === 0) {
      this.#note(
        setting,
        `No row of SigningTable is for ${visible(author.address)}, so its mail isn't signed.`,
      );
      return 'unsigned';
    }
    for (const row of rows) {
      if (row === 'unread') return this.#unread(setting, this.#unreadable(signing));
      const end = this.#byRow(author, setting, row, keys, requests);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  /** dkimf_add_signrequest: whatever is wrong here stops the mail, even where Mode is v. */
  #byRow(
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
      this.#note(at, `This row of SigningTable names no key, so OpenDKIM refuses the mail.`);
      return 'refused';
    }
    this.#note(at, `This row of SigningTable is for ${visible(author.address)}.`);
    if (keys.set === undefined) return this.#unread(keys.setting, this.#unreadable(keys));
    const key = keys.set.first(label);
    if (key === 'unread') return this.#unread(keys.setting, this.#unreadable(keys));
    if (key === undefined) {
      this.#note(keys.setting, `KeyTable has no key ${visible(label)}, so OpenDKIM refuses the mail.`);
      return 'refused';
    }
    const place = {...keys.setting, name: visible(key.key), source: key.source};
    const fields = keyFields(key.value);
    if (fields === undefined) {
      this.#note(
        {...place, value: ''},
        'This row of KeyTable is not domain:selector:path, so OpenDKIM refuses the mail.',
      );
      return 'refused';
    }
    const domain = fields.domain === '%' ? author.domain : fields.domain;
    const location = fillIn(fields.location, domain);
    const shown = `${fields.domain}:${fields.selector}:${isPath(fields.location) ? fields.location : '…'}`;
    const state = this.#model.keyState(location);
    const where = isPath(location) ? `The key ${visible(location)}` : 'The key in this row';
    const noted = {...place, value: visible(shown)};
    if (state.access === 'unknown') return this.#unread(noted, `${where} can't be judged: ${state.why}.`);
    if (state.access === 'failed') {
      this.#note(noted, `${where} ${state.why}, so OpenDKIM refuses the mail.`);
      return 'refused';
    }
    if (state.unsafe !== undefined && this.#flag('RequireSafeKeys', true)) {
      this.#note(noted, `${where} ${state.unsafe}, so OpenDKIM refuses the mail.`);
      return 'refused';
    }
    const of = signingRow(row, fields);
    const by: SignedBy = {
      domain: lowerCase(domain),
      selector: lowerCase(fields.selector),
      keyPath: pathOf(location),
      row: of,
    };
    const decision = this.#note(
      noted,
      `${where} signs as ${visible(by.domain)} with the selector ${visible(by.selector)}.`,
    );
    requests.push({by, signer: signer.replaceAll('%', () => author.domain), key: state, decision});
    return undefined;
  }

  #mode(): Outcome | undefined {
    const mode = this.#setting('Mode');
    if (mode === undefined || mode.value.includes('s')) return undefined;
    this.#note(mode, 'OpenDKIM only verifies here, so it signs nothing.');
    return 'unsigned';
  }

  #recipients(): Outcome | undefined {
    const spared = this.#set('DontSignMailTo');
    if (spared === undefined) return undefined;
    // mlfi_envrcpt puts each recipient in front of those before it.
    for (const recipient of this.#asked.recipients.toReversed()) {
      const row = spared.set === undefined ? 'unread' : spared.set.first(recipient);
      if (row === 'unread') return this.#unread(spared.setting, this.#unreadable(spared));
      if (row === undefined) continue;
      this.#note(
        spared.setting,
        `${visible(recipient)} is in DontSignMailTo, so this mail isn't signed.`,
        row,
      );
      return 'unsigned';
    }
    return undefined;
  }

  /** The keys are used in order; the first that fails ends it, and then no signature is added at all. */
  #sign(requests: readonly Request[]): Outcome {
    for (const request of requests) {
      const end = this.#signOne(request);
      if (end !== undefined) return end;
    }
    const script = this.#setting('FinalPolicyScript');
    if (script !== undefined) this.#unread(script, 'A script has the last word. waxseal does not read it.');
    return 'signed';
  }

  #signOne({by, signer, key, decision}: Request): Outcome | undefined {
    if (key.access !== 'ok') return this.#unread(decision, 'The key cannot be judged.');
    const algorithm = this.#setting('SignatureAlgorithm')?.value ?? 'rsa-sha256';
    const wants = algorithm.startsWith('ed25519') ? 'ed25519' : 'rsa';
    const {material} = key;
    const name = by.keyPath === undefined ? 'the key' : `the key ${visible(by.keyPath)}`;
    if (material === undefined) return this.#handled(decision, 'InternalError', `OpenSSL can't read ${name}`);
    if (wants === 'rsa' && material.algorithm !== 'rsa') {
      return this.#handled(
        decision,
        'InternalError',
        `${name} is not an RSA key, and ${algorithm} needs one`,
      );
    }
    const least = Number(this.#setting('MinimumKeyBits')?.value ?? 0) || 1024;
    if (wants === 'rsa' && material.bits < least) {
      return this.#handled(
        decision,
        'SignatureError',
        `${name} has ${material.bits} bits, and MinimumKeyBits is ${least}`,
      );
    }
    // dkim_gensighdr: the signer must be of the domain that signs, or of one below it.
    const host = signer.slice(signer.indexOf('@') + 1);
    const fits = lowerCase(host) === by.domain || lowerCase(host).endsWith(`.${by.domain}`);
    if (signer !== '' && !(signer.includes('@') && fits)) {
      this.#note(
        decision,
        `The signer ${visible(signer)} doesn't belong to ${visible(by.domain)}, so OpenDKIM adds no signature.`,
      );
      return 'unsigned';
    }
    return undefined;
  }

  /** On-InternalError, On-SignatureError, and On-Default for both (dkimf_parsehandler, dkimf_libstatus). */
  #handled(decision: Decision, event: 'InternalError' | 'SignatureError', what: string): Outcome {
    const setting = this.#setting(`On-${event}`) ?? this.#setting('On-Default');
    const action = setting?.value.toLowerCase() ?? (event === 'InternalError' ? 'tempfail' : 'reject');
    const accepts = ['a', 'accept', 'q', 'quarantine'].includes(action);
    const sentence = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
    this.#note(
      decision,
      accepts ? `${sentence}, so the mail isn't signed.` : `${sentence}, so OpenDKIM refuses the mail.`,
    );
    return accepts ? 'unsigned' : 'refused';
  }

  #note(of: Pick<Setting, 'name' | 'value' | 'source'>, says: string, row?: SetRow): Decision {
    const {name, value, source} = of;
    const isRow = row !== undefined;
    const decision: Decision = {
      name: visible(name),
      value: visible(isRow ? row.key : value),
      source: isRow ? row.source : source,
      says,
    };
    this.#decisions.push(decision);
    return decision;
  }

  #unread(of: Pick<Setting, 'name' | 'value' | 'source'>, says: string): 'unknown' {
    this.#open.push(this.#note(of, says));
    return 'unknown';
  }

  readonly #unreadable = ({setting, set}: NamedSet): string =>
    set === undefined
      ? `waxseal can't read ${setting.name}.`
      : `${setting.name} has a pattern that waxseal does not evaluate.`;

  #client(): string {
    const {name, address} = this.#asked.client;
    const shown = /^\[|^$/.test(name) || name === address ? address : `${name} [${address}]`;
    return visible(shown);
  }

  #verifies = (): boolean => this.#setting('Mode')?.value.includes('v') ?? true;
  readonly #macro = (name: string): string | undefined => this.#asked.macros.get(name);
  readonly #set = (name: SetName): NamedSet | undefined => this.#model.sets.get(name);
  readonly #setting = (name: string): Setting | undefined => this.#model.settings(name);
  readonly #flag = (name: string, byDefault: boolean): boolean => flag(this.#model.settings, name, byDefault);
  readonly #byDefault = (): Source => ({by: 'default', program: this.#model.program});
}

/** A row of MacroList without a value accepts any. */
const accepts = (row: SetRow, value: string): boolean =>
  row.value === '' || row.value.split('|').some(wanted => wanted.trim() === value);

const parentsOf = (domain: string): readonly string[] => {
  const labels = domain.split('.');
  return labels.slice(1).map((_, at) => labels.slice(at + 1).join('.'));
};

/** What is looked up in a table without patterns, the most exact first. Only ASCII is (DKIMF_DB_FLAG_ASCIIONLY). */
function lookups({user, domain}: Author): readonly string[] {
  const names = [`${user}@${domain}`, domain];
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
