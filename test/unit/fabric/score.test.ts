// The judge of the score: who is right gets everything, who is wrong is told in which way, and nobody is matched twice.

import { describe, expect, it } from 'vitest';
import { FabricRun } from '../../../p4-int/fabric/run.ts';
import { scenarioNamed } from '../../../p4-int/fabric/scenario-file.ts';
import type { Findings, FoundEvent } from '../../../p4-int/fabric/score/contestant.ts';
import { ClosedLoop } from '../../../p4-int/fabric/truth/closed-loop.ts';
import { missedGoals } from '../../../p4-int/fabric/score/goals.ts';
import { Judge } from '../../../p4-int/fabric/score/judge.ts';
import { matchEvents } from '../../../p4-int/fabric/score/match.ts';
import { measuresOf, type Measures } from '../../../p4-int/fabric/score/measures.ts';
import { NaiveCollector } from '../../../p4-int/fabric/score/naive.ts';
import type { Datagram } from '../../../p4-int/fabric/telemetry/datagram.ts';
import { pooled } from '../../../p4-int/fabric/score/tally.ts';

const scenario = { ...scenarioNamed('decoy-elephant'), duration: 110e9 };
const datagrams: Datagram[] = [];
const run = new FabricRun({
  scenario,
  seed: 3,
  epochUnixNs: 1_790_000_000_000_000_000n,
  views: [{ telemetry: scenario.telemetry, receive: (datagram) => void datagrams.push(datagram) }],
  withTruth: true,
});
run.finish();
const naive = new NaiveCollector(run.simulator, scenario.telemetry);
for (const datagram of datagrams) naive.receive(datagram);
const truth = run.truth!;
const closedLoop = new ClosedLoop(scenario, 3, truth.queues.events);
const judge = new Judge(run.simulator, truth, closedLoop);

/** What somebody would find who knows everything. */
function oracle(): Findings {
  const { topology } = run.simulator;
  const events = truth.queues.events.map((event): FoundEvent => {
    const share = new Map(event.counterfactual.map(({ owner, share: part }) => [owner, part]));
    return {
      kind: event.kind,
      node: topology.nodes[topology.nodeOfPort[event.port]].name,
      interfaceId: topology.interfaceOf(event.port),
      queue: 0,
      startNs: event.startPs / 1000,
      endNs: event.endPs / 1000,
      toldNs: event.startPs / 1000 + 50_000,
      peakWaitNs: event.peakWaitPs / 1000,
      peakBytes: event.peakBytes,
      culprits: event.inBuildUp.map(({ of, bytes }) => ({
        workload: scenario.workloads[of].name,
        bytes,
        counterfactual: share.get(of),
      })),
      victims: event.victims.map(({ owner }) => scenario.workloads[owner].name),
      confidence: 1,
    };
  });
  const latencies = truth.latency.hops.flatMap((histogram, port) =>
    histogram === undefined
      ? []
      : [
          {
            node: topology.nodes[topology.nodeOfPort[port]].name,
            interfaceId: topology.interfaceOf(port),
            queue: 0,
            p50Ns: histogram.quantile(0.5),
            p99Ns: histogram.quantile(0.99),
            p999Ns: histogram.quantile(0.999),
          },
        ],
  );
  return { events, latencies, sliceLatencies: [], incidents: [] };
}

const measured = (findings: Findings): Measures => measuresOf(judge.tally(findings));
const altered = (change: (event: FoundEvent, index: number) => FoundEvent | FoundEvent[]): Measures =>
  measured({ ...oracle(), events: oracle().events.flatMap(change) });

