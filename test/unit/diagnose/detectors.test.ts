// Detectors of what is no congestion, each on the inputs that its definition speaks of: what must be told, and what must not.

import { beforeEach, describe, expect, it } from 'vitest';
import { BlackholeDetector } from '../../../collector/diagnose/blackhole.ts';
import { BudgetDetector } from '../../../collector/diagnose/budget.ts';
import { ConditionBook, type Finding } from '../../../collector/diagnose/condition.ts';
import { FlowSweep, type FlowVisit } from '../../../collector/diagnose/flow-sweep.ts';
import { ImbalanceDetector, type Way } from '../../../collector/diagnose/imbalance.ts';
import { LinkFlapDetector, type LinkUse } from '../../../collector/diagnose/link-flap.ts';
import { LinkLossDetector, type LinkCounts } from '../../../collector/diagnose/link-loss.ts';
import { LossDetector } from '../../../collector/diagnose/loss.ts';
import { MisplacedDetector } from '../../../collector/diagnose/misplaced.ts';
import { PathChangeDetector } from '../../../collector/diagnose/path-change.ts';
import { QuotaDetector, type OpenQueue } from '../../../collector/diagnose/quota.ts';
import { TelemetryDetector } from '../../../collector/diagnose/telemetry.ts';
import type { ConditionEvent } from '../../../collector/event.ts';
import { MoveKind } from '../../../collector/move.ts';
import type { PathHop } from '../../../collector/observe/path.ts';

const SECOND = 1e9;
let told: ConditionEvent[];
let conditions: ConditionBook;
beforeEach(() => {
  told = [];
  conditions = new ConditionBook(
    (ns) => `t${ns / SECOND}`,
    (event) => told.push(event),
  );
});
const kinds = (): string[] => [...new Set(told.map(({ kind, state }) => `${kind} ${state}`))];
const LEAF = { node: 'leaf-1', nodeId: 1 };

describe('conditions', () => {
  const finding = (changes: Partial<Finding> = {}): Finding => ({
    kind: 'loss',
    place: LEAF,
    fromNs: SECOND,
    atNs: SECOND,
    severity: 2,
    summary: 'x',
    ...changes,
  });

  it('open once however often they are raised, are told of again after a second, and close when nobody raises them', () => {
    for (let ms = 0; ms < 2500; ms += 100) {
      conditions.raise(finding({ atNs: SECOND + ms * 1e6 }), SECOND + ms * 1e6);
      conditions.advance(SECOND + ms * 1e6);
    }
    expect(told.map(({ state }) => state)).toEqual(['open', 'open', 'open']);
    conditions.advance(7 * SECOND);
    expect(told.at(-1)).toMatchObject({
      state: 'closed',
      start: 't1',
      end: { kind: 'inferred', earliest: 't3.4', latest: 't7' },
    });
    expect(conditions.open).toBe(0);
  });

  it('that are seen to end are over at that time, and one of another place goes on', () => {
    conditions.raise(finding(), SECOND);
    conditions.raise(finding({ place: { node: 'leaf-2' } }), SECOND);
    conditions.end('loss', LEAF, 2 * SECOND, 2 * SECOND);
    expect(told.at(-1)).toMatchObject({ state: 'closed', end: { kind: 'observed', latest: 't2' } });
    expect(conditions.open).toBe(1);
  });

  it('that find no room are counted', () => {
    for (let i = 0; i < 1030; i++) conditions.raise(finding({ place: { node: `n${i}` } }), SECOND);
    expect(conditions.open).toBe(1024);
    expect(conditions.overflow).toBe(6);
  });
});

