// Webhook events on disk before they are sent: what was put here survives kill -9 and power loss (WAL, synchronous FULL).
// Per endpoint and incident, events leave in the order they came: a later one waits until the earlier one is delivered or given up.
// An event may owe another one (what opened must close); a debt that is not settled is paid by the next process.
// Rule: bounded. When it is full, the oldest event goes, counted as dead. One process at a time.

import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** One event for one endpoint. `id` stays the same over all attempts: receivers deduplicate by it. */
export interface OutboxEvent {
  id: string;
  endpoint: string;
  type: string;
  /** Events with the same key keep their order. */
  groupKey: string;
  body: string;
  attempts: number;
  /** After this time the event must not be sent any more; null: it never becomes dangerous. */
  expiresUnixMs: number | null;
}

/** The event that must follow, kept under `key` until it is settled. */
export interface OwedEvent {
  key: string;
  type: string;
  body: string;
}

const SCHEMA_VERSION = 1;

export class Outbox {
  readonly #db: DatabaseSync;
  readonly #maxPending: number;
  readonly #put: StatementSync;
  readonly #owe: StatementSync;
  readonly #settle: StatementSync;
  readonly #isOwed: StatementSync;
  readonly #debts: StatementSync;
  readonly #dropCommands: StatementSync;
  readonly #due: StatementSync;
  readonly #finish: StatementSync;
  readonly #later: StatementSync;
  readonly #oldest: StatementSync;
  readonly #count: StatementSync;
  readonly #dropEndpoint: StatementSync;

