// Clocks of nodes, by what the least delays of links tell. A packet that left A and came to B shows B's clock less A's, plus the way between them; the
// way back shows the same with the other sign. Half the difference is how far the clocks are apart (no queue lies between the two stamps).
//
//   least delay per link and 50 ms ─▶ apart(A, B) now and before ─▶ jumped on all links of one node ──▶ clock-fault
//
// Rule: without packets both ways nothing is said: a link that got longer looks like a clock that was set.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** A link in both directions, and its least delays in a slot of time, ns between the two clocks. */
export interface LinkDelays {
  fromTag: number;
  toTag: number;
  thereNs(slot: number): number | undefined;
  backNs(slot: number): number | undefined;
}

export interface ClockSources {
  /** Links whose both directions carry packets, each once. */
  pairs(): LinkDelays[];
  placeOfNode(nodeTag: number): Place;
  slotNs: number;
  /** What is known of a slot is complete so long after it. */
  lagNs: number;
}

const STEP_NS = 10e3;
/** Two clocks drift apart by some microseconds from slot to slot (Huygens, NSDI'18: 30 ppm): what is compared must be near. */
const SLOTS_BACK = 4;
const SLOTS_ASKED = 3;

export class LinkClocks {
  readonly #sources: ClockSources;
  readonly #conditions: ConditionBook;
  #slot = -1;

  constructor(sources: ClockSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    // The slot behind it has to say the same.
    const slot = Math.floor((nowNs - this.#sources.lagNs) / this.#sources.slotNs) - 2;
    if (slot === this.#slot) return;
    this.#slot = slot;
    const votes = new Map<number, Vote>();
    for (const link of this.#sources.pairs()) {
      const moved = movedBy(link, slot);
      if (moved === undefined) continue;
      for (const [tag, other, sign] of [
        [link.fromTag, link.toTag, -1],
        [link.toTag, link.fromTag, 1],
      ] as const) {
        const vote = votes.get(tag) ?? { jumpedFrom: new Set<number>(), still: 0, byNs: 0 };
        votes.set(tag, vote);
        if (Math.abs(moved.jumpNs) < STEP_NS) vote.still++;
        else if (moved.isLasting) {
          vote.jumpedFrom.add(other);
          vote.byNs = sign * moved.jumpNs;
        }
      }
    }
    for (const [tag, { jumpedFrom, still, byNs }] of votes) {
      // Its neighbour's links to others stand still; its own have all moved. Of two that are known by their links with one another only, it may have been either.
      const [only] = jumpedFrom;
      const isOther = jumpedFrom.size === 1 && votes.get(only)!.still === 0;
      if (jumpedFrom.size === 0 || still > 0 || isOther) continue;
      this.#conditions.raise(
        {
          kind: 'clock-fault',
          place: this.#sources.placeOfNode(tag),
          fromNs: slot * this.#sources.slotNs,
          atNs: (slot + 1) * this.#sources.slotNs,
          severity: 2,
          summary: `the clock of the node jumped by ${(byNs / 1e3).toFixed(0)} µs`,
          numbers: { stepNs: byNs },
        },
        nowNs,
      );
    }
  }
}

interface Vote {
  /** Neighbours whose clocks it moved against. */
  jumpedFrom: Set<number>;
  still: number;
  byNs: number;
}

/**
 * By how much the clocks moved against each other since the slots before, and whether they stay there: one bad slot is no step, and the slot in which a clock
 * was set may show a part of it. Undefined where too little is known; one bad slot among those before does not count.
 */
function movedBy(link: LinkDelays, slot: number): { jumpNs: number; isLasting: boolean } | undefined {
  const [now, later] = [apartNs(link, slot), apartNs(link, slot + 1)];
  if (now === undefined || later === undefined) return undefined;
  const before: number[] = [];
  for (let back = 1; back <= SLOTS_BACK; back++) {
    const ns = apartNs(link, slot - back);
    if (ns !== undefined && before.length < SLOTS_ASKED) before.push(ns);
  }
  if (before.length < SLOTS_ASKED) return undefined;
  before.sort((a, b) => a - b);
  const median = before[(SLOTS_ASKED - 1) / 2];
  const jumpNs = now - median;
  return { jumpNs, isLasting: (later - median) * Math.sign(jumpNs) > Math.abs(jumpNs) / 2 };
}

/** How far the clock of the second node is ahead of that of the first, ns; undefined when no packets went both ways in that slot. */
function apartNs(link: LinkDelays, slot: number): number | undefined {
  const there = link.thereNs(slot);
  const back = link.backNs(slot);
  return there === undefined || back === undefined ? undefined : (there - back) / 2;
}
