import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';

const top = path.join(import.meta.dirname, '../..');

describe('the pages for those who add something', () => {
  it.each(['docs/architecture.md', 'docs/how-to/add-a-distribution.md', 'docs/how-to/add-a-check.md'])(
    '%s names files that are there',
    page => {
      const text = readFileSync(path.join(top, page), 'utf8');
      const named = [...text.matchAll(/`((?:src|test|docs)\/[\w./-]*)`/g)].map(([, file = '']) => file);
      const absent = named.filter(file => !file.includes('NAME') && !existsSync(path.join(top, file)));
      expect(named.length).toBeGreaterThan(5);
      expect(absent).toEqual([]);
    },
  );
});
