// INT-MD: what the switches on the way put into a packet, kept beside it until its last switch takes it off.

import type { IntHop } from '../../wire/int-stack.ts';
import { intMdV21 } from '../../wire/int-v21.ts';
import type { Simulator } from '../simulator.ts';
import type { Postcard } from './writers.ts';

/** Node id, interfaces, hop latency, queue, both timestamps. */
const BITMAP = 0xfc00;
const MAX_HOPS = 8;

export class IntStacks {
  readonly #simulator: Simulator;
  readonly #hops: IntHop[][] = [];

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
  }

  add(packet: number, nodeId: number, postcard: Postcard): void {
    const hops = this.#simulator.packets.hops[packet] === 1 ? (this.#hops[packet] = []) : this.#hops[packet];
    if (hops.length === MAX_HOPS) return;
    hops.push({
      nodeId,
      level1Interfaces: { ingressInterfaceId: postcard.ingressInterfaceId, egressInterfaceId: postcard.egressInterfaceId },
      hopLatency: postcard.hopLatency,
      queue: { queueId: postcard.queueId, queueOccupancy: postcard.queueOccupancy },
      ingressTimestamp: wide(postcard.ingressHigh, postcard.ingressLow),
      egressTimestamp: wide(postcard.egressHigh, postcard.egressLow),
    });
  }

  /** Shim, header and stack of the packet, which then has none. */
  take(packet: number): Uint8Array {
    const hops = this.#hops[packet];
    this.forget(packet);
    const { dscp } = this.#simulator.packets.flow[packet];
    return intMdV21({ bitmap: BITMAP, hops, remainingHops: MAX_HOPS - hops.length }, { kind: 'npt0', originalDscp: dscp }).octets;
  }

  forget(packet: number): void {
    this.#hops[packet] = [];
  }
}

function wide(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}
