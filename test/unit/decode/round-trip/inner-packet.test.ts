// Packets of random layers, up to four network layers deep, out of the writer and back through the walk: innermost flow, tunnel, outermost packet and
// VLAN; whole, and cut at every octet. What is expected comes from the layers that the writer was given, by `expectedOf`.

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { reportV10 } from '../../../../p4-int/wire/report-v10.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, octets, SEED, spansOf, uint } from './arbitraries.ts';
import { packet } from './packets.ts';

/** No DSCP announces INT: octets of a payload are none. */
const PROFILE = { intDscp: 64 };
interface Expected {
  flow: Record<string, unknown> | null;
  outer: Record<string, unknown> | undefined;
  vlanId: number | undefined;
  /** The protocol of a chain of IPv6 extension headers that is cut is that of some header of it. */
  isChainCut: boolean;
}

/** The report of these layers when only the first `cut` octets are there. */
function expectedOf(spans: ReturnType<typeof spansOf>, cut: number): Expected {
  let flow: Record<string, unknown> | null = null;
  let outermost: Record<string, unknown> | undefined;
  let vlanId: number | undefined;
  let tunnelId: object = {};
  let depth = 0;
  let isChainCut = false;
  for (const [i, { layer, start, end, bytes }] of spans.entries()) {
    const has = (count: number): boolean => start + count <= cut;
    if (layer.kind === 'vlan' && spans[i - 1].layer.kind === 'ethernet' && end <= cut && flow === null) vlanId = layer.vid;
    if (layer.kind === 'ipv4' || layer.kind === 'ipv6') {
      if (!has(layer.kind === 'ipv4' ? 20 : 40)) break;
      if (++depth === 2) outermost = flow ?? undefined;
      const next = spans[i + 1].layer.kind;
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
  return {
    flow: flow === null ? null : { ...flow, ...tunnelId },
    outer: outermost,
    vlanId: vlanId === 0 ? undefined : vlanId,
    isChainCut,
  };
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
          verify(line, expectedOf(spansOf(layers), Infinity));
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
        const spans = spansOf(layers);
        for (let cut = 1; cut < data.length; cut++) verify(inV10(data.subarray(0, cut)), expectedOf(spans, cut));
      }),
      { numRuns: 80, seed: SEED },
    );
  });

  // Octets that fill up the last word cannot be told from the packet's: where they complete a value, nothing is asked of it.
  it('cut at every octet of a report v2.0: what is whole is right', () => {
    fc.assert(
      fc.property(packet, (layers) => {
        const data = packetOf(layers);
        const spans = spansOf(layers);
        for (let cut = 1; cut < data.length; cut++) {
          const expected = expectedOf(spans, cut);
          const line = inV20(data, cut);
          if (isDeepStrictEqual(expected, expectedOf(spans, Math.ceil(cut / 4) * 4))) verify(line, expected);
        }
      }),
      { numRuns: 80, seed: SEED },
    );
  });

  it('has no ports in a later fragment', () => {
    const later = fc.integer({ min: 1, max: 8000 }).map((n) => n * 8);
    fc.assert(
      fc.property(later, uint(32), octets(8, 40), (offsetBytes, identification, data) => {
        const v4: Layer = {
          kind: 'ipv4',
          source: '10.0.0.1',
          destination: '10.0.0.2',
          protocol: 17,
          fragmentOffsetBytes: offsetBytes,
        };
        const extensions = [{ kind: 'fragment' as const, offsetBytes, identification }];
        const v6: Layer = { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2', nextHeader: 17, extensions };
        for (const layer of [v4, v6]) {
          const line = inV20(packetOf([ETHERNET, layer, { kind: 'octets', octets: data }]));
          expect(line.flow).toMatchObject({ sourceAddress: layer.source, protocol: 17, sourcePort: null, destinationPort: null });
        }
      }),
      { numRuns: 300, seed: SEED },
    );
  });

  it('opens MPLS inside GRE', () => {
    const inner: Layer = { kind: 'ipv4', source: '10.9.0.1', destination: '10.9.0.2' };
    const layers: Layer[] = [
      ETHERNET,
      { ...inner, source: '10.0.0.1' },
      { kind: 'gre' },
      { kind: 'mpls', labels: [{ label: 16 }] },
    ];
    const data = packetOf([...layers, inner, { kind: 'udp', sourcePort: 1, destinationPort: 2 }]);
    expect(inV20(data).flow.sourceAddress).toBe('10.9.0.1');
  });
});
