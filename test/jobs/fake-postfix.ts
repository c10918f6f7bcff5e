import type {KeyObject} from 'node:crypto';
import {createServer, type Socket} from 'node:net';
import {signMessageSync} from '../../src/dkim/index.ts';
import type {Submission} from '../../src/services/mta.ts';
import type {SocketEndpoint} from '../../src/system/ports.ts';
import {domainOf, selectorOf} from '../proof/keys.ts';
import type {Program} from '../proof/scratch.ts';

interface Entry {
  readonly id: string;
  queue: string;
  readonly recipient: string;
  readonly sender: string;
  /** CRLF lines. */
  readonly message: Buffer;
}

export interface Signing {
  readonly domain: string;
  readonly selector: string;
  readonly key: KeyObject;
}

/**
 * As much of Postfix as the live test sees: a real SMTP server, and postconf, sendmail, postqueue, postcat, postsuper
 * and the journal as functions. It prints what Debian's Postfix 3.10 was seen to print.
 */
export class FakePostfix {
  settings: Record<string, string> = {
    relayhost: '',
    default_transport: 'smtp',
    inet_protocols: 'all',
    inet_interfaces: 'all',
    sendmail_path: '/usr/sbin/sendmail',
    smtpd_milters: 'unix:opendkim/opendkim.sock',
    non_smtpd_milters: 'unix:opendkim/opendkim.sock',
  };
  overrides: Record<string, string> = {};
  /** Entries by table. `undefined` for one that cannot be opened. */
  tables: Record<string, Record<string, string> | undefined> = {};
  signers: (way: Submission) => readonly Signing[] = () => [];
  /** Changes a message after it was signed. */
  spoil: (message: Buffer) => Buffer = message => message;
  /** `451 4.7.1 ...` where a milter refuses it. */
  refusal: string | undefined;
  replies: Record<string, string> = {};
  removes = true;
  listsQueue = true;
  dsn = true;
  journal: {readonly identifier: string; readonly text: string}[] = [];
  accessStatus = 0;
  readonly queue = new Map<string, Entry>();
  readonly smtpCommands: string[] = [];
  readonly sendmailCalls: (readonly string[])[] = [];
  /** Every message that was taken, in its last form. */
  readonly taken: string[] = [];
  #count = 0;
  #server = createServer(socket => this.#serve(socket));
  endpoint: SocketEndpoint = {kind: 'tcp', host: '127.0.0.1', port: 1};

  async start(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.endpoint = {kind: 'tcp', host: '127.0.0.1', port: address.port};
  }

  async stop(): Promise<void> {
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }

