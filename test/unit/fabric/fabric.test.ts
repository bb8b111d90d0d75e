// The simulated fabric: the same seed gives the same bytes, queues obey conservation, and what is injected is what happens.

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { EventHeap } from '../../../p4-int/fabric/event-heap.ts';
import { randomStream } from '../../../p4-int/fabric/random.ts';
import { noisyBackup } from '../../../p4-int/fabric/scenario.ts';
import { Simulator, type ObservedHop } from '../../../p4-int/fabric/simulator.ts';
import { fabricDatagrams } from '../../support/fabric-datagrams.ts';

function digestOf(seed: number): string {
  const hash = createHash('sha256');
  for (const { bytes, atNs, node } of fabricDatagrams(noisyBackup(0.1e9, 0.2e9), seed, 0.3e9)) {
    hash.update(`${node}/${atNs}`).update(bytes);
  }
  return hash.digest('hex');
}

it('the same seed gives the same bytes at the same times, another seed others', () => {
  expect(digestOf(1)).toBe(digestOf(1));
  expect(digestOf(2)).not.toBe(digestOf(1));
});

it('leaves the heap in time order, equal times in the order they came', () => {
  const heap = new EventHeap();
  const random = randomStream(1, 'heap');
  const pushed = Array.from({ length: 5000 }, (_, i) => ({ time: Math.floor(random() * 500), i }));
  for (const { time, i } of pushed) heap.push(time, i);
  const expected = pushed.toSorted((a, b) => a.time - b.time || a.i - b.i).map((event) => event.i);
  expect(Array.from({ length: 5000 }, () => heap.pop())).toEqual(expected);
  expect(heap.nextNs).toBe(Infinity);
});

describe('the noisy backup', () => {
  const scenario = noisyBackup(0.05e9, 1e9);
  const hops: ObservedHop[] = [];
  const simulator = new Simulator(scenario.topology, scenario.flows, 4, (hop) => hops.push({ ...hop, hop: { ...hop.hop } }));
  simulator.run(0.1e9);
  const target = scenario.topology.nodes.findIndex((node) => node.nodeId === scenario.truth.nodeId);

  it('congests the queue that it says, and no other', () => {
    const waitOf = (hop: ObservedHop): number => hop.egressNs - hop.ingressNs - scenario.topology.shape.pipelineNs;
    const congested = hops.filter((hop) => waitOf(hop) > 50_000);
    expect(congested.length).toBeGreaterThan(100);
    for (const hop of congested) {
      expect([hop.hop.node, hop.hop.egressInterfaceId]).toEqual([target, scenario.truth.interfaceId]);
    }
  });

  it('sends no more through a port than its rate, and nothing leaves before it came', () => {
    const ports = new Map<string, ObservedHop[]>();
    for (const hop of hops) {
      const port = `${hop.hop.node}/${hop.hop.egressInterfaceId}`;
      ports.set(port, [...(ports.get(port) ?? []), hop].slice(-2));
      expect(hop.egressNs).toBeGreaterThanOrEqual(hop.ingressNs + scenario.topology.shape.pipelineNs);
      const [before, now] = ports.get(port)!;
      if (now === undefined || now.dropped) continue;
      const sendNs = scenario.flows[before.flow].packetBytes / scenario.topology.shape.bytesPerNs;
      expect(now.egressNs - before.egressNs).toBeGreaterThanOrEqual(sendNs - 1);
    }
  });

  it('the injected culprit puts in most octets, the victims wait', () => {
    const during = hops.filter(
      (hop) => hop.hop.node === target && hop.hop.egressInterfaceId === scenario.truth.interfaceId && hop.queueBytes > 60_000,
    );
    const ownerOf = (hop: ObservedHop): string => {
      const address = scenario.flows[hop.flow].sourceAddress;
      const dotted = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
      const { namespace, workload } = scenario.workloads.find((w) => w.address === dotted)!;
      return `${namespace}/${workload}`;
    };
    const octets = new Map<string, number>();
    for (const hop of during) octets.set(ownerOf(hop), (octets.get(ownerOf(hop)) ?? 0) + scenario.flows[hop.flow].packetBytes);
    const [first] = [...octets].sort((a, b) => b[1] - a[1])[0];
    expect(first).toBe(scenario.truth.culprit);
    for (const victim of scenario.truth.victims) expect(octets.has(victim)).toBe(true);
  });
});
