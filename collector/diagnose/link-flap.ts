// Links that go down and come back. Nothing leaves by an interface where something did, and flows have left it for others: it is down; something leaves
// again: it is up. Three turns in a minute are a flap.
//
//   per poll and interface: reports of packets that left · flows that left it · histories that ended here ─▶ down, up ──▶ link-flap
//
// Behind a link that is down, others fall silent with it, because nothing comes to them any more. Histories of packets tell which of them it was: those of
// the last packets end in front of it.
// Rule: without them, of several links that turn together, none is accused.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** One interface that has a neighbour, as far as whether it is up is concerned. */
export interface LinkUse {
  row: number;
  /** The same for both directions of a link. */
  link: number;
  nodeTag: number;
  peerTag: number;
  /** Reports of packets that left by it. */
  reports: number;
  /** Whether they tell of changes only. */
  isFiltered: boolean;
  /** Packets that were seen behind it, and that left by it and were not seen again. */
  followed: number;
  unseen: number;
  /** Collector time when a flow last left this interface for another, ns, and how many did so about then. */
  leftNs: number;
  leftFlows: number;
  /** Names, for when there is something to tell: the end that is nearer to the core, and the node at the other. */
  describe(): { place: Place; peer: Place };
}

/** An interface by which nothing leaves for so long, though something did; where nodes report changes only, they do so once in 2^30 ns. */
const DOWN_NS = 200e6;
const DOWN_FILTERED_NS = 1.2e9;
/** Reports that should have come by then, had the link gone on: none of 14 is one chance in a million. */
const ABSENT_REPORTS = 14;
/** Traffic may just have ended: where a link goes down, so many flows take other ways, at most so long before its last packet is reported. */
const MIN_LEFT_FLOWS = 2;
const LEAVING_NS = 500e6;
/** How quickly the rate of reports is believed to change, ns. */
const RATE_NS = 1e9;
const FLAP_TRANSITIONS = 3;
const FLAP_WINDOW_NS = 60e9;
const MAX_TRANSITIONS = 32;
/** Links that turn within this do so together. */
const TOGETHER_NS = 1.5e9;
/** Histories that end in front of a link of which it must have more than any that turns with it. */
const MIN_UNSEEN = 2;

interface Known {
  use: LinkUse;
  /** When last looked; and when reports were last seen to rise, ns. */
  reports: number;
  followed: number;
  unseen: number;
  polledNs: number;
  lastReportNs: number;
  /** Reports per ns of late, and as they were when the newest came. */
  perNs: number;
  usualPerNs: number;
  /** Packets that were not seen again since one was followed, and of all times that it went down. */
  unseenLately: number;
  unseenBefore: number;
  isDown: boolean;
  turnedNs: number[];
}

export class LinkFlapDetector {
  readonly #links: () => readonly LinkUse[];
  readonly #conditions: ConditionBook;
  readonly #known = new Map<number, Known>();

  constructor(links: () => readonly LinkUse[], conditions: ConditionBook) {
    this.#links = links;
    this.#conditions = conditions;
  }

  /** Whether the link of this interface is down. */
  isDown(row: number): boolean {
    return this.#known.get(row)?.isDown === true;
  }

  poll(nowNs: number): void {
    for (const use of this.#links()) {
      const known = this.#known.get(use.row);
      if (known === undefined || use.reports < known.reports) this.#known.set(use.row, begun(use, nowNs));
      else this.#watch(use, known, nowNs);
    }
  }

  #watch(use: LinkUse, known: Known, nowNs: number): void {
    const elapsedNs = Math.max(1, nowNs - known.polledNs);
    const reports = use.reports - known.reports;
    known.unseenLately = use.followed > known.followed ? 0 : known.unseenLately + use.unseen - known.unseen;
    known.perNs += (1 - Math.exp(-elapsedNs / RATE_NS)) * (reports / elapsedNs - known.perNs);
    Object.assign(known, { use, reports: use.reports, followed: use.followed, unseen: use.unseen, polledNs: nowNs });
    if (reports > 0) {
      if (known.isDown) this.#turn(known, nowNs, nowNs);
      known.isDown = false;
      known.lastReportNs = nowNs;
      known.usualPerNs = known.perNs;
      return;
    }
    const quietNs = nowNs - known.lastReportNs;
    const isQuiet = quietNs >= (use.isFiltered ? DOWN_FILTERED_NS : DOWN_NS) && quietNs * known.usualPerNs >= ABSENT_REPORTS;
    const isLeft = use.leftFlows >= MIN_LEFT_FLOWS && use.leftNs > known.lastReportNs - LEAVING_NS;
    if (known.isDown || !isQuiet || !isLeft) return;
    known.isDown = true;
    known.unseenBefore += known.unseenLately;
    this.#turn(known, known.lastReportNs, nowNs);
  }

  /** The link went down, or came back. */
  #turn(known: Known, atNs: number, nowNs: number): void {
    known.turnedNs = [...known.turnedNs.filter((ns) => nowNs - ns < FLAP_WINDOW_NS), atNs].slice(-MAX_TRANSITIONS);
    if (known.turnedNs.length < FLAP_TRANSITIONS || !this.#isTheOne(known)) return;
    const { place, peer } = known.use.describe();
    this.#conditions.raise(
      {
        kind: 'link-flap',
        place,
        fromNs: known.turnedNs[0],
        atNs,
        severity: 3,
        summary: `the link to ${peer.node} went down or came back ${known.turnedNs.length} times within a minute`,
        numbers: { transitions: known.turnedNs.length },
      },
      nowNs,
    );
  }

  /** Whether of the links of its nodes that turn with it, more packets were lost in front of this one than of any other. */
  #isTheOne(known: Known): boolean {
    const all = [...this.#known.values()];
    const unseenOf = (link: number): number => all.reduce((sum, one) => sum + (one.use.link === link ? one.unseenBefore : 0), 0);
    const { nodeTag, peerTag, link } = known.use;
    const rivals = all.filter(
      ({ use, turnedNs }) =>
        use.link !== link &&
        [use.nodeTag, use.peerTag].some((tag) => tag === nodeTag || tag === peerTag) &&
        turnedNs.some((ns) => known.turnedNs.some((own) => Math.abs(ns - own) < TOGETHER_NS)),
    );
    // Where histories are to be had, a link that went down has cut some.
    const isSeen = known.use.followed === 0 || unseenOf(link) >= MIN_UNSEEN;
    return isSeen && rivals.every(({ use }) => unseenOf(link) >= unseenOf(use.link) + MIN_UNSEEN);
  }
}

function begun(use: LinkUse, nowNs: number): Known {
  const { reports, followed, unseen } = use;
  const counts = { reports, followed, unseen, unseenLately: 0, unseenBefore: 0 };
  return { use, ...counts, polledNs: nowNs, lastReportNs: nowNs, perNs: 0, usualPerNs: 0, isDown: false, turnedNs: [] };
}
