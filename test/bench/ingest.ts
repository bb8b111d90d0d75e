// What receiving costs, from the socket to the shared tables, in the whole collector as a user runs it.
// cpu-ratio: processor time of the ingest thread per datagram, over that of a sink in C plus that of decode and observe in memory; rounds
// alternate. vs-dgram: the rate without loss against that of Node's own socket, same sender. Rates on loopback say as much about the sender.

import { startCollectorProcess, type CollectorProcess } from './collector-process.ts';
import { InMemory } from './in-memory.ts';
import { measureOf, type Family, type Measure } from './measure.ts';
import { compileNative, type Load, type Native } from './native.ts';

const ROUNDS = 5;
const ROUND_SECONDS = 0.25;
const SEARCH_TRIALS = 3;
/** Where the search for the rate without loss begins. */
const FIRST_RATE = { plain: 250_000, coalesced: 2_000_000, dgram: 150_000 };
export const SEGMENTS = 40;
const FLOWS = { '1k': 1_000, '100k': 100_000 } as const;
/** A trial without loss must be longer than twenty buffers; one holds about 10,000 plain datagrams, or 40,000 coalesced ones. */
const TRIAL_DATAGRAMS = { plain: 200_000, coalesced: 1_000_000 };

export const ingestFamily: Family = {
  names: [
    'ingest.plain.cpu-ratio',
    'ingest.coalesced.cpu-ratio.1k',
    'ingest.coalesced.cpu-ratio.100k',
    'ingest.plain.vs-dgram',
    'ingest.coalesced.vs-dgram',
    'ingest.plain.loss-free-rate',
    'ingest.coalesced.loss-free-rate',
    'ingest.dgram.loss-free-rate',
  ],
  async run(wanted, say) {
    const native = compileNative();
    if (native === undefined) {
      say('bench: there is no C compiler (cc): receiving cannot be compared');
      return [];
    }
    try {
      const measures: Measure[] = [];
      // In memory the datagrams hold one postcard each, as those that are sent.
      const [collector, ...memories] = await Promise.all([
        startCollectorProcess({ limits: { flows: 131_072 } }),
        InMemory.start(1, FLOWS['1k']),
        InMemory.start(1, FLOWS['100k']),
      ]);
      try {
        await warmUp(native, collector);
        for (const [name, segments, flows] of [
          ['ingest.plain.cpu-ratio', 1, FLOWS['1k']],
          ['ingest.coalesced.cpu-ratio.1k', SEGMENTS, FLOWS['1k']],
          ['ingest.coalesced.cpu-ratio.100k', SEGMENTS, FLOWS['100k']],
        ] as const) {
          if (!wanted(name)) continue;
          const memory = memories[flows === FLOWS['1k'] ? 0 : 1];
          const ratios = await cpuRatios(native, collector, memory, segments, flows, say);
          measures.push(measureOf(name, 'ratio', ratios));
        }
        for (const kind of ['plain', 'coalesced'] as const) {
          const isWanted = wanted(`ingest.${kind}.vs-dgram`) || wanted(`ingest.${kind}.loss-free-rate`);
          if (!isWanted) continue;
          measures.push(...(await rates(native, collector, kind, wanted)));
        }
      } finally {
        for (const memory of memories) memory.close();
        await collector.stop();
      }
      return measures;
    } finally {
      native.dispose();
    }
  },
};

/** Enough for V8 to have compiled everything, and for all flows to be known. */
export async function warmUp(
  native: Native,
  collector: CollectorProcess,
  where: Pick<Load, 'address' | 'namespace'> = {},
): Promise<void> {
  await native.send({ ...where, port: collector.port, seconds: 0.8, rate: 400_000, segments: SEGMENTS, flows: FLOWS['1k'] });
  await collector.settled();
}

async function cpuRatios(
  native: Native,
  collector: CollectorProcess,
  memory: InMemory,
  segments: number,
  flows: number,
  say: (text: string) => void,
): Promise<number[]> {
  const load = { seconds: ROUND_SECONDS, rate: 0, segments, flows };
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const sink = await native.sink(ROUND_SECONDS + 0.1);
    await native.send({ ...load, port: sink.port });
    const floor = await sink.result;
    const observeNs = 1e9 / (await memory.round()).hopsPerSecond;
    const before = { cpuNs: collector.ingestCpuNs(), received: (await collector.accounting()).datagrams.received };
    await native.send({ ...load, port: collector.port });
    const { datagrams } = await collector.settled();
    const oursNs = (collector.ingestCpuNs() - before.cpuNs) / (datagrams.received - before.received);
    const sinkNs = floor.cpuNs / floor.received;
    ratios.push(oursNs / (sinkNs + observeNs));
    say(
      `  ${segments} a send, ${flows} flows: ours ${oursNs.toFixed(0)} ns, sink ${sinkNs.toFixed(0)} + in memory ${observeNs.toFixed(0)} ns`,
    );
  }
  return ratios;
}

