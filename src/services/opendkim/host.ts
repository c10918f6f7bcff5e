/** What OpenDKIM's planner gets: the host as it was looked at, with its own facts. */
import type {PlanHost} from '../files.ts';
import type {OpenDkimFacts} from './facts.ts';

export interface OpenDkimHost extends PlanHost {
  readonly opendkim: OpenDkimFacts;
}
