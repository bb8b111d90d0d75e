// `npm run fuzz -- [inputs] [seed]`: mutated datagrams of every dialect, ten million unless told otherwise. No input may throw, leave a partial
// row or count more than it holds; and what one costs must grow with its octets and not faster. Prints the first input that breaks a rule
// and ends with code 1.

import { Fuzzer } from '../support/fuzzing.ts';
import { percentile } from './measure.ts';

const [inputs = 10_000_000, seed = 1] = process.argv.slice(2).map(Number);
/** Longest that 99 of 100 inputs of about 1,400 octets may take, in times of those of about 70. */
const MAX_RATIO = 20;
const SIZES = { small: [56, 84], large: [1120, 1680] } as const;
const TIMED_EVERY = 8;

const fuzzer = new Fuzzer(seed);
const costsNs: Record<keyof typeof SIZES, number[]> = { small: [], large: [] };
let accepted = 0;
const startedMs = performance.now();
for (let i = 0; i < inputs; i++) {
  fuzzer.mutate();
  const isTimed = i % TIMED_EVERY === 0;
  const beforeMs = isTimed ? performance.now() : 0;
  const wrong = fuzzer.check();
  if (isTimed) note(fuzzer.length, (performance.now() - beforeMs) * 1e6);
  if (wrong !== undefined) {
    console.error(`input ${i} of seed ${seed}: ${wrong}\n${fuzzer.hex}`);
    process.exit(1);
  }
  if (fuzzer.outcome.rejected === 0) accepted++;
  if (i % 1_000_000 === 999_999)
    console.log(`${i + 1} inputs, ${accepted} accepted, ${Math.round(performance.now() - startedMs)} ms`);
}
const [small, large] = [percentile(costsNs.small, 0.99), percentile(costsNs.large, 0.99)];
const ratio = large / small;
console.log(`${inputs} inputs (seed ${seed}): no throw, no partial row; ${accepted} accepted`);
console.log(
  `p99 at 56 to 84 octets ${Math.round(small)} ns, at 1120 to 1680 ${Math.round(large)} ns: ${ratio.toFixed(1)} times, at most ${MAX_RATIO}`,
);
process.exit(ratio <= MAX_RATIO ? 0 : 1);

function note(length: number, costNs: number): void {
  for (const [name, [from, to]] of Object.entries(SIZES)) {
    if (length >= from && length <= to) costsNs[name as keyof typeof SIZES].push(costNs);
  }
}
