/** What a run gets from outside of the program: the ports of the host, and the files of the person who runs it. */
import type {AbsolutePath} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import type {Clock, DnsServer, DnsTransport, Files, Ports} from '../system/ports.ts';
import {usage} from './usage.ts';

export interface ConnectOptions {
  /** `--root`. */
  readonly root: AbsolutePath | undefined;
  /** `--resolver`. */
  readonly resolvers: readonly DnsServer[] | undefined;
}

/** Tests give their own; the program has {@link realOutside}. */
export interface Outside {
  /** The ports of the host that is worked on. */
  connect(options: ConnectOptions): Promise<Ports>;
  /** The whole file system: what is named on the command line lies there, also with `--root` and in the sandbox. */
  files(): Promise<Files>;
  clock(): Promise<Clock>;
  /** The transport for thousands of questions, made from that of the host; undefined where that one will do. */
  readonly manyQuestions?: (dns: DnsTransport) => Promise<DnsTransport & {close(): void}>;
  /** Owner of the files that a person asks for. */
  readonly person: {readonly uid: number; readonly gid: number};
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The outside as it is. system/real is loaded when something of it is used. */
export const realOutside = (): Outside => ({
  async connect({root, resolvers}) {
    const {createRealPorts, createFiles} = await import('../system/real/index.ts');
    if (root !== undefined && (await createFiles({owners: 'real'}).stat(root))?.kind !== 'directory') {
      throw usage('usage.root', `There is no directory ${visible(root)}.`, 'Check --root.');
    }
    return createRealPorts({
      ...(root === undefined ? {} : {root}),
      ...(resolvers === undefined ? {} : {resolvers}),
    });
  },
  async files() {
    const {createFiles} = await import('../system/real/index.ts');
    return createFiles({owners: 'real'});
  },
  async clock() {
    const {createClock} = await import('../system/real/index.ts');
    return createClock();
  },
  async manyQuestions(dns) {
    const {createSharedDnsTransport} = await import('../system/real/dns-shared.ts');
    return createSharedDnsTransport(dns);
  },
  person: {uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0},
  workingDirectory: process.cwd(),
  environment: process.env,
});
