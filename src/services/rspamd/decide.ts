/**
 * Whether rspamd signs one message, in the order of lua_dkim_tools.prepare_dkim_signing (daemons/rspamd.md#decisions).
 * What depends on the other fields of a message or on its score (several From fields, mail that is rejected as spam) is
 * not asked here.
 */
import type {Decision} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {SigningAnswer, SigningQuestion} from '../signer.ts';
import {registeredDomain} from './esld.ts';
import {globRows, rowFor} from './maps.ts';
import {isOn, type MapName, type Model, type Setting, shown, type Wish} from './model.ts';
import {type Made, signaturesOf} from './signatures.ts';

/** Pure; the work grows with the rows of the tables at most. */
export function wouldSign(model: Model, question: SigningQuestion): SigningAnswer {
  const {refusal} = model;
  if (refusal !== undefined) return {outcome: refusal.outcome, by: [], decisions: [refusal.decision]};
  return new Walk(model, question).answer();
}

/** Thrown where the answer is known: nothing after it is asked. */
class Ended extends Error {
  readonly outcome: 'unsigned' | 'unknown';
  constructor(outcome: 'unsigned' | 'unknown') {
    super(outcome);
    this.outcome = outcome;
  }
}

type Origin = 'login' | 'network' | 'local' | 'inbound';

class Walk {
  readonly #model: Model;
  readonly #asked: SigningQuestion;
  readonly #decisions: Decision[] = [];

  constructor(model: Model, asked: SigningQuestion) {
    this.#model = model;
    this.#asked = asked;
  }

