/**
 * Somebody who owns a directory in which waxseal works and exchanges names in it, as fast as it can, until its standard
 * input ends: `swapper.mjs DIRECTORY WAY NAME OTHER`. Prints `ready`, and at the end how often it has done it.
 *
 * temporary: whatever waxseal makes beside NAME becomes a link to OTHER.
 * link:      NAME is a file of its own and a link to OTHER in turn.
 * trade:     the files NAME and OTHER, of the same directory, trade places.
 * instead:   OTHER-5 takes the place of the directory NAME-5 as soon as that is there.
 */
import fs from 'node:fs';

const [directory, way, name, other] = process.argv.slice(2);
process.chdir(directory);
let done = 0;
let ended = false;
process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();

const WAYS = {
  temporary() {
    for (const each of fs.readdirSync('.')) {
      if (!each.startsWith(`.${name}.waxseal-`)) continue;
      if (fs.lstatSync(each, {throwIfNoEntry: false})?.isSymbolicLink() !== false) continue;
      fs.symlinkSync(other, '.swap');
      fs.renameSync('.swap', each);
      done += 1;
    }
  },
  link() {
    fs.symlinkSync(other, '.swap');
    fs.renameSync('.swap', name);
    fs.writeFileSync('.swap', 'mine', {mode: 0o600});
    fs.renameSync('.swap', name);
    done += 1;
  },
  trade() {
    fs.renameSync(name, '.swap');
    fs.renameSync(other, name);
    fs.renameSync('.swap', other);
    done += 1;
  },
  instead() {
    for (const each of fs.readdirSync('.')) {
      if (!each.startsWith(`${name}-`)) continue;
      const round = each.slice(name.length);
      if (!fs.existsSync(other + round)) continue;
      fs.renameSync(each, `gone${round}`);
      fs.renameSync(other + round, each);
      done += 1;
    }
  },
};

const turn = () => {
  const until = performance.now() + 20;
  while (performance.now() < until) {
    try {
      WAYS[way]();
    } catch {
      // Lost a race: waxseal has moved on, or has not come yet.
      if (way !== 'trade') fs.rmSync('.swap', {force: true});
    }
  }
  if (!ended) return setImmediate(turn);
  process.stdout.write(`${done}\n`);
};
process.stdout.write('ready\n');
turn();
