// sFlow out of the writer and back through the decoder: all kinds of samples and records, agents of both families. What is expected comes from what the
// writer was given.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sflowDatagram } from '../../../../p4-int/wire/sflow.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ipv4Address, ipv6Address, RUNS, uint } from './arbitraries.ts';
import { counterSample, discarded, flowSample, unknownSample } from './sflow-samples.ts';

const datagram = { agentAddress: fc.oneof(ipv4Address, ipv6Address), subAgentId: uint(32), sequence: uint(32), uptime: uint(32) };

it('has every sample of every kind, and every interface', () => {
  const samples = fc.array(fc.oneof(flowSample, discarded, counterSample, unknownSample), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.record(datagram), samples, (given, all) => {
      const bytes = sflowDatagram({ ...given, samples: all.map(({ sample }) => sample) });
      // Keys that are left out stand for these.
      const lines = linesOf(bytes).map((line) => ({ packets: 1, vlanId: 0, ...line }));
      const expected = all.flatMap(({ line }, report) => (line === undefined ? [] : [{ report, ...line }]));
      const links = all.flatMap((one) => one.links);
      expect(lines).toMatchObject([...expected, ...links]);
      for (const line of lines.filter(({ rejected }) => rejected === undefined)) {
        expect(line).toMatchObject({ agent: given.agentAddress, dialect: 'sflow-v5' });
      }
      for (const line of lines.filter(({ hops }) => hops !== undefined)) {
        expect(line).toMatchObject({ hardwareId: given.subAgentId, sequenceNumber: given.sequence });
      }
    }),
    RUNS,
  );
});

it('passes over a record of five octets', () => {
  const unknown = { kind: 'unknown' as const, enterprise: 4413, format: 9, body: Buffer.alloc(5, 1) };
  const records = [unknown, { kind: 'egressQueue' as const, queue: 3 }];
  const [one] = [{ format: 0, value: 7 }];
  const own = { sequence: 1, source: { class: 0, index: 3 }, samplingRate: 2, samplePool: 3, drops: 4, input: one, output: one };
  const bytes = sflowDatagram({
    agentAddress: '10.0.0.1',
    subAgentId: 0,
    sequence: 1,
    uptime: 1,
    samples: [{ kind: 'flow', ...own, records }],
  });
  expect(linesOf(bytes)).toMatchObject([{ hops: [{ queueId: 3 }] }]);
});
