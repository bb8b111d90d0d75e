// What the kernel dropped because a socket's buffer was full, added up over all sockets and never falling.

import { readFileSync } from 'node:fs';
import type { UdpSocket } from './socket.ts';

const TWO_32 = 2 ** 32;

export class KernelDrops {
  readonly #sockets: readonly UdpSocket[];
  readonly #last: number[];
  #total = 0;

  constructor(sockets: readonly UdpSocket[]) {
    this.#sockets = sockets;
    this.#last = sockets.map(() => 0);
  }

  /** Datagrams dropped so far. The kernel counts modulo 2^32: ask at least every few minutes. */
  read(): number {
    this.#sockets.forEach((socket, i) => {
      const { drops } = socket.memory();
      this.#total += (drops - this.#last[i] + TWO_32) % TWO_32;
      this.#last[i] = drops;
    });
    return this.#total;
  }
}

/**
 * Sum of the `drops` column of /proc/net/udp and udp6 for sockets bound to `port`, or undefined where the system does not tell. For
 * sockets that are Node's own, which cannot be asked. The count is the socket's and vanishes with it.
 */
export function kernelDropsAt(port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let drops: number | undefined;
  for (const path of ['/proc/net/udp', '/proc/net/udp6']) {
    let text: string;
    try {
      text = readFileSync(path, 'latin1');
    } catch {
      continue;
    }
    for (const line of text.split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(suffix)) drops = (drops ?? 0) + Number(fields.at(-1));
    }
  }
  return drops;
}
