// Changes that wait for what a person says of them. Rule: a yes is of exactly one change, for a short time, and goes with its cause.

import type { Change } from './change.ts';

/** A change that waits for a person. */
export interface Approval {
  hash: string;
  change: Change;
  lines: string[];
  proposedUnixMs: number;
  /** Who may not say yes: who wrote its rule. */
  author: string | undefined;
}

const WAITS_MS = 300_000;
const MAX_WAITING = 16;

export class Approvals {
  readonly #waiting = new Map<string, Approval>();
  /** Who said yes, by hash. */
  readonly #by = new Map<string, string>();
  /** By incident: what was offered, and what was answered for good. */
  readonly #offered = new Map<string, Set<string>>();
  readonly #answered = new Map<string, Set<string>>();

  get waiting(): Approval[] {
    return [...this.#waiting.values()];
  }

  /** True when it is offered for the first time about its incident. What was answered is not asked again while the incident goes on. */
  offer(approval: Approval): boolean {
    const { hash, change } = approval;
    if (this.#answered.get(change.incidentId)?.has(hash) === true) return false;
    if (!this.#waiting.has(hash) && this.#waiting.size < MAX_WAITING) this.#waiting.set(hash, approval);
    const offered = this.#offered.get(change.incidentId) ?? new Set();
    if (offered.has(hash)) return false;
    this.#offered.set(change.incidentId, offered.add(hash));
    return true;
  }

  /** Forgets what was offered and answered about other incidents than these. */
  keepOnly(incidentIds: ReadonlySet<string>): void {
    for (const known of [this.#offered, this.#answered]) {
      for (const id of known.keys()) if (!incidentIds.has(id)) known.delete(id);
    }
  }

  /** Throws a plain sentence where nothing waits with that hash, or this person may not say so. */
  approve(hash: string, who: string): Approval {
    const approval = this.#find(hash, who);
    if (approval.author?.trim() === who.trim())
      throw new Error(`${who} wrote the rule ${approval.change.rule}: somebody else must approve`);
    this.#by.set(hash, who);
    return approval;
  }

  /** Throws a plain sentence where nothing waits with that hash. */
  decline(hash: string, who: string): Approval {
    const approval = this.#find(hash, who);
    this.close(approval);
    return approval;
  }

  /** It is answered, and nothing is to be done. */
  close({ hash, change: { incidentId } }: Approval): void {
    this.#answered.set(incidentId, (this.#answered.get(incidentId) ?? new Set()).add(hash));
    this.#drop(hash);
  }

  /** Who approved it; it is used up by being asked for. */
  take(hash: string): string | undefined {
    const who = this.#by.get(hash);
    if (who !== undefined) this.#drop(hash);
    return who;
  }

  /** Takes away what has waited for too long; their hashes. */
  lapse(nowUnixMs: number): string[] {
    return this.#dropIf(({ proposedUnixMs }) => Math.abs(nowUnixMs - proposedUnixMs) > WAITS_MS);
  }

  /** Takes away what would not be proposed any more: its cause is gone, or the change is another. */
  withdrawAllBut(proposed: ReadonlySet<string>): string[] {
    return this.#dropIf(({ hash }) => !proposed.has(hash));
  }

  #find(hash: string, who: string): Approval {
    const approval = this.#waiting.get(hash);
    if (approval === undefined) throw new Error(`nothing waits for an approval of ${hash}`);
    if (who.trim() === '') throw new Error('an approval needs a name');
    return approval;
  }

  #dropIf(isOver: (approval: Approval) => boolean): string[] {
    const over = this.waiting.filter(isOver).map(({ hash }) => hash);
    for (const hash of over) this.#drop(hash);
    return over;
  }

  #drop(hash: string): void {
    this.#waiting.delete(hash);
    this.#by.delete(hash);
  }
}
