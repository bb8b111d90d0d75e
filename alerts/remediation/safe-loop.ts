// The safe loop: incident ▸ rule ▸ guard ▸ lease on disk ▸ executor ▸ read back ▸ effect ▸ kept until it ends, or undone.
// This file decides; ./lease-keeper makes and undoes. Rules: nothing is done where the guard objects; every decision is written down, also
// to do nothing; what is not known to have helped counts as not helped.

import type { Incident } from '../../collector/event.ts';
import type { SafetyStore } from '../../collector/store/safety.ts';
import { Approvals, type Approval } from './approvals.ts';
import { changeHash, changeLines, type Change, type Clock, type Lease } from './change.ts';
import type { Judged, Observation } from './effect.ts';
import type { Executor } from './executor.ts';
import { budgetFault, budgetsUsed, evidenceFault, freezeReason, scopeFaults, type FabricHealth } from './guard.ts';
import type { Journal } from './journal.ts';
import { LeaseKeeper, SETTLE_MS } from './lease-keeper.ts';
import { changeFor, type EcmpMember } from './propose.ts';
import { afterVerdict, mismatchOf, modeOf, NO_RECORD, type Rule, type TrackRecord } from './rule.ts';

export interface SafeLoopOptions {
  rules: readonly Rule[];
  executors: ReadonlyMap<string, Executor>;
  store: SafetyStore;
  journal: Journal;
  clock: Clock;
  /** Addresses that nobody's traffic may be changed to or from: the collector's own, switches' management. */
  protectedAddresses: readonly string[];
  /** Members of the ECMP groups of a switch. */
  membersOf: (switchName: string) => readonly EcmpMember[];
  /** The kill switch: while it says so nothing new is done, and everything is undone. */
  isStopped: () => boolean;
  health: () => FabricHealth;
  /** The incident's queue and all others now; undefined where they are not known. */
  observe: (incident: Incident) => Observation | undefined;
}

const MAX_REMEMBERED = 4096;

export class SafeLoop {
  readonly #options: SafeLoopOptions;
  readonly #keeper: LeaseKeeper;
  readonly #approvals = new Approvals();
  /** First observation of each open incident. */
  readonly #first = new Map<string, Observation>();
  readonly #records = new Map<string, TrackRecord>();
  #isBusy = false;
  /** Undone at the next turn, whatever the store says. */
  #revertAll = false;

