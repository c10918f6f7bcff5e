/** Which of the wanted signatures rspamd makes: one for each key that it can load; a broken key takes no other with it. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {Decision} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {SignedBy, SigningRow} from '../signer.ts';
import {filledIn, isOn, isTakenForKey, type Model, shown, type Wish} from './model.ts';

export interface Made {
  readonly state: 'signed' | 'unsigned' | 'unknown';
  readonly decision: Decision;
  /** Present where it is made. */
  readonly signed?: SignedBy;
}

export const signaturesOf = (model: Model, domain: string, wishes: readonly Wish[]): readonly Made[] =>
  wishes.map(wish => signature(model, domain, wish));

function signature(model: Model, domain: string, wish: Wish): Made {
  const {settings, keyState} = model;
  const {source, setting} = wish;
  const decide = (state: Made['state'], says: string, value = wish.name): Made => ({
    state,
    decision: {name: setting, value: visible(value), source, says},
  });
  const selector = wish.selector ?? settings('selector').value ?? '';
  const template = wish.path ?? settings('path').value ?? '';
  if (typeof selector !== 'string' || typeof template !== 'string') {
    const says = `${typeof selector === 'string' ? 'path' : 'selector'} is given more than once, so rspamd doesn't sign with it.`;
    return decide('unsigned', says, shown(typeof selector === 'string' ? template : selector));
  }
  for (const store of ['use_redis', 'check_pubkey'] as const) {
    const setting = settings(store);
    if (!isOn(setting) || (store === 'check_pubkey' && isOn(settings('allow_pubkey_mismatch')))) continue;
    return {
      state: 'unknown',
      decision: {name: store, value: shown(setting.value), source: setting.source, says: UNKNOWN[store]},
    };
  }
  const path = filledIn(template, domain, selector);
  if (isTakenForKey(path)) {
    const says = `rspamd takes ${visible(path)} for a key, not for the name of a file, so it doesn't sign. A name that ends with .key helps.`;
    return decide('unsigned', says);
  }
  const keyPath = parseAbsolutePath(path);
  if (!keyPath.ok) return decide('unknown', `waxseal doesn't look for a key at ${visible(path)}.`);
  const state = keyState(keyPath.value);
  const at = `The key ${visible(keyPath.value)}`;
  if (state.access === 'failed')
    return decide('unsigned', `${at} ${state.why}, so rspamd doesn't sign with it.`);
  if (state.access === 'unknown') return decide('unknown', `${at}: ${state.why}.`);
  if (state.material === undefined)
    return decide('unsigned', `${at} isn't in a form that rspamd takes, so it doesn't sign with it.`);
  const row = rowOf(wish, domain, selector, keyPath.value);
  return {
    ...decide(
      'signed',
      `Signed with d=${visible(domain)} s=${visible(selector)}, ${visible(keyPath.value)}.`,
    ),
    signed: {domain: domain.toLowerCase(), selector: selector.toLowerCase(), keyPath: keyPath.value, row},
  };
}

export const rowOf = (
  {name, source}: Pick<Wish, 'name' | 'source'>,
  domain: string,
  selector: string,
  keyPath: AbsolutePath | undefined,
): SigningRow => ({
  pattern: visible(name),
  domain: domain.toLowerCase(),
  selector: visible(selector),
  keyPath,
  source,
});

const UNKNOWN = {
  use_redis: "Keys are kept in Redis, which waxseal doesn't read.",
  check_pubkey: 'rspamd signs only where DNS has the key (check_pubkey).',
} as const;
