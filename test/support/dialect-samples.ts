// One good datagram of each dialect and layout, out of the writers: seeds of the fuzzer, and loads of the bench.

import { elementKeyOf, FieldRole } from '../../collector/decode/ipfix-template.ts';
import { IDENTITY_PROFILE, type SourceProfile } from '../../collector/decode/profile.ts';
import { hostIntDropReport, hostIntLatencyReport } from '../../p4-int/wire/host-int.ts';
import { ifaHeader, ifaMetadata } from '../../p4-int/wire/ifa.ts';
import type { IntHop } from '../../p4-int/wire/int-stack.ts';
import { intV05 } from '../../p4-int/wire/int-v05.ts';
import { intV10 } from '../../p4-int/wire/int-v10.ts';
import { intMdV21 } from '../../p4-int/wire/int-v21.ts';
import { ioamIncrementalTrace, ioamIpv6Option, ioamPreallocatedTrace } from '../../p4-int/wire/ioam.ts';
import { traceTypeBit, type IoamNode } from '../../p4-int/wire/ioam-node.ts';
import { IE_DATA_LINK_FRAME_SECTION, ipfixMessage, VARIABLE_LENGTH } from '../../p4-int/wire/ipfix.ts';
import { packetOf, type Layer } from '../../p4-int/wire/layers.ts';
import { reportV05 } from '../../p4-int/wire/report-v05.ts';
import { reportV10 } from '../../p4-int/wire/report-v10.ts';
import { reportGroupV20 } from '../../p4-int/wire/report-v20-any.ts';
import { sflowDatagram } from '../../p4-int/wire/sflow.ts';

export interface DialectSample {
  name: string;
  bytes: Buffer;
  profile: SourceProfile;
  /** Hops, and interfaces with counters, that are in it. */
  hops: number;
}

const ETHERNET: Layer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };
const ip = (dscp = 0, protocol?: number): Layer => ({
  kind: 'ipv4',
  source: '10.0.0.1',
  destination: '10.0.0.2',
  dscp,
  protocol,
});
const UDP: Layer = { kind: 'udp', sourcePort: 40_001, destinationPort: 40_002 };
const TCP: Layer = { kind: 'tcp', sourcePort: 40_001, destinationPort: 443, sequence: 77 };
const INT_DSCP = 0x17;
const IOAM_TRACE_ELEMENT = { id: 1234, enterprise: 9 };

const hop = (n: number): IntHop => ({
  nodeId: n,
  level1Interfaces: { ingressInterfaceId: n, egressInterfaceId: n + 1 },
  hopLatency: 1000 + n,
  queue: { queueId: 3, queueOccupancy: 100 + n },
  ingressTimestamp: 5000n,
  egressTimestamp: 6000n,
});
const HOPS = [hop(1), hop(2), hop(3)];
/** Node id, interfaces, latency, queue, timestamps. */
const BITMAP = 0xfc00;

const ioamNode = (n: number): IoamNode => ({
  hopLimit: 60,
  nodeId: n,
  interfaces: { ingressInterfaceId: n, egressInterfaceId: n + 1 },
  timestampSeconds: 1000,
  timestampFraction: 2000,
  transitDelay: { nanoseconds: 3000 },
  queueDepth: 40,
});
const IOAM_NODES = [ioamNode(1), ioamNode(2), ioamNode(3)];
const IOAM_BITS = [0, 1, 2, 3, 4, 6].reduce((bits, n) => bits | traceTypeBit(n), 0);

function reportOf(packet: Buffer): Buffer {
  return reportGroupV20({
    hardwareId: 1,
    sequence: 7,
    nodeId: 9,
    reports: [{ repType: 0, trackedFlow: true, inner: { inType: 3, packet } }],
  });
}

function postcards(count: number): Buffer {
  const { nodeId: _nodeId, ...metadata } = hop(9);
  return reportGroupV20({
    hardwareId: 1,
    sequence: 7,
    nodeId: 9,
    reports: Array.from({ length: count }, () => ({
      repType: 1 as const,
      trackedFlow: true,
      metadata,
      inner: { inType: 3 as const, packet: packetOf([ETHERNET, ip(), TCP]) },
    })),
  });
}

function ipfixOf(): Buffer {
  const trace = ioamIncrementalTrace({ namespaceId: 0, traceType: IOAM_BITS, nodes: IOAM_NODES, remainingLength: 0 });
  const template = {
    templateId: 256,
    fields: [
      { elementId: IOAM_TRACE_ELEMENT.id, length: VARIABLE_LENGTH, enterprise: IOAM_TRACE_ELEMENT.enterprise },
      { elementId: IE_DATA_LINK_FRAME_SECTION, length: VARIABLE_LENGTH },
    ],
  };
  return ipfixMessage({
    exportTime: 1,
    sequence: 5,
    observationDomainId: 9,
    sets: [
      { kind: 'templates', templates: [template] },
      { kind: 'data', template, records: [[trace.data, packetOf([ETHERNET, ip(), TCP])]] },
    ],
  });
}

function sflowOf(count: number): Buffer {
  const sampled = { sequence: 1, source: { class: 0, index: 3 }, samplingRate: 1000, samplePool: 50_000, drops: 2 };
  const sample = {
    ...sampled,
    kind: 'flow' as const,
    input: { format: 0, value: 3 },
    output: { format: 0, value: 4 },
    records: [
      { kind: 'rawHeader' as const, protocol: 1, frameLength: 1518, stripped: 4, header: packetOf([ETHERNET, ip(), TCP]) },
      { kind: 'switch' as const, sourceVlan: 10, sourcePriority: 1, destinationVlan: 20, destinationPriority: 2 },
      { kind: 'egressQueue' as const, queue: 3 },
      { kind: 'transitDelay' as const, nanoseconds: 47_000 },
      { kind: 'queueDepth' as const, bytes: 60_000 },
    ],
  };
  const samples = Array.from({ length: count }, () => sample);
  return sflowDatagram({ agentAddress: '10.0.0.9', subAgentId: 0, sequence: 7, uptime: 1000, samples });
}

