// Who owned an address at a time: validity intervals per address, because pods come and go and addresses are used again.
// Rule: a new owner ends the old one's interval at that moment; an owner ends when it says so; in between nobody owns it.

import type { Owner } from '../event.ts';

interface Interval {
  uid: string;
  owner: Owner;
  fromUnixMs: number;
  toUnixMs: number;
}

const MAX_INTERVALS = 64;

export class OwnerMap {
  /** Addresses that find room. */
  readonly capacity: number;
  readonly #retentionMs: number;
  readonly #intervals = new Map<string, Interval[]>();
  /** Addresses that an owner still holds. */
  readonly #held = new Map<string, Set<string>>();
  /** Claims that found no room. */
  overflow = 0;

  constructor(capacity: number, retentionMs: number) {
    this.capacity = capacity;
    this.#retentionMs = retentionMs;
  }

  /** Addresses in the map. */
  get rows(): number {
    return this.#intervals.size;
  }

  /** `uid` owns `address` (canonical text) from `fromUnixMs` on, as is known at `nowUnixMs`. Repeats change the description only. */
  claim(address: string, uid: string, owner: Owner, fromUnixMs: number, nowUnixMs: number): void {
    let list = this.#intervals.get(address);
    if (list === undefined) {
      if (this.#intervals.size >= this.capacity) this.#forgetEnded(nowUnixMs);
      if (this.#intervals.size >= this.capacity) {
        this.overflow++;
        return;
      }
      list = [];
      this.#intervals.set(address, list);
    }
    const known = list.find((interval) => interval.uid === uid);
    if (known !== undefined) {
      known.owner = owner;
      return;
    }
    for (const interval of list) {
      if (interval.fromUnixMs >= fromUnixMs || interval.toUnixMs <= fromUnixMs) continue;
      // An owner that said when it ended is believed; one that is silent ends where the next begins.
      if (interval.toUnixMs === Infinity) interval.toUnixMs = fromUnixMs;
      else fromUnixMs = interval.toUnixMs;
    }
    const next = list.find((interval) => interval.fromUnixMs >= fromUnixMs);
    const held = this.#held.get(uid) ?? new Set<string>();
    this.#held.set(uid, held.add(address));
    list.push({ uid, owner, fromUnixMs, toUnixMs: next?.fromUnixMs ?? Infinity });
    list.sort((a, b) => a.fromUnixMs - b.fromUnixMs);
    if (list.length > MAX_INTERVALS) this.#held.get(list.shift()!.uid)?.delete(address);
  }

  /** `uid` owns none of its addresses from `atUnixMs` on, but those in `kept`. Later releases never prolong an interval. */
  release(uid: string, atUnixMs: number, kept: readonly string[] = []): void {
    const held = this.#held.get(uid);
    for (const address of held ?? []) {
      if (kept.includes(address)) continue;
      held!.delete(address);
      const interval = this.#intervals.get(address)?.find((candidate) => candidate.uid === uid);
      if (interval !== undefined && atUnixMs < interval.toUnixMs) interval.toUnixMs = Math.max(atUnixMs, interval.fromUnixMs);
    }
    if (held?.size === 0) this.#held.delete(uid);
  }

  /** Owner of the address (canonical text) at that time, or undefined: nobody, or nobody that is known. */
  ownerAt(address: string, atUnixMs: number): Owner | undefined {
    const list = this.#intervals.get(address);
    if (list === undefined) return undefined;
    for (let i = list.length - 1; i >= 0; i--) {
      if (list[i].fromUnixMs <= atUnixMs) return atUnixMs < list[i].toUnixMs ? list[i].owner : undefined;
    }
    return undefined;
  }

  #forgetEnded(nowUnixMs: number): void {
    for (const [address, list] of this.#intervals) {
      if (!list.every((interval) => interval.toUnixMs < nowUnixMs - this.#retentionMs)) continue;
      this.#intervals.delete(address);
    }
  }
}
