// Ethernet II, 802.1Q/802.1ad tags and MPLS label stacks, written from IEEE 802.3/802.1Q, RFC 3032.

import { macOctets, u16, u32 } from './octets.ts';
import { etherTypeOf } from './layer-next.ts';
import type { Following, Head } from './layers.ts';

export interface EthernetLayer {
  kind: 'ethernet';
  /** `02:00:00:00:00:0b`. */
  destination: string;
  source: string;
  /** Default: of the next layer. */
  etherType?: number;
}

export interface VlanLayer {
  kind: 'vlan';
  /** 0x8100 (default), 0x88a8 or 0x9100; written by the header in front. */
  tpid?: number;
  pcp?: number;
  dropEligible?: boolean;
  vid: number;
  /** Default: of the next layer. */
  etherType?: number;
}

export interface MplsLabel {
  label: number;
  trafficClass?: number;
  /** Default 64. */
  ttl?: number;
  /** Default: set in the last label before something that is not MPLS. */
  bottomOfStack?: boolean;
}

export interface MplsLayer {
  kind: 'mpls';
  /** Top of the stack first. */
  labels: readonly MplsLabel[];
}

/** 14 octets. */
export function ethernetHead(layer: EthernetLayer, following: Following): Head {
  const etherType = layer.etherType ?? etherTypeOf(following.next);
  return { octets: Buffer.concat([macOctets(layer.destination), macOctets(layer.source), u16(etherType)]) };
}

/** 4 octets: tag control information and the EtherType behind it. */
export function vlanHead(layer: VlanLayer, following: Following): Head {
  const control = ((layer.pcp ?? 0) << 13) | (layer.dropEligible ? 0x1000 : 0) | (layer.vid & 0xfff);
  return { octets: Buffer.concat([u16(control), u16(layer.etherType ?? etherTypeOf(following.next))]) };
}

/** 4 octets per label. */
export function mplsHead(layer: MplsLayer, following: Following): Head {
  const words = layer.labels.map((label, index) => {
    const last = index === layer.labels.length - 1 && following.next?.kind !== 'mpls';
    const bottom = (label.bottomOfStack ?? last) ? 0x100 : 0;
    return u32(label.label * 0x1000 + ((label.trafficClass ?? 0) << 9) + bottom + (label.ttl ?? 64));
  });
  return { octets: Buffer.concat(words) };
}
