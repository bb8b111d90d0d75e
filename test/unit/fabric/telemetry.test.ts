// What switches report, read back by the collector's decoder: the truth to the octet, and the filters, quotas and samples of real switches.

import { describe, expect, it } from 'vitest';
import { FabricRun } from '../../../p4-int/fabric/run.ts';
import type { Scenario, TelemetrySpec } from '../../../p4-int/fabric/scenario.ts';
import { Simulator, type FabricObserver } from '../../../p4-int/fabric/simulator.ts';
import { ReportField, REPORT_FIELDS, type Datagram } from '../../../p4-int/fabric/telemetry/datagram.ts';
import { Exporter } from '../../../p4-int/fabric/telemetry/exporter.ts';
import { linesOf } from '../../support/decoding.ts';
import { smallFabric } from '../../support/small-fabric.ts';

const EPOCH_UNIX_NS = 1_790_000_000_000_000_000n;

/** The scenario with another telemetry. */
function reporting(scenario: Scenario, telemetry: Partial<TelemetrySpec>): Scenario {
  return { ...scenario, telemetry: { ...scenario.telemetry, ...telemetry } };
}

function datagramsOf(scenario: Scenario, seed = 1): Datagram[] {
  const datagrams: Datagram[] = [];
  const views = [{ telemetry: scenario.telemetry, receive: (one: Datagram) => void datagrams.push(one) }];
  new FabricRun({ scenario, seed, epochUnixNs: EPOCH_UNIX_NS, views }).finish();
  return datagrams;
}

const reportsIn = (datagrams: readonly Datagram[]): number =>
  datagrams.reduce((sum, { reports }) => sum + reports.length / REPORT_FIELDS, 0);

const mixed = smallFabric({
  fabric:
    'leaves: 2, spines: 2, hostsPerLeaf: 4, queueBytes: 60kB, pipelineJitter: 50ns, classes: [{ queue: 3, ecnAbove: 20kB }, { queue: 5, dscp: [46], priority: 7 }]',
  duration: '2ms',
  traffic: [
    'kind: bulk, from: a/one, to: b/one',
    'kind: bulk, from: a/three, to: b/one, useAddress6: false, congestionControl: reno',
    'kind: poisson, from: a/two, to: b/one, rate: 3G, packet: 700B, dscp: 46',
    'kind: constant, from: b/two, to: a/two, rate: 1G, packet: 400B, dscp: 10, gtpu: { outerSource: 192.168.0.1, outerDestination: 192.168.0.2, teid: 4711, qfi: 9 }',
    'kind: constant, from: a/one, to: b/one, rate: 500M, packet: 300B, useAddress6: true',
    'kind: constant, from: a/three, to: b/one, rate: 9G, dscp: 10, start: 1ms',
  ],
});

/** Serial numbers do not go over the wire: postcards are told apart by switch, ingress time, flow and length. */
interface Postcard {
  nodeId: number;
  ingressInterfaceId: number;
  egressInterfaceId: number;
  queueId: number;
  queueOccupancy: number;
  hopLatency: number;
  ttl: number;
  ecn: number;
  identification: number;
  length: number;
  tcpSequence: number | undefined;
}

/** What the fabric did, by an observer of its own. */
function truthOf(scenario: Scenario): Map<string, Postcard> {
  const postcards = new Map<string, Postcard>();
  const simulator: Simulator = new Simulator(scenario, 1, [
    {
      left: (packet) => {
        const { packets: p, topology, nowPs } = simulator;
        const flow = p.flow[packet];
        const { nodeId } = topology.nodes[topology.nodeOfPort[p.egressPort[packet]]];
        const ingressNs = Math.floor(p.ingressPs[packet] / 1000);
        postcards.set(`${nodeId}/${ingressNs}/${flow.sourceAddress}/${p.identification[packet]}`, {
          nodeId,
          ingressInterfaceId: topology.interfaceOf(p.ingressPort[packet]),
          egressInterfaceId: topology.interfaceOf(p.egressPort[packet]),
          queueId: scenario.fabric.classes[p.queue[packet]].queue,
          queueOccupancy: p.queueBytes[packet],
          hopLatency: Math.floor(nowPs / 1000) - ingressNs,
          ttl: p.ttl[packet],
          ecn: p.ecn[packet],
          identification: p.identification[packet],
          length: p.bytes[packet],
          tcpSequence: flow.protocol === 6 ? p.tcpSequence[packet] : undefined,
        });
      },
    },
  ]);
  simulator.run(scenario.duration);
  return postcards;
}

