// The same seed gives the same bytes, and bytes do not change unnoticed: the digests below are of this very simulator.

import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { FabricRun } from '../../../p4-int/fabric/run.ts';
import type { Scenario } from '../../../p4-int/fabric/scenario.ts';
import { smallFabric } from '../../support/small-fabric.ts';

const scenario = smallFabric({
  fabric:
    'leaves: 2, spines: 2, hostsPerLeaf: 4, queueBytes: 100kB, classes: [{ queue: 0, ecnAbove: 60kB }, { queue: 5, dscp: [46], priority: 7 }]',
  traffic: [
    'kind: bulk, from: a/one, to: b/one',
    'kind: bulk, from: a/two, to: b/one, congestionControl: reno',
    'kind: poisson, from: a/three, to: b/one, rate: 2G, packet: 600B, dscp: 46',
    'kind: flows, from: b/two, to: a/one, sizes: web-search, maxSize: 1MB, load: 2G',
    'kind: requests, from: a/two, to: b/two, response: 30kB, perSecond: 4000, useAddress6: true',
  ],
  more: 'telemetry: { loss: 0.05, reorder: 100us, duplicates: 0.01, clocks: { offset: 50us, driftPpm: 30, jitter: 20ns } }',
});

/** Digests of what is sent and of what is true. */
function digestsOf(given: Scenario, seed: number): { bytes: string; truth: string } {
  const bytes = createHash('sha256');
  const receive = (datagram: { node: number; arrivesPs: number; bytes: Buffer }): void => {
    bytes.update(`${datagram.node}/${datagram.arrivesPs}`).update(datagram.bytes);
  };
  const run = new FabricRun({
    scenario: given,
    seed,
    epochUnixNs: 1_790_000_000_000_000_000n,
    views: [{ telemetry: given.telemetry, receive }],
    withTruth: true,
  });
  run.finish();
  const truth = createHash('sha256');
  for (const line of run.truth!.lines()) truth.update(line);
  return { bytes: bytes.digest('hex'), truth: truth.digest('hex') };
}

it('the same seed gives the same bytes and the same truth, another seed others', () => {
  const first = digestsOf(scenario, 1);
  expect(digestsOf(scenario, 1)).toEqual(first);
  const second = digestsOf(scenario, 2);
  expect(second.bytes).not.toBe(first.bytes);
  expect(second.truth).not.toBe(first.truth);
});

it('looking at the truth changes nothing, and a new source disturbs no other', () => {
  const times = (given: Scenario): number[] => {
    const sent: number[] = [];
    const run = new FabricRun({
      scenario: given,
      seed: 5,
      epochUnixNs: 1_790_000_000_000_000_000n,
      views: [{ telemetry: given.telemetry, receive: () => undefined }],
    });
    run.simulator.run(0);
    const { packets } = run.simulator;
    const add = packets.add.bind(packets);
    packets.add = (flow, size, nowPs) => {
      if (flow.dscp === 46) sent.push(nowPs);
      return add(flow, size, nowPs);
    };
    run.finish();
    return sent;
  };
  const more = smallFabric({ traffic: ['kind: poisson, from: a/two, to: b/two, rate: 1G'] }).traffic[0];
  const few = { ...scenario, traffic: scenario.traffic.slice(0, 3) };
  const alone = times(few);
  expect(alone.length).toBeGreaterThan(1000);
  expect(times({ ...few, traffic: [...few.traffic, { ...more, name: 'more' }] })).toEqual(alone);
});

it.each([['report-v2.0'], ['report-v0.5'], ['int-md-v2.1']] as const)(
  '%s: the bytes are those of the last release',
  (dialect) => {
    const { bytes } = digestsOf({ ...scenario, telemetry: { ...scenario.telemetry, dialect } }, 7);
    expect(bytes).toMatchSnapshot();
  },
);
