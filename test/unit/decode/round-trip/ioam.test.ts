// IOAM traces out of the writers and back through the decoder, in IPv6 options and in IPFIX records: every bit of the trace type, free space, snapshots,
// nodes that told nothing. What is expected comes from the nodes that the writer was given.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementKeyOf, FieldRole } from '../../../../collector/decode/ipfix-template.ts';
import { nodeWords, traceTypeBit, type IoamNode } from '../../../../p4-int/wire/ioam-node.ts';
import {
  ioamDirectExport,
  ioamEdgeToEdge,
  ioamIncrementalTrace,
  ioamIpv6Option,
  ioamPreallocatedTrace,
  type IoamTrace,
} from '../../../../p4-int/wire/ioam.ts';
import { IE_DATA_LINK_FRAME_SECTION, ipfixMessage, VARIABLE_LENGTH } from '../../../../p4-int/wire/ipfix.ts';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { reportGroupV20 } from '../../../../p4-int/wire/report-v20-any.ts';
import { reportV10 } from '../../../../p4-int/wire/report-v10.ts';
import { linesOf } from '../../../support/decoding.ts';
import { bigNotOnes, ETHERNET, known, notOnes, pair, SEED, uint, words } from './arbitraries.ts';

const RUNS = { numRuns: 400, seed: SEED };
const TCP: Layer = { kind: 'tcp', sourcePort: 40_001, destinationPort: 443, sequence: 77 };
/** Node-Length has five bits, an IPv6 option 255 octets. */
const MAX_OPTION_BYTES = 240;

const told: fc.Arbitrary<IoamNode> = fc.record({
  hopLimit: uint(8),
  nodeId: known(notOnes(24)),
  interfaces: known(pair(16)),
  timestampSeconds: known(notOnes(32)),
  timestampFraction: known(fc.integer({ min: 0, max: 999_999_999 })),
  transitDelay: known(fc.record({ nanoseconds: notOnes(31), overflow: fc.boolean() })),
  namespaceData: known(notOnes(32)),
  queueDepth: known(notOnes(32)),
  checksumComplement: known(notOnes(32)),
  nodeIdWide: bigNotOnes(56),
  interfacesWide: known(pair(32)),
  namespaceDataWide: known(bigNotOnes(64)),
  bufferOccupancy: known(notOnes(32)),
  opaqueState: fc.option(fc.record({ schemaId: uint(24), data: words(3) }), { nil: undefined }),
});
const node = fc.oneof({ weight: 6, arbitrary: told }, { weight: 1, arbitrary: fc.constant<IoamNode>({}) });
/** Bits 0 to 22, one of them at least; bit 23 is reserved and stands for nothing. */
const traceType = fc
  .subarray([...Array(23).keys()], { minLength: 1 })
  .map((bits) => bits.reduce((sum, bit) => sum | traceTypeBit(bit), 0));
const trace: fc.Arbitrary<IoamTrace> = fc
  .record({
    namespaceId: uint(16),
    traceType,
    nodes: fc.array(node, { maxLength: 6 }),
    overflow: fc.boolean(),
    remainingLength: fc.integer({ min: 0, max: 20 }),
    freeSpaceFill: uint(8),
  })
  .filter((given) => ioamPreallocatedTrace(given).data.length <= MAX_OPTION_BYTES);

