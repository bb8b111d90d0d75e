// Ephemeral ports, as a host hands them out.

import type { Random } from '../random.ts';

const FIRST = 32_768;
const COUNT = 28_232;

/** Ports one after the other from a random one on (the range of Linux). */
export function portsOf(random: Random): () => number {
  let next = Math.floor(random() * COUNT);
  return () => FIRST + (next++ % COUNT);
}
