// The ingest threads of a running collector: several on one port, none without koffi, a calm thread that stands still, and their end.

import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Accounting } from '../../collector/accounting.ts';
import { startTestCollector, type TestCollector } from '../support/collector.ts';
import { Postcards } from '../support/postcards.ts';
import { freePorts, getJson, start, until } from '../support/processes.ts';
import { sendSegmented } from '../support/segment-sender.ts';

const stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function collectorWith(settings: object): Promise<TestCollector> {
  const collector = await startTestCollector(settings);
  stops.push(() => collector.stop());
  return collector;
}

async function sendTo(socket: Socket, port: number, bytes: Uint8Array, address = '127.0.0.1'): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    socket.send(Buffer.from(bytes), port, address, (error) => (error ? reject(error) : resolve())),
  );
}

const books = async (base: string): Promise<Accounting> => (await getJson(`${base}/api/v1/accounting`)) as Accounting;

describe('four ingest threads', () => {
  it('with reports of each node from many source ports: no gap is invented', { timeout: 60_000 }, async () => {
    const collector = await collectorWith({ ingest: { address: '127.0.0.1', port: 0, threads: 4 } });
    const sockets = Array.from({ length: 20 }, () => createSocket('udp4'));
    stops.push(() => sockets.forEach((socket) => socket.close()));
    const NODES = 12;
    const NUMBERS = 500;
    const card = new Postcards(1);
    for (let sequence = 0; sequence < NUMBERS; sequence++) {
      for (let node = 0; node < NODES; node++) {
        // Ids with a pattern, as operators give them.
        card.head(0x0a00_0001 + node * 256, sequence);
        card.report(0, node, 3, sequence * 1000);
        await sendTo(sockets[(sequence * 7 + node) % sockets.length], collector.udpPort, card.bytes);
      }
    }
    const { datagrams } = await until('all datagrams', async () => {
      const now = await books(collector.base);
      return now.datagrams.received === NODES * NUMBERS && now;
    });
    expect(datagrams).toMatchObject({ decoded: NODES * NUMBERS, duplicates: 0, lostBeforeUs: 0, unaccounted: 0 });
    const rows = collector.lanes.map(({ state }) => state.sources.keys.usedRows());
    // Each node is known to one thread alone, and all of them have something to do.
    expect(rows.flat()).toHaveLength(NODES);
    expect(rows.filter((row) => row.length > 0).length).toBeGreaterThan(1);
    collector.lanes.forEach(({ state }, i) => {
      for (const row of rows[i]) expect([state.sources.received(row), state.sources.lost(row)]).toEqual([NUMBERS, 0]);
    });
    // One exposition for all of them, each series once.
    const text = await (await fetch(`${collector.base}/metrics`)).text();
    const series = text.split('\n').filter((line) => line.startsWith('hopscope_sequence_received_total{'));
    expect(new Set(series).size).toBe(NODES);
  });

  it('hear v0.5 reports of one node in one thread, and what names no node in the first', { timeout: 60_000 }, async () => {
    const collector = await collectorWith({ ingest: { address: '127.0.0.1', port: 0, threads: 4 } });
    const sockets = Array.from({ length: 8 }, () => createSocket('udp4'));
    stops.push(() => sockets.forEach((socket) => socket.close()));
    for (let sequence = 0; sequence < 400; sequence++) {
      // Switch-local report: version 0, next protocol 2; the node is the fourth word.
      const report = Buffer.alloc(28 + 34);
      report.writeUInt32BE((2 << 24) | (1 << 21), 0);
      report.writeUInt32BE(sequence, 4);
      report.writeUInt32BE(sequence * 1000, 8);
      report.writeUInt32BE(77, 12);
      report.writeUInt16BE(0x0800, 28 + 12);
      report.writeUInt8(0x45, 42);
      await sendTo(sockets[sequence % 8], collector.udpPort, report);
      await sendTo(sockets[sequence % 8], collector.udpPort, Buffer.of(0x30, 1, 2));
    }
    await until('all datagrams', async () => (await books(collector.base)).datagrams.received === 800);
    const withRows = collector.lanes.filter(({ state }) => state.sources.keys.totals[0] > 0);
    expect(withRows).toHaveLength(1);
    const { sources } = withRows[0].state;
    expect([sources.received(1), sources.lost(1)]).toEqual([400, 0]);
    const [first] = collector.lanes;
    expect(first.state.counters.read().datagramsRejected.reduce((sum, n) => sum + n, 0)).toBe(400);
  });
});

