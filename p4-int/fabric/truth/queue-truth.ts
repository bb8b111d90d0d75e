// When queues were truly congested: two thresholds on what a packet would wait, a build-up from the last time the queue was nearly empty, intervals
// that nearly touch taken as one. A queue that is served last can make packets wait without being deep: that is starvation.
// Rule: nothing here is shared with a detector; thresholds are the scenario's.

import type { FabricObserver, Simulator } from '../simulator.ts';
import { replayedArea, type ReplayedQueue } from './counterfactual.ts';
import { PortLog } from './port-log.ts';
import type { ByteShare, QueueEvent, QueueEventKind, TrueVictim } from './queue-event.ts';

const MICROBURST_PS = 1e9;
const SUSTAINED_PS = 100e9;
/** Of the threshold: a packet on the wire, or how a depth is rounded, is as much. */
const NEAR = 0.95;
/** Workloads whose absence is tried. */
const CANDIDATES = 4;
const TRACE_POINTS = 300;
/** A log that is no longer than this is not worth clearing while packets wait. */
const SHORT_LOG = 64;

interface Open {
  port: number;
  cls: number;
  buildUpPs: number;
  startPs: number;
  peakPs: number;
  endPs: number;
  peakBytes: number;
  peakWaitPs: number;
  isDeep: boolean;
  isOpen: boolean;
  dropped: Map<number, number>;
}

/** A queue came so near to being congested that it is a matter of rounding. */
export interface NearMiss {
  port: number;
  cls: number;
  atPs: number;
}

export class QueueTruth implements FabricObserver {
  readonly events: QueueEvent[] = [];
  readonly nearMisses: NearMiss[] = [];
  readonly #simulator: Simulator;
  readonly #logs: (PortLog | undefined)[] = [];
  /** By packet: its row in the log of its port. */
  readonly #rows: number[] = [];
  /** By queue (port and class). */
  readonly #open: (Open | undefined)[] = [];
  readonly #aboveFloorSincePs: Float64Array;
  readonly #lastNearMiss: NearMiss[] = [];
  readonly #classes: number;
  /** By class: how the classes delay it. See ReplayedQueue. */
  readonly #ranks: Uint8Array[];

