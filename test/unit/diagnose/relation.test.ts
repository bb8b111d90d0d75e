// What one incident is to another, across switches: by the flows that went through both queues.

import { expect, it } from 'vitest';
import { relationOf } from '../../../collector/diagnose/relation.ts';
import { isCongestion, type CongestionEvent, type FlowShare, type Incident } from '../../../collector/event.ts';
import { incidentOf } from '../../support/incidents.ts';

const flow = (sourcePort: number, buildUpBytes: number): FlowShare => ({
  source: '10.0.0.1',
  destination: '10.0.0.2',
  sourcePort,
  destinationPort: 80,
  protocol: 6,
  sender: 'shop/cart',
  path: ['leaf-1', 'spine-1', 'leaf-2'],
  buildUpShare: 0.5,
  buildUpBytes,
});

/** A congestion at a queue of a node, for a millisecond from that one on. */
function congested(node: string, flows: FlowShare[], atMs = 100): Incident {
  const at = (ms: number): string => `2026-11-24T10:00:00.${String(ms).padStart(3, '0')}000000Z`;
  const incident = incidentOf();
  const changes: Partial<CongestionEvent> = { flows, buildUpStart: at(atMs), lastSeen: at(atMs + 1) };
  const events = incident.events.map((event) =>
    isCongestion(event) ? { ...event, ...changes, queue: { ...event.queue, node } } : event,
  );
  return { ...incident, place: { ...incident.place, node }, events };
}

it('a queue whose flows had to pass another one that was long, comes of that', () => {
  const upstream = congested('leaf-1', [flow(1, 900), flow(2, 100)]);
  const downstream = congested('leaf-2', [flow(1, 900), flow(3, 500)]);
  expect(relationOf(upstream, downstream)).toBe('cause');
  expect(relationOf(downstream, upstream)).toBe('effect');
});

it('but not of one that is not on their way, that other flows filled, or that was long at another time', () => {
  const downstream = congested('leaf-2', [flow(1, 900), flow(3, 500)]);
  for (const other of [
    congested('spine-2', [flow(1, 900)]),
    congested('leaf-1', [flow(3, 500)]),
    congested('leaf-1', []),
    congested('leaf-1', [flow(1, 900)], 300),
  ])
    expect(relationOf(other, downstream)).toBeUndefined();
  expect(relationOf(congested('leaf-1', []), congested('leaf-2', []))).toBeUndefined();
});
