// INT-MD on real switches, where BMv2 is on the path, and with its help the filters: what a source's stack says of every packet tells
// exactly which of them its change filter, its quota and its sampler had to report.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { telemetry as telemetryForm, type TelemetrySpec } from '../../p4-int/fabric/scenario.ts';
import type { Simulator } from '../../p4-int/fabric/simulator.ts';
import { Report as Selected, Selection } from '../../p4-int/fabric/telemetry/selection.ts';
import { bmv2Missing, HOST, NODE, startBmv2Fabric, type Bmv2Fabric, type Report, type SwitchName } from '../support/bmv2.ts';
import { ready, receiverCommand } from '../support/namespaces.ts';

const missing = bmv2Missing();
const UDP_PORT = 5002;
const TCP_PORT = 5001;
const INT_DSCP = 0x17;
/** Packets of `flood`. */
const SENT = 1200;
const TOWARDS_LEAF_2 = { destination: '10.0.2.0/24', protocol: 'udp' };
const SINKS = { sinks: [1, 2] };

describe.skipIf(missing !== undefined)(`INT-MD and filters of BMv2${missing === undefined ? '' : ` (${missing})`}`, () => {
  let fabric: Bmv2Fabric;

  beforeAll(async () => {
    fabric = await startBmv2Fabric();
    for (const host of ['h3', 'h4'] as const) {
      const receiver = fabric.hosts[host].start(receiverCommand(TCP_PORT, UDP_PORT));
      await ready(receiver, () => receiver.output().includes('listening'));
    }
    await fabric.apply({
      all: { program: 'embedded', watch: [], embedded: {} },
      'leaf-1': LEAF_1,
      'leaf-2': { embedded: SINKS },
    });
  }, 180_000);
  afterAll(() => fabric.stop());
  beforeEach(() => fabric.mark());

  const LEAF_1 = {
    embedded: { ...SINKS, sources: [{ flows: TOWARDS_LEAF_2 }, { flows: { ...TOWARDS_LEAF_2, protocol: 'tcp' } }] },
  };
  const settings = (leaf1: object, others: object = {}) => ({
    all: { program: 'embedded', embedded: {}, watch: [], ...others },
    'leaf-1': { ...LEAF_1, ...leaf1 },
    'leaf-2': { embedded: SINKS, watch: [] },
  });

  it('is added, grown and taken off: the packet arrives as it was sent, and its way is told', { timeout: 60_000 }, async () => {
    await Promise.all([
      fabric.send('h1', {
        protocol: 'udp',
        destination: HOST.h3.address,
        destinationPort: UDP_PORT,
        count: 20,
        payloadBytes: 201,
      }),
      fabric.send('h2', {
        protocol: 'tcp',
        destination: HOST.h4.address,
        destinationPort: TCP_PORT,
        count: 20,
        payloadBytes: 800,
      }),
    ]);
    const reports = (await fabric.reports('leaf-2')).filter(({ line }) => line.hops.length > 1);
    const udp = reports.filter(({ line }) => line.flow.protocol === 17);
    expect(udp.length).toBeGreaterThan(10);
    expect(reports.length).toBeGreaterThan(udp.length);
    for (const { line } of reports) {
      expect(line.warnings).toEqual([]);
      expect(line).toMatchObject({ dialect: 'report-v2.0', nodeId: NODE['leaf-2'].nodeId, trackedFlow: true });
      const nodes = line.hops.map(({ nodeId }: { nodeId: number }) => nodeId).sort();
      expect(nodes).toEqual([101, 102, nodes[2]]);
      expect([201, 202]).toContain(nodes[2]);
      for (const hop of line.hops) {
        expect(hop.hopLatency).toBe(Number(BigInt(hop.egressTimestamp) - BigInt(hop.ingressTimestamp)));
        expect(hop.hopLatency).toBeGreaterThan(0);
      }
    }
    const bare = (frame: Buffer): string => `${frame.subarray(14, 22).toString('hex')} ${frame.subarray(26).toString('hex')}`;
    const isIpv4 = (frame: Buffer): boolean => frame.readUInt16BE(12) === 0x0800;
    for (const [host, at] of [
      ['h1', 1],
      ['h2', 2],
    ] as const) {
      const sent = fabric
        .frames('leaf-1', at, 'in')
        .map(({ bytes }) => bytes)
        .filter(isIpv4);
      const arrived = fabric
        .frames('leaf-2', at, 'out')
        .map(({ bytes }) => bytes)
        .filter(isIpv4);
      expect(arrived.length, host).toBeGreaterThan(sent.length / 2);
      const known = new Set(sent.map(bare));
      expect(
        arrived.map(bare).filter((one) => !known.has(one)),
        host,
      ).toEqual([]);
    }
    const between = [11, 12]
      .flatMap((id) => fabric.frames('leaf-1', id, 'out'))
      .map(({ bytes }) => bytes)
      .filter(isIpv4);
    // Where the headers and a hop would not fit into 1500 octets, nothing is added.
    const small = between.filter((frame) => frame.length <= 1400);
    expect(small.length).toBeGreaterThan(10);
    expect(new Set(small.map((frame) => frame[15] >>> 2))).toEqual(new Set([INT_DSCP]));
  });

  it('takes nothing off a packet that has its DSCP by chance', { timeout: 60_000 }, async () => {
    const dscp23 = ['python3', '-c', FAKE, HOST.h3.address];
    await fabric.hosts.h1.run(dscp23);
    await fabric.reports('leaf-2');
    const isUdp = (frame: Buffer): boolean =>
      frame.readUInt16BE(12) === 0x0800 && frame[23] === 17 && frame.readUInt16BE(36) === 5009;
    const sent = fabric
      .frames('leaf-1', 1, 'in')
      .map(({ bytes }) => bytes)
      .filter(isUdp);
    const arrived = fabric
      .frames('leaf-2', 1, 'out')
      .map(({ bytes }) => bytes)
      .filter(isUdp);
    expect(sent).toHaveLength(3);
    expect(arrived.map((frame) => frame.subarray(42).toString('hex'))).toEqual(
      sent.map((frame) => frame.subarray(42).toString('hex')),
    );
    expect(arrived.map((frame) => frame.readUInt16BE(16))).toEqual(sent.map((frame) => frame.readUInt16BE(16)));
  });

  /** Every packet that crossed leaf-1 on its way to leaf-2, in the order of leaving it, as the stacks say. */
  async function stacksOf(): Promise<Stack[]> {
    const reports = await fabric.reports('leaf-2');
    return reports
      .filter(({ line }) => line.hops.length > 1)
      .map((report) => ({
        ...idOf(report),
        flow: report.line.flow,
        hop: report.line.hops.find((hop: any) => hop.nodeId === 101),
      }))
      .sort((a, b) => Number(BigInt(a.hop.egressTimestamp) - BigInt(b.hop.egressTimestamp)));
  }
  const flood = async (): Promise<void> => {
    const udp = {
      protocol: 'udp',
      destination: HOST.h3.address,
      destinationPort: UDP_PORT,
      count: 300,
      payloadBytes: 100,
    } as const;
    await Promise.all([1, 2, 3, 5].map((intervalMs, i) => fabric.send('h1', { ...udp, intervalMs, sourcePort: 7001 + i })));
  };

  it('reports what the change filter of the fabric lets through', { timeout: 60_000 }, async () => {
    await fabric.apply(settings({ watch: [{ flows: TOWARDS_LEAF_2, changes: { latency: '128us', period: '1s' } }] }));
    fabric.mark();
    await flood();
    const stacks = await stacksOf();
    const told = idsOf(await fabric.reports('leaf-1'));
    const model = selectionOf(stacks, { flowReports: 'change-filter', changeFilter: { latency: '128us', time: '1048576us' } });
    const expected = new Set(stacks.filter((_, i) => (model(i) & Selected.flow) !== 0).map(({ id }) => id));
    // A machine that is busy loses some on the way; each may have changed what came after it.
    expect(stacks.length).toBeGreaterThan(600);
    expect(expected.size).toBeGreaterThan(50);
    // On a busy machine latencies swing, and the filter lets most of them through.
    expect(stacks.length - expected.size).toBeGreaterThan(20);
    // Two packets of one microsecond may have left in either order, and a digest of 16 bits may be another's by chance.
    const differing = stacks.filter(isPredictable(stacks)).filter(({ id }) => told.has(id) !== expected.has(id)).length;
    expect(differing).toBeLessThanOrEqual(0.005 * stacks.length + (SENT - stacks.length));
    console.log(
      `change filter: ${stacks.length} packets, ${expected.size} expected, ${told.size} told, ${differing} of them differ`,
    );
  });

  it('reports congested queues until the quota is spent, and again when it is filled', { timeout: 60_000 }, async () => {
    const queueReports = [{ interfaces: [11, 12], trigger: '400us', reset: '250us', quota: 5 }];
    await fabric.apply(settings({ queueReports }));
    fabric.mark();
    await flood();
    const stacks = await stacksOf();
    const told = idsOf((await fabric.reports('leaf-1')).filter(({ line }) => line.congestedQueue));
    const model = selectionOf(stacks, { flowReports: 'none', queueReports: { trigger: '400us', reset: '250us', quota: 5 } });
    const expected = new Set(stacks.filter((_, i) => (model(i) & Selected.queue) !== 0).map(({ id }) => id));
    const congested = stacks.filter(({ hop }) => hop.hopLatency >= 400_000).length;
    expect(expected.size).toBeGreaterThan(5);
    const differing = stacks.filter(isPredictable(stacks)).filter(({ id }) => told.has(id) !== expected.has(id)).length;
    expect(differing).toBeLessThanOrEqual(0.005 * stacks.length + (SENT - stacks.length));
    console.log(
      `quota: ${stacks.length} packets, ${congested} over the trigger, ${expected.size} expected, ${told.size} told, ${differing} differ`,
    );
  });

  it('samples one packet in eight, and every switch the same ones', { timeout: 60_000 }, async () => {
    const watch = [{ flows: TOWARDS_LEAF_2, sampleOneIn: 8 }];
    await fabric.apply(settings({ watch }, { watch }));
    fabric.mark();
    await flood();
    const stacks = await stacksOf();
    // A packet that was lost on its way was seen by some of them.
    const arrived = new Set(stacks.map(({ id }) => id));
    const sampledAt = async (...names: SwitchName[]): Promise<string[]> => {
      const reports = (await Promise.all(names.map((name) => fabric.reports(name)))).flat();
      return [...idsOf(reports)].filter((id) => arrived.has(id)).sort();
    };
    const atLeaf = await sampledAt('leaf-1');
    expect(await sampledAt('spine-1', 'spine-2')).toEqual(atLeaf);
    const [mean, deviation] = [stacks.length / 8, Math.sqrt((stacks.length * 7) / 64)];
    expect(Math.abs(atLeaf.length - mean)).toBeLessThan(5 * deviation);
    const model = selectionOf(stacks, { sampling: { oneIn: 8, kind: 'consistent' } });
    const modelled = stacks.filter((_, i) => model(i) !== 0).length;
    expect(Math.abs(modelled - atLeaf.length)).toBeLessThan(5 * Math.SQRT2 * deviation);
    console.log(
      `sampling: ${stacks.length} packets, ${atLeaf.length} sampled, the model ${modelled}, ${mean} ± ${deviation.toFixed(1)} by chance`,
    );
  });
});

