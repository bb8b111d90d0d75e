// Whoever carries changes out: a switch, the cluster, or an endpoint that is asked to.

import type { Lease } from './change.ts';

export interface Executor {
  /** Puts the change into force, in place of what this lease had there. Rejects where it is not wholly in force afterwards. */
  apply(lease: Lease, remainingMs: number): Promise<void>;
  /** Takes everything of the lease off; resolves where there is nothing, too. */
  remove(leaseId: string): Promise<void>;
  /** Leases that something there belongs to, and how many of their targets; undefined where nobody can look. */
  held(): Promise<ReadonlyMap<string, number> | undefined>;
}
