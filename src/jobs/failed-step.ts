import {ToolError} from '../domain/errors.ts';
import type {Problem} from '../domain/result.ts';

/** A step of a rotation that cannot be taken now; the others go on. */
export class FailedStep extends ToolError {
  readonly exitCode = 5;
  constructor(why: Problem) {
    super(why);
  }
}
