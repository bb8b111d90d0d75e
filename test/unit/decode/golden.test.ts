// Real captures and vectors written from the specifications, against independent decodes, field by field.

import { describe, expect, it } from 'vitest';
import { decodeCapture } from '../../../collector/decode-command.ts';
import { linesOf } from '../../support/decoding.ts';
import { captureExpectation, capturePath, vectorBytes } from '../../support/fixtures.ts';

function decodeAll(name: string, options = {}): { lines: any[]; notes: string[]; code: number } {
  const lines: any[] = [];
  const notes: string[] = [];
  const code = decodeCapture(
    capturePath(name),
    options,
    (text) => lines.push(JSON.parse(text)),
    (text) => notes.push(text),
  );
  return { lines, notes, code };
}

function flowOf(frame: any): object {
  return {
    sourceAddress: frame.inner_ip.src,
    destinationAddress: frame.inner_ip.dst,
    protocol: frame.inner_ip.proto,
    sourcePort: frame.inner_l4.sport,
    destinationPort: frame.inner_l4.dport,
    ttl: frame.inner_ip.ttl,
    dscp: frame.shim === undefined ? frame.inner_ip.dscp : frame.shim.orig_dscp,
    ecn: frame.inner_ip.tos & 3,
    packetLengthBytes: frame.inner_ip.total_len,
    ipIdentification: frame.inner_ip.id,
    ...(frame.inner_l4.seq === undefined ? {} : { tcpSequence: frame.inner_l4.seq }),
  };
}

describe('int-xd_report-v0.5_fabric-tna', () => {
  const expected = captureExpectation('int-xd_report-v0.5_fabric-tna');
  const { lines, code } = decodeAll('int-xd_report-v0.5_fabric-tna');

  it('gives one line per frame', () => {
    expect(lines).toHaveLength(expected.length);
    expect(lines).toHaveLength(21);
    expect(code).toBe(0);
  });

  it.each(expected.map((frame, i) => [i, frame] as const))('frame %i has every value of the independent decode', (i, frame) => {
    const drop = frame.drop;
    const head = drop ?? frame.local;
    expect(lines[i]).toEqual({
      frame: i,
      report: 0,
      source: frame.outer_ip.src,
      dialect: 'report-v0.5',
      hardwareId: frame.report.hw_id,
      sequenceNumber: frame.report.seq,
      dropped: frame.report.d === 1,
      congestedQueue: frame.report.q === 1,
      trackedFlow: frame.report.f === 1,
      dropReason: drop === undefined ? null : drop.drop_reason,
      hops: [
        {
          nodeId: head.switch_id,
          ingressInterfaceId: head.ingress_port,
          egressInterfaceId: head.egress_port,
          queueId: head.queue_id,
          queueOccupancy: drop === undefined ? head.queue_occupancy : null,
          hopLatency: null,
          ingressTimestamp: String(frame.report.ingress_ts),
          egressTimestamp: drop === undefined ? String(head.egress_ts) : null,
          origin: 'report',
        },
      ],
      flow: flowOf(frame),
      warnings: [],
    });
  });
});

describe('int-md-v2.1_report-v2.0_laofan13_congested', () => {
  const expected = captureExpectation('int-md-v2.1_report-v2.0_laofan13_congested');
  const { lines } = decodeAll('int-md-v2.1_report-v2.0_laofan13_congested');

  it('gives one line per frame', () => expect(lines).toHaveLength(28));

  it.each(expected.map((frame, i) => [i, frame] as const))('frame %i has every value of the independent decode', (i, frame) => {
    expect(lines[i]).toEqual({
      frame: i,
      report: 0,
      source: frame.outer_ip.src,
      dialect: 'report-v2.0',
      hardwareId: frame.group.hw_id,
      sequenceNumber: frame.group.seq,
      nodeId: frame.group.node_id,
      dropped: false,
      congestedQueue: false,
      trackedFlow: true,
      intermediate: false,
      dropReason: null,
      hops: frame.hops_sink_first.toReversed().map((hop: any) => ({
        nodeId: hop.node_id,
        ingressInterfaceId: hop.ingress_port,
        egressInterfaceId: hop.egress_port,
        queueId: hop.queue_id,
        queueOccupancy: hop.queue_occupancy,
        hopLatency: hop.hop_latency,
        ingressTimestamp: String(hop.ingress_ts),
        egressTimestamp: String(hop.egress_ts),
        origin: 'int-md-v2.1',
        level2IngressInterfaceId: hop.l2_ingress,
        level2EgressInterfaceId: hop.l2_egress,
        egressInterfaceTxUtilization: hop.tx_util,
      })),
      flow: flowOf(frame),
      warnings: ['W_REPLEN_ZERO'],
    });
  });

  it('refuses Report Length 0 when strict', () => {
    const strict = decodeAll('int-md-v2.1_report-v2.0_laofan13_congested', { strict: true });
    expect(strict.lines).toHaveLength(28);
    expect(strict.lines.every((line) => line.rejected === 'E_REPLEN')).toBe(true);
  });
});

