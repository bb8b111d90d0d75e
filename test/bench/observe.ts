// Hops per second through decode and observe in memory, on one core: 1 k to 1 M live flows, each report of one of them at random, of those that go by its node.
// Datagrams are v2.0 groups of eight INT-XD postcards of 16 nodes and 128 queues (`single`: one postcard each). What setting flows and numbers into
// the bytes takes is not counted. Allocation: growth of the heap over many reports, in the leanest of the rounds.

import { InMemory, type InMemoryRound } from './in-memory.ts';
import { measureOf, type Family, type Measure } from './measure.ts';

const ROUNDS = 7;
/** By name: reports of a datagram, and live flows. */
const LOADS: Record<string, [reports: number, flows: number]> = {
  'observe.hops-per-second.1k': [8, 1_000],
  'observe.hops-per-second.10k': [8, 10_000],
  'observe.hops-per-second.100k': [8, 100_000],
  'observe.hops-per-second.1m': [8, 1_000_000],
  'observe.single.hops-per-second.1k': [1, 1_000],
};
const ALLOCATION = 'packet-path.bytes-per-report';
const ALLOCATION_LOAD = 'observe.hops-per-second.1k';

export const observeFamily: Family = {
  names: [...Object.keys(LOADS), ALLOCATION],
  async run(wanted) {
    const names = Object.keys(LOADS).filter((name) => wanted(name) || (name === ALLOCATION_LOAD && wanted(ALLOCATION)));
    const running = await Promise.all(
      names.map(async (name) => ({ name, memory: await InMemory.start(...LOADS[name]), rounds: [] as InMemoryRound[] })),
    );
    for (let round = 0; round < ROUNDS; round++) {
      for (const { memory, rounds } of running) rounds.push(await memory.round());
    }
    return running.flatMap(({ name, memory, rounds }): Measure[] => {
      memory.close();
      const speed = rounds.map(({ hopsPerSecond }) => hopsPerSecond);
      const grown = rounds.flatMap(({ bytesPerReport }) => bytesPerReport ?? []);
      return [
        ...(wanted(name) ? [measureOf(name, 'hops/s', speed)] : []),
        ...(name === ALLOCATION_LOAD && wanted(ALLOCATION) ? [measureOf(ALLOCATION, 'octets', [Math.min(...grown)])] : []),
      ];
    });
  },
};
