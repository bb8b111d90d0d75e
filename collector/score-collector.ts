// The collector as the score sees it: datagrams of a simulated fabric in, findings out. It is told what an operator would tell it, and what Kubernetes
// would: which pod has which address from when to when.

import {
  flowName,
  type Contestant,
  type Findings,
  type FoundEvent,
  type FoundLatency,
} from '../p4-int/fabric/score/contestant.ts';
import { INJECTED_KINDS, type Scenario, type TelemetrySpec } from '../p4-int/fabric/scenario.ts';
import type { Datagram } from '../p4-int/fabric/telemetry/datagram.ts';
import { PS_PER_NS } from '../p4-int/fabric/units.ts';
import { parseConfig } from './config.ts';
import { unixNsOfIso } from './timeline.ts';
import { isCongestion, type ConditionEvent, type CongestionEvent, type FabricEvent, type Owner } from './event.ts';
import { OwnerMap } from './identify/owner-map.ts';
import { InMemoryCollector } from './in-memory.ts';
import { scenarioSettings } from './scenario-settings.ts';

const REPORT_PORT = 32_766;
/** Collector time when the fabric begins: time 0 is never that of an arrival. */
const START_NS = 1e9;
const MAX_ADDRESSES = 65_536;
const DAY_MS = 24 * 3600e3;

interface PodLife {
  uid: string;
  addresses: string[];
  owner: Owner;
  fromNs: number;
  untilNs: number;
  isTold: boolean;
}

export class ScoreCollector implements Contestant {
  readonly name = 'hopscope';
  readonly #collector: InMemoryCollector;
  readonly #epochUnixNs: bigint;
  readonly #pods: PodLife[];
  readonly #slices: string[];
  readonly #owners = new OwnerMap(MAX_ADDRESSES, DAY_MS);
  /** By event id: its newest state, and when it was first told of, fabric time. */
  readonly #events = new Map<string, { event: FabricEvent; toldNs: number }>();

