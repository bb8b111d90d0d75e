// Hops out of the writers and back through the decoders, for every bitmap: reports v2.0, INT-MD of each version, IOAM traces, IFA and sFlow. What is
// expected comes from what the writer was given.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SourceProfile } from '../../../../collector/decode/profile.ts';
import { ifaHeader, ifaMetadata } from '../../../../p4-int/wire/ifa.ts';
import type { IntHop } from '../../../../p4-int/wire/int-stack.ts';
import { intV05 } from '../../../../p4-int/wire/int-v05.ts';
import { intV10 } from '../../../../p4-int/wire/int-v10.ts';
import { intMdV21 } from '../../../../p4-int/wire/int-v21.ts';
import { ioamIncrementalTrace, ioamIpv6Option, ioamPreallocatedTrace } from '../../../../p4-int/wire/ioam.ts';
import { traceTypeBit, type IoamNode } from '../../../../p4-int/wire/ioam-node.ts';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { sflowDatagram } from '../../../../p4-int/wire/sflow.ts';
import { linesOf } from '../../../support/decoding.ts';

const RUNS = { numRuns: 300, seed: 20_261_125 };
const DSCP = 0x17;
const ETHERNET: Layer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };
const IPV4: Layer = { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', dscp: DSCP };
const UDP: Layer = { kind: 'udp', sourcePort: 40_001, destinationPort: 40_002 };
const TCP: Layer = { kind: 'tcp', sourcePort: 40_001, destinationPort: 443, sequence: 77 };

/** All ones mean "not available", so that no number may be them. */
const upTo = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 2 });
const known = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 4 });
const stamp = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 2n });
const pair = (bits: number) => fc.record({ ingressInterfaceId: known(upTo(bits)), egressInterfaceId: known(upTo(bits)) });
const hop = (stampBits: number, level2Bits: number): fc.Arbitrary<IntHop> =>
  fc.record({
    nodeId: known(fc.integer({ min: 1, max: 2 ** 32 - 2 })),
    level1Interfaces: known(pair(16)),
    hopLatency: known(upTo(32)),
    queue: known(fc.record({ queueId: upTo(8), queueOccupancy: upTo(24) })),
    ingressTimestamp: known(stamp(stampBits)),
    egressTimestamp: known(stamp(stampBits)),
    level2Interfaces: known(pair(level2Bits)),
    egressTxUtilization: known(upTo(32)),
    buffer: known(fc.record({ bufferId: upTo(8), bufferOccupancy: upTo(24) })),
  });

function isKnown<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

/** The hop as JSON has it, for the bits that were asked for; `bits` in INT's numbering. */
function expected(h: IntHop, bits: number, origin: string, isV05 = false): object {
  const has = (bit: number): boolean => (bits & (0x8000 >>> bit)) !== 0;
  const level2 = has(6) && !isV05 ? h.level2Interfaces : undefined;
  const text = (value: bigint | null | undefined): string | null => (isKnown(value) ? String(value) : null);
  return {
    nodeId: has(0) ? (h.nodeId ?? null) : null,
    ingressInterfaceId: has(1) ? (h.level1Interfaces?.ingressInterfaceId ?? null) : null,
    egressInterfaceId: has(1) ? (h.level1Interfaces?.egressInterfaceId ?? null) : null,
    hopLatency: has(2) ? (h.hopLatency ?? null) : null,
    queueId: has(3) ? (h.queue?.queueId ?? null) : null,
    queueOccupancy: has(3) ? (h.queue?.queueOccupancy ?? null) : null,
    ingressTimestamp: has(4) ? text(h.ingressTimestamp) : null,
    egressTimestamp: has(5) ? text(h.egressTimestamp) : null,
    origin,
    ...(isKnown(level2?.ingressInterfaceId) ? { level2IngressInterfaceId: level2.ingressInterfaceId } : {}),
    ...(isKnown(level2?.egressInterfaceId) ? { level2EgressInterfaceId: level2.egressInterfaceId } : {}),
    ...(has(7) && isKnown(h.egressTxUtilization) ? { egressInterfaceTxUtilization: h.egressTxUtilization } : {}),
    ...(has(8) && isKnown(h.buffer) ? h.buffer : {}),
  };
}

/** Hops of an inner-only report of another node, around this packet. */
function hopsOf(layers: Layer[], profile: Partial<SourceProfile> = {}, truncateTo?: number): any {
  const packet = packetOf(layers);
  const inner = { inType: 3 as const, packet, truncateTo };
  const bytes = reportGroupV20({
    hardwareId: 1,
    sequence: 7,
    nodeId: 0xffff_fffe,
    reports: [{ repType: 0, trackedFlow: true, inner }],
  });
  return linesOf(bytes, profile)[0];
}

