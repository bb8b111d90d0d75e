// Stories whose answer is known, because it is injected here. The one that the demo tells: a nightly backup floods the port of a storage
// host, and the user plane of a 5G core, which has a pod on that host, waits behind it.

import type { Flow } from './simulator.ts';
import { Topology } from './topology.ts';

/** A workload with its address. */
export interface ScenarioWorkload {
  namespace: string;
  workload: string;
  address: string;
  host: number;
}

export interface Scenario {
  topology: Topology;
  workloads: ScenarioWorkload[];
  flows: Flow[];
  /** What was injected: the answer that a collector has to find. */
  truth: { node: string; nodeId: number; interfaceId: number; culprit: string; victims: string[] };
}

const MILLISECOND = 1e6;
const SECOND = 1e9;

/** The switch port behind which the workload sits: where a burst towards it makes a queue. */
function portTo({ host }: ScenarioWorkload, topology: Topology): Pick<Scenario['truth'], 'node' | 'nodeId' | 'interfaceId'> {
  const { name, nodeId } = topology.nodes[topology.leafOf(host)];
  return { node: name, nodeId, interfaceId: topology.hostInterface(host) };
}

/** A burst of 4 ms every `burstPeriodNs`, the first after `firstBurstNs`. */
export function noisyBackup(firstBurstNs = 2 * SECOND, burstPeriodNs = 5 * SECOND): Scenario {
  const topology = smallFabric();
  const workloads: ScenarioWorkload[] = [
    { namespace: 'core5g', workload: 'upf', address: '10.244.1.10', host: 0 },
    { namespace: 'core5g', workload: 'session-db', address: '10.244.2.10', host: 4 },
    { namespace: 'analytics', workload: 'backup', address: '10.244.1.20', host: 1 },
    { namespace: 'analytics', workload: 'backup', address: '10.244.1.21', host: 2 },
    { namespace: 'storage', workload: 'object-store', address: '10.244.2.20', host: 4 },
    { namespace: 'media', workload: 'cache', address: '10.244.1.30', host: 3 },
    { namespace: 'media', workload: 'player', address: '10.244.2.30', host: 5 },
  ];
  const [upf, database, backup1, backup2, store, cache, player] = workloads;
  const burst = { startNs: firstBurstNs, periodNs: burstPeriodNs, onNs: 4 * MILLISECOND };
  const flows: Flow[] = [
    flow(upf, database, {
      protocol: 17,
      sourcePort: 41_000,
      destinationPort: 8805,
      dscp: 46,
      packetBytes: 300,
      intervalNs: 400_000,
      spine: 0,
    }),
    flow(backup1, store, {
      protocol: 6,
      sourcePort: 52_001,
      destinationPort: 9000,
      packetBytes: 1500,
      intervalNs: 1714,
      spine: 0,
      burst,
    }),
    flow(backup2, store, {
      protocol: 6,
      sourcePort: 52_002,
      destinationPort: 9000,
      packetBytes: 1500,
      intervalNs: 1714,
      spine: 1,
      burst,
    }),
    flow(cache, player, {
      protocol: 6,
      sourcePort: 443,
      destinationPort: 50_100,
      packetBytes: 1500,
      intervalNs: 600_000,
      spine: 1,
    }),
    flow(cache, database, {
      protocol: 6,
      sourcePort: 443,
      destinationPort: 50_200,
      packetBytes: 1000,
      intervalNs: 1_000_000,
      spine: 1,
    }),
  ];
  return {
    topology,
    workloads,
    flows,
    truth: {
      ...portTo(store, topology),
      culprit: 'analytics/backup',
      // The cache has a trickle of traffic through the same port: it suffers, and must not be accused.
      victims: ['core5g/upf', 'media/cache'],
    },
  };
}

/**
 * A trap for whoever counts octets of the last ten milliseconds: a steady elephant fills 45 % of a host port, and every
 * `burstPeriodNs` another workload bursts into the same port for 400 us. The elephant sent most, and did nothing.
 */
export function decoyElephant(firstBurstNs: number, burstPeriodNs: number): Scenario {
  const topology = smallFabric();
  const workloads: ScenarioWorkload[] = [
    { namespace: 'media', workload: 'transcoder', address: '10.244.1.10', host: 0 },
    { namespace: 'batch', workload: 'shuffle', address: '10.244.1.20', host: 1 },
    { namespace: 'batch', workload: 'shuffle', address: '10.244.1.21', host: 2 },
    { namespace: 'storage', workload: 'volume', address: '10.244.2.20', host: 4 },
    { namespace: 'core5g', workload: 'amf', address: '10.244.1.30', host: 3 },
  ];
  const [elephant, shuffle1, shuffle2, volume, amf] = workloads;
  const burst = { startNs: firstBurstNs, periodNs: burstPeriodNs, onNs: 0.4 * MILLISECOND };
  const bulk = { protocol: 6, destinationPort: 9000, packetBytes: 1500 } as const;
  const flows: Flow[] = [
    flow(elephant, volume, { ...bulk, sourcePort: 50_001, intervalNs: 2667, spine: 0 }),
    flow(shuffle1, volume, { ...bulk, sourcePort: 50_002, intervalNs: 2667, spine: 1, burst }),
    flow(shuffle2, volume, { ...bulk, sourcePort: 50_003, intervalNs: 2667, spine: 1, burst }),
    flow(amf, volume, {
      protocol: 17,
      sourcePort: 38_412,
      destinationPort: 7777,
      packetBytes: 200,
      intervalNs: 20_000,
      spine: 1,
    }),
  ];
  return {
    topology,
    workloads,
    flows,
    truth: {
      ...portTo(volume, topology),
      culprit: 'batch/shuffle',
      victims: ['core5g/amf', 'media/transcoder'],
    },
  };
}

/** Ten-gigabit fabric of two leaves and two spines. */
function smallFabric(): Topology {
  return new Topology({
    leaves: 2,
    spines: 2,
    hostsPerLeaf: 4,
    bytesPerNs: 1.25,
    propagationNs: 500,
    pipelineNs: 800,
    queueBytes: 4_000_000,
  });
}

type FlowTraffic = Pick<Flow, 'protocol' | 'sourcePort' | 'destinationPort' | 'packetBytes' | 'intervalNs'> & Partial<Flow>;

function flow(from: ScenarioWorkload, to: ScenarioWorkload, traffic: FlowTraffic): Flow {
  return {
    fromHost: from.host,
    toHost: to.host,
    sourceAddress: addressNumber(from.address),
    destinationAddress: addressNumber(to.address),
    dscp: 0,
    jitter: 0.1,
    ...traffic,
  };
}

function addressNumber(dotted: string): number {
  return dotted.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}
