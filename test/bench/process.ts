// The whole process: its memory, what a scrape takes and costs, how fast a webhook leaves, and its processor time.

import { createSocket } from 'node:dgram';
import { Postcards } from '../support/postcards.ts';
import { startCollectorProcess, type CollectorProcess } from './collector-process.ts';
import { SEGMENTS, warmUp } from './ingest.ts';
import { IncidentProbe } from './incident-probe.ts';
import { measureOf, percentile, type Family, type Measure } from './measure.ts';
import { compileNative, type Native } from './native.ts';

/** About half of what plain datagrams come to without loss on two cores. */
const HALF_LOAD = 200_000;
/** By name: live flows; the table has some more room. */
const LIVE: Record<string, number> = { 'memory.rss-mib.100k-live': 100_000, 'memory.rss-mib.1m-live': 1_000_000 };
const ROOM = 1.1;
/** Drawn at random: thirty million draws out of twelve million flows are eleven million distinct ones. */
const MANY_FLOWS = 12_000_000;
const MANY_DATAGRAMS = 30_000_000;
const FLOOD_RATE = 2_000_000;
/** Nineteen series each. */
const QUEUES_OF_50K_SERIES = 2650;
const SCRAPES = 9;
const INCIDENTS = 100;
const INCIDENT_EVERY_MS = 40;

export const processFamily: Family = {
  names: [
    'memory.rss-mib.100k-live',
    'memory.rss-mib.1m-live',
    'memory.rss-mib.10m-distinct',
    'memory.growth.10m-distinct',
    'scrape.ms.50k',
    'scrape.lost',
    'stall.lost',
    'webhook.ms.p50',
    'webhook.ms.p99',
    'cpu.seconds-per-million',
    'cpu.idle',
  ],
  async run(wanted, say) {
    const native = compileNative();
    if (native === undefined) {
      say('bench: there is no C compiler (cc): the figures of the whole process are not measured');
      return [];
    }
    try {
      const measures: Measure[] = [];
      for (const [name, flows] of Object.entries(LIVE)) if (wanted(name)) measures.push(await memoryLive(native, name, flows));
      if (wanted('memory.rss-mib.10m-distinct') || wanted('memory.growth.10m-distinct')) {
        measures.push(...(await memoryDistinct(native, say)));
      }
      if (wanted('scrape.ms.50k') || wanted('scrape.lost')) measures.push(...(await scrape(native)));
      if (wanted('stall.lost')) measures.push(await stall(native));
      if (wanted('webhook.ms.p50') || wanted('webhook.ms.p99')) measures.push(...(await webhook(native)));
      if (wanted('cpu.seconds-per-million') || wanted('cpu.idle')) measures.push(...(await processor(native)));
      return measures.filter(({ name }) => wanted(name));
    } finally {
      native.dispose();
    }
  },
};

async function memoryLive(native: Native, name: string, flows: number): Promise<Measure> {
  const collector = await startCollectorProcess({ limits: { flows: Math.round(flows * ROOM) } });
  try {
    await native.send({ port: collector.port, seconds: 6, rate: FLOOD_RATE, segments: SEGMENTS, flows });
    await collector.settled();
    return measureOf(name, 'MiB', [collector.rssMib()]);
  } finally {
    await collector.stop();
  }
}

async function memoryDistinct(native: Native, say: (text: string) => void): Promise<Measure[]> {
  const collector = await startCollectorProcess();
  const rss: number[] = [];
  try {
    const thirds = 3;
    for (let third = 0; third < thirds; third++) {
      const seconds = MANY_DATAGRAMS / thirds / FLOOD_RATE;
      await native.send({ port: collector.port, seconds, rate: FLOOD_RATE, segments: SEGMENTS, flows: MANY_FLOWS });
      await collector.settled();
      rss.push(collector.rssMib());
    }
    say(`  after each third of 30 M datagrams: ${rss.map((mib) => mib.toFixed(0)).join(', ')} MiB`);
    return [
      measureOf('memory.rss-mib.10m-distinct', 'MiB', [rss[2]]),
      measureOf('memory.growth.10m-distinct', 'ratio', [rss[2] / rss[0]]),
    ];
  } finally {
    await collector.stop();
  }
}

