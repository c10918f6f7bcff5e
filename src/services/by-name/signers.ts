/** Signers that waxseal knows by name only: neither whose mail they sign nor where they keep their keys is read. */
import {type Rival, unreadDomains} from '../facts.ts';
import {filters, type HandedTo, milters} from '../handed-to.ts';
import {unreadRow} from '../key-rows.ts';
import type {SigningProgram} from '../signer.ts';

const DKIM_FILTER = /dkim-(?:filter|milter)/;

/** dkim-milter, the forerunner of OpenDKIM (dkim-filter on Debian), and a younger milter of that name. */
export const dkimMilter: SigningProgram = {
  ...byName('dkim-milter', entrances => milters(entrances).find(({text}) => DKIM_FILTER.test(text))),
  switchOff: {by: 'milter', isEntry: entry => /dkim-(?:filter|milter)/i.test(entry)},
};

/** An SMTP proxy: mail goes to it as to a content filter and comes back signed. */
export const dkimproxy: SigningProgram = byName('dkimproxy', entrances =>
  filters(entrances).find(({text}) => /dksign|dkimproxy|:1002[78]\b/.test(text)),
);

function byName(
  kind: string,
  find: (entrances: Parameters<typeof milters>[0]) => HandedTo | undefined,
): SigningProgram {
  return {
    kind,
    units: [],
    rival: async ({entrances}): Promise<Rival | undefined> => {
      const found = find(entrances);
      if (found === undefined) return undefined;
      const domains = unreadDomains(`the configuration of ${kind}`);
      return {kind, program: kind, evidence: found.evidence, signs: 'yes', domains};
    },
    keyRows: async (_reads, {rivals}) =>
      rivals.flatMap(rival => (rival.kind === kind ? unreadRow(rival) : [])),
  };
}
