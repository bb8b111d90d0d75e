// What each figure is to reach; those that are not here are published as they are.

interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** A hop of no dialect may cost more than so many postcards. */
const DIALECT_RATIO: Goal = { atMost: 3 };

const GOALS: Readonly<Record<string, Goal | undefined>> = {
  'observe.hops-per-second.1k': { atLeast: 30e6 },
  'observe.hops-per-second.100k': { atLeast: 3e6 },
  'observe.hops-per-second.1m': { atLeast: 5.3e6 },
  'packet-path.bytes-per-report': { atMost: 0 },
  'dialect.bytes-per-datagram': { atMost: 0 },
  'diagnose.ms-per-event': { atMost: 5 },
  'fabric.events-per-second': { atLeast: 1e6 },
  'ingest.plain.cpu-ratio': { atMost: 1.15 },
  'ingest.coalesced.cpu-ratio.1k': { atMost: 1.15 },
  'ingest.coalesced.cpu-ratio.100k': { atMost: 1.15 },
  'ingest.plain.vs-dgram': { atLeast: 4 },
  'ingest.coalesced.vs-dgram': { atLeast: 10 },
  'memory.rss-mib.100k-live': { atMost: 512 },
  'memory.rss-mib.1m-live': { atMost: 256 },
  'memory.rss-mib.10m-distinct': { atMost: 256 },
  'memory.growth.10m-distinct': { atMost: 1.05 },
  'scrape.ms.50k': { atMost: 100 },
  'scrape.lost': { atMost: 0 },
  'stall.lost': { atMost: 0 },
  'webhook.ms.p50': { atMost: 5 },
  'webhook.ms.p99': { atMost: 50 },
};

/** What a figure is to reach; undefined where there is no goal. */
export function goalOf(name: string): Goal | undefined {
  return name.startsWith('dialect.') && name.endsWith('.vs-postcard') ? DIALECT_RATIO : GOALS[name];
}

/** Whether a value, rounded as it is shown, is what it should be; undefined where there is no goal. */
export function isReached(name: string, value: number): boolean | undefined {
  const goal = goalOf(name);
  if (goal === undefined) return undefined;
  const shown = Math.round(value * 100) / 100;
  return shown >= (goal.atLeast ?? -Infinity) && shown <= (goal.atMost ?? Infinity);
}
