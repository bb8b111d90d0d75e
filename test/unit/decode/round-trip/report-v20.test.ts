// Telemetry report v2.0 out of the writer and back through the decoder: every metadata bit, groups, TLVs, and reports to the end of the datagram. What
// is expected comes from what the writer was given.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { IntHop } from '../../../../p4-int/wire/int-stack.ts';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { bitMask, type NodeMetadata } from '../../../../p4-int/wire/metadata.ts';
import { reportGroupV20, type IndividualReportV20, type MetadataV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, hopJson, intHop, known, octets, SEED, uint } from './arbitraries.ts';

const RUNS = { numRuns: 400, seed: SEED };
const flags = { dropped: fc.boolean(), congestedQueue: fc.boolean(), trackedFlow: fc.boolean(), intermediate: fc.boolean() };
const ipOf = (version: number): Layer =>
  version === 6
    ? { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2' }
    : { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' };
const udp = (port: number): Layer => ({ kind: 'udp', sourcePort: 40_001, destinationPort: port });
const REPORT = { origin: 'report', level2: true, buffer: true };
const drop = fc.record({ queueId: uint(8), dropReason: uint(8) });
const pick = (given: object, keys: readonly string[]): object =>
  Object.fromEntries(Object.entries(given).filter(([key]) => keys.includes(key)));

describe('report v2.0', () => {
  const KEYS: (keyof NodeMetadata)[] = [
    'nodeId',
    'level1Interfaces',
    'hopLatency',
    'queue',
    'ingressTimestamp',
    'egressTimestamp',
    'level2Interfaces',
    'egressTxUtilization',
    'buffer',
  ];
  const reserved = fc.dictionary(fc.constantFrom('9', '10', '11', '12', '13', '14'), uint(32), { maxKeys: 3 });
  interface Given {
    flags: object;
    port: number;
    bits: number;
    version: number;
    hop: IntHop;
    metadata: MetadataV20;
  }
  /** A report of a packet to port `port` with the metadata of `bits`, 0 to 8 and 15. */
  const given: fc.Arbitrary<Given> = fc
    .record({
      flags: fc.record(flags),
      hop: intHop(64, 32),
      bits: uint(16).map((bits) => bits & 0xff81),
      reserved,
      drop: known(drop),
      port: fc.integer({ min: 20_000, max: 60_000 }),
      version: fc.constantFrom(4, 6),
    })
    .map(({ reserved: extra, drop: dropped, ...own }) => {
      const metadata: MetadataV20 = {
        ...pick(
          own.hop,
          KEYS.filter((_, bit) => (own.bits & bitMask(bit)) !== 0),
        ),
        ...((own.bits & 1) === 0 ? {} : { drop: dropped }),
        reserved: extra,
      };
      return { ...own, metadata };
    });
  const reportOf = ({ flags: own, version, port, metadata }: Given, isFramed: boolean): IndividualReportV20 => ({
    ...own,
    repType: 1,
    metadata,
    inner: {
      inType: isFramed ? 3 : version === 6 ? 5 : 4,
      packet: packetOf([...(isFramed ? [ETHERNET] : []), ipOf(version), udp(port)]),
    },
  });

  function expectedOf({ flags: own, port, bits, hop, metadata }: Given, nodeId: number) {
    const json = hopJson(hop, bits & 0x7fff, REPORT);
    json.queueId ??= metadata.drop?.queueId ?? null;
    const flow = { protocol: 17, sourcePort: 40_001, destinationPort: port };
    return {
      line: { ...own, nodeId, dropReason: metadata.drop?.dropReason ?? null, flow, warnings: [] },
      hops: [{ ...json, nodeId }],
    };
  }

  it('has every combination of RepMdBits, in groups of 1 to 20', () => {
    const group = fc.record({ hardwareId: uint(6), sequence: uint(22), nodeId: uint(32), isFramed: fc.boolean() });
    fc.assert(
      fc.property(group, fc.array(given, { minLength: 1, maxLength: 20 }), ({ isFramed, ...head }, all) => {
        const lines = linesOf(reportGroupV20({ ...head, reports: all.map((one) => reportOf(one, isFramed)) }));
        expect(lines).toHaveLength(all.length);
        all.forEach((one, report) => {
          const { line, hops } = expectedOf(one, head.nodeId);
          const { hardwareId, sequence: sequenceNumber } = head;
          expect(lines[report]).toMatchObject({ ...line, report, hardwareId, sequenceNumber });
          expect(lines[report].hops).toEqual(hops);
        });
      }),
      RUNS,
    );
  });

  it('finds the packet among TLVs, and extends to the end with Report Length 255', () => {
    const tlv = fc.record({ type: fc.integer({ min: 4, max: 15 }), dataTemplate: uint(16), data: octets(0, 40) });
    fc.assert(
      fc.property(
        given,
        fc.array(tlv, { maxLength: 3 }),
        fc.array(tlv, { maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
        (one, before, behind, type, toTheEnd) => {
          const packet = packetOf([...(type === 1 ? [ETHERNET] : []), ipOf(type === 3 ? 6 : 4), udp(one.port)]);
          const inner = { inType: 1 as const, tlvs: [...before, { type, data: packet }, ...behind] };
          const first = reportOf(one, true);
          const last = { ...first, inner, ...(toTheEnd ? { reportLength: 0xff } : {}) };
          const lines = linesOf(reportGroupV20({ hardwareId: 1, sequence: 2, nodeId: 9, reports: [first, last] }));
          const { line, hops } = expectedOf(one, 9);
          expect(lines).toMatchObject([line, { ...line, warnings: toTheEnd ? ['W_REPLEN_FF_SHORT'] : [] }]);
          for (const { hops: got } of lines) expect(got).toEqual(hops);
        },
      ),
      RUNS,
    );
  });

  it('is as long as 255 words and more', () => {
    fc.assert(
      fc.property(given, fc.integer({ min: 1000, max: 4000 }), (one, bytes) => {
        const packet = packetOf([ETHERNET, ipOf(4), udp(one.port), { kind: 'octets', octets: Buffer.alloc(bytes, 7) }]);
        const reports = [reportOf(one, true), { ...reportOf(one, true), inner: { inType: 3 as const, packet } }];
        const lines = linesOf(reportGroupV20({ hardwareId: 1, sequence: 2, nodeId: 9, reports }));
        const { line, hops } = expectedOf(one, 9);
        expect(lines).toMatchObject([line, line]);
        for (const { hops: got } of lines) expect(got).toEqual(hops);
      }),
      RUNS,
    );
  });
});
