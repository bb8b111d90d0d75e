// Clocks that were set, by how long reports seem to be under way: the least delay of a node's reports jumps, and those of the others do not.
//
//   node ─▶ least difference of arrival and stamp per 50 ms ─▶ another one than before, and again in the slot after ──▶ clock-fault
//
// Rougher than what links tell (diagnose/link-clocks), because delivery varies; but one report in a slot is enough, whatever switches leave out.
// Rule: what moves with all nodes is our own clock, or the way to us.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** The newest slot of a node that is over: its number, and the least difference of arrival and stamp in it, ns. */
export interface NodeDelay {
  tag: number;
  slot: number;
  leastNs: number;
}

export interface ClockStepSources {
  delays(): readonly NodeDelay[];
  placeOfNode(nodeTag: number): Place;
  slotNs: number;
}

/** Less than this is how delivery varies. */
const STEP_NS = 1e6;
/** Slots that must agree before a step, and how many nodes there must be to tell which of them it was. */
const SLOTS_BEFORE = 4;
const MIN_NODES = 3;
/** Nodes that jump within so many slots of one another did not do so by themselves. */
const TOGETHER_SLOTS = 2;

interface Known {
  slot: number;
  /** Least delays of the newest slots, the newest last. */
  recent: number[];
  /** Slot and size of the newest step. */
  steppedSlot: number;
  byNs: number;
  isTold: boolean;
}

export class ClockSteps {
  readonly #sources: ClockStepSources;
  readonly #conditions: ConditionBook;
  readonly #known = new Map<number, Known>();

  constructor(sources: ClockStepSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    for (const delay of this.#sources.delays()) this.#take(delay);
    for (const [tag, known] of this.#known) if (!known.isTold) this.#judge(tag, known, nowNs);
  }

  #take({ tag, slot, leastNs }: NodeDelay): void {
    const known = this.#known.get(tag) ?? { slot: -1, recent: [], steppedSlot: -Infinity, byNs: 0, isTold: true };
    this.#known.set(tag, known);
    if (slot <= known.slot) return;
    known.recent = [...known.recent, leastNs].slice(-(SLOTS_BEFORE + 2));
    const before = known.recent.slice(0, SLOTS_BEFORE);
    const after = known.recent.slice(SLOTS_BEFORE);
    const isSettled = Math.max(...before) - Math.min(...before) < STEP_NS / 2;
    if (after.length === 2 && isSettled && Math.abs(after[1] - after[0]) < STEP_NS / 2) {
      const byNs = before.at(-1)! - after[0];
      if (Math.abs(byNs) > STEP_NS) Object.assign(known, { steppedSlot: known.slot, byNs, isTold: false });
    }
    known.slot = slot;
  }

  /** Waits until the others have told of the same time. */
  #judge(tag: number, known: Known, nowNs: number): void {
    const { slotNs } = this.#sources;
    const others = [...this.#known].filter(([other]) => other !== tag).map(([, other]) => other);
    const newest = Math.floor(nowNs / slotNs);
    if (newest < known.steppedSlot + 2 * TOGETHER_SLOTS) return;
    known.isTold = true;
    const isAlone = others.every(({ steppedSlot }) => Math.abs(steppedSlot - known.steppedSlot) > TOGETHER_SLOTS);
    if (others.length < MIN_NODES - 1 || !isAlone) return;
    this.#conditions.raise(
      {
        kind: 'clock-fault',
        place: this.#sources.placeOfNode(tag),
        fromNs: known.steppedSlot * slotNs,
        atNs: (known.steppedSlot + 1) * slotNs,
        severity: 2,
        summary: `the clock of the node jumped by ${(known.byNs / 1e3).toFixed(0)} µs`,
        numbers: { stepNs: known.byNs },
      },
      nowNs,
    );
  }
}
