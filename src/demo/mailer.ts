/**
 * The sandbox's mail server: reads main.cf and master.cf of the scratch root as Postfix does, takes messages by
 * sendmail(1) and SMTP, hands them to the milters that are configured, and keeps them in a queue. It never delivers.
 */
import {createServer, type Socket} from 'node:net';
import {type AbsolutePath, absolute, below, parseAbsolutePath} from '../domain/paths.ts';
import {type ProbeOutcome, probeMilter} from '../milter/client.ts';
import type {HeaderField} from '../milter/packets.ts';
import {type MasterService, parseMasterCf} from '../services/postfix/master.ts';
import {addressOf, endpointOf} from '../services/postfix/milters.ts';
import {expand, parseMainCf, settingsOf, tokens} from '../services/postfix/parse.ts';
import type {Sockets} from '../system/ports.ts';
import type {Machine} from './machine.ts';

const CONFIG_DIRECTORY: AbsolutePath = absolute('/etc/postfix');

/** Defaults of Debian 13's Postfix 3.10 for what the program may ask. */
const DEFAULTS: Readonly<Record<string, string>> = {
  config_directory: '/etc/postfix',
  content_filter: '',
  default_transport: 'smtp',
  inet_interfaces: 'all',
  inet_protocols: 'all',
  internal_mail_filter_classes: '',
  mail_version: '3.10.13',
  maximal_queue_lifetime: '5d',
  bounce_queue_lifetime: '5d',
  milter_connect_timeout: '30s',
  milter_default_action: 'shutdown',
  milter_protocol: '6',
  multi_instance_directories: '',
  mydestination: '$myhostname, localhost.$mydomain, localhost',
  mydomain: 'localdomain',
  myhostname: 'localhost',
  mynetworks: '127.0.0.0/8 [::1]/128',
  myorigin: '$myhostname',
  non_smtpd_milters: '',
  queue_directory: '/var/spool/postfix',
  receive_override_options: '',
  relay_domains: '',
  relayhost: '',
  sender_dependent_relayhost_maps: '',
  smtp_generic_maps: '',
  smtp_header_checks: '',
  smtpd_milters: '',
  transport_maps: '',
  virtual_alias_domains: '$virtual_alias_maps',
  virtual_alias_maps: '',
  virtual_mailbox_domains: '$virtual_mailbox_maps',
  virtual_mailbox_maps: '',
};

export interface QueuedMessage {
  readonly id: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly arrival: Date;
  /** Header and body with LF line ends, as postcat(1) prints them. */
  readonly content: Buffer;
  readonly reason: string;
}

/** What a milter that cannot be asked means, by milter_default_action (postconf(5) of 3.10). */
const REPLIES: Readonly<Record<string, string | undefined>> = {
  accept: undefined,
  quarantine: 'hold',
  reject: '554 5.7.1 Service unavailable; not accepting connections',
  shutdown: '421 4.7.1 Service unavailable - try again later',
  tempfail: '451 4.7.1 Service unavailable - try again later',
};
const UNKNOWN_ACTION = '451 4.3.5 Server configuration problem';

export type Submission = {readonly queued: string} | {readonly reply: string};

export class Mailer {
  readonly queue = new Map<string, QueuedMessage>();
  /** On hold, by `milter_default_action = quarantine`. */
  readonly held = new Map<string, QueuedMessage>();
  /** What sendmail(1) took and cleanup(8) did not: it is tried again and again (daemons/opendkim.md#key-files). */
  readonly maildrop = new Map<string, QueuedMessage>();
  readonly #machine: Machine;
  readonly #sockets: Sockets;
  #count = 0;
  #running = false;

