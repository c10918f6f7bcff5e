/** What is in force: `rspamadm configdump`, which merges every file as rspamd itself does (daemons/rspamd.md#files). */
import {visible} from '../../domain/text.ts';
import type {Argv, Commands} from '../../system/ports.ts';

export type Json = string | number | boolean | null | readonly Json[] | {readonly [name: string]: Json};
export type JsonObject = {readonly [name: string]: Json};

export interface Merged {
  /** The section `dkim_signing`; undefined where there is none. */
  readonly signing: JsonObject | undefined;
  readonly options: JsonObject;
  readonly workers: readonly Worker[];
}

export interface Worker {
  /** `rspamd_proxy`, `controller`. */
  readonly kind: string;
  readonly settings: JsonObject;
}

/** Sections by name would be printed one after the other, and a section that is there twice as two. */
export const dumpArgv = (more: readonly string[] = []): Argv => ['rspamadm', ...more, 'configdump', '-j'];

/** On a busy host it takes some seconds. */
const DUMP_MS = 60_000;

/** @param argv a command of {@link dumpArgv}, as the account of rspamd */
export async function dumpConfiguration(
  commands: Pick<Commands, 'run'>,
  argv: Argv,
  signal?: AbortSignal,
): Promise<Merged | {readonly why: string}> {
  const result = await commands.run(argv, {timeoutMs: DUMP_MS, ...(signal === undefined ? {} : {signal})});
  if (result.ended === 'missing') return {why: "rspamadm isn't installed"};
  if (result.status !== 0) return {why: visible(lastLine(result.stderr))};
  return parseDump(result.stdout) ?? {why: 'rspamadm configdump printed no JSON'};
}

const lastLine = (text: string): string =>
  text
    .split('\n')
    .filter(line => /failed|error/i.test(line))
    .at(-1) ?? 'rspamadm configdump failed';

export function parseDump(stdout: string): Merged | undefined {
  const all = parsed(stdout);
  if (all === undefined || !isObject(all)) return undefined;
  const {dkim_signing: signing, options, worker} = all;
  return {
    signing: isObject(signing) ? withoutSecrets(signing) : undefined,
    options: isObject(options) ? options : {},
    workers: listOf(worker).flatMap(each => (isObject(each) ? workersOf(each) : [])),
  };
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

const workersOf = (named: JsonObject): readonly Worker[] =>
  Object.entries(named).flatMap(([kind, settings]) =>
    listOf(settings).flatMap(each => (isObject(each) ? {kind, settings: withoutSecrets(each)} : [])),
  );

const SECRETS = /token|password|secret|keypair/i;

const withoutSecrets = (settings: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => !SECRETS.test(name)));

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value itself where it is no list; none where it is absent. */
export const listOf = (value: Json | undefined): readonly Json[] =>
  value === undefined ? [] : Array.isArray(value) ? (value as readonly Json[]) : [value];