async function scrape(native: Native): Promise<Measure[]> {
  const collector = await startCollectorProcess({ http: { maxSeries: 60_000, maxSeriesPerMetric: 60_000 } });
  try {
    await warmUp(native, collector);
    await makeQueues(collector, QUEUES_OF_50K_SERIES);
    const load = native.send({ port: collector.port, seconds: 4, rate: HALF_LOAD, segments: 1, flows: 1000 });
    const times: number[] = [];
    let series = 0;
    for (let i = 0; i < SCRAPES; i++) {
      const startedMs = performance.now();
      const text = await (await fetch(`${collector.base}/metrics`)).text();
      times.push(performance.now() - startedMs);
      series = Number(/^hopscope_series (\d+)/m.exec(text)![1]);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await load;
    const { datagrams } = await collector.settled();
    if (series < 50_000) throw new Error(`only ${series} series were scraped`);
    return [
      measureOf('scrape.ms.50k', 'ms', times),
      measureOf('scrape.lost', 'datagrams', [datagrams.kernelDropped + (datagrams.dropped.late ?? 0)]),
    ];
  } finally {
    await collector.stop();
  }
}

/** The main thread stands still for a second, again and again, under the same load. */
async function stall(native: Native): Promise<Measure> {
  const collector = await startCollectorProcess({}, ['blocks-main.ts']);
  try {
    await warmUp(native, collector);
    const { sent } = await native.send({ port: collector.port, seconds: 8, rate: HALF_LOAD, segments: 1, flows: 1000 });
    const { datagrams } = await collector.settled();
    if (datagrams.unaccounted !== 0 || sent === 0) throw new Error('the books do not balance');
    return measureOf('stall.lost', 'datagrams', [datagrams.kernelDropped + (datagrams.dropped.late ?? 0)]);
  } finally {
    await collector.stop();
  }
}

async function makeQueues(collector: CollectorProcess, queues: number): Promise<void> {
  const socket = createSocket('udp4');
  const card = new Postcards(1, 128);
  for (let queue = 0; queue < queues; queue++) {
    card.head(100 + (queue & 63), queue >>> 6);
    card.report(0, queue, 1000 + (queue >>> 6), queue * 1000);
    await new Promise((resolve) => socket.send(Buffer.from(card.bytes), collector.port, '127.0.0.1', resolve));
  }
  socket.close();
  await collector.settled();
}

/** From the datagram that opens a queue's congestion to the request at the receiver's door, each time on another queue. */
async function webhook(native: Native): Promise<Measure[]> {
  const probe = await IncidentProbe.start();
  const collector = await startCollectorProcess(probe.settings());
  try {
    await warmUp(native, collector);
    const seconds = (INCIDENTS * INCIDENT_EVERY_MS) / 1000 + 1;
    const load = native.send({ port: collector.port, seconds, rate: HALF_LOAD, segments: 1, flows: 1000 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (let incident = 0; incident < INCIDENTS; incident++) {
      probe.shoot(collector.port);
      await new Promise((resolve) => setTimeout(resolve, INCIDENT_EVERY_MS));
    }
    await load;
    const times = await probe.times();
    return [measureOf('webhook.ms.p50', 'ms', times), measureOf('webhook.ms.p99', 'ms', [percentile(times, 0.99)])];
  } finally {
    await collector.stop();
    await probe.close();
  }
}

async function processor(native: Native): Promise<Measure[]> {
  const collector = await startCollectorProcess();
  try {
    await warmUp(native, collector);
    const perMillion: number[] = [];
    for (let round = 0; round < 5; round++) {
      const before = { cpuNs: collector.processCpuNs(), received: (await collector.accounting()).datagrams.received };
      await native.send({ port: collector.port, seconds: 1, rate: 100_000, segments: 1, flows: 1000 });
      const { datagrams } = await collector.settled();
      perMillion.push((collector.processCpuNs() - before.cpuNs) / 1e9 / ((datagrams.received - before.received) / 1e6));
    }
    const idle: number[] = [];
    for (let round = 0; round < 5; round++) {
      const before = collector.processCpuNs();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      idle.push(((collector.processCpuNs() - before) / 1e9) * 100);
    }
    return [measureOf('cpu.seconds-per-million', 's', perMillion), measureOf('cpu.idle', '% of a core', idle)];
  } finally {
    await collector.stop();
  }
}