  constructor(machine: Machine, sockets: Sockets) {
    this.#machine = machine;
    this.#sockets = sockets;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Settings of main.cf by name, unexpanded. */
  async explicit(): Promise<ReadonlyMap<string, string>> {
    const text = await this.#machine.text(below(CONFIG_DIRECTORY, 'main.cf'));
    return settingsOf(parseMainCf(text ?? ''));
  }

  async effective(): Promise<ReadonlyMap<string, string>> {
    return new Map([...Object.entries(DEFAULTS), ...(await this.explicit())]);
  }

  /** The line of main.cf that has no `=`, in the words of postconf(1); undefined where all is well. */
  async syntaxError(): Promise<string | undefined> {
    const text = (await this.#machine.text(below(CONFIG_DIRECTORY, 'main.cf'))) ?? '';
    const lines = text.split('\n');
    const at = lines.findIndex(line => /^[^\s#]/.test(line) && !line.includes('='));
    return at < 0
      ? undefined
      : `${CONFIG_DIRECTORY}/main.cf, line ${at + 1}: missing '=' after attribute name: "${lines[at]}"`;
  }

  async #master(): Promise<readonly MasterService[]> {
    return parseMasterCf((await this.#machine.text(below(CONFIG_DIRECTORY, 'master.cf'))) ?? '');
  }

  /** `postconf -M`. */
  async services(names: readonly string[]): Promise<string> {
    const all = await this.#master();
    return all
      .filter(({name}) => names.length === 0 || names.includes(name))
      .map(({columns, words, options}) => {
        const written = options.map(({name, value}) =>
          /\s/.test(value) ? `{${name}=${value}}` : `${name}=${value}`,
        );
        const others = words.filter((word, at) => !word.startsWith('-o') && words[at - 1] !== '-o');
        return `${[...columns, ...others, ...written.map(option => `-o ${option}`)].join(' ')}\n`;
      })
      .join('');
  }

  /** `postconf -P`. */
  async overrides(): Promise<string> {
    const all = await this.#master();
    return all
      .flatMap(service => service.options.map(({name, value}) => `${service.name}/${name} = ${value}\n`))
      .join('');
  }

  /** `postconf -F smtp/inet/chroot …`, or every field. */
  async serviceFields(names: readonly string[]): Promise<string> {
    const all = await this.#master();
    const chroots = all.map(({name, columns}) => `${name}/chroot = ${columns[4] ?? '-'}`);
    const wanted = names.map(name => name.replace(/^\*\/\*\//, ''));
    return chroots
      .filter(
        line =>
          names.length === 0 || wanted.includes('chroot') || names.some(name => line.startsWith(`${name} `)),
      )
      .map(line => `${line}\n`)
      .join('');
  }

  defaultOf(name: string): string | undefined {
    return DEFAULTS[name];
  }

  /** Opens the SMTP port of the sandbox. */
  async start(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    const server = createServer(socket => this.#serve(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({port: 0, host: '127.0.0.1'}, resolve);
    });
    this.#machine.openPort(25, server);
    this.#machine.processes.set(this.#machine.newPid(), async () => {
      this.#machine.closePort(25);
      server.close();
    });
  }

  /** Takes a message (CRLF or LF) through cleanup(8) and its milters. */
  async submit(
    envelope: {readonly sender: string; readonly recipients: readonly string[]},
    message: Buffer,
    by: 'sendmail' | 'smtp',
  ): Promise<Submission> {
    const id = this.#nextId();
    const settings = await this.#settingsOf(by);
    const lines = message.toString('latin1').replaceAll('\r\n', '\n');
    const cut = lines.indexOf('\n\n');
    const head = cut < 0 ? lines.replace(/\n$/, '') : lines.slice(0, cut);
    const body = cut < 0 ? '' : lines.slice(cut + 2);
    let fields = splitFields(head);
    if (!fields.some(({name}) => name.toLowerCase() === 'message-id')) {
      const host = settings.get('myhostname') ?? 'localhost';
      fields = [
        ...fields,
        {name: 'Message-Id', value: `<${this.#machine.clock.now().getTime()}.${id}@${host}>`},
      ];
    }
    const entry = (content: string): QueuedMessage => ({
      id,
      ...envelope,
      arrival: this.#machine.clock.now(),
      content: Buffer.from(content, 'latin1'),
      reason: 'connect to 192.0.2.1[192.0.2.1]:25: Network is unreachable',
    });
    let isHeld = false;
    for (const milter of this.#milters(by, settings)) {
      const outcome = await this.#ask(milter, by, id, envelope, fields, body, settings);
      const verdict = this.#weigh(outcome, milter, id, settings);
      if (verdict === 'hold') isHeld = true;
      else if (verdict !== undefined) {
        const to = envelope.recipients.join(',');
        this.#machine.journal(
          'postfix/cleanup',
          `${id}: milter-reject: END-OF-MESSAGE from localhost[127.0.0.1]: ${verdict.slice(4)}; from=<${envelope.sender}> to=<${to}>`,
        );
        if (by === 'sendmail' && verdict.startsWith('4')) this.maildrop.set(id, entry(lines));
        return {reply: verdict};
      }
      if (outcome?.ended === 'answered') {
        fields = [
          ...outcome.added.map(({name, value}) => ({name, value: value.replace(/^ /, '')})),
          ...fields,
        ];
      }
    }
    const text = `${fields.map(({name, value}) => `${name}: ${value}`).join('\n')}\n\n${body}`;
    (isHeld ? this.held : this.queue).set(id, entry(text));
    return {queued: id};
  }

  #milters(by: 'sendmail' | 'smtp', settings: ReadonlyMap<string, string>): readonly string[] {
    if ((settings.get('receive_override_options') ?? '').includes('no_milters')) return [];
    const list = by === 'smtp' ? 'smtpd_milters' : 'non_smtpd_milters';
    return tokens(expand(settings.get(list) ?? '', settings)).map(({text}) => text);
  }

  async #serviceOf(by: 'sendmail' | 'smtp'): Promise<MasterService | undefined> {
    const wanted = by === 'smtp' ? 'smtp/inet' : 'cleanup/unix';
    return (await this.#master()).find(({name}) => name === wanted);
  }

  /** Settings with the -o options of the service that takes the message in. */
  async #settingsOf(by: 'sendmail' | 'smtp'): Promise<ReadonlyMap<string, string>> {
    const options = ((await this.#serviceOf(by))?.options ?? []).map(
      ({name, value}) => [name, value] as const,
    );
    return new Map([...(await this.effective()), ...options]);
  }

  /**
   * Why smtpd(8) cannot even start: OpenDKIM's notation of a socket, or an open brace (daemons/opendkim.md#socket,
   * daemons/postfix.md#milters). postfix check finds neither.
   */
  async fatalMilter(): Promise<string | undefined> {
    const settings = await this.#settingsOf('smtp');
    const value = expand(settings.get('smtpd_milters') ?? '', settings);
    if ((value.match(/\{/g) ?? []).length !== (value.match(/\}/g) ?? []).length) {
      return `milter service syntax error: missing '}' in "${value}"`;
    }
    const swapped = this.#milters('smtp', settings).find(milter => /inet6?:\d+@/.test(milter));
    return swapped === undefined
      ? undefined
      : `${addressOf(swapped).replace(/^inet6?:/, '')}: garbage after numerical service`;
  }

  async #ask(
    milter: string,
    by: 'sendmail' | 'smtp',
    queueId: string,
    envelope: {readonly sender: string; readonly recipients: readonly string[]},
    fields: readonly HeaderField[],
    body: string,
    settings: ReadonlyMap<string, string>,
  ): Promise<ProbeOutcome | undefined> {
    const queue = parseAbsolutePath(settings.get('queue_directory') ?? '/var/spool/postfix');
    if (!queue.ok) return undefined;
    const endpoint = endpointOf(milter, {
      queueDirectory: queue.value,
      chrooted: (await this.#serviceOf(by))?.columns[4] === 'y',
    });
    if (endpoint === undefined) return undefined;
    if (endpoint.kind === 'unix' && !(await this.#machine.mayAccess('postfix', endpoint.path, 2))) {
      const there = await this.#machine.files.stat(endpoint.path);
      return {ended: 'unreachable', cause: there === undefined ? 'missing' : 'denied', detail: milter};
    }
    return await probeMilter({sockets: this.#sockets, clock: this.#machine.clock}, endpoint, {
      client: {host: 'localhost', address: '127.0.0.1', port: 40_000},
      helo: 'localhost',
      serverName: settings.get('myhostname') ?? 'localhost',
      queueId,
      from: envelope.sender,
      recipients: envelope.recipients,
      headers: fields,
      body: Buffer.from(body.replaceAll('\n', '\r\n'), 'latin1'),
    });
  }

  /** The reply that ends the submission, or `hold`; undefined where it goes on. */
  #weigh(
    outcome: ProbeOutcome | undefined,
    milter: string,
    id: string,
    settings: ReadonlyMap<string, string>,
  ): string | undefined {
    if (outcome?.ended === 'answered') {
      const {reply} = outcome;
      if (reply.verdict === 'tempfail') return '451 4.7.1 Service unavailable - try again later';
      if (reply.verdict === 'reject') return '550 5.7.1 Command rejected';
      return reply.verdict === 'reply' ? `${reply.code} ${reply.text}` : undefined;
    }
    const errors = {
      missing: 'No such file or directory',
      denied: 'Permission denied',
      refused: 'Connection refused',
    };
    const cause = outcome?.ended === 'unreachable' ? outcome.cause : 'other';
    const text = cause in errors ? errors[cause as keyof typeof errors] : 'Application error';
    this.#machine.journal(
      'postfix/cleanup',
      `${id}: warning: connect to Milter service ${addressOf(milter)}: ${text}`,
    );
    const own = /\bdefault_action\s*=\s*([\w-]+)/.exec(milter)?.[1];
    const action = own ?? settings.get('milter_default_action') ?? 'tempfail';
    return Object.hasOwn(REPLIES, action) ? REPLIES[action] : UNKNOWN_ACTION;
  }

  #nextId(): string {
    this.#count += 1;
    return (0xa000 + this.#count).toString(16).toUpperCase().padStart(10, '4F1D2C');
  }

  /** One SMTP session, as much of RFC 5321 as a client on this host needs. */
  #serve(socket: Socket): void {
    let buffer = '';
    let sender: string | undefined;
    let recipients: string[] = [];
    let inData = false;
    socket.setEncoding('latin1');
    socket.on('error', () => socket.destroy());
    const say = (line: string): void => {
      socket.write(`${line}\r\n`);
    };
    const command = (line: string): void => {
      const mail = /^MAIL FROM:\s*<([^>]*)>/i.exec(line);
      const rcpt = /^RCPT TO:\s*<([^>]*)>/i.exec(line);
      if (/^EHLO\b/i.test(line)) say('250-mail.example.org\r\n250-8BITMIME\r\n250 SIZE 10240000');
      else if (/^HELO\b/i.test(line)) say('250 mail.example.org');
      else if (mail !== null) {
        sender = mail[1] ?? '';
        recipients = [];
        say('250 2.1.0 Ok');
      } else if (rcpt !== null && sender !== undefined) {
        recipients.push(rcpt[1] ?? '');
        say('250 2.1.5 Ok');
      } else if (/^DATA\b/i.test(line) && recipients.length > 0) {
        inData = true;
        say('354 End data with <CR><LF>.<CR><LF>');
      } else if (/^RSET\b/i.test(line)) {
        sender = undefined;
        recipients = [];
        say('250 2.0.0 Ok');
      } else if (/^NOOP\b/i.test(line)) say('250 2.0.0 Ok');
      else if (/^MAIL\b/i.test(line)) say('501 5.5.4 Syntax: MAIL FROM:<address>');
      else if (/^RCPT\b/i.test(line)) say('503 5.5.1 Error: need MAIL command');
      else if (/^DATA\b/i.test(line)) say('503 5.5.1 Error: need RCPT command');
      else if (/^QUIT\b/i.test(line)) socket.end('221 2.0.0 Bye\r\n');
      else say('502 5.5.2 Error: command not recognized');
    };
    const data = async (text: string): Promise<void> => {
      const message = Buffer.from(text.replaceAll(/(^|\r\n)\.\./g, '$1.'), 'latin1');
      const done = await this.submit({sender: sender ?? '', recipients}, message, 'smtp');
      say('queued' in done ? `250 2.0.0 Ok: queued as ${done.queued}` : done.reply);
      sender = undefined;
    };
    let work = Promise.resolve();
    const take = async (): Promise<void> => {
      for (;;) {
        if (inData) {
          const end = buffer.startsWith('.\r\n') ? -2 : buffer.indexOf('\r\n.\r\n');
          if (end === -1) return;
          const text = end === -2 ? '' : buffer.slice(0, end + 2);
          buffer = buffer.slice(end === -2 ? 3 : end + 5);
          inData = false;
          await data(text);
          continue;
        }
        const end = buffer.indexOf('\r\n');
        if (end < 0) return;
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        command(line);
      }
    };
    socket.on('data', chunk => {
      buffer += String(chunk);
      work = work.then(take, take);
    });
    work = this.fatalMilter().then(fatal => {
      if (fatal === undefined) return say('220 mail.example.org ESMTP sandbox');
      this.#machine.journal('postfix/smtpd', `fatal: ${fatal}`);
      socket.destroy();
    });
  }
}

/** Header fields with LF folding kept; the value begins after the colon's blank. */
function splitFields(head: string): readonly HeaderField[] {
  return head
    .split(/\n(?![ \t])/)
    .filter(line => line.includes(':'))
    .map(line => {
      const colon = line.indexOf(':');
      return {name: line.slice(0, colon), value: line.slice(colon + 1).replace(/^ /, '')};
    });
}
