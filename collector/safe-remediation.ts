// Wiring of the safe loop: rules of the configuration, switches of their file, the store, the audit file, and how the fabric looks as a whole.

import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Approval } from '../alerts/remediation/approvals.ts';
import { changeLines, type Clock, type Lease } from '../alerts/remediation/change.ts';
import type { Observation } from '../alerts/remediation/effect.ts';
import type { FabricHealth } from '../alerts/remediation/guard.ts';
import { Journal } from '../alerts/remediation/journal.ts';
import { charterOf, MODES, modeOf, NO_RECORD, promotionOf, type TrackRecord } from '../alerts/remediation/rule.ts';
import { SafeLoop } from '../alerts/remediation/safe-loop.ts';
import type { PageRemediation } from '../dashboards/live/page.ts';
import { countsOf } from './accounting.ts';
import type { Config } from './config.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { Incident } from './event.ts';
import { beginTerms, executorsOf } from './executors.ts';
import type { RemediationNumbers } from './measurements.ts';
import { ruleOf } from './rule-form.ts';
import { AuditLog } from './store/audit.ts';
import { openSafetyStore } from './store/safety.ts';
import type { Telling } from './telling.ts';

export interface RuleStatus {
  name: string;
  mode: string;
  /** How far it may go now: lower than its mode after a change that did not help. */
  effectiveMode: string;
  record: TrackRecord;
  /** How far it is on the way to `auto`. */
  promotion: string;
  charter: string[];
}

export interface RemediationStatus {
  stopped: boolean;
  rules: RuleStatus[];
  leases: Lease[];
  approvals: Approval[];
  /** Used part of each, 0 to 1. */
  budgets: Record<string, number>;
}

export interface SafeRemediation {
  turn(incidents: readonly Incident[]): void;
  status(): RemediationStatus;
  /** The same for the page. */
  page(): PageRemediation;
  numbers(): RemediationNumbers;
  /** Both throw a plain sentence where nothing waits with that hash, or this person may not. */
  approve(hash: string, who: string): void;
  decline(hash: string, who: string): void;
  revert(who: string): void;
  /** The kill switch on, and off. */
  stop(who: string): void;
  resume(who: string): void;
  /** Something that people did, for the audit file. */
  note(kind: string, record: Record<string, unknown>): void;
  close(): Promise<void>;
}

/** By the machine's own clocks. */
export function machineClock(): Clock {
  // /proc/uptime goes on while processes are stopped; elsewhere the monotonic clock of this process has to do.
  const uptime = '/proc/uptime';
  const hasUptime = existsSync(uptime);
  const bootId = '/proc/sys/kernel/random/boot_id';
  return {
    unixMs: () => Date.now(),
    bootMs: () => (hasUptime ? Number(readFileSync(uptime, 'utf8').split(' ')[0]) * 1000 : performance.now()),
    bootId: existsSync(bootId) ? readFileSync(bootId, 'utf8').trim() : 'unknown',
  };
}

/** From now on nothing is done and everything is undone, over restarts, until it is resumed. Needs nothing but the file system. */
export function pullKillSwitch(path: string, who: string): void {
  if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'a'));
  // That it is there is what counts: who did it finds no room on a full disk.
  try {
    writeFileSync(path, `${new Date().toISOString()} ${who}\n`);
  } catch {
    return;
  }
}

export function releaseKillSwitch(path: string): void {
  rmSync(path, { force: true });
}

export interface SafeRemediationParts {
  config: Config;
  lanes: readonly Diagnosis[];
  incidents: () => readonly Incident[];
  nowNs: () => number;
  telling: Telling;
  notice: (sentence: string) => void;
}

