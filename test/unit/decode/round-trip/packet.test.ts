// Packets out of the writer and back through the walk: layers at random, tunnels in tunnels, and cut at every octet. What is expected comes from
// the layers that the writer was given.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { linesOf } from '../../../support/decoding.ts';

const RUNS = { numRuns: 400, seed: 20_261_125 };
const MAC = { destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };
const port = fc.integer({ min: 20_000, max: 60_000 });
const bits = (n: number) => fc.integer({ min: 0, max: 2 ** n - 1 });

/** Layers, and what they say of the flow when they are the innermost ones. */
interface Part {
  layers: Layer[];
  flow: object;
}

const ipv4 = fc
  .record({
    a: bits(8),
    b: bits(8),
    dscp: bits(6),
    ecn: bits(2),
    ttl: bits(8),
    identification: bits(16),
    options: fc.constantFrom(0, 4, 12),
  })
  .map(({ a, b, options, ...own }): Part => {
    const [source, destination] = [`10.1.${a}.1`, `10.2.${b}.2`];
    return {
      layers: [{ kind: 'ipv4', source, destination, ...own, ...(options === 0 ? {} : { options: Buffer.alloc(options, 1) }) }],
      flow: {
        sourceAddress: source,
        destinationAddress: destination,
        dscp: own.dscp,
        ecn: own.ecn,
        ttl: own.ttl,
        ipIdentification: own.identification,
      },
    };
  });
const extension = fc.constantFrom(
  { kind: 'hopByHop' as const, options: [{ type: 5, data: Buffer.from([0, 0]) }] },
  { kind: 'destination' as const, options: [{ type: 4, data: Buffer.from([1]) }] },
  { kind: 'routing' as const, routingType: 4, segmentsLeft: 0, data: Buffer.alloc(4) },
);
const ipv6 = fc
  .record({ a: bits(8), dscp: bits(6), ecn: bits(2), hopLimit: bits(8), extensions: fc.array(extension, { maxLength: 2 }) })
  .map(({ a, extensions, ...own }): Part => {
    const source = `2001:db8::1:${(a + 1).toString(16)}`;
    return {
      layers: [{ kind: 'ipv6', source, destination: '2001:db8::2', extensions, ...own }],
      flow: { sourceAddress: source, destinationAddress: '2001:db8::2', dscp: own.dscp, ecn: own.ecn, ttl: own.hopLimit },
    };
  });
const ip = fc.oneof(ipv4, ipv6);
const l4 = fc.oneof(
  fc
    .record({ s: port, d: port, sequence: bits(32), options: fc.constantFrom(0, 4, 20) })
    .map(({ s, d, sequence, options }): Part => ({
      layers: [
        {
          kind: 'tcp',
          sourcePort: s,
          destinationPort: d,
          sequence,
          ...(options === 0 ? {} : { options: Buffer.alloc(options, 1) }),
        },
      ],
      flow: { protocol: 6, sourcePort: s, destinationPort: d, tcpSequence: sequence },
    })),
  fc.record({ s: port, d: port }).map(({ s, d }): Part => ({
    layers: [{ kind: 'udp', sourcePort: s, destinationPort: d }],
    flow: { protocol: 17, sourcePort: s, destinationPort: d },
  })),
  fc.record({ s: port, d: port, verificationTag: bits(32) }).map(({ s, d, verificationTag }): Part => ({
    layers: [{ kind: 'sctp', sourcePort: s, destinationPort: d, verificationTag }],
    flow: { protocol: 132, sourcePort: s, destinationPort: d },
  })),
);
const link = fc.array(bits(12), { maxLength: 3 }).map((vids): { layers: Layer[]; vids: number[] } => ({
  layers: [{ kind: 'ethernet', ...MAC }, ...vids.map((vid): Layer => ({ kind: 'vlan', vid }))],
  vids,
}));
const udpTo = (destinationPort: number): Layer => ({ kind: 'udp', sourcePort: 1, destinationPort });
const ETHERNET: Layer = { kind: 'ethernet', ...MAC };
const tunnel = fc.oneof(
  fc
    .record({ vni: bits(24), to: fc.constantFrom(4789, 8472, 6784) })
    .map(({ vni, to }): Part => ({ layers: [udpTo(to), { kind: 'vxlan', vni }, ETHERNET], flow: { vni } })),
  fc.record({ vni: bits(24), words: bits(4) }).map(({ vni, words }): Part => ({
    layers: [
      udpTo(6081),
      { kind: 'geneve', vni, options: [{ optionClass: 0x0102, type: 1, data: Buffer.alloc(words * 4) }] },
      ETHERNET,
    ],
    flow: { vni },
  })),
  fc.record({ key: bits(32), checksum: fc.boolean(), sequence: fc.boolean() }).map(({ key, checksum, sequence }): Part => ({
    layers: [{ kind: 'gre', key, checksum, ...(sequence ? { sequence: 7 } : {}) }],
    flow: { greKey: key },
  })),
  fc.record({ teid: bits(32), qfi: bits(6), hasSequence: fc.boolean() }).map(({ teid, qfi, hasSequence }): Part => ({
    layers: [
      udpTo(2152),
      {
        kind: 'gtpu',
        teid,
        ...(hasSequence ? { sequence: 9 } : {}),
        extensions: [{ kind: 'pduSession', direction: 'uplink', qfi }],
      },
    ],
    flow: { teid, qfi },
  })),
);

