import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';

const top = path.join(import.meta.dirname, '../..');
const pages = path.join(top, 'docs/explanation/daemons');

/** Headings as they are addressed: lower case, a hyphen for each blank. */
const anchorsOf = (page: string): ReadonlySet<string> =>
  new Set(
    [...readFileSync(path.join(pages, page), 'utf8').matchAll(/^#{2,} (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );

const anchors = new Map(readdirSync(pages).map(page => [page, anchorsOf(page)]));

const texts = readdirSync(path.join(top, 'src'), {recursive: true, encoding: 'utf8'})
  .filter(name => /\.tsx?$/.test(name))
  .map(name => ({name, text: readFileSync(path.join(top, 'src', name), 'utf8')}));

describe('what the code says of a daemon', () => {
  const references = texts.flatMap(({name, text}) =>
    [...text.matchAll(/daemons\/([\w-]+\.md)(?:#([\w-]*))?/g)].map(([whole, page = '', anchor = '']) => ({
      ...{name, whole, page, anchor},
    })),
  );

  it('leads to a section of the pages about daemons', () => {
    expect(references.length).toBeGreaterThan(60);
    const dead = references.filter(({page, anchor}) => anchors.get(page)?.has(anchor) !== true);
    expect(dead.map(({name, whole}) => `${name}: ${whole}`)).toEqual([]);
  });

  it('leads to nothing that is not in the project', () => {
    expect(texts.filter(({text}) => /\bFACTS\b/.test(text)).map(({name}) => name)).toEqual([]);
  });

  it('says in each page how it was found out', () => {
    for (const page of anchors.keys()) {
      expect(readFileSync(path.join(pages, page), 'utf8'), page).toMatch(/\*\*(?:run|read)\*\*/i);
    }
  });
});
