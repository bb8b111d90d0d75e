// The way of the datagrams to the collector: some are lost, alone or in runs, some come late or twice.
// Datagrams leave here in the order in which they arrive.

import { EventHeap } from '../event-heap.ts';
import { randomStream, type Random } from '../random.ts';
import type { TelemetrySpec } from '../scenario.ts';
import type { Topology } from '../topology.ts';
import type { Datagram } from './datagram.ts';
import { ReportField, REPORT_FIELDS } from './datagram.ts';

/** A report of a wait as long as this says that its node is congested, and for how long. */
const CONGESTED_WAIT_NS = 25_000;
const CONGESTED_NS = 100_000;

export class Transport {
  readonly #spec: TelemetrySpec;
  readonly #deliver: (datagram: Datagram) => void;
  readonly #loss: Random;
  readonly #order: Random;
  readonly #heap = new EventHeap();
  readonly #waiting: (Datagram | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #runLeft: Int32Array;
  readonly #congestedUntilNs: Float64Array;
  readonly #biasedNode: number;
  /** Datagrams that never arrive. */
  lost = 0;

  constructor(topology: Topology, telemetry: TelemetrySpec, seed: number, deliver: (datagram: Datagram) => void) {
    this.#spec = telemetry;
    this.#deliver = deliver;
    this.#loss = randomStream(seed, 'report loss');
    this.#order = randomStream(seed, 'report order');
    this.#runLeft = new Int32Array(topology.switches);
    this.#congestedUntilNs = new Float64Array(topology.switches);
    const { lossWhenCongested } = telemetry;
    this.#biasedNode = lossWhenCongested === undefined ? -1 : topology.switchNamed(lossWhenCongested.node);
  }

  send(datagram: Datagram): void {
    if (this.#isLost(datagram)) {
      this.lost++;
      return;
    }
    const { reorder, duplicates } = this.#spec;
    this.#schedule(datagram, datagram.sentPs + Math.floor(this.#order() * reorder));
    if (duplicates > 0 && this.#order() < duplicates) {
      this.#schedule({ ...datagram }, datagram.sentPs + Math.floor(this.#order() * Math.max(reorder, 1e6)));
    }
  }

  /** Hands on what has arrived by `untilPs`. */
  advance(untilPs: number): void {
    while (this.#heap.size > 0 && this.#heap.nextPs <= untilPs) {
      const slot = this.#heap.pop();
      const datagram = this.#waiting[slot]!;
      this.#waiting[slot] = undefined;
      this.#free.push(slot);
      this.#deliver(datagram);
    }
  }

  #schedule(datagram: Datagram, arrivesPs: number): void {
    datagram.arrivesPs = arrivesPs;
    const slot = this.#free.pop() ?? this.#waiting.length;
    this.#waiting[slot] = datagram;
    this.#heap.push(arrivesPs, slot);
  }

  #isLost(datagram: Datagram): boolean {
    const { node } = datagram;
    const { loss, burstLoss, lossWhenCongested } = this.#spec;
    if (this.#runLeft[node] > 0) {
      this.#runLeft[node]--;
      return true;
    }
    if (node === this.#biasedNode && this.#isCongested(datagram) && this.#loss() < lossWhenCongested!.share) return true;
    if (loss === 0) return false;
    const drawn = this.#loss();
    const alone = loss * (1 - burstLoss.share);
    if (drawn < alone) return true;
    // A run begins so seldom that runs and single losses add up to the wanted share.
    const inRuns = (loss * burstLoss.share) / burstLoss.datagrams / (1 - loss * burstLoss.share);
    if (drawn >= alone + inRuns) return false;
    this.#runLeft[node] = burstLoss.datagrams - 1;
    return true;
  }

  #isCongested({ node, reports, sentPs }: Datagram): boolean {
    const nowNs = sentPs / 1000;
    for (let i = 0; i < reports.length; i += REPORT_FIELDS) {
      if (reports[i + ReportField.egressNs] - reports[i + ReportField.enqueuedNs] < CONGESTED_WAIT_NS) continue;
      this.#congestedUntilNs[node] = nowNs + CONGESTED_NS;
    }
    return nowNs < this.#congestedUntilNs[node];
  }
}
