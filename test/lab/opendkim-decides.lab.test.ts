/**
 * What waxseal says that OpenDKIM does, against what OpenDKIM does: throw-away daemons on a real host, one for each
 * configuration, are asked over the milter protocol, and each answer is held against `wouldSign`.
 */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {type ProbeOutcome, probeMilter} from '../../src/milter/client.ts';
import {openDkimSigners} from '../../src/services/opendkim/decide/read.ts';
import type {SigningAnswer, SigningQuestion} from '../../src/services/signer.ts';
import {createRealPorts} from '../../src/system/real/index.ts';
import type {Host} from './support/host.ts';
import {type AskedMail, BY_HAND, byChance, MAILS, type SignerCase} from './support/opendkim-cases.ts';
import {releases} from './support/release.ts';
import {inWorld} from './support/world.ts';

/** Another seed and more of them: to look further. */
const {WAXSEAL_SEED: seed = '20261129', WAXSEAL_CHANCES: chances = '150'} = process.env;
const CASES: readonly SignerCase[] = [...BY_HAND, ...byChance(Number(chances), Number(seed))];
/** Daemons that run at the same time. */
const BATCH = 30;
const SERVER = 'mail.example.com';

const place = (at: number): string => `/var/lib/decides/${at}`;

async function layOut(host: Host, at: number, {conf, files}: SignerCase): Promise<string> {
  const directory = place(at);
  const text = (written: string): string => written.replace(/(^|[ :=])@(?=\/)/gm, `$1${directory}`);
  await host.write(`${directory}/conf`, `UserID opendkim\nSyslog no\n${text(conf)}`);
  await mkdir(path.join(host.root, directory, 'keys'), {recursive: true});
  await mkdir(path.join(host.root, directory, 'run'), {recursive: true});
  const attributes = [`chown opendkim: ${directory}/run`];
  for (const [name, {content, mode, owner}] of Object.entries(files)) {
    await host.write(`${directory}/${name}`, text(content));
    if (owner !== undefined) attributes.push(`chown ${owner} ${directory}/${name}`);
    if (mode !== undefined) attributes.push(`chmod ${mode} ${directory}/${name}`);
  }
  return attributes.join('\n');
}

/** Starts a daemon for each; the numbers of those that run. */
async function start(host: Host, numbers: readonly number[]): Promise<ReadonlySet<number>> {
  const script = path.join('/var/lib/decides', 'start');
  await writeFile(
    path.join(host.root, script),
    `for at in ${numbers.join(' ')}; do
  cd /var/lib/decides/$at
  setsid /usr/sbin/opendkim -f -x conf -p local:$PWD/run/sock >out 2>&1 </dev/null &
  echo $! > pid
done
for at in ${numbers.join(' ')}; do
  cd /var/lib/decides/$at
  for round in $(seq 600); do
    [ -S run/sock ] && { echo $at; break; }
    kill -0 $(cat pid) 2>/dev/null || break
    sleep 0.1
  done
done
`,
  );
  const out = await host.must(['bash', script], {timeoutMs: 180_000});
  return new Set(out.split('\n').filter(Boolean).map(Number));
}

const stop = (host: Host, numbers: readonly number[]): Promise<string> =>
  host.script(
    `cd /var/lib/decides; for at in ${numbers.join(' ')}; do kill -9 $(cat $at/pid) 2>/dev/null || :; done`,
  );

function questionOf(mail: AskedMail): SigningQuestion {
  const {from, sender, host, address, authType, daemonName, recipients} = mail;
  const macros = new Map([
    ['{daemon_name}', daemonName ?? SERVER],
    ...(authType === undefined ? [] : ([['{auth_type}', authType]] as const)),
  ]);
  return {from, ...(sender === undefined ? {} : {sender}), client: {name: host, address}, macros, recipients};
}

/** `signed d/s ...`, `unsigned` or `refused`. */
function seen(outcome: ProbeOutcome): string {
  if (outcome.ended === 'unreachable') return `unreachable ${outcome.detail}`;
  if (outcome.ended === 'broken') return 'refused';
  if (outcome.reply.verdict !== 'accept') return 'refused';
  const made = outcome.added.flatMap(({name, value}) => {
    const tag = (letter: string): string =>
      new RegExp(`(?:^|;)\\s*${letter}=([^;]*)`).exec(value)?.[1]?.trim() ?? '';
    return name === 'DKIM-Signature' ? [`${tag('d')}/${tag('s')}`.toLowerCase()] : [];
  });
  return made.length === 0 ? 'unsigned' : ['signed', ...made.toSorted()].join(' ');
}

