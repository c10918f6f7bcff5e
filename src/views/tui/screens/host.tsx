import {type ReactNode, useLayoutEffect} from 'react';
import {formatMoment} from '../../../domain/duration.ts';
import {displayDomain} from '../../../domain/names.ts';
import {visible} from '../../../domain/text.ts';
import {hostLines} from '../../../flow/lines.ts';
import type {Phase, State} from '../../../flow/state.ts';
import {EXPLAINS, Frame, type KeyHint, LEAVES, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {letterOf} from '../input/keys.ts';
import {BLANK, paragraph, type Row} from '../rows.ts';
import {problemRows, remarkRows} from '../status.ts';
import {type Theme, useTheme} from '../theme.tsx';

type HostPhase = Extract<Phase, {at: 'host'}>;

const TITLES: Readonly<Record<HostPhase['offer'], string>> = {
  none: 'What was found on this host',
  recover: 'An earlier run did not end',
  resume: 'A key is waiting for its record',
  blocked: 'This host is not ready',
};

const KEYS: Readonly<Record<HostPhase['offer'], readonly KeyHint[]>> = {
  none: [['Enter', 'goes on'], EXPLAINS, LEAVES],
  recover: [['Enter', 'puts everything back'], EXPLAINS, LEAVES],
  resume: [['Enter', 'goes on there'], ['n', 'begins anew'], EXPLAINS, LEAVES],
  blocked: [['Enter', 'leaves'], EXPLAINS],
};

/** What the look found, and what is to be decided because of it. */
export function Host({phase}: {readonly phase: HostPhase}): ReactNode {
  const {state, send, drain} = useUi();
  const theme = useTheme();
  const back: readonly KeyHint[] = state.mode.fromHub === true ? [['Esc', 'goes back']] : [];
  const room = useRoom([...back, ...KEYS[phase.offer]]);
  useLayoutEffect(drain, [drain]);
  useKeys(key => {
    if (key.name === 'enter') send(phase.offer === 'blocked' ? {type: 'leave'} : {type: 'continued'});
    else if (key.name === 'escape' || key.name === 'left') send({type: 'back'});
    else if (phase.offer === 'resume' && letterOf(key) === 'n') send({type: 'declined'});
  });
  return (
    <Frame title={TITLES[phase.offer]} room={room}>
      <ScrollPane rows={hostRows(phase.offer, state, room.width, theme)} height={room.height} />
    </Frame>
  );
}

function hostRows(offer: HostPhase['offer'], state: State, width: number, theme: Theme): readonly Row[] {
  const found = state.facts === undefined ? [] : factRows(state, width, theme);
  const head = offerRows(offer, state, width, theme);
  return head.length === 0 ? found : [...head, BLANK, ...found];
}

function offerRows(offer: HostPhase['offer'], state: State, width: number, theme: Theme): readonly Row[] {
  switch (offer) {
    case 'none':
      return [];
    case 'blocked':
      return (state.facts?.blockers ?? []).flatMap(blocker => problemRows(blocker, width, theme));
    case 'recover': {
      const run = state.unfinished;
      const what = run === undefined ? '' : ` (${visible(run.title)}, begun ${formatMoment(run.startedAt)})`;
      return paragraph(
        `A run that was changing this host ended before its end${what}. Its changes have to be put back before anything else can start.`,
        width,
        {tone: 'warn'},
      );
    }
    case 'resume': {
      const pending = state.pending;
      return [
        ...paragraph(
          `Left at ${formatMoment(pending?.since ?? '')} while the DNS was being waited for:`,
          width,
        ),
        ...(pending?.staged ?? []).flatMap(each =>
          paragraph(`${each.selector} for ${displayDomain(each.domain)}`, width, {
            lead: {text: `${theme.symbols.bullet} `},
            tone: 'strong',
          }),
        ),
      ];
    }
  }
}

function factRows(state: State, width: number, theme: Theme): readonly Row[] {
  const {facts} = state;
  if (facts === undefined) return [];
  const lines = hostLines({...facts, remarks: []}).flatMap(({kind, text}) => {
    const [, name = '', value = text] = /^([A-Z][a-z ]+): (.*)$/.exec(text) ?? [];
    const lead = name === '' ? '' : `${name.padEnd(16)} `;
    return paragraph(value, width, {
      lead: {text: lead, tone: 'muted'},
      tone: kind === 'warn' ? 'warn' : 'plain',
    });
  });
  const remarks = remarkRows(facts.remarks, width, theme);
  return remarks.length === 0 ? lines : [...lines, BLANK, ...remarks];
}
