import {useEffect, useState} from 'react';
import {type Resizable, sizeOf, type TerminalSize} from './terminal.ts';

/** The size of the terminal, kept up to date; Ink 6 tells nobody about a resize. */
export function useTerminalSize(output: Resizable): TerminalSize {
  const [size, setSize] = useState(() => sizeOf(output));
  useEffect(() => {
    const measure = (): void => setSize(sizeOf(output));
    measure();
    output.on('resize', measure);
    return () => {
      output.off('resize', measure);
    };
  }, [output]);
  return size;
}
