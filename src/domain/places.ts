import type {DomainName, Selector} from './names.ts';
import {type AbsolutePath, absolute, below} from './paths.ts';

/** Everything waxseal keeps for itself on a host. root, 0711; what lies in it is root's alone: staged private keys, backups. */
export const STATE_DIRECTORY: AbsolutePath = absolute('/var/lib/waxseal');

/** Staged private keys, one directory a domain. */
export const KEYS_DIRECTORY: AbsolutePath = below(STATE_DIRECTORY, 'keys');

/** Journals and backups, one directory a run. */
export const RUNS_DIRECTORY: AbsolutePath = below(STATE_DIRECTORY, 'runs');

/** Which keys there are and how far each is in its life. */
export const STATE_FILE: AbsolutePath = below(STATE_DIRECTORY, 'state.json');

/** The answers of a wizard that was left before its plan was carried out. No secrets. */
export const DRAFT_FILE: AbsolutePath = below(STATE_DIRECTORY, 'draft.json');

/** Where a private key waits until a plan copies it to the signer. */
export const stagedKeyPath = (domain: DomainName, selector: Selector): AbsolutePath =>
  below(KEYS_DIRECTORY, domain, `${selector}.pem`);
