import {Box, Text} from 'ink';
import SelectInput from 'ink-select-input';
import {type ReactNode, useMemo} from 'react';
import {cut, pad, widthOf} from '../rows.ts';
import {useTheme} from '../theme.tsx';
import {useUi} from './ui.tsx';

export interface Option {
  readonly value: string;
  readonly label: string;
  /** A few words beside the label; '' for none. */
  readonly hint: string;
}

// ink-select-input hands an item component one string; label and hint travel in it side by side.
const JOINT = '\u0000';

/** Columns below which a hint says too little to be worth its place. */
const MIN_HINT = 8;

/**
 * A list to choose from. A number key chooses at once (H12): never for a choice that changes the host.
 * `options` must not be empty.
 */
export function ChoiceList({
  options,
  initial,
  width,
  height,
  disabled = false,
  onChoose,
  onMark,
}: {
  readonly options: readonly Option[];
  /** Value of the option that is marked first. */
  readonly initial?: string;
  readonly width: number;
  readonly height: number;
  readonly disabled?: boolean;
  readonly onChoose: (value: string) => void;
  /** The mark has moved to another option. */
  readonly onMark?: (value: string) => void;
}): ReactNode {
  const {active} = useUi();
  const {ellipsis} = useTheme().symbols;
  // New items would move the mark back to the first.
  const items = useMemo(() => itemsOf(options, width, ellipsis), [options, width, ellipsis]);
  const limit = Math.max(1, Math.min(height, items.length));
  const start = Math.max(
    0,
    options.findIndex(option => option.value === initial),
  );
  return (
    <SelectInput
      items={items}
      limit={limit}
      initialIndex={start}
      isFocused={active && !disabled}
      indicatorComponent={Pointer}
      itemComponent={Item}
      onHighlight={item => {
        if (item !== undefined) onMark?.(item.value);
      }}
      onSelect={item => {
        // Enter on a list that has become empty selects nothing.
        if (item !== undefined) onChoose(item.value);
      }}
    />
  );
}

/** Columns for the labels, and for the hints beside them. */
function columnsOf(
  options: readonly Option[],
  width: number,
): {readonly labels: number; readonly room: number} {
  const labels = Math.min(width - 3, Math.max(...options.map(option => widthOf(option.label))));
  return {labels, room: width - 3 - labels - 2};
}

/** The hint of an option where the list has no room for all of it; '' where it has. */
export function cutHint(options: readonly Option[], value: string | undefined, width: number): string {
  const hint = options.find(option => option.value === value)?.hint ?? '';
  return widthOf(hint) <= columnsOf(options, width).room ? '' : hint;
}

function itemsOf(
  options: readonly Option[],
  width: number,
  ellipsis: string,
): {label: string; value: string; key: string}[] {
  const {labels, room} = columnsOf(options, width);
  return options.map(({value, label, hint}, index) => ({
    value,
    key: `${index}:${value}`,
    label:
      hint === '' || room < MIN_HINT
        ? cut(label, width - 3, ellipsis)
        : `${pad(label, labels, ellipsis)}${JOINT}${cut(hint, room, ellipsis)}`,
  }));
}

function Pointer({isSelected = false}: {readonly isSelected?: boolean}): ReactNode {
  const theme = useTheme();
  return (
    <Box marginRight={1} aria-hidden>
      <Text {...theme.style('accent')}>{isSelected ? theme.symbols.pointer : ' '}</Text>
    </Box>
  );
}

function Item({
  isSelected = false,
  label,
}: {
  readonly isSelected?: boolean;
  readonly label: string;
}): ReactNode {
  const theme = useTheme();
  const [name = '', hint = ''] = label.split(JOINT);
  return (
    <Box aria-role="option" aria-state={{selected: isSelected}}>
      <Text wrap="truncate">
        <Text {...theme.style(isSelected ? 'accent' : 'plain')}>{name}</Text>
        {hint !== '' && <Text {...theme.style('muted')}>{`  ${hint}`}</Text>}
      </Text>
    </Box>
  );
}
