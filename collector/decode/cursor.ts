// Where the walk through a packet stands, and the numbers by which layers name the next one.
// Rule: one cursor for all packets, so that nothing is allocated per report; a layer that ends too early stops the walk and nothing else.

import { IDENTITY_PROFILE, type SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

/** InType values of Telemetry Report v2.0 section 3.2 that start a packet. */
export const InnerType = { none: 0, tlv: 1, domainSpecific: 2, ethernet: 3, ipv4: 4, ipv6: 5 } as const;
/** Labels come next: no report begins with them, links and tunnels go on with them. */
export const MPLS_LAYER = 16;

export const EtherType = {
  ipv4: 0x0800,
  ipv6: 0x86dd,
  vlan: 0x8100,
  provider: 0x88a8,
  oldProvider: 0x9100,
  mpls: 0x8847,
  mplsMulticast: 0x8848,
  /** Transparent Ethernet bridging: an Ethernet frame inside GRE or Geneve. */
  ethernet: 0x6558,
} as const;

/** IP protocols and IPv6 next headers that are read. */
export const Protocol = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  authentication: 51,
  icmpv6: 58,
  options: 60,
  sctp: 132,
} as const;

export const MAX_VLAN_TAGS = 4;

export class Cursor {
  offset = 0;
  /** InnerType that comes next, or MPLS_LAYER; InnerType.none: the walk is over. */
  layer: number = InnerType.none;
  /** IP protocol behind the network layer; -1 when there is no more to read. */
  protocol = -1;
  warnings = 0;
  /** F = 1, or an inner-only report: in-band telemetry may be there. */
  lookForInt = false;
  profile: SourceProfile = IDENTITY_PROFILE;

  /** The walk ends here because the fragment does. */
  truncate(): void {
    this.warnings |= Warning.innerTruncated;
    this.stop();
  }

  /** The walk ends here: nothing that is known follows. */
  stop(): void {
    this.layer = InnerType.none;
    this.protocol = -1;
  }
}

/** True for an Ethernet frame with a sane EtherType and IP version: what some programs send where they announce IP. */
export function looksLikeEthernet(b: DataView, o: number, end: number): boolean {
  for (let type = o + 12, tags = 0; tags <= MAX_VLAN_TAGS && end - type >= 3; type += 4, tags++) {
    const etherType = b.getUint16(type);
    if (etherType === EtherType.ipv4) return b.getUint8(type + 2) >>> 4 === 4;
    if (etherType === EtherType.ipv6) return b.getUint8(type + 2) >>> 4 === 6;
    if (!isVlanTag(etherType)) return false;
  }
  return false;
}

/** The layer that an EtherType announces: IP, or labels before it; InnerType.none for any other. */
export function networkLayerOf(etherType: number): number {
  if (etherType === EtherType.ipv4) return InnerType.ipv4;
  if (etherType === EtherType.mpls || etherType === EtherType.mplsMulticast) return MPLS_LAYER;
  return etherType === EtherType.ipv6 ? InnerType.ipv6 : InnerType.none;
}

export function isVlanTag(etherType: number): boolean {
  return etherType === EtherType.vlan || etherType === EtherType.provider || etherType === EtherType.oldProvider;
}
