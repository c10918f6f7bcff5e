/** The last word of a run: on the summary screen, and once more as plain text in the scrollback. */

import type {DomainName} from '../../domain/names.ts';
import {displayDomain} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {commandLine} from '../../flow/command-line.ts';
import {AFTER_SANDBOX, changedSentence, isWish} from '../../flow/ending.ts';
import {changeTexts, MANY} from '../../flow/many.ts';
import type {Report} from '../../flow/report.ts';
import type {State} from '../../flow/state.ts';
import {knownByResolver} from '../../flow/survey-facts.ts';
import {recordsText} from './record-text.ts';

export interface SummaryLine {
  readonly kind: 'good' | 'bad' | 'odd' | 'hint' | 'heading' | 'item' | 'text' | 'command' | 'blank';
  readonly text: string;
}

const line = (kind: SummaryLine['kind'], text: string): SummaryLine => ({kind, text: visible(text)});
const GAP: SummaryLine = {kind: 'blank', text: ''};

/** Result, domains, what was changed, advice, how to do the same again. */
export function summaryLines(state: State, report: Report): readonly SummaryLine[] {
  const blocks = [
    resultLines(state, report),
    domainLines(report),
    weakerLines(state),
    changeLines(state, report),
    adviceLines(state),
    againLines(state, report),
    sandboxLines(state, report),
  ];
  return blocks
    .filter(block => block.length > 0)
    .flatMap((block, index) => (index === 0 ? block : [GAP, ...block]));
}

/** Each domain; of many how many there are in each state. */
function domainLines({domains}: Report): readonly SummaryLine[] {
  if (domains.length <= MANY) {
    return domains.map(each =>
      line(
        'item',
        `${displayDomain(each.domain as DomainName)}: selector ${each.selector}, ${each.state}. ${each.nextStep}`,
      ),
    );
  }
  const states = [...new Set(domains.map(({state}) => state))];
  return [
    ...states.map(state =>
      line('item', `${domains.filter(each => each.state === state).length} domains: ${state}.`),
    ),
    line('text', 'waxseal status lists them, each with its next step.'),
  ];
}

function resultLines(state: State, report: Report): readonly SummaryLine[] {
  const {error} = report;
  if (error === null) return [line('good', doneText(state, report))];
  return [
    line(isWish(error.id) ? 'text' : report.result === 'pending' ? 'odd' : 'bad', error.message),
    ...(error.hint === '' ? [] : [line('hint', error.hint)]),
    ...(error.message.includes(changedSentence(state)) ? [] : [line('text', changedSentence(state))]),
  ];
}

function doneText(state: State, report: Report): string {
  if (state.mode.dryRun) return 'Dry run: nothing was changed.';
  return report.changed
    ? 'Done: mail is signed, and the test messages were verified against the DNS.'
    : 'Nothing had to be changed: mail is signed, and the test messages were verified against the DNS.';
}

/** A run that went on by the resolver's word must not look like one that saw every server. */
function weakerLines(state: State): readonly SummaryLine[] {
  const known = knownByResolver(state);
  if (known.length === 0) return [];
  return [
    line('heading', "Known by the resolver's word only:"),
    ...known.flatMap(({domain, survey}) => [
      line('item', `${displayDomain(domain as DomainName)}: ${survey.weaker?.message ?? ''}`),
      line('hint', survey.weaker?.hint ?? ''),
    ]),
  ];
}

function changeLines({mode}: State, report: Report): readonly SummaryLine[] {
  if (!report.changed || report.changes.length === 0) return [];
  return [
    line(
      'heading',
      mode.sandbox
        ? 'Changed in the sandbox (on a mail host waxseal undo would take it back):'
        : 'Changed on this host (waxseal undo takes it back):',
    ),
    ...changeTexts(report.changes).map(text => line('item', text)),
  ];
}

// The sandbox ends with waxseal: its commands would meet the real host.
const sandboxLines = ({mode}: State, {exitCode}: Report): readonly SummaryLine[] =>
  mode.sandbox && exitCode === 0 ? [line('text', AFTER_SANDBOX)] : [];

function adviceLines({advice, mode}: State): readonly SummaryLine[] {
  const lines = advice?.lines ?? [];
  return lines.length === 0
    ? []
    : [
        line('heading', mode.sandbox ? 'Worth doing next, on a mail host:' : 'Worth doing next:'),
        ...lines.map(each => line('item', each.text)),
      ];
}

function againLines(state: State, report: Report): readonly SummaryLine[] {
  if (report.exitCode !== 0 || state.answers.domains === undefined) return [];
  return [line('heading', 'The same without questions:'), line('command', commandLine(state))];
}

const PLAIN_LEAD: Readonly<Record<SummaryLine['kind'], string>> = {
  good: 'ok: ',
  bad: 'error: ',
  odd: 'waiting: ',
  hint: 'hint: ',
  heading: '',
  item: '- ',
  text: '',
  command: '  ',
  blank: '',
};

/**
 * What stays in the scrollback when the wizard is gone: the summary, and before it the records where they still have to
 * be published. No line is broken, so that each can be copied whole.
 */
export function lastWords(state: State, report: Report): string {
  const published = report.exitCode !== 3;
  const records = published || state.staged.length === 0 ? '' : `${recordsText(state.staged, 'plain')}\n`;
  const lines = summaryLines(state, report).map(({kind, text}) => `${PLAIN_LEAD[kind]}${text}`);
  return `${records}${lines.join('\n')}\n`;
}
