// Incidents: what belongs together, what does not, and that every one that opened also closes.

import { beforeEach, describe, expect, it } from 'vitest';
import { IncidentBook, severityOf } from '../../../collector/diagnose/incident.ts';
import type { CongestionEvent, Culprit, Incident, IncidentChange, Plan, Victim } from '../../../collector/event.ts';

const PLAN: Plan = { action: 'none', targets: [], why: '', expectedEffect: '', undo: '', planHash: '' };
const culprit = (workload: string, buildUpShare = 0.9, kind: Culprit['kind'] = 'workload'): Culprit => ({
  namespace: 'shop',
  workload,
  kind,
  buildUpShare,
  buildUpBytes: 1,
  occupancyShare: 0,
  excessShare: 1,
  flows: 1,
  counterfactual: null,
});
const victim = (budgetUse: number): Victim => ({
  namespace: 'shop',
  workload: 'cart',
  kind: 'workload',
  towards: 'shop/db',
  delayedPackets: 10,
  excessWaitP99Ns: budgetUse * 1e6,
  excessWaitMaxNs: budgetUse * 1e6,
  excessWaitSumNs: 1,
  budgetUse,
});

let serial = 0;
function event(changes: Partial<CongestionEvent> = {}): CongestionEvent {
  serial++;
  return {
    id: `evt_${serial}`,
    kind: 'microburst',
    state: 'closed',
    queue: { node: 'leaf-1', nodeId: 1, interface: '1', interfaceId: 1, queue: 0 },
    buildUpStart: '',
    flows: [],
    pattern: 'burst',
    fanIn: null,
    start: `s${serial}`,
    peakAt: '',
    lastSeen: '',
    end: null,
    durationNs: 100_000,
    peakWaitNs: 100_000,
    peakDepthBytes: null,
    dropReports: 0,
    culprits: [culprit('alpha')],
    victims: [],
    selfInflicted: null,
    confidence: 0.9,
    evidence: { reports: 1, effectiveReports: 1, reportLossRatio: 0, coverage: 1, identifiedShare: 1 },
    ...changes,
  };
}

let book: IncidentBook;
let changes: [string, IncidentChange, number][];
beforeEach(() => {
  changes = [];
  book = new IncidentBook({ quietNs: 60e9, maxIncidents: 3, iso: (ns) => `t${ns}`, planFor: () => PLAN }, (incident, change) =>
    changes.push([incident.id, change, incident.severity]),
  );
});
const only = (): Incident => {
  expect(book.list()).toHaveLength(1);
  return book.list()[0];
};

it('events of one queue with one culprit are one incident, closed after a minute of quiet', () => {
  book.record(event(), 1e9);
  book.record(event(), 2e9);
  book.advance(61e9);
  expect(only()).toMatchObject({ state: 'open', eventCount: 2 });
  book.advance(62e9);
  expect(only()).toMatchObject({ state: 'closed', closedAt: `t${62e9}` });
  book.record(event(), 63e9);
  expect(book.list()).toHaveLength(2);
  expect(changes.map(([, change]) => change)).toEqual(['opened', 'updated', 'closed', 'opened']);
});

it('is not closed while an event of it is open or silent', () => {
  const open = event({ state: 'open' });
  book.record(open, 1e9);
  book.record({ ...open, state: 'silent' }, 3e9);
  book.advance(1000e9);
  expect(only().state).toBe('open');
  book.record({ ...open, state: 'closed' }, 1001e9);
  book.advance(1062e9);
  expect(only().state).toBe('closed');
});

it('another queue, or another sure culprit on the same queue, is another incident', () => {
  book.record(event(), 1e9);
  book.record(event({ culprits: [culprit('beta')] }), 2e9);
  book.record(event({ queue: { node: 'leaf-2', nodeId: 2, interface: '1', interfaceId: 1, queue: 0 } }), 3e9);
  expect(book.list()).toHaveLength(3);
});