it('two collectors share a port: each node is heard by one of them', { timeout: 60_000 }, async () => {
  const first = await collectorWith({ ingest: { address: '127.0.0.1', port: 0, processes: 2 } });
  const second = await collectorWith({ ingest: { address: '127.0.0.1', port: first.udpPort, processes: 2 } });
  const socket = createSocket('udp4');
  stops.push(() => void socket.close());
  const card = new Postcards(1);
  for (let sequence = 0; sequence < 200; sequence++) {
    for (let node = 1; node <= 10; node++) {
      card.head(node, sequence);
      await sendTo(socket, first.udpPort, card.bytes);
    }
  }
  await until('all datagrams', async () => {
    const [a, b] = await Promise.all([books(first.base), books(second.base)]);
    return a.datagrams.received + b.datagrams.received === 2000;
  });
  const nodes = [first, second].map(({ lanes: [{ state }] }) => state.sources.keys.usedRows().length);
  expect(nodes[0] + nodes[1]).toBe(10);
  expect(Math.min(...nodes)).toBeGreaterThan(0);
  for (const { base } of [first, second])
    expect((await books(base)).datagrams).toMatchObject({ lostBeforeUs: 0, unaccounted: 0 });
});

/** The collector as a program, with its output. */
async function program(settings: Record<string, object>, preload?: string) {
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-program-'));
  const [httpPort] = await freePorts(1);
  const path = join(folder, 'hopscope.yaml');
  const whole = { ingest: { address: '127.0.0.1', port: 0 }, store: { path: join(folder, 'h.db') }, ...settings };
  writeFileSync(path, stringify({ ...whole, http: { port: httpPort } }));
  const flags = preload === undefined ? [] : ['--import', join(import.meta.dirname, '../support', preload)];
  const running = start(process.execPath, [
    ...flags,
    join(import.meta.dirname, '../../collector/cli.ts'),
    'start',
    '--config',
    path,
  ]);
  stops.push(() => running.stop('SIGKILL'));
  const base = `http://127.0.0.1:${httpPort}`;
  const port = await until('the collector', async () => {
    const match = /on UDP \S+ port (\d+)/.exec(running.output());
    return match !== null && (await fetch(`${base}/readyz`)).ok && Number(match[1]);
  });
  return { running, base, port };
}

it.each([
  ['on sockets of its own', undefined],
  ['the portable way', 'without-koffi.ts'],
])(
  '%s, each port has its profiles: what the profile does not list is refused there',
  { timeout: 30_000 },
  async (_name, preload) => {
    const [other] = await freePorts(1);
    const sources = [{ port: other, profile: 'sflow' }];
    const { base, port, running } = await program({ ingest: { address: '127.0.0.1', port: 0, threads: 2, sources } }, preload);
    expect(running.output()).toContain(`port ${port}, ${other}`);
    const socket = createSocket('udp4');
    stops.push(() => void socket.close());
    const sflow = sflowDatagram();
    const card = new Postcards(1);
    for (let sequence = 0; sequence < 20; sequence++) {
      card.head(7, sequence);
      sflow.writeUInt32BE(sequence, 16);
      for (const to of [port, other]) {
        await sendTo(socket, to, card.bytes);
        await sendTo(socket, to, sflow);
      }
    }
    const { datagrams } = await until('all datagrams', async () => {
      const now = await books(base);
      return now.datagrams.received === 80 && now;
    });
    expect(datagrams).toMatchObject({ decoded: 60, rejected: { E_DIALECT: 20 }, unaccounted: 0, lostBeforeUs: 0 });
  },
);

/** One flow sample without records, of the agent 127.0.0.1. */
function sflowDatagram(): Buffer {
  const words = [5, 1, 0x7f00_0001, 0, 0, 1000, 1, 1, 32, 1, 3, 64, 64, 0, 3, 4, 0];
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => bytes.writeUInt32BE(word, i * 4));
  return bytes;
}

it('without koffi it receives the portable way, and says so once', { timeout: 30_000 }, async () => {
  const { running, base, port } = await program({ ingest: { address: '127.0.0.1', port: 0, threads: 4 } }, 'without-koffi.ts');
  const socket = createSocket('udp4');
  stops.push(() => void socket.close());
  const card = new Postcards(2);
  for (let sequence = 0; sequence < 200; sequence++) {
    card.head(5, sequence);
    await sendTo(socket, port, card.bytes);
  }
  const { datagrams } = await until('all datagrams', async () => {
    const now = await books(base);
    return now.datagrams.received === 200 && now;
  });
  expect(datagrams).toMatchObject({ decoded: 200, unaccounted: 0, lostBeforeUs: 0 });
  expect(running.output().split('the package koffi is not installed')).toHaveLength(2);
});

