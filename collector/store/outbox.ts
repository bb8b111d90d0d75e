// Webhook events on disk before they are sent, and those that were given up, until somebody replays them.
// Per endpoint and incident, events leave in the order they came: a later one waits until the earlier one is delivered or given up.
// An event may owe another one (what opened must close); a debt that is not settled is paid by the next process.
// Rule: bounded in events and octets. When it is full, the noisiest endpoint's oldest notification is given up; a command is refused.

import { randomUUID } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { atomically } from './database.ts';

/** One event for one endpoint. `id` stays the same over all attempts: receivers deduplicate by it. */
export interface OutboxEvent {
  id: string;
  endpoint: string;
  type: string;
  /** Events with the same key keep their order. */
  groupKey: string;
  body: string;
  attempts: number;
  /** After this time the event must not be sent any more, as with a command; null: a notification, which never becomes dangerous. */
  expiresUnixMs: number | null;
  /** Earlier events of its group that this endpoint will not get. */
  missed: number;
}

/** An event to be stored. `body` is told its number, which rises from event to event, over restarts too. */
export interface NewEvent {
  id: string;
  endpoint: string;
  type: string;
  groupKey: string;
  body: (sequence: number) => string;
  expiresUnixMs: number | null;
}

/** The event that must follow, kept under `key` until it is settled. */
export interface OwedEvent {
  key: string;
  type: string;
  body: string;
}

/** Why an event was given up. */
export const DEAD_REASONS = ['refused', 'expired', 'attempts', 'outbox-full', 'endpoint-gone', 'endpoint-disabled'] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

/** An event that was given up. */
export interface DeadLetter {
  id: string;
  endpoint: string;
  type: string;
  groupKey: string;
  reason: DeadReason;
  diedUnixMs: number;
}

/** Which dead letters: all that fit everything that is said. */
export interface DeadLetterFilter {
  id?: string | undefined;
  endpoint?: string | undefined;
  sinceUnixMs?: number | undefined;
  untilUnixMs?: number | undefined;
}

export interface OutboxLimits {
  events: number;
  bytes: number;
  deadLetters: number;
}

const LIMITS: OutboxLimits = { events: 100_000, bytes: 256e6, deadLetters: 10_000 };

const EVENT_COLUMNS = 'id, endpoint, type, group_key, body, expires_unix_ms';

/** The outbox is full of what must not be given up. */
class OutboxFull extends Error {}

export class Outbox {
  readonly #db: DatabaseSync;
  readonly #limits: OutboxLimits;
  readonly #put: StatementSync;
  readonly #setBody: StatementSync;
  readonly #owe: StatementSync;
  readonly #settle: StatementSync;
  readonly #isOwed: StatementSync;
  readonly #debts: StatementSync;
  readonly #due: StatementSync;
  readonly #bytesOf: StatementSync;
  readonly #finish: StatementSync;
  readonly #later: StatementSync;
  readonly #hurry: StatementSync;
  readonly #oldestNotification: StatementSync;
  readonly #idsOf: StatementSync;
  readonly #commands: StatementSync;
  readonly #bury: StatementSync;
  readonly #trimDead: StatementSync;
  readonly #dead: StatementSync;
  readonly #revive: StatementSync;
  readonly #unbury: StatementSync;
  readonly #disable: StatementSync;
  readonly #enable: StatementSync;
  /** Endpoints that are gone, and the address that they were gone at. */
  readonly #disabled = new Map<string, string>();
  /** What waits, by endpoint: counted here so that storing an event does not count the table. */
  readonly #waiting = new Map<string, { events: number; bytes: number }>();

