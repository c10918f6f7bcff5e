import {type ReactNode, useEffect, useRef, useState} from 'react';
import type {KeyPump} from './key-pump.ts';

/**
 * Outermost component: tells the key pump when a key is dealt with. After each key it draws itself once more, and its
 * effect runs after the effects of everything below, so that every handler has been renewed before the next key.
 */
export function InputGate({
  pump,
  children,
}: {
  readonly pump: KeyPump;
  readonly children: ReactNode;
}): ReactNode {
  const [turn, setTurn] = useState(0);
  const release = useRef<(() => void) | undefined>(undefined);

  useEffect(() => {
    pump.settleWith(done => {
      release.current = done;
      setTurn(n => n + 1);
    });
    return () => {
      pump.settleWith();
      // A tree that is taken down in the middle of a key must not leave the pump waiting for ever.
      release.current?.();
      release.current = undefined;
    };
  }, [pump]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: one run for each turn is the purpose
  useEffect(() => {
    const done = release.current;
    release.current = undefined;
    done?.();
  }, [turn]);

  return children;
}