describe('postcards by the letter', () => {
  const truth = truthOf(mixed);
  const lines = datagramsOf(mixed).flatMap(({ bytes }) => linesOf(bytes));
  const kept = lines.filter(({ dropped }) => !dropped);

  it('none is refused, none deviates, and there is one for each packet and switch', () => {
    expect(lines.filter(({ rejected, warnings }) => rejected !== undefined || warnings.length > 0)).toEqual([]);
    expect(kept.length).toBe(truth.size);
    expect(kept.length).toBeGreaterThan(3000);
    expect(lines.length - kept.length).toBeGreaterThan(10);
  });

  it('each says what happened', () => {
    for (const line of kept.slice(0, 2000)) {
      const [hop] = line.hops;
      const { nodeId, ingressInterfaceId, egressInterfaceId, queueId, queueOccupancy, hopLatency } = hop;
      expect(BigInt(hop.egressTimestamp) - BigInt(hop.ingressTimestamp)).toBe(BigInt(hopLatency));
      if (line.flow.sourceAddress.includes(':') || line.outer !== undefined) continue;
      const source = line.flow.sourceAddress;
      const ingressNs = BigInt(hop.ingressTimestamp) - EPOCH_UNIX_NS;
      const key = `${nodeId}/${ingressNs}/${source}/${line.flow.ipIdentification}`;
      const true_ = truth.get(key);
      expect(true_, key).toBeDefined();
      expect({ nodeId, ingressInterfaceId, egressInterfaceId, queueId, queueOccupancy, hopLatency }).toEqual({
        nodeId: true_!.nodeId,
        ingressInterfaceId: true_!.ingressInterfaceId,
        egressInterfaceId: true_!.egressInterfaceId,
        queueId: true_!.queueId,
        queueOccupancy: true_!.queueOccupancy,
        hopLatency: true_!.hopLatency,
      });
    }
  });
});

describe('SD-Fabric', () => {
  // One queue that stands still for a millisecond: its elephants have the same latency all the time.
  const steady = smallFabric({
    fabric: 'leaves: 2, spines: 2, hostsPerLeaf: 4, fabricRate: 40G',
    duration: '12ms',
    traffic: [
      'kind: constant, protocol: tcp, from: a/one, to: b/one, rate: 4G, jitter: 0',
      'kind: constant, from: a/two, to: b/one, rate: 2G, jitter: 0',
      'kind: constant, from: a/three, to: b/one, rate: 9G, start: 4ms, until: 8ms',
    ],
  });

  it('v0.5 decodes without a warning, one report a datagram, sequences without a gap', () => {
    const sdFabric = reporting(mixed, { dialect: 'report-v0.5', occupancyUnit: 'cells' });
    const lines = datagramsOf(sdFabric).flatMap(({ bytes }) => linesOf(bytes, { dialects: 1 }));
    expect(lines.filter(({ rejected, warnings }) => rejected !== undefined || warnings.length > 0)).toEqual([]);
    const bySource = new Map<string, number[]>();
    for (const { hops, hardwareId, sequenceNumber } of lines) {
      const key = `${hops[0].nodeId}/${hardwareId}`;
      bySource.set(key, [...(bySource.get(key) ?? []), sequenceNumber]);
    }
    for (const numbers of bySource.values()) expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  });

  it('the change filter passes a report where the latency moves, and keeps quiet where it stands', () => {
    const all = reportsIn(datagramsOf(steady));
    const filtered = datagramsOf(reporting(steady, { flowReports: 'change-filter' }));
    const share = reportsIn(filtered) / all;
    expect(share).toBeGreaterThan(0.005);
    expect(share).toBeLessThan(0.5);
    // Nobody is silent: each flow is told of at each of its switches.
    const told = new Set(
      filtered.flatMap(({ node, reports }) =>
        Array.from(
          { length: reports.length / REPORT_FIELDS },
          (_, i) => `${node}/${reports[i * REPORT_FIELDS + ReportField.flow]}`,
        ),
      ),
    );
    expect(told.size).toBe(9);
  });

  it('queue reports spend their quota, fall silent while the queue is full, and come back after it was empty', () => {
    const queueReports = { trigger: 20e6, reset: 10e6, quota: 100 };
    const scenario = reporting(steady, { flowReports: 'none', dropReports: 'none', queueReports });
    const lines = datagramsOf(scenario).flatMap(({ bytes }) => linesOf(bytes));
    expect(lines.length).toBe(100);
    expect(lines.every(({ congestedQueue }) => congestedQueue)).toBe(true);
    const twice = smallFabric({
      fabric: 'leaves: 2, spines: 2, hostsPerLeaf: 4, fabricRate: 40G',
      duration: '12ms',
      traffic: [
        'kind: constant, from: a/one, to: b/one, rate: 4G',
        'kind: constant, from: a/three, to: b/one, rate: 9G, burst: { every: 5ms, on: 400us }',
      ],
    });
    expect(reportsIn(datagramsOf(reporting(twice, { flowReports: 'none', dropReports: 'none', queueReports })))).toBe(300);
  });

  it('a drop is told once per flow and period, however many there are', () => {
    const lossy = { ...steady, fabric: { ...steady.fabric, queueBytes: 20_000 } };
    const dropsOf = (dropReports: TelemetrySpec['dropReports']): number =>
      datagramsOf(reporting(lossy, { dropReports, flowReports: 'none' }))
        .flatMap(({ bytes }) => linesOf(bytes))
        .filter(({ dropped }) => dropped).length;
    expect(dropsOf('every')).toBeGreaterThan(500);
    expect(dropsOf('filter')).toBeLessThanOrEqual(3);
    expect(dropsOf('filter')).toBeGreaterThan(0);
  });
});

