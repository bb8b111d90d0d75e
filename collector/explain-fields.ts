// The cursor of `hopscope decode --explain`: a walk over octets by tables of fields (see wire-layout), each field noted where it lies.
// Rule: for people, and bounded: what a table does not fit is shown as octets, and no walk is longer than MAX_FIELDS.

import { ipv6Text } from './address.ts';
import type { WireField } from './wire-layout.ts';

/** One field: where it begins (octet, and bit within it), in which header, and its value as text. */
export interface ExplainedField {
  octet: number;
  bit: number;
  header: string;
  field: string;
  value: string;
}

const MAX_FIELDS = 4000;

export class FieldWalk {
  readonly fields: ExplainedField[] = [];
  readonly #bytes: Uint8Array;
  /** Octet that comes next, and the first one that is out of bounds. */
  at = 0;
  end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.end = bytes.length;
  }

  get isFull(): boolean {
    return this.fields.length >= MAX_FIELDS;
  }

  /** The octet at `offset`; 0 behind the end. */
  octet(offset: number): number {
    return offset < this.end ? this.#bytes[offset] : 0;
  }

  /** The fields of a header at the cursor, which then stands behind it; undefined when it is cut, and the rest is shown as octets. */
  take(header: string, layout: readonly WireField[]): Record<string, number> | undefined {
    const bits = layout.reduce((sum, field) => sum + field.bits, 0);
    if (this.at + bits / 8 > this.end || this.isFull) {
      this.rest(`${header}, cut`, this.end);
      return undefined;
    }
    const values: Record<string, number> = {};
    let bit = this.at * 8;
    for (const { name, bits: width, format } of layout) {
      const value = this.#number(bit, width);
      values[name] = Number(value);
      this.fields.push({ octet: bit >>> 3, bit: bit & 7, header, field: name, value: this.#text(value, width, format) });
      bit += width;
    }
    this.at = bit >>> 3;
    return values;
  }

  /** What lies before `end` as octets. */
  rest(header: string, end: number): void {
    if (this.at >= end) return;
    const octets = this.#bytes.subarray(this.at, end);
    const hex = Buffer.from(octets.subarray(0, 16)).toString('hex');
    const value = `${hex}${octets.length > 16 ? '...' : ''} (${octets.length})`;
    this.fields.push({ octet: this.at, bit: 0, header, field: 'octets', value });
    this.at = end;
  }

  /** Walks what lies before `end`; what the walk leaves there is shown as octets. */
  within(end: number, walk: () => void, header = 'octets'): void {
    const outer = this.end;
    this.end = Math.min(outer, end);
    walk();
    this.rest(header, this.end);
    this.end = outer;
  }

  #number(bit: number, width: number): bigint {
    let value = 0n;
    for (let o = bit >>> 3; o < (bit + width + 7) >>> 3; o++) value = (value << 8n) | BigInt(this.#bytes[o]);
    const behind = (8 - ((bit + width) & 7)) & 7;
    return (value >> BigInt(behind)) & ((1n << BigInt(width)) - 1n);
  }

  #text(value: bigint, width: number, format: WireField['format']): string {
    if (format === 'hex') return `0x${value.toString(16).padStart(Math.ceil(width / 4), '0')}`;
    if (format === 'ipv4') return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
    if (format === 'ipv6')
      return ipv6Text(
        Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffff_ffffn)),
        0,
      );
    return value.toString();
  }
}