const end = (n: number) => ({
  nodeId: n,
  level1Interfaces: { ingressInterfaceId: n, egressInterfaceId: n },
  ingressTimestamp: 17n,
  egressTimestamp: 17n,
});

const profileOf = (own: Partial<SourceProfile>): SourceProfile => ({ ...IDENTITY_PROFILE, ...own });

/** The plain v2.0 postcard comes first: what the others are measured against. */
export const DIALECT_SAMPLES: readonly DialectSample[] = [
  ...sample('report-v2.0 postcard', postcards(1), 1),
  ...sample('report-v2.0 eight postcards', postcards(8), 8),
  ...sample(
    'report-v0.5',
    reportV05({
      nProto: 2,
      trackedFlow: true,
      hardwareId: 1,
      sequence: 7,
      ingressTimestamp: 100,
      local: { switchId: 9, ingressPort: 1, egressPort: 2, queueId: 3, queueOccupancy: 4, egressTimestamp: 900 },
      packet: packetOf([ETHERNET, ip(), TCP]),
    }),
    1,
  ),
  ...sample('report-v1.0 INT-MD v1.0', v10Of(), 3),
  ...sample(
    'INT-MD v2.1',
    reportOf(packetOf([ETHERNET, ip(INT_DSCP), UDP, intMdV21(md21(), { kind: 'npt0', originalDscp: 10 })])),
    3,
  ),
  ...sample(
    'INT-MD v0.5',
    reportOf(
      packetOf([
        ETHERNET,
        ip(INT_DSCP),
        UDP,
        intV05({ bitmap: BITMAP, hops: HOPS, maxHopCount: 8 }, { protocol: 17, destinationPort: 40_002, dscp: 10 }),
      ]),
    ),
    3,
  ),
  ...sample('host-int latency', hostIntOf(), 2),
  ...sample('host-int drop summary', hostIntDropOf(), 2),
  ...sample('IOAM in IPv6', reportOf(ioamPacket()), 3),
  ...sample('IOAM in IPFIX', ipfixOf(), 3, {
    ipfixElements: new Map([
      [elementKeyOf(IOAM_TRACE_ELEMENT.enterprise, IOAM_TRACE_ELEMENT.id), FieldRole.ioamIncrementalTrace],
    ]),
  }),
  ...sample('IFA 2.0', reportOf(ifaPacket()), 3, { ifaProtocol: 131 }),
  ...sample('sFlow v5 sample', sflowOf(1), 1),
  ...sample('sFlow v5 five samples', sflowOf(5), 5),
];

function sample(name: string, bytes: Buffer, hops: number, profile: Partial<SourceProfile> = {}): [DialectSample] {
  return [{ name, bytes, hops, profile: profileOf(profile) }];
}

function md21() {
  return { bitmap: BITMAP, hops: HOPS, remainingHops: 5 };
}

function v10Of(): Buffer {
  const packet = packetOf([ETHERNET, ip(INT_DSCP), UDP, intV10({ bitmap: BITMAP, hops: HOPS, remainingHops: 5 }, 10)]);
  return reportV10({ nProt: 0, trackedFlow: true, hardwareId: 1, switchId: 3, sequence: 7, ingressTimestamp: 9, packet });
}

function hostIntOf(): Buffer {
  return hostIntLatencyReport({
    sequence: 1,
    reportTime: 2,
    ip: { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' },
    l4: { kind: 'udp', sourcePort: 1000, destinationPort: 2000 },
    source: end(2),
    sink: end(3),
    flowSequence: 5,
  });
}

function hostIntDropOf(): Buffer {
  return hostIntDropReport({
    sequence: 2,
    reportTime: 3,
    sourceNodeId: 4,
    sinkNodeId: 5,
    sourcePort: 6,
    sinkPort: 7,
    gapTimestamp: 8,
    gapSequence: 9,
    gapCount: 10,
    flow: { protocol: 17, source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 1000, destinationPort: 2000 },
  });
}

function ioamPacket(): Buffer {
  const trace = ioamPreallocatedTrace({ namespaceId: 0, traceType: IOAM_BITS, nodes: IOAM_NODES, remainingLength: 6 });
  const options = [ioamIpv6Option(trace)];
  return packetOf([
    ETHERNET,
    { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2', extensions: [{ kind: 'hopByHop', options }] },
    TCP,
  ]);
}

function ifaPacket(): Buffer {
  const record = (n: number) => ({
    lns: 1,
    deviceId: n,
    ttl: 60,
    speed: 4,
    ecn: 0,
    queueId: 3,
    rxSeconds: 10,
    egressPort: n + 1,
    ingressPort: n,
    rxNanoseconds: 7,
    residenceNanoseconds: 3000,
    txQueueBytes: 900,
    queueCells: 5,
  });
  return packetOf([
    ETHERNET,
    ip(),
    ifaHeader({ gns: 0, nextHeader: 17, maxLength: 255 }),
    UDP,
    ifaMetadata({ requestVector: 1, hopLimit: 3, hops: [record(1), record(2), record(3)] }),
  ]);
}