describe.each([
  ['int-md-v1.0_report-v1.0_onos', 28],
  // Reports of TCP packets are cut by the program: the last entry of the stack keeps its first half.
  ['int-md-v1.0_report-v1.0_onos_tcp', 15],
])('%s', (name, frames) => {
  const expected = captureExpectation(name);
  const { lines } = decodeAll(name);

  it('gives one line per frame', () => expect(lines).toHaveLength(frames));

  it.each(expected.map((frame, i) => [i, frame] as const))('frame %i has every value of the independent decode', (i, frame) => {
    const stack: any[] = frame.hops_sink_first;
    const text = (value: number | undefined): string | null => (value === undefined ? null : String(value));
    const isCut = stack.some((hop) => hop.egress_ts === undefined && stack[0].egress_ts !== undefined);
    expect(lines[i]).toEqual({
      frame: i,
      report: 0,
      source: frame.outer_ip.src,
      dialect: 'report-v1.0',
      hardwareId: frame.report.hw_id ?? frame.report.as_program_meant.hw_id,
      sequenceNumber: frame.report.seq,
      nodeId: frame.report.switch_id,
      dropped: false,
      congestedQueue: false,
      trackedFlow: true,
      dropReason: null,
      hops: stack.toReversed().map((hop) => ({
        nodeId: hop.node_id,
        ingressInterfaceId: hop.ingress_port ?? null,
        egressInterfaceId: hop.egress_port ?? null,
        hopLatency: hop.hop_latency ?? null,
        queueId: hop.queue_id ?? null,
        queueOccupancy: hop.queue_occupancy ?? null,
        // What the stack does not say of the sink, the header does.
        ingressTimestamp: text(hop.ingress_ts ?? (hop === stack[0] ? frame.report.ingress_ts : undefined)),
        egressTimestamp: text(hop.egress_ts),
        origin: 'int-md-v1.0',
        ...(hop.l2_ingress === undefined ? {} : { level2IngressInterfaceId: hop.l2_ingress }),
        ...(hop.l2_egress === undefined ? {} : { level2EgressInterfaceId: hop.l2_egress }),
        ...(hop.tx_util === undefined ? {} : { egressInterfaceTxUtilization: hop.tx_util }),
      })),
      flow: flowOf(frame),
      warnings: [...(isCut ? ['W_INT_TRUNCATED'] : []), 'W_DQF_MISPLACED', 'W_VERSION_NIBBLE'],
    });
  });

  it('strict, it is read by the letter: the flags lie among reserved bits, and no INT is looked for', () => {
    const strict = decodeAll(name, { strict: true }).lines;
    for (const line of strict) {
      expect(line).toMatchObject({ trackedFlow: false, warnings: [], flow: { dscp: 23 } });
      expect(line.hops).toHaveLength(1);
    }
  });
});

describe('int-mx_report-v2.0_asis', () => {
  const expected = captureExpectation('int-mx_report-v2.0_asis');
  const { lines } = decodeAll('int-mx_report-v2.0_asis');

  it('puts its metadata behind the inner headers: refused, and no hop is invented', () => {
    expect(lines).toHaveLength(24);
    lines.forEach((line, frame) => {
      const { individual, group } = expected[frame];
      if (individual.md_len_words > 0) expect(line.rejected).toBe('E_MD_MISPLACED');
      // Bits without metadata: the source's program reads a header that is not there.
      else if (individual.rep_md_bits !== '0000') expect(line.rejected).toBe('E_MD_SHORT');
      else if (line.rejected !== undefined) expect([frame, line.rejected]).toEqual([0, 'E_REPORT_OVERRUN']);
      else
        expect(line).toMatchObject({
          nodeId: group.node_id,
          hops: [{ nodeId: group.node_id, hopLatency: null }],
          flow: flowOf(expected[frame]),
        });
    });
    const codes = lines.map((line) => line.rejected ?? 'decoded');
    expect(codes.filter((code) => code === 'E_MD_MISPLACED')).toHaveLength(16);
    expect(codes.filter((code) => code === 'decoded')).toHaveLength(3);
  });
});

