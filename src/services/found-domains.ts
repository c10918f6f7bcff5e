/** Collects whose mail a signer signs while its configuration is read. */
import {parseDomain} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import type {RivalDomains} from './facts.ts';

export class FoundDomains {
  readonly #known = new Set<string>();
  readonly #unread = new Set<string>();

  /** A name as a configuration writes it; anything that is no plain domain covers more than can be told. */
  add(name: string, where: string): void {
    const domain = parseDomain(name.replace(/^\./, ''));
    if (domain.ok) this.#known.add(domain.value);
    else this.#unread.add(`${visible(name)} in ${where}`);
  }

  lost(what: string): void {
    this.#unread.add(visible(what));
  }

  get domains(): RivalDomains {
    return {known: [...this.#known].sort(), unread: [...this.#unread]};
  }
}
