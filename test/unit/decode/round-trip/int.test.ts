// INT-MD of every version out of the writers and back through the decoder: every bitmap, up to eight hops, behind UDP and TCP; whole, and cut at every
// octet. What is expected comes from the hops that the writer was given; encapsulations are in int-carriers.test.ts.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  entryWords,
  WIDTHS_GEANT,
  WIDTHS_V05,
  WIDTHS_V10,
  WIDTHS_V21,
  type IntHop,
  type StackWidths,
} from '../../../../p4-int/wire/int-stack.ts';
import { intV05 } from '../../../../p4-int/wire/int-v05.ts';
import { intV10 } from '../../../../p4-int/wire/int-v10.ts';
import { intMdV21 } from '../../../../p4-int/wire/int-v21.ts';
import { packetOf, type Layer, type OctetsLayer } from '../../../../p4-int/wire/layers.ts';
import { bitMask } from '../../../../p4-int/wire/metadata.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { reportV10 } from '../../../../p4-int/wire/report-v10.ts';
import { linesOf } from '../../../support/decoding.ts';
import { ETHERNET, hopJson, intHop, SEED, uint, type BitMeaning } from './arbitraries.ts';

/** What the writer is given beside the hops. */
interface Int {
  bitmap: number;
  hops: readonly IntHop[];
  /** E and M; v0.5 has no M. */
  maxHopCountExceeded: boolean;
  mtuExceeded: boolean;
  /** What the sink restores; the port is v0.5's. */
  dscp: number;
  port: number;
}

interface Version {
  name: string;
  meaning: BitMeaning;
  widths: StackWidths;
  hop: fc.Arbitrary<IntHop>;
  write: (int: Int) => OctetsLayer;
  /** Octets of shim and header in front of the stack. */
  headBytes: number;
  warnings: string[];
  /** Bitmaps that the version can be told by. */
  isTold?: (bitmap: number) => boolean;
}

const V10: BitMeaning = { origin: 'int-md-v1.0', level2: true, buffer: false };
const has = (bitmap: number, bit: number): number => ((bitmap & bitMask(bit)) === 0 ? 0 : 1);
const v10 = (dialect: 'onos' | 'geant' | undefined) => ({
  meaning: V10,
  hop: intHop(32, 32),
  widths: WIDTHS_V10,
  headBytes: 12,
  write: ({ dscp, port, ...int }: Int) => intV10({ ...int, dialect, remainingHops: 3, reserved: port }, dscp),
  warnings: [],
});
const VERSIONS: Version[] = [
  {
    name: 'v0.5',
    meaning: { origin: 'int-md-v0.5', level2: false, buffer: false },
    widths: WIDTHS_V05,
    hop: intHop(32, 32),
    headBytes: 12,
    write: ({ dscp, port, ...int }) => intV05({ ...int, maxHopCount: 9 }, { protocol: 17, destinationPort: port, dscp }),
    warnings: [],
  },
  { name: 'v1.0', ...v10(undefined) },
  { name: 'v1.0 as ONOS has it', ...v10('onos'), warnings: ['W_VERSION_NIBBLE'] },
  {
    name: 'v1.0 as GEANT has it',
    ...v10('geant'),
    // The sink of GEANT's programs that has lost its ingress time is told by 0.
    hop: intHop(64, 16).map((hop) => ({ ...hop, ingressTimestamp: hop.ingressTimestamp === 0n ? 1n : hop.ingressTimestamp })),
    widths: WIDTHS_GEANT,
    warnings: ['W_INT_WIDTHS'],
    isTold: (bitmap) => has(bitmap, 4) + has(bitmap, 5) !== has(bitmap, 6),
  },
  {
    name: 'v2.1',
    meaning: { origin: 'int-md-v2.1', level2: true, buffer: true },
    widths: WIDTHS_V21,
    hop: intHop(64, 32),
    headBytes: 16,
    write: ({ dscp, ...int }) => intMdV21({ ...int, remainingHops: 3 }, { kind: 'npt0', originalDscp: dscp }),
    warnings: [],
  },
];