it('behind an INT-MX header the original port is restored, and the pod found in the VXLAN that it announces', () => {
  const [line] = linesOf(vectorBytes('v2-int-mx-npt1-vxlan'), { intUdpPort: 555 });
  expect(line.flow).toMatchObject({ sourceAddress: '10.244.1.17', destinationAddress: '10.244.2.33', destinationPort: 8080 });
  expect(line.hops.length).toBeLessThanOrEqual(1);
  expect(line.warnings).toEqual([]);
});

describe('Telemetry Report v1.0', () => {
  const datagram = (header: string, inner = '02000000000b02000000000a88b5'): Uint8Array => Buffer.from(header + inner, 'hex');

  it('to the letter: flags behind the reserved bits, a stack of version 1, path order, the original DSCP', () => {
    const [line] = linesOf(vectorBytes('v1-flow-int-md-3-hops'));
    expect(line).toMatchObject({
      dialect: 'report-v1.0',
      nodeId: 3,
      sequenceNumber: 42,
      hardwareId: 2,
      trackedFlow: true,
      warnings: [],
    });
    expect(line.hops.map((hop: any) => hop.nodeId)).toEqual([1, 2, 3]);
    expect(line.hops[1]).toMatchObject({
      hopLatency: 1500,
      queueId: 1,
      queueOccupancy: 20,
      ingressTimestamp: '268443648',
      egressTimestamp: '268445148',
    });
    expect(line.flow).toMatchObject({ sourcePort: 5000, destinationPort: 6000, dscp: 10 });
  });

  it('with all optional metadata: the hop of the reporter, its drop reason and its utilization', () => {
    // Length 10, RepMdBits 0x3f, D: 4 + 6 words.
    const header = '1a1f8101' + '00000009' + '00000007' + '00001000';
    const [line] = linesOf(datagram(`${header}00030004000001f4020000640000200005110000000000ff`));
    expect(line).toMatchObject({ dropped: true, dropReason: 0x11, hardwareId: 1, warnings: [] });
    expect(line.hops).toEqual([
      {
        nodeId: 9,
        ingressInterfaceId: 3,
        egressInterfaceId: 4,
        hopLatency: 500,
        queueId: 2,
        queueOccupancy: 100,
        ingressTimestamp: '4096',
        egressTimestamp: '8192',
        origin: 'report',
        egressInterfaceTxUtilization: 255,
      },
    ]);
  });

  it('metadata of the future is passed over by Length', () => {
    const [line] = linesOf(datagram('16000001000000090000000700001000' + 'deadbeefdeadbeef'));
    expect(line).toMatchObject({ dialect: 'report-v1.0', warnings: [] });
    expect(line.hops).toHaveLength(1);
  });

  it.each([
    ['shorter than its header', '140000000000000900000007000010', 'E_GROUP_SHORT'],
    ['with a Length below the fixed header', '13000001000000090000000700001000', 'E_HDR_LENGTH'],
    ['with a Length beyond the datagram', '1f000001000000090000000700001000', 'E_HDR_LENGTH'],
    ['with more metadata bits than Length has room for', '14180001000000090000000700001000', 'E_MD_SHORT'],
    ['with a next protocol that is not defined', '14600001000000090000000700001000', 'E_NPROTO'],
  ])('%s is refused', (_name, header, code) => {
    expect(linesOf(Buffer.from(header, 'hex'))[0].rejected).toBe(code);
  });

  it('where both readings of the flags are possible, the specification is right', () => {
    // Bits in either place: the later ones are the flags, the earlier ones reserved.
    expect(linesOf(datagram('14001101000000090000000700001000'))[0]).toMatchObject({
      dropped: true,
      trackedFlow: false,
      warnings: [],
    });
  });

  /** A stack of one entry behind UDP: version nibble, words of an entry, bitmap and entry as given. */
  const withStack = (head: string, bitmap: string, entry: string): any => {
    const words = 3 + entry.length / 8;
    const udp = '13881770' + '00640000';
    const ip = '455c0064000140004011' + '0000' + '0a0001010a000303';
    const shim = `0100${words.toString(16).padStart(2, '0')}28`;
    const ethernet = '02000000000b02000000000a0800';
    return linesOf(datagram('14000042000000630000002a12345678', ethernet + ip + udp + shim + head + bitmap + '0000' + entry))[0];
  };

  it('GEANT: timestamps of 64 bits and short level-2 interfaces under version 1, told by the size of an entry', () => {
    // 0xce00: node, interfaces, both timestamps, level 2: 1 + 1 + 2 + 2 + 1 words.
    const line = withStack('10000705', 'ce00', '0000006300010002' + '0000000100000002' + '0000000100000102' + '00050006');
    expect(line.warnings).toEqual(['W_INT_WIDTHS']);
    expect(line.hops).toEqual([
      expect.objectContaining({
        nodeId: 99,
        ingressTimestamp: String(2 ** 32 + 2),
        egressTimestamp: String(2 ** 32 + 258),
        level2IngressInterfaceId: 5,
        level2EgressInterfaceId: 6,
      }),
    ]);
  });

  it.each([
    ['a v0.5 header whose count contradicts its bitmap', '00060305', 'c000', '0000006300010002', 'E_HOPML'],
    ['an entry smaller than its bitmap', '10000105', 'c000', '0000006300010002', 'E_HOPML'],
    ['a stack that is no whole number of entries', '10000205', 'c000', '000000630001000200000001', 'E_INT_STACK_REMAINDER'],
    ['a bitmap without a bit', '10000205', '0000', '0000006300010002', 'E_HOPML'],
  ])('%s: the flow is kept, no hop is invented', (_name, head, bitmap, entry, code) => {
    const line = withStack(head, bitmap, entry);
    expect(line.warnings).toContain(code);
    expect(line.hops).toHaveLength(1);
    expect(line.hops[0]).toMatchObject({ nodeId: 99, ingressTimestamp: String(0x12345678) });
    expect(line.flow).toMatchObject({ sourcePort: 5000, destinationPort: 6000 });
  });
});

