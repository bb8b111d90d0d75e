// Changes that are in force: made, watched, renewed, put back once, undone. Each lease has one thing under way at a time, and each executor too;
// none waits for another's: a switch that does not answer keeps no other change from ending.
// Rules: nothing is done that is not written down first; everything ends; undoing asks nobody and needs no disk.

import { randomUUID } from 'node:crypto';
import type { Incident } from '../../collector/event.ts';
import type { SafetyStore } from '../../collector/store/safety.ts';
import { isExpired, remainingMs, type Change, type Clock, type Lease } from './change.ts';
import { EFFECTS, judgeEffect, type Judged, type Observation } from './effect.ts';
import type { Executor } from './executor.ts';
import { LIMITS, type Made } from './guard.ts';
import type { Journal } from './journal.ts';

export interface LeaseKeeperOptions {
  executors: ReadonlyMap<string, Executor>;
  store: SafetyStore;
  clock: Clock;
  journal: Journal;
  /** The incident's queue and all others now; undefined where they are not known. */
  observe: (incident: Incident) => Observation | undefined;
  /** What a change came to; the keeper ends it where that is nothing good. */
  onJudged: (change: Change, judged: Judged) => void;
  /** How many more terms a change may have that has helped. */
  renewalsOf: (change: Change) => number;
}

/** What a change is made with. */
export interface Making {
  change: Change;
  incident: Incident;
  /** The queue at the beginning of the incident, and now. */
  before: [Observation, Observation];
  /** For the audit file: mode, who approved, hash, lines. */
  because: Record<string, unknown>;
}

interface Running {
  lease: Lease;
  incident: Incident | undefined;
  before: [Observation, Observation] | undefined;
  settled: Observation | undefined;
  judged: Judged | undefined;
  /** Since when its effect is watched, and when somebody last looked whether it is still there. */
  sinceUnixMs: number;
  checkedUnixMs: number;
  /** Reports so far, since when no more came, and the longest such time. */
  reports: number;
  heardUnixMs: number;
  gapMs: number;
  isBusy: boolean;
  /** Why it is to end, since somebody said so while something else was under way. */
  mustEnd: string | undefined;
}

/** From a change to the time when the queue shows it, and how long it is watched then. */
export const SETTLE_MS = 5000;
const WATCH_MS = 30_000;
const DRIFT_CHECK_MS = 5000;
const SCAN_MS = 30_000;
/** A turn waits so long for what it began; what takes longer goes on beside the next turns. */
const PATIENCE_MS = 400;
/** A change that helps is given another term so long before its end. */
const RENEW_BEFORE_MS = 10_000;
const FRESH_MS = 5000;
const KEPT_MS = 24 * 3600e3;

export class LeaseKeeper {
  /** Verdicts, and the sums of predicted and achieved effects, since the start. */
  readonly judged = new Map<string, number>(EFFECTS.map((effect) => [effect, 0]));
  readonly effect = new Map<string, number>([
    ['predicted', 0],
    ['achieved', 0],
  ]);
  readonly #options: LeaseKeeperOptions;
  readonly #running = new Map<string, Running>();
  /** The end of what is under way at an executor. */
  readonly #lines = new Map<string, Promise<void>>();
  readonly #scanning = new Set<string>();
  #made: Made[] = [];
  #scannedUnixMs = -Infinity;

