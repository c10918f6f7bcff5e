/** The key is right; what stands around it is not. */
import {type Problem, problem} from '../domain/result.ts';
import {recordTags} from './compare.ts';
import {around, excerpt} from './evidence.ts';
import {type Published, replaceIt} from './repair.ts';

type Tags = ReadonlyMap<string, string>;

/** Names what differs in the tags of a record whose key is the one it should be, or that is no tag list at all. */
export function tagMistake(found: string, published: Published): Problem {
  const have = recordTags(found);
  if (have === undefined) return noTagList(found, published);
  const wanted = recordTags(published.expected) ?? new Map<string, string>();
  return (
    version(have, wanted, published) ??
    keyType(have, wanted, published) ??
    flags(have, wanted, published) ??
    limits(have, wanted, published) ??
    otherTags(have, wanted, published)
  );
}

function noTagList(found: string, published: Published): Problem {
  const names = [...found.matchAll(/(?:^|[;\s])([a-z])\s*=/g)].map(match => match[1] ?? '');
  const double = names.find((name, at) => names.indexOf(name) !== at);
  if (double !== undefined) {
    return problem(
      'dns.tag-twice',
      `The tag ${double}= is there twice, which makes the record invalid (RFC 6376 §3.2): ${excerpt(found)}`,
      replaceIt(published),
    );
  }
  const colon = /(?:^|;)\s*[a-z]\s*:/.exec(found);
  if (colon !== null) {
    return problem(
      'dns.colon-for-equals',
      `A tag has ":" (octet 3a) where "=" belongs: ${around(found, colon.index)}`,
      replaceIt(published),
    );
  }
  return problem('dns.no-tag-list', `The record cannot be read: ${excerpt(found)}`, replaceIt(published));
}

function version(have: Tags, wanted: Tags, published: Published): Problem | undefined {
  const told = have.get('v');
  const separator = [...have].find(([name, value]) => name !== 'p' && /(?:^|[\s,])[a-z]\s*=/.test(value));
  if (separator !== undefined) {
    return problem(
      'dns.no-semicolon',
      `There is no semicolon (octet 3b) between the tags: ${excerpt(`${separator[0]}=${separator[1]}`)}`,
      replaceIt(published),
    );
  }
  if (told === undefined) {
    if (!wanted.has('v')) return undefined;
    return problem(
      'dns.version-missing',
      `The record does not begin with v=DKIM1 but with ${excerpt([...have.keys()][0] ?? '')}=.`,
      replaceIt(published),
    );
  }
  if (told !== 'DKIM1') {
    return problem(
      'dns.wrong-version',
      `The version is v=${excerpt(told, 20)}; receivers read v=DKIM1 only, in this very case (RFC 6376 §3.6.1).`,
      replaceIt(published),
    );
  }
  if ([...have.keys()][0] === 'v') return undefined;
  return problem(
    'dns.version-not-first',
    `The tag v= is not the first of the record; ${[...have.keys()][0] ?? ''}= is.`,
    replaceIt(published),
  );
}

function keyType(have: Tags, wanted: Tags, published: Published): Problem | undefined {
  const told = have.get('k') ?? 'rsa';
  const right = wanted.get('k') ?? 'rsa';
  if (told === right) return undefined;
  return problem(
    'dns.wrong-key-type',
    `The record says k=${excerpt(told, 20)}${have.has('k') ? '' : ' by having no k='}, but the key is ${right}.`,
    replaceIt(published),
  );
}

function flags(have: Tags, wanted: Tags, published: Published): Problem | undefined {
  const flagsOf = (tags: Tags): readonly string[] =>
    (tags.get('t') ?? '').split(':').map(flag => flag.trim());
  const told = flagsOf(have);
  const right = flagsOf(wanted);
  if (told.includes('y') && !right.includes('y')) {
    return problem(
      'dns.test-mode',
      `The record says t=${excerpt(have.get('t') ?? '', 20)}: receivers treat mail as if it were not signed (test mode).`,
      replaceIt(published, 'Without t=y.'),
    );
  }
  if (told.includes('s') === right.includes('s')) return undefined;
  return problem(
    'dns.subdomain-flag',
    told.includes('s')
      ? 'The record says t=s: signatures with i= of a subdomain become invalid.'
      : 'The record lacks t=s, so the key counts for subdomains, too.',
    replaceIt(published),
  );
}

function limits(have: Tags, wanted: Tags, published: Published): Problem | undefined {
  const hashes = have.get('h');
  if (
    hashes !== undefined &&
    hashes !== wanted.get('h') &&
    !hashes.split(':').some(h => h.trim() === 'sha256')
  ) {
    return problem(
      'dns.hash-not-allowed',
      `The record allows h=${excerpt(hashes, 20)} only; signatures use sha256.`,
      replaceIt(published),
    );
  }
  const services = have.get('s');
  if (services === undefined || services === wanted.get('s')) return undefined;
  if (services.split(':').some(each => ['*', 'email'].includes(each.trim()))) return undefined;
  return problem(
    'dns.not-for-mail',
    `The record says s=${excerpt(services, 20)}: the key is not for e-mail.`,
    replaceIt(published),
  );
}

function otherTags(have: Tags, wanted: Tags, published: Published): Problem {
  const names = [...new Set([...wanted.keys(), ...have.keys()])];
  const differing = names.filter(name => have.get(name) !== wanted.get(name));
  const told = differing.map(name =>
    have.has(name)
      ? `${name}=${excerpt(have.get(name) ?? '', 20)}${wanted.has(name) ? '' : ' too much'}`
      : `${name}= missing`,
  );
  return problem(
    'dns.other-tags',
    `The key is right, but other tags differ: ${told.join(', ')}.`,
    replaceIt(published),
  );
}
