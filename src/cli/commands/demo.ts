import {DEMO_DOMAIN, openSandbox, type Sandbox} from '../../demo/sandbox.ts';
import {parseDuration} from '../../domain/duration.ts';
import type {ExitCode} from '../../domain/errors.ts';
import type {Session} from '../../flow/state.ts';
import {createOperations} from '../../jobs/setup/operations.ts';
import {type FlagValues, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {domainTexts, runFlow} from '../session.ts';
import {taken} from '../usage.ts';

/**
 * `waxseal demo`: the same wizard and the same work over a sandbox. Without a terminal (or with `--no-input`) it
 * answers by itself, so that one command shows the whole job.
 */
export async function demo(context: Context): Promise<ExitCode> {
  const lagMs = lagOf(context.flags);
  const real = await import('../../system/real/index.ts');
  const clock = real.createClock();
  const files = real.createFiles({owners: 'real'});
  const sandbox = await openSandbox(
    {
      createLedger: () => real.createOwnerLedger(),
      createFiles: options => real.createFiles(options),
      sockets: real.createSockets(),
      clock,
      rest: {
        random: real.createRandom(),
        keys: real.createKeySource(),
        dns: real.createDnsTransport(files, {}),
      },
    },
    lagMs === undefined ? {} : {lagMs},
  );
  try {
    const operations = createOperations(sandbox.ports, {
      resolvers: undefined,
      namedFiles: await context.namedFiles(),
    });
    const list = await domainTexts(context);
    const given = list.texts.length === 0 ? context.flags : {...context.flags, domain: list.texts};
    const flags = context.view.interactive ? given : withAnswers(given);
    return await runFlow(context, {operations, clock, sandbox: true, list}, flags, session =>
      publishLater(session, sandbox),
    );
  } finally {
    await sandbox.close();
  }
}

const withAnswers = (flags: FlagValues): FlagValues => ({
  domain: [DEMO_DOMAIN],
  yes: true,
  wait: '1m',
  ...flags,
});

function lagOf(flags: FlagValues): number | undefined {
  const text = textOf(flags, 'lag');
  return text === undefined ? undefined : taken(parseDuration(text), {id: 'usage.lag'});
}

/** In the sandbox nobody sits at a DNS panel: the record is published when the user says that it is. */
function publishLater(session: Session, sandbox: Sandbox): void {
  const published = new Set<string>();
  session.subscribe(state => {
    if (state.phase.at !== 'propagation') return;
    for (const {record} of state.staged) {
      if (published.has(record.absoluteName + record.value)) continue;
      published.add(record.absoluteName + record.value);
      sandbox.dns.withdraw(record.absoluteName);
      sandbox.dns.publish(record.absoluteName, record.strings);
    }
  });
}
