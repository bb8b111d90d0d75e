// Links that lose packets without a word. Packets whose histories end in front of a link are counted, and so are segments that were sent again after they
// had got as far as that (007, NSDI'18, votes alike).
//
//   per second and interface: followed · unseen · resent ─▶ more unseen than reports are lost ──▶ silent-loss
//
// Rule: a link that lost everything lost nothing silently, and one that swallows a prefix is a blackhole: both are told as that.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** One interface that has a neighbour, as far as losses on the way there are concerned. */
export interface LinkCounts {
  row: number;
  followed: number;
  unseen: number;
  resent: number;
  /** The same in front of the links of the neighbour. */
  resentBehind: number;
  /** Share of the neighbour's reports that do not arrive. */
  peerReportLoss: number;
  /** Reports of the neighbour that did not arrive, so far. */
  peerReportsLost: number;
  /** Collector time when a flow last left this interface, or its node, for another, ns. */
  leftNs: number;
}

export interface LinkSources {
  links(): readonly LinkCounts[];
  /** Whether it swallows what goes to some addresses, or is down: that is told otherwise. */
  isBroken(row: number): boolean;
  /** The interface, and the neighbour. */
  describe(row: number): { place: Place; peer: Place };
}

const BIN_NS = 1e9;
const BINS = 4;
/** Segments that are sent again are few: they are counted for longer. */
const RESENT_BINS = 8;
/** Shorter than the time after which a condition that is not raised any more is over. */
const ONGOING_NS = 2.5e9;
/** Reports are lost in runs: their number varies so much more than if each was lost by itself. */
const OVERDISPERSION = 8;
const SIGMAS = 5;
const MIN_EXCESS = 8;
/** How many reports were in a datagram that did not arrive is not known: congestion, which loses them, fills them too. */
const UNCERTAIN = 2;
/** Less than this is within what histories get wrong by themselves. */
const MIN_RATIO = 5e-4;
const MIN_FOLLOWED = 20;
/** With more of the neighbour's reports lost than this, segments that seem to have been sent again from here were sent again from elsewhere. */
const MOST_UNHEARD = 1 / 3;
/** Losses shortly before flows leave the interface are those of a link that went down. */
const LEAVING_NS = 500e6;
/** Nobody takes a link for lossy that loses more than this: so many in a row that it cannot be chance were lost by a link that was down, or are not told of. */
const MOST_LOSS = 0.3;
const OUTAGE_NATS = 7;

interface Bin extends Counts {
  /** Collector time of the first and the last packet that was lost in it; 0: none was. */
  firstLostNs: number;
  lastLostNs: number;
}

interface Counts {
  followed: number;
  unseen: number;
  resent: number;
  resentBehind: number;
  /** Reports of the neighbour that did not arrive: so many packets may have been there, unheard. */
  unheard: number;
}

interface Known extends Counts {
  bins: Bin[];
  binNs: number;
  /** When the first segment was sent again, of those that are no further apart than what is judged at once, and the newest, ns. */
  resentFromNs: number;
  resentLastNs: number;
  /** Unseen since something was followed: counted once it is known that the link was up. */
  pending: number;
}

export class LinkLossDetector {
  readonly #sources: LinkSources;
  readonly #conditions: ConditionBook;
  readonly #known = new Map<number, Known>();

