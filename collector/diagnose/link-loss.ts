// Links that lose packets without a word, and links that go down and come back. Packets whose histories end in front of a link are counted, and
// so are segments that were sent again after they had got as far as that (007, NSDI'18, votes alike).
//
//   per second and interface: followed · unseen · resent ─▶ more unseen than reports are lost ──▶ silent-loss
//   none followed where some were, and some unseen ──▶ down; followed again ──▶ up; three times in a minute ──▶ link-flap
//
// Rule: a link that lost everything lost nothing silently, and one that swallows a prefix is a blackhole: both are told as that.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** One interface that has a neighbour. */
export interface LinkCounts {
  row: number;
  place: Place;
  /** Where it leads to. */
  peer: Place;
  /** Whether the neighbour is nearer to the core than this node: links are named by that end. */
  peerIsCore: boolean;
  /** The other direction of the link, as the neighbour names its end; undefined when that is not known. */
  peerPlace: Place | undefined;
  followed: number;
  unseen: number;
  resent: number;
  /** Share of the neighbour's reports that do not arrive. */
  peerReportLoss: number;
  /** Reports of the neighbour that did not arrive, so far. */
  peerReportsLost: number;
  /** Collector time when a flow last left this interface for another, ns. */
  leftNs: number;
}

export interface LinkSources {
  links(): LinkCounts[];
  isBlackhole(row: number): boolean;
  /** Collector time when a flow last took another way, ns. */
  lastMoveNs(): number;
}

const BIN_NS = 1e9;
const BINS = 4;
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
/** A link without any packet for so long, on which there were some, and whose last packets were not seen behind it. */
const DOWN_NS = 200e6;
const MIN_UNSEEN_NATS = 7;
/** Packets that should have come by then, had the link gone on: none of 14 is one chance in a million. */
const ABSENT_PACKETS = 14;
/** Losses shortly before flows leave the interface are those of a link that went down. */
const LEAVING_NS = 500e6;
/** Nobody takes a link for lossy that loses more than this: so many in a row that it cannot be chance were lost by a link that was down, or are not told of. */
const MOST_LOSS = 0.3;
/** How quickly the rate of packets is believed to change, ns. */
const RATE_NS = 1e9;
const AVOIDED_NS = 0.5e9;
const FLAP_TRANSITIONS = 3;
const FLAP_WINDOW_NS = 60e9;

interface Bin extends Counts {
  /** Collector time of the first and the last packet that was lost in it; 0: none was. */
  firstLostNs: number;
  lastLostNs: number;
}

interface Counts {
  followed: number;
  unseen: number;
  resent: number;
  /** Reports of the neighbour that did not arrive: so many packets may have been there, unheard. */
  unheard: number;
}

