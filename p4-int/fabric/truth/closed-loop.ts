// The true counterfactual: the whole run again without a workload, in which senders that adapt have adapted. How much less lay in the queue then?

import type { Scenario } from '../scenario.ts';
import { Simulator } from '../simulator.ts';
import type { QueueEvent, TrueCounterfactual } from './queue-event.ts';

/** Workloads that are tried; each costs a run. */
const MAX_WORKLOADS = 2;

export class ClosedLoop {
  /** By event and workload. */
  readonly #shares = new Map<QueueEvent, Map<number, number>>();

  /** Runs the scenario once for each of the workloads that put most into its build-ups. */
  constructor(scenario: Scenario, seed: number, events: readonly QueueEvent[]) {
    const bytes = new Map<number, number>();
    for (const { inBuildUp } of events) {
      for (const { of, bytes: more } of inBuildUp) bytes.set(of, (bytes.get(of) ?? 0) + more);
    }
    const owners = [...bytes].sort((a, b) => b[1] - a[1]).slice(0, MAX_WORKLOADS);
    for (const [owner] of owners) {
      const areas = areasWithout(scenario, seed, scenario.workloads[owner].name, events);
      events.forEach((event, i) => {
        const whole = event.residence.reduce((sum, { bytes: area }) => sum + area, 0);
        if (whole === 0) return;
        const shares = this.#shares.get(event) ?? new Map<number, number>();
        this.#shares.set(event, shares.set(owner, Math.max(0, 1 - areas[i] / whole)));
      });
    }
  }

  /** All workloads that were tried. */
  sharesOf(event: QueueEvent): TrueCounterfactual[] {
    return [...(this.#shares.get(event) ?? [])].map(([owner, share]) => ({ owner, share }));
  }

  /** How much smaller the queue was without the workload, 0 to 1; undefined where it was not tried. */
  shareOf(event: QueueEvent, owner: number): number | undefined {
    return this.#shares.get(event)?.get(owner);
  }
}

/** Octets times ps that packets waited in the queue of each event, between its build-up and its end, when the workload sends nothing. */
function areasWithout(scenario: Scenario, seed: number, workload: string, events: readonly QueueEvent[]): number[] {
  const areas = events.map(() => 0);
  const byQueue = new Map<number, number[]>();
  const classes = scenario.fabric.classes.length;
  events.forEach(({ port, cls }, i) => {
    const q = port * classes + cls;
    byQueue.set(q, [...(byQueue.get(q) ?? []), i]);
  });
  const simulator: Simulator = new Simulator(
    scenario,
    seed,
    [
      {
        left: (packet) => {
          const { packets, nowPs } = simulator;
          const here = byQueue.get(packets.egressPort[packet] * classes + packets.queue[packet]);
          if (here === undefined) return;
          const enteredPs = packets.enqueuedPs[packet];
          const i = eventAt(events, here, enteredPs);
          if (i !== undefined) areas[i] += packets.bytes[packet] * (nowPs - enteredPs);
        },
      },
    ],
    workload,
  );
  simulator.run(scenario.duration);
  return areas;
}

/** Of the events `here` (in order of time, apart from one another) the one that covers the moment. */
function eventAt(events: readonly QueueEvent[], here: readonly number[], atPs: number): number | undefined {
  let [low, high] = [0, here.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (events[here[middle]].buildUpPs <= atPs) low = middle;
    else high = middle - 1;
  }
  const { buildUpPs, endPs } = events[here[low]];
  return atPs >= buildUpPs && atPs < endPs ? here[low] : undefined;
}
