// From an incident to events: who is told what, when a change is asked for, and whether it was of use.

import { beforeEach, describe, expect, it } from 'vitest';
import { planFor } from '../../../alerts/remediation/plan.ts';
import { Remediation } from '../../../alerts/remediation/remediation.ts';
import { baselineOf, judge, watchNs, type QueueReading } from '../../../alerts/remediation/verify.ts';
import type { Incident, IncidentChange } from '../../../collector/event.ts';
import { Outbox } from '../../../collector/store/outbox.ts';
import { incidentOf } from '../../support/incidents.ts';

const SECOND = 1e9;

describe('the plan', () => {
  const policy = { mode: 'observe' as const, minConfidence: 0.8 };

  it('limits the culprit, with why, effect, undo and a hash over action and target', () => {
    const plan = planFor(incidentOf(), policy);
    expect(plan).toMatchObject({ action: 'limit-egress-rate', targets: ['workload/analytics/backup'], mode: 'observe' });
    expect(plan.why).toContain('90 % of the build-up');
    expect(plan.undo).not.toBe('');
    expect(plan.planHash).toMatch(/^[0-9a-f]{64}$/);
    expect(planFor(incidentOf({ peakWaitNs: 5 }), policy).planHash).toBe(plan.planHash);
  });

  const { culprits, evidence } = incidentOf();
  it.each([
    ['nobody is harmed', { victims: [] }, 'none'],
    ['it is not sure', { confidence: 0.79 }, 'investigate'],
    ['reports are lost', { evidence: { ...evidence, reportLossRatio: 0.06 } }, 'investigate'],
    ['the sender is unknown', { culprits: [{ ...culprits[0], kind: 'unknown' }] }, 'investigate'],
    ['the sender is a node', { culprits: [{ ...culprits[0], kind: 'node' }] }, 'investigate'],
    ['no sender was seen', { culprits: [] }, 'investigate'],
  ] as [string, Partial<Incident>, string][])('does not act when %s', (_name, changes, action) => {
    expect(planFor(incidentOf(changes), policy)).toMatchObject({ action, targets: [] });
  });
});

describe('the verdict', () => {
  const reading = (atS: number, congestedMs: number, openings: number, reports = atS * 100): QueueReading => {
    return { atNs: atS * SECOND, congestedNs: congestedMs * 1e6, openings, reports };
  };
  const bursts = baselineOf(reading(0, 4, 1), reading(10, 12, 3), 5 * SECOND)!;

  it('needs a baseline: two recurrences, or congestion that stands', () => {
    expect(bursts).toEqual({ congestedShare: 0.0008, periodNs: 5 * SECOND });
    expect(baselineOf(reading(0, 4, 1), reading(6, 8, 2), 5 * SECOND)).toBeUndefined();
    expect(baselineOf(reading(0, 0, 1), reading(4, 3000, 1), 5 * SECOND)).toBeUndefined();
    expect(baselineOf(reading(0, 0, 1), reading(6, 3000, 1), 5 * SECOND)).toEqual({ congestedShare: 0.5, periodNs: 0 });
  });

  it('watches eight periods, or as long as a change may take', () => {
    expect(watchNs(bursts, 5 * SECOND)).toBe(40 * SECOND);
    expect(watchNs({ congestedShare: 0.5, periodNs: 0 }, 5 * SECOND)).toBe(5 * SECOND);
  });

  it.each([
    ['nothing changed', reading(20, 100, 10), reading(60, 132, 18), 'no-effect'],
    ['it stopped', reading(20, 100, 10), reading(60, 100, 10), 'verified'],
    ['one burst was left', reading(20, 100, 10), reading(60, 104, 11), 'verified'],
    ['fewer bursts, which may be chance', reading(20, 100, 10), reading(60, 112, 13), 'no-effect'],
    ['as many bursts, much shorter: somebody still congests', reading(20, 100, 10), reading(60, 108, 18), 'no-effect'],
    ['few reports came', reading(20, 100, 10, 1000), reading(60, 100, 10, 1010), 'inconclusive'],
  ] as [string, QueueReading, QueueReading, string][])('%s', (_name, settled, end, verdict) => {
    expect(judge(bursts, settled, end)).toBe(verdict);
  });
});

