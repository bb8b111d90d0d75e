// What the packet writers write, read by tshark: no checksum is bad, nothing is malformed, every field is the one that was given.

import { expect, it } from 'vitest';
import { packetOf, type Layer, type OctetsLayer } from '../../../p4-int/wire/layers.ts';
import type { TcpLayer, UdpLayer } from '../../../p4-int/wire/layer-l4.ts';
import { fieldsOf, TSHARK } from '../../support/tshark.ts';

interface Case {
  protocols: string;
  fields: Record<string, string>;
  layers: Layer[];
}

const ETH: Layer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };
const V4: Layer = { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' };
const V6: Layer = { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2' };
const INNER_V4: Layer = { kind: 'ipv4', source: '192.168.0.1', destination: '192.168.0.2', dscp: 46 };
const DATA: OctetsLayer = { kind: 'octets', octets: Buffer.from('payload of odd length') };
const TCP: TcpLayer = { kind: 'tcp', sourcePort: 40001, destinationPort: 40002, sequence: 7, acknowledgment: 9, flags: 0x18 };
const udp = (destinationPort: number, sourcePort = 40001): UdpLayer => ({ kind: 'udp', sourcePort, destinationPort });

const CASES: Record<string, Case> = {
  'IPv4 with options, TCP with options': {
    layers: [
      ETH,
      {
        ...V4,
        kind: 'ipv4',
        dscp: 46,
        ecn: 1,
        identification: 0x1234,
        dontFragment: true,
        ttl: 9,
        options: Buffer.from('94040000', 'hex'),
      },
      { ...TCP, options: Buffer.from('020405b40101080a0000000100000002', 'hex') },
      DATA,
    ] as Layer[],
    protocols: 'eth:ethertype:ip:tcp:data',
    fields: {
      'ip.hdr_len': '24',
      'ip.dsfield.dscp': '46',
      'ip.dsfield.ecn': '1',
      'ip.ttl': '9',
      'ip.len': '81',
      'ip.checksum.status': '1',
      'tcp.checksum.status': '1',
      'tcp.hdr_len': '36',
      'tcp.seq_raw': '7',
      'tcp.ack_raw': '9',
      'tcp.flags': '0x0018',
      'tcp.options.mss_val': '1460',
    },
  },
  'UDP over IPv6 with dscp and flow label': {
    layers: [
      ETH,
      { kind: 'ipv6', source: 'fd00:1::ff', destination: '2001:db8::', dscp: 26, ecn: 2, flowLabel: 0xabcde, hopLimit: 3 },
      udp(40002),
      DATA,
    ],
    protocols: 'eth:ethertype:ipv6:udp:data',
    fields: {
      'ipv6.src': 'fd00:1::ff',
      'ipv6.dst': '2001:db8::',
      'ipv6.tclass.dscp': '26',
      'ipv6.tclass.ecn': '2',
      'ipv6.flow': '0x0abcde',
      'ipv6.hlim': '3',
      'ipv6.plen': '29',
      'udp.length': '29',
      'udp.checksum.status': '1',
    },
  },
  'every IPv6 extension header': {
    layers: [
      ETH,
      {
        kind: 'ipv6',
        source: 'fd00::1',
        destination: 'fd00::2',
        extensions: [
          { kind: 'hopByHop', options: [{ type: 5, data: Buffer.alloc(2) }] },
          { kind: 'destination', options: [{ type: 0x1e, data: Buffer.from('abcde'), alignTo: 4 }] },
          {
            kind: 'routing',
            routingType: 4,
            segmentsLeft: 0,
            data: Buffer.alloc(20),
          },
          { kind: 'auth', spi: 77, sequence: 5, icv: Buffer.alloc(12) },
        ],
      },
      TCP,
    ],
    protocols: 'eth:ethertype:ipv6:ipv6.hopopts:ipv6.dstopts:ipv6.routing:ah:tcp',
    fields: {
      'ipv6.routing.type': '4',
      'ah.spi': '0x0000004d',
      'tcp.srcport': '40001',
      'tcp.checksum.status': '1',
      'ipv6.opt.type': '0x05,0x01,0x01,0x1e,0x01',
    },
  },
  'a later IPv6 fragment': {
    layers: [
      ETH,
      {
        kind: 'ipv6',
        source: 'fd00::1',
        destination: 'fd00::2',
        extensions: [{ kind: 'fragment', offsetBytes: 1448, moreFragments: true, identification: 99 }],
        nextHeader: 17,
      },
      DATA,
    ],
    protocols: 'eth:ethertype:ipv6:ipv6.fraghdr:data',
    fields: { 'ipv6.fraghdr.offset': '181', 'ipv6.fraghdr.more': '1', 'ipv6.fraghdr.ident': '0x00000063' },
  },
  'a later IPv4 fragment': {
    layers: [
      ETH,
      { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', protocol: 17, moreFragments: true, fragmentOffsetBytes: 1480 },
      DATA,
    ],
    protocols: 'eth:ethertype:ip:data',
    fields: { 'ip.frag_offset': '185', 'ip.flags.mf': '1', 'ip.checksum.status': '1' },
  },
  'QinQ, VLAN, two MPLS labels': {
    layers: [
      ETH,
      { kind: 'vlan', tpid: 0x88a8, pcp: 3, vid: 100 },
      { kind: 'vlan', pcp: 5, dropEligible: true, vid: 200 },
      {
        kind: 'mpls',
        labels: [
          { label: 16001, trafficClass: 5 },
          { label: 0xfffff, ttl: 7 },
        ],
      },
      V4,
      udp(40002),
      DATA,
    ],
    protocols: 'eth:ethertype:ieee8021ad:ethertype:vlan:ethertype:mpls:ip:udp:data',
    fields: {
      'ieee8021ad.id': '100',
      'vlan.id': '200',
      'vlan.priority': '5',
      'mpls.label': '16001,1048575',
      'mpls.exp': '5,0',
      'mpls.bottom': '0,1',
      'mpls.ttl': '64,7',
      'udp.checksum.status': '1',
    },
  },
  SCTP: {
    layers: [
      ETH,
      V4,
      { kind: 'sctp', sourcePort: 38412, destinationPort: 38413, verificationTag: 0xdeadbeef },
      { kind: 'octets', octets: Buffer.from('0300001000000001000010000000000000', 'hex').subarray(0, 16) },
    ],
    protocols: 'eth:ethertype:ip:sctp',
    fields: { 'sctp.verification_tag': '0xdeadbeef', 'sctp.checksum.status': '1', 'sctp.chunk_type': '3' },
  },
  'ICMP error with the packet inside': {
    layers: [ETH, V4, { kind: 'icmp', type: 3, code: 3 }, INNER_V4, udp(53), DATA],
    protocols: 'eth:ethertype:ip:icmp:ip:udp:dns',
    fields: { 'icmp.type': '3', 'icmp.checksum.status': '1', 'ip.src': '10.0.0.1,192.168.0.1', 'udp.dstport': '53' },
  },
  'ICMPv6 echo': {
    layers: [ETH, V6, { kind: 'icmpv6', type: 128, identifier: 0x1234, sequence: 2 }, DATA],
    protocols: 'eth:ethertype:ipv6:icmpv6:data',
    fields: { 'icmpv6.checksum.status': '1', 'icmpv6.echo.identifier': '0x1234', 'icmpv6.echo.sequence_number': '2' },
  },
  'GRE with checksum, key, sequence': {
    layers: [ETH, V4, { kind: 'gre', checksum: true, key: 1337, sequence: 8 }, ETH, INNER_V4, TCP],
    protocols: 'eth:ethertype:ip:gre:eth:ethertype:ip:tcp',
    fields: { 'gre.key': '0x00000539', 'gre.sequence_number': '8', 'gre.checksum.status': '1', 'tcp.checksum.status': '1' },
  },
  'IP in IP, 6 in 4': {
    layers: [ETH, V4, INNER_V4, V6, TCP, DATA],
    protocols: 'eth:ethertype:ip:ip:ipv6:tcp:data',
    fields: { 'ip.proto': '4,41', 'ip.len': '121,101', 'tcp.checksum.status': '1' },
  },
  'VXLAN with a VLAN inside': {
    layers: [ETH, V4, udp(4789), { kind: 'vxlan', vni: 0xabcdef }, ETH, { kind: 'vlan', vid: 5 }, INNER_V4, TCP],
    protocols: 'eth:ethertype:ip:udp:vxlan:eth:ethertype:vlan:ethertype:ip:tcp',
    fields: { 'vxlan.vni': '11259375', 'vxlan.flag_i': '1', 'udp.checksum.status': '1', 'tcp.checksum.status': '1' },
  },
  'VXLAN-GPE with IPv6 inside': {
    layers: [ETH, V4, udp(4790), { kind: 'vxlanGpe', vni: 42 }, V6, TCP],
    protocols: 'eth:ethertype:ip:udp:ipv6:tcp',
    fields: { 'vxlan.vni': '42', 'vxlan.next_proto': '2', 'tcp.checksum.status': '1' },
  },
  'Geneve with options': {
    layers: [
      ETH,
      V6,
      udp(6081),
      {
        kind: 'geneve',
        vni: 3,
        options: [
          { optionClass: 0x0102, type: 0x80, data: Buffer.from('00050006', 'hex') },
          { optionClass: 0x0103, type: 1, data: Buffer.alloc(124) },
        ],
      },
      ETH,
      INNER_V4,
      TCP,
    ],
    protocols: 'eth:ethertype:ipv6:udp:geneve:eth:ethertype:ip:tcp',
    fields: {
      'geneve.vni': '0x000003',
      'geneve.flags.critical': '1',
      'geneve.option.class': '0x0102,0x0103',
      'geneve.option.length': '136,8,128',
      'tcp.checksum.status': '1',
    },
  },
  'GTP-U without optional part': {
    layers: [ETH, V4, udp(2152, 2152), { kind: 'gtpu', teid: 5 }, V6, TCP],
    protocols: 'eth:ethertype:ip:udp:gtp:ipv6:tcp',
    fields: { 'gtp.flags': '0x30', 'gtp.teid': '0x00000005', 'gtp.length': '60', 'tcp.checksum.status': '1' },
  },
  'GTP-U with sequence, N-PDU and two extensions': {
    layers: [
      ETH,
      V4,
      udp(2152, 2152),
      {
        kind: 'gtpu',
        teid: 0xabcdef01,
        sequence: 513,
        nPdu: 7,
        extensions: [
          { kind: 'other', type: 0x40, content: Buffer.from('1234', 'hex') },
          { kind: 'pduSession', direction: 'downlink', qfi: 9, reflectiveQos: true, pagingPolicyIndicator: 5 },
        ],
      },
      INNER_V4,
      udp(40002),
      DATA,
    ],
    protocols: 'eth:ethertype:ip:udp:gtp:ip:udp:data',
    fields: {
      'gtp.flags': '0x37',
      'gtp.seq_number': '0x0201',
      'gtp.npdu_number': '0x07',
      'gtp.ext_hdr.pdu_ses_con.pdu_type': '0',
      'gtp.ext_hdr.pdu_ses_con.qos_flow_id': '9',
      'gtp.ext_hdr.pdu_ses_cont.ppp': '1',
      'gtp.ext_hdr.pdu_ses_cont.ppi': '5',
      'gtp.ext_hdr.pdu_ses_cont.rqi': '1',
    },
  },
  'GTP-U uplink': {
    layers: [
      ETH,
      V4,
      udp(2152, 2152),
      { kind: 'gtpu', teid: 1, extensions: [{ kind: 'pduSession', direction: 'uplink', qfi: 63 }] },
      INNER_V4,
      TCP,
    ],
    protocols: 'eth:ethertype:ip:udp:gtp:ip:tcp',
    fields: { 'gtp.ext_hdr.pdu_ses_con.pdu_type': '1', 'gtp.ext_hdr.pdu_ses_con.qos_flow_id': '63', 'tcp.checksum.status': '1' },
  },
};

it.skipIf(TSHARK === undefined)('tshark reads every packet as it was meant', () => {
  const names = Object.keys(CASES);
  const fields = ['frame.protocols', '_ws.malformed', ...new Set(Object.values(CASES).flatMap((c) => Object.keys(c.fields)))];
  const read = fieldsOf(
    names.map((name) => packetOf(CASES[name].layers)),
    fields,
  );
  const seen = names.map((name, index) => {
    const wanted = ['frame.protocols', '_ws.malformed', ...Object.keys(CASES[name].fields)];
    return [name, Object.fromEntries(wanted.map((field) => [field, read[index][field]]))];
  });
  const meant = names.map((name) => {
    const { protocols, fields: more } = CASES[name];
    return [name, { 'frame.protocols': protocols, '_ws.malformed': '', ...more }];
  });
  expect(seen).toEqual(meant);
});
