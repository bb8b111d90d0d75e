// INT v0.5 behind TCP/UDP, behind VXLAN-GPE or as a Geneve option: shim, 8-octet header, stack, tail.

import { u16, u8 } from './octets.ts';
import { entryWords, stackOctets, WIDTHS_V05, type IntHop } from './int-stack.ts';
import type { GeneveOption } from './layer-overlay.ts';
import type { OctetsLayer } from './layers.ts';

export interface IntV05 {
  /** Instruction bitmap, 16 bits. */
  bitmap: number;
  /** Path order: the source first. */
  hops: readonly IntHop[];
  maxHopCount: number;
  /** Default: the number of hops. */
  totalHopCount?: number;
  /** Default: the words per entry of the bitmap. */
  instructionCount?: number;
  replication?: number;
  copy?: boolean;
  maxHopCountExceeded?: boolean;
  /** Shim type; default 1 (hop-by-hop). */
  type?: number;
  /** Default 0. */
  version?: number;
}

/** What the 4-octet tail restores. */
export interface IntV05Tail {
  protocol: number;
  destinationPort: number;
  /** The original DSCP, or reserved. */
  dscp?: number;
}

/** Behind a TCP or UDP header: shim, header, stack, tail. */
export function intV05(int: IntV05, tail: IntV05Tail): OctetsLayer {
  const body = Buffer.concat([bodyOf(int), u8(tail.protocol), u16(tail.destinationPort), u8(tail.dscp ?? 0)]);
  const shim = [u8(int.type ?? 1), u8(0), u8((4 + body.length) / 4), u8(0)];
  return { kind: 'octets', octets: Buffer.concat([...shim, body]) };
}

/** Behind a VXLAN-GPE header: shim, header, stack; no tail. `nextProtocol` is the GPE number of what follows. */
export function intV05Gpe(int: IntV05, nextProtocol: number, gpeProtocol = 0x05): OctetsLayer {
  const body = bodyOf(int);
  const shim = [u8(int.type ?? 1), u8(0), u8((4 + body.length) / 4), u8(nextProtocol)];
  return { kind: 'octets', octets: Buffer.concat([...shim, body]), gpeProtocol };
}

/** As a Geneve option: header and stack are its data; the class is configured in v0.5. */
export function intV05GeneveOption(int: IntV05, optionClass: number): GeneveOption {
  return { optionClass, type: int.type ?? 1, data: bodyOf(int) };
}

function bodyOf(int: IntV05): Buffer {
  const first =
    ((int.version ?? 0) << 12) |
    ((int.replication ?? 0) << 10) |
    (int.copy ? 0x200 : 0) |
    (int.maxHopCountExceeded ? 0x100 : 0) |
    (int.instructionCount ?? entryWords(int.bitmap, WIDTHS_V05));
  return Buffer.concat([
    u16(first),
    u8(int.maxHopCount),
    u8(int.totalHopCount ?? int.hops.length),
    u16(int.bitmap),
    u16(0),
    stackOctets(int.hops, int.bitmap, WIDTHS_V05),
  ]);
}
