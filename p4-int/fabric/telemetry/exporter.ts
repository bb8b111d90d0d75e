// The telemetry of the fabric's switches: what they select becomes datagrams, each switch with its own sequence and clock.
//
//   packet leaves ─▶ selection ─▶ writer of the dialect ─▶ datagram ─▶ transport

import type { TelemetrySpec } from '../scenario.ts';
import type { FabricObserver, Simulator } from '../simulator.ts';
import { PS_PER_NS } from '../units.ts';
import { Clocks } from './clocks.ts';
import { REPORT_FIELDS, ReportField, type Datagram } from './datagram.ts';
import { Heads } from './heads.ts';
import { IntStacks } from './int-stacks.ts';
import { Report, Selection } from './selection.ts';
import { writerOf, type Postcard, type Writer } from './writers.ts';

/** Octets of a buffer cell (Tofino 1). */
const CELL_BYTES = 80;

export class Exporter implements FabricObserver {
  readonly #simulator: Simulator;
  readonly #telemetry: TelemetrySpec;
  readonly #selection: Selection;
  readonly #clocks: Clocks;
  readonly #writer: Writer;
  readonly #stacks: IntStacks | undefined;
  readonly #send: (datagram: Datagram) => void;
  readonly #postcard: Postcard;
  readonly #silentUntilPs: { node: number; fromPs: number; untilPs: number }[];
  /** Reports and datagrams sent so far. */
  reports = 0;
  datagrams = 0;

