// What a switch is wanted to be, in the words of a network engineer: read from YAML by whoever has the file, turned into entries by ./wanted.

import type { ProgramName } from './shipped-program.ts';
import type { SwitchTarget } from './client.ts';

/** An address prefix in 128 bits; IPv4 as ::ffff:0:0/96 and what follows. */
export interface Prefix {
  value: bigint;
  length: number;
}

/** Packets that have all of what is named. */
export interface FlowSet {
  source?: Prefix;
  destination?: Prefix;
  protocol?: number;
  sourcePort?: number;
  destinationPort?: number;
  dscp?: number;
}

export interface NexthopSpec {
  name: string;
  interface: number;
  sourceMac: bigint;
  destinationMac: bigint;
}

export interface RouteSpec {
  to: Prefix;
  /** One, or several that share the flows by their weights. */
  via: readonly { nexthop: string; weight: number }[];
}

export interface WatchSpec {
  flows: FlowSet;
  /** Report a packet when its flow's latency has left its quantum, or the period is over; 0 for both: every packet. Powers of two, in microseconds. */
  latencyQuantumUs: number;
  periodUs: number;
  /** Drops are reported once per flow, reason and period; 0: every one. */
  dropPeriodUs: number;
  /** One packet in so many; all switches choose the same ones. */
  sampleOneIn: number;
}

export interface QueueReportSpec {
  interface: number;
  queue: number;
  triggerUs: number;
  resetUs: number;
  quota: number;
}

export interface ReportSpec {
  /** Where reports leave, to whom, and from whom. */
  interface: number;
  sourceMac: bigint;
  destinationMac: bigint;
  source: Prefix;
  destination: Prefix;
  sourcePort: number;
  destinationPort: number;
  dscp: number;
  hardwareId: number;
  /** Octets of a packet that a report carries at most; a multiple of 4. */
  truncateBytes: number;
}

export interface EmbeddedSpec {
  /** INT is added to these flows here. */
  sources: readonly { flows: FlowSet; instructions: number; remainingHops: number }[];
  /** Interfaces to hosts: INT ends here. */
  sinks: readonly number[];
  mtuBytes: number;
}

export interface SwitchSpec {
  target: SwitchTarget;
  program: ProgramName;
  nodeId: number;
  nexthops: readonly NexthopSpec[];
  routes: readonly RouteSpec[];
  gateways: readonly { address: Prefix; mac: bigint }[];
  deny: readonly FlowSet[];
  queues: readonly { dscp: number; queue: number }[];
  /** The first that matches counts. */
  watch: readonly WatchSpec[];
  queueReports: readonly QueueReportSpec[];
  report?: ReportSpec;
  embedded?: EmbeddedSpec;
}
