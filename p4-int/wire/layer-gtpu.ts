// GTP-U version 1 with its extension headers, written from 3GPP TS 29.281, TS 38.415 (PDU session container).

import { padded, u16, u32, u8 } from './octets.ts';
import type { Following, Head } from './layers.ts';

export type GtpuExtension =
  | {
      kind: 'pduSession';
      direction: 'downlink' | 'uplink';
      /** QoS flow identifier, 6 bits. */
      qfi: number;
      /** Downlink only: reflective QoS indication. */
      reflectiveQos?: boolean;
      /** Downlink only: paging policy indicator, 3 bits, in one more octet. */
      pagingPolicyIndicator?: number;
      /** Low nibble of the first octet (QMP, SNP, MSNP and so on). */
      lowNibble?: number;
      /** Further octets behind the ones above; zeros fill the unit of 4. */
      more?: Uint8Array;
    }
  /** `content` is filled with zeros to 2 octets modulo 4. */
  | { kind: 'other'; type: number; content: Uint8Array };

export interface GtpuLayer {
  kind: 'gtpu';
  teid: number;
  /** Default 255, G-PDU; 1/2 echo, 26 error indication, 254 end marker. */
  messageType?: number;
  /** Sets the S flag. */
  sequence?: number;
  /** Sets the PN flag. */
  nPdu?: number;
  /** Sets the E flag where there is one. */
  extensions?: readonly GtpuExtension[];
  /** Octets behind the first eight; default: optional part and what follows. */
  length?: number;
}

/** 8 octets, or 12 and the extension headers. */
export function gtpuHead(layer: GtpuLayer, following: Following): Head {
  const extensions = layer.extensions ?? [];
  const flags = (extensions.length > 0 ? 4 : 0) | (layer.sequence === undefined ? 0 : 2) | (layer.nPdu === undefined ? 0 : 1);
  const optional = flags === 0 ? Buffer.alloc(0) : optionalPart(layer, extensions);
  const length = layer.length ?? optional.length + following.originalBytes;
  const octets = Buffer.concat([u8(0x30 | flags), u8(layer.messageType ?? 255), u16(length), u32(layer.teid), optional]);
  return { octets, originalBytes: 8 + length };
}

function optionalPart(layer: GtpuLayer, extensions: readonly GtpuExtension[]): Buffer {
  const headers = extensions.map((extension, index) => {
    const body = padded(Buffer.concat([u8(0), contentOf(extension), u8(0)]), 4);
    body.writeUInt8(body.length / 4, 0);
    body.writeUInt8(typeOf(extensions[index + 1]), body.length - 1);
    return body;
  });
  return Buffer.concat([u16(layer.sequence ?? 0), u8(layer.nPdu ?? 0), u8(typeOf(extensions[0])), ...headers]);
}

function typeOf(extension: GtpuExtension | undefined): number {
  if (extension === undefined) return 0;
  return extension.kind === 'pduSession' ? 0x85 : extension.type;
}

function contentOf(extension: GtpuExtension): Uint8Array {
  if (extension.kind === 'other') return extension.content;
  const paging = extension.pagingPolicyIndicator;
  const flags = (paging === undefined ? 0 : 0x80) | (extension.reflectiveQos ? 0x40 : 0) | (extension.qfi & 0x3f);
  return Buffer.concat([
    u8((extension.direction === 'uplink' ? 0x10 : 0) | ((extension.lowNibble ?? 0) & 0xf)),
    u8(flags),
    paging === undefined ? Buffer.alloc(0) : u8(paging << 5),
    extension.more ?? Buffer.alloc(0),
  ]);
}
