import {expect, test} from 'vitest';
import {recordForms} from '../../src/dns/forms.ts';
import {fc} from '../support/fast-check.ts';
import {dnsName, NAME, VALUE} from './world.ts';
import {readZoneFile} from './zone-file.ts';

const apex = dnsName('example.org');
const joined = (text: string): string =>
  Buffer.concat(readZoneFile(text).flatMap(record => record.strings)).toString();

test('every form of an RSA-2048 record', async () => {
  const forms = recordForms({
    apex,
    name: NAME,
    value: VALUE,
    servers: ['ns-1.awsdns-00.com', 'ns-2.awsdns-11.co.uk'],
  });
  const text = Object.entries(forms)
    .map(
      ([form, content]) =>
        `## ${form}\n${typeof content === 'string' ? content : JSON.stringify(content, undefined, 2)}`,
    )
    .join('\n\n');
  await expect(`${text}\n`).toMatchFileSnapshot('../../snapshots/dns/record-forms.txt');
});

test('names relative to the real zone', () => {
  const relative = (name: string, zone: string): string =>
    recordForms({apex: dnsName(zone), name: dnsName(name), value: VALUE}).relativeName;
  expect(relative('s1._domainkey.mail.example.co.uk', 'example.co.uk')).toBe('s1._domainkey.mail');
  expect(relative('s1._domainkey.example.org', '_domainkey.example.org')).toBe('s1');
  expect(relative('_domainkey.example.org', '_domainkey.example.org')).toBe('@');
  expect(relative('s1._domainkey.badexample.org', 'example.org')).toBe('s1._domainkey.badexample.org');
});

test('a zone file reader gets the value back, whatever is in it', () => {
  fc.assert(
    fc.property(fc.string({unit: 'grapheme', minLength: 0, maxLength: 900}), value => {
      const forms = recordForms({apex, name: NAME, value, ttlSeconds: 60});
      for (const form of [forms.zoneFile, forms.zoneFileWrapped]) {
        expect(joined(form)).toBe(Buffer.from(value).toString());
        expect(readZoneFile(form)).toMatchObject([{owner: `${NAME}.`, ttl: 60, type: 'TXT'}]);
      }
      expect(forms.strings.join('')).toBe(value);
      expect(Math.max(...forms.strings.map(each => Buffer.byteLength(each)))).toBeLessThanOrEqual(255);
      expect(joined(forms.nsupdate.split('\n')[2]?.replace('update add ', '') ?? '')).toBe(
        joined(forms.zoneFile),
      );
    }),
    {numRuns: 300},
  );
});

test('the wrapped form fits into 80 columns, the plain one is one line', () => {
  const forms = recordForms({apex, name: NAME, value: `${VALUE}${VALUE}`});
  expect(Math.max(...forms.zoneFileWrapped.split('\n').map(line => line.length))).toBeLessThan(80);
  expect(forms.zoneFile).not.toContain('\n');
  expect(JSON.parse(forms.json)).toMatchObject({name: NAME, type: 'TXT', ttl: 3600, strings: forms.strings});
});

test('the reader of this test refuses what a name server refuses', () => {
  expect(() => readZoneFile(`a. 1 IN TXT "${'x'.repeat(256)}"`)).toThrow('255');
  expect(() => readZoneFile('a. 1 IN TXT v=DKIM1; p=x')).toThrow('quotes');
  expect(() => readZoneFile('a. 1 IN TXT ( "x"')).toThrow('parentheses');
});
