import {Readable} from 'node:stream';
import {describe, expect, it} from 'vitest';
import {signMessage, signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
import {eachPiece} from '../../src/dkim/pieces.ts';
import {against, domain, ed25519, MESSAGE, octets, recordOf, selector, withField} from './support.ts';

const pair = ed25519();
const options = {domain: domain('example.org'), selector: selector('s1'), key: pair.privateKey};
const signed = withField(signMessageSync(MESSAGE, options), MESSAGE);
const pieces = (size: number): Buffer[] =>
  Array.from({length: Math.ceil(signed.length / size)}, (_, at) =>
    signed.subarray(at * size, (at + 1) * size),
  );

const collected = async (message: Parameters<typeof eachPiece>[0]): Promise<string> => {
  const parts: Buffer[] = [];
  await eachPiece(message, piece => parts.push(Buffer.from(piece)));
  return Buffer.concat(parts).toString('latin1');
};

describe('a message in pieces', () => {
  it.each([1, 7, 100, 10_000])('is the same from any source, in pieces of %i octets', async size => {
    async function* late() {
      for (const piece of pieces(size)) {
        await new Promise(resolve => setImmediate(resolve));
        yield piece;
      }
    }
    const pushed = new Readable({read: () => undefined});
    for (const piece of pieces(size)) pushed.push(piece);
    pushed.push(null);
    for (const source of [
      pieces(size),
      late(),
      Readable.from(pieces(size)),
      Readable.from(late()),
      Readable.from(late(), {objectMode: false, highWaterMark: 1}),
      pushed,
    ]) {
      expect(await collected(source)).toBe(signed.toString('latin1'));
    }
    const [verdict] = await verifyMessage(Readable.from(late()), against(recordOf(pair.publicKey)));
    expect(verdict?.result).toBe('pass');
  });

  it('may have no octets at all', async () => {
    expect(await collected(Readable.from([]))).toBe('');
    expect(await collected([])).toBe('');
  });

  it('fails as its stream fails', async () => {
    const fault = new Error('the disk is gone');
    const failing = new Readable({
      read() {
        this.push(pieces(40)[0]);
        this.destroy(fault);
      },
    });
    await expect(signMessage(failing, options)).rejects.toBe(fault);
    async function* broken() {
      yield octets('From: a\r\n');
      throw fault;
    }
    await expect(signMessage(Readable.from(broken()), options)).rejects.toBe(fault);
    await expect(signMessage(broken(), options)).rejects.toBe(fault);
  });

  it('fails where its stream closes before the end, then or earlier', async () => {
    const closing = new Readable({read: () => undefined});
    closing.push(octets('From: a\r\n'));
    setImmediate(() => closing.destroy());
    const premature = {code: 'ERR_STREAM_PREMATURE_CLOSE'};
    await expect(signMessage(closing, options)).rejects.toMatchObject(premature);
    await expect(signMessage(closing, options)).rejects.toMatchObject(premature);
  });

  it('stops reading a stream that is refused', async () => {
    let read = 0;
    const endless = new Readable({
      read() {
        read++;
        this.push(Buffer.alloc(1000, 'a'));
      },
    });
    const refusal = signMessage(endless, {...options, maxHeaderOctets: 5000});
    await expect(refusal).rejects.toMatchObject({id: 'message.header-size'});
    expect(endless.destroyed).toBe(true);
    expect(read).toBeLessThan(100);
  });
});