  #take(way: Submission, sender: string, recipient: string, message: Buffer): string {
    this.#count += 1;
    const id = `ABC${String(this.#count).padStart(7, '0')}`;
    const held = way === 'sendmail' && this.refusal !== undefined;
    const fields = this.signers(way).map(({domain, selector, key}) =>
      signMessageSync(message, {
        domain: domainOf(domain),
        selector: selectorOf(selector),
        key,
        timestamp: 1_795_230_486,
      }),
    );
    const header = [
      ...(held ? [] : fields),
      `Received: by mail.example.com (Postfix, from userid 0)\r\n\tid ${id}`,
    ];
    const whole = this.spoil(
      Buffer.concat([Buffer.from(header.map(field => `${field}\r\n`).join('')), message]),
    );
    this.queue.set(id, {id, queue: held ? 'maildrop' : 'deferred', recipient, sender, message: whole});
    this.taken.push(whole.toString());
    const token = recipient.slice(0, recipient.indexOf('@'));
    this.journal.push({identifier: 'postfix/cleanup', text: `${id}: message-id=<${token}@example.com>`});
    if (held) {
      this.journal.push({
        identifier: 'postfix/cleanup',
        text: `${id}: milter-reject: END-OF-MESSAGE from localhost[127.0.0.1]: 4.7.1 Service unavailable; to=<${recipient}>`,
      });
    }
    return id;
  }

  #serve(socket: Socket): void {
    let data: string | undefined;
    let text = '';
    let sender = '';
    let recipient = '';
    const say = (name: string, usual: string): void => {
      const line = this.replies[name] ?? usual;
      if (line === 'hang-up') socket.destroy();
      else socket.write(`${line}\r\n`);
    };
    socket.on('error', () => undefined);
    say('greeting', '220 mail.example.com ESMTP Postfix (Debian)');
    socket.on('data', chunk => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (data === undefined) this.smtpCommands.push(line);
        if (data !== undefined && line !== '.') data += `${line.replace(/^\./, '')}\r\n`;
        else if (data !== undefined) {
          if (this.refusal !== undefined) say('message', this.refusal);
          else
            say(
              'message',
              `250 2.0.0 Ok: queued as ${this.#take('smtp', sender, recipient, Buffer.from(data))}`,
            );
          data = undefined;
        } else if (line.startsWith('EHLO')) {
          say(
            'EHLO',
            `250-mail.example.com\r\n250-PIPELINING${this.dsn ? '\r\n250-DSN' : ''}\r\n250 CHUNKING`,
          );
        } else if (line.startsWith('MAIL')) {
          sender = /<(.*)>/.exec(line)?.[1] ?? '';
          say('MAIL', '250 2.1.0 Ok');
        } else if (line.startsWith('RCPT')) {
          recipient = /<(.*)>/.exec(line)?.[1] ?? '';
          say('RCPT', '250 2.1.5 Ok');
        } else if (line === 'DATA') {
          if (!('DATA' in this.replies)) data = '';
          say('DATA', '354 End data with <CR><LF>.<CR><LF>');
        } else if (line === 'QUIT') socket.end('221 2.0.0 Bye\r\n');
      }
    });
  }

  readonly programs: Readonly<Record<string, Program>> = {
    postconf: argv => {
      if (argv.includes('-P'))
        return {stdout: lines(Object.entries(this.overrides).map(([name, value]) => `${name} = ${value}`))};
      const names = argv.slice(argv.indexOf('-x') + 1);
      return {
        stdout: lines(names.map(name => `${name} =${this.settings[name] ? ` ${this.settings[name]}` : ''}`)),
      };
    },
    postmap: (argv, options) => {
      const table = this.tables[argv.at(-1) ?? ''];
      if (table === undefined)
        return {status: 1, stderr: 'postmap: fatal: open database: No such file or directory\n'};
      const asked = argv[argv.indexOf('-q') + 1] ?? '';
      if (asked !== '-') return table[asked] === undefined ? {status: 1} : {stdout: `${table[asked]}\n`};
      const keys = Buffer.from(options.input ?? [])
        .toString()
        .split('\n');
      const found = keys.flatMap(key => (table[key] === undefined ? [] : [`${key}\t${table[key]}`]));
      return {status: found.length > 0 ? 0 : 1, stdout: lines(found)};
    },
    '/usr/sbin/sendmail': (argv, options) => {
      this.sendmailCalls.push(argv);
      if (this.replies['sendmail'] !== undefined)
        return {status: 75, stderr: `${this.replies['sendmail']}\n`};
      const message = Buffer.from(options.input ?? [])
        .toString()
        .replaceAll('\n', '\r\n');
      this.#take('sendmail', argv.at(-2) ?? '', argv.at(-1) ?? '', Buffer.from(message));
      return {};
    },
    postqueue: () => {
      const entries = this.listsQueue ? [...this.queue.values()] : [];
      const other =
        '{"queue_name": "deferred", "queue_id": "ZZZ0000001", "sender": "x@example.com", "recipients": []}';
      return {
        stdout: lines([
          other,
          ...entries.map(entry =>
            JSON.stringify({
              queue_name: entry.queue,
              queue_id: entry.id,
              sender: entry.sender,
              recipients: [{address: entry.recipient, delay_reason: 'Network is unreachable'}],
            }),
          ),
        ]),
      };
    },
    postcat: argv => {
      const entry = this.queue.get(argv.at(-1) ?? '');
      if (entry === undefined) return {status: 1, stderr: 'postcat: fatal: No such queue file'};
      return {stdout: entry.message.toString('latin1').replaceAll('\r\n', '\n')};
    },
    postsuper: argv => {
      const gone = this.removes && this.queue.delete(argv.at(-1) ?? '');
      return {stderr: `postsuper: Deleted: ${gone ? '1 message' : '0 messages'}\n`};
    },
    runuser: () => ({status: this.accessStatus}),
    journalctl: argv => ({
      stdout: lines(this.journal.filter(line => argv.includes(line.identifier)).map(line => line.text)),
    }),
  };
}

const lines = (all: readonly string[]): string => all.map(line => `${line}\n`).join('');