  constructor(simulator: Simulator) {
    const { classes } = simulator.queues;
    this.#simulator = simulator;
    this.#classes = classes.length;
    this.#aboveFloorSincePs = new Float64Array(simulator.topology.ports * classes.length);
    this.#ranks = classes.map((own) =>
      Uint8Array.from(classes, (other) => (other.priority > own.priority ? 2 : other.priority === own.priority ? 1 : 0)),
    );
  }

  enqueued(packet: number): void {
    const { packets, nowPs, scenario } = this.#simulator;
    const port = packets.egressPort[packet];
    const cls = packets.queue[packet];
    const q = port * this.#classes + cls;
    const log = (this.#logs[port] ??= new PortLog());
    const flow = packets.flow[packet];
    const ahead = packets.queueBytes[packet];
    this.#rows[packet] = log.enter(packet, nowPs, packets.bytes[packet], ahead, flow.owner, flow.index, cls);
    const depth = ahead + packets.bytes[packet];
    const { floor } = scenario.truth;
    if (ahead < floor && depth >= floor) this.#aboveFloorSincePs[q] = nowPs;
    const open = this.#open[q];
    const isHigh = depth >= this.#bytesOf(port, scenario.truth.high);
    if (open === undefined || !open.isOpen) {
      if (isHigh) this.#begin(port, cls, nowPs, this.#aboveFloorSincePs[q], true);
      else return this.#noteNearMiss(port, cls, depth);
    }
    const now = this.#open[q]!;
    if (isHigh) now.isDeep = true;
    if (depth > now.peakBytes) {
      now.peakBytes = depth;
      if (now.isDeep) now.peakPs = nowPs;
    }
  }

  left(packet: number): void {
    const { packets, nowPs, scenario, queues } = this.#simulator;
    const port = packets.egressPort[packet];
    const cls = packets.queue[packet];
    const q = port * this.#classes + cls;
    const log = this.#logs[port]!;
    log.leave(this.#rows[packet], nowPs);
    const waitPs = nowPs - packets.enqueuedPs[packet];
    const { high, low, floor } = scenario.truth;
    let open = this.#open[q];
    if (waitPs >= high && !open?.isOpen) {
      this.#begin(port, cls, packets.enqueuedPs[packet] + high, packets.enqueuedPs[packet], false);
      open = this.#open[q];
    }
    if (open?.isOpen) {
      if (waitPs > open.peakWaitPs) {
        open.peakWaitPs = waitPs;
        if (!open.isDeep) open.peakPs = packets.enqueuedPs[packet];
      }
      const isOver = open.isDeep ? queues.bytes[q] < this.#bytesOf(port, low) : waitPs < low || queues.bytes[q] === 0;
      if (isOver) {
        open.isOpen = false;
        open.endPs = nowPs;
      }
    }
    if (queues.portBytes[port] < floor) this.#settle(port, log);
  }

  dropped(packet: number): void {
    const { packets } = this.#simulator;
    const open = this.#open[packets.egressPort[packet] * this.#classes + packets.queue[packet]];
    if (!open?.isOpen || !packets.hasPort(packet)) return;
    const { owner } = packets.flow[packet];
    open.dropped.set(owner, (open.dropped.get(owner) ?? 0) + 1);
  }

  /** Nothing more happens: what is still open ends now. */
  finish(): void {
    this.#open.forEach((open, q) => {
      if (open === undefined) return;
      const isCut = open.isOpen;
      if (isCut) open.endPs = this.#simulator.nowPs;
      this.#tell(open, isCut);
      this.#open[q] = undefined;
    });
    this.events.sort((a, b) => a.startPs - b.startPs || a.port - b.port || a.cls - b.cls);
  }

  /** Once for each time that the queue comes so near. */
  #noteNearMiss(port: number, cls: number, depth: number): void {
    const { nowPs, scenario } = this.#simulator;
    if (depth < NEAR * this.#bytesOf(port, scenario.truth.high)) return;
    const q = port * this.#classes + cls;
    const last = this.#lastNearMiss[q] as NearMiss | undefined;
    if (last !== undefined && nowPs - last.atPs < scenario.truth.merge) last.atPs = nowPs;
    else this.nearMisses.push((this.#lastNearMiss[q] = { port, cls, atPs: nowPs }));
  }

  #bytesOf(port: number, waitPs: number): number {
    return waitPs / this.#simulator.topology.psPerByte[port];
  }

  #begin(port: number, cls: number, startPs: number, buildUpPs: number, isDeep: boolean): void {
    const q = port * this.#classes + cls;
    const last = this.#open[q];
    if (last !== undefined) {
      if (startPs - last.endPs < this.#simulator.scenario.truth.merge) {
        last.isOpen = true;
        last.isDeep ||= isDeep;
        return;
      }
      this.#tell(last, false);
    }
    this.#open[q] = {
      port,
      cls,
      buildUpPs,
      startPs,
      peakPs: startPs,
      endPs: Infinity,
      peakBytes: 0,
      peakWaitPs: 0,
      isDeep,
      isOpen: true,
      dropped: new Map(),
    };
  }

  /** The port is nearly empty: events that cannot go on are told, and the log forgets. */
  #settle(port: number, log: PortLog): void {
    const { nowPs, scenario, queues } = this.#simulator;
    for (let cls = 0; cls < this.#classes; cls++) {
      const q = port * this.#classes + cls;
      const open = this.#open[q];
      if (open === undefined) continue;
      if (open.isOpen || nowPs - open.endPs < scenario.truth.merge) return;
      this.#tell(open, false);
      this.#open[q] = undefined;
    }
    if (queues.portBytes[port] === 0) log.length = 0;
    if (log.length > SHORT_LOG) log.forget((packet, row) => (this.#rows[packet] = row));
  }

  #tell(open: Open, isCut: boolean): void {
    const { scenario, topology, nowPs } = this.#simulator;
    const { shortest, harm } = scenario.truth;
    if (open.endPs - open.startPs < shortest) return;
    const { port, cls } = open;
    const log = this.#logs[port]!;
    const rank = this.#ranks[cls];
    const first = firstRow(log, open.buildUpPs);
    const last = firstRow(log, open.endPs);
    const inBuildUp = new Map<number, number>();
    const flows = new Map<number, number>();
    const inEvent = new Map<number, number>();
    const residence = new Map<number, number>();
    const victims = new Map<number, TrueVictim>();
    const victim = (owner: number): TrueVictim => {
      const known = victims.get(owner) ?? { owner, harmedPackets: 0, packets: 0, harmPs: 0 };
      victims.set(owner, known);
      return known;
    };
    let packets = 0;
    for (let row = first; row < last; row++) {
      if (rank[log.cls[row]] === 0) continue;
      const owner = log.owner[row];
      add(inEvent, owner, log.bytes[row]);
      if (log.enqueuedPs[row] <= open.peakPs) {
        add(inBuildUp, owner, log.bytes[row]);
        add(flows, log.flow[row], log.bytes[row]);
      }
      if (log.cls[row] !== cls) continue;
      const waited = log.isWaiting(row) ? nowPs - log.enqueuedPs[row] : log.residencePs[row];
      add(residence, owner, log.bytes[row] * waited);
      const told = victim(owner);
      told.packets++;
      if (waited > harm) {
        told.harmedPackets++;
        told.harmPs += waited;
      }
      if (log.enqueuedPs[row] >= open.startPs) packets++;
    }
    for (const [owner, count] of open.dropped) victim(owner).harmedPackets += count;
    const shares = sharesOf(inBuildUp);
    const replayed: ReplayedQueue = {
      first,
      last,
      rank,
      cls,
      psPerByte: topology.psPerByte[port],
      overheadBytes: scenario.fabric.linkOverhead,
    };
    const whole = replayedArea(log, replayed, -1);
    this.events.push({
      kind: kindOf(open, rank.length > 1),
      port,
      cls,
      buildUpPs: open.buildUpPs,
      startPs: open.startPs,
      peakPs: open.peakPs,
      endPs: open.endPs,
      isCut,
      peakBytes: open.peakBytes,
      peakWaitPs: open.peakWaitPs,
      packets,
      inBuildUp: shares,
      flowsInBuildUp: sharesOf(flows).slice(0, 100),
      inEvent: sharesOf(inEvent),
      residence: sharesOf(residence),
      droppedPackets: [...open.dropped.values()].reduce((sum, n) => sum + n, 0),
      victims: [...victims.values()].filter((one) => one.harmedPackets > 0).sort((a, b) => b.harmPs - a.harmPs),
      counterfactual: shares
        .slice(0, CANDIDATES)
        .map(({ of: owner }) => ({ owner, share: whole === 0 ? 0 : 1 - replayedArea(log, replayed, owner) / whole })),
      trace: traceOf(log, first, last, cls),
    });
  }
}

