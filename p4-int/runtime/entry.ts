// A table entry in the words of its program: names and numbers, where the wire has ids and octets.

export type MatchValue =
  | { kind: 'exact'; value: bigint }
  | { kind: 'ternary'; value: bigint; mask: bigint }
  | { kind: 'lpm'; value: bigint; prefixLength: number }
  | { kind: 'range'; low: bigint; high: bigint }
  | { kind: 'optional'; value: bigint };

/** Rates in octets or packets per second, as the meter counts; bursts in octets or packets (two rates, three colours, RFC 2698). */
export interface MeterRates {
  committedRate: bigint;
  committedBurst: bigint;
  peakRate: bigint;
  peakBurst: bigint;
}

export interface Entry {
  table: string;
  /** By the name of the field. A field that is not named matches everything. */
  match: Readonly<Record<string, MatchValue>>;
  /** Of entries that can overlap, the one with the greatest is taken. 0 in tables with exact fields and prefixes alone. */
  priority: number;
  action: string;
  params: Readonly<Record<string, bigint>>;
  meter?: MeterRates;
  /** What its writer knows it by; the switch keeps it and gives it back (`metadata`). */
  cookie: string;
}

/** What identifies an entry within its switch: table, fields and priority. */
export function keyOf({ table, match, priority }: Pick<Entry, 'table' | 'match' | 'priority'>): string {
  const fields = Object.keys(match)
    .sort()
    .map((name) => `${name}=${textOf(match[name])}`);
  return `${table} ${priority} ${fields.join(' ')}`;
}

/** Whether two entries with the same key do the same, by the same writer. */
export function isSameEntry(a: Entry, b: Entry): boolean {
  return doingOf(a) === doingOf(b);
}

function doingOf({ action, params, meter, cookie }: Entry): string {
  const named = Object.keys(params)
    .sort()
    .map((name) => `${name}=${params[name]}`);
  const rates = meter && [meter.committedRate, meter.committedBurst, meter.peakRate, meter.peakBurst].join('/');
  return [action, ...named, rates, cookie].join(' ');
}

function textOf(value: MatchValue): string {
  if (value.kind === 'exact' || value.kind === 'optional') return String(value.value);
  if (value.kind === 'ternary') return `${value.value}&${value.mask}`;
  if (value.kind === 'lpm') return `${value.value}/${value.prefixLength}`;
  return `${value.low}..${value.high}`;
}
