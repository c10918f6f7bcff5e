import {describe, expect, test} from 'vitest';
import {above, clipboardSequence, outputForInk, sizeOf} from '../../../src/views/tui/terminal.ts';
import {makeTheme} from '../../../src/views/tui/theme.tsx';
import {FakeOutput} from '../../support/render-frame.tsx';

describe('the terminal', () => {
  test.each([
    [
      {columns: 0, rows: 0},
      {columns: 80, rows: 24},
    ],
    [{}, {columns: 80, rows: 24}],
    [
      {columns: 132, rows: 50},
      {columns: 132, rows: 50},
    ],
  ])('H5: the size of %j', (output, size) => {
    expect(sizeOf(output)).toEqual(size);
  });

  test('H4, H5: Ink sees a plausible width and no height, and listens to the real stream', () => {
    const real = new FakeOutput(0, 0);
    const seen = outputForInk(real as unknown as NodeJS.WriteStream);
    expect(seen.columns).toBe(80);
    expect(seen.rows).toBeGreaterThan(10_000);
    let resized = 0;
    const listener = () => {
      resized += 1;
    };
    seen.on('resize', listener);
    real.columns = 100;
    real.emit('resize');
    expect([seen.columns, resized]).toEqual([100, 1]);
    seen.off('resize', listener);
    expect(real.listenerCount('resize')).toBe(0);
    seen.write('x');
    expect(real.raw).toBe('x');
  });

  test('what is written above the frame is parted from it by one blank line', () => {
    expect(above('a\nb')).toBe('\ra\nb\n\n');
    expect(above('a\nb\n')).toBe('\ra\nb\n\n');
  });

  test('OSC 52 carries the text as base64; what xterm would cut is not sent', () => {
    expect(clipboardSequence('ü')).toBe('\x1b]52;c;w7w=\x07');
    expect(clipboardSequence('x'.repeat(74_995))).toBeUndefined();
  });
});

describe('the theme', () => {
  test('H7: without colour nothing is styled at all', () => {
    const theme = makeTheme({color: false, ascii: false});
    expect(theme.style('error')).toEqual({});
    expect(makeTheme({color: true, ascii: false}).style('error')).toEqual({color: 'red'});
  });

  test('every symbol has a stand-in of plain ASCII', () => {
    const {symbols} = makeTheme({color: true, ascii: true});
    for (const symbol of Object.values(symbols)) expect(symbol).toMatch(/^[!-~]+$/);
  });
});
