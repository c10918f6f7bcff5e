/** How the milters of real signers answer the negotiation. */
import type {MilterManner} from '../../src/milter/server.ts';

/** As Debian's OpenDKIM 2.11. */
export const openDkimManner: MilterManner = {actions: 0x111, protocol: 0x10_0702};

/** As the proxy worker of rspamd 3: most steps are silent. */
export const rspamdManner: MilterManner = {actions: 0x1ff, protocol: 0xf_f080};
