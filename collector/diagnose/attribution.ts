// From the arrivals of one event to its verdict: who filled the queue or was served before it, who suffered, how sure that is.
//
//   arrival log ─▶ octets that each stands for ─▶ shares of the build-up ─▶ without each: how much smaller?
//              └─▶ what the port sent beyond them ─▶ unwatched, or the residual of flows that are filtered
//
// Rule: octets that nobody was seen to send are told as such. To share them out among those who were seen would accuse somebody.

import { Edge } from '../edge.ts';
import { ownerKeyOf, type CongestionEvent, type Culprit, type Owner, type Pattern } from '../event.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import { confidenceOf, RUNS, SIGMAS } from './confidence.ts';
import { counterfactualShares, piecesOf, type Pieces } from './counterfactual.ts';
import { blame, occupancyOf, octetsOf, type Blame, type BuildUp } from './culprit.ts';
import { incastOf, type Incast } from './incast.ts';
import { partiesOf, type Parties } from './parties.ts';
import { unseenOf, type Unseen } from './unseen.ts';
import { victimsOf } from './victim.ts';

/** Octets that must have come in during build-ups, those that were not seen, the reports behind that, and what share of the octets these were. */
export interface Account {
  expected: number;
  unseen: number;
  reports: number;
  reported: number;
}

/** What the verdict needs to know besides the log. */
export interface AttributionSources {
  portBytesPerNs: number;
  /** Whether other queues of the port have been heard of lately. */
  sharesPort: boolean;
  /** Whether the reports tell of changes of latency only. */
  isFiltered: boolean;
  /** What the fabric may cost a packet of this owner, ns. */
  budgetNsOf: (owner: Owner) => number;
  /** From which wait on a packet is harmed, ns; undefined: by its budget. */
  harmWaitNs?: number | undefined;
  /** Of the queue's events before this one. */
  portAccount: Account;
  /** How an arrival delays the queue of the event: 0 not at all, 1 in its turn, 2 before it. */
  rankOf: (queueRow: number) => number;
  senderOf: (arrival: number) => Owner;
  /** Octets per ns that the arrival's flow used to send; 0 when it was not there before. */
  paceOf: (arrival: number) => number;
  receiverOf: (arrival: number) => Owner;
  /** Address of the sender and of the receiver, as text that tells them apart. */
  endsOf: (arrival: number) => readonly [string, string] | undefined;
}

/** Verdict over an event; what is not found is left as it was. */
export interface Attribution {
  culprits: Culprit[];
  /** An arrival of each of the largest flows, and the octets of the flow. */
  flows: Blame['flows'];
  /** Octets of all of them. */
  totalBytes: number;
  victims: CongestionEvent['victims'];
  selfInflicted: CongestionEvent['selfInflicted'];
  confidence: number;
  pattern: Pattern;
  incast: Incast | undefined;
  isStarved: boolean;
  /** What came in and what was not seen, for the account of the queue; undefined where that is not known. */
  account: Account | undefined;
  evidence: Pick<
    CongestionEvent['evidence'],
    'effectiveReports' | 'identifiedShare' | 'coverage' | 'explainedShare' | 'accountedReports'
  >;
}

const UNWATCHED: Owner = {
  kind: 'unknown',
  namespace: 'unknown',
  workload: 'unwatched',
  confidence: 0,
};
/** See rankOf. */
const SERVED_FIRST = 2;
/** Of what must have come in: less than this is how estimates vary. */
const UNSEEN_SHARE = 0.15;
/** A wait of which so much was spent on packets that are served before is starvation, if so little of it was spent in the queue's own line. */
const SERVED_BEFORE = 0.8;
const OWN_LINE = 0.5;
/** Where shares of filtered flows are what is left over, they are no more certain than this. */
const RESIDUAL_CONFIDENCE = 0.5;

