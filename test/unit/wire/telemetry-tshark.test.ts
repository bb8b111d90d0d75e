// IOAM, IPFIX and sFlow as their writers write them, read by tshark's dissectors of the same specifications.

import { expect, it } from 'vitest';
import { ioamDirectExport, ioamIncrementalTrace, ioamIpv6Option, ioamPreallocatedTrace } from '../../../p4-int/wire/ioam.ts';
import { nodeWords, traceTypeBit, type IoamNode } from '../../../p4-int/wire/ioam-node.ts';
import {
  IE_DATA_LINK_FRAME_SECTION,
  IE_IP_HEADER_PACKET_SECTION,
  ipfixMessage,
  VARIABLE_LENGTH,
} from '../../../p4-int/wire/ipfix.ts';
import { packetOf, type Layer } from '../../../p4-int/wire/layers.ts';
import type { Ipv6Option } from '../../../p4-int/wire/layer-ipv6-extension.ts';
import { sflowDatagram, type SflowSample } from '../../../p4-int/wire/sflow.ts';
import { fieldsOf, TSHARK } from '../../support/tshark.ts';

const ETH: Layer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };
const INNER = packetOf([
  ETH,
  { kind: 'ipv4', source: '192.168.0.1', destination: '192.168.0.2' },
  { kind: 'udp', sourcePort: 40001, destinationPort: 40002 },
  { kind: 'octets', octets: Buffer.from('odd') },
]);