describe('loss by reason', () => {
  it('is told by class, as at least so many flows, and only when there is more of it', () => {
    let reports = 1;
    const detector = new LossDetector(
      {
        rows: () => [1],
        placeOf: () => ({ place: LEAF, reason: 29 }),
        reports: () => reports,
        flows: () => 5,
        lastNs: () => SECOND,
      },
      conditions,
    );
    detector.poll(SECOND);
    detector.poll(1.1 * SECOND);
    expect(told).toMatchObject([{ kind: 'loss', severity: 4, numbers: { flows: 5, reason: 29 } }]);
    conditions.advance(5 * SECOND);
    reports++;
    detector.poll(5 * SECOND);
    expect(kinds()).toEqual(['loss open', 'loss closed']);
  });
});

describe('moves of flows', () => {
  const detectorOver = (moves: number[][]): PathChangeDetector =>
    new PathChangeDetector(
      {
        nextMove: (record) => {
          const move = moves.shift();
          if (move !== undefined) record.set(move);
          return move !== undefined;
        },
        placeOfNode: (tag) => ({ node: `node-${tag}` }),
        interfaceOf: String,
        leftBehind: () => undefined,
      },
      conditions,
    );
  const move = (kind: number, node: number, flow: number, atNs: number): number[] => [kind, node, 3, 4, flow, 2, atNs];

  it('are a reroute when several leave a node by another way within a second, and none when one does', () => {
    detectorOver([1, 2, 3].map((flow) => move(MoveKind.moved, 7, flow, SECOND))).poll(SECOND);
    expect(told).toEqual([]);
    detectorOver([1, 2, 3, 4].map((flow) => move(MoveKind.moved, 7, flow, SECOND))).poll(SECOND);
    expect(told).toMatchObject([{ kind: 'path-change', place: { node: 'node-7' } }]);
  });

  it('of the same flow to and fro, and of flows long apart, are none', () => {
    detectorOver(Array.from({ length: 50 }, () => move(MoveKind.moved, 7, 1, SECOND))).poll(SECOND);
    detectorOver([1, 2, 3, 4, 5].map((flow) => move(MoveKind.moved, 7, flow, flow * 2 * SECOND))).poll(SECOND);
    expect(told).toEqual([]);
  });

  it('in a circle are one loop with all its nodes, the graver the more flows', () => {
    detectorOver([1, 2, 3].flatMap((flow) => [7, 8].map((node) => move(MoveKind.looped, node, flow, SECOND)))).poll(SECOND);
    expect(conditions.isOpen('loop', {})).toBe(true);
    expect(told.map(({ severity }) => severity)).toEqual([4, 5]);
    conditions.refresh(SECOND);
    expect(told.at(-1)!.summary).toContain('node-7, node-8');
  });
});

describe('links', () => {
  const ends = { place: { node: 'spine-1', interface: '2' }, peer: LEAF };
  const link: LinkCounts = {
    row: 1,
    followed: 0,
    unseen: 0,
    resent: 0,
    resentBehind: 0,
    peerReportLoss: 0,
    peerReportsLost: 0,
    leftNs: -Infinity,
  };
  const start = { ...link };
  const run = (seconds: number, step: (ms: number) => void): void => {
    const detector = new LinkLossDetector({ links: () => [link], isBroken: () => false, describe: () => ends }, conditions);
    for (let ms = 1000; ms < 1000 + seconds * 1000; ms += 20) {
      step(ms - 1000);
      detector.poll(ms * 1e6);
    }
  };
  beforeEach(() => void Object.assign(link, start));

  it('that lose one packet in two hundred without a word are told; those that lose none are not', () => {
    run(8, () => (link.followed += 20));
    expect(told).toEqual([]);
    run(8, (ms) => {
      link.followed += 20;
      if (ms % 200 === 0) link.unseen += 1;
    });
    expect(kinds()).toEqual(['silent-loss open']);
  });

  it('whose neighbour lost as many reports as packets are missing lost nothing', () => {
    link.peerReportLoss = 0.01;
    run(8, (ms) => {
      link.followed += 20;
      if (ms % 200 === 0) {
        link.unseen += 6;
        link.peerReportsLost += 10;
      }
    });
    expect(told).toEqual([]);
  });

  it('are told by segments that were sent again where reports are lost, unless most of these were lost behind the neighbour', () => {
    const lose = (behind: number): void =>
      run(12, (ms) => {
        link.peerReportLoss = 0.2;
        link.followed += 20;
        link.unseen += 5;
        link.peerReportsLost += 5;
        if (ms % 500 !== 0) return;
        link.resent += 1;
        link.resentBehind += behind;
      });
    lose(4);
    expect(told).toEqual([]);
    lose(0);
    expect(kinds()).toEqual(['silent-loss open']);
  });

  it('lose nothing silently where the neighbour is not heard, or where flows leave them at once', () => {
    run(8, (ms) => {
      if (ms % 2000 < 500) link.unseen += 20;
      else link.followed += 20;
    });
    run(8, (ms) => {
      link.followed += 20;
      if (ms % 1000 !== 0) return;
      link.unseen += 10;
      link.leftNs = (ms + 900) * 1e6;
    });
    expect(told).toEqual([]);
  });
});

