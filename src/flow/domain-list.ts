/** `--domains-file`: one domain a line, or CSV with the selector of each. */
import {type DomainName, parseDomain, parseSelector, type Selector} from '../domain/names.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';

export interface DomainList {
  /** As written; parsed where the question for the domains is answered. */
  readonly texts: readonly string[];
  /** Where the file names a selector. */
  readonly selectors: ReadonlyMap<DomainName, Selector>;
}

const HEADER = /^"?domain"?\s*[,;\t]\s*"?selector"?$/i;

/**
 * Reads the text of a list: comments from `#` to the end of a line, empty lines and a header `domain,selector` are left
 * out; fields are parted by comma, semicolon or tab and may be quoted (RFC 4180). A Problem names the line.
 */
export function parseDomainList(text: string): Result<DomainList> {
  const texts: string[] = [];
  const selectors = new Map<DomainName, Selector>();
  for (const [at, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '' || HEADER.test(line)) continue;
    const [domainText = '', selectorText = '', ...more] = line.split(/[,;\t]/).map(unquoted);
    const refuse = (why: string): Result<DomainList> =>
      fail(
        problem(
          'usage.domains-file',
          `Line ${at + 1} of the list of domains: ${why}`,
          'Check --domains-file.',
        ),
      );
    if (domainText === '' || more.some(field => field !== '')) {
      return refuse('a line has a domain, and perhaps a selector after a comma.');
    }
    texts.push(domainText);
    if (selectorText === '') continue;
    const [domain, selector] = [parseDomain(domainText), parseSelector(selectorText)];
    if (!domain.ok) return refuse(domain.problem.message);
    if (!selector.ok) return refuse(selector.problem.message);
    selectors.set(domain.value, selector.value);
  }
  return ok({texts, selectors});
}

const unquoted = (field: string): string =>
  field
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .trim();
