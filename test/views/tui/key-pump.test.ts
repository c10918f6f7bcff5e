import {EventEmitter, once} from 'node:events';
import {type AddressInfo, connect, createServer, type Socket} from 'node:net';
import {describe, expect, test} from 'vitest';
import {KeyPump, type Settle} from '../../../src/views/tui/input/key-pump.ts';

class FakeTerminal extends EventEmitter {
  readonly isTTY = true;
  rawModes: boolean[] = [];
  #chunks: string[] = [];
  type(chunk: string): void {
    this.#chunks.push(chunk);
    this.emit('readable');
  }
  read(): string | null {
    return this.#chunks.shift() ?? null;
  }
  setEncoding(): this {
    return this;
  }
  setRawMode(mode: boolean): this {
    this.rawModes.push(mode);
    return this;
  }
}

/** A reader as Ink is one: on `readable` it reads until there is nothing more. */
function readKeys(settle?: Settle) {
  const terminal = new FakeTerminal();
  const pump = new KeyPump(terminal);
  if (settle !== undefined) pump.settleWith(settle);
  const keys: string[] = [];
  const reads: number[] = [];
  const listener = () => {
    let count = 0;
    for (let key = pump.read(); key !== null; key = pump.read()) {
      keys.push(key);
      count += 1;
    }
    reads.push(count);
  };
  pump.on('readable', listener);
  return {terminal, pump, keys, reads, listener};
}

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

