// Latency budgets of slices: how many packets take longer than the fabric may cost them, now and over hours. Burn rates over two windows each, as in
// "The Site Reliability Workbook", chapter 5: the long one says that it matters, the short one that it still goes on.
//
//   packets and late packets per slice ─▶ seconds, minutes ─▶ more than 1 % late for two seconds, surely (Wilson, 1927) ──▶ slice-budget
//                                                         └─▶ budget burns 14.4, 6, 1 times too fast             ──▶ slice-budget
//
// Rule: a share of few packets is no share: it is judged by its lower bound.

import type { Severity } from '../event.ts';
import type { ConditionBook } from './condition.ts';

const BIN_NS = 100e6;
const SECONDS = 300;
const MINUTES = 4320;
const FAST_BINS = 20;
const FAST_SHARE = 0.01;
const MIN_PACKETS = 200;
/** 99 % sure. */
const Z = 2.576;
const BURNS: readonly { rate: number; longMinutes: number; shortMinutes: number; severity: Severity }[] = [
  { rate: 14.4, longMinutes: 60, shortMinutes: 5, severity: 5 },
  { rate: 6, longMinutes: 360, shortMinutes: 30, severity: 4 },
  { rate: 1, longMinutes: 4320, shortMinutes: 360, severity: 3 },
];

/** A slice as configured. */
export interface SliceGoal {
  name: string;
  /** What the fabric may cost a packet, ns. */
  budgetNs: number;
  /** Share of packets that must keep to it. */
  objective: number;
}

export interface SliceCounts {
  packets(slice: number): number;
  late(slice: number): number;
}

interface Counts {
  packets: number;
  late: number;
}

/** Packets and late ones per step of time, as far back as there are steps. */
class Ring {
  readonly #packets: Float64Array;
  readonly #late: Float64Array;
  #step = -1;

  constructor(steps: number) {
    this.#packets = new Float64Array(steps);
    this.#late = new Float64Array(steps);
  }

  add(step: number, { packets, late }: Counts): void {
    const steps = this.#packets.length;
    for (let skipped = Math.max(this.#step + 1, step - steps + 1); skipped <= step; skipped++) {
      this.#packets[skipped % steps] = 0;
      this.#late[skipped % steps] = 0;
    }
    this.#step = Math.max(this.#step, step);
    this.#packets[step % steps] += packets;
    this.#late[step % steps] += late;
  }

  /** Sums of the newest `steps` up to and including `step`. */
  sum(step: number, steps: number): Counts {
    const size = this.#packets.length;
    const total = { packets: 0, late: 0 };
    for (let at = Math.max(0, step - steps + 1, this.#step - size + 1); at <= Math.min(step, this.#step); at++) {
      total.packets += this.#packets[at % size];
      total.late += this.#late[at % size];
    }
    return total;
  }
}

interface State {
  before: Counts;
  bins: Ring;
  minutes: Ring;
}

export class BudgetDetector {
  readonly #goals: readonly SliceGoal[];
  readonly #counts: SliceCounts;
  readonly #conditions: ConditionBook;
  readonly #states: State[];
  #bin = -1;

  /** `goals` by slice; the first is slice 1. */
  constructor(goals: readonly SliceGoal[], counts: SliceCounts, conditions: ConditionBook) {
    this.#goals = goals;
    this.#counts = counts;
    this.#conditions = conditions;
    this.#states = goals.map(() => ({
      before: { packets: 0, late: 0 },
      bins: new Ring(SECONDS * 10),
      minutes: new Ring(MINUTES),
    }));
  }

  poll(nowNs: number): void {
    const bin = Math.floor(nowNs / BIN_NS);
    if (bin === this.#bin) return;
    this.#bin = bin;
    this.#goals.forEach((goal, i) => this.#judge(goal, this.#states[i], i + 1, bin, nowNs));
  }

  /** How many times too fast the budget of errors is used up over the newest `minutes`. */
  burnRate(slice: number, minutes: number, nowNs: number): number {
    const sum = this.#states[slice - 1].minutes.sum(Math.floor(nowNs / 60e9), minutes);
    return sum.packets === 0 ? 0 : sum.late / sum.packets / (1 - this.#goals[slice - 1].objective);
  }

  #judge(goal: SliceGoal, state: State, slice: number, bin: number, nowNs: number): void {
    const now = { packets: this.#counts.packets(slice), late: this.#counts.late(slice) };
    const more = { packets: now.packets - state.before.packets, late: now.late - state.before.late };
    state.before = now;
    state.bins.add(bin, more);
    state.minutes.add(Math.floor(nowNs / 60e9), more);
    if (more.late === 0) return;
    const recent = state.bins.sum(bin, FAST_BINS);
    const isFast = recent.packets >= MIN_PACKETS && lowerBound(recent) > FAST_SHARE;
    const burn = BURNS.find(
      ({ rate, longMinutes, shortMinutes }) =>
        nowNs >= longMinutes * 60e9 &&
        this.burnRate(slice, longMinutes, nowNs) >= rate &&
        this.burnRate(slice, shortMinutes, nowNs) >= rate,
    );
    if (!isFast && burn === undefined) return;
    const share = recent.late / Math.max(1, recent.packets);
    const budget = `${(goal.budgetNs / 1e6).toPrecision(2)} ms`;
    this.#conditions.raise(
      {
        kind: 'slice-budget',
        place: { slice: goal.name },
        fromNs: nowNs,
        atNs: nowNs,
        severity: burn?.severity ?? 4,
        summary: `${(share * 100).toFixed(1)} % of the slice's packets take longer than the ${budget} that the fabric may cost them`,
        numbers: { lateRatio: share, latePackets: recent.late, budgetNs: goal.budgetNs, ...(burn && { burnRate: burn.rate }) },
      },
      nowNs,
    );
  }
}

/** Below it the share of late packets surely does not lie (Wilson's interval). */
function lowerBound({ packets: n, late }: Counts): number {
  const p = late / n;
  const z2 = Z * Z;
  return (p + z2 / (2 * n) - Z * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n))) / (1 + z2 / n);
}