describe('a format that is not decoded', () => {
  it.each([
    ['netflow-v5', '00050001000000010a000001000000000000000100000000'],
    ['netflow-v9', '00090001000000010000000100000001000000010000'],
  ])('%s is counted by name', (name, hex) => {
    expect(linesOf(Buffer.from(hex, 'hex'))[0].detail).toContain(name);
  });
});

/** Patches octets of a vector. */
function patched(name: string, patch: Record<number, number>): Uint8Array {
  const bytes = vectorBytes(name);
  for (const [at, value] of Object.entries(patch)) bytes[Number(at)] = value;
  return bytes;
}

describe('deviations of v2.0 datagrams', () => {
  it('Report Length 255 means to the end, with a warning when that is not as far', () => {
    const [line] = linesOf(patched('v2-single-postcard', { 9: 0xff }));
    expect(line.warnings).toEqual(['W_REPLEN_FF_SHORT']);
    expect(line.hops[0].hopLatency).toBe(3500);
  });

  it('one to three octets behind the last report are a note', () => {
    const bytes = Buffer.concat([vectorBytes('v2-group-of-three'), Buffer.from([1, 2])]);
    expect(linesOf(bytes).map((line) => line.warnings)).toEqual([[], [], ['W_TRAILING']]);
  });

  it('a Report Length below its own contents drops the whole datagram', () => {
    const [line, ...rest] = linesOf(patched('v2-single-postcard', { 9: 9 }));
    expect(line).toMatchObject({ rejected: 'E_REPLEN' });
    expect(line.detail).toContain('octet 8');
    expect(rest).toEqual([]);
  });

  it('a group header alone is no report', () => {
    expect(linesOf(vectorBytes('v2-single-postcard').subarray(0, 8))[0].rejected).toBe('E_NO_REPORT');
  });

  it('a v0.5 drop report has one hop and its reason', () => {
    const hex =
      '01800001000000120000100000000001' +
      '0104010c01470000' +
      '000000000002000000000001' +
      '0800' +
      '45000028000140004006' +
      '26ca0a0100010a020002' +
      '0400005000000001000000015018ffff00000000';
    const [line] = linesOf(Buffer.from(hex, 'hex'));
    expect(line).toMatchObject({ dropped: true, dropReason: 71, sequenceNumber: 18 });
    expect(line.hops).toEqual([expect.objectContaining({ nodeId: 1, egressInterfaceId: 268, queueId: 1, hopLatency: null })]);
  });

  it('a v2.0 drop report has its reason, and the flow behind a VLAN tag', () => {
    const hex =
      '2000000900000102131302a04001000000000000' +
      '0015000004500000' +
      '02000000000b02000000000a8100a0640800' +
      '450000280001400040064e7dc000020ac6336414' +
      '9c400016112233440000000050' +
      '02ffff00000000' +
      '0000';
    const [line] = linesOf(Buffer.from(hex, 'hex'));
    expect(line).toMatchObject({ dropped: true, dropReason: 80, flow: { sourceAddress: '192.0.2.10', destinationPort: 22 } });
    expect(line.hops[0]).toMatchObject({ nodeId: 258, ingressInterfaceId: 21, queueId: 4 });
  });

  it('InType IPv4 with an Ethernet frame behind it is read as Ethernet, with a warning', () => {
    const [line] = linesOf(patched('v2-single-postcard', { 8: 0x14 }));
    expect(line.warnings).toContain('W_INTYPE_MISMATCH');
    expect(line.flow).toMatchObject({ sourceAddress: '10.244.1.17', destinationPort: 8080 });
  });

  it('all ones in a whole unit are not available, in one half of a pair only that half', () => {
    const ones = { 20: 0xff, 21: 0xff, 24: 0xff, 25: 0xff, 26: 0xff, 27: 0xff };
    const [line] = linesOf(patched('v2-single-postcard', ones));
    expect(line.hops[0]).toMatchObject({ ingressInterfaceId: null, egressInterfaceId: 48, hopLatency: null, queueId: 3 });
  });
});

