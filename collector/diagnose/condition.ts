// Conditions: what detectors raise again and again while it holds, as events with a beginning and an end.
//
//   detector ── raise, as often as it sees it ──▶ open ── not raised for its quiet time, or ended ──▶ closed
//
// Rule: the book is bounded, and a detector that cannot get in is counted. Times are collector time of the reports that showed it.

import { createHash } from 'node:crypto';
import { placeText, type ConditionEvent, type ConditionKind, type EventEnd, type Place, type Severity } from '../event.ts';

/** Without being raised for this long a condition is over, ns. Longer than what brings news of it may take. */
const QUIET_NS: Partial<Record<ConditionKind, number>> = {
  'path-change': 1e9,
  loop: 3e9,
  loss: 3e9,
  'silent-loss': 3e9,
  blackhole: 2e9,
  'link-flap': 10e9,
  'silent-switch': Infinity,
  misclassified: 1e9,
  'telemetry-degraded': 1e9,
  'unexplained-wait': 1e9,
  'clock-fault': 2.5e9,
  'slice-budget': 1e9,
};
const USUAL_QUIET_NS = 3e9;
const MAX_OPEN = 1024;
/** How often an open condition that goes on is told of again. */
const REFRESH_NS = 1e9;

/** What a detector says of a condition. */
export interface Finding {
  kind: ConditionKind;
  place: Place;
  /** Collector time since when it holds, and when it was last seen to hold, ns. */
  fromNs: number;
  atNs: number;
  severity: Severity;
  summary: string;
  numbers?: Record<string, number>;
  confidence?: number;
  related?: readonly string[];
}

interface Open {
  event: ConditionEvent;
  fromNs: number;
  lastNs: number;
  /** When it was last told of, and how it stood then. */
  toldNs: number;
  told: ConditionEvent | undefined;
}

export class ConditionBook {
  readonly #iso: (ns: number) => string;
  readonly #watch: (event: ConditionEvent, nowNs: number) => void;
  readonly #open = new Map<string, Open>();
  /** Findings that found no room. */
  overflow = 0;

  /** `watch` is told of every opening, every change that matters to people, and every end. */
  constructor(iso: (ns: number) => string, watch: (event: ConditionEvent, nowNs: number) => void) {
    this.#iso = iso;
    this.#watch = watch;
  }

  get open(): number {
    return this.#open.size;
  }

  isOpen(kind: ConditionKind, place: Place): boolean {
    return this.#open.has(keyOf(kind, place));
  }

  /** It holds: opens it, or brings it up to date. */
  raise(finding: Finding, nowNs: number): ConditionEvent | undefined {
    const key = keyOf(finding.kind, finding.place);
    const known = this.#open.get(key);
    if (known === undefined && this.#open.size >= MAX_OPEN) {
      this.overflow++;
      return undefined;
    }
    const open = known ?? {
      event: this.#eventOf(key, finding),
      fromNs: finding.fromNs,
      lastNs: finding.atNs,
      toldNs: nowNs,
      told: undefined,
    };
    this.#open.set(key, open);
    const before = open.event;
    open.lastNs = Math.max(open.lastNs, finding.atNs);
    open.event = {
      ...before,
      lastSeen: this.#iso(open.lastNs),
      durationNs: Math.max(0, open.lastNs - open.fromNs),
      severity: Math.max(before.severity, finding.severity) as Severity,
      summary: finding.summary,
      numbers: { ...before.numbers, ...finding.numbers },
      confidence: finding.confidence ?? before.confidence,
      related: [...new Set([...before.related, ...(finding.related ?? [])])].slice(-16),
    };
    if (known === undefined || open.event.severity !== before.severity) this.#tell(open, nowNs);
    return open.event;
  }

  /** It is seen to be over since `atNs`. */
  end(kind: ConditionKind, place: Place, atNs: number, nowNs: number): void {
    const open = this.#open.get(keyOf(kind, place));
    if (open !== undefined) this.#close(open, { kind: 'observed', earliest: this.#iso(atNs), latest: this.#iso(atNs) }, nowNs);
  }

  /** Tells how everything stands that is open and has moved on. */
  refresh(nowNs: number): void {
    for (const open of this.#open.values()) if (open.told !== open.event) this.#tell(open, nowNs);
  }

  #tell(open: Open, nowNs: number): void {
    open.toldNs = nowNs;
    open.told = open.event;
    this.#watch(open.event, nowNs);
  }

  /** Closes what has not been raised for its quiet time. */
  advance(nowNs: number): void {
    for (const open of this.#open.values()) {
      if (open.told !== open.event && nowNs - open.toldNs >= REFRESH_NS) this.#tell(open, nowNs);
      const quietNs = QUIET_NS[open.event.kind] ?? USUAL_QUIET_NS;
      if (nowNs - open.lastNs < quietNs) continue;
      this.#close(open, { kind: 'inferred', earliest: this.#iso(open.lastNs), latest: this.#iso(nowNs) }, nowNs);
    }
  }

  #close(open: Open, end: EventEnd, nowNs: number): void {
    this.#open.delete(keyOf(open.event.kind, open.event.place));
    this.#watch({ ...open.event, state: 'closed', end }, nowNs);
  }

  #eventOf(key: string, finding: Finding): ConditionEvent {
    const start = this.#iso(finding.fromNs);
    return {
      id: `evt_${createHash('sha256').update(`${key}/${start}`).digest('hex').slice(0, 16)}`,
      kind: finding.kind,
      state: 'open',
      place: finding.place,
      start,
      lastSeen: start,
      end: null,
      durationNs: 0,
      severity: finding.severity,
      summary: finding.summary,
      numbers: {},
      confidence: 1,
      related: [],
    };
  }
}

function keyOf(kind: ConditionKind, place: Place): string {
  return `${kind}/${placeText(place)}`;
}
