// How much smaller a queue would have been without somebody: the arrivals that were seen, again through an empty queue that drains at line rate
// (Lindley's recursion, 1952), once complete and once without each candidate.
// Rule: open loop. Senders that listen would have used the room, so for TCP this is an upper bound, and is called one.

import type { ArrivalLog } from '../memory/arrivals.ts';
import type { BuildUp } from './culprit.ts';
import { flowKeyOf, isInOrder, orderOf, timeOrderOf } from './order.ts';
import type { Unseen } from './unseen.ts';

/**
 * For each group below `groups`, 1 minus the wait without it over the wait with all, 0 to 1, waits weighted by octets; null when the rate of the port is not
 * known or nothing waits. `groupOf` maps an arrival to its group, or to none (negative); arrival -1 is what was not seen.
 */
export function counterfactualShares(
  pieces: Pieces,
  unseen: Unseen | undefined,
  bytesPerNs: number,
  groups: number,
  groupOf: (arrival: number) => number,
): Float64Array | null {
  if (bytesPerNs <= 0) return null;
  const all = unseen === undefined ? pieces : merged(pieces, unseen);
  const group = all.arrival.map(groupOf);
  const whole = waitsWithout(all, group, bytesPerNs, NOBODY);
  if (whole <= 0) return null;
  return Float64Array.from({ length: groups }, (_, one) => Math.max(0, 1 - waitsWithout(all, group, bytesPerNs, one) / whole));
}

/**
 * What the arrivals of a window stand for, in order of time. `rank`: how each delays the queue (0: not at all); `isOwn`: whether it is in the queue itself.
 */
export function piecesOf(
  log: ArrivalLog,
  octets: Float64Array,
  window: BuildUp,
  rank: Uint8Array,
  isOwn: (arrival: number) => boolean,
): Pieces {
  const pieces = spread(log, octets, window, rank, isOwn);
  if (!rank.includes(2)) normalise(pieces.bytes, log, window);
  return pieces;
}

