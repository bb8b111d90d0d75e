// Loss that switches tell of, by place and by what has to be done about it. After the intent split of draft-evans-discardclass: intended drops are
// somebody's policy, unintended ones somebody's fault.
// Rule: drop reports are limited to one per flow and second. It says "at least so many flows", never "so many packets".

import type { Place, Severity } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** Reasons as SD-Fabric numbers them (stratum/fabric-tna `p4src/tna/include/define.p4`), by class. Other numbers are `unknown`. */
const REASONS: Record<LossClass, readonly number[]> = {
  congestion: [71],
  policy: [80, 160],
  forwarding: [29, 55, 89, 128, 129, 130, 170, 171],
  ttl: [26, 131],
  'user-plane': [132, 133, 134, 135, 136, 137, 138, 139, 140],
  unknown: [],
};
type LossClass = 'congestion' | 'policy' | 'forwarding' | 'ttl' | 'user-plane' | 'unknown';
const SEVERITY: Record<LossClass, Severity> = {
  congestion: 3,
  policy: 1,
  forwarding: 4,
  ttl: 3,
  'user-plane': 2,
  unknown: 2,
};
const CLASS_OF = new Map(
  Object.entries(REASONS).flatMap(([name, codes]) => codes.map((code) => [code, name as LossClass] as const)),
);

/** The drop table, as far as this looks at it. */
export interface DropSources {
  rows(): number[];
  /** Where the row's drops happened, and the reason as the source numbers it. */
  placeOf(row: number): { place: Place; reason: number };
  reports(row: number): number;
  flows(row: number): number;
  lastNs(row: number): number;
}

export class LossDetector {
  readonly #sources: DropSources;
  readonly #conditions: ConditionBook;
  readonly #seen = new Map<number, number>();

  constructor(sources: DropSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    for (const row of this.#sources.rows()) {
      const reports = this.#sources.reports(row);
      const before = this.#seen.get(row) ?? 0;
      if (reports === before) continue;
      this.#seen.set(row, reports);
      this.#tell(row, nowNs);
    }
  }

  #tell(row: number, nowNs: number): void {
    const { place, reason } = this.#sources.placeOf(row);
    const atNs = this.#sources.lastNs(row);
    const name = CLASS_OF.get(reason) ?? 'unknown';
    const flows = Math.max(1, this.#sources.flows(row));
    this.#conditions.raise(
      {
        kind: 'loss',
        place,
        fromNs: atNs,
        atNs,
        severity: SEVERITY[name],
        summary: `at least ${flows} flow(s) lose packets: ${name} (reason ${reason})`,
        numbers: { flows, dropReports: this.#sources.reports(row), reason },
      },
      nowNs,
    );
  }
}
