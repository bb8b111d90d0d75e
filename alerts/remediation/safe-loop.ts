// The safe loop: incident ▸ rule ▸ guard ▸ lease on disk ▸ switch ▸ read back ▸ effect ▸ kept until it ends, or undone.
// Rules: nothing is done that is not written down first; everything that is done ends; undoing asks nobody, needs no disk, and goes on
// with the next lease when one cannot be undone; what is not known to have helped counts as not helped.

import { randomUUID } from 'node:crypto';
import type { Incident } from '../../collector/event.ts';
import type { AuditLog } from '../../collector/store/audit.ts';
import type { SafetyStore } from '../../collector/store/safety.ts';
import { changeHash, changeLines, isExpired, type Change, type Clock, type Lease } from './change.ts';
import { judgeEffect, type Judged, type Observation } from './effect.ts';
import { budgetFault, evidenceFault, freezeReason, LIMITS, scopeFaults, type FabricHealth, type Made } from './guard.ts';
import { changeFor } from './propose.ts';
import { downgraded, mismatchOf, modeOf, NO_RECORD, type Rule, type TrackRecord } from './rule.ts';

/** A switch, as far as leases go. Everything it does is read back before it resolves. */
export interface Device {
  /** Puts the change on the switch, in place of what this lease had there. Rejects where it is not wholly there afterwards. */
  apply(lease: Lease, remainingMs: number): Promise<void>;
  /** Takes everything of the lease off; resolves where there is nothing, too. */
  remove(leaseId: string): Promise<void>;
  /** Leases that something on the switch belongs to, and how many entries. */
  held(): Promise<ReadonlyMap<string, number>>;
}

export interface SafeLoopOptions {
  rules: readonly Rule[];
  devices: ReadonlyMap<string, Device>;
  store: SafetyStore;
  audit: AuditLog;
  clock: Clock;
  /** Addresses that nobody's traffic may be changed to or from: the collector's own, switches' management. */
  protectedAddresses: readonly string[];
  /** The kill switch: while it says so nothing new is done, and everything is undone. */
  isStopped(): boolean;
  health(): FabricHealth;
  /** The incident's queue and all others now; undefined where they are not known. */
  observe(incident: Incident): Observation | undefined;
  notice(sentence: string): void;
}

/** A change that waits for a person. */
export interface Approval {
  hash: string;
  change: Change;
  proposedUnixMs: number;
  lines: string[];
}

interface Running {
  lease: Lease;
  incident: Incident | undefined;
  before: [Observation, Observation] | undefined;
  settled: Observation | undefined;
  judged: Judged | undefined;
  checkedUnixMs: number;
  /** Reports so far, since when no more came, and the longest such time. */
  reports: number;
  heardUnixMs: number;
  gapMs: number;
}

const SETTLE_MS = 5000;
const WATCH_MS = 30_000;
const DRIFT_CHECK_MS = 5000;
const SCAN_MS = 30_000;
const APPROVAL_MS = 300_000;
/** Decisions of one kind about one incident and rule are written down once in so long. */
const QUIET_MS = 60_000;
const KEPT_MS = 24 * 3600e3;
const MAX_REMEMBERED = 4096;

export class SafeLoop {
  readonly #options: SafeLoopOptions;
  readonly #running = new Map<string, Running>();
  readonly #approvals = new Map<string, Approval>();
  /** Who approved, by hash. */
  readonly #approvedBy = new Map<string, string>();
  /** First observation of each open incident. */
  readonly #first = new Map<string, Observation>();
  /** When a decision was last written down. */
  readonly #said = new Map<string, number>();
  #made: Made[] = [];
  #scannedUnixMs = -Infinity;
  #isBusy = false;
  /** Undone at the next turn, whatever the store says. */
  #revertAll = false;