const bitmap = fc.integer({ min: 1, max: 0xffff });

it('INT-MD v2.1: every bitmap, and holes that the header tells of', () => {
  fc.assert(
    fc.property(
      bitmap,
      fc.array(hop(64, 32), { maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      (bits, hops, maxHopCountExceeded, mtuExceeded) => {
        const int = intMdV21(
          { bitmap: bits, hops, remainingHops: 5, maxHopCountExceeded, mtuExceeded },
          { kind: 'npt0', originalDscp: 10 },
        );
        const line = hopsOf([ETHERNET, IPV4, UDP, int]);
        expect(line.hops).toEqual(hops.map((h) => expected(h, bits, 'int-md-v2.1')));
        expect(line.flow).toMatchObject({ dscp: 10, destinationPort: 40_002 });
        expect(line.warnings).toEqual(maxHopCountExceeded || mtuExceeded ? ['W_INT_HOPS_MISSING'] : []);
      },
    ),
    RUNS,
  );
});

it('INT-MD v2.1 behind another port or protocol: what INT overwrote comes back', () => {
  fc.assert(
    fc.property(fc.array(hop(64, 32), { minLength: 1, maxLength: 3 }), upTo(16), (hops, port) => {
      const int = { bitmap: 0x8000, hops, remainingHops: 5 };
      const to555: Layer = { kind: 'udp', sourcePort: 40_001, destinationPort: 555 };
      const byPort = hopsOf([ETHERNET, IPV4, to555, intMdV21(int, { kind: 'npt1', originalDestinationPort: port })], {
        intUdpPort: 555,
        intDscp: 63,
      });
      expect(byPort.flow).toMatchObject({ protocol: 17, destinationPort: port });
      const inserted = hopsOf([ETHERNET, IPV4, to555, intMdV21(int, { kind: 'npt2', originalProtocol: 6 }), TCP], {
        intUdpPort: 555,
        intDscp: 63,
      });
      expect(inserted.flow).toMatchObject({ protocol: 6, destinationPort: 443, tcpSequence: 77 });
      for (const line of [byPort, inserted]) expect(line.hops.map((h: any) => h.nodeId)).toEqual(hops.map((h) => h.nodeId));
    }),
    RUNS,
  );
});

it('INT-MD over GRE, VXLAN-GPE and Geneve', () => {
  fc.assert(
    fc.property(fc.array(hop(64, 32), { minLength: 1, maxLength: 2 }), (hops) => {
      const int = { bitmap: 0xc000, hops, remainingHops: 5 };
      const plain: Layer = { ...IPV4, dscp: 0 };
      const inside: Layer[] = [{ kind: 'ipv4', source: '10.1.0.1', destination: '10.1.0.2' }, TCP];
      const gre = hopsOf(
        [ETHERNET, plain, { kind: 'gre' }, intMdV21(int, { kind: 'gre', nextProtocol: 0x0800, etherType: 0x4569 }), ...inside],
        {
          intGreProtocol: 0x4569,
        },
      );
      const gpe = hopsOf([
        ETHERNET,
        plain,
        { kind: 'udp', sourcePort: 1, destinationPort: 4790 },
        { kind: 'vxlanGpe', vni: 9 },
        intMdV21(int, { kind: 'vxlanGpe', nextProtocol: 1 }),
        ...inside,
      ]);
      for (const line of [gre, gpe]) {
        expect(line.hops).toEqual(hops.map((h) => expected(h, 0xc000, 'int-md-v2.1')));
        expect(line.flow).toMatchObject({ sourceAddress: '10.1.0.1', destinationPort: 443 });
        expect(line.outer).toMatchObject({ sourceAddress: '10.0.0.1' });
      }
    }),
    RUNS,
  );
});

it('INT-MD v1.0 by the letter and as GEANT has it, and v0.5', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xff }), fc.array(hop(32, 16), { maxLength: 4 }), (high, hops) => {
      const bits = high << 8;
      const v10 = hopsOf([ETHERNET, IPV4, UDP, intV10({ bitmap: bits, hops, remainingHops: 5 }, 10)]);
      expect(v10.hops).toEqual(hops.map((h) => expected(h, bits, 'int-md-v1.0')));
      expect(v10.flow.dscp).toBe(10);
      const v05 = hopsOf([
        ETHERNET,
        IPV4,
        UDP,
        intV05({ bitmap: bits, hops, maxHopCount: 8 }, { protocol: 17, destinationPort: 5001, dscp: 12 }),
      ]);
      expect(v05.hops).toEqual(hops.map((h) => expected(h, bits, 'int-md-v0.5', true)));
      expect(v05.flow).toMatchObject({ dscp: 12, destinationPort: 5001 });
      // Only widths that differ from the letter's can be told.
      const stamps = Number((bits & 0x0800) !== 0) + Number((bits & 0x0400) !== 0);
      if (stamps !== Number((bits & 0x0200) !== 0)) {
        const geant = hopsOf([ETHERNET, IPV4, UDP, intV10({ dialect: 'geant', bitmap: bits, hops, remainingHops: 5 }, 10)]);
        expect(geant.hops).toEqual(hops.map((h) => expected(h, bits, 'int-md-v1.0')));
      }
    }),
    RUNS,
  );
});

