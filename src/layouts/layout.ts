/** Where a distribution keeps what concerns DKIM. Data, not code: a distribution is what it does unlike Debian. */
import {type AbsolutePath, absolute} from '../domain/paths.ts';
import type {PackageManagerName} from './package-managers.ts';

export interface Distribution {
  /** ID of os-release(5): `debian`, `arch`; `unknown` where there is no such file. */
  readonly id: string;
  readonly like: readonly string[];
  readonly version: string;
  /** `Debian GNU/Linux 13 (trixie)`, made harmless for a terminal. */
  readonly prettyName: string;
}

export interface Layout {
  readonly id: string;
  readonly name: string;
  /** Each ID of os-release(5) that means this layout; a derivative is found by its ID_LIKE. */
  readonly distributions: readonly string[];
  /** True where waxseal's own lab proves it on a real host. */
  readonly proven: boolean;
  readonly packageManager: PackageManagerName;
  readonly packages: {readonly opendkim: readonly string[]; readonly postfix: readonly string[]};
  readonly opendkim: {
    readonly configFile: AbsolutePath;
    readonly tableDirectory: AbsolutePath;
    readonly keyDirectory: AbsolutePath;
    readonly user: string;
    readonly group: string;
    readonly unit: string;
    readonly pidFile: AbsolutePath;
    readonly runDirectory: AbsolutePath;
    /** Read by the init script only, never by the systemd unit; undefined where the package has none. */
    readonly defaultsFile: AbsolutePath | undefined;
  };
  readonly postfix: {
    readonly configDirectory: AbsolutePath;
    readonly user: string;
    readonly group: string;
    /** Units that may run Postfix, the likeliest first. */
    readonly units: readonly string[];
  };
}

/** Debian's answers, which most distributions share in most places. */
const DEFAULTS: Omit<Layout, 'id' | 'name' | 'distributions' | 'packageManager'> = {
  proven: false,
  packages: {opendkim: ['opendkim'], postfix: ['postfix']},
  opendkim: {
    configFile: absolute('/etc/opendkim.conf'),
    tableDirectory: absolute('/etc/opendkim'),
    keyDirectory: absolute('/etc/dkimkeys'),
    user: 'opendkim',
    group: 'opendkim',
    unit: 'opendkim.service',
    pidFile: absolute('/run/opendkim/opendkim.pid'),
    runDirectory: absolute('/run/opendkim'),
    defaultsFile: undefined,
  },
  postfix: {
    configDirectory: absolute('/etc/postfix'),
    user: 'postfix',
    group: 'postfix',
    units: ['postfix.service'],
  },
};

type Differences = Pick<Layout, 'id' | 'name' | 'distributions' | 'packageManager'> &
  Partial<Pick<Layout, 'proven'>> & {
    readonly [Part in 'packages' | 'opendkim' | 'postfix']?: Partial<Layout[Part]>;
  };

/** A whole layout from what is not as on Debian. */
export const defineLayout = (differences: Differences): Layout => ({
  ...DEFAULTS,
  ...differences,
  packages: {...DEFAULTS.packages, ...differences.packages},
  opendkim: {...DEFAULTS.opendkim, ...differences.opendkim},
  postfix: {...DEFAULTS.postfix, ...differences.postfix},
});