/** The verdict over the arrivals in `log`, as of `edge`. `lossRatio`: of the node's reports. */
export function attribute(
  edge: Float64Array,
  log: ArrivalLog,
  lossRatio: number | null,
  sources: AttributionSources,
): Attribution {
  const { portBytesPerNs: rate, senderOf, paceOf } = sources;
  const parties = partiesOf(log, senderOf);
  const loss = lossRatio ?? 0;
  const row = edge[Edge.queueRow];
  const rank = ranksOf(log, row, sources.rankOf);
  const whole: BuildUp = {
    fromNodeNs: edge[Edge.buildUpNodeNs],
    toNodeNs: edge[Edge.lastNodeNs],
    portBytesPerNs: rate,
  };
  const window: BuildUp = { ...whole, toNodeNs: edge[Edge.peakNodeNs] };
  const isWhole = rate > 0 && (!sources.sharesPort || edge[Edge.hasOthers] === 1);
  const own = (arrival: number): boolean => log.queueRow[arrival] === row;
  const counts = (arrival: number): boolean => rank[arrival] > 0;

  const octets = octetsOf(log, loss, window);
  const verdict = blame(log, octets, window, parties, paceOf, counts);
  const wholeOctets = octetsOf(log, loss, whole);
  const served = servedDuringPeak(edge, log, rank, wholeOctets, rate);
  const isBehind = isWhole && served.before > 0 && depthShareOf(edge, rate) < OWN_LINE;
  // What is served first waits too little to be reported past a filter: what is missing of so long a wait is theirs.
  const isThinned = sources.isFiltered && served.all < (1 - UNSEEN_SHARE) * rate * edge[Edge.peakWaitNs];
  const isStarved = isBehind && (isThinned || served.before >= SERVED_BEFORE * served.all);
  // Conservation: what came in is what left at line rate plus what is queued at the peak; of a packet that waits, what is served meanwhile.
  const expected = isStarved
    ? rate * edge[Edge.peakWaitNs]
    : rate * (window.toNodeNs - filledFromNs(log, window, own) + edge[Edge.peakWaitNs]);
  const seen = isStarved ? served.all : verdict.totalBytes;
  const isKnown = isWhole && expected > 0;
  const coverage = isKnown ? Math.min(1, seen / expected) : null;
  const unseen = isKnown && !isStarved ? unseenOf(log, octets, window, own) : undefined;
  const reported = Math.min(1, verdict.reportedBytes / Math.max(1, verdict.totalBytes));
  const account = {
    expected,
    unseen: unseen?.bytes ?? 0,
    reports: verdict.reports,
    reported,
  };
  // A wait that the octets in the queue do not explain is no sign of others: the port stood still, or a clock was set.
  const isExplained = depthShareOf(edge, rate) >= OWN_LINE;
  const isMissing = unseen !== undefined && isExplained && isSurelyMissing(account, sources.portAccount, loss);
  const isKeptBack = isStarved && isThinned;
  if (isKeptBack) {
    const factor = (expected - served.all + served.before) / served.before;
    for (const some of [octets, wholeOctets]) scaleFiltered(log, some, factor, (arrival) => rank[arrival] === SERVED_FIRST);
  }
  const isResidual = isKeptBack || (isMissing && sources.isFiltered && giveToFiltered(log, octets, window, unseen.bytes, counts));
  const shares = isResidual ? blame(log, octets, window, parties, paceOf, counts) : verdict;
  // Who is first is certain all the same, if it was so before, and what is left over could not make another the first.
  const [first, second] = verdict.culprits;
  const leftOver = isKeptBack ? expected - seen : (unseen?.bytes ?? 0);
  const isDecisive = isResidual && leftOver > (first?.buildUpBytes ?? 0) - (second?.buildUpBytes ?? 0);
  const unwatched = isMissing && !isResidual ? unseen : undefined;
  const culprits = unwatched === undefined ? shares.culprits : withUnwatched(shares, unwatched.bytes);

  const wholeUnseen = unwatched === undefined ? undefined : unseenOf(log, wholeOctets, whole, own);
  if (isResidual && !isKeptBack)
    giveToFiltered(log, wholeOctets, whole, unseenOf(log, wholeOctets, whole, own)?.bytes ?? 0, counts);
  const drain = isWhole ? rate : Math.min(rate, drainOf(log, whole, loss));
  const pieces = piecesOf(log, wholeOctets, { ...whole, portBytesPerNs: drain }, rank, own);
  const occupancy = occupancyOf(log, wholeOctets, whole, parties, own);
  const named = withCounterfactuals(culprits, pieces, drain, wholeUnseen, parties).map((culprit) => ({
    ...culprit,
    occupancyShare: occupancy[parties.keys.indexOf(ownerKeyOf(culprit))] ?? 0,
  }));
  const harmed = victimsOf(log, whole, loss, sources, named, parties, sources.receiverOf, own);
  const incast = incastOf(log, octets, window, counts, sources.endsOf);
  const confidence = confidenceOf({
    shares: named.map(({ buildUpShare }) => buildUpShare),
    effectiveReports: shares.effectiveReports,
    reportedRatio: isKnown ? Math.min(1, verdict.reportedBytes / (isStarved ? verdict.totalBytes : expected)) : null,
    coverage: isResidual ? 1 : coverage,
    identifiedShare: shares.identifiedShare,
    explainedShare: isWhole && edge[Edge.hasOthers] === 1 ? 1 : depthShareOf(edge, rate),
    reportLossRatio: lossRatio,
  });
  return {
    culprits: named,
    flows: shares.flows,
    totalBytes: shares.totalBytes + (unwatched?.bytes ?? 0),
    victims: harmed.victims,
    selfInflicted: harmed.selfInflicted,
    confidence: isDecisive ? Math.min(confidence, RESIDUAL_CONFIDENCE) : confidence,
    pattern: patternOf(
      named,
      {
        isStarved,
        isResidual,
        isIncast: incast !== undefined,
        hasVictims: harmed.victims.length > 0,
      },
      edge,
    ),
    incast,
    isStarved,
    account: unseen === undefined ? undefined : account,
    evidence: {
      effectiveReports: shares.effectiveReports,
      identifiedShare: shares.identifiedShare,
      coverage,
      explainedShare: depthShareOf(edge, rate),
      ...(unseen === undefined ? {} : { accountedReports: account.reports + sources.portAccount.reports }),
    },
  };
}

