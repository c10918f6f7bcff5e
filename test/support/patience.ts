/**
 * Milliseconds after which what a test waits for will not come any more. Looked for quickly, waited for long: on a busy
 * machine everything takes many times as long, and a limit is for what hangs. Shorter than the limit of a whole test, so
 * that the message says what did not come.
 */
export const PATIENCE_MS = 240_000;
