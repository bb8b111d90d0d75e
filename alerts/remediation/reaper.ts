// The second enforcer: ends leases whose time is over when the main process does not, because it is dead, stopped, or stuck. It reads the store
// of the main process, decides nothing, and leaves a living main process its turn first.

import type { Clock, Lease } from './change.ts';
import type { Executor } from './executor.ts';

/** What the main process is left to do it itself; in all, a lease ends within 30 s of its time. */
const GRACE_MS = 10_000;

/** Of leases, those that are over, and the grace as well; all of them while the kill switch is on. */
export function overdueOf(leases: readonly Lease[], clock: Clock, isStopped: boolean): Lease[] {
  return leases.filter((lease) => isStopped || isOverdue(lease, clock));
}

/** Takes leases off. Rejects never; gives those that were taken off, and what could not be. */
export async function reap(
  leases: readonly Lease[],
  executors: ReadonlyMap<string, Executor>,
): Promise<{ undone: string[]; faults: string[] }> {
  const undone: string[] = [];
  const faults: string[] = [];
  for (const lease of leases) {
    try {
      const executor = executors.get(lease.change.executor);
      if (executor === undefined) throw new Error(`nobody here is called ${lease.change.executor}`);
      if ((await executor.held())?.has(lease.id) === false) continue;
      await executor.remove(lease.id);
      undone.push(lease.id);
    } catch (error) {
      faults.push(`lease ${lease.id}: ${(error as Error).message}`);
    }
  }
  return { undone, faults };
}

/** Over, and the grace as well; where the machine was started since, or its clock set back, nobody knows, and it is over. */
function isOverdue(lease: Lease, clock: Clock): boolean {
  if (lease.bootId !== clock.bootId || clock.unixMs() < lease.createdUnixMs - GRACE_MS) return true;
  return clock.unixMs() >= lease.expiresUnixMs + GRACE_MS || clock.bootMs() >= lease.expiresBootMs + GRACE_MS;
}
