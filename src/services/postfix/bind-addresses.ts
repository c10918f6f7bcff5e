/** The addresses that Postfix is told to send from. */
import {addressOctets} from '../../dns/address.ts';
import type {Ports} from '../../system/ports.ts';

/** Those of smtp_bind_address and smtp_bind_address6, in brackets or not; empty where the kernel chooses. */
export async function bindAddresses({commands}: Pick<Ports, 'commands'>): Promise<readonly string[]> {
  const {ended, status, stdout} = await commands.run([
    'postconf',
    '-h',
    'smtp_bind_address',
    'smtp_bind_address6',
  ]);
  if (ended !== 'exit' || status !== 0) return [];
  return stdout
    .split(/\s+/)
    .map(word => word.replace(/^\[|\]$/g, ''))
    .filter(word => addressOctets(word) !== undefined && !/^[0:.]+$/.test(word));
}
