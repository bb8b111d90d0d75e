// Verdicts on whole scenarios: replayed twice they are the same to the octet, and each kind of event is found where it was put, and nowhere else.

import { describe, expect, it } from 'vitest';
import { ScoreCollector } from '../../collector/score-collector.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';
import { FABRIC_EPOCH_UNIX_NS, FabricRun } from '../../p4-int/fabric/run.ts';
import { parseScenario, scenarioNamed } from '../../p4-int/fabric/scenario-file.ts';
import type { FoundEvent } from '../../p4-int/fabric/score/contestant.ts';
import { degraded, type Degradation } from '../../p4-int/fabric/telemetry/degradation.ts';

const SEED = 4242;
const QUEUE_KINDS = ['microburst', 'congestion', 'sustained', 'starvation'];

/** What is found in so much of a shipped scenario. */
function findingsOf(name: string, seconds: number, degradation: Degradation = 'none') {
  return findingsIn(scenarioNamed(name), seconds, degradation);
}

function findingsIn(scenario: Scenario, seconds: number, degradation: Degradation = 'none') {
  scenario.duration = Math.min(scenario.duration, seconds * 1e12);
  const telemetry = degraded(scenario.telemetry, degradation);
  const collector = new ScoreCollector(scenario, telemetry, FABRIC_EPOCH_UNIX_NS);
  const views = [{ telemetry, receive: collector.receive.bind(collector) }];
  new FabricRun({ scenario, seed: SEED, epochUnixNs: FABRIC_EPOCH_UNIX_NS, views }).finish();
  return collector.finish(scenario.duration / 1000);
}

const others = (events: FoundEvent[]): FoundEvent[] => events.filter(({ kind }) => !QUEUE_KINDS.includes(kind));
const placesOf = (events: FoundEvent[]): string[] =>
  others(events).map(({ kind, node, interfaceId, prefix, slice }) =>
    [kind, node, interfaceId, prefix, slice].filter(Boolean).join(' '),
  );

it.each(['loop-and-reroute', 'priority-flood'])('%s, heard twice: the same findings, to the octet', (name) => {
  const [first, second] = [findingsOf(name, 3.5), findingsOf(name, 3.5)];
  expect(first.events.length).toBeGreaterThan(0);
  expect(JSON.stringify(second)).toBe(JSON.stringify(first));
});

describe('what was put into the fabric is found, and nothing else', () => {
  it.each([
    ['blackhole-one-member', 5, ['blackhole leaf-1 7 10.244.3.0/24']],
    ['ecmp-collision', 7, ['ecmp-collision leaf-1 5']],
    ['inversion-misconfig', 0.4, ['misclassified leaf-2']],
    ['unwatched-traffic', 0.3, ['unexplained-wait leaf-2 1']],
    ['clock-chaos', 0.5, ['clock-fault leaf-2']],
    ['decoy-elephant', 0.2, []],
    ['calm-websearch', 1.4, []],
  ] as const)('%s', (name, seconds, places) => {
    const { events, incidents } = findingsOf(name, seconds);
    expect(placesOf(events)).toEqual(places);
    if (places.length === 0) expect(incidents.filter(({ severity }) => severity >= 3)).toEqual([]);
  });

  it('with a fifth of the reports lost, too, and the loss is told', () => {
    const { events } = findingsOf('blackhole-one-member', 5, 'loss-20');
    const places = placesOf(events);
    expect(places.filter((place) => !place.startsWith('telemetry-degraded'))).toEqual(['blackhole leaf-1 7 10.244.3.0/24']);
    expect(places).toContain('telemetry-degraded leaf-1');
  });
});

it('traffic that nobody watches is never given a name', () => {
  const { events } = findingsOf('unwatched-traffic', 0.3);
  const named = events.filter(
    ({ kind, node, interfaceId }) => QUEUE_KINDS.includes(kind) && node === 'leaf-2' && interfaceId === 1,
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter(({ culprits, confidence }) => culprits[0].workload !== 'unknown' && confidence >= 0.5)).toEqual([]);
});

it('of two queues that the same flows went through, the first is told as the cause', () => {
  // The second is full because of what the first lets through, and of a third sender.
  const scenario = parseScenario(
    `
name: two-bottlenecks
about: Two hosts overfill the uplink of their leaf; what comes through overfills, with a third, the port of the receiver.
trap: Both queues are long at once.
duration: 300ms
fabric: { leaves: 2, spines: 1, hostsPerLeaf: 3 }
workloads:
  - { name: batch/job, pods: [{ host: 0, address: 10.1.0.1 }, { host: 1, address: 10.1.0.2 }] }
  - { name: web/shop, pods: [{ host: 4, address: 10.2.0.1 }] }
  - { name: data/store, pods: [{ host: 3, address: 10.2.0.2 }] }
traffic:
  - { name: job, kind: constant, protocol: tcp, from: batch/job, to: data/store, rate: 7G, burst: { every: 20ms, on: 300us } }
  - { name: shop, kind: constant, protocol: tcp, from: web/shop, to: data/store, rate: 2G, burst: { every: 20ms, on: 600us } }
truth: { cause: batch/job }
`,
    'inline',
  );
  const { incidents } = findingsIn(scenario, 1);
  const related = incidents.map(({ node, causes }) => [node, causes]);
  expect(Object.fromEntries(related)).toEqual({ 'leaf-1': [], 'leaf-2': ['leaf-1 interface 4 queue 0'] });
});