  constructor(options: SafeLoopOptions) {
    this.#options = options;
    const { store, clock } = options;
    for (const { body } of store.all('lease')) {
      const lease = body as Lease;
      this.#running.set(lease.id, {
        lease,
        incident: undefined,
        before: undefined,
        settled: undefined,
        judged: undefined,
        checkedUnixMs: 0,
        ...UNHEARD,
      });
    }
    const budgets = store.all('budget').map(({ key, body }) => ({ key, made: body as Made }));
    for (const { key, made } of budgets) if (made.madeUnixMs < clock.unixMs() - KEPT_MS) store.remove('budget', key);
    this.#made = budgets.map(({ made }) => made);
    // A write that nobody saw the end of: it ends now.
    for (const { lease } of this.#running.values()) if (lease.state === 'planned') lease.state = 'ending';
    this.#record('started', {
      leases: [...this.#running.keys()],
      rules: options.rules.map(({ name }) => name),
      at: clock.unixMs(),
    });
  }

  /** Lines of the audit file, verdicts, and the sums of predicted and achieved effects, since the start. */
  readonly decisions = new Map<string, number>();
  readonly judged = new Map<string, number>();
  readonly effect = new Map<string, number>();

  get leases(): Lease[] {
    return [...this.#running.values()].map(({ lease }) => lease);
  }

  get approvals(): Approval[] {
    return [...this.#approvals.values()];
  }

  recordOf(rule: Rule): TrackRecord {
    const row = this.#options.store.all('rule').find(({ key }) => key === rule.name);
    return (row?.body as TrackRecord | undefined) ?? NO_RECORD;
  }

  /** One turn; call about once a second. Never rejects, and a turn that takes long is not joined by another. */
  async turn(incidents: readonly Incident[]): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      // Each by itself: what fails in one keeps the others, undoing above all, from nothing.
      await this.#attempt('undo', () => this.#undoWhatIsOver());
      await this.#attempt('look after changes', () => this.#follow());
      await this.#attempt('look for orphans', () => this.#scan());
      if (!this.#options.isStopped()) await this.#attempt('decide', () => this.#decide(incidents));
    } finally {
      this.#revertAll = false;
      this.#isBusy = false;
    }
  }

  /** Undoes everything at the next turn. */
  revertAll(who: string): void {
    this.#revertAll = true;
    this.#record('revert-all', { who });
  }

  /**
   * A person approves what has this hash. Throws a plain sentence where nothing waits with it, or its time is over. It is done at the next
   * turn, if it would still be proposed then.
   */
  approve(hash: string, who: string): void {
    const approval = this.#approvals.get(hash);
    if (approval === undefined) throw new Error(`nothing waits for an approval of ${hash}`);
    if (who.trim() === '') throw new Error('an approval needs a name');
    this.#record('approved', { hash, who });
    this.#approvedBy.set(hash, who);
  }
  async #undoWhatIsOver(): Promise<void> {
    const stopped = this.#options.isStopped();
    for (const { lease } of [...this.#running.values()]) {
      const why = stopped
        ? 'the kill switch'
        : this.#revertAll
          ? 'revert all'
          : isExpired(lease, this.#options.clock)
            ? 'its time is over'
            : undefined;
      if (why !== undefined || lease.state === 'ending') await this.#end(lease, why ?? 'it was not finished');
    }
  }

  /** Takes a lease's change off. Rejects never: what cannot be undone now is tried again at the next turn. */
  async #end(lease: Lease, why: string): Promise<boolean> {
    if (lease.state !== 'ending') this.#record('undoing', { lease: lease.id, why });
    lease.state = 'ending';
    this.#tryTo('write that it ends', () => this.#options.store.put('lease', lease.id, lease));
    const device = this.#options.devices.get(lease.change.switchName);
    try {
      if (device === undefined) throw new Error(`${lease.change.switchName} is none of the switches any more`);
      await device.remove(lease.id);
    } catch (error) {
      this.#say(`undo ${lease.id}`, 'undo-failed', { lease: lease.id, because: (error as Error).message });
      return false;
    }
    this.#running.delete(lease.id);
    this.#tryTo('forget the lease', () => this.#options.store.remove('lease', lease.id));
    const made = this.#made.find((one) => one.culprit === lease.change.culprit && one.madeUnixMs === lease.createdUnixMs);
    if (made !== undefined) {
      made.endedUnixMs = this.#options.clock.unixMs();
      this.#tryTo('write the budget', () => this.#options.store.put('budget', lease.id, made));
    }
    this.#record('undone', { lease: lease.id, why });
    return true;
  }

  /** Is it still there, and did it help? */
  async #follow(): Promise<void> {
    const { clock } = this.#options;
    for (const running of [...this.#running.values()]) {
      const { lease, incident, before } = running;
      if (lease.state !== 'active') continue;
      const now = clock.unixMs();
      if (now - running.checkedUnixMs >= DRIFT_CHECK_MS) {
        running.checkedUnixMs = now;
        if (!(await this.#isStillThere(lease))) continue;
      }
      const age = now - lease.createdUnixMs;
      if (incident === undefined || before === undefined || running.judged !== undefined || age < SETTLE_MS) continue;
      const observation = this.#options.observe(incident);
      if (observation === undefined) continue;
      if (running.settled === undefined) [running.settled, running.heardUnixMs] = [observation, now];
      listen(running, observation, now);
      if (age < SETTLE_MS + WATCH_MS) continue;
      running.judged = judgeEffect(before, [running.settled, observation], lease.change.predictedEffect, running.gapMs);
      await this.#conclude(lease, running.judged);
    }
  }

  async #conclude(lease: Lease, judged: Judged): Promise<void> {
    const rule = this.#options.rules.find(({ name }) => name === lease.change.rule);
    const { predictedEffect: predicted } = lease.change;
    this.#record('judged', { lease: lease.id, ...judged, predicted });
    add(this.judged, judged.effect, 1);
    if (judged.achieved !== null) {
      add(this.effect, 'predicted', predicted);
      add(this.effect, 'achieved', judged.achieved);
    }
    if (judged.effect === 'no-data') return;
    const isWell = judged.effect === 'effective' || judged.effect === 'partial';
    if (rule !== undefined) {
      const record = this.recordOf(rule);
      const next = isWell ? { ...record, effective: record.effective + 1 } : downgraded(rule, record);
      this.#tryTo('write the record', () => this.#options.store.put('rule', rule.name, next));
      if (!isWell)
        this.#options.notice(
          `rule ${rule.name} is down to ${modeOf(rule, next)}: its change had ${judged.effect === 'harmful' ? 'harmed others' : 'no effect'}`,
        );
    }
    if (!isWell) await this.#end(lease, judged.effect === 'harmful' ? 'it harmed others' : 'it had no effect');
  }

  /** Puts a change back once; whoever takes it off twice owns the switch. */
  async #isStillThere(lease: Lease): Promise<boolean> {
    const device = this.#options.devices.get(lease.change.switchName);
    if (device === undefined) return true;
    try {
      const held = (await device.held()).get(lease.id) ?? 0;
      if (held === lease.change.targets.length) return true;
      this.#record('drift', { lease: lease.id, held, wanted: lease.change.targets.length, reapplied: lease.reapplied });
      if (lease.reapplied > 0) {
        this.#options.notice(`another controller owns ${lease.change.switchName}: what we write there is taken off`);
        await this.#end(lease, 'another controller owns the switch');
        return false;
      }
      lease.reapplied++;
      this.#options.store.put('lease', lease.id, lease);
      await device.apply(lease, this.#remainingMs(lease));
      return true;
    } catch (error) {
      this.#say(`check ${lease.id}`, 'check-failed', { lease: lease.id, because: (error as Error).message });
      return true;
    }
  }

  /** What carries our cookie and no lease: of a store that was lost. It is taken off. */
  async #scan(): Promise<void> {
    const now = this.#options.clock.unixMs();
    if (now - this.#scannedUnixMs < SCAN_MS) return;
    this.#scannedUnixMs = now;
    for (const [name, device] of this.#options.devices) {
      try {
        for (const id of (await device.held()).keys()) {
          if (this.#running.has(id)) continue;
          this.#record('orphan', { switch: name, lease: id });
          await device.remove(id);
        }
      } catch (error) {
        this.#say(`scan ${name}`, 'scan-failed', { switch: name, because: (error as Error).message });
      }
    }
  }

  async #decide(incidents: readonly Incident[]): Promise<void> {
    const open = new Set(incidents.filter(({ state }) => state === 'open').map(({ id }) => id));
    for (const id of this.#first.keys()) if (!open.has(id)) this.#first.delete(id);
    const now = this.#options.clock.unixMs();
    for (const [hash, { proposedUnixMs }] of this.#approvals) {
      if (now - proposedUnixMs <= APPROVAL_MS) continue;
      this.#approvals.delete(hash);
      this.#approvedBy.delete(hash);
      this.#record('approval-lapsed', { hash });
    }
    const proposed = new Set<string>();
    for (const incident of incidents) {
      if (!open.has(incident.id)) continue;
      const observation = this.#options.observe(incident);
      if (observation !== undefined && !this.#first.has(incident.id) && this.#first.size < MAX_REMEMBERED)
        this.#first.set(incident.id, observation);
      for (const rule of this.#options.rules) {
        if (mismatchOf(rule, incident) !== undefined) continue;
        const hash = await this.#consider(rule, incident, observation);
        if (hash !== undefined) proposed.add(hash);
      }
    }
    // The cause is gone, or the plan has changed: nobody may approve it any more.
    for (const hash of this.#approvals.keys()) {
      if (proposed.has(hash)) continue;
      this.#approvals.delete(hash);
      this.#approvedBy.delete(hash);
      this.#record('approval-withdrawn', { hash });
    }
  }

  /** The hash of what waits for an approval, where something does. */
  async #consider(rule: Rule, incident: Incident, observation: Observation | undefined): Promise<string | undefined> {
    const { clock, protectedAddresses } = this.#options;
    const about = { incident: incident.id, rule: rule.name };
    const nothing = (because: string): undefined =>
      this.#say(`${incident.id} ${rule.name} ${because}`, 'nothing', { ...about, because });
    const change = changeFor(rule, incident);
    if (typeof change === 'string') return nothing(change);
    const [scopeFault] = scopeFaults(change, rule, protectedAddresses);
    const fault =
      scopeFault ??
      evidenceFault(incident, rule, clock.unixMs()) ??
      freezeReason(this.#options.health()) ??
      (change.predictedEffect < rule.minPredictedEffect ? 'it would not help enough' : undefined) ??
      budgetFault(change, this.leases, this.#made, clock.unixMs());
    if (fault !== undefined) return nothing(fault);
    const first = this.#first.get(incident.id);
    if (first === undefined || observation === undefined) return nothing('the queue cannot be observed');
    if (observation.queue.atNs - first.queue.atNs < SETTLE_MS * 1e6)
      return nothing('it was not watched for long enough to compare with');
    const record = this.recordOf(rule);
    const mode = modeOf(rule, record);
    const hash = changeHash(change);
    const lines = changeLines(change);
    if (mode !== 'auto') {
      if (mode !== 'observe') this.#recommend(rule, record, hash, incident.id);
      this.#say(`${incident.id} ${hash}`, mode === 'observe' ? 'would-do' : 'recommended', {
        ...about,
        hash,
        lines,
        predicted: change.predictedEffect,
      });
      if (mode !== 'approve') return undefined;
      if (!this.#approvals.has(hash) && this.#approvals.size < LIMITS.leases * 4) {
        this.#approvals.set(hash, { hash, change, proposedUnixMs: clock.unixMs(), lines });
      }
      if (!this.#approvedBy.has(hash)) return hash;
    }
    const who = this.#approvedBy.get(hash);
    this.#approvals.delete(hash);
    this.#approvedBy.delete(hash);
    await this.#make(change, incident, [first, observation], mode, who);
    return undefined;
  }

  #recommend(rule: Rule, record: TrackRecord, hash: string, incidentId: string): void {
    if (this.#said.has(`${incidentId} ${hash}`)) return;
    this.#tryTo('write the record', () =>
      this.#options.store.put('rule', rule.name, { ...record, recommended: record.recommended + 1 }),
    );
  }

  async #make(
    change: Change,
    incident: Incident,
    before: [Observation, Observation],
    mode: string,
    who: string | undefined,
  ): Promise<void> {
    const { clock, store, devices } = this.#options;
    const device = devices.get(change.switchName);
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
    };
    try {
      if (device === undefined) throw new Error(`${change.switchName} is none of the switches`);
      lease.generation = store.next('generation');
      // Both on disk before anything is written to a switch: what cannot be written down is not done.
      this.#options.audit.append(new Date(now).toISOString(), {
        kind: 'making',
        lease: lease.id,
        change,
        mode,
        who: who ?? null,
        hash: changeHash(change),
        lines: changeLines(change),
      });
      store.put('lease', lease.id, lease);
      store.put('budget', lease.id, { culprit: change.culprit, madeUnixMs: now } satisfies Made);
    } catch (error) {
      this.#say(`make ${change.incidentId}`, 'nothing', { incident: change.incidentId, because: (error as Error).message });
      return;
    }
    this.#made = [
      ...this.#made.filter(({ madeUnixMs }) => madeUnixMs > now - KEPT_MS),
      { culprit: change.culprit, madeUnixMs: now },
    ];
    const running: Running = { lease, incident, before, settled: undefined, judged: undefined, checkedUnixMs: now, ...UNHEARD };
    this.#running.set(lease.id, running);
    try {
      await device.apply(lease, this.#remainingMs(lease));
      lease.state = 'active';
      store.put('lease', lease.id, lease);
      this.#record('made', { lease: lease.id });
    } catch (error) {
      this.#record('failed', { lease: lease.id, because: (error as Error).message });
      await this.#end(lease, 'it could not be made whole');
    }
  }

  #remainingMs(lease: Lease): number {
    const { clock } = this.#options;
    return Math.max(0, Math.min(lease.expiresUnixMs - clock.unixMs(), lease.expiresBootMs - clock.bootMs()));
  }

  /** Writes a decision down. What cannot be written is told; it keeps nobody from undoing. */
  #record(kind: string, record: Record<string, unknown>): void {
    add(this.decisions, kind, 1);
    this.#tryTo('write the audit file', () =>
      this.#options.audit.append(new Date(this.#options.clock.unixMs()).toISOString(), { kind, ...record }),
    );
  }

  /** As #record, once in a while for the same thing. */
  #say(key: string, kind: string, record: Record<string, unknown>): undefined {
    const now = this.#options.clock.unixMs();
    // Either way: a clock that was set back must not silence anybody.
    if (Math.abs(now - (this.#said.get(key) ?? -Infinity)) < QUIET_MS) return;
    if (this.#said.size >= MAX_REMEMBERED) this.#said.clear();
    this.#said.set(key, now);
    this.#record(kind, record);
  }

  /** Tells a person, once in a while for the same thing. */
  #complain(sentence: string): void {
    const now = this.#options.clock.unixMs();
    if (Math.abs(now - (this.#said.get(sentence) ?? -Infinity)) < QUIET_MS) return;
    if (this.#said.size >= MAX_REMEMBERED) this.#said.clear();
    this.#said.set(sentence, now);
    this.#options.notice(sentence);
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#complain(`remediation could not ${what}: ${(error as Error).message}`);
    }
  }

  #tryTo(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#complain(`remediation could not ${what}: ${(error as Error).message}`);
    }
  }
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}

const UNHEARD = { reports: -1, heardUnixMs: 0, gapMs: 0 };

/** Takes note of how long no report came. */
function listen(running: Running, { queue, others }: Observation, now: number): void {
  running.gapMs = Math.max(running.gapMs, now - running.heardUnixMs);
  const reports = queue.reports + others.reports;
  if (reports === running.reports) return;
  running.reports = reports;
  running.heardUnixMs = now;
}