/** How each arrival delays queue `row`: see rankOf. A log has few queues. */
function ranksOf(log: ArrivalLog, row: number, rankOf: (queueRow: number) => number): Uint8Array {
  const ranks = new Uint8Array(log.length);
  const known = new Map([[row, 1]]);
  let [lastRow, lastRank] = [row, 1];
  for (let i = 0; i < log.length; i++) {
    if (log.queueRow[i] !== lastRow) {
      lastRow = log.queueRow[i];
      lastRank = known.get(lastRow) ?? rankOf(lastRow);
      known.set(lastRow, lastRank);
    }
    ranks[i] = lastRank;
  }
  return ranks;
}

/**
 * Whether more is missing than chance leaves out, in this event or in all of the queue's together: the estimate from `reports` reports varies by
 * sqrt((1 - reported) / reports), and by more where reports are lost in runs.
 */
function isSurelyMissing(own: Account, before: Account, loss: number): boolean {
  const both = {
    expected: own.expected + before.expected,
    unseen: own.unseen + before.unseen,
    reports: own.reports + before.reports,
    reported: (own.reported * own.reports + before.reported * before.reports) / Math.max(1, own.reports + before.reports),
  };
  return [own, both].some(({ expected, unseen, reports, reported }) => {
    const noise = Math.sqrt(((1 - reported) * (1 + RUNS * loss)) / Math.max(1, reports));
    return expected > 0 && unseen / expected > UNSEEN_SHARE + SIGMAS * noise;
  });
}

/** Octets that left while the packet with the longest wait stood in its queue: all, and those that are served before it. */
function servedDuringPeak(
  edge: Float64Array,
  log: ArrivalLog,
  rank: Uint8Array,
  octets: Float64Array,
  rate: number,
): { all: number; before: number } {
  const fromNs = edge[Edge.peakNodeNs];
  const toNs = fromNs + edge[Edge.peakWaitNs];
  const sums = { all: 0, before: 0 };
  for (let i = 0; i < log.length; i++) {
    const leavesNs = log.enqueueNodeNs[i] + log.waitNs[i];
    if (rank[i] === 0 || leavesNs < fromNs || leavesNs > toNs) continue;
    sums.all += octets[i];
    if (rank[i] === SERVED_FIRST) sums.before += octets[i];
  }
  return {
    all: Math.min(sums.all, rate * (toNs - fromNs)),
    before: sums.before,
  };
}

/**
 * Since when the port has surely been busy: a queue that holds what takes so long to send has taken about that long to fill. Where reports are few, the last
 * one that found it empty may lie long before.
 */
function filledFromNs(log: ArrivalLog, { fromNodeNs, toNodeNs }: BuildUp, isOwn: (arrival: number) => boolean): number {
  let [firstNs, waitNs] = [Infinity, 0];
  for (let i = 0; i < log.length; i++) {
    const atNs = log.enqueueNodeNs[i];
    if (atNs < fromNodeNs || atNs > toNodeNs || atNs >= firstNs || !isOwn(i)) continue;
    [firstNs, waitNs] = [atNs, log.waitNs[i]];
  }
  return firstNs === Infinity ? fromNodeNs : Math.max(fromNodeNs, firstNs - waitNs);
}

/** What part of the longest wait the octets in the queue explain; all of it where depth or rate is not known. */
function depthShareOf(edge: Float64Array, bytesPerNs: number): number {
  const depth = edge[Edge.peakDepthBytes];
  const atLineRate = bytesPerNs * edge[Edge.peakWaitNs];
  return depth > 0 && atLineRate > 0 ? Math.min(1, depth / atLineRate) : 1;
}

