import {type ReactNode, useLayoutEffect} from 'react';
import type {Report} from '../../../flow/report.ts';
import {Frame, type KeyHint, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {BLANK, type Piece, paragraph, type Row} from '../rows.ts';
import {type SummaryLine, summaryLines} from '../summary-text.ts';
import {type Theme, type Tone, useTheme} from '../theme.tsx';

const KEYS: readonly KeyHint[] = [['Enter', 'ends waxseal; all this stays on the screen']];

const TITLES: Readonly<Record<Report['result'], string>> = {
  ok: 'Done',
  pending: 'To be continued',
  problems: 'The test found problems',
  failed: 'It did not work out',
};

/** The result, and what comes next. */
export function Summary({
  report,
  onClose,
}: {
  readonly report: Report;
  readonly onClose: () => void;
}): ReactNode {
  const {state, drain} = useUi();
  const theme = useTheme();
  const room = useRoom(KEYS);
  useLayoutEffect(drain, [drain]);
  useKeys(key => {
    if (key.name === 'enter' || key.name === 'escape') onClose();
  });
  const rows = summaryLines(state, report).flatMap(line => summaryRows(line, room.width, theme));
  return (
    <Frame title={TITLES[report.result]} room={room}>
      <ScrollPane rows={rows} height={room.height} />
    </Frame>
  );
}

function summaryRows({kind, text}: SummaryLine, width: number, {symbols}: Theme): readonly Row[] {
  const styles: Readonly<Record<SummaryLine['kind'], {lead?: Piece; tone?: Tone}>> = {
    good: {lead: {text: `${symbols.ok} `, tone: 'ok'}, tone: 'strong'},
    bad: {lead: {text: `${symbols.error} `, tone: 'error'}, tone: 'error'},
    odd: {lead: {text: `${symbols.waiting} `, tone: 'warn'}, tone: 'strong'},
    hint: {lead: {text: '  hint: ', tone: 'muted'}},
    heading: {tone: 'strong'},
    item: {lead: {text: `${symbols.bullet} `, tone: 'muted'}},
    text: {},
    command: {lead: {text: '  '}, tone: 'accent'},
    blank: {},
  };
  return kind === 'blank' ? [BLANK] : paragraph(text, width, styles[kind]);
}
