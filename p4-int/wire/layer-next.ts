// How a header names its successor: EtherTypes, IP protocol numbers and VXLAN-GPE next protocols (IANA).

import type { Layer } from './layers.ts';

const IP_PROTOCOLS: Partial<Record<Layer['kind'], number>> = {
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  gre: 47,
  icmpv6: 58,
  sctp: 132,
  mpls: 137,
};
const ETHER_TYPES: Partial<Record<Layer['kind'], number>> = { ipv4: 0x0800, ethernet: 0x6558, ipv6: 0x86dd, mpls: 0x8847 };
const GPE_PROTOCOLS: Partial<Record<Layer['kind'], number>> = { ipv4: 1, ipv6: 2, ethernet: 3 };

/** IP protocol number of a layer; throws where the layer has none, so that a test cannot write nonsense unnoticed. */
export function ipProtocolOf(next: Layer | undefined): number {
  return known(next?.kind === 'octets' ? next.ipProtocol : next && IP_PROTOCOLS[next.kind], next, 'IP protocol');
}

/** EtherType of a layer; a VLAN tag is named by its own TPID. */
export function etherTypeOf(next: Layer | undefined): number {
  if (next?.kind === 'vlan') return next.tpid ?? 0x8100;
  return known(next?.kind === 'octets' ? next.etherType : next && ETHER_TYPES[next.kind], next, 'EtherType');
}

/** VXLAN-GPE next protocol of a layer. */
export function gpeProtocolOf(next: Layer | undefined): number {
  return known(next?.kind === 'octets' ? next.gpeProtocol : next && GPE_PROTOCOLS[next.kind], next, 'VXLAN-GPE next protocol');
}

function known(value: number | undefined, next: Layer | undefined, what: string): number {
  if (value === undefined) throw new Error(`no ${what} for ${next?.kind ?? 'the end of the packet'}: give it explicitly`);
  return value;
}