/** Octets per ns that left the queue in the window, by the arrivals and their waits; 0 when there were none. */
function drainOf(log: ArrivalLog, { fromNodeNs, toNodeNs }: BuildUp, lossRatio: number): number {
  let bytes = 0;
  let firstNs = Infinity;
  let lastNs = -Infinity;
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < fromNodeNs || log.enqueueNodeNs[i] > toNodeNs) continue;
    bytes += log.lengthBytes[i] * log.weight[i];
    firstNs = Math.min(firstNs, log.enqueueNodeNs[i]);
    lastNs = Math.max(lastNs, log.enqueueNodeNs[i] + log.waitNs[i]);
  }
  return lastNs > firstNs ? bytes / (1 - Math.min(lossRatio, 0.95)) / (lastNs - firstNs) : 0;
}

/**
 * Under a change filter nothing says how much a flow without sequence numbers sent while latency stood still: what is left over is theirs, in proportion to
 * what was reported of them. False: there is no such flow.
 */
function giveToFiltered(
  log: ArrivalLog,
  octets: Float64Array,
  { fromNodeNs, toNodeNs }: BuildUp,
  bytes: number,
  counts: (arrival: number) => boolean,
): boolean {
  const theirs: number[] = [];
  let reported = 0;
  for (let i = 0; i < log.length; i++) {
    const isInside = log.enqueueNodeNs[i] >= fromNodeNs && log.enqueueNodeNs[i] <= toNodeNs;
    if (!isInside || !counts(i) || log.hasTcpSequence[i] === 1) continue;
    theirs.push(i);
    reported += octets[i];
  }
  if (reported > 0) for (const i of theirs) octets[i] *= 1 + bytes / reported;
  return reported > 0;
}

/** The same where it is known how many times too little was seen. */
function scaleFiltered(log: ArrivalLog, octets: Float64Array, factor: number, isTheirs: (arrival: number) => boolean): void {
  for (let i = 0; i < log.length; i++) if (log.hasTcpSequence[i] === 0 && isTheirs(i)) octets[i] *= factor;
}

function withUnwatched(shares: Blame, bytes: number): Culprit[] {
  const total = shares.totalBytes + bytes;
  const { kind, namespace, workload } = UNWATCHED;
  const unwatched = {
    kind,
    namespace,
    workload,
    buildUpShare: bytes / total,
    buildUpBytes: Math.round(bytes),
    occupancyShare: 0,
    excessShare: 1,
    flows: 0,
    counterfactual: null,
  };
  const seen = shares.culprits.map((culprit) => ({
    ...culprit,
    buildUpShare: (culprit.buildUpShare * shares.totalBytes) / total,
  }));
  return [...seen, unwatched].sort((a, b) => b.buildUpBytes - a.buildUpBytes);
}

/** The culprits, each with what the queue would have been without it, from build-up to the newest report. */
function withCounterfactuals(
  culprits: readonly Culprit[],
  pieces: Pieces,
  drain: number,
  unseen: Unseen | undefined,
  { sender, owner, keys }: Parties,
): Culprit[] {
  const names = culprits.map((culprit) => ownerKeyOf(culprit));
  const unwatched = names.indexOf(ownerKeyOf(UNWATCHED));
  const groups = Int32Array.from(keys, (key) => names.indexOf(key));
  const groupOf = (arrival: number): number => (arrival < 0 ? unwatched : groups[owner[sender[arrival]]]);
  const shares = counterfactualShares(pieces, unseen, drain, culprits.length, groupOf);
  return culprits.map((culprit, i) => ({
    ...culprit,
    counterfactual: shares === null ? null : shares[i],
  }));
}

const SWARM_FLOWS = 20;
const SUSTAINED_NS = 100e6;

function patternOf(
  [first]: readonly Culprit[],
  found: {
    isStarved: boolean;
    isResidual: boolean;
    isIncast: boolean;
    hasVictims: boolean;
  },
  edge: Float64Array,
): Pattern {
  if (first === undefined) return 'unknown';
  if (ownerKeyOf(first) === ownerKeyOf(UNWATCHED)) return 'unwatched';
  if (found.isStarved) return 'priority';
  if (found.isResidual) return 'residual';
  if (found.isIncast) return 'incast';
  if (!found.hasVictims) return 'self-inflicted';
  if (first.flows >= SWARM_FLOWS) return 'swarm';
  return edge[Edge.lastNodeNs] - edge[Edge.openedNodeNs] >= SUSTAINED_NS ? 'standing' : 'burst';
}