  /** Opens or creates the store at `path`. Throws a plain sentence when it is in use, unusable, or of a newer version. */
  constructor(path: string, maxPending = 10_000) {
    this.#maxPending = maxPending;
    try {
      if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
      this.#db = new DatabaseSync(path);
      // The lock is taken now and held: a second process is told at its start, and none ever waits for it later.
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      this.#db.exec('BEGIN EXCLUSIVE; COMMIT;');
    } catch (error) {
      const reason = (error as Error).message;
      const what = reason.includes('locked') ? 'is in use by another process' : `cannot be used (${reason})`;
      throw new Error(`store.path ${path} ${what}`, { cause: error });
    }
    const { user_version: version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version > SCHEMA_VERSION)
      throw new Error(`store.path ${path} was written by a newer version of Hopscope (schema ${version})`);
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS outbox (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, type TEXT NOT NULL, group_key TEXT NOT NULL, body TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_unix_ms REAL NOT NULL, expires_unix_ms REAL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS outbox_order ON outbox (endpoint, group_key, sequence);
      CREATE TABLE IF NOT EXISTS owed (
        key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, type TEXT NOT NULL, group_key TEXT NOT NULL, body TEXT NOT NULL
      ) STRICT;
      PRAGMA user_version = ${SCHEMA_VERSION};
    `);
    this.#put = this.#db.prepare(
      'INSERT INTO outbox (id, endpoint, type, group_key, body, next_unix_ms, expires_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#owe = this.#db.prepare('INSERT OR REPLACE INTO owed (key, endpoint, type, group_key, body) VALUES (?, ?, ?, ?, ?)');
    this.#settle = this.#db.prepare('DELETE FROM owed WHERE key = ?');
    this.#isOwed = this.#db.prepare('SELECT 1 FROM owed WHERE key = ?');
    this.#debts = this.#db.prepare('SELECT key, endpoint, type, group_key AS groupKey, body FROM owed');
    this.#dropCommands = this.#db.prepare('DELETE FROM outbox WHERE expires_unix_ms IS NOT NULL');
    this.#due = this.#db.prepare(`
      SELECT id, endpoint, type, group_key AS groupKey, body, attempts, expires_unix_ms AS expiresUnixMs FROM outbox AS o
      WHERE endpoint = ? AND next_unix_ms <= ? AND NOT EXISTS (
        SELECT 1 FROM outbox AS e WHERE e.endpoint = o.endpoint AND e.group_key = o.group_key AND e.sequence < o.sequence)
      ORDER BY sequence LIMIT ?`);
    this.#finish = this.#db.prepare('DELETE FROM outbox WHERE id = ?');
    this.#dropEndpoint = this.#db.prepare('DELETE FROM outbox WHERE endpoint = ?');
    this.#later = this.#db.prepare('UPDATE outbox SET attempts = attempts + 1, next_unix_ms = ? WHERE id = ?');
    this.#oldest = this.#db.prepare('SELECT id, endpoint FROM outbox ORDER BY sequence LIMIT 1');
    this.#count = this.#db.prepare('SELECT endpoint, count(*) AS pending FROM outbox GROUP BY endpoint');
  }

  /**
   * Stores an event, together with the one that it owes or settles; all is on disk when this returns. Returns the endpoint of an
   * older event that had to go for it, if any. Throws when the disk does not take it.
   */
  put(
    event: Omit<OutboxEvent, 'attempts'>,
    nowUnixMs: number,
    more: { owes?: OwedEvent; settles?: string } = {},
  ): string | undefined {
    return this.#atomically(() => {
      const evicted = this.#makeRoom();
      this.#put.run(event.id, event.endpoint, event.type, event.groupKey, event.body, nowUnixMs, event.expiresUnixMs);
      const { owes, settles } = more;
      if (owes !== undefined) this.#owe.run(owes.key, event.endpoint, owes.type, event.groupKey, owes.body);
      if (settles !== undefined) this.#settle.run(settles);
      return evicted;
    });
  }

  /** Whether an event is still owed under this key. */
  owes(key: string): boolean {
    return this.#isOwed.get(key) !== undefined;
  }

  /**
   * Turns everything that is owed into events, their bodies brought up to date by `renew`; returns how many. Commands that were never
   * delivered go: nobody would judge them.
   */
  payDebts(nowUnixMs: number, renew: (body: string) => string): number {
    return this.#atomically(() => {
      this.#dropCommands.run();
      const debts = this.#debts.all() as unknown as (OwedEvent & { endpoint: string; groupKey: string })[];
      for (const { key, endpoint, type, groupKey, body } of debts) {
        this.#makeRoom();
        this.#put.run(`msg_${randomUUID()}`, endpoint, type, groupKey, renew(body), nowUnixMs, null);
        this.#settle.run(key);
      }
      return debts.length;
    });
  }

  /** Events that may be sent to `endpoint` now, oldest first, at most one per group. */
  due(endpoint: string, nowUnixMs: number, limit: number): OutboxEvent[] {
    return this.#due.all(endpoint, nowUnixMs, limit) as unknown as OutboxEvent[];
  }

  /** Drops everything for endpoints that are no longer configured; returns how many events per such endpoint. */
  dropOthers(endpoints: readonly string[]): Map<string, number> {
    const gone = new Map([...this.pending()].filter(([endpoint]) => !endpoints.includes(endpoint)));
    for (const endpoint of gone.keys()) this.#dropEndpoint.run(endpoint);
    return gone;
  }

  /** The event is delivered or given up: it leaves the store. */
  finish(id: string): void {
    this.#finish.run(id);
  }

  /** The attempt failed: try again at `nextUnixMs`. */
  retryAt(id: string, nextUnixMs: number): void {
    this.#later.run(nextUnixMs, id);
  }

  /** Waiting events per endpoint. */
  pending(): Map<string, number> {
    const rows = this.#count.all() as { endpoint: string; pending: number }[];
    return new Map(rows.map((row) => [row.endpoint, row.pending]));
  }

  close(): void {
    this.#db.close();
  }

  #makeRoom(): string | undefined {
    const pending = [...this.pending().values()].reduce((sum, n) => sum + n, 0);
    if (pending < this.#maxPending) return undefined;
    const oldest = this.#oldest.get() as { id: string; endpoint: string };
    this.#finish.run(oldest.id);
    return oldest.endpoint;
  }

  #atomically<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}
