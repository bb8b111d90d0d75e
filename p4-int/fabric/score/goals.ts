// What is to be reached, by degradation, and whether a scenario reaches it.

import { ASKED, type Scenario } from '../scenario.ts';
import type { Degradation } from '../telemetry/degradation.ts';
import { MEASURES, type MeasureName, type Measures } from './measures.ts';

type Goals = Partial<Record<MeasureName, number>>;

/** No scenario may be further from a goal than this, absolutely; times, by this factor. */
const TOLERANCE = 0.05;
const TIME_TOLERANCE = 1.5;

const EVERY_POSTCARD: Goals = {
  'queue.precision': 0.995,
  'queue.recall': 0.995,
  'queue.fragmentation': 1.02,
  'onset.delay-beyond-floor-p95-ns': 5000,
  'culprit.overlap': 0.995,
  'culprit.top1': 0.99,
  'counterfactual.top1': 0.98,
  'counterfactual.error': 0.01,
  'victim.recall': 1,
  'victim.precision': 0.99,
  'hop.p50-error': 0.01,
  'hop.p99-error': 0.01,
  'events.macro-f1': 0.98,
  'confidence.calibration-error': 0.03,
};

export const GOALS: Partial<Record<Degradation, Goals>> = {
  none: EVERY_POSTCARD,
  'loss-20': {
    'queue.precision': 0.99,
    'queue.recall': 0.98,
    'queue.fragmentation': 1.05,
    'onset.delay-beyond-floor-p95-ns': 20_000,
    'culprit.overlap': 0.985,
    'culprit.top1': 0.97,
    'counterfactual.top1': 0.95,
    'counterfactual.error': 0.03,
    'victim.recall': 0.99,
    'victim.precision': 0.99,
    'hop.p50-error': 0.01,
    'hop.p99-error': 0.05,
    'events.macro-f1': 0.95,
    'confidence.calibration-error': 0.03,
  },
  'change-filter': {
    'queue.precision': 0.99,
    'queue.recall': 0.99,
    'queue.fragmentation': 1.1,
    'onset.delay-beyond-floor-p95-ns': 10_000,
    'culprit.overlap': 0.97,
    'culprit.top1': 0.95,
    'counterfactual.top1': 0.93,
    'counterfactual.error': 0.03,
    'victim.recall': 0.99,
    'victim.precision': 0.98,
    'hop.p50-error': 0.01,
    'hop.p99-error': 0.15,
    'events.macro-f1': 0.95,
    'confidence.calibration-error': 0.03,
  },
  'sampling-8': {
    'queue.precision': 0.98,
    'queue.recall': 0.95,
    'queue.fragmentation': 1.1,
    'onset.delay-beyond-floor-p95-ns': 40_000,
    'culprit.overlap': 0.95,
    'culprit.top1': 0.93,
    'counterfactual.top1': 0.88,
    'counterfactual.error': 0.08,
    'victim.recall': 0.97,
    'victim.precision': 0.98,
    'hop.p50-error': 0.02,
    'hop.p99-error': 0.1,
    'events.macro-f1': 0.92,
    'confidence.calibration-error': 0.03,
  },
};

/** Whether a scenario asks for a measure: for one of a group that is asked for, and for those that have no goal. */
export function isAsked({ truth }: Scenario, measure: string): boolean {
  const group = ASKED.find((one) => measure.startsWith(`${one}.`));
  return group === undefined || truth.asks.includes(group);
}

/** Goals that the measures of one scenario miss, of those that it asks for. What could not be measured because nothing was said of it is missed; calibration is pooled. */
export function missedGoals(measures: Measures, degradation: Degradation, scenario: Scenario): string[] {
  return Object.entries(GOALS[degradation] ?? EVERY_POSTCARD).flatMap(([name, goal]) => {
    if (name === 'confidence.calibration-error' || !isAsked(scenario, name)) return [];
    const value = measures[name];
    if (value === null)
      return name === 'counterfactual.error' && measures['counterfactual.top1'] !== null ? [`${name} unknown`] : [];
    return isReached(name as MeasureName, value, goal) ? [] : [`${name} ${shortNumber(value)}`];
  });
}

function isReached(name: MeasureName, value: number, goal: number): boolean {
  if (name.endsWith('-ns')) return value <= goal * TIME_TOLERANCE;
  return MEASURES[name][0] === 'up' ? value >= goal - TOLERANCE : value <= goal + TOLERANCE;
}

/** Three digits, for people. */
export function shortNumber(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) >= 1000 ? value.toPrecision(3) : String(Number(value.toPrecision(3)));
}
