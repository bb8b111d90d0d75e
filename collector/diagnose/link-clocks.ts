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

  /** How far the clock of the second node is ahead of that of the first, ns; undefined when no packets went both ways in that slot. */
  static apartNs(link: LinkDelays, slot: number): number | undefined {
    const there = link.thereNs(slot);
    const back = link.backNs(slot);
    return there === undefined || back === undefined ? undefined : (there - back) / 2;
  }

  poll(nowNs: number): void {
    // The slot behind it has to say the same.
    const slot = Math.floor((nowNs - this.#sources.lagNs) / this.#sources.slotNs) - 2;
    if (slot === this.#slot) return;
    this.#slot = slot;
    const votes = new Map<number, { jumped: number; still: number; byNs: number }>();
    const voteOf = (tag: number): { jumped: number; still: number; byNs: number } => {
      const known = votes.get(tag) ?? { jumped: 0, still: 0, byNs: 0 };
      votes.set(tag, known);
      return known;
    };
    for (const link of this.#sources.pairs()) {
      const jumpNs = jumpOf(link, slot);
      const laterNs = LinkClocks.apartNs(link, slot + 1);
      const nowApartNs = LinkClocks.apartNs(link, slot);
      if (jumpNs === undefined || laterNs === undefined || nowApartNs === undefined) continue;
      // One bad slot is no step: a clock that was set stays where it is, or the slot in which it was set shows a part of it.
      const isLasting = (jumpNs + laterNs - nowApartNs) * Math.sign(jumpNs) > Math.abs(jumpNs) / 2;
      for (const [tag, sign] of [
        [link.fromTag, -1],
        [link.toTag, 1],
      ] as const) {
        const vote = voteOf(tag);
        if (Math.abs(jumpNs) < STEP_NS) vote.still++;
        else if (isLasting) {
          vote.jumped++;
          vote.byNs = sign * jumpNs;
        }
      }
    }
    for (const [tag, { jumped, still, byNs }] of votes) {
      // Its neighbour's links to others stand still; its own have all moved.
      if (jumped === 0 || still > 0) continue;
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

/** By how much the clocks moved against each other since the slots before; undefined where too little is known. One bad slot among them does not count. */
function jumpOf(link: LinkDelays, slot: number): number | undefined {
  const now = LinkClocks.apartNs(link, slot);
  if (now === undefined) return undefined;
  const before: number[] = [];
  for (let back = 1; back <= SLOTS_BACK; back++) {
    const ns = LinkClocks.apartNs(link, slot - back);
    if (ns !== undefined && before.length < SLOTS_ASKED) before.push(ns);
  }
  if (before.length < SLOTS_ASKED) return undefined;
  before.sort((a, b) => a - b);
  return now - before[(SLOTS_ASKED - 1) / 2];
}