/** What was not seen joins the line where it must have come. */
function merged(pieces: Pieces, unseen: Unseen): Pieces {
  const { length } = unseen.times;
  return inOrder({
    times: joined(pieces.times, unseen.times),
    bytes: joined(pieces.bytes, unseen.pieces),
    arrival: Int32Array.from([...pieces.arrival, ...new Int32Array(length).fill(-1)]),
    rank: Uint8Array.from([...pieces.rank, ...new Uint8Array(length).fill(1)]),
    isOwn: Uint8Array.from([...pieces.isOwn, ...new Uint8Array(length).fill(1)]),
  });
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Further from what must have come in than this, octets are missing that belong to somebody else. */
const MAX_CORRECTION = 1.25;

/**
 * A congested port is busy: what came in is what it sent meanwhile and what is queued at the end. A queue that stands for long is the small difference
 * of two large sums, so that estimates which are off by a per cent would let it run dry, or grow without end.
 */
function normalise(bytes: Float64Array, log: ArrivalLog, window: BuildUp): void {
  const total = bytes.reduce((sum, one) => sum + one, 0);
  let newest = -1;
  for (let i = 0; i < log.length; i++) {
    const isInside = log.enqueueNodeNs[i] >= window.fromNodeNs && log.enqueueNodeNs[i] <= window.toNodeNs;
    if (isInside && (newest < 0 || log.enqueueNodeNs[i] > log.enqueueNodeNs[newest])) newest = i;
  }
  if (newest < 0 || total === 0) return;
  const busyNs = log.enqueueNodeNs[newest] + log.waitNs[newest] - window.fromNodeNs;
  const factor = (busyNs * window.portBytesPerNs + log.lengthBytes[newest]) / total;
  if (factor > MAX_CORRECTION || factor < 1 / MAX_CORRECTION) return;
  for (let i = 0; i < bytes.length; i++) bytes[i] *= factor;
}

/** Pieces that one arrival is spread over, and all of them together. */
const MAX_PIECES = 64;
const MAX_ALL_PIECES = 32_768;

/** Octets that came at certain times. */
export interface Pieces {
  times: Float64Array;
  bytes: Float64Array;
  /** The arrival of the log that each is a piece of; -1: none was seen. */
  arrival: Int32Array;
  rank: Uint8Array;
  isOwn: Uint8Array;
}

/** The same pieces, the earliest first. */
function inOrder(pieces: Pieces): Pieces {
  const { times, bytes, arrival, rank, isOwn } = pieces;
  if (isInOrder(times)) return pieces;
  const order = orderOf(times);
  return {
    times: Float64Array.from(order, (i) => times[i]),
    bytes: Float64Array.from(order, (i) => bytes[i]),
    arrival: Int32Array.from(order, (i) => arrival[i]),
    rank: Uint8Array.from(order, (i) => rank[i]),
    isOwn: Uint8Array.from(order, (i) => isOwn[i]),
  };
}

/**
 * The arrivals within the window, in order. One that stands for many packets (sampled, filtered, lost) did not come at once: its octets are spread
 * evenly over the time since its flow was last seen. As one lump it would make a queue of its own.
 */
function spread(
  log: ArrivalLog,
  octets: Float64Array,
  window: BuildUp,
  rank: Uint8Array,
  isOwn: (arrival: number) => boolean,
): Pieces {
  const order = timeOrderOf(log).filter(
    (i) => rank[i] > 0 && log.enqueueNodeNs[i] >= window.fromNodeNs && log.enqueueNodeNs[i] <= window.toNodeNs,
  );
  const mostPieces = Math.max(1, Math.min(MAX_PIECES, Math.floor(MAX_ALL_PIECES / Math.max(1, order.length))));
  const lastOfFlowNs = new Map<number, number>();
  const [times, bytes, arrival]: [number[], number[], number[]] = [[], [], []];
  for (const i of order) {
    const atNs = log.enqueueNodeNs[i];
    const flow = flowKeyOf(log, i);
    const sinceNs = atNs - (lastOfFlowNs.get(flow) ?? Math.max(window.fromNodeNs, atNs - octets[i] / window.portBytesPerNs));
    lastOfFlowNs.set(flow, atNs);
    const packets = Math.round(octets[i] / Math.max(1, log.lengthBytes[i]));
    const count = Math.max(1, Math.min(mostPieces, packets));
    for (let piece = count - 1; piece >= 0; piece--) {
      times.push(atNs - (sinceNs * piece) / count);
      bytes.push(octets[i] / count);
      arrival.push(i);
    }
  }
  return inOrder({
    times: Float64Array.from(times),
    bytes: Float64Array.from(bytes),
    arrival: Int32Array.from(arrival),
    rank: Uint8Array.from(arrival, (i) => rank[i]),
    isOwn: Uint8Array.from(arrival, (i) => (isOwn(i) ? 1 : 0)),
  });
}

/** A group that no arrival is in. */
const NOBODY = -2;

/**
 * Octets times ns that the queue's own pieces wait behind all of the line, those of the group `skipped` left out: the higher rank is served first, and nothing is
 * interrupted.
 */
function waitsWithout({ times, bytes, rank, isOwn }: Pieces, group: Int32Array, bytesPerNs: number, skipped: number): number {
  const [inTurn, before] = [new Uint32Array(times.length), new Uint32Array(times.length)];
  let [lastInTurn, lastBefore] = [0, 0];
  for (let i = 0; i < times.length; i++) {
    if (group[i] === skipped) continue;
    if (rank[i] === 2) before[lastBefore++] = i;
    else inTurn[lastInTurn++] = i;
  }
  let nowNs = -Infinity;
  let waits = 0;
  for (let i = 0, j = 0; i < lastInTurn || j < lastBefore;) {
    const next = i < lastInTurn ? times[inTurn[i]] : Infinity;
    const nextBefore = j < lastBefore ? times[before[j]] : Infinity;
    nowNs = Math.max(nowNs, Math.min(next, nextBefore));
    const piece = nextBefore <= nowNs ? before[j++] : inTurn[i++];
    if (isOwn[piece] === 1) waits += bytes[piece] * (nowNs - times[piece]);
    nowNs += bytes[piece] / bytesPerNs;
  }
  return waits;
}
