import {Box, Text} from 'ink';
import type {ReactNode} from 'react';
import type {Row} from '../rows.ts';
import {useTheme} from '../theme.tsx';

/** One row; an empty one keeps its height. */
export function DrawRow({row}: {readonly row: Row}): ReactNode {
  const theme = useTheme();
  if (row.every(piece => piece.text === '')) return <Text> </Text>;
  return (
    <Text wrap="truncate">
      {row.map((piece, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no identity but their place
        <Text key={index} {...theme.style(piece.tone ?? 'plain')}>
          {piece.text}
        </Text>
      ))}
    </Text>
  );
}

/** Rows one below the other. */
export function DrawRows({rows}: {readonly rows: readonly Row[]}): ReactNode {
  return (
    <Box flexDirection="column">
      {rows.map((row, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity but their place
        <DrawRow key={index} row={row} />
      ))}
    </Box>
  );
}
