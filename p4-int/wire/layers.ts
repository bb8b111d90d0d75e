// Packets out of layers, outermost first. What a layer says about its successors (next protocol, lengths, checksums)
// is derived from them unless the layer says otherwise. RFCs by layer file.

import { ipv4Octets, ipv6Octets } from './octets.ts';
import { ethernetHead, mplsHead, vlanHead, type EthernetLayer, type MplsLayer, type VlanLayer } from './layer-link.ts';
import { ipv4Head, ipv6Head, type Ipv4Layer } from './layer-ip.ts';
import type { Ipv6Layer } from './layer-ipv6-extension.ts';
import {
  icmpHead,
  sctpHead,
  tcpHead,
  udpHead,
  type IcmpLayer,
  type SctpLayer,
  type TcpLayer,
  type UdpLayer,
} from './layer-l4.ts';
import { geneveHead, vxlanGpeHead, vxlanHead, type GeneveLayer, type VxlanGpeLayer, type VxlanLayer } from './layer-overlay.ts';
import { greHead, type GreLayer } from './layer-gre.ts';
import { gtpuHead, type GtpuLayer } from './layer-gtpu.ts';

/** Octets as they are: a payload, or a header that another file writes (INT, IFA). */
export interface OctetsLayer {
  kind: 'octets';
  octets: Uint8Array;
  /** Octets of the original packet from here to its end; default: `octets` and what follows. */
  originalBytes?: number;
  /** What a preceding IP header, EtherType field or VXLAN-GPE header calls these octets. */
  ipProtocol?: number;
  etherType?: number;
  gpeProtocol?: number;
}

export type Layer =
  | EthernetLayer
  | VlanLayer
  | MplsLayer
  | Ipv4Layer
  | Ipv6Layer
  | TcpLayer
  | UdpLayer
  | SctpLayer
  | IcmpLayer
  | GreLayer
  | VxlanLayer
  | VxlanGpeLayer
  | GeneveLayer
  | GtpuLayer
  | OctetsLayer;

/** What stands behind a layer, already written. */
export interface Following {
  octets: Buffer;
  /** Octets that the following layers claim to have in the original packet; more than `octets` in a cut packet. */
  originalBytes: number;
  next: Layer | undefined;
}

/** The IP header above an L4 layer, for the pseudo header of its checksum. */
export interface Above {
  source: Buffer;
  destination: Buffer;
  /** False for fragments and where the length of the IP header was overridden: no L4 checksum can be derived then. */
  whole: boolean;
}

/** A written header; `originalBytes` is set where the header claims another length than it and its successors have. */
export interface Head {
  octets: Buffer;
  originalBytes?: number;
}

/** The packet of these layers, outermost first, all its octets. Cut it with `subarray` for a fragment. */
export function packetOf(layers: readonly Layer[]): Buffer {
  return written(layers, 0).octets;
}

/** Octets of the original packet as the length overrides of the layers claim; equals `packetOf().length` without any. */
export function originalBytesOf(layers: readonly Layer[]): number {
  return written(layers, 0).originalBytes;
}

function written(layers: readonly Layer[], index: number): Following {
  const layer = layers[index];
  if (layer === undefined) return { octets: Buffer.alloc(0), originalBytes: 0, next: undefined };
  const following = { ...written(layers, index + 1), next: layers[index + 1] };
  const head = headOf(layer, following, aboveOf(layers, index));
  return {
    octets: Buffer.concat([head.octets, following.octets]),
    originalBytes: head.originalBytes ?? head.octets.length + following.originalBytes,
    next: layer,
  };
}

function headOf(layer: Layer, following: Following, above: Above | undefined): Head {
  switch (layer.kind) {
    case 'ethernet':
      return ethernetHead(layer, following);
    case 'vlan':
      return vlanHead(layer, following);
    case 'mpls':
      return mplsHead(layer, following);
    case 'ipv4':
      return ipv4Head(layer, following);
    case 'ipv6':
      return ipv6Head(layer, following);
    case 'tcp':
      return tcpHead(layer, following, above);
    case 'udp':
      return udpHead(layer, following, above);
    case 'sctp':
      return sctpHead(layer, following, above);
    case 'icmp':
    case 'icmpv6':
      return icmpHead(layer, following, above);
    case 'gre':
      return greHead(layer, following);
    case 'vxlan':
      return vxlanHead(layer);
    case 'vxlanGpe':
      return vxlanGpeHead(layer, following);
    case 'geneve':
      return geneveHead(layer, following);
    case 'gtpu':
      return gtpuHead(layer, following);
    case 'octets':
      return { octets: Buffer.from(layer.octets), originalBytes: layer.originalBytes };
  }
}

function aboveOf(layers: readonly Layer[], index: number): Above | undefined {
  // Headers such as IFA stand between IP and L4.
  let i = index - 1;
  while (layers[i]?.kind === 'octets') i--;
  const ip = layers[i];
  if (ip?.kind === 'ipv4') {
    const whole = ip.totalLength === undefined && !ip.moreFragments && !ip.fragmentOffsetBytes;
    return { source: ipv4Octets(ip.source), destination: ipv4Octets(ip.destination), whole };
  }
  if (ip?.kind === 'ipv6') {
    const fragment = ip.extensions?.some((extension) => extension.kind === 'fragment') ?? false;
    const whole = ip.payloadLength === undefined && !fragment;
    return { source: ipv6Octets(ip.source), destination: ipv6Octets(ip.destination), whole };
  }
  return undefined;
}