describe('the events', () => {
  let outbox: Outbox;
  let reading: QueueReading;
  let nowNs: number;
  let remediation: Remediation;
  const incident = (changes: Partial<Incident> = {}): Incident => {
    const made = incidentOf(changes);
    made.plan = planFor(made, { mode: 'webhook', minConfidence: 0.8 });
    return made;
  };
  const taken = (endpoint: string): { type: string; data: any }[] => {
    const events: { type: string; data: any }[] = [];
    for (let due = outbox.due(endpoint, Infinity, 1); due.length > 0; due = outbox.due(endpoint, Infinity, 1)) {
      events.push(JSON.parse(due[0].body));
      remediation.onDelivered(due[0]);
      outbox.finish(due[0].id);
    }
    return events;
  };
  const typesAt = (endpoint: string): string[] => taken(endpoint).map((event) => event.type);
  function make(mode: 'observe' | 'webhook', store = ':memory:'): void {
    outbox = new Outbox(store);
    remediation = new Remediation({
      mode,
      minSeverity: 3,
      expiryNs: 60 * SECOND,
      settleNs: 5 * SECOND,
      endpoints: [
        { name: 'all', minSeverity: 1 },
        { name: 'pager', minSeverity: 4 },
      ],
      outbox,
      readQueue: () => reading,
      nowUnixMs: () => nowNs / 1e6,
      onStored: () => undefined,
      onLost: (reason) => expect.fail(reason),
    });
  }
  /** Lets `seconds` pass, with a burst of `burstMs` every five seconds. */
  function run(seconds: number, burstMs: number, open: Incident): void {
    for (let i = 0; i < seconds; i++) {
      nowNs += SECOND;
      const isBurst = burstMs > 0 && Math.round(nowNs / SECOND) % 5 === 0;
      reading = {
        atNs: nowNs,
        congestedNs: reading.congestedNs + (isBurst ? burstMs * 1e6 : 0),
        openings: reading.openings + (isBurst ? 1 : 0),
        reports: reading.reports + 100,
      };
      remediation.advance(nowNs, [open]);
    }
  }
  beforeEach(() => {
    nowNs = 0;
    reading = { atNs: 0, congestedNs: 4e6, openings: 1, reports: 100 };
    make('webhook');
  });

  it('tell each endpoint of what is severe enough: opened, changes, closed', () => {
    const steps: [number, IncidentChange][] = [
      [2, 'opened'],
      [2, 'updated'],
      [4, 'severity-changed'],
      [4, 'closed'],
    ];
    for (const [severity, change] of steps) remediation.onIncident(incident({ severity: severity as 2 | 4 }), change);
    expect(typesAt('all')).toEqual(['incident.opened', 'incident.severity-changed', 'incident.closed']);
    expect(typesAt('pager')).toEqual(['incident.opened', 'incident.closed']);
  });

  it('in observe mode ask for nothing', () => {
    make('observe');
    const open = incident();
    remediation.onIncident(open, 'opened');
    run(120, 4, open);
    expect(typesAt('all')).toEqual(['incident.opened']);
  });

  it('ask once the baseline is known, with targets, hash, expiry and undo; and find no effect when nobody acts', () => {
    const open = incident();
    remediation.onIncident(open, 'opened');
    run(9, 4, open);
    expect(typesAt('all')).toEqual(['incident.opened']);
    run(1, 4, open);
    const [requested] = taken('all');
    expect(requested).toMatchObject({
      type: 'remediation.requested',
      data: { planHash: open.plan.planHash, incidentId: open.id },
    });
    expect(requested.data.plan).toMatchObject({ targets: ['workload/analytics/backup'], undo: expect.stringMatching(/./) });
    expect(Date.parse(requested.data.expiresAt)).toBeGreaterThanOrEqual(70_000);
    expect(open.request).toMatchObject({ id: requested.data.requestId, state: 'requested' });
    run(60, 4, open);
    expect(open.request!.state).toBe('no-effect');
    expect(typesAt('all')).toEqual(['remediation.no-effect']);
    run(200, 4, open);
    expect(typesAt('all')).toEqual([]);
  });

  it('find the effect when somebody acts', () => {
    const open = incident();
    remediation.onIncident(open, 'opened');
    run(10, 4, open);
    typesAt('all');
    run(60, 0, open);
    expect(typesAt('all')).toEqual(['remediation.verified']);
  });

  it('judge nothing that nobody received: such a request expires', () => {
    const open = incident();
    remediation.onIncident(open, 'opened');
    run(10, 4, open);
    run(100, 0, open);
    expect(typesAt('all')).toEqual(['incident.opened', 'remediation.requested', 'remediation.expired']);
  });

  it('ask only those who were told of the incident', () => {
    const open = incident({ severity: 3 });
    remediation.onIncident(open, 'opened');
    run(10, 4, open);
    expect(typesAt('all')).toEqual(['incident.opened', 'remediation.requested']);
    expect(typesAt('pager')).toEqual([]);
  });

  it('end what a process that died left open: closed and expired are sent at the next start', () => {
    const open = incident();
    remediation.onIncident(open, 'opened');
    run(10, 4, open);
    expect(typesAt('all')).toEqual(['incident.opened', 'remediation.requested']);
    remediation.start();
    const ends = taken('all');
    expect(ends.map((event) => event.type).sort()).toEqual(['incident.closed', 'remediation.expired']);
    expect(ends.find((event) => event.type === 'incident.closed')!.data).toMatchObject({
      closedAt: expect.stringMatching(/^1970/),
      id: open.id,
      closedBecause: 'the collector was restarted',
    });
    remediation.start();
    expect(typesAt('all')).toEqual([]);
  });
});
