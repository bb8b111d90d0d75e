// The traffic of the generator against published figures of production racks: Zhang et al., High-Resolution Measurement of Data Center Microbursts,
// IMC 2017. There: utilisation in spans of 25 us, hot above half the line rate; most bursts end within tens of microseconds, gaps are heavy-tailed,
// packets are larger inside bursts, and uplinks that share a load equally over seconds do not over tens of microseconds.

import { expect, it } from 'vitest';
import { Simulator } from '../../../p4-int/fabric/simulator.ts';
import { smallFabric } from '../../support/small-fabric.ts';

const SPAN_PS = 25e6;
const HOT = 0.5;
const UPLINK_SPAN_PS = 40e6;

const scenario = smallFabric({
  fabric: 'leaves: 2, spines: 4, hostsPerLeaf: 4, classes: [{ queue: 0, ecnAbove: 97kB }]',
  duration: '150ms',
  traffic: [
    'kind: flows, from: a/one, to: b/one, sizes: hadoop, maxSize: 300kB, load: 800M',
    'kind: flows, from: a/two, to: b/two, sizes: hadoop, maxSize: 300kB, load: 800M',
    'kind: flows, from: a/three, to: b/one, sizes: cache, maxSize: 100kB, load: 300M',
    'kind: flows, from: b/two, to: a/two, sizes: storage, maxSize: 300kB, load: 800M',
    'kind: requests, from: a/one, to: b/two, response: 12kB, perSecond: 8000',
    'kind: incast, from: a/three, to: b/one, response: 20kB, every: 700us',
  ],
});

/** By port: octets in each span. */
const loads = new Map<number, Float64Array>();
const uplinks = new Map<number, Float64Array>();
const sizes = { inside: { bytes: 0, packets: 0 }, outside: { bytes: 0, packets: 0 } };
const packetsLeft: { port: number; atPs: number; bytes: number }[] = [];
const simulator: Simulator = new Simulator(scenario, 11, [
  {
    left: (packet) => {
      const { packets, nowPs } = simulator;
      packetsLeft.push({ port: packets.egressPort[packet], atPs: nowPs, bytes: packets.bytes[packet] });
    },
  },
]);
simulator.run(scenario.duration);
const { topology } = simulator;
const isHostPort = (port: number): boolean => topology.nodeOfPort[topology.peerPort[port]] >= topology.switches;
const spans = Math.ceil(scenario.duration / SPAN_PS);
for (const { port, atPs, bytes } of packetsLeft) {
  const isHost = isHostPort(port);
  if (!isHost && topology.nodeOfPort[port] !== 0) continue;
  const into = isHost ? loads : uplinks;
  const span = isHost ? SPAN_PS : UPLINK_SPAN_PS;
  const load = into.get(port) ?? new Float64Array(spans);
  into.set(port, load);
  load[Math.floor(atPs / span)] += bytes;
}
const isHot = (port: number, span: number): boolean => loads.get(port)![span] * topology.psPerByte[port] > HOT * SPAN_PS;
for (const { port, atPs, bytes } of packetsLeft) {
  if (!isHostPort(port)) continue;
  const where = isHot(port, Math.floor(atPs / SPAN_PS)) ? sizes.inside : sizes.outside;
  where.bytes += bytes;
  where.packets++;
}
/** Lengths of bursts, and of the gaps between them, in spans. */
const bursts: number[] = [];
const gaps: number[] = [];
for (const port of loads.keys()) {
  let length = 0;
  let gap = -1;
  for (let span = 0; span < spans; span++) {
    if (isHot(port, span)) {
      if (gap > 0) gaps.push(gap);
      gap = 0;
      length++;
      continue;
    }
    if (length > 0) bursts.push(length);
    length = 0;
    if (gap >= 0) gap++;
  }
}
const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)];
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

it('bursts are short: more than 70 % end within tens of microseconds, nine in ten within 200', () => {
  const short = bursts.filter((spansHot) => spansHot * 25 < 100).length / bursts.length;
  const p90 = quantile(bursts, 0.9) * 25;
  console.log(
    `${bursts.length} bursts: ${Math.round(short * 100)} % below 100 us (published: more than 70 %), 90th percentile ${p90} us (published: below 200 us)`,
  );
  expect(bursts.length).toBeGreaterThan(300);
  expect(short).toBeGreaterThan(0.7);
  expect(p90).toBeLessThan(200);
});

it('gaps between bursts have a heavier tail than those of independent arrivals', () => {
  const variation = Math.sqrt(mean(gaps.map((gap) => (gap - mean(gaps)) ** 2))) / mean(gaps);
  console.log(
    `gaps: median ${quantile(gaps, 0.5) * 25} us, mean ${Math.round(mean(gaps) * 25)} us, coefficient of variation ${variation.toFixed(2)} (independent: 1)`,
  );
  expect(variation).toBeGreaterThan(1);
});

it('packets are larger inside bursts', () => {
  const [inside, outside] = [sizes.inside, sizes.outside].map(({ bytes, packets }) => bytes / packets);
  console.log(`mean packet: ${Math.round(inside)} octets inside bursts, ${Math.round(outside)} outside`);
  expect(inside).toBeGreaterThan(1.2 * outside);
});

it('uplinks are out of balance over 40 us, and less so over 10 ms', () => {
  const imbalance = (perBin: number): number => {
    const ratios: number[] = [];
    for (let bin = 0; bin + perBin <= spans; bin += perBin) {
      const sums = [...uplinks.values()].map((load) => load.subarray(bin, bin + perBin).reduce((sum, bytes) => sum + bytes, 0));
      if (mean(sums) > 0) ratios.push(Math.max(...sums) / mean(sums));
    }
    return mean(ratios);
  };
  const [fine, coarse] = [imbalance(1), imbalance(250)];
  console.log(`uplinks, largest over mean: ${fine.toFixed(2)} in spans of 40 us, ${coarse.toFixed(2)} in spans of 10 ms`);
  expect(uplinks.size).toBe(4);
  expect(fine).toBeGreaterThan(1.5);
  expect(coarse).toBeLessThan(0.8 * fine);
});
