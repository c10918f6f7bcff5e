/**
 * One booted mail host for many configurations: the program that applies them, sends and catches mail is bundled and runs
 * on the host, and takes a configuration with its questions at a time.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {build} from 'esbuild';
import type {Host} from '../support/host.ts';
import {checkout, runDirectory} from '../support/places.ts';
import {must, run, stopServer} from '../support/process.ts';
import {
  type Configuration,
  FOREIGN,
  type Prediction,
  type Question,
  question,
  type Truth,
} from './configuration.ts';

/** The host's address in the network that it shares with the client elsewhere. */
const HOST_ADDRESS = '203.0.113.1';

const PROGRAM = '/usr/local/lib/lab/host-program.mjs';

export interface Answers {
  readonly truths: readonly Truth[];
  readonly predictions: readonly Prediction[];
  /** To apply the configuration; to look at the host and to send. */
  readonly milliseconds: readonly number[];
}

export interface MailHost {
  /** Applies a configuration and sends every message. */
  ask(configuration: Configuration, questions: readonly string[]): Promise<Answers>;
  stop(): Promise<void>;
}

/** A client elsewhere: a network of its own, joined to that of the host. */
async function startForeignClient(host: Host, namespace: string): Promise<() => Promise<void>> {
  const name = `${namespace}c`;
  // The sweeping up after a run that was killed goes by these directories.
  await mkdir(path.join(runDirectory, name), {recursive: true});
  await must(['ip', 'netns', 'add', name]);
  await must([
    'ip',
    'link',
    'add',
    'ext0',
    'netns',
    namespace,
    'type',
    'veth',
    'peer',
    'name',
    'ext0',
    'netns',
    name,
  ]);
  for (const [where, address] of [
    [namespace, HOST_ADDRESS],
    [name, FOREIGN.address],
  ] as const) {
    await must(['ip', '-n', where, 'addr', 'add', `${address}/24`, 'dev', 'ext0']);
    await must(['ip', '-n', where, 'link', 'set', 'ext0', 'up']);
  }
  const program = path.join(import.meta.dirname, 'foreign-client.mjs');
  const child = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      '--',
      'ip',
      'netns',
      'exec',
      name,
      process.execPath,
      program,
      path.join(host.root, FOREIGN.socket),
      HOST_ADDRESS,
    ],
    {stdio: ['ignore', 'pipe', 'inherit']},
  );
  await once(child.stdout, 'data');
  return async () => {
    await stopServer(child);
    await run(['ip', 'netns', 'del', name]);
  };
}

export async function startMailHost(host: Host, namespace: string): Promise<MailHost> {
  const stopClient = await startForeignClient(host, namespace);
  await build({
    absWorkingDir: checkout,
    entryPoints: [path.join(import.meta.dirname, 'host-program.ts')],
    outfile: path.join(host.root, PROGRAM),
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    banner: {
      js: "import {createRequire} from 'node:module';\nconst require = createRequire(import.meta.url);",
    },
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
    async stop() {
      await stopServer(child);
      await stopClient();
    },
  };
}
