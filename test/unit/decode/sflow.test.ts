// sFlow of a real agent, sample by sample against an independent decode; and structures that Open vSwitch does not send, octet by octet.

import { describe, expect, it } from 'vitest';
import { decodeCapture } from '../../../collector/decode-command.ts';
import { linesOf } from '../../support/decoding.ts';
import { captureExpectation, capturePath } from '../../support/fixtures.ts';

const NAME = 'sflow-v5_open-vswitch';
const NOT_TOLD = 4_294_967_295;

function linesByFrame(): any[][] {
  const frames: any[][] = [];
  decodeCapture(
    capturePath(NAME),
    {},
    (text) => {
      const line = JSON.parse(text) as { frame: number };
      (frames[line.frame] ??= []).push(line);
    },
    (text) => expect.unreachable(text),
  );
  return frames;
}

/** Interfaces as the two upper bits of a sample's word mean them. */
function interfaceOf(word: number): number | null {
  return word >>> 30 === 0 && word !== 0 && word !== 0x3fff_ffff ? word : null;
}

function sumOf(record: any, names: string[]): number | null {
  const told = names.map((name) => Number(record[name])).filter((value) => value !== NOT_TOLD);
  return told.length === 0 ? null : told.reduce((sum, value) => sum + value, 0);
}

describe(NAME, () => {
  const frames = linesByFrame();
  const expected = captureExpectation(NAME);

  it('has all datagrams, samples and interfaces', () => {
    expect(frames).toHaveLength(22);
    expect(frames.flat().filter((line) => line.hops !== undefined)).toHaveLength(116);
    // Five interfaces, four times; the samples of the bridge itself carry none.
    expect(frames.flat().filter((line) => line.interfaceId !== undefined)).toHaveLength(20);
  });

  it.each(expected.map((datagram, i) => [i, datagram] as const))(
    'frame %i has every value of the independent decode',
    (i, datagram) => {
      const reports = frames[i].filter((line) => line.hops !== undefined);
      const flows = datagram.samples.filter((sample: any) => sample.kind === 'flow');
      expect(reports).toHaveLength(flows.length);
      flows.forEach((sample: any, n: number) => {
        const { header } = sample;
        const discarded = sample.output >>> 30 === 1;
        const hasIp = header.ipVersion !== undefined;
        expect(reports[n]).toMatchObject({
          agent: datagram.agent,
          dialect: 'sflow-v5',
          hardwareId: datagram.subAgentId,
          sequenceNumber: datagram.sequence,
          packets: sample.samplingRate,
          dropped: discarded,
          dropReason: discarded ? sample.output & 0x3fff_ffff : null,
          hops: [{ ingressInterfaceId: interfaceOf(sample.input), egressInterfaceId: interfaceOf(sample.output) }],
        });
        if (!hasIp) return expect(reports[n].flow).toBeNull();
        expect(reports[n].flow).toMatchObject({
          sourceAddress: header.ipSource,
          destinationAddress: header.ipDestination,
          // Behind hop-by-hop options stands the real protocol.
          protocol: header.ipProtocol === 0 ? 58 : header.ipProtocol,
          ttl: header.ttl,
          dscp: header.dscp,
          ecn: header.ecn,
          packetLengthBytes: header.ipTotalLength,
          sourcePort: header.sourcePort ?? null,
          destinationPort: header.destinationPort ?? null,
          ...(header.ipId === undefined ? {} : { ipIdentification: header.ipId }),
          ...(header.tcpSequence === undefined ? {} : { tcpSequence: header.tcpSequence }),
        });
        const vlan = header.vlanId ?? sample.records.find((record: any) => record.format === 1001).sourceVlan;
        expect(reports[n].vlanId ?? 0).toBe(vlan);
      });

      const links = frames[i].filter((line) => line.interfaceId !== undefined);
      const counters = datagram.samples
        .filter((sample: any) => sample.kind === 'counters')
        .flatMap((sample: any) => sample.records.filter((record: any) => record.format === 1));
      expect(links).toHaveLength(counters.length);
      counters.forEach((record: any, n: number) => {
        expect(links[n]).toMatchObject({
          interfaceId: record.ifIndex,
          speedBitsPerSecond: Number(record.speed),
          adminUp: (record.status & 1) !== 0,
          operationalUp: (record.status & 2) !== 0,
          receive: {
            octets: Number(record.ifInOctets),
            packets: sumOf(record, ['ifInUcastPkts', 'ifInMulticastPkts', 'ifInBroadcastPkts']),
            discards: Number(record.ifInDiscards),
            errors: Number(record.ifInErrors),
          },
          transmit: {
            octets: Number(record.ifOutOctets),
            packets: sumOf(record, ['ifOutUcastPkts', 'ifOutMulticastPkts', 'ifOutBroadcastPkts']),
            discards: Number(record.ifOutDiscards),
            errors: Number(record.ifOutErrors),
          },
        });
      });
    },
  );
});

