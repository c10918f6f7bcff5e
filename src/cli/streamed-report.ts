/** The one JSON document of a command with very many checks, written check by check: memory does not grow with them. */
import type {Report} from '../flow/report.ts';
import type {Check} from '../proof/proof.ts';
import type {Context} from './context.ts';
import {writeOut} from './write-out.ts';

export interface StreamedReport {
  /** True once something of it is on standard output. */
  isBegun(): boolean;
  add(check: Check): Promise<void>;
  /** Writes what is known only now. Its own `checks` come behind those that were added. */
  end(report: Report): Promise<void>;
}

/** The fields are those of every report, in another order: `checks` before the outcome. */
export function createStreamedReport({
  command,
  streams: {stdout},
}: Pick<Context, 'command' | 'streams'>): StreamedReport {
  let begun = false;
  let written = 0;
  const begin = (): string => {
    if (begun) return '';
    begun = true;
    return `{"schemaVersion":1,"command":${JSON.stringify(command)},"checks":[`;
  };
  const add = async (check: Check): Promise<void> => {
    const head = begin();
    const separator = written++ === 0 ? '' : ',';
    await writeOut(stdout, `${head}${separator}${JSON.stringify(check)}`);
  };
  return {
    isBegun: () => begun,
    add,
    async end({checks, schemaVersion: _version, command: _command, ...rest}) {
      for (const check of checks) await add(check);
      await writeOut(stdout, `${begin()}],${JSON.stringify(rest).slice(1)}\n`);
    },
  };
}
