// What an operator of a simulated fabric would write into the configuration: names of its nodes, owners of its addresses, what its switches mean by
// their numbers. Nothing of what is true in it.

import { PS_PER_NS } from '../p4-int/fabric/units.ts';
import { Topology } from '../p4-int/fabric/topology.ts';
import type { Scenario, TelemetrySpec } from '../p4-int/fabric/scenario.ts';

/** Settings as in the configuration file. Reports come from loopback, or from the addresses of a capture. */
export function scenarioSettings(scenario: Scenario) {
  const { nodes, switches, bitsPerSecond } = new Topology(scenario.fabric);
  return {
    ingest: {
      address: '127.0.0.1',
      port: 0,
      sources: [{ addresses: ['127.0.0.0/8', '10.0.0.0/8'], ...sourceSettings(scenario) }],
    },
    classes: scenario.fabric.classes.map(({ queue, dscp, priority }) => ({ queue, dscp, priority })),
    slices: Object.entries(scenario.truth.sliceBudgets).map(([name, budget]) => ({
      name,
      fabricBudget: `${budget / PS_PER_NS}ns`,
    })),
    nodes: nodes.slice(0, switches).map(({ nodeId, name, firstPort, ports }) => ({
      id: nodeId,
      name,
      portRates: otherRates(bitsPerSecond.subarray(firstPort, firstPort + ports), scenario.fabric.hostRate),
    })),
    inventory: scenario.workloads
      .filter(({ untold }) => !untold)
      .flatMap(({ name, slice, pods }) => {
        const [namespace, workload] = name.split('/');
        const addresses = pods.flatMap(({ address, address6 }) => (address6 === undefined ? [address] : [address, address6]));
        return [...new Set(addresses)].map((address) => ({ address, namespace, workload, slice }));
      }),
  };
}

/** By interface, the rates that are not the usual one. */
function otherRates(bitsPerSecond: Float64Array, usual: number): Record<string, string> {
  const rates = [...bitsPerSecond].map((rate, i) => [String(i + 1), rate] as const);
  return Object.fromEntries(rates.filter(([, rate]) => rate !== usual).map(([port, rate]) => [port, rateText(rate)]));
}

function rateText(bitsPerSecond: number): string {
  return `${bitsPerSecond / 1e6}M`;
}

function sourceSettings({ telemetry, fabric }: Scenario) {
  const portRate = rateText(fabric.hostRate);
  const occupancy = OCCUPANCY[telemetry.occupancyUnit];
  const profile = telemetry.dialect === 'report-v0.5' ? { profile: 'sd-fabric' } : { timestampUnit: 'ns' };
  const { oneIn } = telemetry.sampling;
  const changeFilter = telemetry.flowReports === 'change-filter';
  return { ...profile, ...occupancy, portRate, changeFilter, ...(oneIn > 1 ? { samplingRate: oneIn } : {}) };
}

const OCCUPANCY: Record<TelemetrySpec['occupancyUnit'], object> = {
  bytes: { occupancyUnit: 'bytes' },
  cells: { occupancyUnit: 'cells', occupancyUnitBytes: 80 },
  packets: { occupancyUnit: 'unknown' },
};
