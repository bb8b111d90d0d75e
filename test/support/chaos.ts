// A network that loses, repeats, reorders and corrupts, seeded and counted: a UDP proxy on loopback.

import { createSocket } from 'node:dgram';
import { randomStream } from '../../p4-int/fabric/random.ts';

/** Shares of the datagrams, 0 to 1. */
export interface ChaosRates {
  loss: number;
  duplication: number;
  reordering: number;
  corruption: number;
}

export interface Chaos {
  port: number;
  counts: { in: number; lost: number; duplicated: number; reordered: number; corrupted: number; out: number };
  /** Sends on what is still held back. */
  flush(): Promise<void>;
  close(): void;
}

/** Starts a proxy that passes datagrams on to `target` on loopback. */
export async function startChaos(target: number, seed: number, rates: ChaosRates): Promise<Chaos> {
  const random = randomStream(seed, 'chaos');
  const socket = createSocket('udp4');
  const counts = { in: 0, lost: 0, duplicated: 0, reordered: 0, corrupted: 0, out: 0 };
  let held: Buffer | undefined;
  let passed = Promise.resolve();
  const pass = (bytes: Buffer): void => {
    counts.out++;
    passed = passed.then(() => new Promise<void>((resolve) => socket.send(bytes, target, '127.0.0.1', () => resolve())));
  };
  socket.on('message', (bytes) => {
    counts.in++;
    const fate = random();
    if (fate < rates.loss) {
      counts.lost++;
      return;
    }
    if (random() < rates.corruption) {
      counts.corrupted++;
      bytes[Math.floor(random() * bytes.length)] ^= 1 << Math.floor(random() * 8);
    }
    if (held === undefined && random() < rates.reordering) {
      counts.reordered++;
      held = bytes;
      return;
    }
    pass(bytes);
    if (held !== undefined) pass(held);
    held = undefined;
    if (random() < rates.duplication) {
      counts.duplicated++;
      pass(bytes);
    }
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
  socket.setRecvBufferSize(4 * 1024 * 1024);
  return {
    port: socket.address().port,
    counts,
    flush: async () => {
      if (held !== undefined) pass(held);
      held = undefined;
      await passed;
    },
    close: () => void socket.close(),
  };
}