/** Builds the loop. Rejects with a plain sentence, or ConfigError, where a file cannot be used. */
export async function startSafeRemediation(parts: SafeRemediationParts): Promise<SafeRemediation> {
  const { config, lanes, incidents, nowNs, telling, notice } = parts;
  const { safety, audit: auditPath, killSwitch, protect } = config.remediation;
  const clock = machineClock();
  const { store, damage } = openSafetyStore(safety, clock.unixMs());
  if (damage !== undefined) notice(`${safety} was damaged and is put aside (${damage}): what we left on switches is taken off`);
  const audit = new AuditLog(auditPath, (head) => store.put('audit-head', 'head', head));
  const executors = await executorsOf(
    config,
    beginTerms(store, () => clock.unixMs()),
    telling,
  );
  const rules = config.remediation.rules.map(ruleOf);
  // A store that was lost does not make anybody bold: every rule begins anew with watching, over the next starts too.
  if (damage !== undefined) for (const { name } of rules) store.put('rule', name, { ...NO_RECORD, downgradedTo: 'observe' });
  const tell = (kind: string, incidentId: string, record: object): void => telling.onDecision(kind, incidentId, record);
  const journal = new Journal({ audit, clock, notice, tell });
  /** Stopped by signal or API though the file could not be written; ends with this process. */
  let isStoppedHere = false;
  const isStopped = (): boolean => isStoppedHere || existsSync(killSwitch);
  const loop = new SafeLoop({
    rules,
    executors: executors.all,
    store,
    journal,
    clock,
    protectedAddresses: [...executors.protectedAddresses, ...protect],
    membersOf: executors.membersOf,
    isStopped,
    health: healthOf(lanes, incidents),
    observe: (incident) => observe(lanes, incident, nowNs()),
  });
  for (const rule of rules) {
    const { isDue, text } = promotionOf(loop.recordOf(rule), clock.unixMs());
    if (rule.mode === 'auto' && !isDue)
      notice(`rule ${rule.name} acts by itself without the record that should come before: ${text}`);
  }
  let turning: Promise<void> = Promise.resolve();
  const status = (): RemediationStatus => ({
    stopped: isStopped(),
    rules: rules.map((rule) => {
      const record = loop.recordOf(rule);
      const { text: promotion } = promotionOf(record, clock.unixMs());
      const { name, mode } = rule;
      return { name, mode, effectiveMode: modeOf(rule, record), record, promotion, charter: charterOf(rule, auditPath) };
    }),
    leases: loop.leases,
    approvals: loop.approvals,
    budgets: Object.fromEntries(loop.budgets),
  });
  return {
    turn: (list) => {
      turning = loop.turn(list);
    },
    status,
    page: () => {
      const { leases, ...rest } = status();
      return {
        ...rest,
        leases: leases.map(({ id, state, change, expiresUnixMs }) => {
          return { id, state, lines: changeLines(change), until: new Date(expiresUnixMs).toISOString() };
        }),
      };
    },
    numbers: () => {
      const leases = new Map(rules.map(({ name }) => [name, 0]));
      for (const { change } of loop.leases) leases.set(change.rule, (leases.get(change.rule) ?? 0) + 1);
      const { decisions } = journal;
      const modes = new Map(rules.map((rule) => [rule.name, MODES.indexOf(modeOf(rule, loop.recordOf(rule)))]));
      const { judged, effect, budgets, approvals } = loop;
      return { stopped: isStopped(), leases, modes, budgets, waiting: approvals.length, decisions, judged, effect };
    },
    approve: (hash, who) => loop.approve(hash, who),
    decline: (hash, who) => loop.decline(hash, who),
    revert: (who) => loop.revertAll(who),
    stop: (who) => {
      journal.record('stopped', { who });
      try {
        pullKillSwitch(killSwitch, who);
      } catch (error) {
        isStoppedHere = true;
        notice(`stopped until this process ends: ${killSwitch} could not be written (${(error as Error).message})`);
      }
    },
    resume: (who) => {
      isStoppedHere = false;
      releaseKillSwitch(killSwitch);
      journal.record('resumed', { who });
    },
    note: (kind, record) => journal.record(kind, record),
    close: async () => {
      await turning;
      executors.close();
      audit.close();
      store.close();
    },
  };
}

/** Congested time and reports of the incident's queue, and of all others together. */
function observe(lanes: readonly Diagnosis[], incident: Incident, atNs: number): Observation | undefined {
  const queue = { atNs, congestedNs: 0, reports: 0, queues: 0 };
  const others = { atNs, congestedNs: 0, reports: 0, queues: 0 };
  for (const { names, state } of lanes) {
    const own = incident.queue === null ? undefined : names.queueRowOf(incident.queue);
    for (const row of state.queues.keys.usedRows()) {
      const counters = row === own ? queue : others;
      counters.congestedNs += state.queues.congestedNs(row);
      counters.reports += state.queues.reports(row);
      counters.queues++;
    }
  }
  // One queue, though several lanes may hear of it.
  return queue.queues === 0 ? undefined : { queue: { ...queue, queues: 1 }, others };
}

function healthOf(lanes: readonly Diagnosis[], incidents: () => readonly Incident[]): () => FabricHealth {
  let reports = -1;
  let heardMs = performance.now();
  return () => {
    const now = performance.now();
    const decoded = countsOf(lanes).of('reportsDecoded');
    if (decoded !== reports) [reports, heardMs] = [decoded, now];
    const open = incidents().filter(({ state }) => state === 'open');
    const nodesOf = (types: readonly string[]) =>
      new Set(open.filter(({ type }) => types.includes(type)).map(({ place }) => place.node));
    const nodes = lanes.reduce((sum, { state }) => sum + state.nodes.keys.usedRows().length, 0);
    const losses = open.map(({ evidence }) => evidence.reportLossRatio ?? 0);
    return {
      switches: nodes,
      congestedSwitches: nodesOf(['congestion']).size,
      reportLossRatio: nodesOf(['telemetry-degraded']).size > 0 ? 1 : Math.max(0, ...losses),
      silentSwitches: nodesOf(['silent-switch']).size,
      lagMs: now - heardMs,
      clocksKnown: nodesOf(['clock-fault']).size === 0,
    };
  };
}