const packet = fc.record({ head: link, outer: ip, tunnels: fc.array(fc.tuple(tunnel, ip), { maxLength: 3 }), l4 });

function linesFor(octets: Buffer, truncateTo?: number): any[] {
  const inner = { inType: 3 as const, packet: octets, truncateTo };
  return linesOf(reportGroupV20({ hardwareId: 1, sequence: 7, nodeId: 9, reports: [{ repType: 0, inner }] }), { intDscp: 64 });
}

it('the innermost flow, its tunnel and the outermost packet are those that were written', () => {
  fc.assert(
    fc.property(packet, ({ head, outer, tunnels, l4: transport }) => {
      const parts = tunnels.flatMap(([t, inside]) => [...t.layers, ...inside.layers]);
      const octets = packetOf([...head.layers, ...outer.layers, ...parts, ...transport.layers]);
      const [line] = linesFor(octets);
      const innermost = tunnels.at(-1)?.[1] ?? outer;
      expect(line.warnings).toEqual([]);
      expect(line.flow).toMatchObject({ ...innermost.flow, ...transport.flow, ...tunnels.at(-1)?.[0].flow });
      expect(line.vlanId ?? 0).toBe(head.vids[0] ?? 0);
      const { sourceAddress, destinationAddress, dscp } = outer.flow as any;
      if (tunnels.length > 0) expect(line.outer).toMatchObject({ sourceAddress, destinationAddress, dscp });
      else expect(line.outer).toBeUndefined();
    }),
    RUNS,
  );
});

it('cut at whole words, it never tells a flow that is not one of its layers', () => {
  fc.assert(
    fc.property(packet, fc.integer({ min: 1, max: 60 }), ({ head, outer, tunnels, l4: transport }, words) => {
      const parts = tunnels.flatMap(([t, inside]) => [...t.layers, ...inside.layers]);
      const octets = packetOf([...head.layers, ...outer.layers, ...parts, ...transport.layers]);
      const [line] = linesFor(octets, Math.min(octets.length, words * 4));
      if (line.flow === null) return;
      const layers = [outer, ...tunnels.map(([, inside]) => inside)].map(({ flow }) => (flow as any).sourceAddress);
      expect(layers).toContain(line.flow.sourceAddress);
      if (line.flow.tcpSequence !== undefined) expect(line.flow.tcpSequence).toBe((transport.flow as any).tcpSequence);
    }),
    RUNS,
  );
});
