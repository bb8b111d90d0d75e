// Packets of random layers, up to four network layers deep, out of the writer and back through the walk: innermost flow, tunnel, outermost packet and
// VLAN; whole, and cut at every octet. What is expected comes from the layers that the writer was given, by `expectedOf`.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import type { GtpuExtension } from '../../../../p4-int/wire/layer-gtpu.ts';
import type { Ipv6Extension } from '../../../../p4-int/wire/layer-ipv6-extension.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { reportV10 } from '../../../../p4-int/wire/report-v10.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, ipv4Address, ipv6Address, octets, SEED, spansOf, uint } from './arbitraries.ts';

/** No DSCP announces INT: octets of a payload are none. */
const PROFILE = { intDscp: 64 };
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

const gtpuExtension: fc.Arbitrary<GtpuExtension> = fc.oneof(
  fc.record({ kind: fc.constant('other' as const), type: fc.constantFrom(0x20, 0x40, 0xc0), content: octets(0, 8) }),
);
const pduSession: fc.Arbitrary<GtpuExtension> = fc.record({
  kind: fc.constant('pduSession' as const),
  direction: fc.constantFrom('uplink' as const, 'downlink' as const),
  qfi: uint(6),
  pagingPolicyIndicator: optional(uint(3)),
});
const geneveOption = fc.record({ optionClass: fc.constant(0x0102), type: uint(7), data: fc.constantFrom(0, 4, 16).map((n) => Buffer.alloc(n, 9)) });
const udpTo = (destinationPort: number): Layer => ({ kind: 'udp', sourcePort: 4242, destinationPort });
/** From one network layer to the next one. */
const tunnel: fc.Arbitrary<Layer[]> = fc.oneof(
  fc
    .tuple(uint(24), fc.constantFrom(4789, 8472, 6784), link)
    .map(([vni, port, inside]) => [udpTo(port), { kind: 'vxlan', vni }, ...inside]),
  fc
    .tuple(uint(24), fc.oneof(link, fc.constant([])))
    .map(([vni, inside]) => [udpTo(4790), { kind: 'vxlanGpe', vni }, ...inside]),
  fc
    .tuple(uint(24), fc.array(geneveOption, { maxLength: 3 }), fc.oneof(link, fc.constant([])))
    .map(([vni, options, inside]) => [udpTo(6081), { kind: 'geneve', vni, options }, ...inside]),
  fc
    .tuple(fc.record({ key: optional(uint(32)), sequence: optional(uint(32)), checksum: fc.boolean() }), fc.oneof(link, fc.constant([])))
    .map(([words, inside]) => [{ kind: 'gre' as const, ...words }, ...inside]),
  fc
    .tuple(uint(32), optional(uint(16)), fc.array(gtpuExtension, { maxLength: 1 }), optional(pduSession))
    .map(([teid, sequence, others, session]) => {
      const extensions = session === undefined ? others : [...others, session];
      return [udpTo(2152), { kind: 'gtpu' as const, teid, sequence, extensions }];
    }),
  fc.constant([]),
);

const packet = fc
  .tuple(link, ip, fc.array(fc.tuple(tunnel, ip), { maxLength: 3 }), transport, octets(0, 12))
  .map(([head, outer, inner, l4, payload]): Layer[] => [
    ...head,
    outer,
    ...inner.flatMap(([through, inside]) => [...through, inside]),
    l4,
    { kind: 'octets', octets: payload },
  ]);

interface Expected {
  flow: Record<string, unknown> | null;
  outer: Record<string, unknown> | undefined;
  vlanId: number | undefined;
  /** The protocol of a chain of IPv6 extension headers that is cut is that of some header of it. */
  isChainCut: boolean;
}