it('INT-MD: one report a packet, the stack of its hops in order, without a warning', () => {
  const lines = datagramsOf(reporting(mixed, { dialect: 'int-md-v2.1' })).flatMap(({ bytes }) => linesOf(bytes));
  expect(lines.filter(({ rejected, warnings }) => rejected !== undefined || warnings.length > 0)).toEqual([]);
  const stacks = lines
    .filter(({ dropped }) => !dropped)
    .map(({ hops }) => hops.filter((hop: any) => hop.origin === 'int-md-v2.1'));
  expect(stacks.length).toBeGreaterThan(1000);
  const across = stacks.filter((hops) => hops.length === 3);
  expect(across.length).toBeGreaterThan(900);
});

describe('samples', () => {
  const traffic = smallFabric({
    duration: '8ms',
    traffic: ['kind: poisson, from: a/one, to: b/one, rate: 5G', 'kind: poisson, from: a/two, to: b/two, rate: 5G'],
  });
  const kept = (telemetry: Partial<TelemetrySpec>): number => reportsIn(datagramsOf(reporting(traffic, telemetry)));
  const all = kept({});

  it.each([['independent'], ['consistent']] as const)('one in eight, %s: as many as that', (kind) => {
    const share = kept({ sampling: { oneIn: 8, kind } }) / all;
    // Consistent samples are of packets, each with three reports.
    const deviations = kind === 'independent' ? 5 : 5 * Math.sqrt(3);
    expect(Math.abs(share - 1 / 8)).toBeLessThan(deviations * Math.sqrt(((1 / 8) * (7 / 8)) / all));
  });

  it('consistent ones are of the same packets at every switch, independent ones hardly ever', () => {
    const wholeShare = (kind: 'independent' | 'consistent'): number => {
      const hops = new Map<string, number>();
      for (const { bytes } of datagramsOf(reporting(traffic, { sampling: { oneIn: 8, kind } }))) {
        for (const { flow } of linesOf(bytes)) {
          const key = `${flow.sourceAddress}/${flow.ipIdentification}`;
          hops.set(key, (hops.get(key) ?? 0) + 1);
        }
      }
      return [...hops.values()].filter((n) => n === 3).length / hops.size;
    };
    expect(wholeShare('consistent')).toBeGreaterThan(0.98);
    expect(wholeShare('independent')).toBeLessThan(0.03);
  });

  it.each([
    ['alone', { share: 0, datagrams: 8 }],
    ['half in runs', { share: 0.5, datagrams: 8 }],
  ])('a fifth is lost, %s', (_name, burstLoss) => {
    const one = datagramsOf(reporting(traffic, { group: 1 })).length;
    const lost = 1 - datagramsOf(reporting(traffic, { group: 1, loss: 0.2, burstLoss })).length / one;
    expect(Math.abs(lost - 0.2)).toBeLessThan(5 * Math.sqrt((0.2 * 0.8 * (burstLoss.share > 0 ? 8 : 1)) / one));
  });

  it('reports come late and twice, and are the same reports', () => {
    const plain = datagramsOf(reporting(traffic, {})).map(({ bytes }) => bytes.toString('hex'));
    const late = datagramsOf(reporting(traffic, { reorder: 500e6, duplicates: 0.05 }));
    const arrivals = late.map(({ arrivesPs }) => arrivesPs);
    expect(arrivals).toEqual(arrivals.toSorted((a, b) => a - b));
    const texts = late.map(({ bytes }) => bytes.toString('hex'));
    expect(texts).not.toEqual(plain);
    expect([...new Set(texts)].sort()).toEqual([...plain].sort());
    expect(texts.length / plain.length).toBeGreaterThan(1.02);
  });
});

