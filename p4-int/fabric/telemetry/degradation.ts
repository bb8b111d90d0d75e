// Named ways in which reports are worse than all of them: each is laid over the telemetry of a scenario, which wins where it asks for something itself.

import type { TelemetrySpec } from '../scenario.ts';

export const DEGRADATIONS = {
  /** As the scenario has it. */
  none: {},
  'loss-1': { loss: 0.01 },
  'loss-5': { loss: 0.05 },
  'loss-20': { loss: 0.2 },
  'loss-50': { loss: 0.5 },
  /** SD-Fabric's filters as it ships them, with the queue reports that it leaves off. */
  'change-filter': {
    flowReports: 'change-filter',
    dropReports: 'filter',
    queueReports: { trigger: 20e6, reset: 10e6, quota: 1024 },
  },
  /** The same without queue reports. */
  'change-filter-alone': { flowReports: 'change-filter', dropReports: 'filter' },
  'sampling-8': { sampling: { oneIn: 8, kind: 'independent' } },
  'sampling-8-consistent': { sampling: { oneIn: 8, kind: 'consistent' } },
  'sampling-64': { sampling: { oneIn: 64, kind: 'independent' } },
  clocks: { clocks: { offset: 50e6, driftPpm: 30, jitter: 20e3, steps: [] } },
  reordered: { reorder: 5e9 },
  duplicated: { duplicates: 0.001 },
} as const satisfies Record<string, Partial<TelemetrySpec>>;

export type Degradation = keyof typeof DEGRADATIONS;

/** The telemetry of a scenario, made worse. */
export function degraded(spec: TelemetrySpec, name: Degradation): TelemetrySpec {
  const worse: Partial<TelemetrySpec> = DEGRADATIONS[name];
  const result: TelemetrySpec = { ...spec, ...worse };
  if (spec.flowReports !== 'every') result.flowReports = spec.flowReports;
  if (spec.queueReports !== undefined) result.queueReports = spec.queueReports;
  if (spec.clocks.steps.length > 0 || spec.clocks.offset > 0) result.clocks = spec.clocks;
  return result;
}