/** The report of these layers when only the first `cut` octets are there. */
function expectedOf(layers: readonly Layer[], cut: number): Expected {
  let flow: Record<string, unknown> | null = null;
  let outermost: Record<string, unknown> | undefined;
  let vlanId: number | undefined;
  let tunnelId: object = {};
  let depth = 0;
  let isChainCut = false;
  const spans = spansOf(layers);
  for (const [i, { layer, start, end, bytes }] of spans.entries()) {
    const has = (count: number): boolean => start + count <= cut;
    if (layer.kind === 'vlan' && layers[i - 1].kind === 'ethernet' && end <= cut && flow === null) vlanId = layer.vid;
    if (layer.kind === 'ipv4' || layer.kind === 'ipv6') {
      if (!has(layer.kind === 'ipv4' ? 20 : 40)) break;
      if (++depth === 2) outermost = flow ?? undefined;
      const next = layers.slice(i + 1).find(({ kind }) => kind !== 'octets')!.kind;
      flow = {
        sourceAddress: layer.source,
        destinationAddress: layer.destination,
        protocol: { tcp: 6, udp: 17, sctp: 132, gre: 47, ipv4: 4, ipv6: 41 }[next as string],
        sourcePort: null,
        destinationPort: null,
        ttl: layer.kind === 'ipv4' ? layer.ttl : layer.hopLimit,
        dscp: layer.dscp,
        ecn: layer.ecn,
        packetLengthBytes: bytes,
        ...(layer.kind === 'ipv4' ? { ipIdentification: layer.identification } : {}),
      };
      isChainCut = layer.kind === 'ipv6' && end > cut;
    }
    if (layer.kind === 'tcp' || layer.kind === 'udp' || layer.kind === 'sctp') {
      if (has(4)) flow = { ...flow, sourcePort: layer.sourcePort, destinationPort: layer.destinationPort };
      if (has(8) && layer.kind === 'tcp') flow = { ...flow, tcpSequence: layer.sequence };
    }
    if (layer.kind === 'gre' && layer.key !== undefined && end <= cut) tunnelId = { greKey: layer.key };
    if ((layer.kind === 'vxlan' || layer.kind === 'vxlanGpe' || layer.kind === 'geneve') && has(8)) tunnelId = { vni: layer.vni };
    if (layer.kind === 'gtpu' && has(8)) {
      const session = layer.extensions?.find(({ kind }) => kind === 'pduSession');
      tunnelId = { teid: layer.teid, ...(session?.kind === 'pduSession' && end <= cut ? { qfi: session.qfi } : {}) };
    }
    if (end > cut) break;
  }
  return { flow: flow === null ? null : { ...flow, ...tunnelId }, outer: outermost, vlanId: vlanId === 0 ? undefined : vlanId, isChainCut };
}

function verify(line: any, { flow, outer, vlanId, isChainCut }: Expected): void {
  if (flow === null) expect(line.flow).toBeNull();
  else {
    const { qfi, ...got } = line.flow;
    const { qfi: wanted, ...rest } = flow;
    expect(got).toEqual(isChainCut ? { ...rest, protocol: got.protocol } : rest);
    // A container that is cut may show its first octets.
    if (wanted !== undefined) expect(qfi).toBe(wanted);
  }
  expect(line.vlanId).toBe(vlanId);
  if (outer === undefined) return;
  const { sourceAddress, destinationAddress, protocol, sourcePort, destinationPort, dscp } = outer;
  expect(line.outer).toEqual({ sourceAddress, destinationAddress, protocol, sourcePort, destinationPort, dscp });
}

const inV20 = (data: Uint8Array, truncateTo?: number) =>
  linesOf(
    reportGroupV20({
      hardwareId: 1,
      sequence: 7,
      nodeId: 9,
      reports: [{ repType: 0, inner: { inType: 3, packet: data, truncateTo } }],
    }),
    PROFILE,
  )[0];
/** Without octets that fill up a word. */
const inV10 = (data: Uint8Array) =>
  linesOf(reportV10({ nProt: 0, hardwareId: 1, switchId: 2, sequence: 3, ingressTimestamp: 4, packet: data }), PROFILE)[0];

describe('a packet of random layers', () => {
  it('comes back whole: innermost flow, tunnel, outermost packet, VLAN, no warning', () => {
    fc.assert(
      fc.property(packet, (layers) => {
        const data = packetOf(layers);
        for (const line of [inV20(data), inV10(data)]) {
          verify(line, expectedOf(layers, Infinity));
          if (layers.filter(({ kind }) => kind === 'ipv4' || kind === 'ipv6').length === 1) expect(line.outer).toBeUndefined();
          expect(line.warnings).toEqual([]);
        }
      }),
      { numRuns: 600, seed: SEED },
    );
  });

  it('cut at every octet of a report without fill: what is whole is right', () => {
    fc.assert(
      fc.property(packet, (layers) => {
        const data = packetOf(layers);
        for (let cut = 1; cut < data.length; cut++) verify(inV10(data.subarray(0, cut)), expectedOf(layers, cut));
      }),
      { numRuns: 100, seed: SEED },
    );
  });
});
