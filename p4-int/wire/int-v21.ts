// INT v2.1 (and v2.0) in-band headers, MD and MX, behind TCP/UDP, GRE, VXLAN-GPE or as a Geneve option.

import { u16, u32, u64, u8 } from './octets.ts';
import { entryWords, stackOctets, WIDTHS_V21, type IntHop } from './int-stack.ts';
import type { GeneveOption } from './layer-overlay.ts';
import type { OctetsLayer } from './layers.ts';

interface DomainInstructions {
  /** Instruction bitmap, 16 bits. */
  bitmap: number;
  /** Domain Specific ID; default 0, the default domain. */
  domainSpecificId?: number;
  dsInstruction?: number;
  dsFlags?: number;
  /** The packet is a clone or probe that the sink discards (D). */
  discard?: boolean;
  /** Default 2. */
  version?: number;
}

export interface IntMdV21 extends DomainInstructions {
  /** Path order: the source first. */
  hops: readonly IntHop[];
  remainingHops: number;
  maxHopCountExceeded?: boolean;
  mtuExceeded?: boolean;
  /** Words of domain-specific metadata that every hop adds, counted in Hop ML. Default 0. */
  domainSpecificWords?: number;
  /** Domain-specific octets of the source alone, a multiple of 4; not counted in Hop ML. */
  sourceOnly?: Uint8Array;
  /** Words per entry; default: bitmap and domain-specific words. */
  hopMl?: number;
}

export interface IntMxV21 extends DomainInstructions {
  /** Domain-specific octets that the source inserted behind the header, a multiple of 4. */
  sourceInserted?: Uint8Array;
}

/** What stands in front of the INT header, and what the shim says about what it displaced. */
export type IntShimV21 =
  /** TCP/UDP, announced by DSCP or marker. `field` overrides the 16 bits: laofan13 has the DSCP in the first octet of them. */
  | { kind: 'npt0'; originalDscp?: number; probeMarker?: bigint; field?: number }
  /** UDP to the INT port; the original port is here. */
  | { kind: 'npt1'; originalDestinationPort: number }
  /** A new UDP header to the INT port; the original IP protocol is here and its header follows. */
  | { kind: 'npt2'; originalProtocol: number }
  /** `greAdded`: GRE was added for INT only. `nextProtocol` is an EtherType. `etherType`: what the GRE header calls INT. */
  | { kind: 'gre'; greAdded?: boolean; nextProtocol: number; etherType: number }
  /** `nextProtocol` is a VXLAN-GPE number. `gpeProtocol`: what the GPE header calls INT; default 0x82. */
  | { kind: 'vxlanGpe'; vxlanAdded?: boolean; nextProtocol: number; gpeProtocol?: number };

/** INT-MD: shim (type 1), 12-octet header, stack. `length` overrides the shim's words without the shim. */
export function intMdV21(int: IntMdV21, shim: IntShimV21, length?: number): OctetsLayer {
  return behindShim(1, mdBody(int), shim, length);
}

/** INT-MX: shim (type 3), 12-octet header, source-inserted metadata. */
export function intMxV21(int: IntMxV21, shim: IntShimV21, length?: number): OctetsLayer {
  return behindShim(3, mxBody(int), shim, length);
}

/** INT-MD as a Geneve option, class 0x0103 in v2.1. */
export function intMdV21GeneveOption(int: IntMdV21, optionClass = 0x0103): GeneveOption {
  return { optionClass, type: 1, data: mdBody(int) };
}

/** INT-MX as a Geneve option. */
export function intMxV21GeneveOption(int: IntMxV21, optionClass = 0x0103): GeneveOption {
  return { optionClass, type: 3, data: mxBody(int) };
}

function behindShim(type: 1 | 3, body: Buffer, shim: IntShimV21, length = body.length / 4): OctetsLayer {
  const head = (secondNibble: number, low: number) => Buffer.concat([u8((type << 4) | secondNibble), u8(length), u16(low), body]);
  switch (shim.kind) {
    case 'npt0': {
      const marker = shim.probeMarker === undefined ? Buffer.alloc(0) : u64(shim.probeMarker);
      return { kind: 'octets', octets: Buffer.concat([marker, head(0, shim.field ?? (shim.originalDscp ?? 0) << 2)]) };
    }
    case 'npt1':
      return { kind: 'octets', octets: head(1 << 2, shim.originalDestinationPort) };
    case 'npt2':
      return { kind: 'octets', octets: head(2 << 2, shim.originalProtocol) };
    case 'gre':
      return { kind: 'octets', octets: head(shim.greAdded ? 8 : 0, shim.nextProtocol), etherType: shim.etherType };
    case 'vxlanGpe': {
      const octets = head(0, (shim.vxlanAdded ? 0x8000 : 0) | shim.nextProtocol);
      return { kind: 'octets', octets, gpeProtocol: shim.gpeProtocol ?? 0x82 };
    }
  }
}

function mdBody(int: IntMdV21): Buffer {
  const domainSpecificWords = int.domainSpecificWords ?? 0;
  const first =
    versionWord(int) +
    (int.maxHopCountExceeded ? 0x0400_0000 : 0) +
    (int.mtuExceeded ? 0x0200_0000 : 0) +
    (int.hopMl ?? entryWords(int.bitmap, WIDTHS_V21) + domainSpecificWords) * 0x100 +
    int.remainingHops;
  const stack = stackOctets(int.hops, int.bitmap, WIDTHS_V21, domainSpecificWords, int.sourceOnly);
  return Buffer.concat([u32(first), instructionWords(int), stack]);
}

function mxBody(int: IntMxV21): Buffer {
  return Buffer.concat([u32(versionWord(int)), instructionWords(int), int.sourceInserted ?? Buffer.alloc(0)]);
}

function versionWord(int: DomainInstructions): number {
  return (int.version ?? 2) * 0x1000_0000 + (int.discard ? 0x0800_0000 : 0);
}

function instructionWords(int: DomainInstructions): Buffer {
  return Buffer.concat([u16(int.bitmap), u16(int.domainSpecificId ?? 0), u16(int.dsInstruction ?? 0), u16(int.dsFlags ?? 0)]);
}