/** The node as JSON has it, of what the trace type asks for. */
function nodeJson(own: IoamNode, type: number): object {
  const has = (bit: number): boolean => (type & traceTypeBit(bit)) !== 0;
  const [seconds, fraction] = [own.timestampSeconds ?? null, own.timestampFraction ?? null];
  const hasTime = has(2) && has(3) && seconds !== null && fraction !== null;
  const narrow = has(1) ? own.interfaces : null;
  const wide = has(9) ? own.interfacesWide : null;
  const buffer = has(11) ? (own.bufferOccupancy ?? null) : null;
  const id = has(8) && own.nodeIdWide !== undefined ? Number(own.nodeIdWide! & 0xffff_ffffn) : has(0) ? own.nodeId : null;
  return {
    nodeId: id ?? null,
    ingressInterfaceId: wide?.ingressInterfaceId ?? narrow?.ingressInterfaceId ?? null,
    egressInterfaceId: wide?.egressInterfaceId ?? narrow?.egressInterfaceId ?? null,
    queueId: null,
    queueOccupancy: has(6) ? (own.queueDepth ?? null) : null,
    hopLatency: has(4) && own.transitDelay?.overflow === false ? own.transitDelay.nanoseconds : null,
    ingressTimestamp: hasTime ? String(BigInt(seconds) * 1_000_000_000n + BigInt(fraction)) : null,
    egressTimestamp: null,
    origin: 'ioam-trace',
    ...(buffer === null ? {} : { bufferId: 0, bufferOccupancy: buffer }),
  };
}

function warningsOf({ overflow, traceType: type, nodes }: IoamTrace): string[] {
  const isWide = (type & traceTypeBit(8)) !== 0 && nodes.some((one) => (one.nodeIdWide ?? 0n) > 0xffff_ffffn);
  return [...(overflow ? ['W_INT_HOPS_MISSING'] : []), ...(isWide ? ['W_NODE_ID_CUT'] : [])];
}

const written = (given: IoamTrace, isIncremental: boolean) =>
  isIncremental ? ioamIncrementalTrace(given) : ioamPreallocatedTrace(given);
const ipv6 = (option: ReturnType<typeof ioamIpv6Option>, kind: 'hopByHop' | 'destination' = 'hopByHop'): Layer => ({
  kind: 'ipv6',
  source: 'fd00::1',
  destination: 'fd00::2',
  extensions: [
    {
      kind,
      options: [
        { type: 5, data: Buffer.from([0, 0]) },
        ioamIpv6Option(ioamEdgeToEdge({ namespaceId: 1, sequence32: 9 })),
        ioamIpv6Option(ioamDirectExport({ namespaceId: 1, traceType: 0x80_0000, flowId: 4 })),
        option,
      ],
    },
  ],
});
const inV20 = (packet: Buffer) =>
  linesOf(
    reportGroupV20({ hardwareId: 1, sequence: 2, nodeId: 2 ** 32 - 2, reports: [{ repType: 0, inner: { inType: 3, packet } }] }),
  )[0];
const inV10 = (packet: Buffer) =>
  linesOf(
    reportV10({ nProt: 0, trackedFlow: true, hardwareId: 1, switchId: 2 ** 32 - 2, sequence: 2, ingressTimestamp: 3, packet }),
  )[0];

describe('IOAM in IPv6 options', () => {
  it('has every node, oldest first, of either trace, among other options', () => {
    fc.assert(
      fc.property(
        trace,
        fc.boolean(),
        fc.constantFrom('hopByHop' as const, 'destination' as const),
        (given, isIncremental, kind) => {
          const line = inV20(packetOf([ETHERNET, ipv6(ioamIpv6Option(written(given, isIncremental)), kind), TCP]));
          expect(line.hops).toEqual(given.nodes.map((own) => nodeJson(own, given.traceType)));
          expect(line.flow).toMatchObject({ protocol: 6, destinationPort: 443, tcpSequence: 77 });
          expect(line.warnings).toEqual(warningsOf(given));
        },
      ),
      RUNS,
    );
  });

  it('cut at every octet: no value is another one, whole nodes survive', () => {
    fc.assert(
      fc.property(trace, (given) => {
        // The newest node comes first; snapshots are as long as each node says.
        const layer = ipv6(ioamIpv6Option(written(given, true)));
        const packet = packetOf([ETHERNET, layer, TCP]);
        const hasSnapshot = (given.traceType & traceTypeBit(22)) !== 0;
        const sizes = given.nodes.map(
          (own) => nodeWords(given.traceType) * 4 + (hasSnapshot ? 4 + (own.opaqueState?.data.length ?? 0) : 0),
        );
        const bytes = sizes.reduce((sum, size) => sum + size, 0);
        // Options fill whole units of eight octets: what pads them stands behind the nodes.
        const optionEnd = packet.indexOf(written(given, true).data) + written(given, true).data.length;
        for (let cut = optionEnd - bytes; cut < optionEnd; cut++) {
          const hops = inV10(packet.subarray(0, cut)).hops.filter((hop: any) => hop.origin === 'ioam-trace');
          hops.toReversed().forEach((hop: any, n: number) => {
            const own = given.nodes.at(-1 - n)!;
            const behind = optionEnd - bytes + sizes.slice(sizes.length - 1 - n).reduce((sum, size) => sum + size, 0);
            const whole = nodeJson(own, given.traceType);
            if (behind <= cut) expect(hop).toEqual(whole);
            // A wide id that is cut leaves the narrow one.
            else if ((given.traceType & (traceTypeBit(8) | traceTypeBit(9))) === 0) {
              for (const [key, value] of Object.entries(hop)) if (value !== null) expect(whole).toHaveProperty(key, value);
            }
          });
        }
      }),
      { numRuns: 60, seed: SEED },
    );
  });

  it('has no node id where a wide one is not available and the hop limit is', () => {
    const given: IoamTrace = { namespaceId: 0, traceType: traceTypeBit(8), nodes: [{ hopLimit: 60 }], remainingLength: 0 };
    expect(inV20(packetOf([ETHERNET, ipv6(ioamIpv6Option(written(given, true))), TCP])).hops).toMatchObject([{ nodeId: null }]);
  });
});