  constructor(db: DatabaseSync, limits: Partial<OutboxLimits> = {}) {
    this.#db = db;
    this.#limits = { ...LIMITS, ...limits };
    const event = `
      id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, type TEXT NOT NULL, group_key TEXT NOT NULL, body TEXT NOT NULL,
      expires_unix_ms REAL`;
    db.exec(`
      CREATE TABLE IF NOT EXISTS outbox (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, ${event}, attempts INTEGER NOT NULL DEFAULT 0, next_unix_ms REAL NOT NULL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS outbox_order ON outbox (endpoint, group_key, sequence);
      CREATE TABLE IF NOT EXISTS owed (
        key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, type TEXT NOT NULL, group_key TEXT NOT NULL, body TEXT NOT NULL
      ) STRICT;
      CREATE TABLE IF NOT EXISTS dead (
        number INTEGER PRIMARY KEY AUTOINCREMENT, ${event}, reason TEXT NOT NULL, died_unix_ms REAL NOT NULL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS dead_group ON dead (endpoint, group_key);
      CREATE TABLE IF NOT EXISTS disabled (endpoint TEXT PRIMARY KEY, url TEXT NOT NULL) STRICT;
    `);
    this.#put = db.prepare(`INSERT INTO outbox (${EVENT_COLUMNS}, next_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#setBody = db.prepare('UPDATE outbox SET body = ? WHERE sequence = ?');
    this.#owe = db.prepare('INSERT OR REPLACE INTO owed (key, endpoint, type, group_key, body) VALUES (?, ?, ?, ?, ?)');
    this.#settle = db.prepare('DELETE FROM owed WHERE key = ?');
    this.#isOwed = db.prepare('SELECT 1 FROM owed WHERE key = ?');
    this.#debts = db.prepare('SELECT key, endpoint, type, group_key AS groupKey, body FROM owed ORDER BY key');
    this.#due = db.prepare(`
      SELECT id, endpoint, type, group_key AS groupKey, body, attempts, expires_unix_ms AS expiresUnixMs,
        (SELECT count(*) FROM dead AS d WHERE d.endpoint = o.endpoint AND d.group_key = o.group_key) AS missed
      FROM outbox AS o
      WHERE endpoint = ? AND next_unix_ms <= ? AND NOT EXISTS (
        SELECT 1 FROM outbox AS e WHERE e.endpoint = o.endpoint AND e.group_key = o.group_key AND e.sequence < o.sequence)
      ORDER BY sequence LIMIT ?`);
    this.#bytesOf = db.prepare('SELECT endpoint, length(body) AS bytes FROM outbox WHERE id = ?');
    this.#finish = db.prepare('DELETE FROM outbox WHERE id = ?');
    this.#later = db.prepare('UPDATE outbox SET attempts = attempts + 1, next_unix_ms = ? WHERE id = ?');
    this.#hurry = db.prepare('UPDATE outbox SET next_unix_ms = ? WHERE endpoint = ? AND next_unix_ms > ?');
    this.#oldestNotification = db.prepare(
      'SELECT id FROM outbox WHERE endpoint = ? AND expires_unix_ms IS NULL ORDER BY sequence LIMIT 1',
    );
    this.#idsOf = db.prepare('SELECT id FROM outbox WHERE endpoint = ? ORDER BY sequence');
    this.#commands = db.prepare('SELECT id FROM outbox WHERE expires_unix_ms IS NOT NULL ORDER BY sequence');
    this.#bury = db.prepare(
      `INSERT INTO dead (${EVENT_COLUMNS}, reason, died_unix_ms) SELECT ${EVENT_COLUMNS}, ?, ? FROM outbox WHERE id = ?`,
    );
    this.#trimDead = db.prepare('DELETE FROM dead WHERE number <= (SELECT max(number) FROM dead) - ?');
    this.#dead = db.prepare(`
      SELECT id, endpoint, type, group_key AS groupKey, reason, died_unix_ms AS diedUnixMs FROM dead
      WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR endpoint = ?2) AND died_unix_ms >= ?3 AND died_unix_ms <= ?4 ORDER BY number`);
    this.#revive = db.prepare(
      `INSERT INTO outbox (${EVENT_COLUMNS}, next_unix_ms) SELECT ${EVENT_COLUMNS}, ? FROM dead WHERE id = ? AND expires_unix_ms IS NULL`,
    );
    this.#unbury = db.prepare('DELETE FROM dead WHERE id = ?');
    this.#disable = db.prepare('INSERT OR REPLACE INTO disabled (endpoint, url) VALUES (?, ?)');
    this.#enable = db.prepare('DELETE FROM disabled WHERE endpoint = ?');
    for (const row of db.prepare('SELECT endpoint, url FROM disabled').all())
      this.#disabled.set(String(row.endpoint), String(row.url));
    this.#count();
  }

  /**
   * Stores an event, together with the one that it owes or settles; all is on disk when this returns. Returns the endpoint of an
   * older event that had to go for it, if any. Throws when the disk does not take it, and OutboxFull when there is room for no more.
   */
  put(event: NewEvent, nowUnixMs: number, more: { owes?: OwedEvent; settles?: string } = {}): string | undefined {
    return this.#atomically(() => {
      const evicted = this.#makeRoom(event.expiresUnixMs !== null, nowUnixMs);
      this.#store(event, nowUnixMs);
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

  /** Turns everything that is owed into events, their bodies brought up to date by `renew`; returns how many. */
  payDebts(nowUnixMs: number, renew: (body: string, sequence: number) => string): number {
    return this.#atomically(() => {
      const debts = this.#debts.all() as unknown as (OwedEvent & { endpoint: string; groupKey: string })[];
      for (const { key, body, ...event } of debts) {
        this.#makeRoom(false, nowUnixMs);
        const renewed = (sequence: number): string => renew(body, sequence);
        this.#store({ ...event, id: `msg_${randomUUID()}`, body: renewed, expiresUnixMs: null }, nowUnixMs);
        this.#settle.run(key);
      }
      return debts.length;
    });
  }

  /** Events that may be sent to `endpoint` now, oldest first, at most one per group. */
  due(endpoint: string, nowUnixMs: number, limit: number): OutboxEvent[] {
    // Asked for twice a second, and mostly for nothing.
    if ((this.#waiting.get(endpoint)?.events ?? 0) === 0) return [];
    return this.#due.all(endpoint, nowUnixMs, limit) as unknown as OutboxEvent[];
  }

  /** Gives up everything for endpoints that are no longer configured; returns how many events per such endpoint. */
  dropOthers(endpoints: readonly string[], nowUnixMs: number): Map<string, number> {
    const gone = new Map([...this.pending()].filter(([endpoint]) => !endpoints.includes(endpoint)));
    for (const endpoint of gone.keys()) this.giveUpAll(endpoint, 'endpoint-gone', nowUnixMs);
    return gone;
  }

  /** The event is delivered: it leaves the store. */
  finish(id: string): void {
    this.#atomically(() => this.#remove(id));
  }

  /** The event is delivered no more: it becomes a dead letter. */
  giveUp(id: string, reason: DeadReason, nowUnixMs: number): void {
    this.#atomically(() => this.#give(id, reason, nowUnixMs));
  }

  /** Everything that waits for `endpoint` becomes dead letters; returns how many. */
  giveUpAll(endpoint: string, reason: DeadReason, nowUnixMs: number): number {
    return this.#atomically(() => {
      const ids = this.#idsOf.all(endpoint) as { id: string }[];
      for (const { id } of ids) this.#give(id, reason, nowUnixMs);
      return ids.length;
    });
  }

  /** Commands of a process that died: nobody waits for what becomes of them any more. */
  giveUpCommands(nowUnixMs: number): void {
    this.#atomically(() => {
      for (const { id } of this.#commands.all() as { id: string }[]) this.#give(id, 'expired', nowUnixMs);
    });
  }

  /** The attempt failed: try again at `nextUnixMs`. */
  retryAt(id: string, nextUnixMs: number): void {
    this.#later.run(nextUnixMs, id);
  }

  /** The endpoint is well again: what waits for it waits no longer. */
  hurry(endpoint: string, nowUnixMs: number): void {
    this.#hurry.run(nowUnixMs, endpoint, nowUnixMs);
  }

  /** Events that were given up, oldest first. */
  deadLetters({ id, endpoint, sinceUnixMs = 0, untilUnixMs = Infinity }: DeadLetterFilter = {}): DeadLetter[] {
    const until = Math.min(untilUnixMs, Number.MAX_SAFE_INTEGER);
    return this.#dead.all(id ?? null, endpoint ?? null, sinceUnixMs, until) as unknown as DeadLetter[];
  }

  /** Sends dead letters anew, under their own ids; returns the ids. What was a command stays dead: it is too late for it. */
  replay(filter: DeadLetterFilter, nowUnixMs: number): string[] {
    return this.#atomically(() => {
      const replayed: string[] = [];
      for (const { id } of this.deadLetters(filter)) {
        this.#makeRoom(false, nowUnixMs);
        if (this.#revive.run(nowUnixMs, id).changes === 0) continue;
        this.#unbury.run(id);
        this.#add(id, 1);
        replayed.push(id);
      }
      return replayed;
    });
  }

  /** An endpoint that said 410 gets nothing more at this address, until it is enabled again or has another. */
  disable(endpoint: string, url: string): void {
    this.#disable.run(endpoint, url);
    this.#disabled.set(endpoint, url);
  }

  enable(endpoint: string): void {
    this.#enable.run(endpoint);
    this.#disabled.delete(endpoint);
  }

  isDisabled(endpoint: string, url: string): boolean {
    return this.#disabled.get(endpoint) === url;
  }

  /** Waiting events per endpoint. */
  pending(): Map<string, number> {
    return new Map([...this.#waiting].filter(([, { events }]) => events > 0).map(([endpoint, { events }]) => [endpoint, events]));
  }

  #store({ id, endpoint, type, groupKey, body, expiresUnixMs }: NewEvent, nowUnixMs: number): void {
    const { lastInsertRowid } = this.#put.run(id, endpoint, type, groupKey, '', expiresUnixMs, nowUnixMs);
    this.#setBody.run(body(Number(lastInsertRowid)), lastInsertRowid);
    this.#add(id, 1);
  }

  #give(id: string, reason: DeadReason, nowUnixMs: number): void {
    this.#bury.run(reason, nowUnixMs, id);
    this.#trimDead.run(this.#limits.deadLetters);
    this.#remove(id);
  }

  #remove(id: string): void {
    this.#add(id, -1);
    this.#finish.run(id);
  }

  #add(id: string, sign: 1 | -1): void {
    const row = this.#bytesOf.get(id) as { endpoint: string; bytes: number } | undefined;
    if (row === undefined) return;
    const { events, bytes } = this.#waiting.get(row.endpoint) ?? { events: 0, bytes: 0 };
    this.#waiting.set(row.endpoint, { events: events + sign, bytes: bytes + sign * row.bytes });
  }

  #count(): void {
    const rows = this.#db
      .prepare('SELECT endpoint, count(*) AS events, sum(length(body)) AS bytes FROM outbox GROUP BY endpoint')
      .all() as { endpoint: string; events: number; bytes: number }[];
    this.#waiting.clear();
    for (const { endpoint, events, bytes } of rows) this.#waiting.set(endpoint, { events, bytes });
  }

  #makeRoom(isCommand: boolean, nowUnixMs: number): string | undefined {
    const all = [...this.#waiting.values()];
    const events = all.reduce((sum, one) => sum + one.events, 0);
    const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
    if (events < this.#limits.events && bytes < this.#limits.bytes) return undefined;
    if (isCommand) throw new OutboxFull('the outbox is full: no command is taken until some of it is delivered');
    for (const [endpoint] of [...this.#waiting].sort(([, a], [, b]) => b.events - a.events)) {
      const oldest = this.#oldestNotification.get(endpoint) as { id: string } | undefined;
      if (oldest === undefined) continue;
      this.#give(oldest.id, 'outbox-full', nowUnixMs);
      return endpoint;
    }
    throw new OutboxFull('the outbox is full of commands');
  }

  #atomically<T>(work: () => T): T {
    try {
      return atomically(this.#db, work);
    } catch (error) {
      this.#count();
      throw error;
    }
  }
}
