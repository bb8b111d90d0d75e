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
  readonly #maxAddresses: number;
  readonly #retentionMs: number;
  readonly #intervals = new Map<string, Interval[]>();
  /** Claims that found no room. */
  overflow = 0;

  constructor(maxAddresses: number, retentionMs: number) {
    this.#maxAddresses = maxAddresses;
    this.#retentionMs = retentionMs;
  }

  get addresses(): number {
    return this.#intervals.size;
  }

  /** `uid` owns `address` (canonical text) from `fromUnixMs` on. Repeats change the description only. */
  claim(address: string, uid: string, owner: Owner, fromUnixMs: number): void {
    let list = this.#intervals.get(address);
    if (list === undefined) {
      if (this.#intervals.size >= this.#maxAddresses) this.#forgetEnded(fromUnixMs);
      if (this.#intervals.size >= this.#maxAddresses) {
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
    list.push({ uid, owner, fromUnixMs, toUnixMs: next?.fromUnixMs ?? Infinity });
    list.sort((a, b) => a.fromUnixMs - b.fromUnixMs);
    if (list.length > MAX_INTERVALS) list.shift();
  }

  /** `uid` no longer owns `address` from `atUnixMs` on. Later releases never prolong an interval. */
  release(address: string, uid: string, atUnixMs: number): void {
    const interval = this.#intervals.get(address)?.find((candidate) => candidate.uid === uid);
    if (interval !== undefined && atUnixMs < interval.toUnixMs) interval.toUnixMs = Math.max(atUnixMs, interval.fromUnixMs);
  }

  /** Everything that still holds an address at `atUnixMs`, as (address, uid). */
  holders(atUnixMs: number): { address: string; uid: string }[] {
    const found: { address: string; uid: string }[] = [];
    for (const [address, list] of this.#intervals) {
      for (const interval of list) if (interval.toUnixMs > atUnixMs) found.push({ address, uid: interval.uid });
    }
    return found;
  }

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
      if (list.every((interval) => interval.toUnixMs < nowUnixMs - this.#retentionMs)) this.#intervals.delete(address);
    }
  }
}
