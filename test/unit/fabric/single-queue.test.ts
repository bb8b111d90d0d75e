// A port of the big simulator against a tiny one that anybody can check by hand: same packets in, same times out, same packets dropped.

import { describe, expect, it } from 'vitest';
import { Simulator } from '../../../p4-int/fabric/simulator.ts';
import { smallFabric } from '../../support/small-fabric.ts';

interface Arrival {
  serial: number;
  atPs: number;
  bytes: number;
  priority: number;
}

/** One port, served without interruption, the higher priority first; the queue of a priority holds `limit` octets. */
function departures(arrivals: readonly Arrival[], psPerByte: number, limit: number): { serial: number; atPs: number }[] {
  const waiting: Arrival[] = [];
  const left: { serial: number; atPs: number }[] = [];
  let freePs = 0;
  const serveUntil = (untilPs: number): void => {
    while (waiting.length > 0 && freePs <= untilPs) {
      const best = Math.max(...waiting.map(({ priority }) => priority));
      const [next] = waiting.splice(
        waiting.findIndex(({ priority }) => priority === best),
        1,
      );
      left.push({ serial: next.serial, atPs: freePs });
      freePs += next.bytes * psPerByte;
    }
  };
  for (const arrival of arrivals) {
    // What leaves at the very moment of an arrival leaves first, unless the port was idle.
    serveUntil(arrival.atPs - 1);
    const queued = waiting.filter(({ priority }) => priority === arrival.priority).reduce((sum, { bytes }) => sum + bytes, 0);
    if (queued + arrival.bytes > limit) continue;
    waiting.push(arrival);
    freePs = Math.max(freePs, arrival.atPs);
  }
  serveUntil(Infinity);
  return left;
}

describe.each([
  ['first in, first out', '', [0, 0, 0]],
  ['a short queue that drops', ', queueBytes: 30kB', [0, 0, 0]],
  ['strict priority', ', classes: [{ queue: 0 }, { queue: 5, dscp: [46], priority: 7 }]', [0, 46, 0]],
])('%s', (_name, fabric, dscps) => {
  const scenario = smallFabric({
    fabric: `leaves: 2, spines: 1, hostsPerLeaf: 4, fabricRate: 100G, pipelineJitter: 37ns${fabric}`,
    traffic: [
      `kind: poisson, from: a/one, to: b/one, rate: 4G, packet: 1500B, dscp: ${dscps[0]}`,
      `kind: poisson, from: a/two, to: b/one, rate: 4G, packet: 700B, dscp: ${dscps[1]}, burst: { every: 300us, on: 200us, draw: exponential }`,
      `kind: poisson, from: a/three, to: b/one, rate: 3G, packet: 333B, dscp: ${dscps[2]}`,
    ],
  });
  const arrivals: Arrival[] = [];
  const left: { serial: number; atPs: number }[] = [];
  const simulator: Simulator = new Simulator(scenario, 3, [
    {
      enqueued: (packet) => note(packet),
      dropped: (packet) => note(packet),
      left: (packet) => {
        if (isWatched(packet)) left.push({ serial: simulator.packets.serial[packet], atPs: simulator.nowPs });
      },
    },
  ]);
  const watched = simulator.topology.peerPort[simulator.topology.hostPort(4)];
  const isWatched = (packet: number): boolean => simulator.packets.egressPort[packet] === watched;
  function note(packet: number): void {
    const { packets, queues, nowPs } = simulator;
    if (!isWatched(packet)) return;
    const { priority } = queues.classes[packets.queue[packet]];
    arrivals.push({ serial: packets.serial[packet], atPs: nowPs, bytes: packets.bytes[packet], priority });
  }
  simulator.run(20e9);

  it('has the same departures', () => {
    const expected = departures(arrivals, 800, scenario.fabric.queueBytes).filter(({ atPs }) => atPs < 20e9);
    expect(left.length).toBeGreaterThan(5000);
    expect(left).toEqual(expected.slice(0, left.length));
    expect(expected.length - left.length).toBeLessThan(2);
  });

  it('is not an empty exercise', () => {
    const waits = left.length;
    const dropped = arrivals.length - waits;
    if (fabric.includes('queueBytes')) expect(dropped).toBeGreaterThan(100);
    if (fabric.includes('classes')) {
      const order = left.map(({ serial }) => arrivals.findIndex((arrival) => arrival.serial === serial));
      expect(order.some((place, i) => i > 0 && place < order[i - 1])).toBe(true);
    }
  });
});