describe('framing', () => {
  it('a group header with nothing or one to three octets behind it has no report', () => {
    for (const rest of ['', '00', '000000']) {
      expect(linesOf(Buffer.from(`2000006400000103${rest}`, 'hex'))).toMatchObject([{ rejected: 'E_NO_REPORT' }]);
    }
  });

  it('Report Length 0 is tolerated in the first report only', () => {
    const [first] = [vectorBytes('v2-single-postcard')];
    const second = Buffer.concat([first, Buffer.from('14000120' + '4000000000000000' + '00010002', 'hex')]);
    expect(linesOf(second)).toMatchObject([{ rejected: 'E_REPLEN' }]);
  });

  it('reserved metadata bits take room only where MD Length has it', () => {
    const report = (bits: string, md: string): Buffer =>
      Buffer.from(
        `2000000100000007` +
          `13${(2 + md.length / 8).toString(16).padStart(2, '0')}0${md.length / 8}20` +
          `${bits}000000000000` +
          md,
        'hex',
      );
    for (const bits of ['c000', '4040']) {
      const [line] = linesOf(report(bits, '00010002'));
      expect(line.hops[0]).toMatchObject({ ingressInterfaceId: 1, egressInterfaceId: 2 });
    }
    const [withNodeId] = linesOf(report('c000', '0000000700010002'));
    expect(withNodeId.hops[0]).toMatchObject({ ingressInterfaceId: 1, egressInterfaceId: 2 });
  });

  it('a v0.5 report that looks like sFlow or NetFlow at first sight is told apart by the Ethernet frame in it', () => {
    const frame = Buffer.from(vectorBytes('v05-fabric-tna-local')).subarray(28);
    for (const head of ['0000000500000001', '0005000100000001']) {
      const [line] = linesOf(Buffer.concat([Buffer.from(`${head}00001000`, 'hex'), frame]));
      expect(line).toMatchObject({ dialect: 'report-v0.5', flow: { destinationPort: 80 } });
    }
  });

  it('a small datagram cannot fill the batch with hops that were cut off', () => {
    const cut =
      '040c0020' +
      '455c0030000140004011000' +
      '00a0000010a000002' +
      '1388177000400000' +
      '10ff002820000107' +
      '80000000' +
      '00000000' +
      '00000007';
    const good = Buffer.from(vectorBytes('v2-single-postcard')).subarray(8);
    const bytes = Buffer.concat([
      Buffer.from('2000000100000007', 'hex'),
      ...Array.from({ length: 1200 }, () => Buffer.from(cut, 'hex')),
      good,
    ]);
    const lines = linesOf(bytes);
    expect(lines).toHaveLength(1201);
    expect(lines.at(-1).hops).toHaveLength(1);
    expect(lines.at(-1).hops[0].hopLatency).toBe(3500);
    expect(lines[0].hops).toHaveLength(252);
    expect(lines[1000].warnings).toEqual(['W_INT_TRUNCATED']);
    expect(lines.reduce((sum, line) => sum + line.hops.length, 0)).toBeLessThan(20_000);
  });
});

