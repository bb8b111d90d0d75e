// One scenario with one seed, under every asked degradation at once: the same fabric, seen through as many telemetries, each with its contestants.

import type { Scenario, TelemetrySpec } from '../scenario.ts';
import { FABRIC_EPOCH_UNIX_NS, FabricRun } from '../run.ts';
import { degraded, type Degradation } from '../telemetry/degradation.ts';
import { REPORT_FIELDS, ReportField, type Datagram } from '../telemetry/datagram.ts';
import type { QueueEvent } from '../truth/queue-event.ts';
import { PS_PER_NS } from '../units.ts';
import { ClosedLoop } from '../truth/closed-loop.ts';
import type { Contestant, Findings } from './contestant.ts';
import { Judge } from './judge.ts';
import { NaiveCollector } from './naive.ts';
import type { Tally } from './tally.ts';

/** What is scored: a collector for a fabric whose switches report in this way. */
export type MakeCollector = (scenario: Scenario, telemetry: TelemetrySpec, epochUnixNs: bigint) => Contestant;

export interface Task {
  scenario: Scenario;
  seed: number;
  degradations: readonly Degradation[];
}

export interface Verdict {
  degradation: Degradation;
  contestant: string;
  tally: Tally;
}

/** For the pictures: what was true, what was reported and what was found on the queue with the longest event. */
export interface Picture {
  node: string;
  interfaceId: number;
  queue: number;
  truths: QueueEvent[];
  workloads: string[];
  /** Times and waits of the reports about this port, ns, alternating. */
  reports: number[];
  found: Findings['events'];
}

export interface Evaluation {
  verdicts: Verdict[];
  events: number;
  picture: Picture | undefined;
}

/** Reports that are kept for the picture: of packets that waited at least this share of the threshold. */
const MAX_PICTURE_REPORTS = 200_000;
const PICTURE_WAIT = 1 / 50;

interface SeenReport {
  port: number;
  enqueuedNs: number;
  egressNs: number;
}

interface Entry {
  degradation: Degradation;
  contestant: Contestant;
  cpuMs: number;
  reports: number;
}

/** Runs the task. The first degradation is the one that the picture shows. */
export function evaluate({ scenario, seed, degradations }: Task, makeCollector: MakeCollector): Evaluation {
  const entries: Entry[] = [];
  const seen: SeenReport[] = [];
  const views = degradations.map((degradation, index) => {
    const telemetry = degraded(scenario.telemetry, degradation);
    const ours: Entry = {
      degradation,
      contestant: makeCollector(scenario, telemetry, FABRIC_EPOCH_UNIX_NS),
      cpuMs: 0,
      reports: 0,
    };
    entries.push(ours);
    const receive = (datagram: Datagram): void => {
      if (index === 0) keepForPicture(datagram, seen, (scenario.truth.high * PICTURE_WAIT) / PS_PER_NS);
      for (const entry of entries) if (entry.degradation === degradation) feed(entry, datagram);
    };
    return { telemetry, receive };
  });
  const run = new FabricRun({ scenario, seed, epochUnixNs: FABRIC_EPOCH_UNIX_NS, views, withTruth: true });
  degradations.forEach((degradation, i) => {
    entries.push({ degradation, contestant: new NaiveCollector(run.simulator, views[i].telemetry), cpuMs: 0, reports: 0 });
  });
  run.finish();
  const truth = run.truth!;
  const closedLoop = new ClosedLoop(scenario, seed, truth.queues.events);
  const judge = new Judge(run.simulator, truth, closedLoop);
  const verdicts: Verdict[] = [];
  let picture: Picture | undefined;
  for (const entry of entries) {
    const { contestant, degradation } = entry;
    const startedMs = performance.now();
    const findings = contestant.finish(scenario.duration / PS_PER_NS);
    entry.cpuMs += performance.now() - startedMs;
    const tally = judge.tally(findings, degraded(scenario.telemetry, degradation));
    tally.cpuSeconds = entry.cpuMs / 1000;
    tally.reports = entry.reports;
    tally.rssBytes = process.memoryUsage.rss();
    verdicts.push({ degradation, contestant: contestant.name, tally });
    picture ??= pictureOf(run, seen, findings);
  }
  return { verdicts, events: run.simulator.events, picture };
}

function feed(entry: Entry, datagram: Datagram): void {
  const startedMs = performance.now();
  entry.contestant.receive(datagram);
  entry.cpuMs += performance.now() - startedMs;
  entry.reports += datagram.reports.length / REPORT_FIELDS;
}

function keepForPicture({ reports }: Datagram, seen: SeenReport[], minWaitNs: number): void {
  for (let i = 0; i < reports.length && seen.length < MAX_PICTURE_REPORTS; i += REPORT_FIELDS) {
    const [enqueuedNs, egressNs] = [reports[i + ReportField.enqueuedNs], reports[i + ReportField.egressNs]];
    if (reports[i + ReportField.isDrop] === 1 || egressNs - enqueuedNs < minWaitNs) continue;
    seen.push({ port: reports[i + ReportField.port], enqueuedNs, egressNs });
  }
}

function pictureOf(run: FabricRun, seen: readonly SeenReport[], { events }: Findings): Picture | undefined {
  const { topology, scenario } = run.simulator;
  const truths = run.truth!.queues.events;
  if (truths.length === 0) return undefined;
  const [longest] = [...truths].sort((a, b) => b.endPs - b.startPs - (a.endPs - a.startPs));
  const { port, cls } = longest;
  const node = topology.nodes[topology.nodeOfPort[port]].name;
  const interfaceId = topology.interfaceOf(port);
  const { queue } = scenario.fabric.classes[cls];
  return {
    node,
    interfaceId,
    queue,
    truths: truths.filter((event) => event.port === port && event.cls === cls),
    workloads: scenario.workloads.map(({ name }) => name),
    reports: seen
      .filter((report) => report.port === port)
      .flatMap(({ enqueuedNs, egressNs }) => [enqueuedNs, egressNs - enqueuedNs]),
    found: events.filter((event) => event.node === node && event.interfaceId === interfaceId),
  };
}
