import {createPrivateKey} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
import {against, answering, domain, ed25519FromSeed, octets, selector} from './support.ts';

// RFC 6376 appendix A with errata 3192 and 4926, RFC 8463 appendix A.
const RSA_1024 =
  'v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB';

const A2 = [
  'DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;',
  '      c=simple/simple; q=dns/txt; i=joe@football.example.com;',
  '      h=Received : From : To : Subject : Date : Message-ID;',
  '      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;',
  '      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB',
  '      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut',
  '      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV',
  '      4bmp/YzhwvcubU4=;',
  'Received: from client1.football.example.com  [192.0.2.1]',
  '      by submitserver.example.com with SUBMISSION;',
  '      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)',
  'From: Joe SixPack <joe@football.example.com>',
  'To: Suzie Q <suzie@shopping.example.net>',
  'Subject: Is dinner ready?',
  'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)',
  'Message-ID: <20030712040037.46341.5F8J@football.example.com>',
  '',
  'Hi.',
  '',
  'We lost the game. Are you hungry yet?',
  '',
  'Joe.',
  '',
].join('\r\n');

const A3_MESSAGE = [
  'From: Joe SixPack <joe@football.example.com>',
  'To: Suzie Q <suzie@shopping.example.net>',
  'Subject: Is dinner ready?',
  'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)',
  'Message-ID: <20030712040037.46341.5F8J@football.example.com>',
  '',
  'Hi.',
  '',
  'We lost the game.  Are you hungry yet?',
  '',
  'Joe.',
  '',
].join('\r\n');

const A3_SIGNATURE = [
  'DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;',
  ' d=football.example.com; i=@football.example.com;',
  ' q=dns/txt; s=brisbane; t=1528637909; h=from : to :',
  ' subject : date : message-id : from : subject : date;',
  ' bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;',
  ' b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus',
  ' Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==',
].join('\r\n');

describe('the examples of the RFCs', () => {
  it('verifies RFC 6376 A.2 in its corrected form', async () => {
    const [verdict] = await verifyMessage(octets(A2), against(RSA_1024));
    expect(verdict).toMatchObject({
      result: 'pass',
      domain: 'example.com',
      selector: 'brisbane',
      identity: 'joe@football.example.com',
      keyBits: 1024,
      keyName: 'brisbane._domainkey.example.com',
      signedHeaders: ['received', 'from', 'to', 'subject', 'date', 'message-id'],
    });
  });

  it('verifies RFC 8463 A.3', async () => {
    const options = against('v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=');
    const [verdict] = await verifyMessage(octets(`${A3_SIGNATURE}\r\n${A3_MESSAGE}`), options);
    expect(verdict).toMatchObject({result: 'pass', algorithm: 'ed25519-sha256', keyBits: 256});
  });

  it('signs as RFC 8463 A.2 does: Ed25519 has one signature only, so the body hash and key must agree', async () => {
    const key = ed25519FromSeed('nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=');
    const field = signMessageSync(octets(A3_MESSAGE), {
      domain: domain('football.example.com'),
      selector: selector('brisbane'),
      key,
      identity: '@football.example.com',
      timestamp: 1_528_637_909,
      exactHeaders: ['from', 'to', 'subject', 'date', 'message-id', 'from', 'subject', 'date'],
    });
    expect(field).toContain('bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=');
    const lookup = answering('v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=');
    const [verdict] = await verifyMessage(octets(`${field}\r\n${A3_MESSAGE}`), {lookup, now: 1_528_637_909});
    expect(verdict?.result).toBe('pass');
  });

  it('refuses Ed25519 keys that are no private key', () => {
    expect(() => createPrivateKey('x')).toThrow();
  });
});