describe('links that go down and come back', () => {
  const use = (row: number, peer: string): LinkUse => ({
    row,
    link: row,
    nodeTag: 1,
    peerTag: row + 1,
    reports: 0,
    isFiltered: false,
    followed: 0,
    unseen: 0,
    leftNs: -Infinity,
    leftFlows: 0,
    describe: () => ({ place: { node: 'spine-1', interface: String(row) }, peer: { node: peer } }),
  });
  const run = (links: LinkUse[], step: (ms: number) => void): void => {
    const detector = new LinkFlapDetector(() => links, conditions);
    for (let ms = 1000; ms < 13_000; ms += 20) {
      step(ms - 1000);
      detector.poll(ms * 1e6);
    }
  };
  /** Goes down and comes back every four seconds. */
  const goUpAndDown = (link: LinkUse, ms: number, leftFlows: number): void => {
    if (ms % 4000 < 2000) link.reports += 20;
    else if (ms % 4000 === 2000) Object.assign(link, { leftNs: (ms + 1000) * 1e6, leftFlows });
  };

  it('three times are told, while flows take other ways', () => {
    const link = use(1, 'leaf-1');
    run([link], (ms) => goUpAndDown(link, ms, 5));
    expect(kinds()).toEqual(['link-flap open']);
  });

  it('are not those that fall silent because nobody sends any more, or whose nodes report now and then only', () => {
    const [idle, filtered] = [use(1, 'leaf-1'), { ...use(2, 'leaf-2'), isFiltered: true }];
    run([idle], (ms) => goUpAndDown(idle, ms, 0));
    run([filtered], (ms) => {
      if (ms % 1100 === 0) filtered.reports += 60;
      Object.assign(filtered, { leftNs: ms * 1e6, leftFlows: 5 });
    });
    expect(told).toEqual([]);
  });

  it('nor those that cut nothing, where packets are followed', () => {
    const link = use(1, 'leaf-1');
    run([link], (ms) => {
      goUpAndDown(link, ms, 5);
      if (ms % 4000 < 2000) link.followed += 20;
    });
    expect(told).toEqual([]);
  });

  it('of those that do so together, it is the one in front of which packets were lost, or else none is accused', () => {
    const [broken, dry] = [use(1, 'leaf-1'), use(2, 'leaf-2')];
    const both = (ms: number): void => [broken, dry].forEach((link) => goUpAndDown(link, ms, 5));
    run([broken, dry], both);
    expect(told).toEqual([]);
    run([broken, dry], (ms) => {
      both(ms);
      if (ms % 4000 < 2000) broken.followed += 20;
      if (ms % 4000 === 2000) broken.unseen += 3;
    });
    expect(told.map(({ place }) => place.interface)).toEqual(['1']);
  });
});