describe('the packet inside', () => {
  /** An inner-only report (RepType 0) of this type with these contents. */
  const inner = (type: number, contents: string): Buffer => {
    const padded = contents.padEnd(Math.ceil(contents.length / 8) * 8, '0');
    return Buffer.from(`2000000100000007` + `0${type}${(padded.length / 8).toString(16).padStart(2, '0')}0020` + padded, 'hex');
  };
  const IPV6 = '60000000' + '0040';
  const ADDRESSES = 'fd000000000000000000000000000011' + 'fd000000000000000000000000000022';
  const UDP = '1388177000400000';
  const IPV4 = '4500003000014000401100000a0000010a000002';

  it.each([
    [
      'behind an authentication header',
      `${IPV6}3340${ADDRESSES}` + '1104000000000000' + '0000000000000000' + '0000000000000000' + UDP,
      5000,
    ],
    [
      'behind hop-by-hop and destination options',
      `${IPV6}0040${ADDRESSES}` + '3c00000000000000' + '1100000000000000' + UDP,
      5000,
    ],
    ['of a first fragment', `${IPV6}2c40${ADDRESSES}` + '1100000100000001' + UDP, 5000],
    ['of a later fragment are not read', `${IPV6}2c40${ADDRESSES}` + '3c00000900000001' + '1100000000000000' + UDP, null],
  ])('IPv6 ports %s', (_name, packet, port) => {
    const [line] = linesOf(inner(5, packet));
    expect(line.flow).toMatchObject({ sourceAddress: 'fd00::11', sourcePort: port });
  });

  /** Headers of outer packets between nodes, and of a pod's packet inside; lengths are not looked at where they do not matter. */
  const outer4 = (protocol: string): string => `450000640001000040${protocol}0000ac120004ac120003`;
  const outer6 = (protocol: string): string => `600000000040${protocol}40${ADDRESSES}`;
  const udpTo = (port: number): string => `ee48${port.toString(16).padStart(4, '0')}00500000`;
  const POD4 = `45000030000100004011000` + `00af401110af40221${UDP}`;
  const POD6 = `600000000008114020010db8000000000000000000000001` + `20010db8000000000000000000000002${UDP}`;
  const FRAME = '02000000000b02000000000a0800';
  const pod4 = { sourceAddress: '10.244.1.17', destinationAddress: '10.244.2.33', sourcePort: 5000, destinationPort: 6000 };
  const pod6 = { sourceAddress: '2001:db8::1', destinationAddress: '2001:db8::2', sourcePort: 5000, destinationPort: 6000 };

  it.each([
    ['IP in IP, as Calico has it', 4, outer4('04') + POD4, pod4, {}],
    ['IPv6 in IPv4', 4, outer4('29') + POD6, pod6, {}],
    ['IPv4 in IPv6', 5, outer6('04') + POD4, pod4, {}],
    ['GRE without a key', 4, `${outer4('2f')}00000800${POD4}`, pod4, {}],
    [
      'GRE with checksum, key and sequence number',
      4,
      `${outer4('2f')}b00086dd000000000000002a00000001${POD6}`,
      pod6,
      { greKey: 42 },
    ],
    ['GRE with an Ethernet frame', 4, `${outer4('2f')}20006558ffffffff${FRAME}${POD4}`, pod4, { greKey: 0xffffffff }],
    [
      'Geneve with options',
      4,
      `${outer4('11')}${udpTo(6081)}0240655800000700` + `0102800100000000` + FRAME + POD4,
      pod4,
      { vni: 7 },
    ],
    ['Geneve with an IP packet', 4, `${outer4('11')}${udpTo(6081)}000086dd00000000${POD6}`, pod6, { vni: 0 }],
    ['VXLAN-GPE with IPv6', 4, `${outer4('11')}${udpTo(4790)}0c00000200000500${POD6}`, pod6, { vni: 5 }],
    ['VXLAN-GPE without a next protocol', 4, `${outer4('11')}${udpTo(4790)}0800000000000500${FRAME}${POD4}`, pod4, { vni: 5 }],
    ['two MPLS labels', 3, `02000000000b02000000000a8847` + '0006402d' + '0006413e' + POD4, pod4, {}],
    ['Geneve in IP in IP', 4, outer4('04') + outer4('11') + udpTo(6081) + '0000080000000900' + POD4, pod4, { vni: 9 }],
  ])('of a pod is found in %s', (_name, type, packet, flow, tunnel) => {
    const [line] = linesOf(inner(type, packet));
    expect(line.flow).toMatchObject({ ...flow, protocol: 17 });
    expect({ vni: line.flow.vni, greKey: line.flow.greKey }).toEqual({ vni: undefined, greKey: undefined, ...tunnel });
    expect(line.warnings).toEqual([]);
  });

  it('SCTP shows its ports', () => {
    expect(linesOf(inner(4, `${outer4('84')}0e8c1f90`))[0].flow).toMatchObject({
      protocol: 132,
      sourcePort: 3724,
      destinationPort: 8080,
    });
  });

  it.each([
    ['GRE of another version', `${outer4('2f')}00010800${POD4}`, []],
    ['GRE that is cut in its key', `${outer4('2f')}20000800`, ['W_INNER_TRUNCATED']],
    ['Geneve whose options reach beyond the fragment', `${outer4('11')}${udpTo(6081)}3f00655800000700`, ['W_INNER_TRUNCATED']],
    ['Geneve with a payload that is not known', `${outer4('11')}${udpTo(6081)}0000123400000700${POD4}`, []],
    ['IP in IP that is cut', `${outer4('04')}45000030`, ['W_INNER_TRUNCATED']],
    ['IP in IP in IP, and so on without an end', outer4('04').repeat(12), []],
  ])('%s leaves the flow that was there', (_name, packet, warnings) => {
    const [line] = linesOf(inner(4, packet));
    expect(line.flow).toMatchObject({ sourceAddress: '172.18.0.4', destinationAddress: '172.18.0.3' });
    expect(line.warnings).toEqual(warnings);
  });

  it('padding behind a short packet is not ports', () => {
    const short = IPV4.replace('45000030', '45000014');
    expect(linesOf(inner(4, short + 'aaaabbbb'))[0].flow).toMatchObject({ sourceAddress: '10.0.0.1', sourcePort: null });
  });

  it.each([
    ['IPv6 announced as IPv4', 4, `${IPV6}1140${ADDRESSES}${UDP}`],
    ['IPv4 announced as IPv6', 5, IPV4 + UDP],
    ['Ethernet with a VLAN tag announced as IPv4', 4, '00000f02020000000f0102008100000a0800' + IPV4 + UDP],
  ])('%s is read as what it is, with a warning', (_name, type, contents) => {
    const [line] = linesOf(inner(type, contents));
    expect(line.warnings).toEqual(['W_INTYPE_MISMATCH']);
    expect(line.flow).toMatchObject({ sourcePort: 5000, destinationPort: 6000 });
  });

  it('contents that are nothing known have no flow and a warning', () => {
    const [line] = linesOf(inner(4, 'deadbeefdeadbeefdeadbeefdeadbeef'));
    expect([line.flow, line.warnings]).toEqual([null, ['W_INTYPE_MISMATCH']]);
  });

  it('an IPv4-mapped IPv6 address stays IPv6', () => {
    const mapped = `${IPV6}1140` + '00000000000000000000ffff0a000001' + 'fd000000000000000000000000000022' + UDP;
    expect(linesOf(inner(5, mapped))[0].flow.sourceAddress).toContain('::ffff:');
  });
});