  answer(): SigningAnswer {
    try {
      const wishes = this.#wishes();
      const {by, outcome} = this.#made(wishes);
      return {outcome, by, decisions: this.#decisions};
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      return {outcome: error.outcome, by: [], decisions: this.#decisions};
    }
  }

  #made({domain, wishes}: Wished): Pick<SigningAnswer, 'by' | 'outcome'> {
    const made: readonly Made[] = signaturesOf(this.#model, domain, wishes);
    for (const {decision} of made) this.#decisions.push(decision);
    if (made.some(({state}) => state === 'unknown')) {
      // The end of the list is what cannot be told.
      const open = made.findLast(({state}) => state === 'unknown')?.decision;
      if (open !== undefined)
        this.#decisions.push(...this.#decisions.splice(this.#decisions.indexOf(open), 1));
      return {outcome: 'unknown', by: []};
    }
    const by = made.flatMap(({signed}) => signed ?? []);
    const last = made.findLast(({signed}) => signed !== undefined)?.decision;
    if (last !== undefined) this.#decisions.push(...this.#decisions.splice(this.#decisions.indexOf(last), 1));
    return {outcome: by.length > 0 ? 'signed' : 'unsigned', by};
  }

  #wishes(): Wished {
    const headers = this.#setting('use_http_headers');
    if (isOn(headers) && !isOn(this.#setting('allow_headers_fallback'))) {
      this.#stop(headers, 'rspamd signs only what a request over HTTP asks it to sign.');
    }
    const condition = this.#setting('sign_condition');
    if (condition.value !== undefined)
      this.#unknown(condition, "waxseal doesn't read the function that decides.");
    const origin = this.#origin();
    const {from, envelope = from} = this.#asked;
    if (envelope === '' && !isOn(this.#setting('allow_envfrom_empty'))) {
      this.#stop(this.#setting('allow_envfrom_empty'), "rspamd doesn't sign mail without a sender.");
    }
    const table = this.#model.maps.get('signing_table');
    if (table !== undefined && (this.#has('key_table') || isOn(this.#setting('use_vault'))))
      return this.#byTable(from, origin);
    return this.#byDomain(origin, from, envelope);
  }

  /** The first of them decides; a login comes before the address of the client. */
  #origin(): Origin {
    const {client} = this.#asked;
    const login = this.#login();
    const authenticated = this.#setting('sign_authenticated');
    if (isOn(authenticated) && login !== undefined) {
      this.#note(authenticated, `The client is logged in as ${visible(login)}.`);
      return 'login';
    }
    const networks = this.#setting('sign_networks');
    const {signNetworks, localNetworks} = this.#model;
    const network = signNetworks?.has(client.address);
    if (network !== undefined) {
      this.#note(networks, `${this.#client()} is in sign_networks.`, network);
      return 'network';
    }
    const local = this.#setting('sign_local');
    const isLocal = this.#isLocal();
    if (isOn(local) && isLocal) {
      this.#note(local, `${this.#client()} is a local address.`);
      return 'local';
    }
    const inbound = this.#setting('sign_inbound');
    if (isOn(inbound) && !isLocal && login === undefined) {
      this.#note(inbound, `${this.#client()} is a stranger, and sign_inbound has rspamd sign for strangers.`);
      return 'inbound';
    }
    if (signNetworks === undefined) this.#unknown(networks, "waxseal can't read the list of networks.");
    if (localNetworks === undefined && isOn(local))
      this.#unknown(local, "waxseal can't read the list of local addresses (options.local_addrs).");
    if (login !== undefined) this.#stop(authenticated, "rspamd doesn't sign mail of clients that log in.");
    if (isLocal) this.#stop(local, "rspamd doesn't sign mail of local clients.");
    return this.#stop(
      local,
      `${this.#client()} isn't local and isn't logged in, so rspamd doesn't sign this mail.`,
    );
  }

  #byTable(from: string, origin: Origin): Wished {
    if (origin === 'inbound')
      this.#stop(this.#setting('signing_table'), "The tables aren't asked about mail of strangers.");
    const {domain} = parts(from);
    const row = this.#row('signing_table', from);
    const name = row.value === '%' ? domain : row.value;
    if (!this.#has('key_table')) this.#unknown(this.#setting('use_vault'), KEPT_IN_VAULT);
    const key = this.#row('key_table', name);
    const fields = key.value.split(':');
    const [d = '', second = '', third] = fields;
    if (fields.length !== 2 && fields.length !== 3) {
      this.#note({...this.#setting('key_table'), source: key.source}, UNUSABLE, key.key);
      throw new Ended('unsigned');
    }
    const fill = (text: string): string => text.replaceAll('%', () => domain);
    const wish: Wish = {
      setting: 'signing_table',
      name: row.key,
      source: row.source,
      selector: third === undefined ? (this.#setting('selector').value ?? '') : second,
      path: fill(third ?? second),
    };
    return {domain: fill(d), wishes: [wish]};
  }

  #row(
    table: MapName,
    text: string,
  ): {readonly key: string; readonly value: string; readonly source: Decision['source']} {
    const found = this.#model.maps.get(table);
    const setting = this.#setting(table);
    if (found === undefined || found.map.rows === undefined)
      return this.#unknown(setting, `waxseal can't read ${table}.`);
    const rows = globRows(found.map.rows, text);
    const [row] = rows;
    if (row === undefined) return this.#stop(setting, `${visible(text)} has no row in ${table}.`);
    if (rows.some(({value}) => value !== row.value))
      return this.#unknown(
        setting,
        `Several rows of ${table} are for ${visible(text)}; rspamd takes any of them.`,
      );
    this.#note({...setting, source: row.source}, `${visible(text)} has a row in ${table}.`, row.key);
    return row;
  }

  #byDomain(origin: Origin, from: string, envelope: string): Wished {
    const chosen = this.#chosenDomain(origin, from, envelope);
    const domain = this.#registered(chosen);
    const [header, sender] = [this.#registered(parts(from).domain), this.#registered(parts(envelope).domain)];
    const mismatch = this.#setting('allow_hdrfrom_mismatch');
    if (header !== sender && sender !== '' && header !== '' && !isOn(mismatch)) {
      const isLet =
        (isOn(this.#setting('allow_hdrfrom_mismatch_local')) && this.#isLocal()) ||
        (isOn(this.#setting('allow_hdrfrom_mismatch_sign_networks')) && origin === 'network');
      if (!isLet) {
        this.#stop(
          mismatch,
          `From has ${visible(header)} and the envelope ${visible(sender)}, so rspamd doesn't sign this mail.`,
        );
      }
    }
    this.#sameUser(domain);
    if (isOn(this.#setting('use_vault'))) this.#unknown(this.#setting('use_vault'), KEPT_IN_VAULT);
    return {domain, wishes: this.#wishesFor(domain, chosen)};
  }

  #chosenDomain(origin: Origin, from: string, envelope: string): string {
    const login = this.#login();
    const isLocal = this.#isLocal();
    const special = [
      ...(origin === 'network' ? ['use_domain_sign_networks'] : []),
      ...(isLocal ? ['use_domain_sign_local'] : []),
      ...(isLocal || login !== undefined ? [] : ['use_domain_sign_inbound']),
    ].map(name => this.#setting(name));
    const named = special.find(({value}) => value !== undefined);
    const custom = this.#setting('use_domain_custom');
    if (named === undefined && custom.value !== undefined)
      this.#unknown(custom, "waxseal doesn't read the function that chooses the domain.");
    const setting = named ?? this.#setting('use_domain');
    const [recipient = ''] = this.#asked.recipients;
    const sources: Readonly<Record<string, string>> = {
      header: parts(from).domain,
      envelope: parts(envelope).domain,
      auth: login === undefined ? '' : parts(login).domain,
      recipient: parts(recipient).domain,
    };
    const text = typeof setting.value === 'string' ? setting.value : 'header';
    const domain = (sources[text] ?? text).toLowerCase();
    if (domain === '')
      this.#stop(setting, `This mail has no domain where rspamd looks for it (${visible(text)}).`);
    if (text !== 'header') this.#note(setting, `rspamd signs for ${visible(domain)}.`);
    return domain;
  }

  #sameUser(domain: string): void {
    const login = this.#login();
    const setting = this.#setting('allow_username_mismatch');
    if (login === undefined || isOn(setting)) return;
    const of = parts(login).domain.toLowerCase();
    if (of === '') {
      this.#stop(setting, `The login ${visible(login)} has no domain, so rspamd doesn't sign this mail.`);
    }
    if (this.#registered(of) !== domain) {
      this.#stop(
        setting,
        `The login ${visible(login)} isn't one of ${visible(domain)}, so rspamd doesn't sign this mail.`,
      );
    }
    this.#note(setting, `The login is one of ${visible(domain)}. A login without a domain would not do.`);
  }

  /** The block first; maps and then the settings for all domains fill what it leaves open. */
  #wishesFor(domain: string, before: string): readonly Wish[] {
    const esld = this.#setting('use_esld');
    if (domain !== before) this.#note(esld, `Mail of ${visible(before)} is signed as ${visible(domain)}.`);
    let wishes: readonly Wish[] = this.#model.blocks.get(domain)?.wishes ?? [];
    for (const [table, field] of MAPS) {
      const found = this.#model.maps.get(table);
      if (found === undefined || (wishes.length > 0 && wishes.every(wish => wish[field] !== undefined)))
        continue;
      if (found.map.rows === undefined) this.#unknown(found.setting, `waxseal can't read ${table}.`);
      const row = rowFor(found.map.rows, domain);
      if (row === undefined) continue;
      const {value, source} = row;
      wishes =
        wishes.length === 0
          ? [{setting: table, name: row.key, source, [field]: value}]
          : wishes.map(wish => ({[field]: value, ...wish}));
    }
    const fallback = this.#setting('try_fallback');
    if (wishes.length > 0) return wishes;
    if (!isOn(fallback)) {
      this.#stop(fallback, `Nothing names a key for ${visible(domain)}, and rspamd tries no other.`);
    }
    const path = this.#setting('path');
    return [{setting: 'path', name: domain, source: path.source}];
  }

  #isLocal(): boolean {
    const {address} = this.#asked.client;
    return LOOPBACK.test(address) || this.#model.localNetworks?.has(address) !== undefined;
  }

  #login(): string | undefined {
    const login = this.#asked.macros.get('{auth_authen}') ?? '';
    return login === '' ? undefined : login;
  }

  #client(): string {
    const {name, address} = this.#asked.client;
    return visible(/^\[|^$/.test(name) || name === address ? address : `${name} [${address}]`);
  }

  #registered(domain: string): string {
    const name = domain.toLowerCase();
    return isOn(this.#setting('use_esld')) ? registeredDomain(name, this.#model.suffixes) : name;
  }

  #has(name: MapName): boolean {
    return this.#model.maps.has(name);
  }

  #setting(name: string): Setting {
    return this.#model.settings(name);
  }

  #note({name, value, source}: Setting, says: string, row?: string): void {
    this.#decisions.push({name, value: row === undefined ? shown(value) : visible(row), source, says});
  }

  #stop(of: Setting, says: string): never {
    this.#note(of, says);
    throw new Ended('unsigned');
  }

  #unknown(of: Setting, says: string): never {
    this.#note(of, says);
    throw new Ended('unknown');
  }
}

interface Wished {
  /** d= */
  readonly domain: string;
  readonly wishes: readonly Wish[];
}

const MAPS = [
  ['selector_map', 'selector'],
  ['path_map', 'path'],
] as const;

const LOOPBACK = /^127\.|^::1$|^fe[89ab]/i;
const KEPT_IN_VAULT = "Keys are kept in a vault, which waxseal doesn't read.";
const UNUSABLE =
  'rspamd takes only rows of the forms domain:key and domain:selector:key, so it signs nothing by this one.';

function parts(address: string): {readonly domain: string} {
  const at = address.lastIndexOf('@');
  return {domain: at < 0 ? '' : address.slice(at + 1)};
}
