// How far the clocks of nodes are apart, and how they drift, by the least delays of links: no queue lies between the stamp of leaving and that of arriving.
//
//   least delays there and back, 64 slots ─▶ a line under each (lower hull) ─▶ half their difference per link ─▶ all nodes by least squares ─▶ offsets
//
// The line is the edge of the lower convex hull over the mean abscissa (Moon, Skelly and Towsley, INFOCOM'99; Zhang, Liu and Xia, INFOCOM'02); that one
// link's error is spread over the loops it is in is the network effect of Huygens (NSDI'18).
// Rule: half the difference presumes that there and back take equally long. Of a link with one direction nothing is said.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';
import type { LinkDelays } from './link-clocks.ts';

/** A node's clock against the middle one of those that it is linked with. */
export interface ClockEstimate {
  offsetNs: number;
  /** Nanoseconds per nanosecond: 1e-6 is one part in a million. */
  driftRatio: number;
  /** What the worst of its links is off by. */
  residualNs: number;
}

export interface ClockOffsetSources {
  /** Links whose both directions carry packets, each once. */
  pairs(): LinkDelays[];
  placeOfNode(nodeTag: number): Place;
  /** What the node's own clock said at node time 0, ns; undefined for a node without stamps. */
  deviceZeroNs(nodeTag: number): bigint | undefined;
  slotNs: number;
  /** Slots that are kept, and how long after a slot all of it is known. */
  slots: number;
  lagNs: number;
}

const POLL_NS = 1e9;
const MIN_SLOTS = 8;
const ROUNDS = 64;
const STAMP_BITS_32 = 2 ** 32;
/**
 * Oscillators are good for some tens of ppm; one that is worse, for so many estimates in a row and always to the same side, is broken. A single wrong delay tilts
 * the line below it, too, first down and then up, while it passes through the slots that are kept.
 */
const DRIFT_RATIO = 50e-6;
const DRIFTING_POLLS = 5;
const MIN_CLOCKS = 3;

interface Line {
  /** At the newest slot, ns, and how it moves, ns per ns. */
  atNs: number;
  slope: number;
}

interface Apart extends Line {
  fromTag: number;
  toTag: number;
}

export class ClockOffsets {
  readonly #sources: ClockOffsetSources;
  readonly #conditions: ConditionBook;
  /** By node: estimates in a row that were too much; negative where its clock loses time. */
  #drifting = new Map<number, number>();
  #polledNs = -Infinity;
  /** By node tag; nodes that no link with both directions leads to are not in it. */
  estimates: ReadonlyMap<number, ClockEstimate> = new Map();

  constructor(sources: ClockOffsetSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    if (nowNs - this.#polledNs < POLL_NS) return;
    this.#polledNs = nowNs;
    const { slotNs, lagNs } = this.#sources;
    const newest = Math.floor((nowNs - lagNs) / slotNs) - 1;
    const links = this.#sources.pairs().flatMap((pair) => this.#apartOf(pair, newest) ?? []);
    const offsets = solved(links, ({ atNs }) => atNs);
    const drifts = solved(links, ({ slope }) => slope);
    this.estimates = new Map(
      [...offsets].map(([tag, offsetNs]) => [
        tag,
        { offsetNs, driftRatio: drifts.get(tag)!, residualNs: residualOf(tag, links, offsets) },
      ]),
    );
    this.#judge(nowNs);
  }

  /** How far the second clock of a link is ahead of the first. */
  #apartOf(pair: LinkDelays, newest: number): Apart | undefined {
    const there = this.#lineOf((slot) => pair.thereNs(slot), newest);
    const back = this.#lineOf((slot) => pair.backNs(slot), newest);
    const [from, to] = [this.#sources.deviceZeroNs(pair.fromTag), this.#sources.deviceZeroNs(pair.toTag)];
    if (there === undefined || back === undefined || from === undefined || to === undefined) return undefined;
    let apartNs = (there.atNs - back.atNs) / 2 + Number(to - from);
    // Stamps of 32 bits have gone round unequally often.
    if (from < STAMP_BITS_32 && to < STAMP_BITS_32) apartNs -= Math.round(apartNs / STAMP_BITS_32) * STAMP_BITS_32;
    return { fromTag: pair.fromTag, toTag: pair.toTag, atNs: apartNs, slope: (there.slope - back.slope) / 2 };
  }

  #lineOf(delayNs: (slot: number) => number | undefined, newest: number): Line | undefined {
    const { slots, slotNs } = this.#sources;
    const points: (readonly [x: number, y: number])[] = [];
    for (let slot = newest - slots + 2; slot <= newest; slot++) {
      const ns = delayNs(slot);
      if (ns !== undefined) points.push([(slot - newest) * slotNs, ns]);
    }
    return points.length < MIN_SLOTS ? undefined : lineUnder(points);
  }

