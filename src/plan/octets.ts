/** Octets of configuration files as text that can be shown. */
import {octetsOfText} from '../services/step.ts';

type Text = Parameters<typeof octetsOfText>[0];

/**
 * UTF-8 as it is; every octet that is none stands as `\xE9`. For the eye only: what is written are the octets.
 * A file of another encoding would else be shown with letters that it does not have, or with U+FFFD for all of them.
 */
export function shownOctets(octets: Uint8Array): string {
  const whole = strictly(octets);
  if (whole !== undefined) return whole;
  let text = '';
  for (let at = 0; at < octets.length; ) {
    const lead = octets[at] ?? 0;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const letter = strictly(octets.subarray(at, at + length));
    text += letter ?? `\\x${lead.toString(16).toUpperCase()}`;
    at += letter === undefined ? 1 : length;
  }
  return text;
}

/** The text of a step as it is shown: each octet of a file that is not UTF-8 by itself. */
export const shownText = (content: Text): string =>
  content.encoding === undefined ? content.text : shownOctets(octetsOfText(content));

function strictly(octets: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(octets);
  } catch {
    return undefined;
  }
}
