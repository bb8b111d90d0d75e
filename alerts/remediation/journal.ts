// What the safe loop decided, for the audit file, for metrics, and for whoever is told. One line per decision, also for doing nothing.
// Rule: what cannot be written down is told to a person, and keeps nobody from undoing.

import type { AuditLog } from '../../collector/store/audit.ts';
import type { Clock } from './change.ts';

export interface JournalOptions {
  audit: AuditLog;
  clock: Clock;
  /** Something that a person should know. */
  notice: (sentence: string) => void;
  /** Every decision about an incident that changes something, for who was told of the incident. */
  tell?: (kind: string, incidentId: string, record: object) => void;
}

/** Decisions of one kind about one thing are written down once in so long. */
const QUIET_MS = 60_000;
const MAX_REMEMBERED = 4096;
/** What alerts are about: it is counted from the beginning, so that the first one is seen. */
const WATCHED = ['undo-failed', 'drift'];
/** What others are told of. */
const TOLD = new Set(['recommended', 'made', 'failed', 'judged', 'renewed', 'undone', 'drift']);

export class Journal {
  /** Lines by what was decided, since the start. */
  readonly decisions = new Map<string, number>(WATCHED.map((kind) => [kind, 0]));
  readonly #options: JournalOptions;
  /** When something was last said. */
  readonly #said = new Map<string, number>();

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  record(kind: string, record: Record<string, unknown>): void {
    this.decisions.set(kind, (this.decisions.get(kind) ?? 0) + 1);
    this.attempt('write the audit file', () => this.#append(kind, record));
    const { incident } = record;
    if (TOLD.has(kind) && typeof incident === 'string') this.#options.tell?.(kind, incident, record);
  }

  /** As record, but throws where it is not on disk: for what must not be done otherwise. */
  require(kind: string, record: Record<string, unknown>): void {
    this.#append(kind, record);
    this.decisions.set(kind, (this.decisions.get(kind) ?? 0) + 1);
  }

  /** As record, once in a while for the same thing. */
  say(key: string, kind: string, record: Record<string, unknown>): void {
    if (this.#isNews(key)) this.record(kind, record);
  }

  notice(sentence: string): void {
    this.#options.notice(sentence);
  }

  /** Does something that may fail without keeping anybody from what comes next. */
  attempt(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.complain(what, error);
    }
  }

  /** Tells a person, once in a while for the same thing. */
  complain(what: string, error: unknown): void {
    const sentence = `remediation could not ${what}: ${(error as Error).message}`;
    if (this.#isNews(sentence)) this.#options.notice(sentence);
  }

  #append(kind: string, record: Record<string, unknown>): void {
    this.#options.audit.append(new Date(this.#options.clock.unixMs()).toISOString(), { kind, ...record });
  }

  #isNews(key: string): boolean {
    const now = this.#options.clock.unixMs();
    // Either way: a clock that was set back must not silence anybody.
    if (Math.abs(now - (this.#said.get(key) ?? -Infinity)) < QUIET_MS) return false;
    if (this.#said.size >= MAX_REMEMBERED) this.#said.clear();
    this.#said.set(key, now);
    return true;
  }
}
