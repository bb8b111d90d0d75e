// A change of the network, as the safe loop knows it: who it is about, what exactly, for how long, and what it should bring.
// Rule: targets are explicit. Nothing here can say "all".

import { createHash } from 'node:crypto';

export const ACTIONS = ['remark-dscp', 'override-queue', 'limit-rate'] as const;
export type ActionKind = (typeof ACTIONS)[number];

/** One flow set, by addresses of single hosts. */
export interface FlowTarget {
  source: string;
  destination: string;
  /** IP protocol number. */
  protocol: number;
  destinationPort?: number;
}

export interface Change {
  action: ActionKind;
  /** The switch that is written to. */
  switchName: string;
  targets: readonly FlowTarget[];
  /** The DSCP, the queue, or octets per second. */
  value: number;
  /** Owner of the flows, namespace/workload. */
  culprit: string;
  incidentId: string;
  rule: string;
  /** Part of the wait that should be gone: what the counterfactual says, 0 to 1. */
  predictedEffect: number;
  leaseMs: number;
}

/** SHA-256 over what would be done to what: an approval is bound to exactly this. */
export function changeHash({ action, switchName, targets, value, leaseMs }: Change): string {
  return createHash('sha256')
    .update(JSON.stringify([action, switchName, targets, value, leaseMs]))
    .digest('hex');
}

/** What would be done, in an operator's words: a line for each target. */
export function changeLines({ action, switchName, targets, value, leaseMs }: Change): string[] {
  const what = {
    'remark-dscp': `DSCP becomes ${value}`,
    'override-queue': `queue ${value}`,
    'limit-rate': `at most ${rateText(value)}`,
  }[action];
  return targets.map(({ source, destination, protocol, destinationPort }) => {
    const port = destinationPort === undefined ? '' : `:${destinationPort}`;
    return `${switchName}: ${source} → ${destination}${port} (${protocolText(protocol)}): ${what}, for ${leaseMs / 1000} s`;
  });
}

function rateText(bytesPerSecond: number): string {
  return `${((bytesPerSecond * 8) / 1e6).toFixed(1)} Mbit/s`;
}

function protocolText(protocol: number): string {
  return { 1: 'ICMP', 6: 'TCP', 17: 'UDP' }[protocol] ?? `protocol ${protocol}`;
}

/** A change that was made, or is about to be. */
export interface Lease {
  id: string;
  /** Rises with every change that is made: executors refuse what is older than what they know. */
  generation: number;
  change: Change;
  /** planned: on disk, perhaps on the switch · active: read back · ending: to be taken off. */
  state: 'planned' | 'active' | 'ending';
  createdUnixMs: number;
  /** Two clocks: a step of the wall clock must not prolong it. */
  expiresUnixMs: number;
  expiresBootMs: number;
  /** The boot whose clock the second is of. */
  bootId: string;
  /** Times that it was put back after somebody took it off. */
  reapplied: number;
}

/** Now, by both clocks. */
export interface Clock {
  unixMs(): number;
  /** Milliseconds since the machine started; goes on while a process is stopped. */
  bootMs(): number;
  bootId: string;
}

/** Over by either clock; by the wall clock alone where the machine was started since. */
export function isExpired(lease: Lease, clock: Clock): boolean {
  if (clock.unixMs() >= lease.expiresUnixMs) return true;
  // After a restart of the machine, or when the wall clock was set back beyond the beginning, nobody knows how long it has stood.
  if (lease.bootId !== clock.bootId || clock.unixMs() < lease.createdUnixMs) return true;
  return clock.bootMs() >= lease.expiresBootMs;
}
