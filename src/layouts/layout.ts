/** Where a distribution keeps what concerns DKIM. Data, not code: a new distribution is one more file of this shape. */
import type {AbsolutePath} from '../domain/paths.ts';

export interface Distribution {
  /** ID of os-release(5): `debian`, `arch`; `unknown` where there is no such file. */
  readonly id: string;
  readonly like: readonly string[];
  readonly version: string;
  /** `Debian GNU/Linux 13 (trixie)`, made harmless for a terminal. */
  readonly prettyName: string;
}

export interface Layout {
  readonly id: 'debian' | 'arch' | 'rhel' | 'alpine' | 'freebsd' | 'suse';
  readonly name: string;
  /** True where waxseal's own lab proves it on a real host. */
  readonly proven: boolean;
  readonly packageManager: 'apt' | 'pacman' | undefined;
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
  };
  readonly postfix: {
    readonly configDirectory: AbsolutePath;
    readonly user: string;
    readonly group: string;
    /** The unit that really runs Postfix. */
    readonly units: readonly string[];
  };
}
