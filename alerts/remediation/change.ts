// A change of the network, as the safe loop knows it: who it is about, what exactly, for how long, and what it should bring.
// Rule: targets are explicit. Nothing here can say "all".

import { createHash } from 'node:crypto';

/** Done on a switch, to flows or to the members of an ECMP group. */
export const SWITCH_ACTIONS = ['remark-dscp', 'override-queue', 'limit-rate', 'shift-ecmp'] as const;
/** Done to a workload of the cluster. */
export const CLUSTER_ACTIONS = ['limit-egress', 'propose'] as const;
export const ACTIONS = [...SWITCH_ACTIONS, ...CLUSTER_ACTIONS] as const;
export type SwitchAction = (typeof SWITCH_ACTIONS)[number];
export type ClusterAction = (typeof CLUSTER_ACTIONS)[number];
export type ActionKind = (typeof ACTIONS)[number];

/** Who changes the cluster itself; a switch or a webhook endpoint otherwise. */
export const KUBERNETES = 'kubernetes';

/** One flow set, by addresses of single hosts. */
export interface FlowTarget {
  source: string;
  destination: string;
  /** IP protocol number. */
  protocol: number;
  destinationPort?: number;
}

/** One workload, and the addresses of its pods that send. */
export interface WorkloadTarget {
  namespace: string;
  workload: string;
  addresses: readonly string[];
}

/** Buckets of an ECMP group that take another next hop. */
export interface MemberTarget {
  group: number;
  firstBucket: number;
  lastBucket: number;
  nexthop: number;
}

export type Target = FlowTarget | WorkloadTarget | MemberTarget;

export interface Change {
  action: ActionKind;
  /** Who does it: a switch, KUBERNETES, or a webhook endpoint that is asked to. */
  executor: string;
  targets: readonly Target[];
  /** The DSCP, the queue, octets per second, or the share of a member's flows in percent. */
  value: number;
  /** Owner of the flows, namespace/workload. */
  culprit: string;
  incidentId: string;
  rule: string;
  /** Part of the wait that should be gone: what the counterfactual says, 0 to 1. */
  predictedEffect: number;
  leaseMs: number;
}

export function isClusterAction(action: ActionKind): action is ClusterAction {
  return (CLUSTER_ACTIONS as readonly string[]).includes(action);
}

/** SHA-256 over what would be done to what: an approval is bound to exactly this. */
export function changeHash({ action, executor, targets, value, leaseMs }: Change): string {
  return createHash('sha256')
    .update(JSON.stringify([action, executor, targets, value, leaseMs]))
    .digest('hex');
}

/** What would be done, in an operator's words: a line for each target. */
export function changeLines({ action, executor, targets, value, leaseMs }: Change): string[] {
  const what = {
    'remark-dscp': () => `DSCP becomes ${value}`,
    'override-queue': () => `queue ${value}`,
    'limit-rate': () => `at most ${rateText(value)}`,
    'shift-ecmp': () => `${value} % of one member's flows`,
    'limit-egress': () => `its pods send at most ${rateText(value)} each, and are replaced one after the other for it`,
    propose: () => `an annotation and an Event propose at most ${rateText(value)}; nothing else changes`,
  }[action]();
  return targets.map((target) => `${executor}: ${targetText(target)}: ${what}, for ${leaseMs / 1000} s`);
}

function targetText(target: Target): string {
  if ('workload' in target) return `${target.namespace}/${target.workload}`;
  if ('group' in target)
    return `group ${target.group}, buckets ${target.firstBucket}–${target.lastBucket} → next hop ${target.nexthop}`;
  const { source, destination, protocol, destinationPort } = target;
  return `${source} → ${destination}${destinationPort === undefined ? '' : `:${destinationPort}`} (${protocolText(protocol)})`;
}

export function rateText(bytesPerSecond: number): string {
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
  /** Times that it was given another term, having helped. */
  renewed: number;
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

/** What is left of it by the stricter clock, ms. */
export function remainingMs(lease: Lease, clock: Clock): number {
  return Math.max(0, Math.min(lease.expiresUnixMs - clock.unixMs(), lease.expiresBootMs - clock.bootMs()));
}
