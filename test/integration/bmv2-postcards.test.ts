// Our programs on real switches, where BMv2 is on the path: what they report against what was on the wire. All of it is set up from a
// file, as `hopscope switch apply` does it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSwitchFile } from '../../collector/switch-file.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import type { Entry } from '../../p4-int/runtime/entry.ts';
import { Update_Type } from '../../p4-int/runtime/generated/p4runtime.ts';
import { entityOf } from '../../p4-int/runtime/plan.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import type { FlowSet, Prefix } from '../../p4-int/runtime/spec.ts';
import { askTime } from '../../p4-int/runtime/switch-clock.ts';
import { flowMatch } from '../../p4-int/runtime/wanted.ts';
import {
  bmv2Missing,
  COLLECTOR_ADDRESS,
  HOST,
  NODE,
  REPORT_PORT,
  startBmv2Fabric,
  SWITCHES,
  type Bmv2Fabric,
} from '../support/bmv2.ts';
import { ready, receiverCommand } from '../support/namespaces.ts';

const missing = bmv2Missing();
const TCP_PORT = 5001;
const UDP_PORT = 5002;
const PROGRAMS = [
  ['postcards', 'report-v2.0'],
  ['postcards-v0.5', 'report-v0.5'],
] as const;
const skipped = missing === undefined ? '' : ` (${missing})`;

