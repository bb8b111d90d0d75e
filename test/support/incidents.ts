// Incidents written by hand, for tests of what comes behind the diagnosis.

import type { Incident } from '../../collector/event.ts';

export function incidentOf(changes: Partial<Incident> = {}): Incident {
  const evidence = { reports: 300, effectiveReports: 200, reportLossRatio: 0, coverage: 1, identifiedShare: 1 };
  const queue = { node: 'leaf-2', nodeId: 2, interface: '1', interfaceId: 1, queue: 0 };
  const culprit = {
    namespace: 'analytics',
    workload: 'backup',
    kind: 'workload' as const,
    buildUpShare: 0.9,
    buildUpBytes: 1e6,
    occupancyShare: 0.5,
    excessShare: 1,
    flows: 2,
    counterfactual: 0.95,
  };
  const victim = {
    namespace: 'core5g',
    workload: 'upf',
    kind: 'workload' as const,
    towards: 'core5g/db',
    delayedPackets: 20,
    excessWaitP99Ns: 1.5e6,
    excessWaitMaxNs: 1.6e6,
    excessWaitSumNs: 2e7,
    budgetUse: 1.5,
  };
  const event = {
    id: 'evt_1',
    kind: 'congestion' as const,
    state: 'closed' as const,
    queue,
    pattern: 'burst' as const,
    fanIn: null,
    buildUpStart: '2026-11-24T10:00:00.000000000Z',
    start: '2026-11-24T10:00:00.000100000Z',
    peakAt: '2026-11-24T10:00:00.002000000Z',
    lastSeen: '2026-11-24T10:00:00.004000000Z',
    end: null,
    durationNs: 3_900_000,
    peakWaitNs: 1.6e6,
    peakDepthBytes: 2e6,
    dropReports: 0,
    culprits: [culprit],
    flows: [],
    victims: [victim],
    selfInflicted: null,
    confidence: 0.95,
    evidence,
  };
  return {
    id: 'inc_1',
    type: 'congestion',
    state: 'open',
    severity: 4,
    summary: 'leaf-2 interface 1 queue 0 is congested',
    story: { text: 'Packets waited.', evidence: [], help: [] },
    place: queue,
    queue,
    related: [],
    openedAt: event.start,
    updatedAt: event.lastSeen,
    closedAt: null,
    eventCount: 1,
    peakWaitNs: event.peakWaitNs,
    peakDepthBytes: event.peakDepthBytes,
    culprits: [culprit],
    victims: [victim],
    confidence: 0.95,
    evidence,
    plan: { action: 'none', targets: [], why: '', expectedEffect: '', undo: '', planHash: '' },
    alerts: [],
    events: [event],
    ...changes,
  };
}
