// The telemetry of a simulated switch: hops become Telemetry Report v2.0 datagrams, grouped per node, each node with its own
// sequence and its own clock.

import { reportBytes, writeGroupHeader, writeReport, type HopReport } from '../wire/report-v20.ts';
import { randomStream } from './random.ts';
import type { Flow, ObservedHop } from './simulator.ts';
import type { Topology } from './topology.ts';

export interface ExporterOptions {
  /** Reports of one node that travel in one datagram. */
  reportsPerDatagram: number;
  /** Unix time at fabric time 0, ns: device clocks count from the epoch. */
  epochUnixNs: bigint;
  /** Clocks of nodes are off by up to this much, ns. */
  clockSpreadNs: number;
  seed: number;
}

const MAX_DATAGRAM_BYTES = 1400;
const DROP_REASON_TRAFFIC_MANAGER = 71;

export class Exporter {
  readonly #topology: Topology;
  readonly #flows: readonly Flow[];
  readonly #options: ExporterOptions;
  readonly #send: (datagram: Buffer, node: number) => void;
  readonly #pending: HopReport[][];
  readonly #sequence: Uint32Array;
  readonly #clockOffset: bigint[];
  /** Reports and datagrams sent. */
  reports = 0;
  datagrams = 0;

  constructor(
    topology: Topology,
    flows: readonly Flow[],
    options: ExporterOptions,
    send: (datagram: Buffer, node: number) => void,
  ) {
    this.#topology = topology;
    this.#flows = flows;
    this.#options = options;
    this.#send = send;
    this.#pending = topology.nodes.map(() => []);
    this.#sequence = new Uint32Array(topology.nodes.length);
    const random = randomStream(options.seed, 'clocks');
    this.#clockOffset = topology.nodes.map(() => BigInt(Math.round((random() * 2 - 1) * options.clockSpreadNs)));
  }

  /** Takes one hop; sends a datagram when the node's group is full. */
  observe(hop: ObservedHop): void {
    const { node } = hop.hop;
    const flow = this.#flows[hop.flow];
    const clock = this.#options.epochUnixNs + this.#clockOffset[node];
    this.#pending[node].push({
      packet: {
        sourceAddress: flow.sourceAddress,
        destinationAddress: flow.destinationAddress,
        protocol: flow.protocol,
        sourcePort: flow.sourcePort,
        destinationPort: flow.destinationPort,
        lengthBytes: flow.packetBytes,
        ttl: 63 - hop.position,
        dscp: flow.dscp,
        identification: hop.identification,
        tcpSequence: hop.tcpSequence,
      },
      ingressInterfaceId: hop.hop.ingressInterfaceId,
      egressInterfaceId: hop.hop.egressInterfaceId,
      queueId: 0,
      queueOccupancy: hop.queueBytes,
      hopLatency: hop.egressNs - hop.ingressNs,
      ingressTimestamp: clock + BigInt(hop.ingressNs),
      egressTimestamp: clock + BigInt(hop.egressNs),
      ...(hop.dropped ? { dropReason: DROP_REASON_TRAFFIC_MANAGER } : {}),
    });
    if (this.#pending[node].length >= this.#options.reportsPerDatagram) this.#flushNode(node);
  }

  /** Sends what waits for a full group. */
  flush(): void {
    this.#pending.forEach((_, node) => this.#flushNode(node));
  }

  #flushNode(node: number): void {
    const reports = this.#pending[node];
    while (reports.length > 0) {
      const out = Buffer.alloc(MAX_DATAGRAM_BYTES);
      let o = writeGroupHeader(out, this.#topology.nodes[node].nodeId, 0, this.#sequence[node]++);
      while (reports.length > 0 && o + reportBytes(reports[0]) <= MAX_DATAGRAM_BYTES) {
        o = writeReport(out, o, reports.shift()!);
        this.reports++;
      }
      this.datagrams++;
      this.#send(out.subarray(0, o), node);
    }
  }
}
