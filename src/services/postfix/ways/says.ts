/** The sentences of decisions. */
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Setting} from './settings.ts';

/** Mail of one entrance in a sentence. */
export interface Subject {
  /** `mail on port 587`, `local mail`. */
  readonly mail: string;
  /** What Postfix does with it: `accepts mail on port 587`, `sends bounces`. */
  readonly verb: 'accept' | 'send';
}

export const decision = (setting: Setting, says: string): Decision => ({
  name: setting.name,
  value: visible(setting.raw),
  source: setting.source,
  says,
});

const owner = (setting: Setting): string => `${visible(setting.service)} in master.cf`;

/** `submission/inet in master.cf has smtpd_milters=`, `smtpd_milters in main.cf is empty`, `smtpd_milters isn't set`. */
export function stated(setting: Setting): string {
  const {name, raw, setBy} = setting;
  if (setBy === 'master.cf') return `${owner(setting)} has ${name}=${visible(raw)}`;
  if (setBy === 'default') return `${name} isn't set`;
  return raw === '' ? `${name} in main.cf is empty` : `${name} in main.cf is ${visible(raw)}`;
}

/** `submission/inet in master.cf`, `smtpd_milters in main.cf`. */
export const placed = (setting: Setting): string =>
  setting.setBy === 'master.cf' ? owner(setting) : `${setting.name} in main.cf`;

export const beatenBy = (winner: Setting, beaten: Setting, {mail}: Subject): Decision =>
  decision(
    beaten,
    winner.name === beaten.name
      ? `${owner(winner)} has its own ${winner.name}, so the one in main.cf doesn't count for ${mail}.`
      : `${winner.name} comes first, so ${beaten.name} doesn't count for ${mail}.`,
  );