describe('clocks and restarts', () => {
  const traffic = smallFabric({ duration: '8ms', traffic: ['kind: constant, from: a/one, to: b/one, rate: 1G'] });
  const hopsOf = (telemetry: Partial<TelemetrySpec>): any[] =>
    datagramsOf(reporting(traffic, telemetry)).flatMap(({ bytes }) =>
      linesOf(bytes).map((line) => ({ ...line.hops[0], sequence: line.sequenceNumber })),
    );

  it('offset, drift and steps move both stamps of a switch alike, and hop latencies by no more than their rounding', () => {
    const clocks = { offset: 50e6, driftPpm: 30, jitter: 0, steps: [{ node: 'leaf-1', at: 4e9, by: 2e9 }] };
    const [right, wrong] = [hopsOf({}), hopsOf({ clocks })];
    expect(wrong.length).toBe(right.length);
    const shifts = right.map((hop, i) => Number(BigInt(wrong[i].ingressTimestamp) - BigInt(hop.ingressTimestamp)));
    const of = (nodeId: number): number[] => shifts.filter((_, i) => right[i].nodeId === nodeId);
    expect(Math.max(...of(0x0a01)) - Math.min(...of(0x0a01))).toBeGreaterThan(1_999_000);
    expect(Math.max(...of(0x0a02)) - Math.min(...of(0x0a02))).toBeLessThan(500);
    expect(Math.abs(of(0x0a02)[0])).toBeLessThan(51_000);
    right.forEach((hop, i) => expect(Math.abs(wrong[i].hopLatency - hop.hopLatency)).toBeLessThanOrEqual(1));
  });

  it('a clock of 32 bits wraps', () => {
    const clocks = { offset: 0, driftPpm: 0, jitter: 0, steps: [], wrapAfter: 3e9 };
    const stamps = hopsOf({ clocks }).map(({ ingressTimestamp }) => Number(ingressTimestamp));
    expect(Math.max(...stamps)).toBeGreaterThan(2 ** 32 - 4e6);
    expect(Math.max(...stamps)).toBeLessThan(2 ** 32);
    expect(Math.min(...stamps)).toBeLessThan(1e6);
  });

  it('a switch that restarts begins its sequence anew; one that is silent says nothing', () => {
    const of = (telemetry: Partial<TelemetrySpec>): number[] =>
      hopsOf(telemetry)
        .filter(({ nodeId }) => nodeId === 0x0a01)
        .map(({ sequence }) => sequence);
    const restarted = of({ restarts: [{ node: 'leaf-1', at: 4e9 }] });
    expect(restarted.filter((sequence) => sequence === 0).length).toBeGreaterThan(
      of({}).filter((sequence) => sequence === 0).length,
    );
    expect(of({ silences: [{ node: 'leaf-1', at: 2e9, until: 6e9 }] }).length / of({}).length).toBeCloseTo(0.5, 1);
  });
});

it('a report is cut where the scenario says, and what is cut off is not said', () => {
  const scenario = reporting(smallFabric({ duration: '1ms', traffic: ['kind: constant, from: a/one, to: b/one, rate: 1G'] }), {
    truncate: 36,
    group: 1,
  });
  const observer: FabricObserver[] = [];
  const simulator = new Simulator(scenario, 1, observer);
  let longest = 0;
  const exporter = new Exporter(simulator, scenario.telemetry, EPOCH_UNIX_NS, ({ bytes }) => {
    longest = Math.max(longest, bytes.length);
  });
  observer.push(exporter);
  simulator.run(1e9);
  expect(longest).toBe(8 + 12 + 28 + 36);
});