/** A datagram of the agent 10.0.0.1 with one sample of this type. */
function datagramOf(type: number, sample: string, count = 1): Buffer {
  const head = '00000005' + '00000001' + '0a000001' + '00000000' + '00000007' + '000003e8' + hex(count);
  return Buffer.from(head + hex(type) + hex(sample.length / 2) + sample, 'hex');
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

function record(format: number, data: string): string {
  return hex(format) + hex(data.length / 2) + data;
}

describe('structures beyond a software switch', () => {
  const flow = (records: string[], output = 9): string =>
    [1, 0x0000_0003, 512, 5120, 0, 3, output, records.length].map(hex).join('') + records.join('');

  it('egress queue, transit delay and queue depth make a hop with latency and occupancy', () => {
    const [line] = linesOf(datagramOf(1, flow([record(1036, hex(5)), record(1039, hex(47_000)), record(1040, hex(60_000))])));
    expect(line).toMatchObject({ packets: 512, agent: '10.0.0.1', flow: null });
    expect(line.hops[0]).toMatchObject({
      ingressInterfaceId: 3,
      egressInterfaceId: 9,
      queueId: 5,
      hopLatency: 47_000,
      queueOccupancy: 60_000,
    });
  });

  it('a delay of all ones is that long, or longer', () => {
    const [line] = linesOf(datagramOf(1, flow([record(1039, 'ffffffff')])));
    expect(line.hops[0]).toMatchObject({ hopLatency: 4_294_967_295, queueOccupancy: null });
  });

  it('an expanded sample has interfaces of 32 bits', () => {
    const sample = [1, 0, 3, 64, 640, 0, 0, 0x4000_0001, 0, 0x8000_0002, 0].map(hex).join('');
    const [line] = linesOf(datagramOf(3, sample));
    expect(line.hops[0]).toMatchObject({ ingressInterfaceId: 0x4000_0001, egressInterfaceId: 0x8000_0002 });
    expect(line.packets).toBe(64);
  });

  it('a discarded packet is a drop with its reason, beyond eight bits', () => {
    const sample = [1, 0, 3, 0, 7, 8, 259, 0].map(hex).join('');
    const [line] = linesOf(datagramOf(5, sample));
    expect(line).toMatchObject({ dropped: true, dropReason: 259 });
    expect(line.hops[0]).toMatchObject({ ingressInterfaceId: 7, egressInterfaceId: 8 });
  });

  it('samples and records that are not known are passed over by their length', () => {
    const records = [record(0x0012_3001, 'deadbeef'), record(1039, hex(1000)), record(1002, '00'.repeat(16))];
    expect(linesOf(datagramOf(1, flow(records)))[0].hops[0].hopLatency).toBe(1000);
    expect(linesOf(datagramOf(0x0012_3001, 'deadbeef'))[0]).toMatchObject({ rejected: 'E_REPTYPE' });
  });

  it.each([
    ['a version that is not 5', '00000004' + '00000001' + '0a000001' + '00'.repeat(16), 'E_VERSION'],
    ['no sample', datagramOf(1, '').subarray(0, 24).toString('hex') + '00000000', 'E_NO_REPORT'],
    ['more samples than there are', datagramOf(1, flow([]), 2).toString('hex'), 'E_REPORT_OVERRUN'],
    ['a sample that reaches beyond the datagram', datagramOf(1, flow([])).toString('hex').slice(0, -8), 'E_REPORT_OVERRUN'],
  ])('%s refuses the datagram', (_name, bytes, code) => {
    expect(linesOf(Buffer.from(bytes, 'hex'))).toEqual([expect.objectContaining({ rejected: code })]);
  });

  it('a record that reaches beyond its sample refuses that sample alone', () => {
    const bad = flow([hex(1039) + hex(400) + hex(1)]);
    const good = flow([record(1039, hex(1000))]);
    const both = Buffer.concat([datagramOf(1, bad, 2), Buffer.from(hex(1) + hex(good.length / 2) + good, 'hex')]);
    const lines = linesOf(both);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ report: 0, rejected: 'E_MD_SHORT' });
    expect(lines[1].hops[0].hopLatency).toBe(1000);
  });
});
