// TCP packets whose DSCP is that of INT and which have none: the timestamps that Linux sends (NOP, NOP, kind 8, length 10) begin like a shim of v1.0,
// type 1 with a Length of 8 words. A guard before belief.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { packetOf } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, octets, SEED } from './arbitraries.ts';

function lineOf(stamps: Buffer, payload: Buffer): any {
  const packet = packetOf([
    ETHERNET,
    { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', dscp: 0x17 },
    {
      kind: 'tcp',
      sourcePort: 1,
      destinationPort: 443,
      sequence: 9,
      options: Buffer.concat([Buffer.from([1, 1, 8, 10]), stamps]),
    },
    { kind: 'octets', octets: payload },
  ]);
  const reports = [{ repType: 0 as const, inner: { inType: 3 as const, packet } }];
  return linesOf(reportGroupV20({ hardwareId: 1, sequence: 2, nodeId: 0, reports }))[0];
}

it('the DSCP stays, whatever the timestamps', () => {
  fc.assert(
    fc.property(octets(8, 8), (stamps) => {
      expect(lineOf(stamps, Buffer.alloc(40))).toMatchObject({ hops: [], flow: { dscp: 0x17 } });
    }),
    { numRuns: 1000, seed: SEED },
  );
});

it('timestamps are no hop', () => {
  expect(lineOf(Buffer.from('1000050000010000', 'hex'), Buffer.alloc(40)).hops).toEqual([]);
});