interface Known extends Counts {
  bins: Bin[];
  binNs: number;
  /** For flaps: packets followed when last looked, when that was last seen to rise, and unseen since then. */
  lastFollowedNs: number;
  firstUnseenNs: number;
  unseenSinceFollowed: number;
  /** Of these, what is counted once it is known that the link was up. */
  pending: number;
  isDown: boolean;
  transitionsNs: number[];
  /** Packets followed per ns, as it used to be. */
  perNs: number;
  polledNs: number;
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
        const { followed, unseen, resent, peerReportsLost: unheard } = link;
        const begun = {
          followed,
          unseen,
          resent,
          unheard,
          bins: [],
          binNs: nowNs,
          lastFollowedNs: nowNs,
          firstUnseenNs: 0,
        };
        this.#known.set(link.row, {
          ...begun,
          unseenSinceFollowed: 0,
          pending: 0,
          isDown: false,
          transitionsNs: [],
          perNs: 0,
          polledNs: nowNs,
        });
        continue;
      }
      const followed = link.followed - known.followed;
      const unseen = link.unseen - known.unseen;
      const resent = link.resent - known.resent;
      const unheard = link.peerReportsLost - known.unheard;
      known.unheard = link.peerReportsLost;
      known.followed = link.followed;
      known.unseen = link.unseen;
      known.resent = link.resent;
      this.#watchState(link, known, followed, unseen, nowNs);
      this.#count(link, known, { followed, unseen, resent, unheard }, nowNs);
    }
  }

  #count(link: LinkCounts, known: Known, more: Counts, nowNs: number): void {
    if (known.bins.length === 0 || nowNs - known.binNs >= BIN_NS) {
      this.#judge(link, known, nowNs);
      known.bins.push({ followed: 0, unseen: 0, resent: 0, unheard: 0, firstLostNs: 0, lastLostNs: 0 });
      if (known.bins.length > BINS) known.bins.shift();
      known.binNs = nowNs;
    }
    const bin = known.bins.at(-1)!;
    bin.followed += more.followed;
    bin.unheard += more.unheard;
    if (nowNs - link.leftNs < LEAVING_NS) {
      known.pending = 0;
      return;
    }
    if (more.followed === 0) known.pending += more.unseen;
    else {
      const isOutage = nats(Math.max(MOST_LOSS, link.peerReportLoss), known.pending) >= MIN_UNSEEN_NATS;
      this.#add(bin, more.unseen + (isOutage ? 0 : known.pending), 0, nowNs);
      known.pending = 0;
    }
    this.#add(bin, 0, more.resent, nowNs);
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
    const sum = (of: keyof Counts): number => known.bins.reduce((total, bin) => total + bin[of], 0);
    const followed = sum('followed');
    if (known.bins.length < BINS || followed < MIN_FOLLOWED || known.isDown) return;
    const all = followed + sum('unseen');
    const p = Math.min(0.95, link.peerReportLoss);
    const excess = sum('unseen') - p * all;
    const noise = Math.sqrt(all * p * (1 - p) * OVERDISPERSION);
    // Histories that end here are not evidence enough by themselves where reports are lost; segments that were sent again are.
    const isBeyondDoubt = excess >= SIGMAS * noise + MIN_EXCESS && sum('unseen') > UNCERTAIN * sum('unheard') + MIN_EXCESS;
    const isProven = isBeyondDoubt || (sum('resent') >= MIN_EXCESS && p < MOST_UNHEARD);
    const isSpread = known.bins.filter(({ unseen, resent }) => unseen + resent > 0).length >= 2;
    const ratio = Math.max(excess, sum('resent')) / all;
    if (!isProven || !isSpread || ratio < MIN_RATIO || this.#sources.isBlackhole(link.row)) return;
    this.#conditions.raise(
      {
        kind: 'silent-loss',
        place: link.place,
        fromNs: known.bins.find(({ firstLostNs }) => firstLostNs > 0)!.firstLostNs,
        atNs: Math.max(...known.bins.map(({ lastLostNs }) => lastLostNs)),
        severity: 4,
        summary: `the link to ${link.peer.node} loses about ${(ratio * 100).toPrecision(2)} % of its packets, and no switch says so`,
        numbers: { lossRatio: ratio, unseenPackets: sum('unseen'), resentPackets: sum('resent'), followedPackets: followed },
      },
      nowNs,
    );
  }

  #watchState(link: LinkCounts, known: Known, followed: number, unseen: number, nowNs: number): void {
    const elapsedNs = Math.max(1, nowNs - known.polledNs);
    known.polledNs = nowNs;
    if (followed > 0) {
      known.perNs += (1 - Math.exp(-elapsedNs / RATE_NS)) * (followed / elapsedNs - known.perNs);
      if (known.isDown) this.#turn(link, known, nowNs, nowNs);
      known.isDown = false;
      known.lastFollowedNs = nowNs;
      // Those after the last that was followed count; which came first is not known.
      known.unseenSinceFollowed = unseen;
      known.firstUnseenNs = nowNs;
      return;
    }
    if (unseen > 0 && known.unseenSinceFollowed === 0) known.firstUnseenNs = nowNs;
    known.unseenSinceFollowed += unseen;
    const quietNs = nowNs - known.lastFollowedNs;
    const isQuiet = quietNs >= DOWN_NS && quietNs * known.perNs >= ABSENT_PACKETS;
    // What the neighbour saw may not have been heard.
    const unheard = nats(Math.max(0.02, link.peerReportLoss), known.unseenSinceFollowed);
    // Traffic may just have ended: where a link goes down, flows take other ways.
    const isAvoided = this.#sources.lastMoveNs() > known.lastFollowedNs - AVOIDED_NS;
    if (known.isDown || !isQuiet || unheard < MIN_UNSEEN_NATS || !isAvoided) return;
    known.isDown = true;
    this.#turn(link, known, known.firstUnseenNs, nowNs);
  }

  /** The link went down, or came back. Both directions see it: it is told once, by the end nearer to the core. */
  #turn(link: LinkCounts, known: Known, atNs: number, nowNs: number): void {
    known.transitionsNs = [...known.transitionsNs.filter((ns) => nowNs - ns < FLAP_WINDOW_NS), atNs].slice(-32);
    if (known.transitionsNs.length < FLAP_TRANSITIONS) return;
    const place = link.peerIsCore && link.peerPlace !== undefined ? link.peerPlace : link.place;
    const peer = place === link.place ? link.peer : link.place;
    this.#conditions.raise(
      {
        kind: 'link-flap',
        place,
        fromNs: known.transitionsNs[0],
        atNs,
        severity: 3,
        summary: `the link to ${peer.node} went down or came back ${known.transitionsNs.length} times within a minute`,
        numbers: { transitions: known.transitionsNs.length },
      },
      nowNs,
    );
  }
}

/** How unlikely it is that so many packets in a row were lost, each with that chance: minus the logarithm. */
function nats(chance: number, packets: number): number {
  return -Math.log(Math.min(0.95, chance)) * packets;
}
