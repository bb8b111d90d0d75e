// Every packet that entered a port since it was last (nearly) empty, in columns, in the order of entry: what shares, victims and counterfactuals of an
// event are computed from, exactly. It forgets when nothing of it can be asked for any more.

import { larger } from '../columns.ts';

/** Residence of a packet that still waits. */
const WAITING = -1;

export class PortLog {
  length = 0;
  enqueuedPs = new Float64Array(256);
  residencePs = new Float64Array(256);
  bytes = new Int32Array(256);
  /** Octets of its queue ahead of it. */
  aheadBytes = new Int32Array(256);
  owner = new Int32Array(256);
  flow = new Int32Array(256);
  cls = new Uint8Array(256);
  #packet = new Int32Array(256);
  #waiting = 0;

  /** Returns the row. */
  enter(packet: number, enqueuedPs: number, bytes: number, aheadBytes: number, owner: number, flow: number, cls: number): number {
    if (this.length === this.bytes.length) this.#grow();
    const row = this.length++;
    this.enqueuedPs[row] = enqueuedPs;
    this.residencePs[row] = WAITING;
    this.bytes[row] = bytes;
    this.aheadBytes[row] = aheadBytes;
    this.owner[row] = owner;
    this.flow[row] = flow;
    this.cls[row] = cls;
    this.#packet[row] = packet;
    this.#waiting++;
    return row;
  }

  leave(row: number, nowPs: number): void {
    this.residencePs[row] = nowPs - this.enqueuedPs[row];
    this.#waiting--;
  }

  isWaiting(row: number): boolean {
    return this.residencePs[row] === WAITING;
  }

  /** Forgets all but the packets that still wait; tells where each of those is now. */
  forget(moved: (packet: number, row: number) => void): void {
    const rows: number[] = [];
    for (let row = this.length - 1; row >= 0 && rows.length < this.#waiting; row--) if (this.isWaiting(row)) rows.push(row);
    rows.reverse().forEach((from, to) => {
      this.enqueuedPs[to] = this.enqueuedPs[from];
      this.residencePs[to] = WAITING;
      this.bytes[to] = this.bytes[from];
      this.aheadBytes[to] = this.aheadBytes[from];
      this.owner[to] = this.owner[from];
      this.flow[to] = this.flow[from];
      this.cls[to] = this.cls[from];
      this.#packet[to] = this.#packet[from];
      moved(this.#packet[to], to);
    });
    this.length = rows.length;
  }

  #grow(): void {
    this.enqueuedPs = larger(this.enqueuedPs);
    this.residencePs = larger(this.residencePs);
    this.bytes = larger(this.bytes);
    this.aheadBytes = larger(this.aheadBytes);
    this.owner = larger(this.owner);
    this.flow = larger(this.flow);
    this.cls = larger(this.cls);
    this.#packet = larger(this.#packet);
  }
}