  constructor(options: SafeLoopOptions) {
    this.#options = options;
    const { store, clock, journal, rules } = options;
    for (const { key, body } of store.all('rule')) this.#records.set(key, body as TrackRecord);
    this.#keeper = new LeaseKeeper({
      ...options,
      onJudged: (change, judged) => this.#judge(change, judged),
      renewalsOf: (change) => (this.#options.isStopped() ? 0 : (this.#ruleOf(change)?.renewals ?? 0)),
    });
    journal.record('started', {
      leases: this.leases.map(({ id }) => id),
      rules: rules.map(({ name }) => name),
      at: clock.unixMs(),
    });
  }

  get leases(): Lease[] {
    return this.#keeper.leases;
  }

  get approvals(): Approval[] {
    return this.#approvals.waiting;
  }

  /** Verdicts, and the sums of predicted and achieved effects, since the start. */
  get judged(): ReadonlyMap<string, number> {
    return this.#keeper.judged;
  }
  get effect(): ReadonlyMap<string, number> {
    return this.#keeper.effect;
  }

  /** How much of each budget is used, 0 to 1. */
  get budgets(): Map<string, number> {
    return budgetsUsed(this.leases, this.#keeper.made, this.#options.clock.unixMs());
  }

  recordOf({ name }: Rule): TrackRecord {
    return this.#records.get(name) ?? NO_RECORD;
  }

  /** One turn; call about once a second. Never rejects, and a turn that takes long is not joined by another. */
  async turn(incidents: readonly Incident[]): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { journal } = this.#options;
    const isStopped = this.#options.isStopped();
    const undoAll = isStopped ? 'the kill switch' : this.#revertAll ? 'revert all' : undefined;
    this.#revertAll = false;
    try {
      await this.#keeper.turn(undoAll);
      if (!isStopped) await this.#decide(incidents);
    } catch (error) {
      journal.complain('decide', error);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Undoes everything at the next turn. */
  revertAll(who: string): void {
    this.#revertAll = true;
    this.#options.journal.record('revert-all', { who });
  }

  /**
   * A person approves what has this hash. Throws a plain sentence where nothing waits with it, or this person may not. It is done at the next
   * turn, if it would still be proposed then; what is only recommended is not done, and the yes goes to the rule's record.
   */
  approve(hash: string, who: string): void {
    const approval = this.#approvals.approve(hash, who);
    const { change } = approval;
    this.#options.journal.record('approved', { hash, who });
    this.#remember(change, (record) => ({ ...record, agreed: record.agreed + 1 }));
    const rule = this.#ruleOf(change);
    if (rule !== undefined && modeOf(rule, this.recordOf(rule)) === 'recommend') this.#approvals.close(approval);
  }

  /** A person says no. Throws as approve does. */
  decline(hash: string, who: string): void {
    const { change } = this.#approvals.decline(hash, who);
    this.#options.journal.record('declined', { hash, who });
    this.#remember(change, (record) => ({ ...record, declined: record.declined + 1 }));
  }

  async #decide(incidents: readonly Incident[]): Promise<void> {
    const { observe, rules, clock, journal } = this.#options;
    const open = incidents.filter(({ state }) => state === 'open');
    const ids = new Set(open.map(({ id }) => id));
    for (const id of this.#first.keys()) if (!ids.has(id)) this.#first.delete(id);
    this.#approvals.keepOnly(ids);
    for (const hash of this.#approvals.lapse(clock.unixMs())) journal.record('approval-lapsed', { hash });
    const proposed = new Set<string>();
    for (const incident of open) {
      const observation = observe(incident);
      if (observation !== undefined && !this.#first.has(incident.id) && this.#first.size < MAX_REMEMBERED)
        this.#first.set(incident.id, observation);
      for (const rule of rules) {
        if (mismatchOf(rule, incident) !== undefined) continue;
        const hash = await this.#consider(rule, incident, observation);
        if (hash !== undefined) proposed.add(hash);
      }
    }
    for (const hash of this.#approvals.withdrawAllBut(proposed)) journal.record('approval-withdrawn', { hash });
  }

  /** The hash of what waits for a person, where something does. */
  async #consider(rule: Rule, incident: Incident, observation: Observation | undefined): Promise<string | undefined> {
    const { clock, journal, membersOf } = this.#options;
    const about = { incident: incident.id, rule: rule.name };
    const change = changeFor(rule, incident, membersOf);
    if (typeof change === 'string') return this.#doNothing(about, change);
    const before = this.#objectionTo(change, rule, incident, observation);
    if (typeof before === 'string') return this.#doNothing(about, before);
    const mode = modeOf(rule, this.recordOf(rule));
    const hash = changeHash(change);
    const lines = changeLines(change);
    if (mode !== 'auto') {
      const kind = mode === 'observe' ? 'would-do' : 'recommended';
      journal.say(`${incident.id} ${hash}`, kind, { ...about, hash, lines, predicted: change.predictedEffect });
      if (mode === 'observe') return undefined;
      const isNew = this.#approvals.offer({ hash, change, lines, proposedUnixMs: clock.unixMs(), author: rule.author });
      if (isNew) this.#remember(change, (record) => ({ ...record, recommended: record.recommended + 1 }));
      if (mode === 'recommend') return hash;
    }
    const who = mode === 'auto' ? null : this.#approvals.take(hash);
    if (who === undefined) return hash;
    // Somebody may have stopped it since the turn began.
    if (this.#options.isStopped()) return undefined;
    await this.#keeper.make({ change, incident, before, because: { mode, who, hash, lines } });
    return undefined;
  }

  #doNothing(about: { incident: string; rule: string }, because: string): undefined {
    // The same reason with other numbers in it is no news.
    const key = `${about.incident} ${about.rule} ${because.replace(/\d+/g, '#')}`;
    this.#options.journal.say(key, 'nothing', { ...about, because });
  }

  /** Why a change is not made now; else the queue at the beginning of the incident and now, to compare with afterwards. */
  #objectionTo(
    change: Change,
    rule: Rule,
    incident: Incident,
    observation: Observation | undefined,
  ): string | [Observation, Observation] {
    const { clock, protectedAddresses, health } = this.#options;
    const fault =
      scopeFaults(change, rule, protectedAddresses)[0] ??
      evidenceFault(incident, rule, clock.unixMs()) ??
      freezeReason(health()) ??
      (change.predictedEffect < rule.minPredictedEffect ? 'it would not help enough' : undefined) ??
      budgetFault(change, this.leases, this.#keeper.made, clock.unixMs());
    if (fault !== undefined) return fault;
    const first = this.#first.get(incident.id);
    if (first === undefined || observation === undefined) return 'the queue cannot be observed';
    if (observation.queue.atNs - first.queue.atNs < SETTLE_MS * 1e6) return 'it was not watched for long enough to compare with';
    return [first, observation];
  }

  #judge(change: Change, judged: Judged): void {
    if (judged.effect === 'no-data') return;
    const rule = this.#ruleOf(change);
    if (rule === undefined) return;
    const before = modeOf(rule, this.recordOf(rule));
    this.#remember(change, (record) => afterVerdict(rule, record, judged.effect));
    const mode = modeOf(rule, this.recordOf(rule));
    if (mode === before) return;
    const what = judged.effect === 'harmful' ? 'harmed others' : 'had no effect';
    this.#options.journal.notice(`rule ${rule.name} is down to ${mode}: its change ${what}`);
  }

  #remember(change: Change, next: (record: TrackRecord) => TrackRecord): void {
    const rule = this.#ruleOf(change);
    if (rule === undefined) return;
    const record = next({ ...this.recordOf(rule), sinceUnixMs: this.recordOf(rule).sinceUnixMs ?? this.#options.clock.unixMs() });
    this.#records.set(rule.name, record);
    this.#options.journal.attempt('write the record', () => this.#options.store.put('rule', rule.name, record));
  }

  #ruleOf(change: Change): Rule | undefined {
    return this.#options.rules.find(({ name }) => name === change.rule);
  }
}
