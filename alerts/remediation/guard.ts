// What no change gets past: scope, protected things, how much at once, how often, "maybe it is me", and evidence. Pure functions; whatever
// they refuse, they refuse with a sentence. Numbers are those of docs/remediation.md.

import type { Incident } from '../../collector/event.ts';
import { ACTIONS, type Change, type Lease } from './change.ts';
import { mayUse, type Rule } from './rule.ts';
import { targetFaults } from './scope.ts';

export const LIMITS = {
  /** Leases of a site at a time, and of a switch (or of the cluster, or of an endpoint). */
  leases: 4,
  leasesPerExecutor: 1,
  /** New changes of the site in ten minutes, and of one culprit in an hour. */
  perTenMinutes: 5,
  perTargetAndHour: 3,
  targets: 8,
  maxLeaseMs: 3600e3,
  minLeaseMs: 10e3,
  /** After a change has ended, the same culprit is left alone for so long. */
  cooldownMs: 300e3,
  /** Penalty of a change that is made and undone; it halves in a quarter of an hour. */
  flapPenalty: 1000,
  flapHalfLifeMs: 900e3,
  suspendAt: 3000,
  reuseBelow: 750,
  /** Beyond which "maybe it is me": nothing new is done. */
  maxCongestedShare: 0.3,
  minCongestedSwitches: 3,
  maxReportLoss: 0.01,
  maxSilentShare: 0.2,
  maxLagMs: 2000,
  /** Evidence of an incident. */
  minReports: 100,
  minOpenMs: 15e3,
  maxAgeMs: 5000,
} as const;

/** Namespaces that no rule may name, and DSCP values whose packets no rule may touch: network control and internetwork control (RFC 4594). */
export const PROTECTED_NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease'] as const;
const PROTECTED_DSCP = [48, 56] as const;

/** What a value may be, by action: DSCP, queue, octets per second, percent. */
const VALUES = {
  'remark-dscp': [0, 63],
  'override-queue': [0, 7],
  'limit-rate': [1000, 2 ** 40],
  'shift-ecmp': [1, 100],
  'limit-egress': [1000, 2 ** 40],
  propose: [1000, 2 ** 40],
} as const;

/** How the fabric looks as a whole. */
export interface FabricHealth {
  switches: number;
  congestedSwitches: number;
  /** Of all reports, 0 to 1; null where no source counts. */
  reportLossRatio: number | null;
  silentSwitches: number;
  /** How old the newest report is. */
  lagMs: number;
  clocksKnown: boolean;
}

/** A change that was made, for budgets; on disk. */
export interface Made {
  culprit: string;
  madeUnixMs: number;
  endedUnixMs?: number;
}

/** Why a change may not even be proposed, whatever the moment: R3 and R18. Empty where it may. */
export function scopeFaults(change: Change, rule: Rule, protectedAddresses: readonly string[]): string[] {
  const faults: string[] = [];
  const { targets, leaseMs, value, action } = change;
  if (!ACTIONS.includes(action) || action !== rule.action) faults.push(`its action ${String(action)} is not the rule's`);
  if (!Array.isArray(targets) || targets.length === 0) faults.push('it names no target');
  else if (targets.length > LIMITS.targets) faults.push(`it names ${targets.length} targets, more than ${LIMITS.targets}`);
  if (!mayUse(rule, change.executor)) faults.push(`the rule may not write to ${change.executor}`);
  if (!(leaseMs >= LIMITS.minLeaseMs && leaseMs <= LIMITS.maxLeaseMs))
    faults.push('its lease is shorter or longer than any may be');
  const range = VALUES[rule.action];
  if (!(Number.isInteger(value) && value >= range[0] && value <= range[1])) faults.push(`its value ${value} is out of range`);
  if (action === 'remark-dscp' && PROTECTED_DSCP.includes(value as 48))
    faults.push(`DSCP ${value} belongs to the network's own control`);
  const [namespace = ''] = String(change.culprit).split('/');
  if (!rule.namespaces.includes(namespace)) faults.push(`${change.culprit} is none of the rule's`);
  if ((PROTECTED_NAMESPACES as readonly string[]).includes(namespace)) faults.push(`${namespace} is protected`);
  const list: readonly unknown[] = Array.isArray(targets) ? (targets as unknown[]).slice(0, LIMITS.targets + 1) : [];
  for (const target of list) faults.push(...targetFaults(target, rule.action, change.culprit, protectedAddresses));
  return faults;
}

