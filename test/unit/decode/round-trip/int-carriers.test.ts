// What carries INT v2.1, out of the writers and back through the decoder: UDP by port and by an inserted header, GRE, VXLAN-GPE, Geneve, TCP with options;
// domain-specific metadata, and INT-MX. What is expected comes from what the writer was given.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SourceProfile } from '../../../../collector/decode/profile.ts';
import { entryWords, WIDTHS_V21 } from '../../../../p4-int/wire/int-stack.ts';
import { intV05Gpe } from '../../../../p4-int/wire/int-v05.ts';
import { intV10Gpe } from '../../../../p4-int/wire/int-v10.ts';
import {
  intMdV21,
  intMdV21GeneveOption,
  intMxV21,
  intMxV21GeneveOption,
  type IntMdV21,
  type IntShimV21,
} from '../../../../p4-int/wire/int-v21.ts';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20, type IndividualReportV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, hopJson, intHop, octets, port, RUNS, udp, uint, words } from './arbitraries.ts';

const INT_PORT = 555;
const INT_GRE = 0x4569;
const MEANING = { origin: 'int-md-v2.1', level2: true, buffer: true };
const outer = (dscp: number): Layer => ({ kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', dscp });

const int = (maxLength: number, maxWords: number): fc.Arbitrary<IntMdV21> =>
  fc
    .record({
      bitmap: fc.integer({ min: 1, max: 0xffff }),
      hops: fc.array(intHop(64, 32), { maxLength }),
      remainingHops: uint(8),
      maxHopCountExceeded: fc.boolean(),
      mtuExceeded: fc.boolean(),
      discard: fc.boolean(),
    })
    .filter(({ bitmap, hops }) => entryWords(bitmap, WIDTHS_V21) * hops.length <= maxWords);
const anyInt = int(8, 200);

function lineOf(layers: Layer[], profile: Partial<SourceProfile> = {}, report: Partial<IndividualReportV20> = {}): any {
  const inner = { inType: 3 as const, packet: packetOf(layers) };
  const one = { repType: 0, inner, ...report } as IndividualReportV20;
  return linesOf(reportGroupV20({ hardwareId: 1, sequence: 2, nodeId: 0, reports: [one] }), profile)[0];
}

function verify(line: any, given: IntMdV21, flow: object, warnings: string[] = []): void {
  expect(line.hops).toEqual(given.hops.map((hop) => hopJson(hop, given.bitmap, MEANING)));
  expect(line.flow).toMatchObject(flow);
  const isMissing = given.maxHopCountExceeded || given.mtuExceeded;
  expect(line.warnings).toEqual([...warnings, ...(isMissing ? ['W_INT_HOPS_MISSING'] : [])]);
}

describe('INT-MD v2.1', () => {
  it('by the port of UDP: the original port comes back, and the tunnel that it names', () => {
    const inside: Layer[] = [ETHERNET, { kind: 'ipv4', source: '10.1.0.1', destination: '10.1.0.2' }, udp(53)];
    fc.assert(
      fc.property(anyInt, port, uint(6), uint(24), (given, to, dscp, vni) => {
        const profile = { intUdpPort: INT_PORT, intDscp: 64 };
        const shim = (originalDestinationPort: number): IntShimV21 => ({ kind: 'npt1', originalDestinationPort });
        const head = [ETHERNET, outer(dscp), udp(INT_PORT)];
        const plain = lineOf([...head, intMdV21(given, shim(to))], profile);
        verify(plain, given, { protocol: 17, sourcePort: 40_001, destinationPort: to, dscp });
        const tunnelled = lineOf([...head, intMdV21(given, shim(4789)), { kind: 'vxlan', vni }, ...inside], profile);
        verify(tunnelled, given, { sourceAddress: '10.1.0.1', destinationPort: 53, vni });
        expect(tunnelled.outer).toMatchObject({ sourceAddress: '10.0.0.1', destinationPort: 4789, dscp });
      }),
      RUNS,
    );
  });

  it('behind an inserted UDP header: the original protocol and ports come back', () => {
    const l4: fc.Arbitrary<Layer> = fc.oneof(
      fc.record({ kind: fc.constant('tcp' as const), sourcePort: uint(16), destinationPort: uint(16), sequence: uint(32) }),
      fc.record({ kind: fc.constant('udp' as const), sourcePort: uint(16), destinationPort: port }),
      fc.record({
        kind: fc.constant('sctp' as const),
        sourcePort: uint(16),
        destinationPort: uint(16),
        verificationTag: uint(32),
      }),
    );
    fc.assert(
      fc.property(anyInt, l4, (given, original) => {
        const originalProtocol = { tcp: 6, udp: 17, sctp: 132 }[original.kind as 'tcp' | 'udp' | 'sctp'];
        const { kind: _kind, ...fields } = original;
        const shim: IntShimV21 = { kind: 'npt2', originalProtocol };
        const line = lineOf([ETHERNET, outer(5), udp(INT_PORT), intMdV21(given, shim), original], { intUdpPort: INT_PORT });
        const { sourcePort, destinationPort } = fields as { sourcePort: number; destinationPort: number };
        const tcpSequence = original.kind === 'tcp' ? { tcpSequence: original.sequence } : {};
        verify(line, given, { protocol: originalProtocol, sourcePort, destinationPort, dscp: 5, ...tcpSequence });
        expect('tcpSequence' in line.flow).toBe(original.kind === 'tcp');
      }),
      RUNS,
    );
  });

  const next = fc.constantFrom<[etherType: number, gpe: number, layers: Layer[]]>(
    [0x0800, 1, [{ kind: 'ipv4', source: '10.1.0.1', destination: '10.1.0.2' }]],
    [0x86dd, 2, [{ kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2' }]],
    [0x6558, 3, [ETHERNET, { kind: 'vlan', vid: 9 }, { kind: 'ipv4', source: '10.1.0.1', destination: '10.1.0.2' }]],
  );

  it('over GRE', () => {
    const gre = fc.record({ key: fc.option(uint(32), { nil: undefined }), checksum: fc.boolean() });
    fc.assert(
      fc.property(anyInt, next, gre, fc.boolean(), port, (given, [nextProtocol, , inside], own, greAdded, to) => {
        const layer = intMdV21(given, { kind: 'gre', greAdded, nextProtocol, etherType: INT_GRE });
        const line = lineOf([ETHERNET, outer(0), { kind: 'gre', ...own }, layer, ...inside, udp(to)], {
          intGreProtocol: INT_GRE,
        });
        verify(line, given, { destinationPort: to, ...(own.key === undefined ? {} : { greKey: own.key }) });
        expect(line.outer).toMatchObject({ sourceAddress: '10.0.0.1', protocol: 47 });
      }),
      RUNS,
    );
  });

  it('over VXLAN-GPE, by either number', () => {
    fc.assert(
      fc.property(
        anyInt,
        next,
        uint(24),
        fc.constantFrom(0x80, 0x82),
        port,
        (given, [, nextProtocol, inside], vni, gpeProtocol, to) => {
          const layer = intMdV21(given, { kind: 'vxlanGpe', vxlanAdded: vni % 2 === 0, nextProtocol, gpeProtocol });
          const line = lineOf([ETHERNET, outer(0), udp(4790), { kind: 'vxlanGpe', vni }, layer, ...inside, udp(to)]);
          verify(line, given, { destinationPort: to, vni });
        },
      ),
      RUNS,
    );
  });

  it('as an option of Geneve, among others', () => {
    const other = fc.record({ optionClass: fc.constant(0x0102), type: uint(8), data: words(4) });
    fc.assert(
      fc.property(int(4, 28), next, uint(24), fc.array(other, { maxLength: 3 }), port, (given, [, , inside], vni, others, to) => {
        const options = [...others, intMdV21GeneveOption(given), ...others];
        const line = lineOf([ETHERNET, outer(0), udp(6081), { kind: 'geneve', vni, options }, ...inside, udp(to)]);
        verify(line, given, { destinationPort: to, vni });
      }),
      RUNS,
    );
  });

  const tcp = { kind: 'tcp' as const, sourcePort: 1, destinationPort: 443, sequence: 9 };
  const segmentSize = uint(16).map((mss) => Buffer.from([2, 4, mss >>> 8, mss & 0xff]));
  const timestamps = octets(8, 8).map((stamps) => Buffer.concat([Buffer.from([1, 1, 8, 10]), stamps]));
  const tcpFlow = (dscp: number) => ({ destinationPort: 443, tcpSequence: 9, dscp });

  it('behind the base header of TCP, its options behind the stack', () => {
    fc.assert(
      fc.property(anyInt, fc.oneof(segmentSize, timestamps), uint(6), (given, options, originalDscp) => {
        const layer = intMdV21(given, { kind: 'npt0', originalDscp });
        const base = { ...tcp, dataOffset: 5 + options.length / 4 };
        verify(lineOf([ETHERNET, outer(0x17), base, layer, { kind: 'octets', octets: options }]), given, tcpFlow(originalDscp));
      }),
      RUNS,
    );
  });

  const behindOptions = (options: fc.Arbitrary<Buffer>) =>
    fc.property(anyInt, options, uint(6), (given, own, originalDscp) => {
      const layer = intMdV21(given, { kind: 'npt0', originalDscp });
      verify(lineOf([ETHERNET, outer(0x17), { ...tcp, options: own }, layer]), given, tcpFlow(originalDscp));
    });

  it('behind the options of TCP', () => {
    fc.assert(behindOptions(segmentSize), RUNS);
  });

  // NOP, NOP, timestamps with a first nibble of 1 pass for a shim and header of v1.0: readInt of inner-packet.ts then looks nowhere else.
  it('behind NOP, NOP and timestamps, as Linux sends them', () => {
    fc.assert(behindOptions(timestamps), RUNS);
  });

  it('with metadata of a domain in each hop, and of the source alone', () => {
    fc.assert(
      fc.property(
        int(6, 100),
        fc.integer({ min: 1, max: 4 }),
        uint(16),
        words(3),
        port,
        (given, domainSpecificWords, domain, source, to) => {
          const shim: IntShimV21 = { kind: 'npt1', originalDestinationPort: to };
          const own = {
            ...given,
            hops: given.hops.map((hop, i) => ({ ...hop, domainSpecific: Buffer.alloc(domainSpecificWords * 4, i) })),
          };
          const domains = { domainSpecificWords, domainSpecificId: domain, dsInstruction: 0x8000 };
          const head = [ETHERNET, outer(0), udp(INT_PORT)];
          const unknown = lineOf([...head, intMdV21({ ...own, ...domains }, shim)], { intUdpPort: INT_PORT });
          verify(unknown, given, { destinationPort: to }, ['W_DS_UNKNOWN']);
          if (given.hops.length === 0) return;
          const profile = { intUdpPort: INT_PORT, intSourceOnlyBytes: new Map([[domain, source.length]]) };
          const told = lineOf([...head, intMdV21({ ...own, ...domains, sourceOnly: source }, shim)], profile);
          verify(told, given, { destinationPort: to });
        },
      ),
      RUNS,
    );
  });
});

it('INT-MX leaves the flow as it was, and adds no hop', () => {
  const mx = fc.record({ bitmap: uint(15), discard: fc.boolean(), sourceInserted: words(4), domainSpecificId: uint(16) });
  fc.assert(
    fc.property(mx, uint(6), port, (given, originalDscp, to) => {
      const report = { repType: 1 as const, trackedFlow: true, metadata: { hopLatency: 7 } };
      const byDscp = [ETHERNET, outer(0x17), udp(to), intMxV21(given, { kind: 'npt0', originalDscp })];
      const byPort = [ETHERNET, outer(3), udp(INT_PORT), intMxV21(given, { kind: 'npt1', originalDestinationPort: to })];
      const inserted = [ETHERNET, outer(3), udp(INT_PORT), intMxV21(given, { kind: 'npt2', originalProtocol: 17 }), udp(to)];
      const options = [intMxV21GeneveOption(given)];
      const inner: Layer = { kind: 'ipv4', source: '10.1.0.1', destination: '10.1.0.2', dscp: 3 };
      const geneve: Layer[] = [ETHERNET, outer(3), udp(6081), { kind: 'geneve', vni: 4, options }, inner, udp(to)];
      for (const layers of [byDscp, byPort, inserted, geneve]) {
        const line = lineOf(layers, { intUdpPort: INT_PORT }, report);
        expect(line.hops).toMatchObject([{ origin: 'report', nodeId: 0, hopLatency: 7 }]);
        expect(line.flow).toMatchObject({ protocol: 17, destinationPort: to, dscp: layers === byDscp ? originalDscp : 3 });
        expect(line.warnings).toEqual([]);
      }
    }),
    RUNS,
  );
});

it.each([
  ['v0.5', intV05Gpe({ bitmap: 0x8000, hops: [{ nodeId: 5 }], maxHopCount: 8 }, 1)],
  ['v1.0', intV10Gpe({ bitmap: 0x8000, hops: [{ nodeId: 5 }], remainingHops: 8 }, 1)],
])('INT-MD %s over VXLAN-GPE', (_name, layer) => {
  const inner: Layer = { kind: 'ipv4', source: '10.1.0.1', destination: '10.1.0.2' };
  const line = lineOf([ETHERNET, outer(0), udp(4790), { kind: 'vxlanGpe', vni: 4 }, layer, inner, udp(53)]);
  expect(line).toMatchObject({ hops: [{ nodeId: 5 }], flow: { sourceAddress: '10.1.0.1' } });
});
