// What must hold in any fabric: no packet appears or is lost unnoticed, the area under a queue is what its packets waited, and no port is idle while a
// packet waits for it.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Simulator, type FabricObserver } from '../../../p4-int/fabric/simulator.ts';
import { smallFabric } from '../../support/small-fabric.ts';

const RUNS = { numRuns: 40, seed: 20_261_127 };

const classes = fc.constantFrom(
  '',
  ', classes: [{ queue: 0 }, { queue: 5, dscp: [46], priority: 7 }]',
  ', classes: [{ queue: 0 }, { queue: 1, dscp: [10], weight: 3 }, { queue: 5, dscp: [46], priority: 7 }]',
);
const buffers = fc.constantFrom('', ', queueBytes: 60kB', ', sharedBuffer: { bytes: 200kB, alpha: 0.5 }');
const faults = fc.constantFrom(
  '',
  'faults: [{ kind: silent-loss, node: leaf-1, interface: 5, probability: 0.2, at: 1ms }]',
  'faults: [{ kind: link-down, node: leaf-1, interface: 6, at: 1ms, until: 3ms, detection: 500us }]',
  'faults: [{ kind: acl, node: spine-1, prefix: 10.2.0.1/32, at: 0s, until: 2ms }]',
  'faults: [{ kind: wrong-route, node: leaf-2, interface: 5, prefix: 10.2.0.2/32, at: 1ms, until: 2ms }]',
);
const ends = fc.tuple(
  fc.constantFrom('a/one', 'a/two', 'a/three'),
  fc.constantFrom('b/one', 'b/two'),
  fc.constantFrom(0, 10, 46),
);
const source = fc
  .tuple(ends, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 500, max: 9000 }))
  .map(([[from, to, dscp], kind, rate]) => {
    const pair = `from: ${from}, to: ${to}, dscp: ${dscp}`;
    if (kind === 0) return `kind: poisson, ${pair}, rate: ${rate}M, packet: ${200 + (rate % 1300)}B`;
    if (kind === 1) return `kind: constant, ${pair}, rate: ${rate}M, burst: { every: 500us, on: 80us, draw: exponential }`;
    if (kind === 2) return `kind: bulk, ${pair}, congestionControl: reno`;
    return `kind: requests, ${pair}, response: 40kB, perSecond: 5000`;
  });
const fabric = fc.tuple(
  classes,
  buffers,
  faults,
  fc.array(source, { minLength: 1, maxLength: 6 }),
  fc.integer({ min: 1, max: 1000 }),
);

/** The laws, checked at every step. */
class Laws implements FabricObserver {
  simulator!: Simulator;
  /** By queue: octets in it, since when, and the area below, exactly. */
  readonly #depth = new Map<number, { bytes: number; sincePs: number; area: bigint }>();
  readonly residenceArea = new Map<number, bigint>();
  /** By port: how long it has been sending, all in all. */
  readonly #busy = new Map<number, { beforePs: number; startPs: number; lastsPs: number }>();
  readonly #busyAtEntry = new Map<number, number>();
  readonly #order = new Map<number, number[]>();

  enqueued(packet: number): void {
    const { packets, nowPs } = this.simulator;
    this.#change(packet, packets.bytes[packet]);
    const key = this.#queueOf(packet);
    this.#order.set(key, [...(this.#order.get(key) ?? []), packet]);
    this.#busyAtEntry.set(packet, this.#busyPs(packets.egressPort[packet], nowPs));
  }

  left(packet: number): void {
    const { packets, nowPs, topology, scenario } = this.simulator;
    this.#change(packet, -packets.bytes[packet]);
    const key = this.#queueOf(packet);
    expect(this.#order.get(key)!.shift()).toBe(packet);
    const waitedPs = nowPs - packets.enqueuedPs[packet];
    this.residenceArea.set(key, (this.residenceArea.get(key) ?? 0n) + BigInt(packets.bytes[packet]) * BigInt(waitedPs));
    const port = packets.egressPort[packet];
    // C × residence is what the port sent meanwhile: it was never idle.
    expect(this.#busyPs(port, nowPs) - this.#busyAtEntry.get(packet)!).toBe(waitedPs);
    const lastsPs = Math.round((packets.bytes[packet] + scenario.fabric.linkOverhead) * topology.psPerByte[port]);
    this.#busy.set(port, { beforePs: this.#busyPs(port, nowPs), startPs: nowPs, lastsPs });
  }

  /** Area under each queue, as far as packets have left it. */
  areaOf(key: number): bigint {
    return this.#depth.get(key)!.area;
  }

  waiting(key: number): number {
    return this.#depth.get(key)!.bytes;
  }

  #queueOf(packet: number): number {
    const { packets } = this.simulator;
    return packets.egressPort[packet] * 8 + packets.queue[packet];
  }

  #change(packet: number, bytes: number): void {
    const { nowPs } = this.simulator;
    const key = this.#queueOf(packet);
    const depth = this.#depth.get(key) ?? { bytes: 0, sincePs: nowPs, area: 0n };
    depth.area += BigInt(depth.bytes) * BigInt(nowPs - depth.sincePs);
    depth.bytes += bytes;
    depth.sincePs = nowPs;
    this.#depth.set(key, depth);
    const { queues, packets } = this.simulator;
    expect(queues.bytes[packets.egressPort[packet] * queues.classes.length + packets.queue[packet]]).toBe(depth.bytes);
  }

  #busyPs(port: number, nowPs: number): number {
    const busy = this.#busy.get(port);
    return busy === undefined ? 0 : busy.beforePs + Math.min(nowPs - busy.startPs, busy.lastsPs);
  }
}

it('packets, areas and busy ports add up in any fabric', { timeout: 120_000 }, () => {
  let packets = 0;
  let lost = 0;
  fc.assert(
    fc.property(fabric, ([classList, buffer, fault, traffic, seed]) => {
      const laws = new Laws();
      const scenario = smallFabric({
        fabric: `leaves: 2, spines: 2, hostsPerLeaf: 4${classList}${buffer}`,
        traffic: traffic.map((line) => `${line}, until: 4ms`),
        more: fault,
      });
      const simulator = new Simulator(scenario, seed, [laws]);
      laws.simulator = simulator;
      simulator.run(4e9);
      const { sent, delivered, dropped, vanished } = simulator.totals;
      expect(sent).toBe(delivered + dropped + vanished + simulator.packets.alive);
      // Sources are silent; what they retransmit leaves within the timeouts of a second.
      simulator.run(10e12);
      expect(simulator.packets.alive).toBe(0);
      for (const [key, area] of laws.residenceArea) {
        expect(laws.waiting(key)).toBe(0);
        expect(laws.areaOf(key)).toBe(area);
      }
      packets += simulator.totals.sent;
      lost += simulator.totals.dropped + simulator.totals.vanished;
    }),
    RUNS,
  );
  expect(packets).toBeGreaterThan(50_000);
  expect(lost).toBeGreaterThan(500);
});