/** Three datagrams with the DSCP of INT: payloads that begin like a shim and are none. */
const FAKE = `
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 23 << 2)
for payload in (b'\\x10\\x00' + bytes(30), b'\\x10\\x07' + bytes(30), bytes(32)):
    sender.sendto(payload, (sys.argv[1], 5009))
`;

interface Stack {
  id: string;
  number: number;
  flow: { sourcePort: number };
  hop: { ingressInterfaceId: number; egressInterfaceId: number; hopLatency: number; egressTimestamp: string; queueId: number };
}

/** Source port and number of a packet of `flood`, behind its UDP header and the INT headers there. */
function idOf({ line, fragment }: Report): { id: string; number: number } {
  const udpEnd = 42;
  const isMarked = fragment[15] >>> 2 === INT_DSCP;
  const number = fragment.readUInt32BE(isMarked ? udpEnd + 4 * (fragment[udpEnd + 1] + 1) : udpEnd);
  return { id: `${line.flow.sourcePort} ${number}`, number };
}

function idsOf(reports: readonly Report[]): Set<string> {
  return new Set(reports.map((report) => idOf(report).id));
}

/** Those whose predecessor in the flow is known too: what came right after a lost packet met a filter that the lost one had set. */
function isPredictable(stacks: readonly Stack[]): (stack: Stack) => boolean {
  const known = new Set(stacks.map(({ id }) => id));
  return ({ flow, number }) => number === 0 || known.has(`${flow.sourcePort} ${number - 1}`);
}

