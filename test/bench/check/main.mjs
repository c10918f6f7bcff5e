/**
 * The whole program on a host with many domains: processor time, peak memory and queries of `check`, `status` and
 * `explain`. Nothing is asserted; the last lines say by how much each grows from the first count to the last. As root,
 * with unshare(1) and the root directory of a host that has Postfix, OpenDKIM and Node (an image of the lab); that is not
 * changed.
 *
 *   npm run build && node test/bench/check/main.mjs IMAGE [COUNT ...]      default: 1 100 1000 10000
 */
import {spawn, spawnSync} from 'node:child_process';
import {generateKeyPairSync} from 'node:crypto';
import {once} from 'node:events';
import {chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const top = path.join(import.meta.dirname, '..', '..', '..');
const [RESOLVER, ...SERVERS] = ['10.57.0.53', '10.57.1.1', '10.57.1.2'];
const COMMANDS = [['check'], ['status'], ['status', '--json'], ['explain', 'postmaster@d0.example']];
const CONFIG =
  'UserID opendkim\nMode sv\nPidFile /run/opendkim/opendkim.pid\nSocket inet:8891@localhost\n' +
  'KeyTable file:/etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n';
const [image, ...given] = process.argv.slice(2);
const counts = given.length > 0 ? given.map(Number) : [1, 100, 1000, 10_000];
if (image === undefined) throw new Error('Name the root directory of an image.');

// In namespaces of its own: nothing has to be unmounted or ended afterwards.
if (process.env.WAXSEAL_BENCH_INSIDE !== '1') {
  const own = ['--mount', '--net', '--pid', '--fork', '--kill-child'];
  const work = mkdtempSync(path.join(tmpdir(), 'waxseal-bench-check-'));
  const env = {...process.env, WAXSEAL_BENCH_INSIDE: '1', WAXSEAL_BENCH_WORK: work};
  const {status} = spawnSync('unshare', [...own, process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env,
  });
  rmSync(work, {recursive: true, force: true});
  process.exit(status ?? 1);
}

const work = process.env.WAXSEAL_BENCH_WORK ?? '';
const [root, upper, scratch] = ['root', 'upper', 'scratch'].map(name => path.join(work, name));
const at = file => path.join(root, file);

const run = (program, ...argv) => spawnSync(program, argv, {encoding: 'utf8', maxBuffer: 64 << 20});
const inside = (...argv) => run('chroot', root, ...argv);

function must({status, stderr}) {
  if (status !== 0) throw new Error(stderr);
}

for (const directory of [root, upper, scratch]) mkdirSync(directory);
const layers = `lowerdir=${image},upperdir=${upper},workdir=${scratch}`;
must(run('mount', '-t', 'overlay', 'overlay', '-o', layers, root));
must(run('mount', '-t', 'proc', 'proc', at('proc')));
must(run('mount', '--bind', '/dev', at('dev')));
for (const directory of ['opt/waxseal', 'run/opendkim', 'etc/opendkim'])
  mkdirSync(at(directory), {recursive: true});
must(run('mount', '--bind', top, at('opt/waxseal')));
must(run('ip', 'link', 'set', 'lo', 'up'));
for (const address of [RESOLVER, ...SERVERS]) must(run('ip', 'addr', 'add', `${address}/32`, 'dev', 'lo'));

const {privateKey, publicKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
const pem = privateKey.export({type: 'pkcs8', format: 'pem'});
const record = `v=DKIM1; k=rsa; p=${publicKey.export({type: 'spki', format: 'der'}).toString('base64')}`;
const names = spawn(
  process.execPath,
  [path.join(import.meta.dirname, 'names.mjs'), record, RESOLVER, ...SERVERS],
  {
    stdio: ['pipe', 'pipe', 'inherit'],
  },
);
const queries = async () => {
  names.stdin.write('\n');
  const [text] = await once(names.stdout, 'data');
  return Number(text);
};

const account = readFileSync(at('etc/passwd'), 'utf8')
  .split('\n')
  .find(line => line.startsWith('opendkim:'));
const [uid, gid] = (account ?? '').split(':').slice(2, 4).map(Number);
const own = file => chownSync(at(file), uid, gid);
own('run/opendkim');
writeFileSync(at('etc/resolv.conf'), `nameserver ${RESOLVER}\n`);
writeFileSync(at('etc/opendkim.conf'), CONFIG);
for (const name of ['smtpd_milters', 'non_smtpd_milters'])
  must(inside('postconf', '-e', `${name} = inet:localhost:8891`));
must(inside('postfix', 'start'));

/** So many domains, each with a key file of its own, and the signer with its new tables. */
async function furnish(count) {
  const domains = Array.from({length: count}, (_, number) => `d${number}.example`);
  rmSync(at('etc/dkimkeys'), {recursive: true, force: true});
  mkdirSync(at('etc/dkimkeys'), {mode: 0o750});
  own('etc/dkimkeys');
  for (const name of domains) {
    writeFileSync(at(`etc/dkimkeys/${name}`), pem, {mode: 0o600});
    own(`etc/dkimkeys/${name}`);
  }
  const keys = domains.map(name => `${name} ${name}:s1:/etc/dkimkeys/${name}\n`);
  writeFileSync(at('etc/opendkim/KeyTable'), keys.join(''));
  writeFileSync(at('etc/opendkim/SigningTable'), domains.map(name => `*@${name} ${name}\n`).join(''));
  inside('pkill', '-x', 'opendkim');
  // What has ended stays as a zombie here: nobody waits for it.
  while (inside('pgrep', '-r', 'R,S,D', '-x', 'opendkim').status === 0) await sleep(100);
  must(inside('opendkim', '-x', '/etc/opendkim.conf'));
}

// The program itself says at its end what it took.
const TELL =
  'data:text/javascript,process.on("exit",()=>console.error(JSON.stringify(process.resourceUsage())))';

async function measured(argv) {
  await queries();
  const {status, stdout, stderr} = inside(
    'node',
    `--import=${TELL}`,
    '/opt/waxseal/dist/waxseal.js',
    ...argv,
  );
  const {userCPUTime, systemCPUTime, maxRSS} = JSON.parse(stderr.trim().split('\n').at(-1) ?? '');
  const asked = await queries();
  const seconds = (userCPUTime + systemCPUTime) / 1e6;
  return {status, seconds, mebibytes: maxRSS / 1024, asked, last: stdout.trim().split('\n').at(-1) ?? ''};
}

const first = new Map();
for (const count of counts) {
  await furnish(count);
  for (const argv of COMMANDS) {
    const of = argv.join(' ');
    const {status, seconds, mebibytes, asked, last} = await measured(argv);
    first.set(of, [...(first.get(of) ?? []), seconds]);
    const figures = `${seconds.toFixed(2)} s, ${mebibytes.toFixed(0)} MiB, ${asked} queries`;
    console.log(`${count} domains, ${of}: ${figures}, exit ${status}  ${last.slice(0, 60)}`);
  }
}
for (const [of, seconds] of first) {
  console.log(
    `${of}: ${((seconds.at(-1) ?? 0) / seconds[0]).toFixed(1)} times for ${counts.at(-1) / counts[0]} times the domains`,
  );
}
process.exit(0);
