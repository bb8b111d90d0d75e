// What a benchmark says, and how a table of it looks.

import { goalOf, isReached } from './goals.ts';

/** One figure: the median of its rounds and how far they spread (half the distance between the quartiles over the median). */
export interface Measure {
  name: string;
  value: number;
  unit: string;
  spread: number;
}

/** A group of figures that are measured together. */
export interface Family {
  /** Names of its figures. */
  names: readonly string[];
  /** Measures those that `wanted` is true for; `say` tells what is going on, or what could not be compared. */
  run(wanted: (name: string) => boolean, say: (text: string) => void): Promise<Measure[]>;
}

/** A figure out of the rounds that it was measured in. */
export function measureOf(name: string, unit: string, rounds: readonly number[]): Measure {
  const sorted = rounds.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round((sorted.length - 1) * share)];
  const value = at(0.5);
  const spread = value === 0 ? 0 : (at(0.75) - at(0.25)) / 2 / Math.abs(value);
  return { name, value, unit, spread };
}

/** The value that the share `share` of all does not exceed. */
export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)];
}

/** A number with three or four digits that matter, and M for a million. */
export function short(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (magnitude >= 10_000) return `${(value / 1e3).toFixed(1)} k`;
  if (magnitude >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(magnitude >= 10 ? 1 : 2);
}

/** The figures as a Markdown table. */
export function tableOf(measures: readonly Measure[]): string {
  const rows = measures.map(({ name, value, unit, spread }) => {
    const cells = [`\`${name}\``, short(value), unit, `${(spread * 100).toFixed(0)} %`, judgementOf(name, value)];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| measure | median | unit | spread | goal |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

function judgementOf(name: string, value: number): string {
  const goal = goalOf(name);
  if (goal === undefined) return 'published';
  const text = goal.atLeast === undefined ? `≤ ${short(goal.atMost!)}` : `≥ ${short(goal.atLeast)}`;
  return `${text} ${isReached(name, value) === true ? '✓' : '✗'}`;
}
