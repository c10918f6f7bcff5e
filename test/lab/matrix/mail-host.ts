/**
 * One booted mail host for many configurations: the program that applies them, sends and catches mail is bundled and runs
 * on the host, and takes a configuration with its questions at a time.
 */
import {spawn} from 'node:child_process';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {build} from 'esbuild';
import type {Host} from '../support/host.ts';
import {checkout} from '../support/places.ts';
import {type Configuration, type Question, question, type Truth} from './configuration.ts';

const PROGRAM = '/usr/local/lib/lab/host-program.mjs';

export interface Answers {
  readonly truths: readonly Truth[];
  /** To apply the configuration; to send and catch. */
  readonly milliseconds: readonly number[];
  readonly isSignerUp: boolean;
}

export interface MailHost {
  /** Applies a configuration and sends every message. */
  ask(configuration: Configuration, questions: readonly string[]): Promise<Answers>;
  stop(): void;
}

export async function startMailHost(host: Host): Promise<MailHost> {
  await build({
    absWorkingDir: checkout,
    entryPoints: [path.join(import.meta.dirname, 'host-program.ts')],
    outfile: path.join(host.root, PROGRAM),
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    logLevel: 'warning',
  });
  const [program = '', ...rest] = host.inside(['node', PROGRAM]);
  const child = spawn(program, rest, {stdio: ['pipe', 'pipe', 'inherit']});
  const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the program on the host has ended');
    return JSON.parse(line.value);
  };
  await next();
  return {
    async ask(configuration, questions) {
      const asked: readonly Question[] = questions.map(question);
      child.stdin.write(`${JSON.stringify({configuration, questions: asked})}\n`);
      const answer = await next();
      if (typeof answer['error'] === 'string') throw new Error(`${configuration.name}: ${answer['error']}`);
      return answer as unknown as Answers;
    },
    stop: () => void child.kill('SIGKILL'),
  };
}
