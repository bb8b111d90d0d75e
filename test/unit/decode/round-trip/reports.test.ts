// Telemetry reports v0.5 and v1.0 out of the writers and back through the decoders: every kind, every metadata bit, both places of the flags. What is
// expected comes from what the writer was given.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packetOf } from '../../../../p4-int/wire/layers.ts';
import { reportV05, type ReportV05 } from '../../../../p4-int/wire/report-v05.ts';
import { reportV10, type MetadataV10 } from '../../../../p4-int/wire/report-v10.ts';
import { linesOf } from '../../../support/decoding.ts';
import {
  drop,
  ETHERNET,
  flags,
  hopJson,
  ipOf,
  known,
  notOnes,
  pick,
  queue,
  REPORT,
  RUNS,
  udp,
  uint,
  words,
} from './arbitraries.ts';

const header = { ...flags, hardwareId: uint(6), sequence: uint(32), ingressTimestamp: uint(32) };

describe('report v0.5', () => {
  const own = { switchId: uint(32), ingressPort: uint(16), egressPort: uint(16), queueId: uint(8) };
  const packet = fc.constant(packetOf([ETHERNET, ipOf(4), udp(53)]));
  const report: fc.Arbitrary<ReportV05> = fc.oneof(
    fc.record({ ...header, nProto: fc.constant(0 as const), packet }),
    fc.record({ ...header, nProto: fc.constant(1 as const), packet, drop: fc.record({ ...own, dropReason: uint(8) }) }),
    fc.record({
      ...header,
      nProto: fc.constant(2 as const),
      packet,
      local: fc.record({ ...own, queueOccupancy: uint(24), egressTimestamp: uint(32) }),
    }),
  );

  it('has every field of its headers, NProto 0, 1 and 2', () => {
    fc.assert(
      fc.property(report, (given) => {
        const lines = linesOf(reportV05(given));
        const node = given.nProto === 0 ? undefined : given.nProto === 1 ? given.drop : given.local;
        const hop = {
          ...hopJson({}, 0, REPORT),
          ingressTimestamp: String(given.ingressTimestamp),
          ...(node && {
            nodeId: node.switchId,
            ingressInterfaceId: node.ingressPort,
            egressInterfaceId: node.egressPort,
            queueId: node.queueId,
          }),
          ...(given.nProto === 2 && {
            queueOccupancy: given.local.queueOccupancy,
            egressTimestamp: String(given.local.egressTimestamp),
          }),
        };
        expect(lines).toMatchObject([
          {
            dialect: 'report-v0.5',
            hardwareId: given.hardwareId,
            sequenceNumber: given.sequence,
            ...pick(given, Object.keys(flags)),
            dropReason: given.nProto === 1 ? given.drop.dropReason : null,
            flow: { sourceAddress: '10.0.0.1', destinationPort: 53 },
            warnings: [],
          },
        ]);
        expect(lines[0].hops).toEqual([hop]);
      }),
      RUNS,
    );
  });
});

describe('report v1.0', () => {
  const level1 = fc.record({ ingressInterfaceId: known(notOnes(16)), egressInterfaceId: known(notOnes(16)) });
  const metadata: fc.Arbitrary<MetadataV10> = fc.record(
    {
      level1Interfaces: known(level1),
      hopLatency: known(notOnes(32)),
      queue: known(queue),
      egressTimestamp: known(notOnes(32)),
      drop,
      egressTxUtilization: known(notOnes(32)),
    },
    { requiredKeys: [] },
  );
  const report = fc.record({
    ...header,
    nProt: fc.integer({ min: 0, max: 2 }),
    switchId: uint(32),
    flagPlacement: fc.constantFrom('onos' as const, undefined),
    metadata,
    surplus: words(3),
  });

  it('has every field of its header, every combination of RepMdBits, both places of D, Q and F', () => {
    fc.assert(
      fc.property(report, (given) => {
        const layers = given.nProt === 2 ? [ipOf(6)] : [ipOf(4)];
        const packet = packetOf([...(given.nProt === 0 ? [ETHERNET] : []), ...layers, udp(53)]);
        const lines = linesOf(reportV10({ ...given, packet }));
        const { drop: dropped, egressTimestamp, ...other } = given.metadata;
        const hop = {
          ...hopJson(
            {
              ...other,
              nodeId: given.switchId,
              ingressTimestamp: BigInt(given.ingressTimestamp),
              egressTimestamp: typeof egressTimestamp === 'number' ? BigInt(egressTimestamp) : null,
            },
            0xffff,
            REPORT,
          ),
        };
        // The queue of a drop stands for that of its packet, where no queue is told.
        hop.queueId ??= dropped?.queueId ?? null;
        const isEarly = given.flagPlacement === 'onos' && (given.dropped || given.congestedQueue || given.trackedFlow);
        expect(lines).toMatchObject([
          {
            dialect: 'report-v1.0',
            nodeId: given.switchId,
            hardwareId: given.hardwareId,
            sequenceNumber: given.sequence,
            ...pick(given, Object.keys(flags)),
            dropReason: dropped?.dropReason ?? null,
            flow: { destinationPort: 53, protocol: 17 },
            warnings: isEarly ? ['W_DQF_MISPLACED'] : [],
          },
        ]);
        expect(lines[0].hops).toEqual([hop]);
      }),
      RUNS,
    );
  });

  it('takes all ones for a drop that is not available', () => {
    const bytes = reportV10({
      nProt: 1,
      hardwareId: 1,
      switchId: 2,
      sequence: 3,
      ingressTimestamp: 4,
      metadata: { drop: null },
      packet: packetOf([ipOf(4), udp(53)]),
    });
    expect(linesOf(bytes)[0]).toMatchObject({ dropReason: null, hops: [{ queueId: null }] });
  });
});
