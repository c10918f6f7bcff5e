/** The two Debian releases on which everything is proven, and what is put into their images. */

export interface Release {
  readonly name: string;
  readonly suite: 'trixie' | 'bookworm';
  readonly version: 13 | 12;
  /** The unit that really runs Postfix; `postfix.service` of Debian 12 only stands for it. */
  readonly postfixUnit: string;
  /** Debian 13 has a Node that is new enough; into Debian 12 the one that runs the tests is mounted. */
  readonly ownNode: boolean;
  /** More packages than a bare mail host has; an image of its own, named by `name`. */
  readonly more?: {readonly name: string; readonly packages: readonly string[]};
}

const debian13: Release = {
  name: 'Debian 13',
  suite: 'trixie',
  version: 13,
  postfixUnit: 'postfix.service',
  ownNode: true,
};

const debian12: Release = {
  name: 'Debian 12',
  suite: 'bookworm',
  version: 12,
  postfixUnit: 'postfix@-.service',
  ownNode: false,
};

const {WAXSEAL_LAB_RELEASE: named = '', WAXSEAL_LAB_ALL: all = ''} = process.env;

/**
 * Both, or the one that WAXSEAL_LAB_RELEASE names (`trixie`, `bookworm`): for scenarios in which the releases differ, by
 * their units, by Node or by the versions of other programs.
 */
export const bothReleases: readonly Release[] = [debian13, debian12].filter(
  ({suite}) => named === '' || named === suite,
);

/** Debian 13; both with `--all`; the one that WAXSEAL_LAB_RELEASE names. */
export const releases: readonly Release[] = bothReleases.filter(
  ({suite}) => all !== '' || named !== '' || suite === 'trixie',
);

/** The same releases with other programs that can sign, installed and switched off until a scenario starts one. */
export const withOtherSigners: readonly Release[] = bothReleases.map(release => ({
  ...release,
  more: {name: 'signers', packages: ['rspamd', 'amavisd-new', 'libmail-dkim-perl']},
}));

/** The same releases with what enters records: nsupdate and knsupdate; lexicon is no package of Debian 13. */
export const withPublishers: readonly Release[] = bothReleases.map(release => ({
  ...release,
  more: {
    name: 'publishers',
    packages: [
      'bind9-dnsutils',
      'knot-dnsutils',
      ...(release.suite === 'bookworm' ? ['lexicon', 'python3-dnspython'] : []),
    ],
  },
}));

/** Debian 13 with what an attacker needs who has an account there: Python, for the system calls that no shell has. */
export const withAttackers: readonly Release[] = releases
  .filter(({suite}) => suite === 'trixie')
  .map(release => ({...release, more: {name: 'attackers', packages: ['python3', 'acl', 'attr']}}));