it('an event that accuses nobody joins, and does not overwrite the verdict; nor does a later culprit take its place', () => {
  book.record(event({ confidence: 0.95 }), 1e9);
  book.record(event({ culprits: [culprit('unknown', 1, 'unknown')], confidence: 0 }), 2e9);
  expect(only()).toMatchObject({ eventCount: 2, confidence: 0.95, culprits: [{ workload: 'alpha' }] });
  book.record(event({ culprits: [culprit('beta')], confidence: 0.9 }), 3e9);
  expect(book.list()).toHaveLength(2);
});

it('an event that turns out to have another culprit moves to a story of its own', () => {
  book.record(event(), 1e9);
  const unclear = event({ state: 'open', culprits: [], confidence: 0 });
  book.record(unclear, 2e9);
  expect(only().eventCount).toBe(2);
  book.record({ ...unclear, state: 'closed', culprits: [culprit('beta')], confidence: 0.9 }, 3e9);
  const [second, first] = book.list();
  expect([first.eventCount, second.eventCount]).toEqual([1, 1]);
  expect([first.culprits[0].workload, second.culprits[0].workload]).toEqual(['alpha', 'beta']);
  book.advance(200e9);
  expect(book.list().map((incident) => incident.state)).toEqual(['closed', 'closed']);
});

it('never changes its leading culprit, also when the event that showed it thinks again', () => {
  book.record(event({ confidence: 0.8 }), 1e9);
  const sure = event({ state: 'open', confidence: 0.9 });
  book.record(sure, 2e9);
  book.record({ ...sure, state: 'closed', culprits: [culprit('beta')], confidence: 0.95 }, 3e9);
  const [second, first] = book.list();
  expect([first.culprits[0].workload, second.culprits[0].workload]).toEqual(['alpha', 'beta']);
});

it('severity only rises, and each rise is told', () => {
  book.record(event(), 1e9);
  book.record(event({ victims: [victim(0.6)] }), 2e9);
  book.record(event(), 3e9);
  book.record(event({ victims: [victim(1.2)] }), 4e9);
  expect(changes.map(([, change, severity]) => [change, severity])).toEqual([
    ['opened', 1],
    ['severity-changed', 3],
    ['updated', 3],
    ['severity-changed', 4],
  ]);
});

it('a full book lets the oldest closed one go; full of open ones it takes no newcomer, and counts', () => {
  const at = (node: string) => event({ queue: { node, nodeId: 1, interface: '1', interfaceId: 1, queue: 0 } });
  for (const node of ['a', 'b', 'c']) book.record(at(node), 1e9);
  book.record(at('d'), 2e9);
  expect([book.list().length, book.open, book.overflow]).toEqual([3, 3, 1]);
  book.advance(62e9);
  book.record(at('e'), 63e9);
  expect(book.list().map((incident) => [incident.place.node, incident.state])).toEqual([
    ['e', 'open'],
    ['c', 'closed'],
    ['b', 'closed'],
  ]);
  expect(changes.filter(([, change]) => change === 'opened')).toHaveLength(4);
});

it('has the id of its first event: the same under replay', () => {
  book.record(event({ id: 'evt_0123' }), 1e9);
  expect(only().id).toBe('inc_0123');
  expect(book.get('inc_0123')).toBe(only());
});

describe('severity', () => {
  it.each([
    ['nobody harmed', {}, 1],
    ['a victim', { victims: [victim(0.1)] }, 2],
    ['congestion of more than 1 ms', { kind: 'congestion' }, 2],
    ['half of the budget', { victims: [victim(0.5)] }, 3],
    ['100 ms standing, and nobody harmed', { kind: 'sustained' }, 2],
    [
      'a wait that the queue does not explain',
      { victims: [victim(2)], evidence: { ...event().evidence, explainedShare: 0.1 } },
      2,
    ],
    ['the whole budget', { victims: [victim(1)] }, 4],
    ['drops', { dropReports: 1 }, 4],
  ] as [string, Partial<CongestionEvent>, number][])('%s: %#', (_name, changed, severity) => {
    expect(severityOf(event(changed))).toBe(severity);
  });
});
