// What every way of receiving UDP must do: the same suite for Node's own socket and for the fast one.

import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { addressText } from '../../collector/address.ts';
import { DgramIngest } from '../../collector/ingest/dgram.ts';
import { receiveLoop } from '../../collector/ingest/receive-loop.ts';
import { UdpSocket } from '../../collector/ingest/socket.ts';
import type { UdpHandler, UdpIngest, UdpOptions } from '../../collector/ingest/udp.ts';
import { sendSegmented } from '../support/segment-sender.ts';

interface Got {
  bytes: Buffer;
  source: string;
  waitedMs: number;
}
interface Opened {
  ingest: UdpIngest;
  /** Receives until `count` datagrams are there (or five seconds are over), then closes. */
  take: (count: number) => Promise<Got[]>;
}
type Open = (options: Partial<UdpOptions>) => Promise<Opened>;

const OPTIONS: UdpOptions = { address: '127.0.0.1', port: 0, receiveBufferBytes: 4 * 1024 * 1024 };

function collecting(onGot: (got: Got[]) => void): { got: Got[]; handler: UdpHandler } {
  const got: Got[] = [];
  const handler = {
    arrive: () => undefined,
    message: () => undefined,
    receive: (b: DataView, start: number, end: number, source: Uint32Array, waitedMs: number) => {
      const bytes = Buffer.from(Uint8Array.from({ length: end - start }, (_, i) => b.getUint8(start + i)));
      got.push({ bytes, source: addressText(source, 0), waitedMs });
      onGot(got);
    },
    settle: () => undefined,
  };
  return { got, handler };
}

const openDgram: Open = async (options) => {
  let enough = (): void => undefined;
  let wanted = Infinity;
  const { got, handler } = collecting((all) => all.length >= wanted && enough());
  const ingest = await DgramIngest.open({ ...OPTIONS, ...options }, handler);
  return {
    ingest,
    take: async (count) => {
      wanted = count;
      if (got.length < count) {
        await Promise.race([
          new Promise<void>((resolve) => (enough = resolve)),
          new Promise((resolve) => setTimeout(resolve, 5000)),
        ]);
      }
      await ingest.close();
      return got;
    },
  };
};

/** The fast socket blocks its thread: what it is to receive has been sent before. */
const openSocket: Open = async (options) => {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  let wanted = Infinity;
  const { got, handler } = collecting((all) => void (all.length >= wanted && Atomics.store(stop, 0, 1)));
  const [ingest] = await UdpSocket.open({ ...OPTIONS, ...options });
  return {
    ingest,
    take: async (count) => {
      wanted = count;
      const alarm = new Worker('setTimeout(() => Atomics.store(require("worker_threads").workerData, 0, 1), 5000)', {
        eval: true,
        workerData: stop,
      });
      await new Promise((resolve) => alarm.once('online', resolve));
      await receiveLoop(ingest.fd, handler, stop);
      ingest.close();
      await alarm.terminate();
      return got;
    },
  };
};

async function send(port: number, datagrams: readonly Uint8Array[], to = '127.0.0.1'): Promise<void> {
  const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4');
  for (const datagram of datagrams) {
    await new Promise<void>((resolve, reject) => socket.send(datagram, port, to, (error) => (error ? reject(error) : resolve())));
  }
  socket.close();
}
const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1');

describe.each([
  ['dgram', openDgram],
  ['socket', openSocket],
])('ingest/%s', (_name, open) => {
  it('gives every datagram whole, in order, with its sender', async () => {
    const { ingest, take } = await open({});
    const sent = Array.from({ length: 500 }, (_, i) => Buffer.from(`datagram ${i} ${'x'.repeat(i)}`));
    await send(ingest.port, sent);
    const got = await take(sent.length);
    expect(got.map((g) => g.bytes.toString())).toEqual(sent.map(String));
    expect(new Set(got.map((g) => g.source))).toEqual(new Set(['127.0.0.1']));
  });

  it('takes datagrams of no octets, of one, and of the most that UDP carries', async () => {
    const { ingest, take } = await open({});
    const sizes = [0, 1, 65_507, 0, 1400];
    await send(
      ingest.port,
      sizes.map((size) => Buffer.alloc(size, 0xab)),
    );
    const got = await take(sizes.length);
    expect(got.map((g) => g.bytes.length)).toEqual(sizes);
    expect(got[2].bytes.every((octet) => octet === 0xab)).toBe(true);
  });

  it.skipIf(!hasIpv6)('listens on IPv6, and hears IPv4 there too', async () => {
    const { ingest, take } = await open({ address: '::' });
    await send(ingest.port, [Buffer.from('six')], '::1');
    await send(ingest.port, [Buffer.from('four')]);
    expect((await take(2)).map((g) => [g.bytes.toString(), g.source])).toEqual([
      ['six', '::1'],
      ['four', '127.0.0.1'],
    ]);
  });

  it('hands on one by one what the sender sent in one piece, the shorter last one too', async () => {
    const { ingest, take } = await open({});
    const bytes = Buffer.from(Array.from({ length: 40 * 100 + 37 }, (_, i) => i & 0xff));
    sendSegmented(bytes, 100, ingest.port);
    const got = await take(41);
    expect(got.map((g) => g.bytes.length)).toEqual([...Array<number>(40).fill(100), 37]);
    expect(Buffer.concat(got.map((g) => g.bytes)).equals(bytes)).toBe(true);
  });

  it('says what the kernel gave as receive buffer', async () => {
    const { ingest, take } = await open({ receiveBufferBytes: 1024 * 1024 });
    expect(ingest.receiveBufferBytes).toBeGreaterThanOrEqual(1024 * 1024);
    expect(ingest.receiveBufferBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    await send(ingest.port, [Buffer.from('x')]);
    await take(1);
  });

  it.each([
    ['a port that is taken', {}, 'EADDRINUSE'],
    ['an address that is not of this machine', { address: '192.0.2.1' }, 'EADDRNOTAVAIL'],
  ])('rejects %s with its code', async (_what, options, code) => {
    const other = createSocket('udp4');
    await new Promise<void>((resolve) => other.bind(0, '127.0.0.1', () => resolve()));
    await expect(open({ port: other.address().port, ...options })).rejects.toMatchObject({ code });
    other.close();
  });
});

it('the fast socket, blocked without a datagram, ends within a second of being told', async () => {
  const [ingest] = await UdpSocket.open(OPTIONS);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker('setTimeout(() => Atomics.store(require("worker_threads").workerData, 0, 1), 300)', {
    eval: true,
    workerData: stop,
  });
  await new Promise((resolve) => worker.once('online', resolve));
  const startedAt = performance.now();
  await receiveLoop(ingest.fd, collecting(() => undefined).handler, stop);
  ingest.close();
  const took = performance.now() - startedAt;
  expect(took).toBeGreaterThan(250);
  expect(took).toBeLessThan(1300);
  await worker.terminate();
});

it('the fast socket tells for how long a datagram lay in its buffer', async () => {
  const { ingest, take } = await openSocket({});
  await send(ingest.port, [Buffer.from('old')]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const [{ waitedMs }] = await take(1);
  expect(waitedMs).toBeGreaterThanOrEqual(290);
  expect(waitedMs).toBeLessThan(5000);
});
