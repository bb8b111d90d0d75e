// Scenario files: those that ship, by name, and those of users; every problem of one is told at once.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { scenarioForm, type Scenario } from './scenario.ts';

/** A scenario that cannot be used: every problem at once, each with its path. */
export class ScenarioError extends Error {
  constructor(origin: string, problems: readonly string[]) {
    super(`${origin} has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n  ${problems.join('\n  ')}`);
  }
}

const FOLDER = join(import.meta.dirname, 'scenarios');

/** Names of the scenarios that come with Hopscope, in the order of their numbers. */
export function scenarioNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => basename(file, '.yaml'))
    .sort((a, b) => (scenarioNamed(a).id ?? 'Z').localeCompare(scenarioNamed(b).id ?? 'Z') || a.localeCompare(b));
}

const KNOWN = new Map<string, Scenario>();

/** The scenario of that name. Throws ScenarioError when there is none, or when it has problems. */
export function scenarioNamed(wanted: string): Scenario {
  const known = KNOWN.get(wanted);
  if (known !== undefined) return known;
  const files = readdirSync(FOLDER).map((file) => basename(file, '.yaml'));
  if (!files.includes(wanted))
    throw new ScenarioError(`the scenario "${wanted}"`, [`does not exist; there are ${files.join(', ')}`]);
  const found = readScenario(join(FOLDER, `${wanted}.yaml`));
  KNOWN.set(wanted, found);
  return found;
}

/** The scenario in a YAML file. Throws ScenarioError, or what reading the file throws. */
export function readScenario(path: string): Scenario {
  return parseScenario(readFileSync(path, 'utf8'), basename(path));
}

/** The scenario that a YAML text describes; `origin` is named in what is wrong with it. */
export function parseScenario(text: string, origin: string): Scenario {
  const document = parseDocument(text);
  const [fault] = document.errors;
  if (fault !== undefined) throw new ScenarioError(origin, [fault.message.split('\n')[0]]);
  const parsed = scenarioForm.safeParse(document.toJS());
  if (!parsed.success) throw new ScenarioError(origin, parsed.error.issues.map(problemOf));
  const problems = contradictionsOf(parsed.data);
  if (problems.length > 0) throw new ScenarioError(origin, problems);
  return parsed.data;
}

function problemOf(issue: z.core.$ZodIssue): string {
  const path = issue.path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${String(part)}`))
    .join('');
  return `${path === '' ? 'scenario' : path}: ${issue.message}`;
}

/** What no single setting shows. */
function contradictionsOf({ fabric: shape, workloads, traffic: all, telemetry: reports, truth: asked }: Scenario): string[] {
  const problems: string[] = [];
  const names = new Set(workloads.map((one) => one.name));
  const known = (path: string, wanted: string | undefined): void => {
    if (wanted !== undefined && !names.has(wanted)) problems.push(`${path}: no workload is called ${wanted}`);
  };
  all.forEach((one, i) => {
    known(`traffic[${i}].from`, one.from);
    known(`traffic[${i}].to`, one.to);
  });
  reports.unwatched.forEach((one, i) => known(`telemetry.unwatched[${i}]`, one));
  known('truth.cause', asked.cause);
  asked.events.forEach((one, i) => known(`truth.events[${i}].workload`, one.workload));
  const hosts = shape.leaves * shape.hostsPerLeaf + shape.borderHosts;
  workloads.forEach((one, w) =>
    one.pods.forEach((pod, p) => {
      if (pod.host >= hosts) problems.push(`workloads[${w}].pods[${p}].host: there are ${hosts} hosts, 0 to ${hosts - 1}`);
    }),
  );
  if (shape.classes.filter(({ dscp }) => dscp.length === 0).length !== 1) {
    problems.push('fabric.classes: exactly one class must have no dscp, for all that have no class of their own');
  }
  return problems;
}
