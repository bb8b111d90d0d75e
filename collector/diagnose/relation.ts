// What one incident is to another: its cause, its effect, or a reason to know less of it.
//
//   misrouted, unequal, looping ─▶ congested ─▶ lost, late       a queue ─▶ a queue further on the way of the flows that fill both
//
// Rule: two queues are cause and effect only by the flows that went through both. That they were long at the same time proves nothing.

import {
  isCongestion,
  type CongestionEvent,
  type FlowShare,
  type Incident,
  type IncidentType,
  type RelatedIncident,
} from '../event.ts';

/** What one type does to others, at the same node (`here`) or anywhere. */
const CAUSES: Partial<Record<IncidentType, { here?: readonly IncidentType[]; anywhere?: readonly IncidentType[] }>> = {
  misclassified: { here: ['congestion'] },
  'ecmp-collision': { here: ['congestion'] },
  'ecmp-polarised': { here: ['congestion'] },
  'link-flap': { anywhere: ['path-change', 'loop', 'silent-loss'] },
  loop: { anywhere: ['loss'] },
  blackhole: { here: ['silent-loss'] },
  congestion: { here: ['loss'], anywhere: ['slice-budget'] },
};

/** What `other` is to `incident`. */
export function relationOf(other: Incident, incident: Incident): RelatedIncident['relation'] | undefined {
  const isHere = other.place.node !== undefined && other.place.node === incident.place.node;
  if (doesCause(other.type, incident.type, isHere) || feeds(other, incident)) return 'cause';
  if (doesCause(incident.type, other.type, isHere) || feeds(incident, other)) return 'effect';
  const isAboutTelemetry = other.type === 'telemetry-degraded' || other.type === 'silent-switch' || other.type === 'clock-fault';
  return isAboutTelemetry && isHere ? 'limits-what-is-known' : undefined;
}

function doesCause(cause: IncidentType, effect: IncidentType, isHere: boolean): boolean {
  const { here = [], anywhere = [] } = CAUSES[cause] ?? {};
  return anywhere.includes(effect) || (isHere && here.includes(effect));
}

/** Of the build-up's octets by its largest flows, as many must have come through the other queue. */
const FED_SHARE = 0.5;
/** Two nodes' events overlap within what their clocks are mapped to ours by. */
const OVERLAP_MS = 1;
const EVENTS_COMPARED = 4;

/** Whether what filled the queue of `downstream` had to pass that of `upstream` first, which was long then: it came as that queue let it through. */
function feeds(upstream: Incident, downstream: Incident): boolean {
  if (upstream.type !== 'congestion' || downstream.type !== 'congestion') return false;
  const newest = ({ events }: Incident): CongestionEvent[] => events.filter(isCongestion).slice(-EVENTS_COMPARED);
  const [before, after] = [newest(upstream), newest(downstream)];
  const { node } = upstream.place;
  if (!after.some(({ flows }) => flows.some(({ path }) => path.includes(node!)))) return false;
  return after.some((event) => before.some((other) => overlap(other, event) && fedShare(other, event) >= FED_SHARE));
}

function overlap(a: CongestionEvent, b: CongestionEvent): boolean {
  const ms = (iso: string): number => Date.parse(iso);
  return ms(a.buildUpStart) <= ms(b.lastSeen) + OVERLAP_MS && ms(b.buildUpStart) <= ms(a.lastSeen) + OVERLAP_MS;
}

/** Share of the octets of the largest flows that were in the other queue's build-up, too, and come by it before. */
function fedShare(upstream: CongestionEvent, downstream: CongestionEvent): number {
  const passed = new Set(upstream.flows.map(nameOf));
  const [first, then] = [upstream.queue.node, downstream.queue.node];
  const isFed = (flow: FlowShare): boolean =>
    passed.has(nameOf(flow)) && flow.path.includes(first) && flow.path.indexOf(first) < flow.path.indexOf(then);
  const sum = (flows: readonly FlowShare[]): number => flows.reduce((total, { buildUpBytes }) => total + buildUpBytes, 0);
  const all = sum(downstream.flows);
  return all === 0 ? 0 : sum(downstream.flows.filter(isFed)) / all;
}

function nameOf({ source, destination, sourcePort, destinationPort, protocol }: FlowShare): string {
  return `${source} ${sourcePort} ${destination} ${destinationPort} ${protocol}`;
}
