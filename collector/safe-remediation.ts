// Wiring of the safe loop: rules of the configuration, switches of their file, the store, the audit file, and how the fabric looks as a whole.

import { existsSync, readFileSync } from 'node:fs';
import { P4RuntimeDevice } from '../alerts/remediation/actions/p4runtime.ts';
import type { Clock } from '../alerts/remediation/change.ts';
import type { Observation } from '../alerts/remediation/effect.ts';
import type { FabricHealth } from '../alerts/remediation/guard.ts';
import { charterOf, modeOf, type Rule } from '../alerts/remediation/rule.ts';
import { SafeLoop, type Device } from '../alerts/remediation/safe-loop.ts';
import { ipv4Text } from '../p4-int/runtime/address.ts';
import { SwitchClient } from '../p4-int/runtime/client.ts';
import { shippedProgram } from '../p4-int/runtime/shipped-program.ts';
import { countsOf } from './accounting.ts';
import type { Config } from './config.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { Incident } from './event.ts';
import type { RemediationNumbers } from './measurements.ts';
import { AuditLog } from './store/audit.ts';
import { openSafetyStore } from './store/safety.ts';
import { readSwitchFile } from './switch-file.ts';

/** The role of remediation among a switch's controllers; servers without roles take the highest election id. */
const ROLE = 'hopscope-remediation';
/** Election ids begin here: above those of configuration, which are small, and rising with every start. */
const ELECTION_BASE = 1_000_000n;
const CALL_TIMEOUT_MS = 4000;

export interface RemediationStatus {
  stopped: boolean;
  rules: { name: string; mode: string; effectiveMode: string; record: object; charter: string[] }[];
  leases: object[];
  approvals: object[];
}

export interface SafeRemediation {
  turn(incidents: readonly Incident[]): void;
  status(): RemediationStatus;
  numbers(): RemediationNumbers;
  /** Throws a plain sentence where nothing waits with that hash. */
  approve(hash: string, who: string): void;
  revertAll(who: string): void;
  stop(): Promise<void>;
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

function rulesOf({ remediation }: Config): Rule[] {
  return remediation.rules.map(({ lease, ...rule }) => ({ ...rule, leaseMs: lease / 1e6 }));
}

/** Devices for the switches of the file, with connections that close() ends. `electionId` must be higher than any that was used before. */
export function devicesOf(
  path: string,
  electionId: bigint,
): { devices: Map<string, Device>; protectedAddresses: string[]; close: () => void } {
  const specs = readSwitchFile(path);
  const clients = specs.map(({ target }) => new SwitchClient({ ...target, role: ROLE, electionId, timeoutMs: CALL_TIMEOUT_MS }));
  const devices = specs.map(
    ({ target, program }, i) => [target.name, new P4RuntimeDevice(clients[i], shippedProgram(program))] as const,
  );
  const reported = specs.flatMap(({ report }) => (report === undefined ? [] : [report.source.value, report.destination.value]));
  return {
    devices: new Map<string, Device>(devices),
    protectedAddresses: [...reported, ...specs.flatMap(({ gateways }) => gateways.map(({ address }) => address.value))].map(
      ipv4Text,
    ),
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

export function electionIdOf(start: number): bigint {
  return ELECTION_BASE + 2n * BigInt(start);
}

/** Builds the loop. Throws a plain sentence, or ConfigError, where a file cannot be used. */
export function startSafeRemediation(
  config: Config,
  lanes: readonly Diagnosis[],
  incidents: () => readonly Incident[],
  nowNs: () => number,
  notice: (sentence: string) => void,
): SafeRemediation {
  const { safety, audit: auditPath, switches, killSwitch, protect } = config.remediation;
  const clock = machineClock();
  const { store, damage } = openSafetyStore(safety, clock.unixMs());
  if (damage !== undefined) notice(`${safety} was damaged and is put aside (${damage}): what we left on switches is taken off`);
  const audit = new AuditLog(auditPath, (head) => store.put('audit-head', 'head', head));
  const { devices, protectedAddresses, close } = devicesOf(switches!, electionIdOf(store.next('start')));
  // A store that was lost does not make anybody bold: every rule begins anew with watching.
  const rules = rulesOf(config).map((rule) => (damage === undefined ? rule : { ...rule, mode: 'observe' as const }));
  const loop = new SafeLoop({
    rules,
    devices,
    store,
    audit,
    clock,
    protectedAddresses: [...protectedAddresses, ...protect],
    isStopped: () => existsSync(killSwitch),
    health: healthOf(lanes, incidents),
    observe: (incident) => observe(lanes, incident, nowNs()),
    notice,
  });
  let turning: Promise<void> = Promise.resolve();
  return {
    turn: (list) => {
      turning = loop.turn(list);
    },
    status: () => ({
      stopped: existsSync(killSwitch),
      rules: rules.map((rule) => ({
        name: rule.name,
        mode: rule.mode,
        effectiveMode: modeOf(rule, loop.recordOf(rule)),
        record: loop.recordOf(rule),
        charter: charterOf(rule, auditPath),
      })),
      leases: loop.leases,
      approvals: loop.approvals,
    }),
    numbers: () => {
      const leases = new Map(rules.map(({ name }) => [name, 0]));
      for (const { change } of loop.leases) leases.set(change.rule, (leases.get(change.rule) ?? 0) + 1);
      return { stopped: existsSync(killSwitch), leases, decisions: loop.decisions, judged: loop.judged, effect: loop.effect };
    },
    approve: (hash, who) => loop.approve(hash, who),
    revertAll: (who) => loop.revertAll(who),
    stop: async () => {
      await turning;
      close();
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