describe('telemetry', () => {
  it('is degraded when reports are missing window after window', () => {
    let received = 0;
    let expectedReports = 0;
    const detector = new TelemetryDetector(
      {
        exporters: () => [{ row: 1, place: LEAF, expected: expectedReports, received }],
        nodes: () => [],
        neighboursSee: () => undefined,
      },
      conditions,
    );
    const second = (lost: number, atNs: number): void => {
      expectedReports += 1000;
      received += 1000 - lost;
      detector.poll(atNs);
    };
    for (let i = 1; i < 6; i++) second(i === 3 ? 200 : 0, i * 0.6 * SECOND);
    expect(told).toEqual([]);
    for (let i = 6; i < 9; i++) second(60, i * 0.6 * SECOND);
    expect(told[0]).toMatchObject({ kind: 'telemetry-degraded', numbers: { lossRatio: 0.06 } });
  });

  it.each([
    ['that still forwards has stopped reporting', 'forwarding', 3],
    ['that swallows what is sent to it is dead', 'swallowing', 5],
    ['to which nobody sends is idle', undefined, undefined],
  ] as const)('a node %s', (_what, seen, severity) => {
    const node = { tag: 1, place: LEAF, reports: 0, lastReportNs: 0 };
    const detector = new TelemetryDetector({ exporters: () => [], nodes: () => [node], neighboursSee: () => seen }, conditions);
    for (let i = 1; i < 20; i++) {
      if (i < 10) Object.assign(node, { reports: i * 100, lastReportNs: i * 0.6 * SECOND });
      detector.poll(i * 0.6 * SECOND);
    }
    expect(told[0]?.severity).toBe(severity);
    Object.assign(node, { reports: 1000, lastReportNs: 12 * SECOND });
    detector.poll(12.1 * SECOND);
    expect(conditions.open).toBe(0);
  });

  it('a spent budget of queue reports is told until the queue is heard of again, and a queue that drained is not', () => {
    let open: OpenQueue[] = [{ row: 1, place: LEAF, reports: 1024, reportLoss: 0, lastWaitNs: 1e6, lastSeenNs: SECOND }];
    const detector = new QuotaDetector(() => open, 25_000, conditions);
    detector.poll(SECOND + 1e6);
    expect(told).toEqual([]);
    detector.poll(SECOND + 20e6);
    expect(kinds()).toEqual(['telemetry-degraded open']);
    open = [{ ...open[0], reports: 1100, lastSeenNs: SECOND + 30e6 }];
    detector.poll(SECOND + 31e6);
    expect(told.at(-1)!.state).toBe('closed');
    open = [{ ...open[0], reports: 300 }];
    detector.poll(2 * SECOND);
    expect(conditions.open).toBe(0);
  });
});

describe('the wrong queue', () => {
  it('is told from the third packet on, of the node that put it there', () => {
    let hops = 2;
    const detector = new MisplacedDetector(() => [{ row: 1, place: LEAF, hops, lastNs: SECOND, dscp: 46, queue: 0 }], conditions);
    detector.poll(SECOND);
    expect(told).toEqual([]);
    hops = 3;
    detector.poll(SECOND);
    expect(told).toMatchObject([{ kind: 'misclassified', place: LEAF, numbers: { dscp: 46, queue: 0 } }]);
  });
});

describe('budgets of slices', () => {
  const run = (late: number, seconds = 10): void => {
    const counts = { packets: 0, late: 0 };
    const detector = new BudgetDetector(
      [{ name: 'xr', budgetNs: 1e6, objective: 0.999 }],
      { packets: () => counts.packets, late: () => counts.late },
      conditions,
    );
    for (let i = 1; i <= seconds * 10; i++) {
      counts.packets += 100;
      counts.late += late;
      detector.poll(i * 0.1 * SECOND);
    }
  };

  it('are breached when more than one packet in a hundred is late, surely', () => {
    run(5);
    expect(told[0]).toMatchObject({ kind: 'slice-budget', place: { slice: 'xr' }, severity: 4 });
  });

  it('are not by one packet in a hundred, nor by none', () => {
    run(1);
    run(0);
    expect(told).toEqual([]);
  });
});

