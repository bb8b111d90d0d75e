// The right culprit, or none: a trap for naive counting, under lost, reordered and repeated reports, with and without a known port rate.

import { describe, expect, it } from 'vitest';
import { isCongestion, type CongestionEvent, type Incident } from '../../collector/event.ts';
import { randomStream } from '../../p4-int/fabric/random.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { Diagnosing } from '../support/diagnosing.ts';
import { fabricDatagrams, type FabricDatagram } from '../support/fabric-datagrams.ts';
import { decoyElephant } from '../support/stories.ts';

const story = decoyElephant(20e6, 20e6);
const datagrams = fabricDatagrams(story.scenario, 12, 0.6e9);
const BURSTS = 29;

function diagnose(reports: readonly FabricDatagram[], settings: object = scenarioSettings(story.scenario)): Incident[] {
  const diagnosing = new Diagnosing(settings);
  const { diagnosis } = diagnosing;
  let polledNs = 0;
  for (const datagram of reports) {
    for (; polledNs < datagram.atNs; polledNs += 20e6) while (diagnosis.poll(polledNs));
    diagnosing.take(datagram);
  }
  while (diagnosis.poll(polledNs));
  return diagnosis.incidents.list();
}

const random = randomStream(5, 'accusation');
const keep = (share: number): FabricDatagram[] => datagrams.filter(() => random() < share);
/** Loss in runs of eight datagrams, as congestion makes it. */
const keepRuns = (share: number): FabricDatagram[] => {
  let kept = true;
  return datagrams.filter((_, i) => (i % 8 === 0 ? (kept = random() < share) : kept));
};
const reordered = (): FabricDatagram[] =>
  datagrams
    .map((datagram, i) => ({ datagram, at: i + random() * 6 }))
    .sort((a, b) => a.at - b.at)
    .map(({ datagram }, i) => ({ ...datagram, atNs: datagrams[i].atNs }));

const nameOf = (event: CongestionEvent): string => `${event.culprits[0]?.namespace}/${event.culprits[0]?.workload}`;

describe('a burst behind a steady elephant', () => {
  it.each([
    ['every report', datagrams, 0.95],
    ['one in five lost', keep(0.8), 0.85],
    ['half of them lost', keep(0.5), 0.6],
    ['half of them lost in runs', keepRuns(0.5), 0.4],
    ['reports out of order', reordered(), 0.95],
    ['a third of them twice', datagrams.flatMap((d) => (random() < 0.33 ? [d, d] : [d])), 0.95],
  ] as [string, FabricDatagram[], number][])(
    '%s: never the elephant, and the burst as often as can be',
    (_name, reports, atLeast) => {
      const incidents = diagnose(reports);
      const events = incidents
        .flatMap((incident) => incident.events.filter(isCongestion))
        .filter((event) => event.state === 'closed');
      const named = events.filter((event) => event.confidence >= 0.5);
      expect(events.length).toBeGreaterThanOrEqual(BURSTS * 0.9);
      expect(named.filter((event) => nameOf(event) !== story.truth.culprit)).toEqual([]);
      expect(named.length / events.length).toBeGreaterThanOrEqual(atLeast);
      for (const incident of incidents) {
        expect([incident.place.node, incident.place.interfaceId]).toEqual([story.truth.node, story.truth.interfaceId]);
        expect(incident.plan.targets.filter((target) => target !== `workload/${story.truth.culprit}`)).toEqual([]);
      }
    },
  );

  it('without a port rate and without owners it says where and how bad, and accuses nobody', () => {
    const { nodes } = scenarioSettings(story.scenario);
    const [incident, ...rest] = diagnose(datagrams, { nodes });
    expect(rest).toEqual([]);
    expect(incident.peakWaitNs).toBeGreaterThan(50_000);
    expect(incident.culprits.every((culprit) => culprit.kind === 'unknown')).toBe(true);
    expect(incident.confidence).toBe(0);
    expect(incident.plan.action).not.toBe('limit-egress-rate');
    expect(incident.summary).toContain('not enough evidence to name a cause');
  });

  it('the elephant has a third of the build-up, and is a victim all the same', () => {
    const [incident] = diagnose(datagrams);
    expect(incident.victims.map((victim) => `${victim.namespace}/${victim.workload}`).sort()).toEqual(
      story.truth.victims.toSorted(),
    );
  });

  it('of one packet in eight, once the source says so, it knows how much it has seen, and what the queue would have been', () => {
    const sampled = {
      ...story.scenario,
      telemetry: { ...story.scenario.telemetry, sampling: { oneIn: 8, kind: 'independent' as const } },
    };
    const reports = fabricDatagrams(sampled, 12, 0.2e9);
    const eventsOf = (settings: object): CongestionEvent[] =>
      diagnose(reports, settings)
        .flatMap((incident) => incident.events.filter(isCongestion))
        .filter(({ state }) => state === 'closed');
    const told = eventsOf(scenarioSettings(sampled));
    expect(told.length).toBeGreaterThan(7);
    for (const event of told) {
      expect(event.evidence.coverage).toBeGreaterThan(0.7);
      expect(nameOf(event)).toBe(story.truth.culprit);
      expect(event.culprits[0].counterfactual).toBeGreaterThan(0.95);
    }
    const untold = eventsOf(scenarioSettings(story.scenario));
    const mean = (events: CongestionEvent[]): number =>
      events.reduce((sum, { evidence }) => sum + evidence.coverage!, 0) / events.length;
    expect(mean(untold)).toBeLessThan(mean(told));
  });
});
