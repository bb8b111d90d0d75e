// The kinds of traffic, and how each begins.

import type { Simulator } from '../simulator.ts';
import type { TrafficSpec } from '../scenario.ts';
import { startBulk } from './bulk.ts';
import { startFlows } from './flows.ts';
import { startPaced } from './paced.ts';
import { pairsOf, type Pair } from './pairs.ts';
import { startIncast, startRequests } from './requests.ts';

/** Every source of the scenario begins; those of the workload `without` never do. */
export function startTraffic(simulator: Simulator, without?: string): void {
  const { scenario } = simulator;
  for (const spec of scenario.traffic) {
    const answers = spec.kind === 'requests' ? spec.to : spec.from;
    if (without !== undefined && (spec.from === without || answers === without)) continue;
    start(simulator, spec, pairsOf(scenario, spec));
  }
}

function start(simulator: Simulator, spec: TrafficSpec, pairs: Pair[]): void {
  switch (spec.kind) {
    case 'constant':
    case 'poisson':
      return pairs.forEach((pair) => startPaced(simulator, spec, pair));
    case 'bulk':
      return pairs.forEach((pair) => startBulk(simulator, spec, pair));
    case 'flows':
      return startFlows(simulator, spec, pairs);
    case 'requests':
      return pairs.forEach((pair) => startRequests(simulator, spec, pair));
    case 'incast':
      return startIncast(simulator, spec, pairs);
  }
}
