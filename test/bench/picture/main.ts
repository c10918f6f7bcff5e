/**
 * The picture of a host with many domains, and the judgement of it: `look` reads tables and keys, `judge` asks about every
 * sender on every way. Fails where ten times the domains take more than fifteen times the processor time. Ratios of one
 * run, and no wall clock: what else the machine does must not count.
 *
 * node test/bench/run.mjs picture [COUNT ...]
 */
import {execFileSync} from 'node:child_process';
import {generateKeyPairSync} from 'node:crypto';
import process from 'node:process';
import {mailChecks} from '../../../src/doctor/mail.ts';
import {lookAtHostPicture, ownSenders} from '../../../src/host/index.ts';
import {look} from '../../../src/services/look.ts';
import type {Ports} from '../../../src/system/ports.ts';
import {fixtureHost} from '../../support/fake-host.ts';

const COUNTS = [1000, 10_000] as const;
const OWN = {mode: 0o600, uid: 104, gid: 110};

interface Figures {
  readonly look: number;
  readonly judge: number;
  readonly mebibytes: number;
}

async function measure(count: number): Promise<Figures> {
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
  const pem = privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
  const host = fixtureHost('inet-socket');
  const names = Array.from({length: count}, (_, index) => `d${index}.example`);
  host.files.put('/etc/opendkim.conf', CONFIG);
  host.files.put(
    '/etc/opendkim/KeyTable',
    names.map(name => `${name} ${name}:s1:/etc/dkimkeys/${name}\n`).join(''),
  );
  host.files.put('/etc/opendkim/SigningTable', names.map(name => `*@${name} ${name}\n`).join(''));
  for (const name of names) host.files.put(`/etc/dkimkeys/${name}`, pem, OWN);
  const ports = {...host, clock: {now: () => new Date(), sleep: async () => undefined}} as unknown as Ports;
  const facts = await look(ports);
  const began = process.cpuUsage();
  const picture = await lookAtHostPicture(ports, facts);
  const looked = process.cpuUsage(began);
  if (ownSenders(picture).length < count) throw new TypeError('rows are missing');
  const again = process.cpuUsage();
  const {verdicts} = mailChecks(picture);
  const judged = process.cpuUsage(again);
  if (verdicts.length < count || verdicts.some(({signatures}) => signatures.length === 0)) {
    throw new TypeError('nothing is signed');
  }
  const spent = ({user, system}: NodeJS.CpuUsage): number => (user + system) / 1000;
  return {look: spent(looked), judge: spent(judged), mebibytes: process.resourceUsage().maxRSS / 1024};
}

const CONFIG = `Syslog yes
UserID opendkim
Mode sv
Socket inet:8891@localhost
KeyTable file:/etc/opendkim/KeyTable
SigningTable refile:/etc/opendkim/SigningTable
`;

const [only] = process.argv.slice(2);
if (only !== undefined && process.env['WAXSEAL_BENCH_ONE'] === '1') {
  process.stdout.write(JSON.stringify(await measure(Number(only))));
} else {
  const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : COUNTS;
  const all = counts.map(count => {
    const env = {...process.env, WAXSEAL_BENCH_ONE: '1'};
    const text = execFileSync(process.execPath, [process.argv[1] ?? '', String(count)], {env}).toString();
    const figures = JSON.parse(text) as Figures;
    const {look, judge, mebibytes} = figures;
    console.log(
      `${count} domains: look ${look.toFixed(0)} ms, judge ${judge.toFixed(0)} ms, ${mebibytes.toFixed(0)} MiB`,
    );
    return {count, ...figures};
  });
  const [first, last] = [all[0], all.at(-1)];
  if (first !== undefined && last !== undefined && last.count > first.count) {
    const most = (last.count / first.count) * 1.5;
    const ratio = (last.look + last.judge) / (first.look + first.judge);
    console.log(
      `grows ${ratio.toFixed(1)} times for ${last.count / first.count} times the domains (at most ${most})`,
    );
    process.exitCode = ratio > most ? 1 : 0;
  }
}
