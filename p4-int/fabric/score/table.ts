// Scores as tables for people, and as one JSON object a line for programs.

import { ASKED } from '../scenario.ts';
import type { Degradation } from '../telemetry/degradation.ts';
import { GOALS, shortNumber } from './goals.ts';
import { MEASURES, type MeasureName, type Measures } from './measures.ts';
import { SCORED, type SuiteResult } from './suite.ts';

/** Columns of the short table. */
const COLUMNS: readonly [MeasureName, string][] = [
  ['queue.precision', 'precision'],
  ['queue.recall', 'recall'],
  ['queue.fragmentation', 'pieces'],
  ['culprit.overlap', 'overlap'],
  ['culprit.top1', 'top-1'],
  ['victim.recall', 'victims'],
  ['events.macro-f1', 'other events'],
];
const NAIVE = 'naive';

/** One line for each scenario and degradation, then the means: {scenario, id, seeds, degradation, passed, missed, measures: {hopscope, naive}}. */
export function jsonLines({ results, macro }: SuiteResult, seeds: readonly number[]): string[] {
  const range = seedRange(seeds);
  return [
    ...results.map(({ scenario, degradation, measures, missed }) =>
      JSON.stringify({
        scenario: scenario.name,
        id: scenario.id ?? null,
        seeds: range,
        degradation,
        passed: missed.length === 0,
        missed,
        measures,
      }),
    ),
    ...macro.map(({ degradation, measures }) =>
      JSON.stringify({ scenario: 'macro', id: null, seeds: range, degradation, measures }),
    ),
  ];
}

export function seedRange(seeds: readonly number[]): string {
  return seeds.length === 1 ? String(seeds[0]) : `${seeds[0]}-${seeds.at(-1)}`;
}

/** Every scenario in a line, ours / naive in each cell. */
export function scenarioTable({ results, macro }: SuiteResult, degradation: Degradation): string[] {
  const rows = results
    .filter((result) => result.degradation === degradation)
    .map(({ scenario, measures, missed }) => [
      `${scenario.id ?? ''} ${scenario.name}`.trim(),
      ...cellsOf(measures),
      missed.length === 0 ? 'reached' : `failed: ${missed.join(', ')}`,
    ]);
  const means = macro.filter((one) => one.degradation === degradation).map(({ measures }) => ['mean', ...cellsOf(measures), '']);
  return markdownTable([['scenario', ...COLUMNS.map(([, title]) => title), 'goals'], ...rows, ...means]);
}

/** Every measure, ours, the naive one's, and the goal. */
export function measureTable({ macro }: SuiteResult, degradation: Degradation): string[] {
  const { measures } = macro.find((one) => one.degradation === degradation)!;
  const rows = Object.entries(MEASURES).map(([name, [better, about]]) => [
    `\`${name}\``,
    numberOf(measures[SCORED][name]),
    numberOf(measures[NAIVE][name]),
    goalOf(degradation, name as MeasureName),
    `${about} (${better === 'up' ? 'more' : 'less'} is better)`,
  ]);
  return markdownTable([['measure', SCORED, NAIVE, 'goal', 'what it is'], ...rows]);
}

/** What some scenarios do not ask for, because their own telemetry cannot tell it; empty when all ask for everything. */
export function notAskedLine({ results }: SuiteResult, degradation: Degradation): string {
  const parts = results
    .filter((result) => result.degradation === degradation)
    .map(({ scenario }) => [
      scenario.id ?? scenario.name,
      ASKED.filter((group) => !scenario.truth.asks.includes(group)).join(', '),
    ])
    .filter(([, groups]) => groups !== '');
  return parts.map(([name, groups]) => `${name}: ${groups}`).join('; ');
}

function goalOf(degradation: Degradation, name: MeasureName): string {
  const goal = GOALS[degradation]?.[name];
  if (goal === undefined) return '';
  return `${MEASURES[name][0] === 'up' ? '≥' : '≤'} ${shortNumber(goal)}`;
}

function cellsOf(measures: Record<string, Measures>): string[] {
  return COLUMNS.map(([name]) => `${numberOf(measures[SCORED][name])} / ${numberOf(measures[NAIVE][name])}`);
}

function numberOf(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : shortNumber(value);
}

function markdownTable(rows: readonly (readonly string[])[]): string[] {
  const [head, ...body] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)];
}
