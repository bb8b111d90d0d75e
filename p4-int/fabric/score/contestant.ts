// Whoever is scored: takes datagrams, and says what it found. Times are fabric time in ns, names are those of the scenario.

import type { Flow } from '../flow.ts';
import type { InjectedKind } from '../scenario.ts';
import type { Datagram } from '../telemetry/datagram.ts';

export type FoundKind = 'microburst' | 'congestion' | 'sustained' | InjectedKind;

export interface FoundCulprit {
  /** namespace/workload, or `unknown`. */
  workload: string;
  /** Octets that it put into the build-up; in whatever unit, only shares count. */
  bytes: number;
  /** How much smaller the queue would have been without it, 0 to 1. */
  counterfactual?: number;
}

export interface FoundEvent {
  kind: FoundKind;
  node?: string;
  interfaceId?: number;
  queue?: number;
  slice?: string;
  prefix?: string;
  workload?: string;
  startNs: number;
  endNs: number;
  /** When the contestant first told of it. */
  toldNs: number;
  peakWaitNs?: number;
  peakBytes?: number;
  /** Largest first. */
  culprits: FoundCulprit[];
  /** The same by flow, where it is told: see flowName. */
  flows?: { flow: string; bytes: number }[];
  /** Worst first. */
  victims: string[];
  /** 0 to 1, that the first culprit is the right one. */
  confidence: number;
}

/** How flows are named in findings: the five-tuple. */
export function flowName(
  flow: Pick<Flow, 'sourceAddress' | 'destinationAddress' | 'sourcePort' | 'destinationPort'> & { protocol: number },
): string {
  return `${flow.sourceAddress} ${flow.sourcePort} ${flow.destinationAddress} ${flow.destinationPort} ${flow.protocol}`;
}

export interface FoundLatency {
  node: string;
  interfaceId: number;
  queue: number;
  p50Ns: number;
  p99Ns: number;
  p999Ns: number;
}

/** A verdict that would wake somebody up. */
export interface FoundIncident {
  severity: number;
  /** `congestion`, or another kind of event. */
  type: string;
  node?: string;
  interfaceId?: number;
  /** Where what it comes of is, for people. */
  causes?: readonly string[];
}

export interface Findings {
  events: FoundEvent[];
  latencies: FoundLatency[];
  /** By slice, ns through the whole fabric; empty when it is not known. */
  sliceLatencies: { slice: string; p50Ns: number; p99Ns: number; p999Ns: number; badShare: number }[];
  incidents: FoundIncident[];
}

export interface Contestant {
  readonly name: string;
  receive(datagram: Datagram): void;
  /** All datagrams have come. `atNs`: fabric time of the end. */
  finish(atNs: number): Findings;
}
