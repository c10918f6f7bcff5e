import {describe, expect, it} from 'vitest';
import {layoutFor, layouts} from '../../src/layouts/index.ts';

describe('layoutFor', () => {
  it.each([
    ['debian', [], 'debian'],
    ['ubuntu', ['debian'], 'debian'],
    ['linuxmint', ['ubuntu', 'debian'], 'debian'],
    ['arch', [], 'arch'],
    ['manjaro', ['arch'], 'arch'],
    ['rocky', ['rhel', 'centos', 'fedora'], 'rhel'],
    ['alpine', [], 'alpine'],
    ['opensuse-leap', ['suse', 'opensuse'], 'suse'],
  ])('%s like %j is %s', (id, like, expected) => {
    expect(layoutFor({id, like})?.id).toBe(expected);
  });

  it('knows nothing of others', () => {
    expect(layoutFor({id: 'haiku', like: ['beos']})).toBeUndefined();
    expect(layoutFor({id: 'freebsd', like: []})).toBeUndefined();
    expect(layoutFor({id: 'unknown', like: []})).toBeUndefined();
  });
});

describe('layouts', () => {
  it('are proven for Debian only', () => {
    expect(layouts.filter(layout => layout.proven).map(layout => layout.id)).toEqual(['debian']);
  });

  it('say no more of Debian than its packages do', () => {
    expect(layoutFor({id: 'debian', like: []})).toMatchObject({
      packageManager: 'apt',
      packages: {opendkim: ['opendkim'], postfix: ['postfix']},
      opendkim: {
        configFile: '/etc/opendkim.conf',
        keyDirectory: '/etc/dkimkeys',
        pidFile: '/run/opendkim/opendkim.pid',
      },
    });
  });
});
