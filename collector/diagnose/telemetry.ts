// About the telemetry itself: reports that are lost on their way, nodes that fall silent. Without these every other verdict would be unsound.
//
// Rule: a node that nobody hears of is never healthy. Silence is judged by how often the node used to speak, and by what its neighbours still see.

import type { Place, Severity } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** Reports of one exporter so far. */
export interface ExporterCounts {
  row: number;
  place: Place;
  expected: number;
  received: number;
}

export interface TelemetrySources {
  /** Exporters whose reports are numbered in order. */
  exporters(): ExporterCounts[];
  /** Nodes that send reports themselves. */
  nodes(): { tag: number; place: Place; reports: number; lastReportNs: number }[];
  /** What its neighbours saw since: packets that came from it; packets that they send to it; or flows that left it. */
  neighboursSee(nodeTag: number, sinceNs: number): 'forwarding' | 'swallowing' | 'avoided' | undefined;
}

const WINDOW_NS = 500e6;
/** From this share of reports on that do not arrive, and back. */
const DEGRADED = 0.01;
const MIN_LOST = 8;
/** Reports are lost in runs: one or two bad windows are none. */
const MIN_WINDOWS = 3;
const SEVERITIES: readonly [number, Severity][] = [
  [0.2, 4],
  [0.05, 3],
];
/** In pipelines like SD-Fabric's every active flow reports each 1.07 s: three periods without any report are silence. */
const SILENCE_NS = 3.3e9;
/** Reports that should have come by then, had the node gone on as before: none of 14 is one chance in a million. */
const SILENCE_REPORTS = 14;
/** How quickly the rate of a node's reports is believed to change. */
const RATE_WEIGHT = 0.1;

export class TelemetryDetector {
  readonly #sources: TelemetrySources;
  readonly #conditions: ConditionBook;
  readonly #counts = new Map<number, { expected: number; received: number; windows: number }>();
  readonly #rates = new Map<number, { reports: number; perNs: number; atNs: number }>();
  #turnedNs = -Infinity;

  constructor(sources: TelemetrySources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    if (nowNs - this.#turnedNs < WINDOW_NS) return;
    const fromNs = nowNs - MIN_WINDOWS * WINDOW_NS;
    this.#turnedNs = nowNs;
    for (const exporter of this.#sources.exporters()) this.#countLoss(exporter, fromNs, nowNs);
    this.#lookForSilence(nowNs);
  }

  #countLoss({ row, place, expected, received }: ExporterCounts, fromNs: number, nowNs: number): void {
    const before = this.#counts.get(row);
    const counts = { expected, received, windows: 0 };
    this.#counts.set(row, counts);
    if (before === undefined || expected < before.expected) return;
    const sent = expected - before.expected;
    const lost = sent - (received - before.received);
    if (lost < MIN_LOST || lost < DEGRADED * sent) return;
    counts.windows = before.windows + 1;
    if (counts.windows < MIN_WINDOWS) return;
    const share = lost / sent;
    const severity = SEVERITIES.find(([from]) => share >= from)?.[1] ?? 2;
    this.#conditions.raise(
      {
        kind: 'telemetry-degraded',
        place,
        fromNs,
        atNs: nowNs,
        severity,
        summary: `${(share * 100).toFixed(1)} % of the node's reports do not arrive; verdicts about it allow for that`,
        numbers: { lossRatio: share, lostReports: lost },
      },
      nowNs,
    );
  }

  #lookForSilence(nowNs: number): void {
    for (const { tag, place, reports, lastReportNs } of this.#sources.nodes()) {
      const known = this.#rates.get(tag);
      if (known === undefined || reports < known.reports) {
        this.#rates.set(tag, { reports, perNs: 0, atNs: nowNs });
        continue;
      }
      const quietNs = nowNs - lastReportNs;
      const isSilent = quietNs >= SILENCE_NS && quietNs * known.perNs >= SILENCE_REPORTS;
      if (isSilent) this.#silent(tag, place, lastReportNs, nowNs);
      else if (quietNs < WINDOW_NS) this.#conditions.end('silent-switch', place, lastReportNs, nowNs);
      // While it is silent, how it used to speak is kept.
      if (reports > known.reports) {
        const perNs = (reports - known.reports) / (nowNs - known.atNs);
        known.perNs = known.perNs === 0 ? perNs : known.perNs + RATE_WEIGHT * (perNs - known.perNs);
        known.reports = reports;
        known.atNs = nowNs;
      }
    }
  }

  /** A node to which nobody sends has nothing to report. */
  #silent(tag: number, place: Place, lastReportNs: number, nowNs: number): void {
    const seen = this.#sources.neighboursSee(tag, lastReportNs + WINDOW_NS);
    if (seen === undefined) return;
    const isAlive = seen === 'forwarding';
    this.#conditions.raise(
      {
        kind: 'silent-switch',
        place,
        fromNs: lastReportNs,
        atNs: nowNs,
        severity: isAlive ? 3 : 5,
        summary: isAlive
          ? 'the node forwards packets, as its neighbours see, and reports nothing any more'
          : `nothing is heard of the node any more, nor of packets that come from it${seen === 'avoided' ? '; its flows have gone elsewhere' : ''}`,
        numbers: { silentSeconds: (nowNs - lastReportNs) / 1e9 },
      },
      nowNs,
    );
  }
}
