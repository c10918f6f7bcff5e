import {generateKeyPairSync} from 'node:crypto';
import {Readable} from 'node:stream';
import {
  createSigner,
  createVerifier,
  ProblemsFound,
  parseDomain,
  parseSelector,
} from '../../../src/dkim/index.ts';

const domain = parseDomain('example.org');
const [first, second] = [parseSelector('a'), parseSelector('b')];
if (!domain.ok || !first.ok || !second.ok) throw new TypeError('no names of the DNS');

// Two signatures, RSA and Ed25519, in one pass over the body.
const signer = createSigner([
  {
    domain: domain.value,
    selector: first.value,
    key: generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey,
  },
  {domain: domain.value, selector: second.value, key: generateKeyPairSync('ed25519').privateKey},
]);
// Not looked up before the header is there, and not asked for twice.
const verifier = createVerifier({
  now: Math.floor(Date.now() / 1000),
  lookup: async () => ({status: 'temporary', reason: 'no network here'}),
});

try {
  for await (const piece of Readable.from([
    Buffer.from('From: ann@example.org\r\n'),
    Buffer.from('\r\nHello\r\n'),
  ])) {
    signer.update(piece);
    verifier.update(piece);
  }
  for (const field of await signer.finishAsync()) console.log(field.split(';')[1]);
  console.log((await verifier.finish()).length);
} catch (error) {
  // The message is at fault: it has no From, say. A UsageError would mean the options.
  if (!(error instanceof ProblemsFound)) throw error;
  console.log(error.id, error.message, error.hint);
}
