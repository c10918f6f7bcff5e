/** A content filter that may sign, by rules that waxseal does not read: whether it signs a message can't be told. */
import type {Decision} from '../domain/source.ts';
import type {Rival} from './facts.ts';
import type {SignerView, SigningRow} from './signer.ts';

export const unreadFilter = (
  {kind, program, unit = ''}: Rival,
  takes: (to: string) => boolean,
  decision: Decision,
  rows: readonly SigningRow[] = [],
): SignerView => ({
  ...{kind, program, unit, takes, rows},
  isRunning: unit !== '',
  endpoints: [],
  unread: [],
  idle: [],
  wouldSign: () => ({outcome: 'unknown', by: [], decisions: [decision]}),
});