describe.skipIf(missing !== undefined).each(PROGRAMS)(`%s of BMv2${skipped}`, (programName, dialect) => {
  let fabric: Bmv2Fabric;
  let file: string;
  beforeAll(async () => {
    fabric = await startBmv2Fabric();
    file = await fabric.apply({
      all: { program: programName },
      'leaf-1': { deny: [{ destination: '10.0.2.12', protocol: 'udp', destinationPort: 53 }] },
    });
    for (const host of ['h2', 'h3', 'h4'] as const) {
      const receiver = fabric.hosts[host].start(receiverCommand(TCP_PORT, UDP_PORT));
      await ready(receiver, () => receiver.output().includes('listening'));
    }
  }, 180_000);
  afterAll(() => fabric.stop());
  beforeEach(() => fabric.mark());

  it(
    'equal what was on the wire: every packet once, without a tolerance, in sequence, by the way it took',
    { timeout: 60_000 },
    async () => {
      await Promise.all([
        fabric.send('h1', {
          protocol: 'udp',
          destination: HOST.h3.address,
          destinationPort: UDP_PORT,
          sourcePort: 6001,
          count: 20,
          payloadBytes: 333,
        }),
        fabric.send('h1', {
          protocol: 'tcp',
          destination: HOST.h3.address,
          destinationPort: TCP_PORT,
          count: 30,
          payloadBytes: 1200,
        }),
        fabric.send('h2', {
          protocol: 'tcp',
          destination: HOST.h4.address6,
          destinationPort: TCP_PORT,
          count: 20,
          payloadBytes: 701,
        }),
        fabric.send('h1', {
          protocol: 'udp',
          destination: HOST.h2.address,
          destinationPort: UDP_PORT,
          count: 5,
          payloadBytes: 3,
        }),
      ]);
      const paths = new Map<string, { ttl: number; node: number }[]>();
      let compared = 0;
      for (const name of SWITCHES) {
        const reports = await fabric.reports(name);
        const [first] = reports;
        reports.forEach(({ line, frame }, i) => {
          expect(line).toMatchObject({
            dialect,
            warnings: [],
            trackedFlow: true,
            congestedQueue: false,
          });
          expect(line.hops[0].nodeId).toBe(NODE[name].nodeId);
          expect(line.sequenceNumber).toBe(first.line.sequenceNumber + i);
          expect(frame.readUInt16BE(14 + 2)).toBe(frame.length - 14);
          expect(frame.readUInt16BE(14 + 20 + 4)).toBe(frame.length - 34);
          expect(onesSum(frame.subarray(14, 34))).toBe(0xffff);
          expect(frame.readUInt16BE(14 + 20 + 2)).toBe(REPORT_PORT);
        });
        for (const id of [1, 2, 11, 12]) {
          const left = fabric.frames(name, id, 'out').filter(({ bytes }) => isIp(bytes));
          const told = reports.filter(({ line }) => !line.dropped && line.hops[0].egressInterfaceId === id);
          expect(told.length, `${name} ${id}`).toBe(left.length);
          told.forEach(({ line, fragment }, i) => {
            const { bytes } = left[i];
            const carried = Math.min(fragment.length, bytes.length);
            expect(fragment.subarray(0, carried).equals(bytes.subarray(0, carried)), `${name} ${id} #${i}`).toBe(true);
            // As much as fits, in whole words.
            expect(Math.abs(fragment.length - Math.min(bytes.length, 224))).toBeLessThan(4);
            const [hop] = line.hops;
            const came = fabric.frames(name, hop.ingressInterfaceId, 'in').find((packet) => isSamePacket(packet.bytes, bytes));
            expect(came).toBeDefined();
            const onWireNs = Number(left[i].timeNs - came!.timeNs);
            const latencyNs = Number(BigInt(hop.egressTimestamp) - BigInt(hop.ingressTimestamp));
            // Version 0.5 leaves it to the collector.
            if (dialect === 'report-v2.0') expect(hop.hopLatency).toBe(latencyNs);
            // What the switch calls its latency lies between the two moments that the capture has.
            expect(latencyNs).toBeLessThanOrEqual(onWireNs + 2e6);
            expect(line.flow.packetLengthBytes).toBe(bytes.length - 14);
            compared++;
            if (line.flow.sourcePort === 6001) {
              const path = paths.get(line.flow.ipIdentification) ?? [];
              paths.set(line.flow.ipIdentification, [...path, { ttl: line.flow.ttl, node: line.hops[0].nodeId }]);
            }
          });
        }
      }
      expect(compared).toBeGreaterThan(300);
      expect(paths.size).toBe(20);
      for (const path of paths.values()) {
        const byTtl = [...path].sort((a, b) => b.ttl - a.ttl);
        expect(byTtl.map(({ ttl }) => ttl)).toEqual([63, 62, 61]);
        expect([byTtl[0].node, byTtl[2].node]).toEqual([101, 102]);
        expect([201, 202]).toContain(byTtl[1].node);
      }
    },
  );

  /** Puts an entry of remediation into leaf-1, and gives the time on its clock. */
  async function remedy(entry: (nowUs: bigint) => Omit<Entry, 'cookie'>): Promise<bigint> {
    const [{ target }] = readSwitchFile(file);
    const client = new SwitchClient(target);
    try {
      const { program } = shippedProgram(programName);
      await client.lead();
      const { switchTimeUs } = await askTime(client, program.info);
      const wire = program.encode({ ...entry(switchTimeUs), cookie: 'hopscope:lease:test' });
      await client.write([{ type: Update_Type.INSERT, entity: entityOf(wire) }]);
      return switchTimeUs;
    } finally {
      client.close();
    }
  }
  const to = (address: string, port: number): FlowSet => ({
    destination: hostPrefix(address),
    protocol: 17,
    destinationPort: port,
  });

  it('say why a packet was dropped: access list, no route, time to live, meter', { timeout: 60_000 }, async () => {
    const meter = { committedRate: 1000n, committedBurst: 1000n, peakRate: 1000n, peakBurst: 1000n };
    await remedy((now) => ({
      table: 'rate_limit',
      match: flowMatch(to(HOST.h4.address, 7777)),
      priority: 1,
      action: 'limit_rate',
      params: { expires_us: now + 60_000_000n },
      meter,
    }));
    const udp = { protocol: 'udp', count: 4, payloadBytes: 100 } as const;
    await fabric.send('h1', { ...udp, destination: HOST.h4.address, destinationPort: 53 });
    await fabric.send('h1', { ...udp, destination: '10.77.0.1', destinationPort: 1000 });
    await fabric.send('h1', { ...udp, destination: HOST.h4.address, destinationPort: 1001, ttl: 1 });
    await fabric.send('h1', { ...udp, destination: HOST.h4.address, destinationPort: 7777, count: 40 });
    // What others report, on its way to the collector, which nobody here has a route to.
    await fabric.send('h1', { ...udp, destination: COLLECTOR_ADDRESS, destinationPort: REPORT_PORT });
    const drops = (await fabric.reports('leaf-1')).map(({ line }) => line).filter(({ dropped }) => dropped);
    const reasons = (port: number) =>
      drops.filter(({ flow }) => flow.destinationPort === port).map(({ dropReason }) => dropReason);
    expect(reasons(53)).toEqual([80, 80, 80, 80]);
    expect(reasons(1000)).toEqual([29, 29, 29, 29]);
    expect(reasons(1001)).toEqual([26, 26, 26, 26]);
    expect(reasons(REPORT_PORT)).toEqual([]);
    // 40 × 142 octets at 1000 octets a second, of which the bucket holds 1000: nearly all are too many.
    expect(reasons(7777).length).toBeGreaterThan(20);
    expect(new Set(reasons(7777))).toEqual(new Set([160]));
    for (const { warnings, hops } of drops) {
      expect(warnings).toEqual([]);
      expect(hops[0]).toMatchObject({ ingressInterfaceId: 1, egressInterfaceId: dialect === 'report-v2.0' ? null : 0 });
    }
    const left = [11, 12].flatMap((id) => fabric.frames('leaf-1', id, 'out')).filter(({ bytes }) => isIp(bytes));
    expect(left.length + reasons(7777).length).toBe(40);
  });

  // Version 0.5 has 32 bits of nanoseconds, too few to compare with the switch's clock.
  if (dialect === 'report-v2.0')
    it('show that changes end by themselves, at the microsecond of the switch that they name', { timeout: 60_000 }, async () => {
      const expiry: Record<number, bigint> = {};
      const change = (table: string, port: number, action: string, params: Record<string, bigint>) =>
        remedy((now) => {
          expiry[port] = now + 1_500_000n;
          return {
            table,
            match: flowMatch(to(HOST.h3.address, port)),
            priority: 1,
            action,
            params: { ...params, expires_us: expiry[port] },
          };
        });
      await change('dscp_remark', 8001, 'remark_dscp', { dscp: 10n });
      await change('queue_override', 8002, 'override_queue', { queue_id: 3n });
      // Both members of the group by the one spine, whichever they have.
      const program = shippedProgram(programName).program;
      const client = new SwitchClient(readSwitchFile(file)[0].target);
      await client.lead();
      const entries = (await client.read([entityOf({ ...program.encode(PROBE_ENTRY), match: [], action: undefined })])).flatMap(
        ({ entity }) => (entity?.$case === 'tableEntry' ? [program.decode(entity.value)] : []),
      );
      client.close();
      const group = entries.find(({ match }) => (match.bucket as { low: bigint }).low === 0n)!;
      const [one, other] = entries.filter(({ match }) => same(match.group_id, group.match.group_id));
      await remedy((now) => ({
        table: 'ecmp_override',
        match: other.match,
        priority: 1,
        action: 'move_to_nexthop',
        params: { ...one.params, expires_us: (expiry[8003] = now + 1_500_000n) },
      }));
      const udp = { protocol: 'udp', destination: HOST.h3.address, count: 60, payloadBytes: 60, intervalMs: 50 } as const;
      await Promise.all([
        fabric.send('h1', { ...udp, destinationPort: 8001 }),
        fabric.send('h1', { ...udp, destinationPort: 8002 }),
        ...Array.from({ length: 12 }, (_, i) => fabric.send('h1', { ...udp, destinationPort: 8003, sourcePort: 6100 + i })),
      ]);
      const lines = (await fabric.reports('leaf-1')).map(({ line }) => line);
      const told = (port: number) =>
        lines
          .filter(({ flow, dropped }) => !dropped && flow.destinationPort === port)
          .map(({ flow, hops: [hop] }) => ({ flow, hop, isBefore: BigInt(hop.ingressTimestamp) / 1000n < expiry[port] }));
      for (const port of [8001, 8002, 8003]) {
        const [before, after] = [true, false].map((is) => told(port).filter(({ isBefore }) => isBefore === is));
        expect(before.length, `${port}`).toBeGreaterThan(5);
        expect(after.length, `${port}`).toBeGreaterThan(5);
      }
      for (const { flow, isBefore } of told(8001)) expect(flow.dscp).toBe(isBefore ? 10 : 0);
      for (const { hop, isBefore } of told(8002)) expect(hop.queueId).toBe(isBefore ? 3 : 0);
      const exits = (is: boolean) =>
        new Set(
          told(8003)
            .filter(({ isBefore }) => isBefore === is)
            .map(({ hop }) => hop.egressInterfaceId),
        );
      expect(exits(true).size).toBe(1);
      expect(exits(false).size).toBe(2);
    });
});