/** What the fabric's model of a switch reports of the packets of the stacks, asked in their order. */
function selectionOf(stacks: readonly Stack[], settings: object): (i: number) => number {
  const telemetry: TelemetrySpec = telemetryForm.parse(settings);
  // Flows with hashes that do not meet, as those of the switch do not by all chance.
  const flows = new Map<number, { hash: number; owner: number }>();
  for (const { flow } of stacks) {
    if (!flows.has(flow.sourcePort)) flows.set(flow.sourcePort, { hash: (0x00010001 * (1 + flows.size)) >>> 0, owner: 0 });
  }
  const state = { nowPs: 0 };
  const simulator = {
    topology: { switches: 1, ports: 32, interfaceOf: (id: number) => id },
    scenario: { fabric: { classes: Array.from({ length: 8 }) }, workloads: [] },
    seed: 1,
    packets: {
      flow: stacks.map(({ flow }) => flows.get(flow.sourcePort)),
      ingressPort: stacks.map(({ hop }) => hop.ingressInterfaceId),
      egressPort: stacks.map(({ hop }) => hop.egressInterfaceId),
      queue: stacks.map(({ hop }) => hop.queueId),
      serial: stacks.map((_, i) => i),
    },
    get nowPs() {
      return state.nowPs;
    },
  };
  const selection = new Selection(simulator as unknown as Simulator, telemetry);
  return (i) => {
    state.nowPs = Number(stacks[i].hop.egressTimestamp) * 1000;
    return selection.ofPacket(i, stacks[i].hop.hopLatency, 0);
  };
}
