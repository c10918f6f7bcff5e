/** The registered domain of a name, as rspamd finds it: `rspamd_util.get_tld` (src/libserver/url.c). */

/** Public suffixes by name; the value tells whether any label before it belongs to it (`*.ck`). */
export type Suffixes = ReadonlyMap<string, boolean>;

/** Reads the list of publicsuffix.org; rspamd passes exceptions (`!www.ck`) over. */
export function parseSuffixes(text: string): Suffixes {
  const found = new Map<string, boolean>();
  for (const line of text.split('\n')) {
    const name = line.trim().toLowerCase();
    if (name === '' || /^[/\s!]/.test(line)) continue;
    if (name.startsWith('*')) found.set(name.slice(name.indexOf('.') + 1), true);
    else if (!found.has(name)) found.set(name, false);
  }
  return found;
}

/** The longest that any suffix makes; a name without a known suffix is its own. */
export function registeredDomain(name: string, suffixes: Suffixes): string {
  const labels = name.split('.');
  for (let at = 1; at < labels.length; at += 1) {
    const isStarred = suffixes.get(labels.slice(at).join('.'));
    if (isStarred !== undefined) return labels.slice(Math.max(0, at - (isStarred ? 2 : 1))).join('.');
  }
  return name;
}
