import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {sourceText} from '../../src/domain/source.ts';

describe('sourceText', () => {
  it('says where to look a fact up, with nothing in it that a terminal obeys', () => {
    expect(sourceText({by: 'file', path: absolute('/etc/a\u001b[1m.cf'), line: 44})).toBe(
      '/etc/a\\x1b[1m.cf line 44',
    );
    expect(sourceText({by: 'command', argv: ['postconf', '-n']})).toBe('postconf -n');
    expect(sourceText({by: 'default', program: 'Postfix 3.10'})).toBe('default of Postfix 3.10');
  });
});