function withOption(option: Ipv6Option): Buffer {
  return packetOf([
    ETH,
    { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2', extensions: [{ kind: 'hopByHop', options: [option] }] },
    { kind: 'udp', sourcePort: 40001, destinationPort: 40002 },
  ]);
}

function datagramTo(port: number, octets: Buffer): Buffer {
  return packetOf([
    ETH,
    { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' },
    { kind: 'udp', sourcePort: 40001, destinationPort: port },
    { kind: 'octets', octets },
  ]);
}

function read(frame: Buffer, wanted: Record<string, string>): void {
  const [seen] = fieldsOf([frame], ['_ws.malformed', '_ws.expert.message', ...Object.keys(wanted)]);
  expect(seen).toEqual({ '_ws.malformed': '', '_ws.expert.message': '', ...wanted });
}

const EVERY_BIT = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 22].reduce((sum, n) => sum | traceTypeBit(n), 0);

function node(n: number): IoamNode {
  return {
    hopLimit: 60 + n,
    nodeId: n,
    interfaces: { ingressInterfaceId: n * 10, egressInterfaceId: n * 10 + 1 },
    timestampSeconds: 1000 + n,
    timestampFraction: 2000 + n,
    transitDelay: { nanoseconds: 3000 + n },
    namespaceData: 0x1000 + n,
    queueDepth: 4000 + n,
    checksumComplement: 5000 + n,
    nodeIdWide: 0xabcdef00000000n + BigInt(n),
    interfacesWide: { ingressInterfaceId: 100000 + n, egressInterfaceId: 200000 + n },
    namespaceDataWide: 0x1122334455667700n + BigInt(n),
    bufferOccupancy: 6000 + n,
    opaqueState: { schemaId: 0xabc000 + n, data: Buffer.from([n, 2, 3, 4]) },
  };
}

const PREFIX = 'ipv6.opt.ioam.trace';
const TWO_NODES = {
  [`${PREFIX}.ns`]: '42',
  [`${PREFIX}.nodelen`]: String(nodeWords(EVERY_BIT)),
  [`${PREFIX}.node.hlim`]: '62,62,61,61',
  [`${PREFIX}.node.id`]: '0x000002,0x000001',
  [`${PREFIX}.node.iif`]: '0x0014,0x000a',
  [`${PREFIX}.node.eif`]: '0x0015,0x000b',
  [`${PREFIX}.node.tss`]: '0x000003ea,0x000003e9',
  [`${PREFIX}.node.tsf`]: '0x000007d2,0x000007d1',
  [`${PREFIX}.node.trdelay`]: '0x00000bba,0x00000bb9',
  [`${PREFIX}.node.nsdata`]: '0x00001002,0x00001001',
  [`${PREFIX}.node.qdepth`]: '0x00000fa2,0x00000fa1',
  [`${PREFIX}.node.csum`]: '0x0000138a,0x00001389',
  [`${PREFIX}.node.id_wide`]: '0x00abcdef00000002,0x00abcdef00000001',
  [`${PREFIX}.node.iif_wide`]: '0x000186a2,0x000186a1',
  [`${PREFIX}.node.eif_wide`]: '0x00030d42,0x00030d41',
  [`${PREFIX}.node.nsdata_wide`]: '0x1122334455667702,0x1122334455667701',
  [`${PREFIX}.node.bufoccup`]: '0x00001772,0x00001771',
  [`${PREFIX}.node.oss.len`]: '1,1',
  [`${PREFIX}.node.oss.scid`]: '0xabc002,0xabc001',
  [`${PREFIX}.node.oss.data`]: '02020304,01020304',
};

it.skipIf(TSHARK === undefined)('reads a pre-allocated IOAM trace with every bit, free space and two nodes', () => {
  const trace = ioamPreallocatedTrace({ namespaceId: 42, traceType: EVERY_BIT, nodes: [node(1), node(2)], remainingLength: 5 });
  read(withOption(ioamIpv6Option(trace)), {
    ...TWO_NODES,
    'ipv6.opt.type': '0x01,0x31,0x01',
    'ipv6.opt.ioam.opt_type': '0',
    [`${PREFIX}.remlen`]: '5',
    [`${PREFIX}.free_space`]: '0'.repeat(40),
  });
});

it.skipIf(TSHARK === undefined)('reads an incremental IOAM trace and its flags', () => {
  const traceType = traceTypeBit(0) | traceTypeBit(3);
  const trace = ioamIncrementalTrace({
    namespaceId: 0,
    traceType,
    nodes: [{ ...node(1) }, { hopLimit: 7, nodeId: null }],
    overflow: true,
    remainingLength: 0,
  });
  read(withOption(ioamIpv6Option(trace)), {
    'ipv6.opt.type': '0x01,0x31',
    'ipv6.opt.ioam.opt_type': '1',
    [`${PREFIX}.flag.o`]: '1',
    [`${PREFIX}.nodelen`]: '2',
    [`${PREFIX}.node.hlim`]: '7,61',
    [`${PREFIX}.node.id`]: '0xffffff,0x000001',
    [`${PREFIX}.node.tsf`]: '0xffffffff,0x000007d1',
  });
});

it('writes a direct export option as one that may not change', () => {
  // tshark 4.0 does not know option type 0x11.
  const option = ioamDirectExport({ namespaceId: 3, traceType: EVERY_BIT, flowId: 77, sequence: 8 });
  expect(option.data.toString('hex')).toBe('000300c0' + 'fff00200' + '0000004d' + '00000008');
  const { type, data } = ioamIpv6Option(option);
  expect([type, ...data.subarray(0, 2)]).toEqual([0x11, 0, 4]);
});

it.skipIf(TSHARK === undefined)('reads an IPFIX message with templates and its data', () => {
  const template = {
    templateId: 256,
    fields: [
      { elementId: 8, length: 4 },
      { elementId: 1001, length: VARIABLE_LENGTH, enterprise: 99999 },
      { elementId: IE_DATA_LINK_FRAME_SECTION, length: VARIABLE_LENGTH },
      { elementId: IE_IP_HEADER_PACKET_SECTION, length: 20 },
    ],
  };
  const options = { templateId: 257, scopeFields: [{ elementId: 149, length: 4 }], fields: [{ elementId: 41, length: 8 }] };
  const message = ipfixMessage({
    exportTime: 1700000000,
    sequence: 5,
    observationDomainId: 9,
    sets: [
      { kind: 'templates', templates: [template] },
      { kind: 'optionsTemplates', templates: [options] },
      // First: tshark looks templates up by source address, which the frame section of a record changes for it.
      { kind: 'data', template: options, records: [[9, 12345678901n]] },
      {
        kind: 'data',
        template,
        records: [
          [0x0a000001, Buffer.alloc(3, 1), INNER, INNER.subarray(14, 34)],
          [0x0a000002, Buffer.alloc(300, 2), { octets: INNER, longLength: true }, INNER.subarray(14, 34)],
        ],
        padTo: 4,
      },
    ],
  });
  read(datagramTo(4739, message), {
    'cflow.version': '10',
    'cflow.len': String(message.length),
    'cflow.flowset_id': '2,3,257,256',
    'cflow.template_id': '256,257',
    'cflow.template_ipfix_field_pen': '99999',
    'cflow.srcaddr': '10.0.0.1,10.0.0.2',
    'cflow.packetsexp': '12345678901',
  });
});

const INTERFACE = { format: 0, value: 3 };
const SAMPLED = { sequence: 1, source: { class: 0, index: 3 }, samplingRate: 1000, samplePool: 50000, drops: 2 };
const SAMPLES: SflowSample[] = [
  {
    ...SAMPLED,
    kind: 'flow',
    input: INTERFACE,
    output: { format: 2, value: 4 },
    records: [
      { kind: 'rawHeader', protocol: 1, frameLength: 1518, stripped: 4, header: INNER },
      { kind: 'switch', sourceVlan: 10, sourcePriority: 1, destinationVlan: 20, destinationPriority: 2 },
      { kind: 'router', nextHop: '10.9.9.9', sourceMask: 24, destinationMask: 16 },
    ],
  },
  {
    ...SAMPLED,
    kind: 'expandedFlow',
    input: { format: 0, value: 0x7fffffff },
    output: { format: 1, value: 256 },
    records: [{ kind: 'router', nextHop: 'fd00::9', sourceMask: 64, destinationMask: 48 }],
  },
  {
    kind: 'expandedCounters',
    sequence: 2,
    source: { class: 0, index: 3 },
    records: [
      {
        kind: 'interface',
        ifIndex: 3,
        ifType: 6,
        ifSpeed: 100000000000n,
        ifDirection: 1,
        ifStatus: 3,
        ifInOctets: 1n << 40n,
        ifInUcastPkts: 11,
        ifInMulticastPkts: 12,
        ifInBroadcastPkts: 13,
        ifInDiscards: 14,
        ifInErrors: 15,
        ifInUnknownProtos: 16,
        ifOutOctets: 1n << 41n,
        ifOutUcastPkts: 21,
        ifOutMulticastPkts: 22,
        ifOutBroadcastPkts: 23,
        ifOutDiscards: 24,
        ifOutErrors: 25,
        ifPromiscuousMode: 0,
      },
    ],
  },
  {
    kind: 'counters',
    sequence: 3,
    source: { class: 0, index: 3 },
    records: [
      {
        kind: 'ethernet',
        alignmentErrors: 1,
        fcsErrors: 2,
        singleCollisionFrames: 3,
        multipleCollisionFrames: 4,
        sqeTestErrors: 5,
        deferredTransmissions: 6,
        lateCollisions: 7,
        excessiveCollisions: 8,
        internalMacTransmitErrors: 9,
        carrierSenseErrors: 10,
        frameTooLongs: 11,
        internalMacReceiveErrors: 12,
        symbolErrors: 13,
      },
    ],
  },
];

it.skipIf(TSHARK === undefined)('reads an sFlow datagram', () => {
  const datagram = sflowDatagram({ agentAddress: '10.0.0.9', subAgentId: 1, sequence: 77, uptime: 5000, samples: SAMPLES });
  read(datagramTo(6343, datagram), {
    'sflow_245.version': '5',
    'sflow_245.agent': '10.0.0.9',
    'sflow_245.sequence_number': '77',
    'sflow_245.numsamples': '4',
    'sflow_245.vlan.in': '10',
    'sflow_245.vlan.out': '20',
    'sflow_245.nexthop': '10.9.9.9',
    'sflow_245.nexthop.v6': 'fd00::9',
    'sflow_245.nexthop.src_mask': '24,64',
    'sflow_245.ifinoct': '1099511627776',
    'sflow_245.ifoutoct': '2199023255552',
    'sflow_245.ifouterr': '25',
    'sflow_245.dot3StatsSymbolErrors': '13',
    'sflow_245.ifspeed': '100000000000',
  });
});

it('writes a discarded-packet sample from an IPv6 agent, and the records that tshark 4.0 does not know', () => {
  const datagram = sflowDatagram({
    agentAddress: 'fd00::9',
    subAgentId: 0,
    sequence: 1,
    uptime: 2,
    samples: [
      {
        kind: 'discarded',
        sequence: 3,
        source: { class: 0, index: 4 },
        drops: 5,
        inputIfIndex: 6,
        outputIfIndex: 0,
        reason: 258,
        records: [
          { kind: 'egressQueue', queue: 7 },
          { kind: 'transitDelay', nanoseconds: 0xffffffff },
          { kind: 'queueDepth', bytes: 65536 },
          { kind: 'unknown', enterprise: 9999, format: 7, body: Buffer.from('abc') },
        ],
      },
    ],
  });
  const words = '00000005 00000002 fd000000 00000000 00000000 00000009 00000000 00000001 00000002 00000001 ';
  const sample = '00000005 00000050 00000003 00000000 00000004 00000005 00000006 00000000 00000102 00000004 ';
  const records = '0000040c 00000004 00000007 0000040f 00000004 ffffffff 00000410 00000004 00010000 0270f007 00000003 61626300';
  expect(datagram.toString('hex')).toBe((words + sample + records).replaceAll(' ', ''));
});
