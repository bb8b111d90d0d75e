// Webhook events on disk before they are sent: what was put here survives kill -9 and power loss (WAL, synchronous FULL).
// Per endpoint and incident, events leave in the order they came: a later one waits until the earlier one is delivered or given up.
// Rule: bounded. When it is full, the oldest event goes, counted as dead.

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

const SCHEMA_VERSION = 1;

export class Outbox {
  readonly #db: DatabaseSync;
  readonly #maxPending: number;
  readonly #put: StatementSync;
  readonly #due: StatementSync;
  readonly #finish: StatementSync;
  readonly #later: StatementSync;
  readonly #oldest: StatementSync;
  readonly #count: StatementSync;
  readonly #dropEndpoint: StatementSync;

  /** Opens or creates the store at `path`. Throws when it was written by a newer version. */
  constructor(path: string, maxPending = 10_000) {
    this.#maxPending = maxPending;
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
    this.#db = new DatabaseSync(path);
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;');
    const { user_version: version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version > SCHEMA_VERSION) throw new Error(`${path} was written by a newer version of Hopscope (schema ${version})`);
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS outbox (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, type TEXT NOT NULL, group_key TEXT NOT NULL, body TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_unix_ms REAL NOT NULL, expires_unix_ms REAL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS outbox_order ON outbox (endpoint, group_key, sequence);
      PRAGMA user_version = ${SCHEMA_VERSION};
    `);
    this.#put = this.#db.prepare(
      'INSERT INTO outbox (id, endpoint, type, group_key, body, next_unix_ms, expires_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
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

  /** Stores an event; it is on disk when this returns. Returns the endpoint of an older event that had to go for it, if any. */
  put(event: Omit<OutboxEvent, 'attempts'>, nowUnixMs: number): string | undefined {
    let evicted: string | undefined;
    const pending = [...this.pending().values()].reduce((sum, n) => sum + n, 0);
    if (pending >= this.#maxPending) {
      const oldest = this.#oldest.get() as { id: string; endpoint: string };
      this.#finish.run(oldest.id);
      evicted = oldest.endpoint;
    }
    this.#put.run(event.id, event.endpoint, event.type, event.groupKey, event.body, nowUnixMs, event.expiresUnixMs);
    return evicted;
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
}
