// From an incident to events: who is told what, also by the next process, and what is said about changes.

import { beforeEach, expect, it } from 'vitest';
import { Notifications } from '../../../alerts/notify/notifications.ts';
import type { Incident, IncidentChange } from '../../../collector/event.ts';
import { openDatabase } from '../../../collector/store/database.ts';
import { Outbox } from '../../../collector/store/outbox.ts';
import { incidentOf } from '../../support/incidents.ts';

let outbox: Outbox;
let notifications: Notifications;

const taken = (endpoint: string): { type: string; sequence: number; data: any }[] => {
  const events: { type: string; sequence: number; data: any }[] = [];
  for (let due = outbox.due(endpoint, Infinity, 1); due.length > 0; due = outbox.due(endpoint, Infinity, 1)) {
    events.push(JSON.parse(due[0].body));
    outbox.finish(due[0].id);
  }
  return events;
};
const typesAt = (endpoint: string): string[] => taken(endpoint).map((event) => event.type);

beforeEach(() => {
  outbox = new Outbox(openDatabase(':memory:'));
  notifications = new Notifications({
    endpoints: [
      { name: 'all', minSeverity: 1 },
      { name: 'pager', minSeverity: 4 },
    ],
    outbox,
    nowUnixMs: () => 0,
    onStored: () => undefined,
    onLost: (reason) => expect.fail(reason),
  });
});

it('tell each endpoint of what is severe enough: opened, changes, closed, in rising numbers', () => {
  const steps: [number, IncidentChange][] = [
    [2, 'opened'],
    [2, 'updated'],
    [4, 'severity-changed'],
    [4, 'closed'],
  ];
  for (const [severity, change] of steps) notifications.onIncident(incidentOf({ severity: severity as 2 | 4 }), change);
  const all = taken('all');
  expect(all.map(({ type }) => type)).toEqual(['incident.opened', 'incident.severity-changed', 'incident.closed']);
  expect(all.map(({ sequence }) => sequence)).toEqual(all.map(({ sequence }) => sequence).sort((a, b) => a - b));
  expect(new Set(all.map(({ sequence }) => sequence)).size).toBe(3);
  expect(typesAt('pager')).toEqual(['incident.opened', 'incident.closed']);
});

it('tell what was done about an incident to those who were told of it', () => {
  const incident: Incident = incidentOf({ severity: 3 });
  notifications.onIncident(incident, 'opened');
  notifications.onDecision('made', incident.id, { lease: 'abc', lines: ['leaf-1: …'] });
  notifications.onDecision('made', 'inc_unknown', { lease: 'abc' });
  expect(taken('all')).toMatchObject([
    { type: 'incident.opened' },
    { type: 'remediation.made', data: { incidentId: incident.id, lease: 'abc' } },
  ]);
  expect(typesAt('pager')).toEqual([]);
});

it('end what a process that died left open: closed is sent at the next start, once', () => {
  const open = incidentOf();
  notifications.onIncident(open, 'opened');
  expect(typesAt('all')).toEqual(['incident.opened']);
  notifications.start();
  const ends = taken('all');
  expect(ends).toMatchObject([
    {
      type: 'incident.closed',
      sequence: expect.any(Number),
      data: { closedAt: expect.stringMatching(/^1970/), id: open.id, closedBecause: 'the collector was restarted' },
    },
  ]);
  notifications.start();
  expect(typesAt('all')).toEqual([]);
});
