// IFA 2.0 out of the writer and back through the decoder: its records, and the flow behind its header; whole, and cut at every octet. What is expected
// comes from what the writer was given.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ifaHeader, ifaMetadata, type IfaHop } from '../../../../p4-int/wire/ifa.ts';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { reportV10 } from '../../../../p4-int/wire/report-v10.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, NOTHING, octets, port, RUNS, SEED, uint } from './arbitraries.ts';

describe('IFA', () => {
  const record: fc.Arbitrary<IfaHop> = fc.record({
    lns: uint(4),
    deviceId: uint(20),
    ttl: uint(8),
    speed: uint(4),
    ecn: uint(2),
    queueId: uint(6),
    rxSeconds: uint(20),
    egressPort: uint(16),
    ingressPort: uint(16),
    rxNanoseconds: uint(32),
    residenceNanoseconds: uint(32),
    txQueueBytes: uint(32),
    queueCells: uint(16),
  });
  const l4: fc.Arbitrary<Layer> = fc.oneof(
    fc.record({ kind: fc.constant('udp' as const), sourcePort: port, destinationPort: port }),
    fc.record({
      kind: fc.constant('tcp' as const),
      sourcePort: port,
      destinationPort: port,
      sequence: uint(32),
      options: octets(0, 40),
    }),
  );
  const ip = fc.constantFrom<Layer>(
    { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', options: Buffer.alloc(4, 1) },
    { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2' },
  );
  const stack = fc.record({
    hops: fc.array(record, { maxLength: 7 }),
    version: fc.constantFrom(2, 3),
    gns: uint(4),
    flags: uint(5),
    maxLength: uint(8),
    requestVector: uint(8),
    actionVector: fc.constantFrom(0, 0x40, 0x80, 0xc0),
    hopLimit: uint(8),
    ipProtocol: fc.constantFrom(131, 253),
  });
  const hopOf = (hop: IfaHop) => ({
    ...NOTHING,
    nodeId: hop.deviceId,
    ingressInterfaceId: hop.ingressPort,
    egressInterfaceId: hop.egressPort,
    queueId: hop.queueId,
    queueOccupancy: hop.txQueueBytes,
    hopLatency: hop.residenceNanoseconds,
    origin: 'ifa-v2.0',
  });
  const layersOf = (
    network: Layer,
    transport: Layer,
    given: Parameters<typeof ifaMetadata>[0] & { gns: number; maxLength: number },
  ) => [ETHERNET, network, ifaHeader({ ...given, nextHeader: transport.kind === 'tcp' ? 6 : 17 }), transport, ifaMetadata(given)];

  it('has every record, oldest first, and the flow behind its header; over TCP and UDP, IPv4 and IPv6', () => {
    fc.assert(
      fc.property(ip, l4, stack, (network, transport, given) => {
        const packet = packetOf(layersOf(network, transport, given));
        const reports = [{ repType: 0 as const, inner: { inType: 3 as const, packet } }];
        const bytes = reportGroupV20({ hardwareId: 1, sequence: 2, nodeId: 2 ** 32 - 1, reports });
        const [line] = linesOf(bytes, { ifaProtocol: given.ipProtocol });
        expect(line.hops).toEqual(given.hops.map(hopOf));
        const { kind, sourcePort, destinationPort } = transport as { kind: string; sourcePort: number; destinationPort: number };
        expect(line.flow).toMatchObject({ protocol: kind === 'tcp' ? 6 : 17, sourcePort, destinationPort });
        expect(line.warnings).toEqual([]);
      }),
      RUNS,
    );
  });

  it('cut at every octet: whole records survive, cut ones keep nothing', () => {
    fc.assert(
      fc.property(ip, l4, stack, (network, transport, given) => {
        const layers = layersOf(network, transport, given);
        const packet = packetOf(layers);
        const first = packet.length - given.hops.length * 32;
        for (let cut = first; cut < packet.length; cut++) {
          const part = packet.subarray(0, cut);
          const head = { nProt: 0, trackedFlow: true, hardwareId: 1, switchId: 2 ** 32 - 1, sequence: 2, ingressTimestamp: 3 };
          const [line] = linesOf(reportV10({ ...head, packet: part }), { ifaProtocol: given.ipProtocol });
          const whole = Math.floor((cut - first) / 32);
          const hops = line.hops.filter((hop: any) => hop.origin !== 'report');
          const lost = { ...NOTHING, origin: 'ifa-v2.0' };
          expect(hops).toEqual(given.hops.map((hop, i) => (given.hops.length - 1 - i < whole ? hopOf(hop) : lost)));
        }
      }),
      { numRuns: 60, seed: SEED },
    );
  });
});