  constructor(scenario: Scenario, telemetry: TelemetrySpec, epochUnixNs: bigint) {
    const { inventory, ...settings } = scenarioSettings({ ...scenario, telemetry });
    const { high, low, budget, harm } = scenario.truth;
    const ns = (ps: number): string => `${ps / PS_PER_NS}ns`;
    this.#epochUnixNs = epochUnixNs;
    this.#pods = podsOf(scenario);
    const config = parseConfig(
      JSON.stringify({
        ...settings,
        // Pods that come and go are Kubernetes' to tell; a static inventory would name the wrong one.
        inventory: this.#pods.length > 0 ? [] : inventory,
        // What counts as congestion, and as harm, is the operator's to say.
        congestion: { openWait: ns(high), closeWait: ns(low), fabricBudget: ns(budget), harmWait: ns(harm) },
      }),
      'score',
    );
    this.#slices = config.slices.map(({ name }) => name);
    this.#collector = new InMemoryCollector({
      config,
      epochUnixMs: Number(epochUnixNs / 1_000_000n) - START_NS / 1e6,
      maps: [this.#owners],
      onEvent: (event, nowNs) => {
        const toldNs = this.#events.get(event.id)?.toldNs ?? nowNs - START_NS;
        this.#events.set(event.id, { event, toldNs });
      },
    });
  }

  receive({ node, bytes, arrivesPs }: Datagram): void {
    const fabricNs = Math.floor(arrivesPs / PS_PER_NS);
    this.#tellOwners(fabricNs);
    this.#collector.pollUntil(START_NS + fabricNs);
    this.#collector.receive(START_NS + fabricNs, bytes, `10.0.9.${node + 1}`, REPORT_PORT);
  }

  finish(atNs: number): Findings {
    this.#tellOwners(atNs);
    this.#collector.pollUntil(START_NS + atNs);
    this.#collector.finish();
    const incidents = this.#collector.diagnosis.incidents.list().map(({ severity, type, place, related }) => {
      const causes = related.filter(({ relation }) => relation === 'cause').map(({ where }) => where);
      return { severity, type, ...place, causes };
    });
    const events = [...this.#events.values()].flatMap(({ event, toldNs }) =>
      isCongestion(event) ? [this.#congestionOf(event, toldNs)] : this.#conditionOf(event, toldNs),
    );
    return { events, latencies: this.#latencies(), sliceLatencies: this.#sliceLatencies(), incidents };
  }

  #tellOwners(fabricNs: number): void {
    const epochMs = Number(this.#epochUnixNs / 1_000_000n);
    const unixMs = (ns: number): number => epochMs + ns / 1e6;
    for (const pod of this.#pods) {
      if (!pod.isTold && fabricNs >= pod.fromNs) {
        pod.isTold = true;
        for (const address of pod.addresses) {
          this.#owners.claim(address, pod.uid, pod.owner, unixMs(pod.fromNs === 0 ? -1e9 : pod.fromNs), unixMs(fabricNs));
        }
      }
      if (pod.isTold && fabricNs >= pod.untilNs) {
        this.#owners.release(pod.uid, unixMs(pod.untilNs));
        pod.untilNs = Infinity;
      }
    }
  }

  #nsOf(iso: string): number {
    return Number(unixNsOfIso(iso) - this.#epochUnixNs);
  }

  /** Only kinds that a scenario can inject are scored. */
  #conditionOf(event: ConditionEvent, toldNs: number): FoundEvent[] {
    const kind = INJECTED_KINDS.find((injected) => injected === event.kind);
    if (kind === undefined) return [];
    const { place, confidence } = event;
    const startNs = this.#nsOf(event.start);
    const endNs = this.#nsOf(event.end?.kind === 'observed' ? event.end.latest : event.lastSeen);
    return [{ kind, ...place, startNs, endNs, toldNs, culprits: [], victims: [], confidence }];
  }

  #congestionOf(event: CongestionEvent, toldNs: number): FoundEvent {
    const end = event.end === null ? event.lastSeen : event.end.kind === 'observed' ? event.end.latest : event.end.earliest;
    return {
      kind: event.kind,
      node: event.queue.node,
      interfaceId: event.queue.interfaceId,
      queue: event.queue.queue,
      startNs: this.#nsOf(event.start),
      endNs: this.#nsOf(end),
      toldNs,
      peakWaitNs: event.peakWaitNs,
      peakBytes: event.peakDepthBytes ?? undefined,
      culprits: event.culprits.map((culprit) => ({
        workload: nameOf(culprit),
        bytes: culprit.buildUpBytes,
        counterfactual: culprit.counterfactual ?? undefined,
      })),
      flows: event.flows.map((flow) => ({
        flow: flowName({ ...flow, sourceAddress: flow.source, destinationAddress: flow.destination }),
        bytes: flow.buildUpBytes,
      })),
      victims: (event.selfInflicted === null ? event.victims : [...event.victims, event.selfInflicted])
        .toSorted((a, b) => b.excessWaitSumNs - a.excessWaitSumNs)
        .map(nameOf),
      confidence: event.confidence,
    };
  }

  #sliceLatencies(): Findings['sliceLatencies'] {
    const { slices } = this.#collector.state;
    return this.#slices.map((slice, i) => {
      const at = (q: number): number => slices.latencyQuantileNs(i + 1, q);
      const badShare = slices.latePackets(i + 1) / Math.max(1, slices.packets(i + 1));
      return { slice, p50Ns: at(0.5), p99Ns: at(0.99), p999Ns: at(0.999), badShare };
    });
  }

  #latencies(): FoundLatency[] {
    const { queues } = this.#collector.state;
    const { names } = this.#collector.diagnosis;
    return queues.keys.usedRows().map((row) => {
      const { node, interfaceId, queue } = names.queueScope(row);
      const at = (q: number): number => queues.latencyQuantileNs(row, q);
      return { node, interfaceId, queue, p50Ns: at(0.5), p99Ns: at(0.99), p999Ns: at(0.999) };
    });
  }
}

/** Pods that come, go, or share an address; none when every address belongs to one workload for ever. */
function podsOf({ workloads }: Scenario): PodLife[] {
  const pods = workloads
    .filter(({ untold }) => !untold)
    .flatMap(({ name, slice, pods: all }) => {
      const [namespace, workload] = name.split('/');
      return all.map(({ address, address6, from, until }, i) => ({
        uid: `${name}/${i}`,
        addresses: address6 === undefined ? [address] : [address, address6],
        owner: { kind: 'pod' as const, namespace, workload, pod: `${workload}-${i}`, ...(slice && { slice }), confidence: 1 },
        fromNs: from / PS_PER_NS,
        untilNs: until === undefined ? Infinity : until / PS_PER_NS,
        isTold: false,
      }));
    });
  return pods.some(({ fromNs, untilNs }) => fromNs > 0 || untilNs < Infinity) ? pods : [];
}

function nameOf({ kind, namespace, workload }: { kind: Owner['kind']; namespace: string; workload: string }): string {
  return kind === 'unknown' ? 'unknown' : `${namespace}/${workload}`;
}
