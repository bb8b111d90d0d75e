// Rules of remediation: which incidents, which change, on what, and how far Hopscope may go by itself.

import type { Incident } from '../../collector/event.ts';
import { isClusterAction, KUBERNETES, type ActionKind } from './change.ts';

/** observe: only written down · recommend: shown · approve: done when a person says so · auto: done. */
export const MODES = ['observe', 'recommend', 'approve', 'auto'] as const;
export type Mode = (typeof MODES)[number];

export interface Rule {
  name: string;
  mode: Mode;
  action: ActionKind;
  /** The DSCP, the queue, octets per second, or the share of a member's flows in percent. */
  value: number;
  /** Switches that may be written to; none where the cluster or an endpoint does it. */
  switches: readonly string[];
  /** The webhook endpoint that is asked to do it, instead of Hopscope itself. */
  endpoint?: string | undefined;
  /** Namespaces whose flows may be changed. */
  namespaces: readonly string[];
  minSeverity: number;
  minConfidence: number;
  minPredictedEffect: number;
  leaseMs: number;
  /** Further terms of a change that has helped. */
  renewals: number;
  /** Who wrote it: somebody else must approve. */
  author?: string | undefined;
}

/** What a rule has done so far, and what people said of it; on disk. */
export interface TrackRecord {
  /** Its first recommendation. */
  sinceUnixMs?: number;
  recommended: number;
  agreed: number;
  declined: number;
  effective: number;
  failed: number;
  /** Lower than the rule's own, after a change that did not help. */
  downgradedTo?: Mode;
}

export const NO_RECORD: TrackRecord = { recommended: 0, agreed: 0, declined: 0, effective: 0, failed: 0 };

/** What a rule should have shown before anybody lets it act by itself. */
const PROMOTION = { days: 14, recommendations: 50, agreement: 0.95 } as const;
const DAY_MS = 24 * 3600e3;

/** How far it may go now. */
export function modeOf(rule: Rule, record: TrackRecord): Mode {
  const lowest = Math.min(MODES.indexOf(rule.mode), MODES.indexOf(record.downgradedTo ?? 'auto'));
  return MODES[lowest];
}

/** The record after a verdict: one step down, where the change did not do what it should. */
export function afterVerdict(rule: Rule, record: TrackRecord, effect: string): TrackRecord {
  if (effect === 'effective' || effect === 'partial') return { ...record, effective: record.effective + 1 };
  const mode = modeOf(rule, record);
  return { ...record, failed: record.failed + 1, downgradedTo: MODES[Math.max(0, MODES.indexOf(mode) - 1)] };
}

/** How far a rule is on the way to `auto`, for whoever decides about that. */
export function promotionOf(
  { sinceUnixMs, recommended, agreed, declined }: TrackRecord,
  unixMs: number,
): { isDue: boolean; text: string } {
  const days = sinceUnixMs === undefined ? 0 : Math.max(0, (unixMs - sinceUnixMs) / DAY_MS);
  const answered = agreed + declined;
  const agreement = answered === 0 ? 0 : agreed / answered;
  return {
    isDue: days >= PROMOTION.days && recommended >= PROMOTION.recommendations && agreement >= PROMOTION.agreement,
    text:
      `${Math.floor(days)} of ${PROMOTION.days} days, ${recommended} of ${PROMOTION.recommendations} recommendations, ` +
      `people agreed with ${agreed} of ${answered} that they answered (${PROMOTION.agreement * 100} % needed)`,
  };
}

/** Whether it may have this one do it. */
export function mayUse({ action, switches, endpoint }: Rule, executor: string): boolean {
  if (endpoint !== undefined) return executor === endpoint;
  return isClusterAction(action) ? executor === KUBERNETES : switches.includes(executor);
}

/** Why a rule has nothing to do with an incident; undefined where it has. */
export function mismatchOf(rule: Rule, incident: Incident): string | undefined {
  const [culprit] = incident.culprits;
  if (incident.type !== 'congestion' || incident.state !== 'open') return 'it is no congestion that goes on';
  if (incident.severity < rule.minSeverity) return `severity ${incident.severity} is below ${rule.minSeverity}`;
  if (incident.victims.length === 0) return 'nobody else is harmed';
  if (culprit === undefined || (culprit.kind !== 'pod' && culprit.kind !== 'workload')) return 'the largest sender has no name';
  if (!rule.namespaces.includes(culprit.namespace)) return `${culprit.namespace} is none of its namespaces`;
  return undefined;
}

/** Aim, authority, audit, abort: what a rule is, in four lines, for whoever answers for it. */
export function charterOf(rule: Rule, auditPath: string): string[] {
  const { action, switches, endpoint, namespaces, mode, minSeverity, minConfidence, leaseMs } = rule;
  const what = {
    'remark-dscp': 'give them another DSCP',
    'override-queue': 'give them another queue',
    'limit-rate': 'limit their rate',
    'shift-ecmp': 'send a part of what takes this way another way',
    'limit-egress': 'limit what their pods send',
    propose: 'say so at their workload',
  }[action];
  const where =
    endpoint === undefined
      ? isClusterAction(action)
        ? `workloads of ${namespaces.join(', ')}`
        : `tables of ${switches.join(', ')}, single hosts only`
      : `asks ${endpoint}, single hosts or workloads only`;
  return [
    `Aim: when flows of ${namespaces.join(', ')} harm others (severity ${minSeverity} or more, ${Math.round(minConfidence * 100)} % sure), ${what}.`,
    `Authority: ${mode}; ${where}, ${leaseMs / 1000} s at a time.`,
    `Audit: every decision, also to do nothing, in ${auditPath}; "hopscope audit verify" tells whether a line was changed.`,
    `Abort: "hopscope remediation stop", or the kill-switch file; every change ends by itself ${endpoint === undefined && !isClusterAction(action) ? 'on the switch, whoever is alive' : 'with its lease, by the collector or the reaper'}.`,
  ];
}
