// Samples of sFlow at random, each with the lines that it must come back as: flow samples of both forms, discarded packets, counters, strangers.
// Rule: keys that a line leaves out are 0 (`vlanId`) and 1 (`packets`) here.

import fc from 'fast-check';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import type { SflowCounterRecord, SflowFlowRecord, SflowInterfaceCounters } from '../../../../p4-int/wire/sflow-records.ts';
import type { SflowInterface, SflowSample } from '../../../../p4-int/wire/sflow.ts';
import { ETHERNET, ipv4Address, ipv6Address, octets, uint } from './arbitraries.ts';

const NOT_TOLD = 0xffff_ffff;
const INTERNAL = 0x3fff_ffff;
/** All ones are not told, and come often enough to be seen. */
const counter = fc.oneof({ weight: 4, arbitrary: uint(32) }, { weight: 1, arbitrary: fc.constant(NOT_TOLD) });
const octetCounter = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 53n }), fc.constant(2n ** 64n - 1n));
const source = fc.record({ class: fc.constant(0), index: uint(24) });
const port = fc.integer({ min: 20_000, max: 60_000 });

/** A frame and what it shows of the flow. */
interface Sampled {
  record: SflowFlowRecord;
  flow: object | null;
  vid: number;
}
const sampled: fc.Arbitrary<Sampled> = fc
  .record({
    protocol: fc.constantFrom(1, 11, 12, 5),
    vid: uint(12),
    isTagged: fc.boolean(),
    to: port,
    frameLength: uint(16),
    stripped: uint(3),
    data: octets(0, 9),
  })
  .map(({ protocol, vid, isTagged, to, frameLength, stripped, data }) => {
    const tag: Layer[] = isTagged ? [{ kind: 'vlan', vid }] : [];
    const ip: Layer =
      protocol === 12
        ? { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2' }
        : { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' };
    const link = protocol === 1 ? [ETHERNET, ...tag] : [];
    const layers: Layer[] = [...link, ip, { kind: 'udp', sourcePort: 4, destinationPort: to }, { kind: 'octets', octets: data }];
    return {
      record: { kind: 'rawHeader', protocol, frameLength, stripped, header: packetOf(layers) },
      flow: protocol === 5 ? null : { destinationPort: to, sourceAddress: protocol === 12 ? 'fd00::1' : '10.0.0.1' },
      vid: protocol === 1 && isTagged ? vid : 0,
    };
  });
const unknownRecord = fc.record({
  kind: fc.constant('unknown' as const),
  enterprise: fc.constantFrom(0, 4413, 30_065),
  format: fc.constantFrom(1005, 1021, 4000),
  body: octets(0, 20),
});
const router = fc.record({
  kind: fc.constant('router' as const),
  nextHop: fc.oneof(ipv4Address, ipv6Address, fc.constant(null)),
  sourceMask: uint(5),
  destinationMask: uint(5),
});
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const details = fc.record({
  frame: maybe(sampled),
  vlan: maybe(uint(12)),
  queue: maybe(uint(8)),
  delay: maybe(uint(32)),
  depth: maybe(uint(32)),
});
const others = fc.array(fc.oneof(unknownRecord, router), { maxLength: 3 });

/** Interfaces of a flow sample: known, unknown, internal, several; the output also a reason. */
const interfaceValue = fc.oneof(uint(20), fc.constantFrom(0, INTERNAL));
const input: fc.Arbitrary<SflowInterface> = fc.record({ format: fc.constant(0), value: interfaceValue });
const output: fc.Arbitrary<SflowInterface> = fc.oneof(
  input,
  fc.record({ format: fc.constant(1), value: uint(16) }),
  fc.record({ format: fc.constant(2), value: uint(16) }),
);
const interfaceCounters: fc.Arbitrary<SflowInterfaceCounters> = fc.record({
  kind: fc.constant('interface' as const),
  ifIndex: uint(32),
  ifType: uint(32),
  ifSpeed: octetCounter,
  ifDirection: uint(2),
  ifStatus: fc.oneof(uint(2), fc.constant(NOT_TOLD)),
  ifInOctets: octetCounter,
  ifInUcastPkts: counter,
  ifInMulticastPkts: counter,
  ifInBroadcastPkts: counter,
  ifInDiscards: counter,
  ifInErrors: counter,
  ifInUnknownProtos: counter,
  ifOutOctets: octetCounter,
  ifOutUcastPkts: counter,
  ifOutMulticastPkts: counter,
  ifOutBroadcastPkts: counter,
  ifOutDiscards: counter,
  ifOutErrors: counter,
  ifPromiscuousMode: counter,
});

/** A sample, and the line that it comes back as, if any; `links` are those of its interfaces. */
interface Given {
  sample: SflowSample;
  line?: object;
  links: object[];
}

const interfaceId = ({ format, value }: SflowInterface): number | null =>
  format === 0 && value !== 0 && value !== INTERNAL ? value : null;

function flowLine(own: any, hop: object, isDropped: boolean, reason: number | null, packets: number): object {
  return {
    dropped: isDropped,
    dropReason: reason,
    packets: Math.max(1, packets),
    vlanId: own.frame?.vid || own.vlan || 0,
    hops: [
      {
        nodeId: null,
        queueId: own.queue ?? null,
        hopLatency: own.delay ?? null,
        queueOccupancy: own.depth ?? null,
        ingressTimestamp: null,
        egressTimestamp: null,
        origin: 'sflow-v5',
        ...hop,
      },
    ],
    flow: own.frame?.flow ?? null,
    warnings: own.frame !== undefined && own.frame.flow === null ? ['W_INTYPE_RESERVED'] : [],
  };
}

function recordsOf(own: any, more: readonly SflowFlowRecord[]): SflowFlowRecord[] {
  const { frame, vlan, queue, delay, depth } = own;
  const priorities = { sourcePriority: 1, destinationVlan: 77, destinationPriority: 2 };
  return [
    ...more,
    ...(frame === undefined ? [] : [frame.record]),
    ...(vlan === undefined ? [] : [{ kind: 'switch' as const, sourceVlan: vlan, ...priorities }]),
    ...more,
    ...(queue === undefined ? [] : [{ kind: 'egressQueue' as const, queue }]),
    ...(delay === undefined ? [] : [{ kind: 'transitDelay' as const, nanoseconds: delay }]),
    ...(depth === undefined ? [] : [{ kind: 'queueDepth' as const, bytes: depth }]),
  ];
}

const head = { sequence: uint(32), source, drops: uint(32) };
export const flowSample = fc
  .record({
    ...head,
    kind: fc.constantFrom('flow' as const, 'expandedFlow' as const),
    samplingRate: uint(32),
    samplePool: uint(32),
    input,
    output,
    own: details,
    others,
  })
  .map(({ own, others: more, ...sample }): Given => {
    const isDropped = sample.output.format === 1;
    const hop = { ingressInterfaceId: interfaceId(sample.input), egressInterfaceId: interfaceId(sample.output) };
    const line = flowLine(own, hop, isDropped, isDropped ? sample.output.value : null, sample.samplingRate);
    return { sample: { ...sample, records: recordsOf(own, more) }, line, links: [] };
  });
export const discarded = fc
  .record({
    ...head,
    kind: fc.constant('discarded' as const),
    inputIfIndex: uint(32),
    outputIfIndex: uint(20),
    reason: uint(16),
    own: details,
    others,
  })
  .filter(({ inputIfIndex }) => inputIfIndex !== INTERNAL && inputIfIndex !== NOT_TOLD)
  .map(({ own, others: more, ...sample }): Given => {
    const hop = { ingressInterfaceId: sample.inputIfIndex || null, egressInterfaceId: sample.outputIfIndex || null };
    return { sample: { ...sample, records: recordsOf(own, more) }, line: flowLine(own, hop, true, sample.reason, 1), links: [] };
  });

const told = (value: number | bigint, ones: number | bigint): number | null => (value === ones ? null : Number(value));
function packetsOf(...counters: number[]): number | null {
  const known = counters.filter((one) => one !== NOT_TOLD);
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0);
}
function linkLine(c: SflowInterfaceCounters): object {
  const direction = (bytes: bigint, packets: number | null, discards: number, errors: number) => ({
    octets: told(bytes, 2n ** 64n - 1n),
    packets,
    discards: told(discards, NOT_TOLD),
    errors: told(errors, NOT_TOLD),
  });
  const received = packetsOf(c.ifInUcastPkts, c.ifInMulticastPkts, c.ifInBroadcastPkts);
  const sent = packetsOf(c.ifOutUcastPkts, c.ifOutMulticastPkts, c.ifOutBroadcastPkts);
  return {
    interfaceId: c.ifIndex,
    speedBitsPerSecond: told(c.ifSpeed, 2n ** 64n - 1n),
    adminUp: c.ifStatus === NOT_TOLD ? null : (c.ifStatus & 1) !== 0,
    operationalUp: c.ifStatus === NOT_TOLD ? null : (c.ifStatus & 2) !== 0,
    receive: direction(c.ifInOctets, received, c.ifInDiscards, c.ifInErrors),
    transmit: direction(c.ifOutOctets, sent, c.ifOutDiscards, c.ifOutErrors),
  };
}
const ethernet = uint(32).map((n): SflowCounterRecord => ({
  kind: 'ethernet',
  alignmentErrors: n,
  fcsErrors: n,
  singleCollisionFrames: n,
  multipleCollisionFrames: n,
  sqeTestErrors: n,
  deferredTransmissions: n,
  lateCollisions: n,
  excessiveCollisions: n,
  internalMacTransmitErrors: n,
  carrierSenseErrors: n,
  frameTooLongs: n,
  internalMacReceiveErrors: n,
  symbolErrors: n,
}));
export const counterSample = fc
  .record({
    kind: fc.constantFrom('counters' as const, 'expandedCounters' as const),
    sequence: uint(32),
    source,
    records: fc.array(fc.oneof(interfaceCounters, ethernet, unknownRecord), { maxLength: 4 }),
  })
  .map((sample): Given => ({ sample, links: sample.records.filter((one) => one.kind === 'interface').map(linkLine) }));
export const unknownSample = fc
  .record({
    kind: fc.constant('unknown' as const),
    enterprise: fc.constantFrom(0, 4413),
    format: fc.integer({ min: 6, max: 4095 }),
    body: octets(0, 37),
  })
  .map((sample): Given => ({ sample, line: { rejected: 'E_REPTYPE' }, links: [] }));