async function rates(
  native: Native,
  collector: CollectorProcess,
  kind: 'plain' | 'coalesced',
  wanted: (name: string) => boolean,
): Promise<Measure[]> {
  const load = { segments: kind === 'plain' ? 1 : SEGMENTS, flows: FLOWS['1k'] };
  const ours = await searchRate(native, collector, load, TRIAL_DATAGRAMS[kind], FIRST_RATE[kind]);
  const name = `ingest.${kind}.loss-free-rate`;
  const isDgramWanted = kind === 'plain' && wanted('ingest.dgram.loss-free-rate');
  if (!wanted(`ingest.${kind}.vs-dgram`) && !isDgramWanted) {
    const own: number[] = [];
    while (own.length < ROUNDS) own.push(await heldRate(native, collector, load, ours, TRIAL_DATAGRAMS[kind]));
    return [measureOf(name, 'datagrams/s', own)];
  }
  const portable = await startCollectorProcess({}, ['without-koffi.ts']);
  try {
    await native.send({ port: portable.port, seconds: 0.5, rate: 50_000, segments: 1, flows: FLOWS['1k'] });
    const theirs = await searchRate(native, portable, load, TRIAL_DATAGRAMS.plain, FIRST_RATE.dgram);
    const [own, other]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      own.push(await heldRate(native, collector, load, ours, TRIAL_DATAGRAMS[kind]));
      other.push(await heldRate(native, portable, load, theirs, TRIAL_DATAGRAMS.plain));
    }
    const measures = [
      measureOf(name, 'datagrams/s', own),
      measureOf(
        `ingest.${kind}.vs-dgram`,
        'ratio',
        own.map((rate, round) => rate / other[round]),
      ),
    ];
    if (isDgramWanted) measures.push(measureOf('ingest.dgram.loss-free-rate', 'datagrams/s', other));
    return measures.filter((measure) => wanted(measure.name));
  } finally {
    await portable.stop();
  }
}

type Stream = Omit<Load, 'port' | 'seconds' | 'rate'>;

/** A rate at which nothing was lost so far; it falls by a tenth whenever something is. */
interface Held {
  rate: number;
}

/** Rates without loss in as many rounds as every figure has: see heldRate. */
export async function lossFreeRates(
  native: Native,
  collector: CollectorProcess,
  stream: Stream,
  datagrams: number,
): Promise<number[]> {
  const held = await searchRate(native, collector, stream, datagrams, FIRST_RATE.plain);
  const found: number[] = [];
  while (found.length < ROUNDS) found.push(await heldRate(native, collector, stream, held, datagrams));
  return found;
}

/** Halves the range between what held and what did not. */
async function searchRate(
  native: Native,
  collector: CollectorProcess,
  stream: Stream,
  datagrams: number,
  firstRate: number,
): Promise<Held> {
  let [held, failed, rate] = [20_000, Infinity, firstRate];
  for (let trial = 0; trial < SEARCH_TRIALS; trial++) {
    const result = await tryRate(native, collector, stream, rate, datagrams);
    if (result.lost === 0) held = Math.max(held, result.rate);
    else failed = Math.min(failed, rate);
    // A sender that did not keep up shows what it can do, and is asked for no more than that again.
    if (failed !== Infinity) rate = (held + failed) / 2;
    else if (result.rate > rate * 0.9) rate *= 2;
  }
  return { rate: held };
}

/** The rate of the next trial that loses nothing. */
async function heldRate(
  native: Native,
  collector: CollectorProcess,
  stream: Stream,
  held: Held,
  datagrams: number,
): Promise<number> {
  for (;;) {
    const result = await tryRate(native, collector, stream, held.rate, datagrams);
    if (result.lost === 0) return result.rate;
    held.rate *= 0.9;
  }
}

async function tryRate(
  native: Native,
  collector: CollectorProcess,
  stream: Stream,
  rate: number,
  datagrams: number,
): Promise<{ rate: number; lost: number }> {
  const before = (await collector.accounting()).datagrams.received;
  const { sent, seconds } = await native.send({ ...stream, port: collector.port, seconds: datagrams / rate, rate });
  const after = await collector.settled();
  return { rate: sent / seconds, lost: sent - (after.datagrams.received - before) };
}
