// Leases that somebody else carries out: signed webhooks as commands, for controllers that own their switches.
//
//   apply ─▶ remediation.apply (a command: never sent after its expiry) ─▶ taken: in force, until the lease's end by the receiver's own clock
//   remove ─▶ remediation.undo (a notification: it waits until it is taken)
//
// Rule: the receiver ends a lease by itself at `until`, and does nothing with a generation older than it knows; nobody can look what it did but the
// queue.

import { randomUUID } from 'node:crypto';
import type { Lease } from '../change.ts';

/** An event for the outbox. */
interface CommandEvent {
  id: string;
  endpoint: string;
  type: string;
  groupKey: string;
  body: (sequence: number) => string;
  expiresUnixMs: number | null;
}

export interface CommandExecutorOptions {
  endpoint: string;
  /** On disk when it returns; throws where it is not. */
  put: (event: CommandEvent) => void;
  /** The event is sent no more. */
  cancel: (id: string) => void;
  /** Tells of every event that leaves the outbox, delivered or given up. */
  onSettled: (listener: (id: string, isDelivered: boolean) => void) => void;
  now: () => number;
}

/** A command that nobody has taken by then is too late. */
const PATIENCE_MS = 8000;

export class CommandExecutor {
  readonly #options: CommandExecutorOptions;
  readonly #waiting = new Map<string, (isDelivered: boolean) => void>();

  constructor(options: CommandExecutorOptions) {
    this.#options = options;
    options.onSettled((id, isDelivered) => this.#waiting.get(id)?.(isDelivered));
  }

  async apply(lease: Lease, remainingMs: number): Promise<void> {
    const { endpoint, put, cancel, now } = this.#options;
    const id = `msg_${randomUUID()}`;
    const patienceMs = Math.min(PATIENCE_MS, remainingMs);
    const { change, generation } = lease;
    const until = new Date(now() + remainingMs).toISOString();
    const expiresUnixMs = now() + patienceMs;
    const data = {
      leaseId: lease.id,
      idempotencyKey: `${lease.id}/${lease.renewed}/${lease.reapplied}`,
      generation,
      until,
      change,
    };
    const expiresAt = new Date(expiresUnixMs).toISOString();
    const settled = new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), patienceMs);
      this.#waiting.set(id, (isDelivered) => {
        clearTimeout(timer);
        resolve(isDelivered);
      });
    });
    const type = 'remediation.apply';
    const body = (sequence: number): string =>
      JSON.stringify({ type, timestamp: new Date(now()).toISOString(), sequence, expiresAt, data });
    try {
      put({ id, endpoint, type, groupKey: lease.id, body, expiresUnixMs });
      if (await settled) return;
      cancel(id);
      throw new Error(`${endpoint} did not take the command within ${patienceMs / 1000} s`);
    } finally {
      this.#waiting.get(id)?.(false);
      this.#waiting.delete(id);
    }
  }

  remove(leaseId: string): Promise<void> {
    const { endpoint, put, now } = this.#options;
    const type = 'remediation.undo';
    const timestamp = new Date(now()).toISOString();
    const body = (sequence: number): string => JSON.stringify({ type, timestamp, sequence, data: { leaseId } });
    put({ id: `msg_${randomUUID()}`, endpoint, type, groupKey: leaseId, body, expiresUnixMs: null });
    return Promise.resolve();
  }

  held(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