  constructor(simulator: Simulator, telemetry: TelemetrySpec, epochUnixNs: bigint, send: (datagram: Datagram) => void) {
    const { topology, seed } = simulator;
    this.#simulator = simulator;
    this.#telemetry = telemetry;
    this.#send = send;
    this.#selection = new Selection(simulator, telemetry);
    this.#clocks = new Clocks(topology, telemetry, seed, epochUnixNs);
    this.#writer = writerOf(simulator, telemetry, new Heads(), (datagram) => {
      this.datagrams++;
      this.#send(datagram);
    });
    this.#stacks = telemetry.dialect === 'int-md-v2.1' ? new IntStacks(simulator) : undefined;
    this.#silentUntilPs = telemetry.silences.map(({ node, at, until }) => ({
      node: topology.switchNamed(node),
      fromPs: at,
      untilPs: until ?? Infinity,
    }));
    this.#postcard = {
      node: 0,
      packet: 0,
      isCongestedQueue: false,
      isTrackedFlow: false,
      ingressInterfaceId: 0,
      egressInterfaceId: 0,
      queueId: 0,
      queueOccupancy: 0,
      hopLatency: 0,
      ingressHigh: 0,
      ingressLow: 0,
      egressHigh: 0,
      egressLow: 0,
      dropReason: -1,
      stack: undefined,
      fields: new Float64Array(REPORT_FIELDS),
    };
    for (const { node, at } of telemetry.restarts) {
      const restarted = topology.switchNamed(node);
      simulator.schedule(at, simulator.register({ fire: () => this.#writer.restart(restarted) }));
    }
    this.#flushEvery(telemetry.groupWait);
  }

  left(packet: number): void {
    const { packets, topology, nowPs } = this.#simulator;
    const node = topology.nodeOfPort[packets.egressPort[packet]];
    const ingressNs = this.#clocks.localNs(node, packets.ingressPs[packet]);
    const egressNs = this.#clocks.localNs(node, nowPs);
    const latencyNs = egressNs - ingressNs;
    const selected = this.#selection.ofPacket(packet, latencyNs, node);
    if (this.#stacks !== undefined) return this.#collect(packet, node, ingressNs, egressNs, selected);
    if (selected !== 0) this.#report(packet, node, ingressNs, egressNs, selected, -1);
  }

  dropped(packet: number, reason: number): void {
    const { packets, topology, nowPs } = this.#simulator;
    const node = topology.nodeOfPort[packets.ingressPort[packet]];
    this.#stacks?.forget(packet);
    const selected = this.#selection.ofDrop(packet, node);
    if (selected === 0) return;
    const ingressNs = this.#clocks.localNs(node, packets.ingressPs[packet]);
    this.#report(packet, node, ingressNs, this.#clocks.localNs(node, nowPs), selected, reason);
  }

  /** Sends what waits for its datagram to be full. */
  flush(): void {
    this.#writer.flush();
  }

  /** INT-MD: every switch adds its hop to the packet, the last one takes them off and reports. */
  #collect(packet: number, node: number, ingressNs: number, egressNs: number, selected: number): void {
    const { packets, topology } = this.#simulator;
    this.#fill(packet, node, ingressNs, egressNs, selected, -1);
    this.#stacks!.add(packet, topology.nodes[node].nodeId, this.#postcard);
    if (topology.peerPort[packets.egressPort[packet]] < topology.nodes[topology.switches].firstPort) return;
    this.#postcard.stack = this.#stacks!.take(packet);
    if (selected !== 0) this.#write(node);
    this.#postcard.stack = undefined;
  }

  #report(packet: number, node: number, ingressNs: number, egressNs: number, selected: number, reason: number): void {
    this.#fill(packet, node, ingressNs, egressNs, selected, reason);
    this.#write(node);
  }

  #write(node: number): void {
    const { nowPs } = this.#simulator;
    for (const silence of this.#silentUntilPs) {
      if (silence.node === node && nowPs >= silence.fromPs && nowPs < silence.untilPs) return;
    }
    this.reports++;
    this.#writer.write(this.#postcard);
  }

  #fill(packet: number, node: number, ingressNs: number, egressNs: number, selected: number, reason: number): void {
    const { packets, topology, scenario, nowPs } = this.#simulator;
    const postcard = this.#postcard;
    const isDrop = reason >= 0;
    const hasPort = packets.hasPort(packet);
    postcard.node = node;
    postcard.packet = packet;
    postcard.isCongestedQueue = (selected & Report.queue) !== 0;
    postcard.isTrackedFlow = (selected & Report.flow) !== 0;
    postcard.ingressInterfaceId = topology.interfaceOf(packets.ingressPort[packet]);
    postcard.egressInterfaceId = hasPort ? topology.interfaceOf(packets.egressPort[packet]) : 0;
    postcard.queueId = hasPort ? scenario.fabric.classes[packets.queue[packet]].queue : 0;
    postcard.queueOccupancy = this.#occupancyOf(packet);
    postcard.hopLatency = egressNs - ingressNs;
    postcard.ingressHigh = this.#clocks.high(ingressNs);
    postcard.ingressLow = this.#clocks.low(ingressNs);
    postcard.egressHigh = this.#clocks.high(egressNs);
    postcard.egressLow = this.#clocks.low(egressNs);
    postcard.dropReason = reason;
    const { fields } = postcard;
    fields[ReportField.flow] = packets.flow[packet].index;
    fields[ReportField.bytes] = packets.bytes[packet];
    fields[ReportField.port] = hasPort ? packets.egressPort[packet] : -1;
    fields[ReportField.enqueuedNs] = packets.enqueuedPs[packet] / PS_PER_NS;
    fields[ReportField.egressNs] = nowPs / PS_PER_NS;
    fields[ReportField.isDrop] = isDrop ? 1 : 0;
  }

  #occupancyOf(packet: number): number {
    const { packets } = this.#simulator;
    switch (this.#telemetry.occupancyUnit) {
      case 'bytes':
        return packets.queueBytes[packet];
      case 'cells':
        return Math.ceil(packets.queueBytes[packet] / CELL_BYTES);
      case 'packets':
        return packets.queuePackets[packet];
    }
  }

  #flushEvery(periodPs: number): void {
    const simulator = this.#simulator;
    const timer = simulator.register({
      fire: () => {
        this.flush();
        simulator.schedule(simulator.nowPs + periodPs, timer);
      },
    });
    simulator.schedule(periodPs, timer);
  }
}
