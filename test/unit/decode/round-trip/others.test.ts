// Host-INT's two reports out of the writers and back through the decoder. What is expected comes from what the writer was given; IFA, IOAM and sFlow are
// in files of their own.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostIntDropReport, hostIntLatencyReport } from '../../../../p4-int/wire/host-int.ts';
import { linesOf } from '../../../support/decoding.ts';
import { bigNotOnes, NOTHING, notOnes, port, RUNS, uint } from './arbitraries.ts';

const address = fc.tuple(uint(8), uint(8), uint(8)).map((parts) => `10.${parts.join('.')}`);

describe('Host-INT', () => {
  const end = fc.record({
    nodeId: notOnes(32),
    level1Interfaces: fc.record({ ingressInterfaceId: notOnes(16), egressInterfaceId: notOnes(16) }),
    ingressTimestamp: bigNotOnes(32),
    egressTimestamp: bigNotOnes(32),
  });
  const head = { sequence: uint(32), hardwareId: uint(6), reportTime: uint(31) };
  const l4 = fc.oneof(
    fc.record({ kind: fc.constant('udp' as const), sourcePort: port, destinationPort: port }),
    fc.record({ kind: fc.constant('tcp' as const), sourcePort: port, destinationPort: port, sequence: uint(32) }),
  );

  it('latency: what each end knows of itself, with the sink id in front or not', () => {
    const report = fc.record({
      ...head,
      sinkNodeId: fc.option(uint(32), { nil: undefined }),
      ip: fc.record({
        kind: fc.constant('ipv4' as const),
        source: address,
        destination: address,
        dscp: uint(6),
        ecn: uint(2),
        ttl: uint(8),
        identification: uint(16),
      }),
      l4,
      source: end,
      sink: end,
      flowSequence: uint(32),
    });
    fc.assert(
      fc.property(report, (given) => {
        const lines = linesOf(hostIntLatencyReport(given));
        const { source, sink, ip } = given;
        expect(lines).toMatchObject([
          {
            dialect: 'host-int',
            hardwareId: given.hardwareId,
            sequenceNumber: given.sequence,
            nodeId: sink.nodeId,
            dropped: false,
            congestedQueue: false,
            trackedFlow: true,
            flow: {
              sourceAddress: ip.source,
              destinationAddress: ip.destination,
              protocol: given.l4.kind === 'udp' ? 17 : 6,
              sourcePort: given.l4.sourcePort,
              destinationPort: given.l4.destinationPort,
              dscp: ip.dscp,
              ecn: ip.ecn,
              ttl: ip.ttl,
              ipIdentification: ip.identification,
              ...(given.l4.kind === 'tcp' ? { tcpSequence: given.l4.sequence } : {}),
            },
            warnings: [],
          },
        ]);
        // Either end writes copies where it knows nothing.
        expect(lines[0].hops).toEqual([
          {
            ...NOTHING,
            nodeId: source.nodeId,
            ingressInterfaceId: source.level1Interfaces.ingressInterfaceId,
            ingressTimestamp: String(source.ingressTimestamp),
            origin: 'int-md-v0.5',
          },
          {
            ...NOTHING,
            nodeId: sink.nodeId,
            egressInterfaceId: sink.level1Interfaces.egressInterfaceId,
            egressTimestamp: String(sink.egressTimestamp),
            origin: 'int-md-v0.5',
          },
        ]);
      }),
      RUNS,
    );
  });

  it('drop summary: both ends, and the packets that never came', () => {
    const report = fc.record({
      ...head,
      sourceNodeId: uint(32),
      sinkNodeId: uint(32),
      sourcePort: uint(16),
      sinkPort: uint(16),
      gapTimestamp: fc.integer({ min: 1_600_000_000, max: 2_000_000_000 }),
      gapSequence: uint(32),
      gapCount: uint(32),
      flow: fc.record({
        protocol: fc.constantFrom(6 as const, 17 as const),
        source: address,
        destination: address,
        sourcePort: port,
        destinationPort: port,
      }),
    });
    fc.assert(
      fc.property(report, (given) => {
        const lines = linesOf(hostIntDropReport(given));
        const { source, destination, ...flow } = given.flow;
        expect(lines).toMatchObject([
          {
            dialect: 'host-int',
            hardwareId: given.hardwareId,
            sequenceNumber: given.sequence,
            nodeId: given.sinkNodeId,
            dropped: true,
            trackedFlow: true,
            ...(given.gapCount > 1 ? { packets: given.gapCount } : {}),
            flow: { ...flow, sourceAddress: source, destinationAddress: destination },
            warnings: [],
          },
        ]);
        expect(lines[0].hops).toEqual([
          { ...NOTHING, nodeId: given.sourceNodeId, ingressInterfaceId: given.sourcePort, origin: 'report' },
          { ...NOTHING, nodeId: given.sinkNodeId, egressInterfaceId: given.sinkPort, origin: 'report' },
        ]);
      }),
      RUNS,
    );
  });

  it('of a flow from 8.0.64.1', () => {
    const one = { nodeId: 1, level1Interfaces: null, ingressTimestamp: 1n, egressTimestamp: 1n };
    const report = hostIntLatencyReport({
      sequence: 1,
      reportTime: 2,
      ip: { kind: 'ipv4', source: '8.0.64.1', destination: '10.0.0.2' },
      l4: { kind: 'udp', sourcePort: 1, destinationPort: 33_122 },
      source: one,
      sink: one,
      flowSequence: 1,
    });
    expect(linesOf(report)).toMatchObject([{ dialect: 'host-int' }]);
  });
});