describe('IOAM in IPFIX records', () => {
  const ELEMENT = { enterprise: 9, elementId: 1234 };
  const FLAGS = { enterprise: 9, elementId: 1235 };
  const frame = packetOf([ETHERNET, { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' }, TCP]);
  const message = fc.record({ exportTime: uint(32), sequence: uint(32), observationDomainId: uint(32) });
  const record = fc.record({ trace, flags: uint(3), longLength: fc.boolean(), other: uint(32) });

  it('has every node of every record, the flags, and the flow of the frame', () => {
    fc.assert(
      fc.property(
        message,
        fc.array(record, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        fc.boolean(),
        (head, records, isIncremental, frameFirst) => {
          const role = isIncremental ? FieldRole.ioamIncrementalTrace : FieldRole.ioamPreallocatedTrace;
          const fields = [
            { elementId: 8, length: 4 },
            { ...FLAGS, length: 1 },
            { ...ELEMENT, length: VARIABLE_LENGTH },
            { elementId: IE_DATA_LINK_FRAME_SECTION, length: VARIABLE_LENGTH },
          ];
          const order = <T>(four: T[]): T[] => (frameFirst ? four.toReversed() : four);
          const template = { templateId: 256, fields: order(fields) };
          const rows = records.map(({ trace: given, flags, longLength, other }) =>
            order([other, flags << 5, { octets: written(given, isIncremental).data, longLength }, frame]),
          );
          const bytes = ipfixMessage({
            ...head,
            sets: [
              { kind: 'templates', templates: [template] },
              { kind: 'data', template, records: rows, padTo: 4 },
            ],
          });
          const ipfixElements = new Map([
            [elementKeyOf(ELEMENT.enterprise, ELEMENT.elementId), role],
            [elementKeyOf(FLAGS.enterprise, FLAGS.elementId), FieldRole.reportFlags],
          ]);
          const lines = linesOf(bytes, { ipfixElements });
          expect(lines).toHaveLength(records.length);
          records.forEach(({ trace: given, flags }, n) => {
            expect(lines[n]).toMatchObject({
              dialect: 'ipfix',
              hardwareId: head.observationDomainId,
              sequenceNumber: head.sequence,
              dropped: (flags & 4) !== 0,
              congestedQueue: (flags & 2) !== 0,
              trackedFlow: (flags & 1) !== 0,
              flow: { sourceAddress: '10.0.0.1', destinationPort: 443, tcpSequence: 77 },
              warnings: warningsOf(given),
            });
            expect(lines[n].hops).toEqual(given.nodes.map((own) => nodeJson(own, given.traceType)));
          });
        },
      ),
      RUNS,
    );
  });
});
