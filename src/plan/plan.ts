/** A plan is a value: shown, diffed, kept, refused when the world has moved. */
import type {DomainName, Selector} from '../domain/names.ts';
import type {Step} from '../services/step.ts';

/** `20261121T101500Z-3f9a`: sorts by time, is a file name. */
export type RunId = string & {readonly __brand: 'RunId'};

export interface Plan {
  readonly version: 1;
  readonly id: RunId;
  readonly purpose: 'setup' | 'install' | 'rotate' | 'remove' | 'undo';
  /** ISO 8601, UTC. */
  readonly madeAt: string;
  /** For the undo list: what this plan was about. */
  readonly title: string;
  readonly domains: readonly {readonly domain: DomainName; readonly selector: Selector}[];
  /** In the order in which they are carried out; empty where the host is right already. */
  readonly steps: readonly Step[];
}

/** One change as the JSON contract shows it (docs/reference/json.md). */
export interface ChangeView {
  readonly kind: 'write' | 'mkdir' | 'chown' | 'group' | 'package' | 'service' | 'sql';
  readonly target: string;
  readonly action: string;
  /** Unified diff, or '' where there is none to show. Never a secret. */
  readonly diff: string;
}

/** What happens during an apply. `index` counts from 1 to `of`; `step` is the id of the step. */
export type ApplyEvent =
  | {readonly type: 'step-started'; readonly step: string; readonly index: number; readonly of: number}
  | {readonly type: 'step-done'; readonly step: string; readonly index: number; readonly of: number}
  | {readonly type: 'step-failed'; readonly step: string; readonly message: string}
  | {readonly type: 'proof-started'}
  | {readonly type: 'proof-done'}
  | {readonly type: 'rolling-back'; readonly because: string}
  | {readonly type: 'step-undone'; readonly step: string}
  | {readonly type: 'rolled-back'; readonly whole: boolean; readonly remains: readonly string[]};