// A packet that lacks no more than the fill that stands for its last octets cannot be told from a whole one.
it('a stack cut anywhere keeps its newest entries, and no value is another one', () => {
  fc.assert(
    fc.property(fc.array(hop(64, 32), { minLength: 1, maxLength: 4 }), fc.integer({ min: 58, max: 200 }), (hops, cut) => {
      const layers = [
        ETHERNET,
        IPV4,
        UDP,
        intMdV21({ bitmap: 0xf000, hops, remainingHops: 5 }, { kind: 'npt0', originalDscp: 10 }),
      ];
      const whole = hopsOf(layers).hops;
      const short = hopsOf(layers, {}, Math.min(cut, packetOf(layers).length - 4)).hops;
      if (short.length === 0) return;
      expect(short).toHaveLength(whole.length);
      short.forEach((h: any, i: number) => {
        for (const [key, value] of Object.entries(h)) if (value !== null) expect([key, value]).toEqual([key, whole[i][key]]);
      });
    }),
    RUNS,
  );
});

const ioamNode: fc.Arbitrary<IoamNode> = fc.record({
  hopLimit: upTo(8),
  nodeId: known(fc.integer({ min: 1, max: 2 ** 24 - 2 })),
  interfaces: known(pair(16)),
  timestampSeconds: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
  timestampFraction: fc.integer({ min: 0, max: 999_999_999 }),
  transitDelay: known(fc.record({ nanoseconds: fc.integer({ min: 0, max: 2 ** 31 - 1 }) })),
  namespaceData: known(upTo(32)),
  queueDepth: known(upTo(32)),
  checksumComplement: known(upTo(32)),
  namespaceDataWide: known(stamp(64)),
  bufferOccupancy: known(upTo(32)),
});

