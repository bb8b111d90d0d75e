// Packets of random layers, outermost first: tags and labels, IP with options and extension headers, every tunnel, TCP, UDP and SCTP.
// Rule: no leaf of them uses the port of a tunnel.

import fc from 'fast-check';
import type { Layer } from '../../../../p4-int/wire/layers.ts';
import type { GtpuExtension } from '../../../../p4-int/wire/layer-gtpu.ts';
import type { Ipv6Extension } from '../../../../p4-int/wire/layer-ipv6-extension.ts';
import { ETHERNET, ipv4Address, ipv6Address, octets, uint } from './arbitraries.ts';

const TUNNEL_PORTS = [4789, 8472, 6784, 4790, 6081, 2152];
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const mark = { dscp: uint(6), ecn: uint(2) };

const vlan = fc.record({ kind: fc.constant('vlan' as const), vid: uint(12), tpid: fc.constantFrom(0x8100, 0x88a8, 0x9100) });
const mpls = fc.array(uint(20), { minLength: 1, maxLength: 4 }).map((labels): Layer => ({
  kind: 'mpls',
  labels: labels.map((label) => ({ label })),
}));
const link = fc
  .tuple(fc.array(vlan, { maxLength: 3 }), optional(mpls))
  .map(([tags, labels]): Layer[] => [ETHERNET, ...tags, ...(labels === undefined ? [] : [labels])]);
const extension: fc.Arbitrary<Ipv6Extension> = fc.oneof(
  fc
    .tuple(fc.constantFrom('hopByHop' as const, 'destination' as const), octets(0, 20))
    .map(([kind, data]) => ({ kind, options: [{ type: 0x1e, data }] })),
  fc.constantFrom(4, 12, 20).map((n) => ({ kind: 'routing' as const, routingType: 4, segmentsLeft: 0, data: Buffer.alloc(n) })),
  fc.record({ kind: fc.constant('fragment' as const), offsetBytes: fc.constant(0), identification: uint(32) }),
  fc.record({ kind: fc.constant('auth' as const), spi: uint(32), sequence: uint(32), icv: fc.constant(Buffer.alloc(12, 7)) }),
);
const ip: fc.Arbitrary<Layer> = fc.oneof(
  fc.record({
    kind: fc.constant('ipv4' as const),
    source: ipv4Address,
    destination: ipv4Address,
    ...mark,
    identification: uint(16),
    ttl: uint(8),
    options: octets(0, 40),
  }),
  fc.record({
    kind: fc.constant('ipv6' as const),
    source: ipv6Address,
    destination: ipv6Address,
    ...mark,
    flowLabel: uint(20),
    hopLimit: uint(8),
    extensions: fc.array(extension, { maxLength: 3 }),
  }),
);

const ports = { sourcePort: uint(16), destinationPort: uint(16) };
const transport: fc.Arbitrary<Layer> = fc.oneof(
  fc.record({ kind: fc.constant('tcp' as const), ...ports, sequence: uint(32), options: octets(0, 40) }),
  fc
    .record({ kind: fc.constant('udp' as const), ...ports })
    .filter(({ destinationPort }) => !TUNNEL_PORTS.includes(destinationPort)),
  fc.record({ kind: fc.constant('sctp' as const), ...ports, verificationTag: uint(32) }),
);

const gtpuExtension: fc.Arbitrary<GtpuExtension> = fc.record({
  kind: fc.constant('other' as const),
  type: fc.constantFrom(0x20, 0x40, 0xc0),
  content: octets(0, 8),
});
const pduSession: fc.Arbitrary<GtpuExtension> = fc.record({
  kind: fc.constant('pduSession' as const),
  direction: fc.constantFrom('uplink' as const, 'downlink' as const),
  qfi: uint(6),
  pagingPolicyIndicator: optional(uint(3)),
});
const geneveOption = fc.record({
  optionClass: fc.constant(0x0102),
  type: uint(7),
  data: fc.constantFrom(0, 4, 16).map((n) => Buffer.alloc(n, 9)),
});
const udpTo = (destinationPort: number): Layer => ({ kind: 'udp', sourcePort: 4242, destinationPort });
/** From one network layer to the next one. */
const tunnel: fc.Arbitrary<Layer[]> = fc.oneof(
  fc
    .tuple(uint(24), fc.constantFrom(4789, 8472, 6784), link)
    .map(([vni, port, inside]): Layer[] => [udpTo(port), { kind: 'vxlan', vni }, ...inside]),
  fc
    .tuple(uint(24), fc.oneof(link, fc.constant<Layer[]>([])))
    .map(([vni, inside]): Layer[] => [udpTo(4790), { kind: 'vxlanGpe', vni }, ...inside]),
  fc
    .tuple(uint(24), fc.array(geneveOption, { maxLength: 3 }), fc.oneof(link, fc.constant<Layer[]>([])))
    .map(([vni, options, inside]): Layer[] => [udpTo(6081), { kind: 'geneve', vni, options }, ...inside]),
  fc
    .tuple(
      fc.record({ key: optional(uint(32)), sequence: optional(uint(32)), checksum: fc.boolean() }),
      fc.oneof(link, fc.constant<Layer[]>([])),
    )
    .map(([given, inside]): Layer[] => [{ kind: 'gre', ...given }, ...inside]),
  fc
    .tuple(uint(32), optional(uint(16)), fc.array(gtpuExtension, { maxLength: 1 }), optional(pduSession))
    .map(([teid, sequence, others, session]): Layer[] => {
      const extensions = session === undefined ? others : [...others, session];
      return [udpTo(2152), { kind: 'gtpu' as const, teid, sequence, extensions }];
    }),
  fc.constant<Layer[]>([]),
);

/** Four network layers at most, a transport header and some payload. */
export const packet = fc
  .tuple(link, ip, fc.array(fc.tuple(tunnel, ip), { maxLength: 3 }), transport, octets(0, 12))
  .map(([head, outer, inner, l4, payload]): Layer[] => [
    ...head,
    outer,
    ...inner.flatMap(([through, inside]) => [...through, inside]),
    l4,
    { kind: 'octets', octets: payload },
  ]);
