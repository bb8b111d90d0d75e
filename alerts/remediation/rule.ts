// Rules of remediation: which incidents, which change, on what, and how far Hopscope may go by itself.

import type { Incident } from '../../collector/event.ts';
import { type ActionKind } from './change.ts';

/** observe: only written down · recommend: shown · approve: done when a person says so · auto: done. */
export const MODES = ['observe', 'recommend', 'approve', 'auto'] as const;
export type Mode = (typeof MODES)[number];

export interface Rule {
  name: string;
  mode: Mode;
  action: ActionKind;
  /** The DSCP, the queue, or octets per second. */
  value: number;
  /** Switches that may be written to. */
  switches: readonly string[];
  /** Namespaces whose flows may be changed. */
  namespaces: readonly string[];
  minSeverity: number;
  minConfidence: number;
  minPredictedEffect: number;
  leaseMs: number;
}

/** What a rule has done so far; on disk. */
export interface TrackRecord {
  recommended: number;
  made: number;
  effective: number;
  failed: number;
  /** Lower than the rule's own, after a change that did not help. */
  downgradedTo?: Mode;
}

export const NO_RECORD: TrackRecord = { recommended: 0, made: 0, effective: 0, failed: 0 };

/** How far it may go now. */
export function modeOf(rule: Rule, record: TrackRecord): Mode {
  const lowest = Math.min(MODES.indexOf(rule.mode), MODES.indexOf(record.downgradedTo ?? 'auto'));
  return MODES[lowest];
}

/** One step down, after a change that did not do what it should. */
export function downgraded(rule: Rule, record: TrackRecord): TrackRecord {
  const mode = modeOf(rule, record);
  return { ...record, failed: record.failed + 1, downgradedTo: MODES[Math.max(0, MODES.indexOf(mode) - 1)] };
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
  const { action, switches, namespaces, mode, minSeverity, minConfidence, leaseMs } = rule;
  const what = { 'remark-dscp': 'another DSCP', 'override-queue': 'another queue', 'limit-rate': 'a limited rate' }[action];
  return [
    `Aim: when flows of ${namespaces.join(', ')} harm others (severity ${minSeverity} or more, ${Math.round(minConfidence * 100)} % sure), give them ${what}.`,
    `Authority: ${mode}; tables of ${switches.join(', ')}, single hosts only, ${leaseMs / 1000} s at a time.`,
    `Audit: every decision, also to do nothing, in ${auditPath}; "hopscope audit verify" tells whether a line was changed.`,
    `Abort: "hopscope remediation stop", or the kill-switch file; every change ends by itself on the switch, whoever is alive.`,
  ];
}
