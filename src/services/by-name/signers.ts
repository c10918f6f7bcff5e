/** Signers that waxseal knows by name only: neither whose mail they sign nor where they keep their keys is read. */
import {type Rival, unreadDomains} from '../facts.ts';
import {filters, type HandedTo, milters} from '../handed-to.ts';
import {unreadRow} from '../key-rows.ts';
import type {RivalContext, SigningProgram} from '../signer.ts';
import {unreadFilter} from '../unread-filter.ts';

/** dkim-milter, the forerunner of OpenDKIM (dkim-filter on Debian), and a younger milter of that name. */
export const dkimMilter: SigningProgram = {
  ...byName('dkim-milter', ({entrances}) =>
    milters(entrances).find(({text}) => /dkim-(?:filter|milter)/.test(text)),
  ),
  switchOff: {by: 'milter', isEntry: entry => /dkim-(?:filter|milter)/i.test(entry)},
};

const isDkimproxy = (to: string): boolean => /dksign|dkimproxy|:1002[78]\b/.test(to);

/** An SMTP proxy: mail goes to it as to a content filter and comes back signed. */
export const dkimproxy: SigningProgram = {
  ...byName('dkimproxy', ({entrances}) => filters(entrances).find(({text}) => isDkimproxy(text))),
  views: async (_ports, {rivals}) =>
    rivals
      .filter(({kind}) => kind === 'dkimproxy')
      .map(rival =>
        unreadFilter(rival, isDkimproxy, {
          name: rival.program,
          value: '',
          source: {by: 'default', program: rival.program},
          says: `${rival.program} may sign. waxseal doesn't read its configuration.`,
        }),
      ),
};

function byName(kind: string, find: (context: RivalContext) => HandedTo | undefined): SigningProgram {
  return {
    kind,
    units: [],
    rival: async (context): Promise<Rival | undefined> => {
      const found = find(context);
      if (found === undefined) return undefined;
      const domains = unreadDomains(`the configuration of ${kind}`);
      return {kind, program: kind, evidence: found.evidence, signs: 'yes', domains};
    },
    keyRows: async (_reads, {rivals}) =>
      rivals.flatMap(rival => (rival.kind === kind ? unreadRow(rival) : [])),
  };
}
