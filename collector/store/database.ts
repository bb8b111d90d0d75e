// A database file of one process: what was committed survives kill -9 and power loss (WAL, synchronous FULL).

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const SCHEMA_VERSION = 2;

/** Opens or creates the file at `path` (`:memory:` keeps nothing). Throws a plain sentence when it is in use, unusable, or of a newer version. */
export function openDatabase(path: string): DatabaseSync {
  let db: DatabaseSync;
  try {
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
    db = new DatabaseSync(path);
    // The lock is taken now and held: a second process is told at its start, and none ever waits for it later.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    db.exec('BEGIN EXCLUSIVE; COMMIT;');
  } catch (error) {
    const reason = (error as Error).message;
    const what = reason.includes('locked') ? 'is in use by another process' : `cannot be used (${reason})`;
    throw new Error(`store.path ${path} ${what}`, { cause: error });
  }
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > SCHEMA_VERSION)
    throw new Error(`store.path ${path} was written by a newer version of Hopscope (schema ${version})`);
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  return db;
}

/** All of `work` or nothing. */
export function atomically<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}
