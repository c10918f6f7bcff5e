/** What is written in rspamd's files and has no effect, though it looks as if it had (daemons/rspamd.md#mistakes). */
import type {Decision, Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import {registeredDomain} from './esld.ts';
import {isOn, type Model, shown} from './model.ts';
import {entriesAt, type Part} from './places.ts';

export const idleSettings = (model: Model, parts: readonly Part[]): readonly Decision[] => [
  ...idleBlocks(model),
  ...hiddenBlocks(parts),
  ...wrapped(parts),
  ...idleNetworks(model),
];

function idleBlocks({blocks, settings, suffixes, maps}: Model): readonly Decision[] {
  const found: Decision[] = [];
  for (const {name, source, wishes} of blocks.values()) {
    const tell = (says: string): void => {
      found.push({name: 'domain', value: visible(name), source, says});
    };
    if (maps.has('signing_table') && maps.has('key_table'))
      tell('With signing_table and key_table rspamd asks no block of a domain.');
    else if (name !== name.toLowerCase() || name.includes('*'))
      tell(
        `rspamd looks for a domain in small letters and by its whole name, so ${visible(name)} is never found.`,
      );
    else if (isOn(settings('use_esld')) && registeredDomain(name, suffixes) !== name)
      tell(
        `Mail of ${visible(name)} is signed as ${visible(registeredDomain(name, suffixes))}, so this block is never asked. With use_esld = false it is.`,
      );
    else if (wishes.length === 0)
      tell(
        `The block of ${visible(name)} has no selector and no path, or is there twice: rspamd signs nothing by it.`,
      );
    for (const {selector, source: at} of wishes) {
      if (selector === undefined || typeof selector === 'string') continue;
      const says = `${visible(name)} has more than one selector here, so rspamd doesn't sign its mail. Several keys belong into a list selectors.`;
      found.push({name: 'selector', value: shown(selector), source: at, says});
    }
  }
  return found;
}

/** `domain { … }` of a stronger file replaces that of a weaker one as a whole. */
function hiddenBlocks(parts: readonly Part[]): readonly Decision[] {
  const [winner, ...others] = parts.filter(({entries}) => entriesAt(entries, ['domain']).length > 0);
  if (winner === undefined || !winner.path.includes('/override.d/')) return [];
  return others.flatMap(({path, entries}) =>
    entriesAt(entries, ['domain']).map(({line}) => ({
      name: 'domain',
      value: '',
      source: {by: 'file', path, line} as const,
      says: `${winner.path} has domain { } as well, and replaces these as a whole.`,
    })),
  );
}

/** Files of local.d and override.d have the settings without the section around them. */
const wrapped = (parts: readonly Part[]): readonly Decision[] =>
  parts.flatMap(({path, entries}) =>
    entriesAt(entries, ['dkim_signing']).map(({line}) => ({
      name: 'dkim_signing',
      value: '',
      source: {by: 'file', path, line} satisfies Source,
      says: 'rspamd puts this file into dkim_signing { } itself, so what is in these braces has no effect.',
    })),
  );

function idleNetworks({settings}: Model): readonly Decision[] {
  const {name, value, source} = settings('sign_networks');
  if (typeof value !== 'string' || !/^[\d.:a-fA-F]+\/\d+$|^\d+(?:\.\d+){3}$/.test(value)) return [];
  const says = `rspamd takes ${visible(value)} for the name of a file, so these clients aren't signed for. Write it in brackets: ["${visible(value)}"].`;
  return [{name, value: visible(value), source, says}];
}
