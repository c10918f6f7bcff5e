import {describe, expect, it} from 'vitest';
import {addressIn, fieldOf} from '../../src/domain/author.ts';

describe('addressIn', () => {
  it.each([
    ['alice@example.org', 'alice@example.org'],
    ['Alice <alice@example.org>', 'alice@example.org'],
    ['"Alice, A. <x@y.z>" (here (or) there@q.r) <alice@example.org>', 'alice@example.org'],
    ['a@example.org, b@example.net', 'a@example.org'],
    ['"a\\" <b@c.d>" <alice@example.org>', 'alice@example.org'],
    ['alice@example.org (Alice)', 'alice@example.org'],
    ['MAILER-DAEMON', undefined],
    ['<>', undefined],
    ['', undefined],
  ])('%s: %s', (field, expected) => {
    expect(addressIn(field)).toBe(expected);
  });

  it('takes time that grows with the field and no faster', () => {
    const began = performance.now();
    addressIn('(<"'.repeat(300_000));
    expect(performance.now() - began).toBeLessThan(5000);
  });
});

describe('fieldOf', () => {
  const message = 'X: 1\r\nFrom: Alice\r\n <alice@example.org>\r\nSender: s@x.y\r\n\r\nFrom: body@x.y\r\n';

  it('unfolds the first field of a name, and never looks into the body', () => {
    expect(fieldOf(message, 'from')).toBe('Alice <alice@example.org>');
    expect(fieldOf(message, 'Sender')).toBe('s@x.y');
    expect(fieldOf('X: 1\n\nFrom: body@x.y\n', 'from')).toBeUndefined();
  });
});
