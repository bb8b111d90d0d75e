// Clocks that were set, by how long reports seem to be under way: what can be told without links.
//
//   node ─▶ least difference of arrival and stamp per 50 ms ─▶ less than it ever was, and again in the slot after, at this node alone ──▶ clock-fault
//   node ─▶ stamps from the future or from long ago, which agree with one another (observe/clock) ──▶ clock-fault
//
// Rougher than diagnose/link-clocks, because delivery varies; but one report in a slot is enough, whatever switches leave out.
// Rule: reports that seem to take longer may have waited on their way. Only what seems to arrive before its time shows that a clock was set.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** What a node's stamps have told lately. */
export interface NodeDelay {
  tag: number;
  /** The newest slot that is over: its number, and the least difference of arrival and stamp in it, ns. */
  slot: number;
  leastNs: number;
  /** How often its clock was seen to be set or to begin again, so far. */
  steps: number;
}

export interface ClockStepSources {
  delays(): readonly NodeDelay[];
  placeOfNode(nodeTag: number): Place;
  slotNs: number;
}

/** Less than this is how delivery varies. */
const STEP_NS = 1e6;
/** A clock that nobody sets may run so much too slow or too fast. */
const DRIFT_RATIO = 100e-6;
/** Slots of a node before a step of it is believed, and nodes that must be heard to tell which of them it was. */
const SLOTS_BEFORE = 4;
const MIN_NODES = 3;
/** Nodes that jump within so many slots of one another did not do so by themselves; a node without a slot for so many is not heard. */
const TOGETHER_SLOTS = 20;
const HEARD_SLOTS = 40;

interface Known {
  slot: number;
  slots: number;
  steps: number;
  /** The least of all slots, as much as the clock may have drifted since. */
  leastNs: number;
  /** A slot that was less than that, and by how much; it counts when the next one agrees. */
  suspectSlot: number;
  suspectByNs: number;
  steppedSlot: number;
}

export class ClockSteps {
  readonly #sources: ClockStepSources;
  readonly #conditions: ConditionBook;
  #known = new Map<number, Known>();

  constructor(sources: ClockStepSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    const delays = this.#sources.delays();
    this.#known = new Map(delays.map((delay) => [delay.tag, this.#known.get(delay.tag) ?? begun(delay)]));
    for (const delay of delays) this.#take(delay, nowNs);
  }

  #take({ tag, slot, leastNs, steps }: NodeDelay, nowNs: number): void {
    const known = this.#known.get(tag)!;
    if (steps > known.steps) {
      this.#raise(tag, slot, 'was set, or began again', {}, nowNs);
      Object.assign(known, begun({ tag, slot, leastNs, steps }));
      return;
    }
    if (slot <= known.slot) return;
    const driftNs = (slot - known.slot) * this.#sources.slotNs * DRIFT_RATIO;
    known.leastNs += driftNs;
    const byNs = known.leastNs - leastNs;
    if (byNs <= STEP_NS + 2 * driftNs || known.slots < SLOTS_BEFORE) {
      known.leastNs = Math.min(known.leastNs, leastNs);
      known.suspectByNs = 0;
    } else if (Math.abs(byNs - known.suspectByNs) > STEP_NS / 2) Object.assign(known, { suspectSlot: slot, suspectByNs: byNs });
    else {
      Object.assign(known, { leastNs, steppedSlot: known.suspectSlot, suspectByNs: 0 });
      if (this.#isAlone(tag, slot))
        this.#raise(tag, known.steppedSlot, `jumped by ${(byNs / 1e3).toFixed(0)} µs`, { stepNs: byNs }, nowNs);
    }
    known.slot = slot;
    known.slots++;
  }

  /** Whether others are heard that show that it is not our own clock, and none of which moved. */
  #isAlone(tag: number, slot: number): boolean {
    const others = [...this.#known]
      .filter(([other, known]) => other !== tag && slot - known.slot < HEARD_SLOTS)
      .map(([, known]) => known);
    const isMoved = ({ steppedSlot, suspectByNs }: Known): boolean => suspectByNs > 0 || slot - steppedSlot < TOGETHER_SLOTS;
    return others.length >= MIN_NODES - 1 && !others.some(isMoved);
  }

  #raise(tag: number, slot: number, what: string, numbers: Record<string, number>, nowNs: number): void {
    const { slotNs } = this.#sources;
    const interval = { fromNs: slot * slotNs, atNs: (slot + 1) * slotNs };
    const summary = `the clock of the node ${what}`;
    this.#conditions.raise(
      { kind: 'clock-fault', place: this.#sources.placeOfNode(tag), ...interval, severity: 2, summary, numbers },
      nowNs,
    );
  }
}

function begun({ slot, leastNs, steps }: NodeDelay): Known {
  return { slot, slots: 1, steps, leastNs, suspectSlot: 0, suspectByNs: 0, steppedSlot: -Infinity };
}