const said = ({outcome, by}: SigningAnswer): string =>
  [outcome, ...by.map(({domain, selector}) => `${domain}/${selector}`).toSorted()].join(' ');

test.each(releases.filter(({suite}) => suite === 'trixie'))(
  'OpenDKIM of $name decides as waxseal says',
  release =>
    inWorld(release, async ({host}) => {
      const ports = createRealPorts({root: absolute(host.root)});
      let agreed = 0;
      let unknown = 0;
      let refusedToStart = 0;
      const disagreed: string[] = [];
      for (let first = 0; first < CASES.length; first += BATCH) {
        const numbers = CASES.slice(first, first + BATCH).map((_, at) => first + at);
        const attributes: string[] = [];
        for (const at of numbers) attributes.push(await layOut(host, at, CASES[at] as SignerCase));
        await host.script(attributes.join('\n'));
        const running = await start(host, numbers);
        for (const at of numbers) {
          const {name} = CASES[at] as SignerCase;
          const known = {
            signer: {
              configFile: absolute(`${place(at)}/conf`),
              ...{unit: 'opendkim.service', version: '2.11.0', active: true},
            },
            layout: undefined,
            serviceManager: 'sysv' as const,
          };
          const [signer] = await openDkimSigners(ports, known);
          if (signer === undefined) throw new Error('no signer');
          const answers = MAILS.map(mail => signer.wouldSign(questionOf(mail)));
          const isRefused = answers.every(({decisions}) =>
            /doesn't start/.test(decisions.at(-1)?.says ?? ''),
          );
          if (isRefused || !running.has(at)) {
            if (isRefused === !running.has(at)) refusedToStart += 1;
            else {
              const out = running.has(at) ? 'it runs' : await host.read(`${place(at)}/out`);
              disagreed.push(
                `${at} ${name}: ${isRefused ? answers[0]?.decisions.at(-1)?.says : 'starts'} | ${out}`,
              );
            }
            continue;
          }
          for (const [index, mail] of MAILS.entries()) {
            const answer = answers[index];
            if (answer === undefined) continue;
            if (answer.outcome === 'unknown') {
              unknown += 1;
              continue;
            }
            const endpoint = {kind: 'unix', path: absolute(`${place(at)}/run/sock`)} as const;
            const {from, sender, host: client, address, authType, daemonName, recipients} = mail;
            const asked = {
              client: {host: client, address, port: 40_000, ...(authType === undefined ? {} : {authType})},
              helo: 'client.example',
              serverName: SERVER,
              queueId: `Q${at}M${index}`,
              ...(daemonName === undefined ? {} : {macros: {'{daemon_name}': daemonName}}),
              from: 'bounce@example.com',
              recipients,
              headers: [
                {name: 'From', value: ` <${from}>`},
                ...(sender === undefined ? [] : [{name: 'Sender', value: ` ${sender}`}]),
                {name: 'Date', value: ' Sun, 29 Nov 2026 20:00:00 +0000'},
                {name: 'Subject', value: ' who signs'},
              ],
              body: new TextEncoder().encode('text\r\n'),
            };
            const got = seen(await probeMilter(ports, endpoint, asked, {replyTimeoutMs: 30_000}));
            if (got === said(answer)) agreed += 1;
            else disagreed.push(`${at} ${name}, ${JSON.stringify(mail)}: ${said(answer)} | ${got}`);
          }
        }
        await stop(host, numbers);
      }
      console.log(
        `OpenDKIM decides: ${CASES.length} configurations; agreed ${agreed}, refused to start ${refusedToStart}, not known ${unknown}, disagreed ${disagreed.length}`,
      );
      expect(disagreed).toEqual([]);
      // Nothing may pass because nothing was asked.
      expect(agreed).toBeGreaterThan(CASES.length * 8);
      expect(refusedToStart).toBeGreaterThan(8);
      expect(unknown).toBeLessThan(CASES.length);
    }),
);
