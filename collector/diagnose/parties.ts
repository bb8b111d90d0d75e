// Who is in an arrival log: senders, what they are counted under, and flows, each numbered once, so that what adds up over thousands of arrivals adds into arrays.
// Rule: owners are told apart by what they are called; the same flow may have two of them, when an address changed hands.

import { ownerKeyOf, type Owner } from '../event.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import { flowKeyOf } from './order.ts';

export interface Parties {
  /** By arrival: index of the sender, and of the flow. */
  sender: Uint32Array;
  flow: Uint32Array;
  /** Senders: pods of one workload are several. */
  senders: readonly Owner[];
  /** By sender: index of the owner that it is counted under. */
  owner: readonly number[];
  /** By owner: what it is called, see ownerKeyOf. */
  keys: readonly string[];
  /** By flow: its first arrival. */
  firstArrival: readonly number[];
}

export function partiesOf(log: ArrivalLog, senderOf: (arrival: number) => Owner): Parties {
  const sender = new Uint32Array(log.length);
  const flow = new Uint32Array(log.length);
  const senders = new Numbered<Owner>();
  const owners = new Numbered<string>();
  const flows = new Numbered<number>();
  const owner: number[] = [];
  const firstArrival: number[] = [];
  for (let i = 0; i < log.length; i++) {
    const one = senderOf(i);
    sender[i] = senders.indexOf(one);
    if (sender[i] === owner.length) owner.push(owners.indexOf(ownerKeyOf(one)));
    flow[i] = flows.indexOf(flowKeyOf(log, i));
    if (flow[i] === firstArrival.length) firstArrival.push(i);
  }
  return { sender, flow, senders: senders.all, owner, keys: owners.all, firstArrival };
}

/** Gives each value a number when it first comes. */
class Numbered<T> {
  readonly all: T[] = [];
  readonly #index = new Map<T, number>();

  indexOf(value: T): number {
    const known = this.#index.get(value);
    if (known !== undefined) return known;
    this.#index.set(value, this.all.length);
    return this.all.push(value) - 1;
  }
}
