// The two scenarios that tests tell, with bursts when a test wants them, and what must be found in them.

import { scenarioNamed } from '../../p4-int/fabric/scenario-file.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';
import { Topology } from '../../p4-int/fabric/topology.ts';
import { PS_PER_NS } from '../../p4-int/fabric/units.ts';

export interface Story {
  scenario: Scenario;
  /** What was injected: the answer that a collector has to find. */
  truth: { node: string; nodeId: number; interfaceId: number; culprit: string; victims: string[] };
}

/** A burst of 4 ms every `burstPeriodNs`, the first after `firstBurstNs`. */
export function noisyBackup(firstBurstNs = 2e9, burstPeriodNs = 5e9): Story {
  return story('noisy-backup', 'storage/object-store', ['core5g/upf', 'media/cache'], firstBurstNs, burstPeriodNs);
}

/** Bursts of 400 us into a port that a steady elephant fills to 45 %. */
export function decoyElephant(firstBurstNs: number, burstPeriodNs: number): Story {
  return story('decoy-elephant', 'storage/volume', ['core5g/amf', 'media/transcoder'], firstBurstNs, burstPeriodNs);
}

function story(name: string, receiver: string, victims: string[], firstBurstNs: number, burstPeriodNs: number): Story {
  const shipped = scenarioNamed(name);
  const traffic = shipped.traffic.map((one) =>
    'burst' in one && one.burst !== undefined
      ? { ...one, start: firstBurstNs * PS_PER_NS, burst: { ...one.burst, every: burstPeriodNs * PS_PER_NS } }
      : one,
  );
  const topology = new Topology(shipped.fabric);
  const { host } = shipped.workloads.find((one) => one.name === receiver)!.pods[0];
  const port = topology.peerPort[topology.hostPort(host)];
  const { name: node, nodeId } = topology.nodes[topology.nodeOfPort[port]];
  const truth = { node, nodeId, interfaceId: topology.interfaceOf(port), culprit: shipped.truth.cause!, victims };
  return { scenario: { ...shipped, traffic }, truth };
}
