import {describe, expect, it} from 'vitest';
import {isQueueId, parseQueueFile} from '../../src/services/postfix/queued.ts';

const FILE = (...attributes: readonly string[]): string => `*** ENVELOPE RECORDS deferred/4/4XyZ ***
message_size:             459             202               1               0             459               0
message_arrival_time: Sun Nov 29 14:46:00 2026
create_time: Sun Nov 29 14:46:00 2026
${attributes.map(each => `named_attribute: ${each}\n`).join('')}sender: bounce@example.org
original_recipient: x@y.invalid
recipient: x@y.invalid
*** MESSAGE CONTENTS deferred/4/4XyZ ***
Received: from c.ext (c.ext [203.0.113.5])
From: Alice
 <alice@example.org>

From: somebody@body.example
*** HEADER EXTRACTED deferred/4/4XyZ ***
*** MESSAGE FILE END deferred/4/4XyZ ***
`;

describe('parseQueueFile', () => {
  it('reads sender, client and login of mail by SMTP', () => {
    const by = FILE(
      'log_client_name=c.ext',
      'client_name=c.ext',
      'client_address=203.0.113.5',
      'rewrite_context=remote',
      'sasl_method=PLAIN',
      'sasl_username=alice',
    );
    expect(parseQueueFile(by)).toEqual({
      ...{from: 'alice@example.org', recipients: ['x@y.invalid'], isLoggedIn: true},
      client: {name: 'c.ext', address: '203.0.113.5'},
    });
  });

  it('knows a client without a name, and mail of a program of this host', () => {
    const nameless = parseQueueFile(
      FILE('client_name=unknown', 'client_address=203.0.113.5', 'rewrite_context=remote'),
    );
    expect(nameless).toMatchObject({client: {name: '[203.0.113.5]'}, isLoggedIn: false});
    expect(parseQueueFile(FILE('rewrite_context=local'))).toMatchObject({client: undefined});
  });

  it('is no question without an author', () => {
    expect(parseQueueFile('postcat: fatal')).toBeUndefined();
  });
});

describe('isQueueId', () => {
  it.each([
    ['4BF1A2C3D4', true],
    ['4XyZ1T2bczB9Qz', true],
    ['alice@example.org', false],
    ['alice', false],
    ['ABC', false],
    ['4XyZ1T2', false],
    ['--4BF1A2C3D4', false],
    ['A'.repeat(31), false],
  ])('%s: %s', (text, expected) => {
    expect(isQueueId(text)).toBe(expected);
  });
});
