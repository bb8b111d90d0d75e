// Running totals of what the diagnosis found, for counters: closed events per queue, waits suffered and caused per workload.

import { EVENT_KINDS, type CongestionEvent } from './event.ts';
import type { Names } from './names.ts';
import type { SharedState } from './shared-state.ts';

/** Names of workloads are free text from outside: this many are told apart in counters, the rest is "others". */
const MAX_WORKLOADS = 2000;

/** Running totals per workload, for counters. */
export interface WorkloadTotals {
  namespace: string;
  workload: string;
  /** Wait that it suffered, and wait of others during build-ups that it led, ns. */
  excessWaitNs: number;
  blameNs: number;
}

export class Totals {
  readonly workloads = new Map<string, WorkloadTotals>();
  readonly #state: SharedState;
  readonly #names: Names;
  /** Closed events by queue row and kind, and the owner of the row that they were counted for. */
  readonly #closedEvents: Float64Array;
  readonly #closedGeneration: Int32Array;

  constructor(state: SharedState, names: Names) {
    this.#state = state;
    this.#names = names;
    this.#closedEvents = new Float64Array(state.queues.keys.capacity * EVENT_KINDS.length);
    this.#closedGeneration = new Int32Array(state.queues.keys.capacity);
  }

  /** Adds a closed event up. */
  add(event: CongestionEvent): void {
    this.#countClosed(event);
    const harmNs = event.victims.reduce((sum, victim) => sum + victim.excessWaitSumNs, 0);
    const ownHarm = new Map<WorkloadTotals, number>();
    for (const victim of event.victims) {
      const totals = this.#totalsOf(victim.namespace, victim.workload);
      totals.excessWaitNs += victim.excessWaitSumNs;
      ownHarm.set(totals, victim.excessWaitSumNs);
    }
    for (const culprit of event.culprits) {
      if (culprit.kind === 'unknown') continue;
      const totals = this.#totalsOf(culprit.namespace, culprit.workload);
      totals.blameNs += (harmNs - (ownHarm.get(totals) ?? 0)) * culprit.buildUpShare;
    }
  }

  #countClosed(event: CongestionEvent): void {
    const row = this.#names.queueRowOf(event.queue);
    if (row === undefined) return;
    const kinds = EVENT_KINDS.length;
    const generation = this.#state.queues.keys.generationOf(row);
    if (this.#closedGeneration[row] !== generation) this.#closedEvents.fill(0, row * kinds, (row + 1) * kinds);
    this.#closedGeneration[row] = generation;
    this.#closedEvents[row * kinds + EVENT_KINDS.indexOf(event.kind)]++;
  }

  #totalsOf(namespace: string, workload: string): WorkloadTotals {
    const key = `${namespace}/${workload}`;
    const known = this.workloads.get(key);
    if (known !== undefined) return known;
    if (this.workloads.size >= MAX_WORKLOADS) return this.#totalsOf('others', 'others');
    const totals = { namespace, workload, excessWaitNs: 0, blameNs: 0 };
    this.workloads.set(key, totals);
    return totals;
  }

  /** Events of a queue that have closed, by kind. */
  closedEvents(row: number, kind: CongestionEvent['kind']): number {
    if (this.#closedGeneration[row] !== this.#state.queues.keys.generationOf(row)) return 0;
    return this.#closedEvents[row * EVENT_KINDS.length + EVENT_KINDS.indexOf(kind)];
  }
}
