// The naive way, scored beside us so that the numbers mean something: a port is congested when it is used to more than 80 % for a millisecond, and
// whoever sent most in the last ten is to blame. It counts reports as packets and knows owners from a static map of addresses, as dashboards do.
// In a scenario whose links are slower, its millisecond is as much longer as the scenario's thresholds are.

import type { Simulator } from '../simulator.ts';
import { REPORT_FIELDS, ReportField, type Datagram } from '../telemetry/datagram.ts';
import type { TelemetrySpec } from '../scenario.ts';
import { FineHistogram } from '../truth/latency-truth.ts';
import { PS_PER_NS } from '../units.ts';
import { flowName, type Contestant, type Findings, type FoundEvent } from './contestant.ts';

const HOT = 0.8;
const BINS_OF_BLAME = 10;
/** 1 ms where congestion begins at 50 us. */
const BIN_PER_HIGH = 20;

export class NaiveCollector implements Contestant {
  readonly name = 'naive';
  readonly #simulator: Simulator;
  readonly #binNs: number;
  readonly #packetsPerReport: number;
  /** By port: octets by bin and flow. */
  readonly #bins: (Map<number, Map<number, number>> | undefined)[] = [];
  readonly #latency: (FineHistogram | undefined)[] = [];
  readonly #ownerOf: (address: string) => string;

  constructor(simulator: Simulator, telemetry: TelemetrySpec) {
    const { scenario } = simulator;
    this.#simulator = simulator;
    this.#binNs = (scenario.truth.high * BIN_PER_HIGH) / PS_PER_NS;
    this.#packetsPerReport = telemetry.sampling.oneIn;
    const owners = new Map<string, string>();
    for (const { name, pods, untold } of scenario.workloads) {
      if (untold) continue;
      for (const { address, address6 } of pods) {
        owners.set(address, name);
        if (address6 !== undefined) owners.set(address6, name);
      }
    }
    this.#ownerOf = (address) => owners.get(address) ?? 'unknown';
  }

  receive({ reports }: Datagram): void {
    const { scenario } = this.#simulator;
    for (let i = 0; i < reports.length; i += REPORT_FIELDS) {
      const port = reports[i + ReportField.port];
      if (port < 0 || reports[i + ReportField.isDrop] === 1) continue;
      const egressNs = reports[i + ReportField.egressNs];
      const bins = (this.#bins[port] ??= new Map<number, Map<number, number>>());
      const bin = Math.floor(egressNs / this.#binNs);
      const sent = bins.get(bin) ?? new Map<number, number>();
      bins.set(bin, sent);
      const flow = reports[i + ReportField.flow];
      sent.set(flow, (sent.get(flow) ?? 0) + reports[i + ReportField.bytes] * this.#packetsPerReport);
      const waitedNs = egressNs - reports[i + ReportField.enqueuedNs] + scenario.fabric.pipeline / PS_PER_NS;
      (this.#latency[port] ??= new FineHistogram()).add(Math.floor(waitedNs));
    }
  }

  finish(): Findings {
    const { topology } = this.#simulator;
    const events: FoundEvent[] = [];
    this.#bins.forEach((bins, port) => {
      if (bins !== undefined) events.push(...this.#eventsOf(port, bins));
    });
    const latencies = this.#latency.flatMap((histogram, port) => {
      if (histogram === undefined) return [];
      const quantiles = { p50Ns: histogram.quantile(0.5), p99Ns: histogram.quantile(0.99), p999Ns: histogram.quantile(0.999) };
      const node = topology.nodes[topology.nodeOfPort[port]].name;
      return this.#simulator.queues.classes.map(({ queue }) => ({
        node,
        interfaceId: topology.interfaceOf(port),
        queue,
        ...quantiles,
      }));
    });
    return { events, latencies, sliceLatencies: [], incidents: [] };
  }

  #eventsOf(port: number, bins: Map<number, Map<number, number>>): FoundEvent[] {
    const { topology } = this.#simulator;
    const capacityBytes = (this.#binNs * PS_PER_NS) / topology.psPerByte[port];
    const sum = (sent: Map<number, number> | undefined): number => [...(sent?.values() ?? [])].reduce((a, b) => a + b, 0);
    const hot = [...bins.keys()].filter((bin) => sum(bins.get(bin)) > HOT * capacityBytes).sort((a, b) => a - b);
    const events: FoundEvent[] = [];
    for (let i = 0; i < hot.length; i++) {
      let last = i;
      while (hot[last + 1] === hot[last] + 1) last++;
      events.push({
        kind: 'congestion',
        node: topology.nodes[topology.nodeOfPort[port]].name,
        interfaceId: topology.interfaceOf(port),
        startNs: hot[i] * this.#binNs,
        endNs: (hot[last] + 1) * this.#binNs,
        toldNs: (hot[i] + 1) * this.#binNs,
        ...this.#blame(bins, hot[i]),
        victims: [],
        confidence: 1,
      });
      i = last;
    }
    return events;
  }

  /** Whoever sent most in the last ten spans. */
  #blame(bins: Map<number, Map<number, number>>, bin: number): Pick<FoundEvent, 'culprits' | 'flows'> {
    const { flows } = this.#simulator;
    const byFlow = new Map<number, number>();
    for (let i = bin - BINS_OF_BLAME + 1; i <= bin; i++) {
      for (const [flow, sent] of bins.get(i) ?? []) byFlow.set(flow, (byFlow.get(flow) ?? 0) + sent);
    }
    const byOwner = new Map<string, number>();
    for (const [flow, sent] of byFlow) {
      const owner = this.#ownerOf(flows[flow].sourceAddress);
      byOwner.set(owner, (byOwner.get(owner) ?? 0) + sent);
    }
    return {
      culprits: [...byOwner].map(([workload, bytes]) => ({ workload, bytes })).sort((a, b) => b.bytes - a.bytes),
      flows: [...byFlow].map(([flow, bytes]) => ({ flow: flowName(flows[flow]), bytes })),
    };
  }
}
