/** Why OpenDKIM does not start with a configuration: the end of dkimf_config_load. */
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {KeyState} from '../../key-look.ts';
import {keyFields, signingFields} from '../tables/rows.ts';
import type {NamedSet, SetName} from './model.ts';
import {flag, type Setting, type Settings, shownValue} from './settings.ts';

/**
 * The first reason that is found; undefined where it starts. What needs more than the configuration (a socket, a trust
 * anchor, an account) is not looked at.
 *
 * @param keyFile what KeyFile is to the account that it is read for; undefined where it is not used
 */
export function refusalOf(
  settings: Settings,
  sets: ReadonlyMap<SetName, NamedSet>,
  keyFile: KeyState | undefined,
): Decision | undefined {
  const mode = settings('Mode');
  if (mode !== undefined && /[^sv]/.test(mode.value))
    return refused(mode, 'Mode may have the letters s and v only');
  const algorithm = settings('SignatureAlgorithm');
  if (algorithm !== undefined && !/^(?:rsa-sha1|rsa-sha256|ed25519-sha256)$/i.test(algorithm.value)) {
    return refused(algorithm, `${visible(algorithm.value)} is no algorithm that it knows`);
  }
  const canonicalization = settings('Canonicalization');
  if (
    canonicalization !== undefined &&
    !/^(?:simple|relaxed)(?:\/(?:simple|relaxed))?$/i.test(canonicalization.value)
  ) {
    return refused(
      canonicalization,
      `${visible(canonicalization.value)} is no canonicalization that it knows`,
    );
  }
  const of = (name: SetName): Setting | undefined => sets.get(name)?.setting;
  const [signing, keys, domain] = [of('SigningTable'), of('KeyTable'), of('Domain')];
  if (signing !== undefined && keys === undefined) return refused(signing, 'SigningTable needs a KeyTable');
  const named = keys === undefined ? settings('KeyFile') : undefined;
  const selector = keys === undefined ? settings('Selector') : undefined;
  if (named !== undefined && keyFile?.access === 'failed') {
    return refused(named, `the key ${visible(named.value)} ${keyFile.why}`);
  }
  if (
    named !== undefined &&
    keyFile?.access === 'ok' &&
    keyFile.unsafe !== undefined &&
    flag(settings, 'RequireSafeKeys', true)
  ) {
    return refused(named, `the key ${visible(named.value)} ${keyFile.unsafe}`);
  }
  if (mode !== undefined && !mode.value.includes('s')) return undefined;
  const single = named ?? selector;
  if (single !== undefined && (named === undefined || selector === undefined)) {
    return refused(single, 'KeyFile and Selector need each other');
  }
  if (domain !== undefined && keys === undefined && named === undefined) {
    return refused(domain, 'Domain needs KeyFile and Selector');
  }
  if (keys !== undefined && signing === undefined && settings('SetupPolicyScript') === undefined) {
    return refused(keys, 'KeyTable needs a SigningTable');
  }
  return unknownKey(sets);
}

/**
 * The walk over SigningTable ends at the first row that names no signer, so only rows before that are looked at; a table
 * of patterns is not walked at all.
 */
function unknownKey(sets: ReadonlyMap<SetName, NamedSet>): Decision | undefined {
  const signing = sets.get('SigningTable');
  const keys = sets.get('KeyTable')?.set;
  if (signing?.set === undefined || keys === undefined || signing.set.kind === 'refile') return undefined;
  for (const row of signing.set.rows) {
    const {label, signer} = signingFields(row.value);
    if (row.value !== '' && signer === '') return undefined;
    const key = keys.first(label);
    if (key === 'unread') return undefined;
    if (key === undefined || keyFields(key.value) === undefined) {
      const at = {name: row.key, value: row.value, source: row.source};
      return refused(at, `KeyTable has no valid key ${visible(label)}`);
    }
  }
  return undefined;
}

const refused = (of: Setting, why: string): Decision => ({
  name: visible(of.name),
  value: shownValue(of),
  source: of.source,
  says: `OpenDKIM doesn't start with this configuration: ${why}.`,
});
