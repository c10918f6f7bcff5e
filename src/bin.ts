#!/usr/bin/env node
/**
 * Entry. Decides what must be decided before anything else is loaded (Node's version, colour, memory), then
 * loads cli/ and nothing more.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `waxseal: error: Node ${process.versions.node} is too old\nhint: install Node 20.19 or newer (Debian 13 has it as "nodejs")\n`,
  );
  process.exitCode = 5;
} else {
  const {decideColor} = await import('./cli/color.ts');
  decideColor(process.argv.slice(2), process.env, process.stdout.isTTY === true);
  // V8 lets garbage double the heap before it looks for it; with ten thousand keys that is 100 MB.
  const {setFlagsFromString} = await import('node:v8');
  setFlagsFromString('--heap-growing-percent=50');
  const {main} = await import('./cli/main.ts');
  process.exitCode = await main(process.argv.slice(2));
}
