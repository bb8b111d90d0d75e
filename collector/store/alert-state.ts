// Alerts that were sent out and are owed their end: whoever was told that something burns must be told that it is over, by us or by our
// next process. Written when an alert begins, ends, or is done with; never when it is only sent again.

import type { DatabaseSync, StatementSync } from 'node:sqlite';

export interface StoredAlert {
  /** Its labels as JSON with sorted keys: what makes it the same alert. */
  key: string;
  annotations: Record<string, string>;
  startsAt: string;
  /** When it ended; null while it burns. */
  endedAt: string | null;
}

export class AlertState {
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #all: StatementSync;

  constructor(db: DatabaseSync) {
    db.exec(`CREATE TABLE IF NOT EXISTS alert (
      key TEXT PRIMARY KEY, annotations TEXT NOT NULL, starts_at TEXT NOT NULL, ended_at TEXT
    ) STRICT`);
    this.#put = db.prepare('INSERT OR REPLACE INTO alert (key, annotations, starts_at, ended_at) VALUES (?, ?, ?, ?)');
    this.#remove = db.prepare('DELETE FROM alert WHERE key = ?');
    this.#all = db.prepare('SELECT key, annotations, starts_at AS startsAt, ended_at AS endedAt FROM alert ORDER BY key');
  }

  /** On disk when it returns. Throws when the disk does not take it. */
  put({ key, annotations, startsAt, endedAt }: StoredAlert): void {
    this.#put.run(key, JSON.stringify(annotations), startsAt, endedAt);
  }

  remove(key: string): void {
    this.#remove.run(key);
  }

  all(): StoredAlert[] {
    const rows = this.#all.all() as { key: string; annotations: string; startsAt: string; endedAt: string | null }[];
    return rows.map((row) => ({ ...row, annotations: JSON.parse(row.annotations) as Record<string, string> }));
  }
}