describe('unequal ways', () => {
  const way = (portRow: number, group = 'up'): Way => ({
    portRow,
    place: { node: 'leaf-1', interface: String(portRow) },
    group,
    node: LEAF,
    bytes: 0,
    rate: 0.0125,
    reportLoss: 0,
  });
  const MEGA = 12.5e6;
  const hop = (portRow: number): PathHop => ({
    nodeTag: 1,
    portRow,
    ttl: 63,
    isSettled: true,
    seenMs: Infinity,
    reports: 1,
    isFiltered: false,
  });

  /** Shares of a link's rate per way, and flows as [way, share of the rate]. */
  const run = (use: readonly number[], flows: readonly (readonly [number, number])[]): void => {
    const ways = use.map((_, i) => way(i + 1));
    const detector = new ImbalanceDetector(() => ways, conditions, 1000);
    for (let second = 1; second < 10; second++) {
      ways.forEach((one, i) => (one.bytes += use[i] * MEGA));
      flows.forEach(([port, share], row) => {
        const visit: FlowVisit = {
          row,
          generation: 2,
          hops: [hop(port)],
          seenMs: second * 1000,
          sinceMs: 0,
          bytesPerNs: (share * MEGA) / SECOND,
        };
        detector.visit(visit, second * SECOND - 1);
      });
      detector.poll(second * SECOND);
    }
  };

  it('two large flows on one of four are a collision, at that interface', () => {
    run(
      [0.9, 0.02, 0.02, 0.02],
      [
        [1, 0.5],
        [1, 0.4],
        [2, 0.02],
      ],
    );
    expect(told[0]).toMatchObject({ kind: 'ecmp-collision', place: { interface: '1' } });
  });

  it('one large flow is none, and neither are ways that are used alike or hardly at all', () => {
    run(
      [0.9, 0.02, 0.02, 0.02],
      [
        [1, 0.88],
        [2, 0.02],
      ],
    );
    run(
      [0.8, 0.75, 0.7, 0.8],
      [
        [1, 0.4],
        [1, 0.4],
      ],
    );
    run(
      [0.2, 0.01, 0.01, 0.01],
      [
        [1, 0.1],
        [1, 0.1],
      ],
    );
    expect(told).toEqual([]);
  });

  it('many flows that all go one way are a hash that is not fair, at the node', () => {
    const mice = Array.from({ length: 300 }, () => [1, 0.003] as const);
    run([0.9, 0], mice);
    expect(told[0]).toMatchObject({ kind: 'ecmp-polarised', place: LEAF });
  });
});

