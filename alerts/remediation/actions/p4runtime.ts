// Leases on a P4 switch: entries in the tables that p4-int's programs have for it, with a cookie of the lease and an expiry on the switch's
// own clock, so that they end with everybody dead. Rule: nothing without our cookie is touched, and what is written is read back.

import { addressNumber } from '../../../p4-int/runtime/address.ts';
import type { SwitchClient } from '../../../p4-int/runtime/client.ts';
import type { Entry } from '../../../p4-int/runtime/entry.ts';
import { Update_Type, type Update } from '../../../p4-int/runtime/generated/p4runtime.ts';
import { entityOf, readEntries } from '../../../p4-int/runtime/plan.ts';
import type { ShippedProgram } from '../../../p4-int/runtime/shipped-program.ts';
import { SwitchError } from '../../../p4-int/runtime/switch-error.ts';
import { askTime } from '../../../p4-int/runtime/switch-clock.ts';
import { flowMatch } from '../../../p4-int/runtime/wanted.ts';
import { SWITCH_ACTIONS, type Lease, type SwitchAction, type Target } from '../change.ts';

const COOKIE = 'hopscope:lease:';
/** Above what else a table may hold: these tables hold nothing else of ours. */
const PRIORITY = 1000;
/** A meter's bucket: a fifth of a second, and three full packets at least. */
const MIN_BURST_BYTES = 4500;

const TABLE: Record<SwitchAction, { table: string; action: string; param?: string }> = {
  'remark-dscp': { table: 'dscp_remark', action: 'remark_dscp', param: 'dscp' },
  'override-queue': { table: 'queue_override', action: 'override_queue', param: 'queue_id' },
  'limit-rate': { table: 'rate_limit', action: 'limit_rate' },
  'shift-ecmp': { table: 'ecmp_override', action: 'move_to_nexthop' },
};
const TABLES = Object.values(TABLE).map(({ table }) => table);

export class P4RuntimeDevice {
  #client: SwitchClient;
  readonly #shipped: ShippedProgram;
  readonly #successor: (() => SwitchClient | undefined) | undefined;

  /** `successor` may give another client, with a higher election id, when somebody else has come to lead; undefined: we stay out of its way. */
  constructor(client: SwitchClient, shipped: ShippedProgram, successor?: () => SwitchClient | undefined) {
    this.#client = client;
    this.#shipped = shipped;
    this.#successor = successor;
  }

  async apply(lease: Lease, remainingMs: number): Promise<void> {
    const { program } = this.#shipped;
    await this.#lead();
    await this.#requireOurProgram();
    const { switchTimeUs } = await askTime(this.#client, program.info);
    // Its clock went on since it answered: the entry ends a little earlier than the lease, never later.
    const expiresUs = switchTimeUs + BigInt(Math.floor(remainingMs)) * 1000n;
    const before = await this.#entriesOf(lease.id);
    const entries = lease.change.targets.map((target) => entryOf(lease, target, expiresUs));
    await this.#client.write([
      ...before.map((entry) => this.#update(Update_Type.DELETE, entry)),
      ...entries.map((entry) => this.#update(Update_Type.INSERT, entry)),
    ]);
    const held = await this.#entriesOf(lease.id);
    if (held.length !== entries.length)
      throw new Error(`${this.#client.target.name} holds ${held.length} of ${entries.length} entries`);
  }

  async remove(leaseId: string): Promise<void> {
    await this.#lead();
    const entries = await this.#entriesOf(leaseId);
    if (entries.length === 0) return;
    await this.#client.write(entries.map((entry) => this.#update(Update_Type.DELETE, entry)));
    const left = await this.#entriesOf(leaseId);
    if (left.length > 0) throw new Error(`${this.#client.target.name} still holds ${left.length} entries`);
  }

  async held(): Promise<ReadonlyMap<string, number>> {
    const held = new Map<string, number>();
    for (const { cookie } of await this.#entries()) {
      const id = cookie.slice(COOKIE.length);
      held.set(id, (held.get(id) ?? 0) + 1);
    }
    return held;
  }

  async #lead(): Promise<void> {
    try {
      await this.#client.lead();
    } catch (error) {
      const successor = error instanceof SwitchError && error.kind === 'not-primary' ? this.#successor?.() : undefined;
      if (successor === undefined) throw error;
      this.#client.close();
      this.#client = successor;
      await successor.lead();
    }
  }

  async #requireOurProgram(): Promise<void> {
    const pipeline = await this.#client.pipeline('cookie');
    if (pipeline?.cookie === this.#shipped.cookie) return;
    throw new Error(`${this.#client.target.name} does not run the program ${this.#shipped.name}: nothing was written`);
  }

  /** Everything with a cookie of a lease; nothing where no program of ours runs. */
  async #entries(): Promise<Entry[]> {
    const pipeline = await this.#client.pipeline('cookie');
    if (pipeline?.cookie !== this.#shipped.cookie) return [];
    const entries = await readEntries(this.#client, this.#shipped.program, TABLES);
    return entries.filter(({ cookie }) => cookie.startsWith(COOKIE));
  }

  async #entriesOf(leaseId: string): Promise<Entry[]> {
    return (await this.#entries()).filter(({ cookie }) => cookie === COOKIE + leaseId);
  }

  #update(type: Update_Type, entry: Entry): Update {
    return { type, entity: entityOf(this.#shipped.program.encode(entry)) };
  }
}

function entryOf({ id, change }: Lease, target: Target, expiresUs: bigint): Entry {
  const action = SWITCH_ACTIONS.find((one) => one === change.action);
  if (action === undefined) throw new Error(`${change.action} is nothing that a switch does`);
  const { table, action: name, param } = TABLE[action];
  const rate = BigInt(change.value);
  const burst = rate / 5n > BigInt(MIN_BURST_BYTES) ? rate / 5n : BigInt(MIN_BURST_BYTES);
  return {
    table,
    match: matchOf(target),
    priority: PRIORITY,
    action: name,
    params: {
      ...(param !== undefined && { [param]: BigInt(change.value) }),
      ...('nexthop' in target && { nexthop_id: BigInt(target.nexthop) }),
      expires_us: expiresUs,
    },
    ...(action === 'limit-rate' && {
      meter: { committedRate: rate, committedBurst: burst, peakRate: rate, peakBurst: burst },
    }),
    cookie: COOKIE + id,
  };
}

function matchOf(target: Target): Entry['match'] {
  if ('group' in target) {
    const { group, firstBucket, lastBucket } = target;
    return {
      group_id: { kind: 'exact', value: BigInt(group) },
      bucket: { kind: 'range', low: BigInt(firstBucket), high: BigInt(lastBucket) },
    };
  }
  if ('workload' in target) throw new Error('a workload is nothing that a switch knows');
  return flowMatch({
    source: { value: addressNumber(target.source), length: 128 },
    destination: { value: addressNumber(target.destination), length: 128 },
    protocol: target.protocol,
    ...(target.destinationPort !== undefined && { destinationPort: target.destinationPort }),
  });
}
