// What our own programs sent on real switches, against what stands at the fixed places of their reports (test/bench/record-bmv2.ts).

import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { decodeCapture } from '../../../collector/decode-command.ts';
import { captureExpectation, capturePath } from '../../support/fixtures.ts';

describe.each([
  ['int-xd_report-v2.0_hopscope', 'report-v2.0', 48, { drops: { 26: 1, 80: 2 }, hops: 1 }],
  ['int-xd_report-v0.5_hopscope', 'report-v0.5', 48, { drops: { 26: 1, 80: 2 }, hops: 1 }],
  ['int-md-v2.1_report-v2.0_hopscope', 'report-v2.0', 13, { drops: {}, hops: 3 }],
] as const)('%s', (name, dialect, reports, { drops, hops }) => {
  const expected = captureExpectation(name);
  const lines: any[] = [];
  const code = decodeCapture(
    capturePath(name),
    { profile: 'hopscope', strict: true },
    (text) => lines.push(JSON.parse(text)),
    () => {},
  );

  it('decodes whole, strictly, and without a warning', () => {
    expect(code).toBe(0);
    expect(lines).toHaveLength(reports);
    expect(expected).toHaveLength(reports);
    expect(lines.flatMap(({ warnings }) => warnings)).toEqual([]);
    expect(new Set(lines.map((line) => line.dialect))).toEqual(new Set([dialect]));
  });

  it.each(expected.map((one, i) => [i, one]))('report %i says what stands in it', (i, one) => {
    const line = lines[i];
    const own = line.hops.at(-1);
    const { sequenceNumber, nodeId, ingressInterfaceId, egressInterfaceId, ingressTimestamp } = one;
    expect(line).toMatchObject({ sequenceNumber, dropped: one.dropReason !== undefined, trackedFlow: true });
    expect(line.dropReason?.code ?? line.dropReason).toEqual(one.dropReason ?? null);
    expect(own).toMatchObject({ nodeId, ingressInterfaceId, ingressTimestamp, queueId: one.queueId });
    if (one.dropReason === undefined) {
      expect(own).toMatchObject({ egressInterfaceId, egressTimestamp: one.egressTimestamp, queueOccupancy: one.queueOccupancy });
    }
    if (one.hopLatency !== undefined) expect(own.hopLatency).toBe(one.hopLatency);
    const address = (text: string): string => ipaddr.parse(text).toString();
    const { protocol, sourcePort, destinationPort, ttl } = one;
    expect(line.flow).toMatchObject({ protocol, sourcePort, destinationPort, ttl });
    expect([line.flow.sourceAddress, line.flow.destinationAddress].map(address)).toEqual(
      [one.source, one.destination].map(address),
    );
    // The newest hop stands first in the stack, and the path begins with the oldest.
    const before = [...(one.hops ?? [])].reverse();
    expect(line.hops).toHaveLength(before.length + 1);
    before.forEach((hop, at) => expect(line.hops[at]).toMatchObject(hop));
  });

  it('has what was made to happen: drops by their reasons, and ways of so many hops', () => {
    const reasons = expected.flatMap(({ dropReason }) => dropReason ?? []);
    const counts = Object.fromEntries([...new Set(reasons)].map((code) => [code, reasons.filter((one) => one === code).length]));
    expect(counts).toEqual(drops);
    expect(Math.max(...lines.map((line) => line.hops.length))).toBe(hops);
  });
});
