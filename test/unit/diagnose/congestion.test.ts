// The life of an event on the calm side: open, silent, closed, timed out; and what happens when an edge is lost on the way.

import { beforeEach, describe, expect, it } from 'vitest';
import { Edge, EDGE_WIDTH, EdgeKind } from '../../../collector/edge.ts';
import { CongestionDiagnosis } from '../../../collector/diagnose/congestion.ts';
import type { CongestionEvent, Owner } from '../../../collector/event.ts';
import { FLOW_WORDS, FlowWord, TunnelKind } from '../../../collector/flow-key.ts';
import type { FlowKey } from '../../../collector/observe/flow.ts';
import { logOf, workload } from '../../support/arrivals.ts';

const SECOND = 1e9;
let edges: Float64Array[];
let seen: CongestionEvent[];
let lastWaitSeenNs: number;
let hot: { open: boolean; openCount: number };
let log: ReturnType<typeof logOf> | undefined;
let freed: number[];
let now: Float64Array | undefined;
let diagnosis: CongestionDiagnosis;

function push(kind: number, openCount: number, changes: Partial<Record<keyof typeof Edge, number>> = {}): void {
  const edge = new Float64Array(EDGE_WIDTH);
  const values = {
    kind,
    queueRow: 5,
    openedNodeNs: 1000,
    peakNodeNs: 2000,
    lastNodeNs: 3000,
    peakWaitNs: 60_000,
    reports: 3,
    log: 7,
    openCount,
    ...changes,
  };
  for (const [name, value] of Object.entries(values)) edge[Edge[name as keyof typeof Edge]] = value;
  edges.push(edge);
  hot = { open: kind !== EdgeKind.closed, openCount };
}

/** The one flow, and who owns its ends. */
let flow: FlowKey;
let ownerOf: (words: Uint32Array, offset: number) => Owner;

beforeEach(() => {
  [edges, seen, freed] = [[], [], []];
  now = undefined;
  lastWaitSeenNs = 0;
  flow = { words: new Uint32Array(FLOW_WORDS), outer: undefined };
  ownerOf = (_words, offset) => workload(offset === 0 ? 'sender' : 'receiver');
  log = logOf(Array.from({ length: 20 }, (_, i) => ({ atNs: 100 * i, flow: 1, waitNs: 60_000 })));
  diagnosis = new CongestionDiagnosis(
    {
      nextEdge: (record) => {
        const edge = edges.shift();
        if (edge !== undefined) record.set(edge);
        return edge !== undefined;
      },
      copyLog: () => log,
      freeLog: (l) => freed.push(l),
      queueOf: () => ({ node: 'leaf-1', nodeId: 1, interface: '3', interfaceId: 3, queue: 0 }),
      lastWaitSeenNs: () => lastWaitSeenNs,
      describe: (_row, record) => {
        if (now !== undefined) record.set(now);
      },
      isOpen: (_row, openCount) => hot.open && hot.openCount === openCount,
      portBytesPerNs: () => 0,
      isFiltered: () => false,
      rankOf: () => 0,
      sharesPort: () => false,
      nodeOffsetNs: () => 0,
      deviceTimeNs: (_row, nodeNs) => BigInt(nodeNs),
      flowAt: () => flow,
      paceOf: () => 0,
      pathOf: () => ['leaf-1'],
      endsOf: () => ({ source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 1, destinationPort: 2, protocol: 6 }),
      ownerAt: (words, offset) => ownerOf(words, offset),
      reportLossOf: () => 0,
      iso: (ns) => `t${ns}`,
    },
    { budgetNs: 1e6, sliceBudgetsNs: new Map(), harmWaitNs: undefined, silentAfterNs: 2 * SECOND, timeoutAfterNs: 60 * SECOND },
    (event) => seen.push(structuredClone(event)),
  );
});
const states = (): string[] => seen.map((event) => event.state);

it('opens, grows, closes as observed, and gives the log back', () => {
  push(EdgeKind.opened, 1);
  diagnosis.poll(0.02 * SECOND);
  push(EdgeKind.grew, 1, { lastNodeNs: 2e6 });
  diagnosis.poll(0.03 * SECOND);
  push(EdgeKind.closed, 1, { lastNodeNs: 6e6 });
  diagnosis.poll(0.04 * SECOND);
  expect(seen.map((e) => [e.state, e.kind])).toEqual([
    ['open', 'microburst'],
    ['open', 'congestion'],
    ['closed', 'congestion'],
  ]);
  expect(seen[2].end).toEqual({ kind: 'observed', earliest: 't6000000', latest: 't6000000' });
  expect(seen[2].culprits[0].workload).toBe('sender');
  expect(seen[2].flows).toMatchObject([{ source: '10.0.0.1', sender: 'shop/sender', buildUpShare: 1 }]);
  expect(new Set(seen.map((event) => event.id)).size).toBe(1);
  expect(freed).toEqual([7]);
});

it('silence is told and never called over; long silence is a timeout with both bounds', () => {
  push(EdgeKind.opened, 1);
  diagnosis.poll(0.02 * SECOND);
  diagnosis.poll(1.9 * SECOND);
  diagnosis.poll(2.1 * SECOND);
  diagnosis.poll(59 * SECOND);
  expect(states()).toEqual(['open', 'silent']);
  lastWaitSeenNs = 59.5 * SECOND;
  diagnosis.poll(60 * SECOND);
  expect(states()).toEqual(['open', 'silent', 'open']);
  diagnosis.poll(62 * SECOND);
  diagnosis.poll(119.6 * SECOND);
  expect(states()).toEqual(['open', 'silent', 'open', 'silent', 'closed']);
  expect(seen[4].end).toEqual({ kind: 'timeout', earliest: 't3000', latest: `t${119.6 * SECOND}` });
});