/** Why nothing new is done now, whatever it is: "maybe it is me" (R5). Undefined where something may be. */
export function freezeReason({
  switches,
  congestedSwitches,
  reportLossRatio,
  silentSwitches,
  lagMs,
  clocksKnown,
}: FabricHealth): string | undefined {
  if (congestedSwitches >= LIMITS.minCongestedSwitches && congestedSwitches > LIMITS.maxCongestedShare * switches) {
    return `${congestedSwitches} of ${switches} switches look congested at once`;
  }
  if (reportLossRatio !== null && reportLossRatio > 5 * LIMITS.maxReportLoss)
    return `${Math.round(reportLossRatio * 100)} % of all reports are lost`;
  if (switches > 0 && silentSwitches > LIMITS.maxSilentShare * switches)
    return `${silentSwitches} of ${switches} switches are silent`;
  if (lagMs > LIMITS.maxLagMs) return `the newest report is ${Math.round(lagMs)} ms old`;
  return clocksKnown ? undefined : 'the clocks of the switches are not understood';
}

/** Why the evidence of an incident is not enough to act on (R6). Undefined where it is. */
export function evidenceFault(incident: Incident, rule: Rule, unixMs: number): string | undefined {
  const { evidence, confidence } = incident;
  if (confidence < Math.max(0.8, rule.minConfidence)) return `the cause is only ${Math.round(confidence * 100)} % sure`;
  if (evidence.reports < LIMITS.minReports) return `${evidence.reports} reports are too few`;
  if (evidence.reportLossRatio === null || evidence.reportLossRatio > LIMITS.maxReportLoss)
    return 'too many reports of this switch are lost, or nobody counts them';
  if (unixMs - Date.parse(incident.openedAt) < LIMITS.minOpenMs) return 'it has not lasted for long enough';
  if (unixMs - Date.parse(incident.updatedAt) > LIMITS.maxAgeMs + LIMITS.minOpenMs) return 'it was not seen of late';
  return undefined;
}

/** How much of each budget is used, 0 to 1. */
export function budgetsUsed(leases: readonly Lease[], made: readonly Made[], unixMs: number): Map<string, number> {
  const since = (ms: number) => made.filter((one) => one.madeUnixMs > unixMs - ms);
  const perCulprit = new Map<string, number>();
  for (const { culprit } of since(3600e3)) perCulprit.set(culprit, (perCulprit.get(culprit) ?? 0) + 1);
  return new Map([
    ['leases', leases.length / LIMITS.leases],
    ['ten-minutes', since(600e3).length / LIMITS.perTenMinutes],
    ['culprit-hour', Math.max(0, ...perCulprit.values()) / LIMITS.perTargetAndHour],
  ]);
}

/** Why this change would be one too many (R4, R7, R8). Undefined where it is not. */
export function budgetFault(change: Change, leases: readonly Lease[], made: readonly Made[], unixMs: number): string | undefined {
  if (leases.some((lease) => lease.change.incidentId === change.incidentId)) return 'a change for this incident is being made';
  if (leases.length >= LIMITS.leases) return `${leases.length} changes are in force, and no more may be`;
  if (leases.filter((lease) => lease.change.executor === change.executor).length >= LIMITS.leasesPerExecutor) {
    return `a change of ${change.executor} is in force`;
  }
  const since = (ms: number) => made.filter((one) => one.madeUnixMs > unixMs - ms);
  if (since(600e3).length >= LIMITS.perTenMinutes) return `${LIMITS.perTenMinutes} changes were made in ten minutes`;
  const own = (list: readonly Made[]) => list.filter((one) => one.culprit === change.culprit);
  if (own(since(3600e3)).length >= LIMITS.perTargetAndHour)
    return `${change.culprit} was changed ${LIMITS.perTargetAndHour} times within an hour`;
  const lastEnd = Math.max(-Infinity, ...own(made).map((one) => one.endedUnixMs ?? -Infinity));
  if (unixMs - lastEnd < LIMITS.cooldownMs)
    return `the last change of ${change.culprit} ended ${Math.round((unixMs - lastEnd) / 1000)} s ago`;
  if (isSuspended(own(made), unixMs)) return `${change.culprit} was changed back and forth, and is left alone`;
  return undefined;
}

/** Route-flap damping (RFC 2439, with the thresholds of docs/remediation.md): suspended at one penalty, taken up again below another. */
function isSuspended(own: readonly Made[], unixMs: number): boolean {
  let penalty = 0;
  let at = 0;
  let suspended = false;
  const decayTo = (ms: number): void => {
    penalty *= 2 ** (-(ms - at) / LIMITS.flapHalfLifeMs);
    at = ms;
    if (penalty < LIMITS.reuseBelow) suspended = false;
  };
  for (const end of own.flatMap(({ endedUnixMs }) => endedUnixMs ?? []).sort((a, b) => a - b)) {
    decayTo(end);
    penalty += LIMITS.flapPenalty;
    if (penalty >= LIMITS.suspendAt) suspended = true;
  }
  decayTo(unixMs);
  return suspended;
}
