import {generateKeyPairSync} from 'node:crypto';
import {
  formatKeyRecord,
  parseDomain,
  parseSelector,
  signMessageSync,
  verifyMessage,
} from '../../../src/dkim/index.ts';

const domain = parseDomain('example.org');
const selector = parseSelector('202611');
if (!domain.ok || !selector.ok) throw new TypeError('no names of the DNS');

const {privateKey, publicKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
const message = Buffer.from('From: ann@example.org\r\nSubject: hello\r\n\r\nHello Bob\r\n');
const now = Math.floor(Date.now() / 1000);

// The whole field, folded, without the CRLF at its end.
const field = signMessageSync(message, {
  domain: domain.value,
  selector: selector.value,
  key: privateKey,
  timestamp: now,
});
const signed = Buffer.concat([Buffer.from(`${field}\r\n`), message]);

// What belongs into the DNS at 202611._domainkey.example.org.
const record = formatKeyRecord({algorithm: 'rsa', publicKey});

const verdicts = await verifyMessage(signed, {
  now,
  lookup: async name =>
    name === '202611._domainkey.example.org' ? {status: 'found', records: [record]} : {status: 'absent'},
});
for (const {result, domain, reason} of verdicts) console.log(result, domain, reason.message);
