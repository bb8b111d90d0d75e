// A fabric in virtual time for the safe loop: one queue of leaf-2 that the flows of analytics/backup fill, a switch that keeps entries until
// its own clock says that they are over, and everything that can go wrong between them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Lease } from '../../alerts/remediation/change.ts';
import type { FabricHealth } from '../../alerts/remediation/guard.ts';
import type { Rule } from '../../alerts/remediation/rule.ts';
import type { Executor } from '../../alerts/remediation/executor.ts';
import { Journal } from '../../alerts/remediation/journal.ts';
import { SafeLoop } from '../../alerts/remediation/safe-loop.ts';
import { AuditLog } from '../../collector/store/audit.ts';
import { openSafetyStore, type SafetyStore } from '../../collector/store/safety.ts';
import type { Incident } from '../../collector/event.ts';
import { incidentOf } from './incidents.ts';

export const RULE: Rule = {
  name: 'backup-yields',
  mode: 'auto',
  action: 'remark-dscp',
  value: 8,
  switches: ['leaf-1'],
  namespaces: ['analytics'],
  minSeverity: 3,
  minConfidence: 0.8,
  minPredictedEffect: 0.2,
  leaseMs: 120_000,
  renewals: 0,
};

const HEALTHY: FabricHealth = {
  switches: 10,
  congestedSwitches: 1,
  reportLossRatio: 0,
  silentSwitches: 0,
  lagMs: 10,
  clocksKnown: true,
};

const BEGIN_UNIX_MS = Date.parse('2026-11-27T00:00:00Z');