describe('INT-MD v2.1 stacks', () => {
  // Two hops (node id and ingress timestamp, HopML 3) behind UDP with DSCP 0x17; the newest is the reporter, node 7.
  const packet = (hops: string, words: number): string =>
    '455c0050000140004011000' +
    '00a0000010a000002' +
    '1388177000400000' +
    `10${words.toString(16).padStart(2, '0')}0028` +
    '20000305' +
    '88000000' +
    '00000000' +
    hops;
  const report = (inner: string, metadataBits = '0000', metadata = ''): Buffer => {
    const body = `${metadataBits}000000000000${metadata}${inner}`;
    const padded = body.padEnd(Math.ceil(body.length / 8) * 8, '0');
    const words = (padded.length / 8).toString(16).padStart(2, '0');
    const md = (metadata.length / 8).toString(16).padStart(2, '0');
    return Buffer.from(`2000000100000007` + `14${words}${md}20` + padded, 'hex');
  };
  const newest = '00000007' + '00000000000003e8';
  const source = '00000005' + 'ffffffffffffffff';

  it('lists hops oldest first, restores the DSCP, and does not add the sink twice', () => {
    const [line] = linesOf(report(packet(newest + source, 9)));
    expect(line.hops.map((hop: any) => [hop.nodeId, hop.ingressTimestamp])).toEqual([
      [5, null],
      [7, '1000'],
    ]);
    expect(line.flow).toMatchObject({ dscp: 10, sourcePort: 5000, destinationPort: 6000 });
    expect(line.warnings).toEqual([]);
  });

  it("appends the reporter's own hop from the main contents when it is not in the stack", () => {
    const other = '00000006' + '00000000000003e8';
    const [line] = linesOf(report(packet(other + source, 9), '4000', '00010002'));
    expect(line.hops.map((hop: any) => hop.nodeId)).toEqual([5, 6, 7]);
    expect(line.hops[2]).toMatchObject({ ingressInterfaceId: 1, egressInterfaceId: 2 });
  });

  it('keeps the newest hops of a cut stack and lists the cut ones with nulls', () => {
    // The last word of a cut fragment may be fill in part: nothing in it is believed.
    const [line] = linesOf(report(packet(newest + '00000005', 9)));
    expect(line.hops.map((hop: any) => [hop.nodeId, hop.ingressTimestamp])).toEqual([
      [null, null],
      [7, '1000'],
    ]);
    expect(line.warnings).toEqual(['W_INT_TRUNCATED']);
  });

  it.each([
    ['E_INT_STACK_REMAINDER', packet(newest + source, 10)],
    ['E_INT_LENGTH', packet(newest + source, 2)],
    ['E_INT_VERSION', packet(newest + source, 9).replace('20000305', '30000305')],
    ['E_HOPML', packet(newest + source, 9).replace('20000305', '20000205')],
  ])('%s spoils only the INT part: the flow stays', (code, inner) => {
    const [line] = linesOf(report(inner));
    expect(line.warnings).toContain(code);
    expect(line.flow).toMatchObject({ sourceAddress: '10.0.0.1', sourcePort: 5000 });
    expect(line.hops.map((hop: any) => hop.nodeId)).toEqual([7]);
  });

  it("completes the reporter's stack entry from the main contents, and overwrites nothing in it", () => {
    const [line] = linesOf(report(packet(newest + source, 9), '5801', '00010002' + '05000010' + '0000000000000001' + '04500000'));
    expect(line.hops).toHaveLength(2);
    expect(line.hops[1]).toMatchObject({
      nodeId: 7,
      egressInterfaceId: 2,
      queueId: 5,
      queueOccupancy: 16,
      ingressTimestamp: '1000',
    });
    expect(line.dropReason).toBe(0x50);
  });

  it('a stack without node ids does not hide the reporter', () => {
    const nameless = packet('000002bc' + '00000190', 5)
      .replace('20000305', '20000105')
      .replace('88000000', '20000000');
    const [line] = linesOf(report(nameless, '4000', '00010002'));
    expect(line.hops.map((hop: any) => [hop.nodeId, hop.hopLatency])).toEqual([
      [null, 400],
      [null, 700],
      [7, null],
    ]);
    expect(linesOf(report(nameless))[0].hops).toHaveLength(2);
  });

  it.each([
    ['E_INT_STACK_REMAINDER', packet(newest + source, 10)],
    ['E_HOPML', packet(newest + source, 9).replace('20000305', '20000205')],
  ])('%s does not keep the original DSCP from being restored', (_code, inner) => {
    expect(linesOf(report(inner))[0].flow.dscp).toBe(10);
  });

  it('NPT 2: the original header follows the stack, VXLAN and all; NPT 3 is no INT', () => {
    const vxlan =
      '08000000' +
      '00000500' +
      '00000f02020000000f010200' +
      '0800' +
      '4500003000014000401100000a0101010a020202' +
      '0bb80fa000200000';
    const inserted = packet(newest + source, 9)
      .replace('1009', '1809')
      .replace('10090028', '18090011');
    const withOriginal = inserted.replace('0028', '0011') + 'd9032118' + '00400000' + vxlan;
    const [line] = linesOf(report(withOriginal));
    expect(line.flow).toMatchObject({ sourceAddress: '10.1.1.1', destinationPort: 4000, vni: 5 });
    const [none] = linesOf(report(packet(newest + source, 9).replace('10090028', '1c090028')));
    expect(none.flow).toMatchObject({ sourcePort: 5000, protocol: 17, dscp: 23 });
    expect(none.hops.map((hop: any) => hop.nodeId)).toEqual([7]);
  });

  it('is found by a configured UDP port as well', () => {
    const byPort = packet(newest + source, 9)
      .replace('455c', '4500')
      .replace('13881770', '13881234')
      .replace('10090028', '140921b5');
    expect(linesOf(report(byPort))[0].hops).toHaveLength(1);
    const [line] = linesOf(report(byPort), { intUdpPort: 0x1234 });
    expect(line.hops).toHaveLength(2);
    expect(line.flow.destinationPort).toBe(0x21b5);
  });

  it('DSCP 23 without an INT shim is an ordinary packet', () => {
    const [line] = linesOf(report('455c0050000140004011000' + '00a0000010a000002' + '1388177000400000' + 'deadbeefdeadbeef'));
    expect(line.warnings).toEqual([]);
    expect(line.flow.dscp).toBe(23);
  });
});
