// All tasks of a score over worker threads, and their verdicts pooled by scenario and degradation.

import { Worker } from 'node:worker_threads';
import type { Scenario } from '../scenario.ts';
import type { Degradation } from '../telemetry/degradation.ts';
import type { Evaluation, Picture, Task } from './evaluate.ts';
import { isAsked, missedGoals } from './goals.ts';
import { mean, measuresOf, type Measures } from './measures.ts';
import { pooled, type Tally } from './tally.ts';

export interface SuiteOptions {
  scenarios: readonly Scenario[];
  seeds: readonly number[];
  degradations: readonly Degradation[];
  /** Entry of a worker thread that answers each Task with an Evaluation. */
  worker: string;
  threads: number;
  progress: (text: string) => void;
}

export interface ScenarioResult {
  scenario: Scenario;
  degradation: Degradation;
  /** By contestant. */
  measures: Record<string, Measures>;
  /** Goals that the collector misses here. */
  missed: string[];
}

export interface SuiteResult {
  results: ScenarioResult[];
  /** Means over the scenarios that ask for a measure, by degradation and contestant; confidence is pooled over all of them. */
  macro: { degradation: Degradation; measures: Record<string, Measures> }[];
  pictures: Map<string, Picture>;
}

/** What the score is about; the other contestants are there for comparison. */
export const SCORED = 'hopscope';

/** Runs every scenario with every seed. Rejects with the first fault of a worker. */
export async function runSuite(options: SuiteOptions): Promise<SuiteResult> {
  const { scenarios, seeds, degradations } = options;
  const tasks = scenarios.flatMap((scenario) => seeds.map((seed): Task => ({ scenario, seed, degradations })));
  const evaluations = await evaluateAll(tasks, options);
  const pictures = new Map<string, Picture>();
  const tallies = new Map<string, Tally[]>();
  evaluations.forEach(({ verdicts, picture }, i) => {
    const { name } = tasks[i].scenario;
    if (picture !== undefined && !pictures.has(name)) pictures.set(name, picture);
    for (const { degradation, contestant, tally } of verdicts) {
      const key = keyOf(name, degradation, contestant);
      tallies.set(key, [...(tallies.get(key) ?? []), tally]);
    }
  });
  const contestants = [...new Set(evaluations.flatMap(({ verdicts }) => verdicts.map(({ contestant }) => contestant)))];
  const results = scenarios.flatMap((scenario) =>
    degradations.map((degradation): ScenarioResult => {
      const measures = Object.fromEntries(
        contestants.map((contestant) => [
          contestant,
          measuresOf(pooled(tallies.get(keyOf(scenario.name, degradation, contestant)) ?? [])),
        ]),
      );
      return { scenario, degradation, measures, missed: missedGoals(measures[SCORED], degradation, scenario) };
    }),
  );
  const macro = degradations.map((degradation) => ({
    degradation,
    measures: Object.fromEntries(
      contestants.map((contestant) => {
        const here = results
          .filter((result) => result.degradation === degradation)
          .map(({ scenario, measures }) => askedOf(scenario, measures[contestant]));
        const all = scenarios.flatMap(({ name }) => tallies.get(keyOf(name, degradation, contestant)) ?? []);
        return [contestant, macroOf(here, pooled(all))];
      }),
    ),
  }));
  return { results, macro, pictures };
}

function keyOf(scenario: string, degradation: string, contestant: string): string {
  return `${scenario}/${degradation}/${contestant}`;
}

function askedOf(scenario: Scenario, measures: Measures): Measures {
  return Object.fromEntries(Object.entries(measures).filter(([name]) => isAsked(scenario, name)));
}

function macroOf(measures: readonly Measures[], all: Tally): Measures {
  const names = [...new Set(measures.flatMap((one) => Object.keys(one)))];
  const means = names.map((name) => [name, mean(measures.flatMap((one) => one[name] ?? []))]);
  const together = measuresOf(all);
  const pooledNames = ['confidence.brier', 'confidence.calibration-error', 'incidents.false-severe-per-hour'];
  return { ...(Object.fromEntries(means) as Measures), ...Object.fromEntries(pooledNames.map((name) => [name, together[name]])) };
}

function evaluateAll(tasks: readonly Task[], { worker, threads, progress }: SuiteOptions): Promise<Evaluation[]> {
  const evaluations: Evaluation[] = [];
  const startedMs = performance.now();
  let next = 0;
  let done = 0;
  return new Promise((resolve, reject) => {
    const workers = Array.from({ length: Math.min(threads, tasks.length) }, () => new Worker(worker));
    const end = (): void => workers.forEach((one) => void one.terminate());
    const fail = (error: unknown): void => {
      end();
      reject(error instanceof Error ? error : new Error(String(error)));
    };
    for (const one of workers) {
      let current = -1;
      const give = (): void => {
        current = next++;
        if (current < tasks.length) one.postMessage(tasks[current]);
      };
      one.on('error', fail);
      one.on('message', (evaluation: Evaluation) => {
        evaluations[current] = evaluation;
        done++;
        const { scenario, seed } = tasks[current];
        const seconds = Math.round((performance.now() - startedMs) / 1000);
        progress(`${done} of ${tasks.length}: ${scenario.name}, seed ${seed}, ${evaluation.events} events (${seconds} s)`);
        if (done < tasks.length) return give();
        end();
        resolve(evaluations);
      });
      give();
    }
  });
}
