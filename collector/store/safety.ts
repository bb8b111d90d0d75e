// What must not be lost while the network is changed: leases, budgets, rules' records, election ids, the end of the audit file. On disk before
// it is told (WAL, synchronous FULL); a checksum per row, because SQLite does not notice octets that were changed.
// Rule: the main process writes; the reaper reads the same file while the main process lives, is stopped, or is gone.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const SCHEMA_VERSION = 1;
export const SAFETY_KINDS = ['lease', 'budget', 'rule', 'counter', 'audit-head'] as const;
export type SafetyKind = (typeof SAFETY_KINDS)[number];

/** A row whose content is not what was written. */
export class CorruptStore extends Error {}

export class SafetyStore {
  readonly #db: DatabaseSync;
  readonly #put;
  readonly #remove;
  readonly #all;

  /** Opens or creates the store. Throws CorruptStore where it cannot be read, Error with a plain sentence where it cannot be used. */
  constructor(path: string, readOnly = false) {
    try {
      if (!readOnly && path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
      this.#db = new DatabaseSync(path, { readOnly, timeout: 5000 });
      if (!readOnly) {
        this.#db.exec(`
          PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
          CREATE TABLE IF NOT EXISTS safety (
            kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (kind, key)
          ) STRICT;
        `);
      }
      const { user_version: version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
      if (version > SCHEMA_VERSION) throw new Error(`it was written by a newer version of Hopscope (schema ${version})`);
      if (!readOnly) this.#db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
      const check = this.#db.prepare('PRAGMA quick_check').all() as { quick_check: string }[];
      if (check[0]?.quick_check !== 'ok') throw new CorruptStore(`${path} is damaged: ${check[0]?.quick_check}`);
      this.#all = this.#db.prepare('SELECT key, body, checksum FROM safety WHERE kind = ? ORDER BY key');
      this.#put = readOnly
        ? undefined
        : this.#db.prepare('INSERT OR REPLACE INTO safety (kind, key, body, checksum) VALUES (?, ?, ?, ?)');
      this.#remove = readOnly ? undefined : this.#db.prepare('DELETE FROM safety WHERE kind = ? AND key = ?');
    } catch (error) {
      if (error instanceof CorruptStore) throw error;
      const { message } = error as Error;
      if (/malformed|not a database|disk image/.test(message)) throw new CorruptStore(`${path} is damaged: ${message}`);
      throw new Error(`the store of changes ${path} cannot be used (${message})`, { cause: error });
    }
  }

  /** All rows of a kind. Throws CorruptStore where one is not what was written. */
  all(kind: SafetyKind): { key: string; body: unknown }[] {
    let rows: { key: string; body: string; checksum: string }[];
    try {
      rows = this.#all.all(kind) as typeof rows;
    } catch (error) {
      throw new CorruptStore((error as Error).message);
    }
    return rows.map(({ key, body, checksum }) => {
      if (checksum !== checksumOf(kind, key, body)) throw new CorruptStore(`${kind} ${key} is not what was written`);
      return { key, body: JSON.parse(body) as unknown };
    });
  }

  /** On disk when it returns. Throws where it is not. */
  put(kind: SafetyKind, key: string, body: unknown): void {
    const text = JSON.stringify(body);
    this.#put!.run(kind, key, text, checksumOf(kind, key, text));
  }

  remove(kind: SafetyKind, key: string): void {
    this.#remove!.run(kind, key);
  }

  /** Raises a counter, to `atLeast` if it is lower, and gives its new value: no two callers get the same, over restarts too. */
  next(counter: string, atLeast = 1): number {
    const value = Math.max(this.last(counter) + 1, atLeast);
    this.put('counter', counter, value);
    return value;
  }

  /** The last value that was given; 0 before the first. */
  last(counter: string): number {
    const row = this.all('counter').find(({ key }) => key === counter);
    return typeof row?.body === 'number' ? row.body : 0;
  }

  close(): void {
    this.#db.close();
  }
}

/** Opens the store, and where it is damaged puts it aside and begins anew: `damage` then says what was found. */
export function openSafetyStore(path: string, unixMs: number): { store: SafetyStore; damage: string | undefined } {
  try {
    const store = new SafetyStore(path);
    for (const kind of SAFETY_KINDS) store.all(kind);
    return { store, damage: undefined };
  } catch (error) {
    if (!(error instanceof CorruptStore)) throw error;
    for (const end of ['', '-wal', '-shm']) {
      if (existsSync(`${path}${end}`)) renameSync(`${path}${end}`, `${path}.bad-${unixMs}${end}`);
    }
    return { store: new SafetyStore(path), damage: error.message };
  }
}

function checksumOf(kind: string, key: string, body: string): string {
  return createHash('sha256').update(`${kind}\0${key}\0${body}`).digest('hex');
}
