// How long packets truly took: in each queue's switch, and through the whole fabric by slice. Histograms with 512 buckets an octave: 0.1 % at most.

import type { FabricObserver, Simulator } from '../simulator.ts';
import { PS_PER_NS } from '../units.ts';

const MANTISSA_BITS = 9;
const PER_OCTAVE = 2 ** MANTISSA_BITS;
const OCTAVES = 40 - MANTISSA_BITS;

/** Counts of whole nanoseconds. */
export class FineHistogram {
  readonly #counts = new Uint32Array(PER_OCTAVE * (OCTAVES + 1));
  count = 0;

  add(ns: number): void {
    this.count++;
    this.#counts[bucketOf(ns)]++;
  }

  /** The value that a share `q` of all do not exceed; NaN of nothing. */
  quantile(q: number): number {
    if (this.count === 0) return NaN;
    let left = Math.max(1, Math.ceil(this.count * q));
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      left -= this.#counts[bucket];
      if (left <= 0) return middleOf(bucket);
    }
    return Infinity;
  }
}

function bucketOf(ns: number): number {
  if (ns < PER_OCTAVE) return ns;
  const octave = Math.floor(Math.log2(ns)) - MANTISSA_BITS + 1;
  return Math.min(octave, OCTAVES) * PER_OCTAVE + Math.floor(ns / 2 ** (octave - 1)) - PER_OCTAVE;
}

function middleOf(bucket: number): number {
  const octave = Math.floor(bucket / PER_OCTAVE);
  if (octave === 0) return bucket;
  const width = 2 ** (octave - 1);
  return ((bucket % PER_OCTAVE) + PER_OCTAVE) * width + (width - 1) / 2;
}

export interface SliceLatency {
  histogram: FineHistogram;
  bad: number;
}

export class LatencyTruth implements FabricObserver {
  /** By queue (port and class): ns from ingress to egress stamp. */
  readonly hops: (FineHistogram | undefined)[] = [];
  /** By slice: ns spent in switches all the way, of packets of workloads that have one, and how many were beyond the budget. */
  readonly slices = new Map<string, SliceLatency>();
  readonly #simulator: Simulator;
  readonly #classes: number;

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
    this.#classes = simulator.queues.classes.length;
  }

  left(packet: number): void {
    const { packets, nowPs } = this.#simulator;
    const q = packets.egressPort[packet] * this.#classes + packets.queue[packet];
    const ns = Math.floor(nowPs / PS_PER_NS) - Math.floor(packets.ingressPs[packet] / PS_PER_NS);
    (this.hops[q] ??= new FineHistogram()).add(ns);
  }

  delivered(packet: number): void {
    const { packets, scenario } = this.#simulator;
    const { slice } = scenario.workloads[packets.flow[packet].owner];
    if (slice === undefined) return;
    const latency = this.slices.get(slice) ?? { histogram: new FineHistogram(), bad: 0 };
    this.slices.set(slice, latency);
    latency.histogram.add(Math.floor(packets.hopLatencySumPs[packet] / PS_PER_NS));
    const { budget, sliceBudgets } = scenario.truth;
    if (packets.hopLatencySumPs[packet] > (sliceBudgets[slice] ?? budget)) latency.bad++;
  }
}
