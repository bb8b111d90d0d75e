// GRE version 0 with its optional words, written from RFC 2784, RFC 2890.

import { internetChecksumOf, u16, u32 } from './octets.ts';
import { etherTypeOf } from './layer-next.ts';
import type { Following, Head } from './layers.ts';

export interface GreLayer {
  kind: 'gre';
  /** Adds the checksum word (C bit). */
  checksum?: boolean;
  /** Adds the key word (K bit). */
  key?: number;
  /** Adds the sequence word (S bit). */
  sequence?: number;
  /** Default: of the next layer; 0x6558 for Ethernet. */
  protocolType?: number;
}

/** 4 octets and 4 per optional word. */
export function greHead(layer: GreLayer, following: Following): Head {
  const flags =
    (layer.checksum ? 0x8000 : 0) | (layer.key === undefined ? 0 : 0x2000) | (layer.sequence === undefined ? 0 : 0x1000);
  const octets = Buffer.concat([
    u16(flags),
    u16(layer.protocolType ?? etherTypeOf(following.next)),
    layer.checksum ? u32(0) : Buffer.alloc(0),
    layer.key === undefined ? Buffer.alloc(0) : u32(layer.key),
    layer.sequence === undefined ? Buffer.alloc(0) : u32(layer.sequence),
  ]);
  if (layer.checksum) octets.writeUInt16BE(internetChecksumOf(octets, following.octets), 4);
  return { octets };
}
