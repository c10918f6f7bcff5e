/**
 * Milliseconds for a program of this host that changes or judges a service. Only for what hangs: systemd itself gives a
 * unit up after 90 s (DefaultTimeoutStartSec), and its word should come first.
 */
export const COMMAND_MS = 120_000;

/** Milliseconds that a service that runs is looked at until it is ready. One that has failed is not waited for. */
export const READY_MS = 60_000;
