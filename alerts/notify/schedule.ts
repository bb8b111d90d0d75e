// When an event is tried again, and when an endpoint that does not answer is asked again. Pure, but for the chance that keeps endpoints apart.

/** Waits between attempts of a notification, about sixteen hours in all. */
const NOTIFICATION_STEPS_MS = [5e3, 30e3, 120e3, 600e3, 1800e3, 3600e3, 7200e3, 14_400e3, 28_800e3];
/** Of a command, which ends soon. */
const COMMAND_STEPS_MS = [1e3, 2e3, 5e3, 10e3];
/** Attempts at an event that the receiver says is wrong: it may be the receiver that is. */
const REFUSED_ATTEMPTS = 3;
const JITTER = 0.2;

/** What an attempt came to. `attempts` were made before it. */
export interface Attempt {
  attempts: number;
  isCommand: boolean;
  isRefused: boolean;
  retryAfterMs: number | undefined;
}

/** How long until the next attempt, ms; undefined: there is none. `random` is from 0 to 1. */
export function delayAfter({ attempts, isCommand, isRefused, retryAfterMs }: Attempt, random: number): number | undefined {
  if (isRefused && attempts + 1 >= REFUSED_ATTEMPTS) return undefined;
  const step = (isCommand ? COMMAND_STEPS_MS : NOTIFICATION_STEPS_MS)[attempts];
  if (step === undefined) return undefined;
  if (retryAfterMs !== undefined) return Math.min(Math.max(retryAfterMs, step), 2 * step);
  return step * (1 - JITTER + 2 * JITTER * random);
}

const OPENS_AFTER = 5;
const FIRST_PROBE_MS = 30e3;
const MAX_PROBE_MS = 120e3;

/** Keeps an endpoint that does not answer from being asked by every event that waits for it. */
export class Circuit {
  #failures = 0;
  #probeAtMs = 0;
  #probeMs = FIRST_PROBE_MS;

  get isOpen(): boolean {
    return this.#failures >= OPENS_AFTER;
  }

  /** Requests that may be under way at once: one while it is not known to be well. */
  room(nowMs: number, most: number): number {
    if (this.isOpen) return nowMs >= this.#probeAtMs ? 1 : 0;
    return this.#failures > 0 ? 1 : most;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#probeMs = FIRST_PROBE_MS;
  }

  failed(nowMs: number): void {
    this.#failures++;
    if (!this.isOpen) return;
    this.#probeAtMs = nowMs + this.#probeMs;
    this.#probeMs = Math.min(MAX_PROBE_MS, 2 * this.#probeMs);
  }
}
