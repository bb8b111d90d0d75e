// INT v1.0 behind TCP/UDP, behind VXLAN-GPE or as a Geneve option, and how ONOS and GEANT deviate from it.

import { u16, u32, u64, u8 } from './octets.ts';
import { entryWords, stackOctets, WIDTHS_GEANT, WIDTHS_V10, type IntHop } from './int-stack.ts';
import type { GeneveOption } from './layer-overlay.ts';
import type { OctetsLayer } from './layers.ts';

export interface IntV10 {
  /** `onos`: version nibble 0. `geant`: 8-octet timestamps and level-2 ids of 2 octets. Default: the letter of the specification. */
  dialect?: 'onos' | 'geant';
  /** Instruction bitmap, 16 bits. */
  bitmap: number;
  /** Path order: the source first. */
  hops: readonly IntHop[];
  remainingHops: number;
  replication?: number;
  copy?: boolean;
  maxHopCountExceeded?: boolean;
  mtuExceeded?: boolean;
  /** The 16 bits behind the bitmap; GEANT: the sequence number of the source. */
  reserved?: number;
  /** Words per entry; default: of the bitmap in this dialect. */
  hopMl?: number;
  /** Shim type; default 1 (hop-by-hop). */
  type?: number;
  /** Shim length in words, the shim included; default: of the octets. */
  length?: number;
  /** Default 1; 0 for ONOS. */
  version?: number;
}

/** Behind a TCP or UDP header: the probe marker if there is one, shim, header, stack. `originalDscp` is what the sink restores. */
export function intV10(int: IntV10, originalDscp: number, probeMarker?: bigint): OctetsLayer {
  const marker = probeMarker === undefined ? Buffer.alloc(0) : u64(probeMarker);
  return { kind: 'octets', octets: Buffer.concat([marker, withShim(int, originalDscp << 2)]) };
}

/** Behind a VXLAN-GPE header. `nextProtocol` is the GPE number of what follows. */
export function intV10Gpe(int: IntV10, nextProtocol: number, gpeProtocol = 0x08): OctetsLayer {
  return { kind: 'octets', octets: withShim(int, nextProtocol), gpeProtocol };
}

/** As a Geneve option: header and stack are its data; the class is configured in v1.0. */
export function intV10GeneveOption(int: IntV10, optionClass: number): GeneveOption {
  return { optionClass, type: int.type ?? 1, data: bodyOf(int) };
}

function withShim(int: IntV10, lastOctet: number): Buffer {
  const body = bodyOf(int);
  return Buffer.concat([u8(int.type ?? 1), u8(0), u8(int.length ?? (4 + body.length) / 4), u8(lastOctet), body]);
}

function bodyOf(int: IntV10): Buffer {
  const widths = int.dialect === 'geant' ? WIDTHS_GEANT : WIDTHS_V10;
  const version = int.version ?? (int.dialect === 'onos' ? 0 : 1);
  const first =
    version * 0x1000_0000 +
    (int.replication ?? 0) * 0x0400_0000 +
    (int.copy ? 0x0200_0000 : 0) +
    (int.maxHopCountExceeded ? 0x0100_0000 : 0) +
    (int.mtuExceeded ? 0x0080_0000 : 0) +
    (int.hopMl ?? entryWords(int.bitmap, widths)) * 0x100 +
    int.remainingHops;
  return Buffer.concat([u32(first), u16(int.bitmap), u16(int.reserved ?? 0), stackOctets(int.hops, int.bitmap, widths)]);
}