describe('blackholes', () => {
  const address = (last: number, third = 3): Uint32Array =>
    Uint32Array.of(0, 0, 0xffff, (10 << 24) | (244 << 16) | (third << 8) | last);
  interface Flow {
    destination: Uint32Array;
    isSwallowed: (ms: number) => boolean;
    reports: number;
    behindMs: number;
  }
  /** `isHeard`: whether the neighbour reports anything. */
  const run = (flows: Flow[], seconds: number, isHeard: (ms: number) => boolean = () => true): void => {
    let heardNs = 0;
    const detector = new BlackholeDetector(
      {
        hasPeer: (row) => row === 1,
        placeOfPort: () => ({ ...LEAF, interface: '7' }),
        destinationOf: (row) => flows[row].destination,
        addressText: (words) => [24, 16, 8, 0].map((shift) => (words[3] >>> shift) & 255).join('.'),
        reportLossOf: () => 0,
        peerHeardNs: () => heardNs,
      },
      conditions,
      100,
    );
    for (let ms = 1000; ms < 1000 + seconds * 1000; ms += 20) {
      if (isHeard(ms - 1000)) heardNs = ms * 1e6;
      flows.forEach((flow, row) => {
        flow.reports++;
        if (!flow.isSwallowed(ms - 1000)) flow.behindMs = ms;
        const at = (portRow: number, ttl: number, seenMs: number): PathHop => ({
          nodeTag: portRow,
          portRow,
          ttl,
          isSettled: true,
          seenMs,
          reports: flow.reports,
          isFiltered: false,
        });
        const hops = flow.behindMs === 0 ? [at(1, 63, ms)] : [at(1, 63, ms), at(2, 62, flow.behindMs)];
        detector.visit({ row, generation: 2, hops, seenMs: ms, sinceMs: 1000, bytesPerNs: 0 }, ms * 1e6);
      });
      detector.poll(ms * 1e6);
    }
  };
  const flow = (destination: Uint32Array, isSwallowed: (ms: number) => boolean = () => false): Flow => ({
    destination,
    isSwallowed,
    reports: 0,
    behindMs: 0,
  });

  it('that eat one prefix of a link are told with both, and its neighbours are not in it', () => {
    const eaten = (ms: number): boolean => ms >= 2000;
    run([flow(address(10), eaten), flow(address(11), eaten), flow(address(10, 2)), flow(address(11, 2))], 5);
    expect(told[0]).toMatchObject({ kind: 'blackhole', place: { node: 'leaf-1', interface: '7', prefix: '10.244.3.0/24' } });
    expect(new Set(told.map(({ place }) => place.prefix)).size).toBe(1);
  });

  it('are not where everything is gone, where one flow of an address gets through, or where a flow has ended', () => {
    run([flow(address(10), () => true), flow(address(11), () => true)], 5);
    run([flow(address(10), () => true), flow(address(10)), flow(address(12, 2))], 5);
    expect(told).toEqual([]);
  });

  it('are not where the neighbour was silent, though some flows are heard of again before others', () => {
    const isSilent = (ms: number): boolean => ms >= 1000 && ms < 4000;
    const late = (ms: number): boolean => ms >= 1000 && ms < 4250;
    run([flow(address(10), late), flow(address(11), late), flow(address(10, 2), isSilent)], 6, (ms) => !isSilent(ms));
    expect(told).toEqual([]);
  });
});

it('the sweep visits every flow that is alive, a bounded part at a time', () => {
  const seen = new Map<number, number>();
  const hop = { nodeTag: 1, portRow: 1, ttl: 1, isSettled: true, reports: 1, isFiltered: false };
  const sweep = new FlowSweep(
    {
      rows: () => 5001,
      generationOf: () => 2,
      hops: (row) => (row % 2 === 0 ? [] : [{ ...hop, seenMs: row < 2500 ? 1000 : 100_000 }]),
      bytes: () => 0,
      capacity: 5001,
    },
    ({ row }) => seen.set(row, (seen.get(row) ?? 0) + 1),
  );
  for (let i = 0; i < 3; i++) sweep.poll(100 * SECOND);
  // 2048 rows a time, three times: those that are alive are from 2500 on, and odd.
  expect(Math.min(...seen.keys())).toBe(2501);
  expect(seen.size).toBe(1250);
});

it('the sweep knows how fast a flow has been sending, and forgets it when the row passes to another', () => {
  let bytes = 0;
  let generation = 2;
  const hop = { nodeTag: 1, portRow: 1, ttl: 1, isSettled: true, reports: 1, isFiltered: false };
  const rates: number[] = [];
  const sweep = new FlowSweep(
    {
      rows: () => 2,
      generationOf: () => generation,
      hops: () => [{ ...hop, seenMs: Infinity }],
      bytes: () => bytes,
      capacity: 2,
    },
    ({ bytesPerNs }) => rates.push(bytesPerNs),
  );
  for (let i = 0; i < 100; i++, bytes += 50e6) sweep.poll(SECOND + i * 100e6);
  expect(rates[0]).toBe(0);
  expect(rates.at(-1)).toBeCloseTo(0.5, 2);
  expect(sweep.paceOf(1, 2)).toBe(rates.at(-1));
  generation = 4;
  expect(sweep.paceOf(1, 4)).toBe(0);
  sweep.poll(100 * SECOND);
  expect(rates.at(-1)).toBe(0);
});