  /** Of two clocks it is not known which one drifts. */
  #judge(nowNs: number): void {
    const isKnown = this.estimates.size >= MIN_CLOCKS;
    const drifting = [...this.estimates].filter(([, { driftRatio }]) => isKnown && Math.abs(driftRatio) > DRIFT_RATIO);
    const before = this.#drifting;
    this.#drifting = new Map(
      drifting.map(([tag, { driftRatio }]) => {
        const side = Math.sign(driftRatio);
        return [tag, Math.max(0, (before.get(tag) ?? 0) * side) * side + side];
      }),
    );
    for (const [tag, { driftRatio }] of drifting) {
      const polls = Math.abs(this.#drifting.get(tag)!);
      if (polls >= DRIFTING_POLLS) this.#raise(tag, driftRatio, polls, nowNs);
    }
  }

  #raise(tag: number, driftRatio: number, polls: number, nowNs: number): void {
    this.#conditions.raise(
      {
        kind: 'clock-fault',
        place: this.#sources.placeOfNode(tag),
        fromNs: nowNs - polls * POLL_NS,
        atNs: nowNs,
        severity: 2,
        summary: `the clock of the node drifts by ${(driftRatio * 1e6).toFixed(0)} ppm against those of its neighbours`,
        numbers: { driftRatio },
      },
      nowNs,
    );
  }
}

/** The line under all points that is nearest to them: the edge of their lower hull over their mean abscissa. `points` by ascending x. */
export function lineUnder(points: readonly (readonly [x: number, y: number])[]): Line {
  const hull: (readonly [number, number])[] = [];
  for (const point of points) {
    while (hull.length >= 2 && isAbove(hull.at(-2)!, hull.at(-1)!, point)) hull.pop();
    hull.push(point);
  }
  const mean = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const right = Math.max(
    1,
    hull.findIndex(([x]) => x >= mean),
  );
  const [[x0, y0], [x1, y1]] = [hull[right - 1], hull[right]];
  const slope = (y1 - y0) / (x1 - x0);
  return { atNs: y0 - slope * x0, slope };
}

/** Whether `b` lies on or above the line from `a` to `c`. */
function isAbove(a: readonly [number, number], b: readonly [number, number], c: readonly [number, number]): boolean {
  return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0]);
}

/** Values of nodes whose differences are as near as possible to those of the links (Gauss-Seidel on the normal equations); the middle one is 0. */
function solved(links: readonly Apart[], valueOf: (link: Apart) => number): Map<number, number> {
  const values = new Map<number, number>();
  const linksOf = new Map<number, Apart[]>();
  for (const link of links) {
    for (const tag of [link.fromTag, link.toTag]) linksOf.set(tag, [...(linksOf.get(tag) ?? []), link]);
  }
  // A first guess along the links keeps the number of rounds small, however far apart the clocks are.
  for (const root of linksOf.keys()) if (!values.has(root)) spread(root, linksOf, valueOf, values);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [tag, own] of linksOf) {
      const sum = own.reduce((total, link) => total + wanted(tag, link, valueOf(link), values), 0);
      values.set(tag, sum / own.length);
    }
  }
  return centred(values, linksOf);
}

function spread(
  root: number,
  linksOf: Map<number, Apart[]>,
  valueOf: (link: Apart) => number,
  values: Map<number, number>,
): void {
  values.set(root, 0);
  const waiting = [root];
  for (let tag = waiting.pop(); tag !== undefined; tag = waiting.pop()) {
    for (const link of linksOf.get(tag)!) {
      const other = link.fromTag === tag ? link.toTag : link.fromTag;
      if (values.has(other)) continue;
      values.set(other, wanted(other, link, valueOf(link), values));
      waiting.push(other);
    }
  }
}

/** What a link says that a node's value is, given that of the other end. */
function wanted(tag: number, { fromTag, toTag }: Apart, apart: number, values: Map<number, number>): number {
  return tag === toTag ? values.get(fromTag)! + apart : values.get(toTag)! - apart;
}

/** Of nodes that are linked with one another the middle one is 0: there is no other clock to compare theirs with, and a wrong one must not move it. */
function centred(values: Map<number, number>, linksOf: Map<number, Apart[]>): Map<number, number> {
  const result = new Map<number, number>();
  for (const root of values.keys()) {
    if (result.has(root)) continue;
    const group = new Set([root]);
    for (const tag of group) for (const { fromTag, toTag } of linksOf.get(tag)!) group.add(fromTag).add(toTag);
    const sorted = [...group].map((tag) => values.get(tag)!).sort((a, b) => a - b);
    const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
    for (const tag of group) result.set(tag, values.get(tag)! - middle);
  }
  return result;
}

function residualOf(tag: number, links: readonly Apart[], offsets: Map<number, number>): number {
  const own = links.filter(({ fromTag, toTag }) => fromTag === tag || toTag === tag);
  return Math.max(...own.map(({ fromTag, toTag, atNs }) => Math.abs(offsets.get(toTag)! - offsets.get(fromTag)! - atNs)));
}
