/**
 * The flags that answer questions: their words in --help, the manual page and the wizard. Data alone, so that --help
 * loads nothing of the flow.
 */
import type {QuestionId} from './answers.ts';

/** A flag of the command line that answers (a part of) a question. */
export interface FlagSpec {
  /** `--domain`. */
  readonly flag: `--${string}`;
  /** Name of its value in help; undefined for a flag without a value. */
  readonly metavar: string | undefined;
  readonly repeatable: boolean;
  readonly help: string;
}

const flag = (
  name: `--${string}`,
  metavar: string | undefined,
  help: string,
  repeatable = false,
): FlagSpec => ({flag: name, metavar, repeatable, help});

/** By question, in the order of --help. */
export const QUESTION_FLAGS: Readonly<Record<QuestionId, readonly FlagSpec[]>> = {
  domains: [flag('--domain', 'DOMAIN', 'mail domain to sign for; may be given many times', true)],
  selectors: [],
  selector: [flag('--selector', 'NAME', 'selector of the key (default: year and month)')],
  key: [
    flag('--algorithm', 'rsa|ed25519', 'key algorithm (default: rsa)'),
    flag('--bits', '2048|3072|4096', 'RSA key size (default: 2048)'),
    flag('--key', 'FILE', 'import this private key instead of making one'),
    flag('--shared-key', undefined, 'one key for all domains instead of one each'),
  ],
  install: [flag('--install', undefined, 'install missing packages')],
  otherSigner: [
    flag(
      '--other-signer',
      'switch|leave',
      'where another program signs: switch its signing off, or let both sign',
    ),
  ],
  settings: [],
  socket: [flag('--socket', 'auto|unix|inet:PORT', 'socket between mail server and signer (default: auto)')],
  canonicalization: [
    flag('--canonicalization', 'HEADER/BODY', 'relaxed or simple, header/body (default: relaxed/simple)'),
  ],
  trustedHosts: [
    flag('--trusted-hosts', 'LIST', 'hosts and networks whose mail is signed, besides this host'),
  ],
  subdomains: [flag('--no-subdomains', undefined, 'do not sign for subdomains of the domain')],
  testMode: [flag('--test-mode', undefined, 'mark the record as a test (t=y)')],
  note: [flag('--note', 'TEXT', 'note in the record (n=)')],
  publish: [
    flag(
      '--publish',
      'HOW',
      'who enters and withdraws the record: manual (default), nsupdate, knsupdate, hook:PATH or lexicon:PROVIDER',
    ),
    flag('--tsig-key', 'FILE', 'key file for nsupdate or knsupdate'),
    flag('--update-server', 'ADDR', 'server for nsupdate or knsupdate (default: the primary of the zone)'),
    flag('--update-ttl', 'SECONDS', 'TTL of what nsupdate or knsupdate enter (default: 3600)'),
    flag('--lexicon-config', 'DIR', 'directory with the configuration and the credentials of lexicon'),
  ],
};