it('a lost closing edge leaves nothing open: the shared table says that it is over', () => {
  push(EdgeKind.opened, 1);
  diagnosis.poll(0.02 * SECOND);
  hot.open = false;
  lastWaitSeenNs = 0.03 * SECOND;
  diagnosis.poll(0.04 * SECOND);
  expect(states()).toEqual(['open']);
  diagnosis.poll(0.06 * SECOND);
  expect(states()).toEqual(['open', 'closed']);
  expect(seen[1].end).toMatchObject({ kind: 'observed', earliest: 't3000' });
});

it('the next event on the queue closes one whose closing edge was lost', () => {
  push(EdgeKind.opened, 1);
  push(EdgeKind.opened, 2, { openedNodeNs: 9e6, lastNodeNs: 9e6 });
  diagnosis.poll(0.02 * SECOND);
  expect(seen.map((e) => [e.state, e.start])).toEqual([
    ['open', 't1000'],
    ['closed', 't1000'],
    ['open', 't9000000'],
  ]);
  expect(seen[1].end!.latest).toBe('t9000000');
});

it('of several edges of one event the newest counts, and one poll does not go on for ever', () => {
  log = logOf(Array.from({ length: 6000 }, (_, i) => ({ atNs: i, flow: 1, waitNs: 60_000 })));
  push(EdgeKind.opened, 1);
  push(EdgeKind.grew, 1);
  push(EdgeKind.closed, 1, { lastNodeNs: 9000 });
  for (let row = 100; row < 110; row++) push(EdgeKind.closed, 1, { queueRow: row });
  expect(diagnosis.poll(0.02 * SECOND)).toBe(true);
  expect(seen[0]).toMatchObject({ state: 'closed', lastSeen: 't9000' });
  expect(seen).toHaveLength(3);
  while (diagnosis.poll(0.04 * SECOND));
  expect(seen).toHaveLength(11);
  expect(freed).toHaveLength(11);
});

it('looks up each second how an open event has grown, though no edge says so', () => {
  push(EdgeKind.opened, 1);
  diagnosis.poll(0.02 * SECOND);
  now = new Float64Array(EDGE_WIDTH);
  now[Edge.reports] = 400;
  now[Edge.peakWaitNs] = 99_000;
  now[Edge.openCount] = 1;
  now[Edge.log] = -1;
  now[Edge.queueRow] = 5;
  now[Edge.kind] = EdgeKind.grew;
  lastWaitSeenNs = 1 * SECOND;
  diagnosis.poll(0.5 * SECOND);
  expect(seen).toHaveLength(1);
  diagnosis.poll(1.1 * SECOND);
  expect(seen).toHaveLength(2);
  expect(seen[1]).toMatchObject({ id: seen[0].id, state: 'open', peakWaitNs: 99_000, culprits: seen[0].culprits });
  diagnosis.poll(2.2 * SECOND);
  expect(seen).toHaveLength(2);
});

it('keeps its name when the clock of the device is set in the middle', () => {
  push(EdgeKind.opened, 1);
  diagnosis.poll(0.02 * SECOND);
  push(EdgeKind.closed, 1, { openedNodeNs: 77_000 });
  diagnosis.poll(0.04 * SECOND);
  expect(seen.map((event) => [event.state, event.id, event.start])).toEqual([
    ['open', seen[0].id, 't1000'],
    ['closed', seen[0].id, 't1000'],
  ]);
});

describe('evidence', () => {
  it('that cannot be read leaves what was found before', () => {
    push(EdgeKind.opened, 1);
    diagnosis.poll(0.02 * SECOND);
    log = undefined;
    push(EdgeKind.closed, 1);
    diagnosis.poll(0.04 * SECOND);
    expect(seen[1].culprits).toEqual(seen[0].culprits);
    expect(seen[1].confidence).toBe(seen[0].confidence);
  });

  it('that was never kept accuses nobody', () => {
    push(EdgeKind.opened, 1, { log: -1 });
    diagnosis.poll(0.02 * SECOND);
    expect(seen[0]).toMatchObject({ culprits: [], victims: [], confidence: 0, evidence: { effectiveReports: 0 } });
  });
});

describe('a flow in a tunnel', () => {
  const outer = new Uint32Array(8);
  const unknown: Owner = { kind: 'unknown', namespace: 'unknown', workload: 'unknown', confidence: 0 };
  const culprit = (kind: number): string => {
    flow = { words: new Uint32Array(FLOW_WORDS), outer };
    flow.words[FlowWord.protocol] = kind << 16;
    ownerOf = (words) => (words === outer ? workload('upf') : unknown);
    push(EdgeKind.opened, 1);
    push(EdgeKind.closed, 1, { lastNodeNs: 6e6 });
    diagnosis.poll(0.04 * SECOND);
    return seen.at(-1)!.culprits[0].workload;
  };

  it('of GTP-U belongs to the end of the tunnel, for a subscriber is no workload', () => {
    expect(culprit(TunnelKind.gtpu)).toBe('upf');
  });

  it('of an overlay stays unknown: its node is not the pod', () => {
    expect(culprit(TunnelKind.vxlan)).toBe('unknown');
  });
});