it('IOAM traces: every trace type, free space, snapshots', () => {
  const types = fc.subarray([0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 22], { minLength: 1 });
  fc.assert(
    fc.property(types, fc.array(ioamNode, { maxLength: 3 }), fc.boolean(), upTo(4), (bits, nodes, isIncremental, free) => {
      const traceType = bits.reduce((sum, bit) => sum | traceTypeBit(bit), 0);
      const write = isIncremental ? ioamIncrementalTrace : ioamPreallocatedTrace;
      const trace = write({ namespaceId: 1, traceType, nodes, remainingLength: isIncremental ? 0 : free });
      const options = [ioamIpv6Option(trace)];
      const line = hopsOf([
        ETHERNET,
        { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2', extensions: [{ kind: 'hopByHop', options }] },
        TCP,
      ]);
      const has = (bit: number): boolean => bits.includes(bit);
      const hasTime = has(2) && has(3);
      expect(line.hops).toEqual(
        nodes.map((n) => ({
          nodeId: has(0) ? n.nodeId : null,
          ingressInterfaceId: has(1) ? (n.interfaces?.ingressInterfaceId ?? null) : null,
          egressInterfaceId: has(1) ? (n.interfaces?.egressInterfaceId ?? null) : null,
          hopLatency: has(4) ? (n.transitDelay?.nanoseconds ?? null) : null,
          queueId: null,
          queueOccupancy: has(6) ? n.queueDepth : null,
          ingressTimestamp: hasTime ? String(BigInt(n.timestampSeconds!) * 1_000_000_000n + BigInt(n.timestampFraction!)) : null,
          egressTimestamp: null,
          origin: 'ioam-trace',
          ...(has(11) && n.bufferOccupancy !== null ? { bufferId: 0, bufferOccupancy: n.bufferOccupancy } : {}),
        })),
      );
      expect(line.flow).toMatchObject({ protocol: 6, tcpSequence: 77 });
    }),
    RUNS,
  );
});

it('report v2.0: every RepMdBit, in groups', () => {
  fc.assert(
    fc.property(fc.array(hop(64, 32), { minLength: 1, maxLength: 20 }), fc.integer({ min: 0, max: 0xff }), (hops, bits) => {
      const keys = [
        'level1Interfaces',
        'hopLatency',
        'queue',
        'ingressTimestamp',
        'egressTimestamp',
        'level2Interfaces',
        'egressTxUtilization',
        'buffer',
      ] as const;
      const reports = hops.map((h) => ({
        repType: 1 as const,
        metadata: Object.fromEntries(keys.flatMap((key, i) => ((bits & (0x80 >>> i)) === 0 ? [] : [[key, h[key]]]))),
        inner: { inType: 3 as const, packet: packetOf([ETHERNET, IPV4, TCP]) },
      }));
      const lines = linesOf(reportGroupV20({ hardwareId: 1, sequence: 7, nodeId: 9, reports }));
      lines.forEach((line, i) => expect(line.hops).toEqual([{ ...expected(hops[i], bits << 7, 'report'), nodeId: 9 }]));
      expect(lines).toHaveLength(hops.length);
    }),
    RUNS,
  );
});

it('IFA: records over TCP and UDP', () => {
  const record = fc.record({
    lns: upTo(4),
    deviceId: upTo(20),
    ttl: upTo(8),
    speed: fc.integer({ min: 0, max: 6 }),
    ecn: fc.integer({ min: 0, max: 3 }),
    queueId: fc.integer({ min: 0, max: 63 }),
    rxSeconds: upTo(20),
    egressPort: upTo(16),
    ingressPort: upTo(16),
    rxNanoseconds: upTo(32),
    residenceNanoseconds: upTo(32),
    txQueueBytes: upTo(32),
    queueCells: upTo(16),
  });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 7 }), fc.boolean(), (hops, isTcp) => {
      const header = ifaHeader({ gns: 0, nextHeader: isTcp ? 6 : 17, maxLength: 255 });
      const line = hopsOf([ETHERNET, IPV4, header, isTcp ? TCP : UDP, ifaMetadata({ requestVector: 1, hopLimit: 9, hops })], {
        ifaProtocol: 131,
      });
      expect(line.hops).toMatchObject(
        hops.map((h) => ({
          nodeId: h.deviceId,
          ingressInterfaceId: h.ingressPort,
          egressInterfaceId: h.egressPort,
          queueId: h.queueId,
          queueOccupancy: h.txQueueBytes,
          hopLatency: h.residenceNanoseconds,
          origin: 'ifa-v2.0',
        })),
      );
      expect(line.flow).toMatchObject({ protocol: isTcp ? 6 : 17, destinationPort: isTcp ? 443 : 40_002 });
    }),
    RUNS,
  );
});

it('sFlow: samples of both forms, with queue, delay and depth', () => {
  const sample = fc.record({
    rate: fc.integer({ min: 1, max: 2 ** 31 }),
    input: fc.integer({ min: 1, max: 0x3fff_fffe }),
    queue: upTo(32),
    delay: upTo(32),
    depth: upTo(32),
    isExpanded: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(sample, { minLength: 1, maxLength: 6 }),
      fc.constantFrom('10.0.0.9', '2001:db8::9'),
      upTo(32),
      (given, agentAddress, sequence) => {
        const samples = given.map((s) => ({
          kind: s.isExpanded ? ('expandedFlow' as const) : ('flow' as const),
          sequence: 1,
          source: { class: 0, index: 3 },
          samplingRate: s.rate,
          samplePool: 5,
          drops: 0,
          input: { format: 0, value: s.input },
          output: { format: 0, value: 4 },
          records: [
            { kind: 'rawHeader' as const, protocol: 1, frameLength: 99, stripped: 4, header: packetOf([ETHERNET, IPV4, TCP]) },
            { kind: 'egressQueue' as const, queue: s.queue },
            { kind: 'transitDelay' as const, nanoseconds: s.delay },
            { kind: 'queueDepth' as const, bytes: s.depth },
          ],
        }));
        const lines = linesOf(sflowDatagram({ agentAddress, subAgentId: 2, sequence, uptime: 1, samples }));
        expect(lines).toMatchObject(
          given.map((s) => ({
            agent: agentAddress,
            sequenceNumber: sequence,
            ...(s.rate === 1 ? {} : { packets: s.rate }),
            hops: [
              {
                ingressInterfaceId: s.input,
                egressInterfaceId: 4,
                queueId: s.queue,
                hopLatency: s.delay,
                queueOccupancy: s.depth,
              },
            ],
            flow: { protocol: 6, destinationPort: 443, tcpSequence: 77 },
          })),
        );
      },
    ),
    RUNS,
  );
});