/** Any entry of the table of ECMP members. */
const PROBE_ENTRY: Entry = {
  table: 'ecmp_member',
  match: { group_id: { kind: 'exact', value: 1n }, bucket: { kind: 'range', low: 0n, high: 1n } },
  priority: 1,
  action: 'use_nexthop',
  params: { nexthop_id: 1n },
  cookie: '',
};

const same = (a: unknown, b: unknown): boolean => (a as { value: bigint }).value === (b as { value: bigint }).value;

function hostPrefix(address: string): Prefix {
  const value = address.split('.').reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0xffffn);
  return { value, length: 128 };
}

function isIp(frame: Buffer): boolean {
  return frame.readUInt16BE(12) === 0x0800 || frame.readUInt16BE(12) === 0x86dd;
}

/** The same but for what a router changes: MAC addresses, time to live, and the header's checksum. */
function isSamePacket(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false;
  const bare = (frame: Buffer): Buffer => {
    const copy = Buffer.from(frame.subarray(12));
    if (frame.readUInt16BE(12) === 0x0800) {
      copy[2 + 8] = 0;
      copy.writeUInt16BE(0, 2 + 10);
    } else copy[2 + 7] = 0;
    return copy;
  };
  return bare(a).equals(bare(b));
}

function onesSum(header: Buffer): number {
  let sum = 0;
  for (let o = 0; o < header.length; o += 2) sum += header.readUInt16BE(o);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