describe('the key pump', () => {
  test('H1: keys of one read are handed over one at a time, the next after the last has settled', async () => {
    const releases: (() => void)[] = [];
    const {terminal, keys, pump} = readKeys(done => {
      releases.push(done);
    });
    terminal.type('\x1b[B\x1b[B\r');
    expect(keys).toEqual([]);
    releases.shift()?.();
    await turn();
    expect(keys).toEqual(['\x1b[B']);
    releases.shift()?.();
    await turn();
    expect(keys).toEqual(['\x1b[B', '\x1b[B']);
    releases.shift()?.();
    await turn();
    releases.shift()?.();
    await pump.settled();
    expect(keys).toEqual(['\x1b[B', '\x1b[B', '\r']);
  });

  test('H1: one `readable` never carries two keys', async () => {
    const {terminal, pump, reads} = readKeys();
    terminal.type('jj\rabc');
    await pump.settled();
    expect(reads).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test.each([0, 5, 30])('H2: an arrow key whose octets come %i ms apart stays an arrow key', async pause => {
    const {terminal, keys, pump} = readKeys();
    for (const octet of ['\x1b', '[', 'B']) {
      terminal.type(octet);
      await new Promise(resolve => setTimeout(resolve, pause));
    }
    await pump.settled();
    expect(keys).toEqual(['\x1b[B']);
  });

  test('H2: an arrow key whose rest came while the process could not run is an arrow key', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const keyboard = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [terminal] = (await once(server, 'connection')) as [Socket];
    const pump = new KeyPump(terminal);
    const keys: string[] = [];
    pump.on('readable', () => keys.push(pump.read() ?? ''));
    keyboard.write('\x1b');
    await once(terminal, 'readable');
    keyboard.write('[B');
    const end = performance.now() + 100;
    while (performance.now() < end);
    await pump.settled();
    expect(keys).toEqual(['\x1b[B']);
    keyboard.destroy();
    terminal.destroy();
    server.close();
  });

  test('H2: Escape alone is Escape after the hold, and text after it is text', async () => {
    const {terminal, keys, pump} = readKeys();
    terminal.type('\x1b');
    await turn();
    expect(keys).toEqual([]);
    await pump.settled();
    expect(keys).toEqual(['\x1b']);
    terminal.type('[B');
    await pump.settled();
    expect(keys).toEqual(['\x1b', '[', 'B']);
  });

  test('H15: a bracketed paste is one clean text, also when it comes in pieces', async () => {
    const {terminal, keys, pump} = readKeys();
    terminal.type('\x1b[200~example');
    terminal.type('.org\r\n\x07');
    terminal.type(' \x1b[20');
    terminal.type('1~x');
    await pump.settled();
    expect(keys).toEqual(['example.org', 'x']);
  });

  test('an empty paste is no key', async () => {
    const {terminal, keys, pump} = readKeys();
    terminal.type('\x1b[200~\r\n\x1b[201~');
    await pump.settled();
    expect(keys).toEqual([]);
  });

  test.each([
    ['focus', '\x1b[I'],
    ['mouse', '\x1b[<0;10;5M'],
    ['device attributes', '\x1b[?62;22c'],
  ])('a report of the terminal (%s) is no key', async (_name, report) => {
    const {terminal, keys, pump} = readKeys();
    terminal.type(`${report}a`);
    await pump.settled();
    expect(keys).toEqual(['a']);
  });

  test.each([['\x1bOA'], ['\x1b[1;5C'], ['\x1b[5~'], ['\x1b[[A'], ['\x1b\x1b[A'], ['\x1bb'], ['ü'], ['👍']])(
    '%j is one key',
    async sequence => {
      const {terminal, keys, pump} = readKeys();
      terminal.type(`${sequence}.`);
      await pump.settled();
      expect(keys).toEqual([sequence, '.']);
    },
  );

  test('H13: drain forgets what was typed ahead but never Ctrl-C', async () => {
    const releases: (() => void)[] = [];
    const {terminal, keys, pump} = readKeys(done => {
      releases.push(done);
    });
    terminal.type('\r\r\x03\r');
    releases.shift()?.();
    await turn();
    pump.drain();
    while (releases.length > 0) {
      releases.shift()?.();
      await turn();
    }
    await pump.settled();
    expect(keys).toEqual(['\r', '\x03']);
  });

  test('H11: keys that come while nobody listens are kept for the next listener', async () => {
    const releases: (() => void)[] = [];
    const {terminal, keys, pump, listener} = readKeys(done => {
      releases.push(done);
    });
    terminal.type('ab');
    releases.shift()?.();
    await turn();
    pump.off('readable', listener);
    releases.shift()?.();
    await turn();
    expect(keys).toEqual(['a']);
    pump.on('readable', listener);
    await turn();
    releases.shift()?.();
    await turn();
    releases.shift()?.();
    await pump.settled();
    expect(keys).toEqual(['a', 'b']);
  });

  test('H13: what is typed after the drain but before the handlers listen is heard', async () => {
    const releases: (() => void)[] = [];
    const {terminal, keys, pump} = readKeys(done => {
      releases.push(done);
    });
    terminal.type('x');
    pump.drain();
    terminal.type('\r');
    expect(keys).toEqual([]);
    releases.shift()?.();
    await turn();
    releases.shift()?.();
    await pump.settled();
    expect(keys).toEqual(['\r']);
  });

  test('a handler that throws is told of, and the next key follows', async () => {
    const terminal = new FakeTerminal();
    const faults: unknown[] = [];
    const pump = new KeyPump(terminal, error => faults.push(error));
    const keys: string[] = [];
    pump.on('readable', () => {
      const key = pump.read() ?? '';
      keys.push(key);
      if (key === 'x') throw new TypeError('broken');
    });
    terminal.type('axb');
    await pump.settled();
    expect(keys).toEqual(['a', 'x', 'b']);
    expect(faults).toEqual([new TypeError('broken')]);
  });

  test('it listens to the terminal only while somebody listens to it', () => {
    const {terminal, pump, listener} = readKeys();
    expect(terminal.listenerCount('readable')).toBe(1);
    pump.off('readable', listener);
    expect(terminal.listenerCount('readable')).toBe(0);
  });

  test('raw mode is passed on', () => {
    const {terminal, pump} = readKeys();
    pump.setRawMode(true);
    pump.setRawMode(false);
    expect(terminal.rawModes).toEqual([true, false]);
  });
});