/** A queue that is alone cannot be starved: a packet waits for the one on the wire, too, and that is in no queue. */
function kindOf({ isDeep, startPs, endPs }: Open, hasRivals: boolean): QueueEventKind {
  if (!isDeep && hasRivals) return 'starvation';
  const lastedPs = endPs - startPs;
  return lastedPs < MICROBURST_PS ? 'microburst' : lastedPs < SUSTAINED_PS ? 'congestion' : 'sustained';
}

function add(sums: Map<number, number>, key: number, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}

function sharesOf(sums: Map<number, number>): ByteShare[] {
  return [...sums].map(([of, bytes]) => ({ of, bytes })).sort((a, b) => b.bytes - a.bytes || a.of - b.of);
}

/** The first row that entered at `fromPs` or later. */
function firstRow(log: PortLog, fromPs: number): number {
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (log.enqueuedPs[middle] < fromPs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function traceOf(log: PortLog, first: number, last: number, cls: number): number[] {
  const step = Math.max(1, Math.ceil((last - first) / TRACE_POINTS));
  const points: number[] = [];
  for (let from = first; from < last; from += step) {
    let peak = -1;
    for (let row = from; row < Math.min(last, from + step); row++) {
      if (log.cls[row] === cls && (peak < 0 || log.aheadBytes[row] > log.aheadBytes[peak])) peak = row;
    }
    if (peak >= 0) points.push(log.enqueuedPs[peak], log.aheadBytes[peak]);
  }
  return points;
}
