// Equal ways that are used unequally. Per second: octets by interface, the flows that sent them, and which interfaces of a node are equal ways.
//
//   one way much fuller than the mean ──▶ would moving one flow help? ──▶ collision      one flow alone ──▶ a single elephant: no fault
//                                     └─▶ are flows spread as a fair hash would? no ──▶ polarised
//
// Equal ways are the interfaces of a node that lead to nodes of one kind: upwards to the core, or by several links to one neighbour.
// Rule: a single flow cannot be spread. What cannot be better is no fault.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';
import type { FlowVisit } from './flow-sweep.ts';

const WINDOW_NS = 1e9;
const WINDOWS = 5;
const MIN_WINDOWS = 3;
/** Fullest way over the mean, and of the rate of the link, from which on it is looked into. */
const IMBALANCE = 1.5;
const IMBALANCE_OVER = 1.25;
const BUSY = 0.6;
/** Of the link's rate: what moving one flow must gain to be called a collision. */
const GAIN = 0.1;
/** Of what goes by a way: so large is a flow that may collide with another. */
const LARGE = 0.15;
const MIN_FLOWS = 100;
/** Chance below which a hash is not fair. */
const CHI_SQUARE_LOG_CHANCE = Math.log(1e-6);
const TOP_FLOWS = 32;

/** An interface as one of several equal ways. */
export interface Way {
  portRow: number;
  place: Place;
  /** Equal ways have one group. */
  group: string;
  node: Place;
  bytes: number;
  /** Octets per ns; 0 when it is not known. */
  rate: number;
  /** Share of the node's reports that do not arrive. */
  reportLoss: number;
}

interface Flows {
  count: number;
  /** Largest flows: octets in the window. */
  top: number[];
}

interface GroupState {
  hot: boolean[];
}

export class ImbalanceDetector {
  readonly #ways: () => Way[];
  readonly #conditions: ConditionBook;
  readonly #bytes = new Map<number, number>();
  #flows = new Map<number, Flows>();
  readonly #groups = new Map<string, GroupState>();
  /** By flow row: number of the window that it was looked at in. */
  readonly #lookedAt: Uint32Array;
  #window = 1;
  #turnedNs = -Infinity;

  constructor(ways: () => Way[], conditions: ConditionBook, flowCapacity: number) {
    this.#lookedAt = new Uint32Array(flowCapacity);
    this.#ways = ways;
    this.#conditions = conditions;
  }

  /** A flow is looked at once in a window, and may be in none. */
  visit({ row, hops, bytesPerNs, seenMs }: FlowVisit, nowNs: number): void {
    if (nowNs / 1e6 - seenMs > 1000 || this.#lookedAt[row] === this.#window) return;
    this.#lookedAt[row] = this.#window;
    const sent = bytesPerNs * WINDOW_NS;
    for (const { portRow } of hops) {
      const flows = this.#flows.get(portRow) ?? { count: 0, top: [] };
      this.#flows.set(portRow, flows);
      flows.count++;
      if (sent > 0) flows.top.push(sent);
      if (flows.top.length > 2 * TOP_FLOWS) flows.top = flows.top.sort((a, b) => b - a).slice(0, TOP_FLOWS);
    }
  }

  poll(nowNs: number): void {
    const elapsedNs = nowNs - this.#turnedNs;
    if (elapsedNs < WINDOW_NS) return;
    this.#turnedNs = nowNs;
    this.#window++;
    const groups = new Map<string, { way: Way; bytes: number }[]>();
    for (const way of this.#ways()) {
      const before = this.#bytes.get(way.portRow);
      this.#bytes.set(way.portRow, way.bytes);
      if (before === undefined || way.bytes < before) continue;
      const group = groups.get(way.group) ?? [];
      groups.set(way.group, group);
      group.push({ way, bytes: (way.bytes - before) / (1 - Math.min(0.95, way.reportLoss)) });
    }
    if (Number.isFinite(elapsedNs)) for (const [name, group] of groups) this.#judge(name, group, elapsedNs, nowNs);
    this.#flows = new Map();
  }

  #judge(name: string, group: { way: Way; bytes: number }[], elapsedNs: number, nowNs: number): void {
    if (group.length < 2) return;
    const state = this.#groups.get(name) ?? { hot: [] };
    this.#groups.set(name, state);
    const [fullest] = [...group].sort((a, b) => b.bytes - a.bytes);
    const mean = group.reduce((sum, { bytes }) => sum + bytes, 0) / group.length;
    const imbalance = mean === 0 ? 1 : fullest.bytes / mean;
    const use = fullest.way.rate === 0 ? 0 : fullest.bytes / (fullest.way.rate * elapsedNs);
    const isOpen = state.hot.some((hot) => hot);
    state.hot.push(imbalance >= (isOpen ? IMBALANCE_OVER : IMBALANCE) && use >= BUSY);
    if (state.hot.length > WINDOWS) state.hot.shift();
    const windows = state.hot.filter((hot) => hot).length;
    if (!state.hot.at(-1) || windows < MIN_WINDOWS) return;
    const numbers = { imbalanceRatio: imbalance, utilizationRatio: use };
    const finding = { fromNs: nowNs - (windows + 0.5) * WINDOW_NS, atNs: nowNs, severity: 2 as const, numbers };
    const counts = group.map(({ way }) => this.#flows.get(way.portRow)?.count ?? 0);
    if (isUnfair(counts)) {
      const summary = `${counts.reduce((a, b) => a + b)} flows are spread over ${group.length} equal ways as no fair hash would (the fullest has ${imbalance.toFixed(1)} times the mean)`;
      this.#conditions.raise({ kind: 'ecmp-polarised', place: fullest.way.node, summary, ...finding }, nowNs);
      return;
    }
    const coolest = Math.min(...group.map(({ bytes }) => bytes));
    const top = (this.#flows.get(fullest.way.portRow)?.top ?? []).sort((a, b) => b - a);
    // A flow that is nearly all there is collides with nobody.
    if (top.filter((flow) => flow > LARGE * fullest.bytes).length < 2) return;
    const gains = top.slice(0, 8).map((flow) => fullest.bytes - Math.max(fullest.bytes - flow, coolest + flow));
    const gain = Math.max(0, ...gains) / (fullest.way.rate * elapsedNs);
    if (gain < GAIN) return;
    const summary = `${top.filter((flow) => flow > LARGE * fullest.bytes).length} large flows share this way while others are nearly idle; moving one would take ${(gain * 100).toFixed(0)} % of the link off it`;
    this.#conditions.raise({ kind: 'ecmp-collision', place: fullest.way.place, summary, ...finding }, nowNs);
  }
}

/** Chi-square test of flow counts against equal weights; the tail by Wilson and Hilferty's approximation (1931). */
function isUnfair(counts: readonly number[]): boolean {
  const total = counts.reduce((a, b) => a + b, 0);
  if (total < MIN_FLOWS) return false;
  const expected = total / counts.length;
  const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  const degrees = counts.length - 1;
  const z = (Math.cbrt(chi / degrees) - (1 - 2 / (9 * degrees))) / Math.sqrt(2 / (9 * degrees));
  // log of the normal tail, good for large z.
  return z > 0 && -(z * z) / 2 - Math.log(z * Math.sqrt(2 * Math.PI)) < CHI_SQUARE_LOG_CHANCE;
}
