// VXLAN, VXLAN-GPE and Geneve headers, written from RFC 7348, draft-ietf-nvo3-vxlan-gpe, RFC 8926.

import { u16, u32, u8 } from './octets.ts';
import { etherTypeOf, gpeProtocolOf } from './layer-next.ts';
import type { Following, Head } from './layers.ts';

/** Behind a UDP layer; the port is that layer's. Ethernet follows. */
export interface VxlanLayer {
  kind: 'vxlan';
  vni: number;
  /** Default 0x08: the VNI is valid. */
  flags?: number;
}

export interface VxlanGpeLayer {
  kind: 'vxlanGpe';
  vni: number;
  /** Default 0x0c: VNI valid, next protocol present. */
  flags?: number;
  /** Default: of the next layer. */
  nextProtocol?: number;
}

export interface GeneveOption {
  optionClass: number;
  type: number;
  /** A multiple of 4 octets, 124 at most. */
  data: Uint8Array;
}

export interface GeneveLayer {
  kind: 'geneve';
  vni: number;
  /** Control packet (O bit). */
  control?: boolean;
  /** Critical options present (C bit); default: whether an option type has its top bit set. */
  critical?: boolean;
  options?: readonly GeneveOption[];
  /** Default: of the next layer. */
  protocolType?: number;
}

/** 8 octets. */
export function vxlanHead(layer: VxlanLayer): Head {
  return { octets: Buffer.concat([u32((layer.flags ?? 0x08) * 0x100_0000), u32(layer.vni * 0x100)]) };
}

/** 8 octets. */
export function vxlanGpeHead(layer: VxlanGpeLayer, following: Following): Head {
  const nextProtocol = layer.nextProtocol ?? gpeProtocolOf(following.next);
  return { octets: Buffer.concat([u8(layer.flags ?? 0x0c), u16(0), u8(nextProtocol), u32(layer.vni * 0x100)]) };
}

/** 8 octets and the options. */
export function geneveHead(layer: GeneveLayer, following: Following): Head {
  const options = Buffer.concat((layer.options ?? []).map(geneveOptionOctets));
  if (options.length > 252) throw new Error('Geneve options are 252 octets at most');
  const critical = layer.critical ?? (layer.options ?? []).some((option) => option.type >= 0x80);
  const octets = Buffer.concat([
    u8(options.length / 4),
    u8((layer.control ? 0x80 : 0) | (critical ? 0x40 : 0)),
    u16(layer.protocolType ?? etherTypeOf(following.next)),
    u32(layer.vni * 0x100),
    options,
  ]);
  return { octets };
}

function geneveOptionOctets(option: GeneveOption): Buffer {
  if (option.data.length % 4 !== 0 || option.data.length > 124) throw new Error('a Geneve option has 0 to 31 words of data');
  return Buffer.concat([u16(option.optionClass), u8(option.type), u8(option.data.length / 4), option.data]);
}