it('a calm thread that stands still for a second, again and again, costs no datagram', { timeout: 60_000 }, async () => {
  const { base, port, running } = await program({}, 'blocks-main.ts');
  const card = new Postcards(1);
  let sent = 0;
  // About 20,000 datagrams a second for seven seconds: two or three pauses of a second lie in them.
  for (const endMs = performance.now() + 7000; performance.now() < endMs;) {
    const burst = Array.from({ length: 20 }, () => {
      card.head(3, sent++);
      card.report(0, sent % 100, 3, sent * 50_000);
      return Buffer.from(card.bytes);
    });
    sendSegmented(Buffer.concat(burst), card.bytes.length, port);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { datagrams } = await until('the books', async () => {
    const now = await books(base);
    return now.datagrams.received + now.datagrams.kernelDropped >= sent && now;
  });
  expect(sent).toBeGreaterThan(20_000);
  expect(running.output()).toContain('main thread stood still');
  expect(datagrams).toMatchObject({ received: sent, decoded: sent, kernelDropped: 0, dropped: {}, lostBeforeUs: 0 });
});

it.each([
  ['idle', false],
  ['under load', true],
])('%s, it ends within a second of being told', { timeout: 30_000 }, async (_name, isLoaded) => {
  const { running, port } = await program({});
  const sender = isLoaded ? flood(port) : undefined;
  if (isLoaded) await new Promise((resolve) => setTimeout(resolve, 500));
  const startedMs = performance.now();
  expect(await running.stop('SIGTERM')).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(1000);
  sender?.kill();
});

/** Sends without a pause, from a process of its own. */
function flood(port: number) {
  const script = `
    import { sendSegmented } from ${JSON.stringify(join(import.meta.dirname, '../support/segment-sender.ts'))};
    const bytes = Buffer.alloc(40 * 104, 0x20);
    for (;;) sendSegmented(bytes, 104, ${port});`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: 'ignore' });
  stops.push(() => void child.kill('SIGKILL'));
  return child;
}

describe('admission', () => {
  it('strangers are counted by network before anything is decoded, and nothing is ever answered', async () => {
    const collector = await collectorWith({ ingest: { address: '127.0.0.1', port: 0, allow: ['127.0.0.2/32'] } });
    const sockets = await Promise.all(
      ['127.0.0.2', '127.0.0.3', '127.9.0.1'].map(async (address) => {
        const socket = createSocket('udp4');
        await new Promise<void>((resolve) => socket.bind(0, address, () => resolve()));
        return socket;
      }),
    );
    stops.push(() => sockets.forEach((socket) => socket.close()));
    let answers = 0;
    for (const socket of sockets) socket.on('message', () => answers++);
    const card = new Postcards(1);
    for (let sequence = 0; sequence < 50; sequence++) {
      card.head(5, sequence);
      for (const socket of sockets) await sendTo(socket, collector.udpPort, card.bytes);
    }
    const { datagrams, sources, strangers } = await until('all datagrams', async () => {
      const now = await books(collector.base);
      return now.datagrams.received === 150 && now;
    });
    expect(datagrams).toMatchObject({ decoded: 50, dropped: { 'not-admitted': 100 }, unaccounted: 0 });
    expect(sources.map(({ address }) => address)).toEqual(['127.0.0.2']);
    expect(strangers).toEqual([
      { network: '127.0.0.0/24', datagrams: 50 },
      { network: '127.9.0.0/24', datagrams: 50 },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(answers).toBe(0);
  });

  it('a sender above its rate is cut to it, and what was cut is counted', async () => {
    const collector = await collectorWith({ ingest: { address: '127.0.0.1', port: 0, maxRatePerSource: 100 } });
    const socket = createSocket('udp4');
    stops.push(() => void socket.close());
    const card = new Postcards(1);
    for (let sequence = 0; sequence < 1000; sequence++) {
      card.head(5, sequence);
      await sendTo(socket, collector.udpPort, card.bytes);
    }
    const { datagrams, sources } = await until('all datagrams', async () => {
      const now = await books(collector.base);
      return now.datagrams.received === 1000 && now;
    });
    // A second's worth is saved up; the sending itself takes a fraction of another.
    expect(datagrams.decoded).toBeGreaterThanOrEqual(100);
    expect(datagrams.decoded).toBeLessThan(400);
    expect(datagrams.dropped['rate-limit']).toBe(1000 - datagrams.decoded);
    expect(datagrams.unaccounted).toBe(0);
    expect(sources[0]).toMatchObject({ received: 1000, rateLimited: 1000 - datagrams.decoded });
  });
});
