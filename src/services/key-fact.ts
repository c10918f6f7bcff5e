/** A private key file, as far as it is known without its secret. */
import type {AbsolutePath} from '../domain/paths.ts';
import {describeContent} from '../keys/index.ts';

/** A private key that a row names, as the host has it. */
export type KeyFact =
  | (NonNullable<ReturnType<typeof describeContent>> & {
      readonly known: true;
      /** Behind every link. */
      readonly realPath: AbsolutePath;
    })
  | {readonly known: false; readonly why: string};

/** No private key is longer. */
const MOST_OCTETS = 65_536;

/** What the file at `realPath` holds. */
export function keyFactOf(content: Uint8Array, realPath: AbsolutePath): KeyFact {
  const key = content.length > MOST_OCTETS ? undefined : describeContent(content);
  return key === undefined
    ? {known: false, why: 'holds no private key that can be read'}
    : {known: true, realPath, ...key};
}
