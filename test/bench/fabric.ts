// How fast the simulated fabric is: events per second of one core, alone, and with telemetry and ground truth.

import { FabricRun } from '../../p4-int/fabric/run.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';
import { Simulator } from '../../p4-int/fabric/simulator.ts';
import { smallFabric } from '../support/small-fabric.ts';
import { measureOf, type Family } from './measure.ts';

const ROUNDS = 5;
const NAMES = ['fabric.events-per-second', 'fabric.with-truth-and-reports.events-per-second', 'fabric.vs-with-truth-and-reports'];

/** Eight hosts at about half their rate: elephants, published flow sizes, questions and answers, bursts. */
const SCENARIO: Scenario = smallFabric({
  fabric: 'leaves: 2, spines: 2, hostsPerLeaf: 4, classes: [{ queue: 0, ecnAbove: 97kB }, { queue: 5, dscp: [46], priority: 7 }]',
  duration: '60ms',
  traffic: [
    'kind: bulk, from: a/one, to: b/one',
    'kind: bulk, from: a/two, to: b/one, congestionControl: reno',
    'kind: flows, from: a/three, to: b/two, sizes: web-search, maxSize: 1MB, load: 5G',
    'kind: flows, from: b/two, to: a/one, sizes: hadoop, maxSize: 1MB, load: 3G',
    'kind: requests, from: a/two, to: b/two, response: 30kB, perSecond: 5000',
    'kind: poisson, from: b/one, to: a/two, rate: 2G, packet: 600B, dscp: 46, burst: { every: 500us, on: 200us, draw: exponential }',
  ],
});

export const fabricFamily: Family = {
  names: NAMES,
  run: (wanted) => {
    const alone: number[] = [];
    const whole: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      alone.push(
        eventsPerSecond(() => {
          const simulator = new Simulator(SCENARIO, round + 1, []);
          simulator.run(SCENARIO.duration);
          return simulator.events;
        }),
      );
      whole.push(
        eventsPerSecond(() => {
          const views = [{ telemetry: SCENARIO.telemetry, receive: () => undefined }];
          const run = new FabricRun({
            scenario: SCENARIO,
            seed: round + 1,
            epochUnixNs: 1_790_000_000_000_000_000n,
            views,
            withTruth: true,
          });
          run.finish();
          return run.simulator.events;
        }),
      );
    }
    const ratios = alone.map((rate, round) => rate / whole[round]);
    return Promise.resolve(
      [
        measureOf(NAMES[0], 'events/s', alone),
        measureOf(NAMES[1], 'events/s', whole),
        measureOf(NAMES[2], 'times', ratios),
      ].filter(({ name }) => wanted(name)),
    );
  },
};

function eventsPerSecond(work: () => number): number {
  const startedMs = performance.now();
  const events = work();
  return (events * 1000) / (performance.now() - startedMs);
}