  /** Takes up what the store has. Throws where the store cannot be read. */
  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    const { store, clock } = options;
    for (const { body } of store.all('lease')) {
      const lease = body as Lease;
      // A write that nobody saw the end of: it ends now.
      if (lease.state === 'planned') lease.state = 'ending';
      this.#running.set(lease.id, runningOf(lease));
    }
    const budgets = store.all('budget').map(({ key, body }) => ({ key, made: body as Made }));
    for (const { key, made } of budgets) if (made.madeUnixMs < clock.unixMs() - KEPT_MS) store.remove('budget', key);
    this.#made = budgets.map(({ made }) => made);
  }

  get leases(): Lease[] {
    return [...this.#running.values()].map(({ lease }) => lease);
  }

  /** Changes of the last day, for budgets. */
  get made(): readonly Made[] {
    return this.#made;
  }

  /** Undoes what is over, or everything where `undoAll` says why, and looks after the rest. */
  async turn(undoAll: string | undefined): Promise<void> {
    const { clock } = this.#options;
    for (const running of this.#running.values()) {
      const { lease } = running;
      running.mustEnd ??= undoAll;
      const why = running.mustEnd ?? (isExpired(lease, clock) ? 'its time is over' : undefined);
      if (why !== undefined || lease.state === 'ending')
        this.#work(running, () => this.#end(running, why ?? 'it was not finished'));
      else if (lease.state === 'active') this.#work(running, () => this.#follow(running));
    }
    this.#scan();
    await this.#patience();
  }

  /** Makes a change, or says why it was not made. */
  async make({ change, incident, before, because }: Making): Promise<void> {
    const { clock, store, journal, executors } = this.#options;
    const now = clock.unixMs();
    const lease: Lease = {
      id: randomUUID().slice(0, 8),
      generation: 0,
      change,
      state: 'planned',
      createdUnixMs: now,
      expiresUnixMs: now + change.leaseMs,
      expiresBootMs: clock.bootMs() + change.leaseMs,
      bootId: clock.bootId,
      reapplied: 0,
      renewed: 0,
    };
    const made: Made = { culprit: change.culprit, madeUnixMs: now };
    try {
      if (!executors.has(change.executor)) throw new Error(`nobody here is called ${change.executor}`);
      // Above what any endpoint has seen, also when the store was lost.
      lease.generation = store.next('generation', Math.floor(now / 1000));
      // All on disk before anything is written to a switch: what cannot be written down is not done.
      journal.require('making', { lease: lease.id, incident: incident.id, change, ...because });
      store.put('lease', lease.id, lease);
      store.put('budget', lease.id, made);
    } catch (error) {
      journal.say(`make ${incident.id}`, 'nothing', { incident: incident.id, because: (error as Error).message });
      return;
    }
    this.#made = [...this.#made.filter(({ madeUnixMs }) => madeUnixMs > now - KEPT_MS), made];
    const running: Running = { ...runningOf(lease), incident, before, sinceUnixMs: now, checkedUnixMs: now };
    this.#running.set(lease.id, running);
    this.#work(running, () => this.#begin(running));
    await this.#patience();
  }

  async #begin(running: Running): Promise<void> {
    const { lease } = running;
    const { journal, clock } = this.#options;
    try {
      if (running.mustEnd !== undefined) throw new Error(running.mustEnd);
      await this.#executorOf(lease).apply(lease, remainingMs(lease, clock));
      // It may have taken long, and somebody may have said in between that it is to end.
      if (lease.state !== 'planned') return;
      lease.state = 'active';
      journal.attempt('write that it is in force', () => this.#options.store.put('lease', lease.id, lease));
      journal.record('made', aboutOf(lease));
    } catch (error) {
      journal.record('failed', { ...aboutOf(lease), because: (error as Error).message });
      await this.#end(running, 'it could not be made whole');
    }
  }

  /** Takes a lease's change off. Rejects never: what cannot be undone now is tried again at the next turn. */
  async #end({ lease }: Running, why: string): Promise<void> {
    const { journal, store, clock } = this.#options;
    if (lease.state !== 'ending') {
      journal.record('undoing', { ...aboutOf(lease), why });
      lease.state = 'ending';
      journal.attempt('write that it ends', () => store.put('lease', lease.id, lease));
    }
    try {
      await this.#executorOf(lease).remove(lease.id);
    } catch (error) {
      journal.say(`undo ${lease.id}`, 'undo-failed', { ...aboutOf(lease), because: (error as Error).message });
      return;
    }
    this.#running.delete(lease.id);
    journal.attempt('forget the lease', () => store.remove('lease', lease.id));
    const made = this.#made.find((one) => one.culprit === lease.change.culprit && one.madeUnixMs === lease.createdUnixMs);
    if (made !== undefined) {
      made.endedUnixMs = clock.unixMs();
      journal.attempt('write the budget', () => store.put('budget', lease.id, made));
    }
    journal.record('undone', { ...aboutOf(lease), why });
  }

  /** Is it still there, did it help, and is it still wanted? */
  async #follow(running: Running): Promise<void> {
    const { clock, observe } = this.#options;
    const { lease, incident, before } = running;
    const now = clock.unixMs();
    if (now - running.checkedUnixMs >= DRIFT_CHECK_MS) {
      running.checkedUnixMs = now;
      if (!(await this.#isStillThere(running))) return;
    }
    const age = now - running.sinceUnixMs;
    if (incident === undefined || before === undefined || age < SETTLE_MS) return;
    const observation = observe(incident);
    if (observation === undefined) return;
    if (running.settled === undefined) [running.settled, running.heardUnixMs] = [observation, now];
    listen(running, observation, now);
    if (running.judged !== undefined) return this.#renew(running, now);
    if (age < SETTLE_MS + WATCH_MS) return;
    running.judged = judgeEffect(before, [running.settled, observation], lease.change.predictedEffect, running.gapMs);
    await this.#conclude(running, running.judged);
  }

  async #conclude(running: Running, judged: Judged): Promise<void> {
    const { lease } = running;
    const { predictedEffect: predicted } = lease.change;
    this.#options.journal.record('judged', { ...aboutOf(lease), ...judged, predicted });
    add(this.judged, judged.effect, 1);
    if (judged.achieved !== null) {
      add(this.effect, 'predicted', predicted);
      add(this.effect, 'achieved', judged.achieved);
    }
    this.#options.onJudged(lease.change, judged);
    if (judged.effect === 'none') await this.#end(running, 'it had no effect');
    if (judged.effect === 'harmful') await this.#end(running, 'it harmed others');
  }

  /** Another term for what has helped, while reports come: judged again from then on. */
  async #renew(running: Running, now: number): Promise<void> {
    const { lease, judged, heardUnixMs } = running;
    const { clock, journal, renewalsOf, store } = this.#options;
    const { leaseMs } = lease.change;
    const hasHelped = judged?.effect === 'effective' || judged?.effect === 'partial';
    if (running.mustEnd !== undefined || !hasHelped || lease.renewed >= renewalsOf(lease.change) || now - heardUnixMs > FRESH_MS)
      return;
    if (remainingMs(lease, clock) > RENEW_BEFORE_MS || now + leaseMs - lease.createdUnixMs > LIMITS.maxLeaseMs) return;
    const before = { ...lease };
    try {
      lease.renewed++;
      lease.expiresUnixMs = now + leaseMs;
      lease.expiresBootMs = clock.bootMs() + leaseMs;
      journal.require('renewing', { ...aboutOf(lease), times: lease.renewed });
      store.put('lease', lease.id, lease);
      await this.#executorOf(lease).apply(lease, leaseMs);
      [running.judged, running.settled, running.sinceUnixMs, running.gapMs] = [undefined, undefined, now, 0];
      journal.record('renewed', aboutOf(lease));
    } catch (error) {
      // What is not renewed ends when it would have.
      Object.assign(lease, before);
      running.judged = NOT_RENEWED;
      journal.attempt('write that it is not renewed', () => store.put('lease', lease.id, lease));
      journal.record('renewal-failed', { ...aboutOf(lease), because: (error as Error).message });
    }
  }

  /** Puts a change back once; whoever takes it off twice owns the switch. */
  async #isStillThere(running: Running): Promise<boolean> {
    const { lease } = running;
    const { journal, store, clock } = this.#options;
    const { executor, targets } = lease.change;
    try {
      const all = await this.#executorOf(lease).held();
      const held = all?.get(lease.id) ?? 0;
      if (all === undefined || held === targets.length) return true;
      journal.record('drift', { ...aboutOf(lease), held, wanted: targets.length, reapplied: lease.reapplied });
      if (lease.reapplied > 0) {
        journal.notice(`another controller owns ${executor}: what we write there is taken off`);
        await this.#end(running, 'another controller owns the switch');
        return false;
      }
      if (running.mustEnd !== undefined) return false;
      lease.reapplied++;
      journal.require('reapplying', aboutOf(lease));
      store.put('lease', lease.id, lease);
      await this.#executorOf(lease).apply(lease, remainingMs(lease, clock));
      return true;
    } catch (error) {
      journal.say(`check ${lease.id}`, 'check-failed', { ...aboutOf(lease), because: (error as Error).message });
      return true;
    }
  }

  /** What carries our mark and no lease: of a store that was lost. It is taken off. */
  #scan(): void {
    const { clock, executors, journal } = this.#options;
    const now = clock.unixMs();
    if (Math.abs(now - this.#scannedUnixMs) < SCAN_MS) return;
    this.#scannedUnixMs = now;
    for (const [name, executor] of executors) {
      if (this.#scanning.has(name)) continue;
      this.#scanning.add(name);
      this.#queue(name, async () => {
        try {
          for (const id of (await executor.held())?.keys() ?? []) {
            if (this.#running.has(id)) continue;
            journal.record('orphan', { executor: name, lease: id });
            await executor.remove(id);
          }
        } catch (error) {
          journal.say(`scan ${name}`, 'scan-failed', { executor: name, because: (error as Error).message });
        } finally {
          this.#scanning.delete(name);
        }
      });
    }
  }

  #executorOf({ change }: Lease): Executor {
    const executor = this.#options.executors.get(change.executor);
    if (executor === undefined) throw new Error(`nobody here is called ${change.executor} any more`);
    return executor;
  }

  /** Something about a lease, unless something is under way with it. */
  #work(running: Running, work: () => Promise<void>): void {
    if (running.isBusy) return;
    running.isBusy = true;
    this.#queue(running.lease.change.executor, () => work().finally(() => (running.isBusy = false)));
  }

  #queue(name: string, work: () => Promise<void>): void {
    const before = this.#lines.get(name) ?? Promise.resolve();
    const line: Promise<void> = before
      .then(work)
      .catch((error: unknown) => this.#options.journal.complain(`look after ${name}`, error))
      .finally(() => {
        if (this.#lines.get(name) === line) this.#lines.delete(name);
      });
    this.#lines.set(name, line);
  }

  /** Until everything is done that is under way, or a turn has waited for long enough. */
  async #patience(): Promise<void> {
    if (this.#lines.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([Promise.all(this.#lines.values()), enough]);
    clearTimeout(timer);
  }
}

const NOT_RENEWED: Judged = { effect: 'no-data', achieved: null };

function runningOf(lease: Lease): Running {
  return {
    lease,
    incident: undefined,
    before: undefined,
    settled: undefined,
    judged: undefined,
    sinceUnixMs: lease.createdUnixMs,
    checkedUnixMs: 0,
    reports: -1,
    heardUnixMs: 0,
    gapMs: 0,
    isBusy: false,
    mustEnd: undefined,
  };
}

function aboutOf({ id, change }: Lease): { lease: string; incident: string } {
  return { lease: id, incident: change.incidentId };
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}

/** Takes note of how long no report came. */
function listen(running: Running, { queue, others }: Observation, now: number): void {
  running.gapMs = Math.max(running.gapMs, now - running.heardUnixMs);
  const reports = queue.reports + others.reports;
  if (reports === running.reports) return;
  running.reports = reports;
  running.heardUnixMs = now;
}
