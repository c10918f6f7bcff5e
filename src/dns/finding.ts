/** A finding beside DKIM: advice, with what it rests on. */
import type {Problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {excerpt} from './evidence.ts';

export interface Finding extends Problem {
  readonly status: 'pass' | 'warn' | 'fail' | 'skip';
  /** The records or terms that it comes from, as they were read; harmless for a terminal. */
  readonly evidence: string;
}

export const finding = (
  id: string,
  status: Finding['status'],
  message: string,
  hint: string,
  evidence: string,
): Finding => ({
  id,
  status,
  message: visible(message),
  hint: visible(hint),
  evidence: excerpt(evidence, MOST_EVIDENCE),
});

/** Characters of foreign text that are shown: whole records that people write, but not 64 KiB that somebody else wrote. */
export const MOST_EVIDENCE = 1000;