  constructor(sources: LinkSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    for (const link of this.#sources.links()) {
      const known = this.#known.get(link.row);
      if (known === undefined || link.followed < known.followed) {
        const { followed, unseen, resent, resentBehind, peerReportsLost: unheard } = link;
        this.#known.set(link.row, {
          followed,
          unseen,
          resent,
          resentBehind,
          unheard,
          bins: [],
          binNs: nowNs,
          pending: 0,
          resentFromNs: 0,
          resentLastNs: -Infinity,
        });
        continue;
      }
      const followed = link.followed - known.followed;
      const unseen = link.unseen - known.unseen;
      const resent = link.resent - known.resent;
      const resentBehind = Math.max(0, link.resentBehind - known.resentBehind);
      known.resentBehind = link.resentBehind;
      const unheard = Math.max(0, link.peerReportsLost - known.unheard);
      known.unheard = link.peerReportsLost;
      known.followed = link.followed;
      known.unseen = link.unseen;
      known.resent = link.resent;
      this.#count(link, known, { followed, unseen, resent, resentBehind, unheard }, nowNs);
    }
  }

  #count(link: LinkCounts, known: Known, more: Counts, nowNs: number): void {
    if (known.bins.length === 0 || nowNs - known.binNs >= BIN_NS) {
      this.#judge(link, known, nowNs);
      known.bins.push({ followed: 0, unseen: 0, resent: 0, resentBehind: 0, unheard: 0, firstLostNs: 0, lastLostNs: 0 });
      if (known.bins.length > RESENT_BINS) known.bins.shift();
      known.binNs = nowNs;
    }
    const bin = known.bins.at(-1)!;
    bin.followed += more.followed;
    bin.unheard += more.unheard;
    bin.resentBehind += more.resentBehind;
    if (nowNs - link.leftNs < LEAVING_NS) {
      known.pending = 0;
      return;
    }
    if (more.followed === 0) known.pending += more.unseen;
    else {
      const isOutage = nats(Math.max(MOST_LOSS, link.peerReportLoss), known.pending) >= OUTAGE_NATS;
      this.#add(bin, more.unseen + (isOutage ? 0 : known.pending), 0, nowNs);
      known.pending = 0;
    }
    this.#add(bin, 0, more.resent, nowNs);
    if (more.resent === 0) return;
    // What is not heard of again for so long is over.
    if (nowNs - known.resentLastNs > BINS * BIN_NS) known.resentFromNs = nowNs;
    known.resentLastNs = nowNs;
  }

  #add(bin: Bin, unseen: number, resent: number, nowNs: number): void {
    if (unseen + resent === 0) return;
    bin.unseen += unseen;
    bin.resent += resent;
    bin.lastLostNs = nowNs;
    if (bin.firstLostNs === 0) bin.firstLostNs = nowNs;
  }

  /** Over the newest full seconds: more packets unseen than the neighbour's lost reports explain, in more than one of them. */
  #judge(link: LinkCounts, known: Known, nowNs: number): void {
    const bins = known.bins.slice(-BINS);
    const sumOf = (some: readonly Bin[], of: keyof Counts): number => some.reduce((total, bin) => total + bin[of], 0);
    const sum = (of: keyof Counts): number => sumOf(bins, of);
    const followed = sum('followed');
    if (bins.length < BINS || followed < MIN_FOLLOWED) return;
    const all = followed + sum('unseen');
    const p = Math.min(0.95, link.peerReportLoss);
    const excess = sum('unseen') - p * all;
    // Of segments that were lost further on, some seem to have been lost here, because the neighbour's report was lost too.
    const resent = sumOf(known.bins, 'resent') - (UNCERTAIN * p * sumOf(known.bins, 'resentBehind')) / (1 - p);
    const noise = Math.sqrt(all * p * (1 - p) * OVERDISPERSION);
    // Histories that end here are not evidence enough by themselves where reports are lost; segments that were sent again are.
    const isBeyondDoubt = excess >= SIGMAS * noise + MIN_EXCESS && sum('unseen') > UNCERTAIN * sum('unheard') + MIN_EXCESS;
    const isGoingOn = nowNs - known.resentLastNs <= ONGOING_NS;
    const isProven = isBeyondDoubt || (isGoingOn && resent >= MIN_EXCESS && p < MOST_UNHEARD);
    const isSpread = bins.filter(({ unseen, resent }) => unseen + resent > 0).length >= 2;
    const ratio = Math.max(excess / all, resent / sumOf(known.bins, 'followed'));
    if (!isProven || !isSpread || ratio < MIN_RATIO || this.#sources.isBroken(link.row)) return;
    const { place, peer } = this.#sources.describe(link.row);
    const firstLostNs = bins.find((bin) => bin.firstLostNs > 0)!.firstLostNs;
    this.#conditions.raise(
      {
        kind: 'silent-loss',
        place,
        fromNs: resent > 0 ? Math.min(firstLostNs, known.resentFromNs) : firstLostNs,
        atNs: isBeyondDoubt ? Math.max(...bins.map(({ lastLostNs }) => lastLostNs)) : known.resentLastNs,
        severity: 4,
        summary: `the link to ${peer.node} loses about ${(ratio * 100).toPrecision(2)} % of its packets, and no switch says so`,
        numbers: { lossRatio: ratio, unseenPackets: sum('unseen'), resentPackets: resent, followedPackets: followed },
      },
      nowNs,
    );
  }
}

/** How unlikely it is that so many packets in a row were lost, each with that chance: minus the logarithm. */
function nats(chance: number, packets: number): number {
  return -Math.log(Math.min(0.95, chance)) * packets;
}