describe('the judge', () => {
  it('finds nothing wrong with the truth', () => {
    const measures = measured(oracle());
    expect(truth.queues.events).toHaveLength(5);
    expect(missedGoals(measures, 'none', scenario)).toEqual([]);
    expect(measures).toMatchObject({
      'queue.precision': 1,
      'queue.recall': 1,
      'queue.fragmentation': 1,
      'queue.iou': 1,
      'queue.kind': 1,
      'culprit.overlap': 1,
      'culprit.top1': 1,
      'cause.top1': 1,
      'counterfactual.error': 0,
      'victim.recall': 1,
      'victim.precision': 1,
      'victim.kendall-tau': 1,
      'identity.wrong': expect.closeTo(0),
      'confidence.brier': 0,
      'hop.p99-error': 0,
    });
  });

  it('of nothing found, nothing is right and nothing wrong', () => {
    const measures = measured({ events: [], latencies: [], sliceLatencies: [], incidents: [] });
    expect(measures).toMatchObject({ 'queue.precision': null, 'queue.recall': 0, 'queue.f1': 0, 'hop.p50-error': 1 });
    expect(missedGoals(measures, 'none', scenario)).not.toEqual([]);
    const askedLittle = { ...scenario, truth: { ...scenario.truth, asks: ['hop' as const] } };
    expect(missedGoals(measures, 'none', askedLittle)).toEqual(['hop.p50-error 1', 'hop.p99-error 1']);
  });

  it('an event in two pieces is found once, and counts as two', () => {
    const measures = altered((event) => {
      const middleNs = (event.startNs + event.endNs) / 2;
      return [
        { ...event, endNs: middleNs - 1000 },
        { ...event, startNs: middleNs + 1000 },
      ];
    });
    expect(measures).toMatchObject({ 'queue.precision': 0.5, 'queue.recall': 1, 'queue.fragmentation': 2 });
  });

  it('another queue, or another time, is another event', () => {
    expect(altered((event) => ({ ...event, interfaceId: event.interfaceId! + 1 }))['queue.recall']).toBe(0);
    expect(altered((event) => ({ ...event, node: 'leaf-1' }))['queue.precision']).toBe(0);
    expect(altered((event) => ({ ...event, startNs: event.startNs + 5e6, endNs: event.endNs + 5e6 }))['queue.recall']).toBe(0);
    const late = altered((event) => ({ ...event, startNs: event.startNs + 40_000 }));
    expect(late).toMatchObject({ 'queue.recall': 1, 'onset.delay-beyond-floor-p95-ns': 40_000, 'onset.error-p50-ns': 40_000 });
  });

  it('a wrong accusation shows in every measure of culprits, the more so the surer it was', () => {
    const accused = (confidence: number): Measures =>
      altered((event) => ({
        ...event,
        confidence,
        culprits: [{ workload: 'media/transcoder', bytes: 600_000, counterfactual: 1 }],
      }));
    expect(accused(0.9)).toMatchObject({ 'culprit.top1': 0, 'cause.top1': 0, 'culprit.top3': 0 });
    expect(accused(0.9)['culprit.overlap']).toBeCloseTo(0.33, 1);
    expect(accused(0.9)['identity.wrong']).toBeCloseTo(0.67, 1);
    expect(accused(0.9)['confidence.calibration-error']).toBeCloseTo(0.9);
    expect(accused(0.2)['confidence.brier']).toBeCloseTo(0.04);
  });

  it('unknown is not wrong', () => {
    const measures = altered((event) => ({ ...event, culprits: [{ workload: 'unknown', bytes: 1 }] }));
    expect(measures).toMatchObject({ 'identity.wrong': 0, 'identity.unknown': 1, 'culprit.top1': 0 });
  });

  it('victims that were none, and victims that are missing', () => {
    expect(altered((event) => ({ ...event, victims: [...event.victims, 'storage/volume'] }))['victim.precision']).toBeCloseTo(
      0.75,
    );
    expect(altered((event) => ({ ...event, victims: event.victims.slice(0, 1) }))['victim.recall']).toBeCloseTo(1 / 3);
    expect(altered((event) => ({ ...event, victims: event.victims.toReversed() }))['victim.kendall-tau']).toBe(-1);
  });

  it('an incident that would wake somebody up needs a wait that is worth it', () => {
    const incident = { severity: 3, type: 'congestion', node: 'leaf-2', interfaceId: 1 };
    const measures = measured({ ...oracle(), incidents: [incident, { ...incident, severity: 2 }] });
    // Nobody waited half a budget of one millisecond in 0.11 s.
    expect(measures['incidents.false-severe-per-hour']).toBeCloseTo(3600 / 0.11, 0);
  });
});

it('the naive way falls into the trap of this scenario', () => {
  const measures = measured(naive.finish());
  expect(measures).toMatchObject({ 'queue.recall': 1, 'culprit.top1': 0, 'cause.top1': 0, 'confidence.brier': 1 });
});

it('without the culprit there is no queue, run again as well as replayed; the bystander is not to blame', () => {
  for (const event of truth.queues.events) {
    const of = (name: string): number => scenario.workloads.findIndex((one) => one.name === name);
    const open = (name: string): number => event.counterfactual.find(({ owner }) => owner === of(name))!.share;
    expect(open('batch/shuffle')).toBeGreaterThan(0.99);
    expect(open('core5g/amf')).toBeLessThan(0.1);
    expect(Math.abs(closedLoop.shareOf(event, of('batch/shuffle'))! - open('batch/shuffle'))).toBeLessThan(0.01);
  }
});

it('matches one to one, the pair that overlaps most first', () => {
  const at = (startNs: number, endNs: number) => ({ startNs, endNs });
  const anything = () => true;
  const { matches, pieces } = matchEvents([at(0, 100), at(120, 200)], [at(90, 200), at(0, 10)], anything, () => 5);
  expect(matches.map(({ truth: t, found }) => [t, found]).sort()).toEqual([
    [0, 1],
    [1, 0],
  ]);
  expect(pieces).toEqual([2, 1]);
  expect(matchEvents([at(0, 10)], [at(14, 20), at(16, 20)], anything, () => 5).matches).toHaveLength(1);
  expect(matchEvents([at(0, 10)], [at(16, 20)], anything, () => 5).matches).toHaveLength(0);
});

it('seeds are pooled: counts added, lists joined', () => {
  const one = judge.tally(oracle());
  const both = pooled([one, one]);
  expect(both.queue.truths).toBe(10);
  expect(both.iou).toHaveLength(10);
  expect(measuresOf(both)['queue.precision']).toBe(1);
});
