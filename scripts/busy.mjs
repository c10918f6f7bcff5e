/** Keeps one processor busy until standard input ends: that of its parent does, however the parent ends. */
process.stdin.on('close', () => process.exit()).resume();
const turn = () => {
  for (let count = 0; count < 10_000_000; count += 1);
  setImmediate(turn);
};
turn();
