// The key of a flow: the innermost packet's addresses, ports and protocol, and the tunnel that it was in, as words.
// Filled by the decoders, hashed and compared by observe/flow, read by people at the edges.

/** Which parts of the innermost packet the fragment still showed. */
export const FlowPart = { addresses: 1, ports: 2, tcpSequence: 4 } as const;

/**
 * Words of a flow's key in `ReportColumns.flowKey`. Addresses are big-endian words, IPv4 as ::ffff:a.b.c.d; `protocol` holds the IP protocol,
 * the address family from bit 8, the kind of the tunnel (TunnelKind) from bit 16 and the QoS flow (QFI plus one, 0: none) from bit 24 on;
 * `tunnel` the tunnel's identifier.
 */
export const FlowWord = { source: 0, destination: 4, ports: 8, protocol: 9, tunnel: 10 } as const;
export const FLOW_WORDS = 11;
/** Words of a row of `ReportColumns.outerKey`: those of a flow's key as far as `protocol`. */
export const OUTER_WORDS = 10;

/** The innermost tunnel that has an identifier: VXLAN and Geneve a network (VNI), GRE a key, GTP-U an endpoint (TEID). */
export const TunnelKind = { none: 0, vxlan: 1, geneve: 2, gre: 3, gtpu: 4 } as const;

/** 4 or 6: the family of a flow key at `words[at]`. */
export function addressFamilyOf(words: Uint32Array, at: number): number {
  return (words[at + FlowWord.protocol] >>> 8) & 0xff;
}

export function protocolOf(words: Uint32Array, at: number): number {
  return words[at + FlowWord.protocol] & 0xff;
}

export function sourcePortOf(words: Uint32Array, at: number): number {
  return words[at + FlowWord.ports] >>> 16;
}

export function destinationPortOf(words: Uint32Array, at: number): number {
  return words[at + FlowWord.ports] & 0xffff;
}

/** Kind of the tunnel that a flow was in, see TunnelKind. */
export function tunnelKindOf(words: Uint32Array, at: number): number {
  return (words[at + FlowWord.protocol] >>> 16) & 0xff;
}

/** The tunnel that a flow was in: network of VXLAN or Geneve, key of GRE, endpoint and QoS flow of GTP-U. For the edges. */
export function tunnelOf(words: Uint32Array, at: number): { vni?: number; greKey?: number; teid?: number; qfi?: number } {
  const id = words[at + FlowWord.tunnel];
  const kind = tunnelKindOf(words, at);
  if (kind === TunnelKind.none) return {};
  if (kind === TunnelKind.gre) return { greKey: id };
  if (kind !== TunnelKind.gtpu) return { vni: id };
  const qfi = (words[at + FlowWord.protocol] >>> 24) - 1;
  return qfi < 0 ? { teid: id } : { teid: id, qfi };
}