const udp: Layer = { kind: 'udp', sourcePort: 40_001, destinationPort: 40_002 };
const tcp: Layer = { kind: 'tcp', sourcePort: 40_001, destinationPort: 40_002, sequence: 77 };
const HEAD: Layer[] = [ETHERNET, { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', dscp: 0x17 }];

/** Node 0 is none of the stack's, so that the report adds no hop. */
const inV20 = (packet: Buffer, truncateTo?: number) =>
  linesOf(
    reportGroupV20({
      hardwareId: 1,
      sequence: 2,
      nodeId: 0,
      reports: [{ repType: 0, inner: { inType: 3, packet, truncateTo } }],
    }),
  )[0];
const inV10 = (packet: Buffer) =>
  linesOf(reportV10({ nProt: 0, trackedFlow: true, hardwareId: 1, switchId: 0, sequence: 2, ingressTimestamp: 3, packet }))[0];
const ofStack = (line: any): Record<string, unknown>[] => line.hops.filter((hop: any) => hop.origin !== 'report');

/** The hops in path order, of whose octets only those before `cut` are there. */
function cutHops({ bitmap, hops }: Int, { widths, meaning }: Version, stackAt: number, cut: number): object[] {
  const entryBytes = entryWords(bitmap, widths) * 4;
  return hops.map((hop, i) => {
    const start = stackAt + (hops.length - 1 - i) * entryBytes;
    let left = 0;
    for (let bit = 0; bit < 16; bit++) {
      const upTo = bitmap & (0xffff << (15 - bit));
      if (start + entryWords(upTo, widths) * 4 <= cut) left |= bitmap & bitMask(bit);
    }
    return hopJson(hop, left, meaning);
  });
}

describe.each(VERSIONS)('INT-MD $name', (version) => {
  const int = (maxLength: number): fc.Arbitrary<Int> =>
    fc.record({
      bitmap: fc.integer({ min: 1, max: 0xffff }).filter(version.isTold ?? (() => true)),
      hops: fc.array(version.hop, { maxLength }),
      maxHopCountExceeded: fc.boolean(),
      mtuExceeded: version.name === 'v1.0 as ONOS has it' ? fc.constant(false) : fc.boolean(),
      dscp: uint(6),
      port: fc.integer({ min: 20_000, max: 60_000 }),
    });

  it('has every value of every hop, oldest first, and what INT overwrote', () => {
    fc.assert(
      fc.property(int(8), fc.boolean(), (given, isTcp) => {
        const packet = packetOf([...HEAD, isTcp ? tcp : udp, version.write(given)]);
        const isMissing = given.maxHopCountExceeded || (given.mtuExceeded && version.name !== 'v0.5');
        for (const line of [inV20(packet), inV10(packet)]) {
          expect(ofStack(line)).toEqual(given.hops.map((hop) => hopJson(hop, given.bitmap, version.meaning)));
          expect(line.flow).toMatchObject({
            protocol: isTcp ? 6 : 17,
            dscp: given.dscp,
            destinationPort: version.name === 'v0.5' ? given.port : 40_002,
            ...(isTcp ? { tcpSequence: 77 } : {}),
          });
          expect(line.warnings).toEqual([...version.warnings, ...(isMissing ? ['W_INT_HOPS_MISSING'] : [])]);
        }
      }),
      { numRuns: 300, seed: SEED },
    );
  });

  it('cut at every octet: newest entries survive, what is cut is null', () => {
    fc.assert(
      fc.property(int(4), fc.boolean(), (given, isTcp) => {
        const head = packetOf([...HEAD, isTcp ? tcp : udp]).length;
        const stackAt = head + version.headBytes;
        const packet = packetOf([...HEAD, isTcp ? tcp : udp, version.write(given)]);
        for (let cut = head; cut < packet.length; cut++) {
          const hops = cut < stackAt ? [] : cutHops(given, version, stackAt, cut);
          expect(ofStack(inV10(packet.subarray(0, cut)))).toEqual(hops);
        }
      }),
      { numRuns: 20, seed: SEED },
    );
  });

  // A stack that lacks no more octets than fill stands for cannot be told from a whole one.
  it('cut at every octet, and filled to whole words: values are right or null', () => {
    fc.assert(
      fc.property(int(4), (given) => {
        const stackAt = packetOf([...HEAD, udp]).length + version.headBytes;
        const packet = packetOf([...HEAD, udp, version.write(given)]);
        const end = stackAt + given.hops.length * entryWords(given.bitmap, version.widths) * 4;
        for (let cut = stackAt; cut < end - 3; cut++) {
          const whole = cutHops(given, version, stackAt, Infinity);
          const surviving = cutHops(given, version, stackAt, cut - 3);
          ofStack(inV20(packet, cut)).forEach((hop, i) => {
            expect(whole[i]).toMatchObject(carried(hop));
            expect(hop).toMatchObject(carried(surviving[i]));
          });
        }
      }),
      { numRuns: 20, seed: SEED },
    );
  });
});

it('INT-MD v1.0 as ONOS has it, with M set', () => {
  const write = VERSIONS[2].write({
    bitmap: 0x8000,
    hops: [{ nodeId: 5 }],
    maxHopCountExceeded: false,
    mtuExceeded: true,
    dscp: 1,
    port: 0,
  });
  expect(inV20(packetOf([...HEAD, udp, write])).hops).toMatchObject([{ nodeId: 5 }]);
});

function carried(hop: object): object {
  return Object.fromEntries(Object.entries(hop).filter(([, value]) => value !== null));
}