/** A switch that keeps what is written until its own clock has passed its expiry, or somebody takes it off. */
export class VirtualSwitch implements Executor {
  readonly entries = new Map<string, { count: number; expiresMs: number }>();
  applied = 0;
  /** Throws this at every call. */
  fault: string | undefined;
  /** Takes so many of the entries of a change, and refuses the others. */
  takes = Infinity;
  /** The process dies here: the call does its part, or does not, and is never answered. */
  dies: 'before apply' | 'after apply' | 'before remove' | 'after remove' | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  apply(lease: Lease, remainingMs: number): Promise<void> {
    if (this.fault !== undefined) return Promise.reject(new Error(this.fault));
    if (this.dies === 'before apply') return new Promise(() => undefined);
    const wanted = lease.change.targets.length;
    this.applied++;
    this.entries.set(lease.id, { count: Math.min(wanted, this.takes), expiresMs: this.#clock.bootMs() + remainingMs });
    return wanted > this.takes
      ? Promise.reject(new Error(`the switch took ${this.takes} of ${wanted} updates`))
      : Promise.resolve();
  }

  remove(leaseId: string): Promise<void> {
    if (this.fault !== undefined) return Promise.reject(new Error(this.fault));
    if (this.dies === 'before remove') return new Promise(() => undefined);
    this.entries.delete(leaseId);
    return this.dies === 'after remove' ? new Promise(() => undefined) : Promise.resolve();
  }

  held(): Promise<ReadonlyMap<string, number>> {
    if (this.fault !== undefined) return Promise.reject(new Error(this.fault));
    return Promise.resolve(new Map([...this.entries].map(([id, { count }]) => [id, count])));
  }

  /** Entries that do something now. */
  get inForce(): number {
    return [...this.entries.values()].filter(({ expiresMs }) => this.#clock.bootMs() < expiresMs).length;
  }
}

export interface World {
  /** Load of the culprit above what the port takes, as a share of time congested; by time. */
  congestedShare(nowMs: number): number;
  /** What is left of it while a change is in force. */
  remedied(share: number): number;
  /** Share that other queues are congested; more while a change is in force, where it harms. */
  othersShare(nowMs: number, inForce: boolean): number;
  /** No reports come. */
  isBlind(nowMs: number): boolean;
}

export const FIXABLE: World = {
  congestedShare: () => 0.6,
  remedied: () => 0.02,
  othersShare: () => 0.05,
  isBlind: () => false,
};

export class VirtualLoop {
  readonly folder: string;
  readonly clock: Clock & { wallOffsetMs: number; nowMs: number };
  readonly device: VirtualSwitch;
  readonly rules: Rule[];
  world: World;
  health: FabricHealth = HEALTHY;
  isStopped = false;
  /** Nothing can be written to the store or the audit file. */
  isDiskFull = false;
  /** Instead of the one incident at the queue. */
  incidentsNow: (() => Incident[]) | undefined;
  readonly notices: string[] = [];
  loop: SafeLoop;
  #store: SafetyStore;
  #audit: AuditLog;
  #congestedNs = 0;
  #othersNs = 0;
  #reports = 0;
  #openedMs: number | undefined;
  #quietMs = 0;
  #incidents = 0;
  #isBroken = false;
  readonly #executors = new Map<string, Executor>();

  constructor(world: World = FIXABLE, rules: Rule[] = [RULE], folder = mkdtempSync(join(tmpdir(), 'loop-'))) {
    this.world = world;
    this.folder = folder;
    this.rules = rules;
    const clock = {
      nowMs: 0,
      wallOffsetMs: 0,
      bootId: 'boot-1',
      unixMs: () => BEGIN_UNIX_MS + clock.nowMs + clock.wallOffsetMs,
      bootMs: () => clock.nowMs,
    };
    this.clock = clock;
    this.device = new VirtualSwitch(clock);
    this.#executors.set('leaf-1', this.device);
    ({ store: this.#store, audit: this.#audit, loop: this.loop } = this.#begin());
  }

  /** Another switch that rules may name. */
  addSwitch(name: string): VirtualSwitch {
    const added = new VirtualSwitch(this.clock);
    this.#executors.set(name, added);
    return added;
  }

  /** Somebody else does what leaf-1 should, from the next start on. */
  useExecutor(executor: Executor): void {
    this.#executors.set('leaf-1', executor);
  }

  /** What the loop writes to. */
  get writers(): { store: SafetyStore; audit: AuditLog } {
    return { store: this.#store, audit: this.#audit };
  }

  get auditPath(): string {
    return join(this.folder, 'audit.jsonl');
  }
  get storePath(): string {
    return join(this.folder, 'safety.db');
  }

  /** The process dies and another begins. */
  restart(): void {
    this.#audit.close();
    this.#store.close();
    ({ store: this.#store, audit: this.#audit, loop: this.loop } = this.#begin());
  }

  /** From now on the store and the audit file take nothing: as on a full disk. */
  breakStore(): void {
    this.#isBroken = true;
    this.#audit.close();
    this.#store.close();
  }

  close(): void {
    if (!this.#isBroken) {
      this.#audit.close();
      this.#store.close();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Virtual seconds of a process that dies in one of them: turns that are not answered are not waited for. */
  async runUntilDeath(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.advance(1000);
      await Promise.race([this.loop.turn(this.incidents()), new Promise((resolve) => setTimeout(resolve, 2))]);
    }
  }

  /** Virtual seconds, one turn in each. */
  async run(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.advance(1000);
      await this.loop.turn(this.incidents());
    }
  }

  advance(ms: number): void {
    const inForce = this.device.inForce > 0;
    const share = this.world.congestedShare(this.clock.nowMs);
    const blind = this.world.isBlind(this.clock.nowMs);
    const now = inForce ? this.world.remedied(share) : share;
    this.clock.nowMs += ms;
    if (!blind) {
      this.#congestedNs += now * ms * 1e6;
      this.#othersNs += this.world.othersShare(this.clock.nowMs, inForce) * ms * 1e6;
      this.#reports += ms;
    }
    // An incident opens with congestion and closes after a minute without.
    if (now > 0.1 && !blind) {
      this.#quietMs = 0;
      if (this.#openedMs === undefined) {
        this.#openedMs = this.clock.nowMs;
        this.#incidents++;
      }
    } else {
      this.#quietMs += ms;
      if (this.#quietMs >= 60_000) this.#openedMs = undefined;
    }
  }

  incidents(): Incident[] {
    if (this.incidentsNow !== undefined) return this.incidentsNow();
    if (this.#openedMs === undefined) return [];
    return [this.incidentWith(`inc_${this.#incidents}`, this.#openedMs, ['leaf-1', 'spine-1', 'leaf-2'])];
  }

  /** An open incident that flows of analytics/backup cause, on this way. */
  incidentWith(id: string, openedMs: number, path: string[]): Incident {
    const wall = (ms: number): string => new Date(BEGIN_UNIX_MS + ms + this.clock.wallOffsetMs).toISOString();
    const base = incidentOf();
    const [event] = base.events;
    const flows = [1, 2].map((i) => ({
      source: `10.244.1.${20 + i}`,
      destination: '10.244.2.20',
      sourcePort: 40_000 + i,
      destinationPort: 9000,
      protocol: 6,
      sender: 'analytics/backup',
      path,
      buildUpShare: 0.45,
      buildUpBytes: 1e6,
    }));
    return incidentOf({
      id,
      openedAt: wall(openedMs),
      updatedAt: wall(this.clock.nowMs - this.#quietMs),
      events: [{ ...event, flows } as typeof event],
    });
  }

  /** Writing fails while the disk is full. */
  #fillDisk(store: SafetyStore, audit: AuditLog): void {
    const whenThereIsRoom =
      <A extends unknown[]>(write: (...args: A) => void) =>
      (...args: A): void => {
        if (this.isDiskFull) throw new Error('database or disk is full');
        write(...args);
      };
    store.put = whenThereIsRoom(store.put.bind(store));
    store.remove = whenThereIsRoom(store.remove.bind(store));
    audit.append = whenThereIsRoom(audit.append.bind(audit));
  }

  #begin() {
    const { store, damage } = openSafetyStore(this.storePath, this.clock.unixMs());
    if (damage !== undefined) this.notices.push(damage);
    const audit = new AuditLog(this.auditPath, (head) => store.put('audit-head', 'head', head));
    this.#fillDisk(store, audit);
    const loop = new SafeLoop({
      rules: this.rules,
      executors: this.#executors,
      store,
      journal: new Journal({ audit, clock: this.clock, notice: (sentence) => this.notices.push(sentence) }),
      membersOf: () => [],
      clock: this.clock,
      protectedAddresses: ['10.99.0.1'],
      isStopped: () => this.isStopped,
      health: () => this.health,
      observe: () => {
        const atNs = this.clock.nowMs * 1e6;
        const reports = this.#reports;
        return {
          queue: { atNs, congestedNs: this.#congestedNs, reports, queues: 1 },
          others: { atNs, congestedNs: this.#othersNs, reports, queues: 1 },
        };
      },
    });
    return { store, audit, loop };
  }
}
