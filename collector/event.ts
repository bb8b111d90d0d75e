// The vocabulary of things that happened: congestion on a queue, who caused it, who suffered, and the incident they form.
// These objects are plain JSON: the API, the webhooks and the exporters hand them on as they are.
// Times are ISO 8601 in UTC with nanoseconds; durations and waits carry their unit in the name.

/** Who owned an address at a time. `unknown` is an honest answer and a hundred times better than a wrong name. */
export interface Owner {
  kind: 'pod' | 'workload' | 'node' | 'external' | 'unknown';
  namespace: string;
  /** Name of the workload (the Deployment, Job, ... above a pod), of the node, or `unknown`. */
  workload: string;
  /** Pod name where one is known. */
  pod?: string;
  /** The network slice that it belongs to, where one is said. */
  slice?: string;
  /** 0 to 1: how sure the source of this name is. */
  confidence: number;
}

/** Tells owners apart: two names of different kind are two owners. */
export function ownerKeyOf(who: Pick<Owner, 'kind' | 'namespace' | 'workload'>): string {
  return `${who.kind}/${who.namespace}/${who.workload}`;
}

/** The queue that an event is about. */
export interface QueueScope {
  node: string;
  nodeId: number;
  interface: string;
  interfaceId: number;
  queue: number;
}

/** Tells queues apart: names of nodes are unique, ids need not be there. */
export function queueKeyOf(queue: QueueScope): string {
  return `${queue.node}/${queue.interfaceId}/${queue.queue}`;
}

/** A workload's part in the build-up of a queue. */
export interface Culprit {
  namespace: string;
  workload: string;
  kind: Owner['kind'];
  /** Names of its pods that sent, where they are known; bounded. */
  pods?: string[];
  /** Share of the octets that entered during the build-up, 0 to 1. */
  buildUpShare: number;
  buildUpBytes: number;
  /** Share of the octets that stood in the queue, weighted with how long they stood there, over the whole event: who held it. */
  occupancyShare: number;
  /** Part of its octets beyond what its flows used to send, 0 to 1: who changed. 1 for a sender that was not there before. */
  excessShare: number;
  flows: number;
  /**
   * How much smaller the queue would have been without it, 0 to 1, had all others sent as they did: an upper bound for senders that adapt. Null: the rate
   * of the port is not configured.
   */
  counterfactual: number | null;
}

/** A flow's part in the build-up of a queue. */
export interface FlowShare {
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  /** IP protocol number. */
  protocol: number;
  /** Owner of the source, namespace/workload. */
  sender: string;
  /** Nodes that it goes by, the first on its way first, as far as reports tell. */
  path: string[];
  buildUpShare: number;
  buildUpBytes: number;
}

/** A workload whose packets waited. */
export interface Victim {
  namespace: string;
  workload: string;
  kind: Owner['kind'];
  /** Names of its pods whose packets waited, where they are known; bounded. */
  pods?: string[];
  /** Where its delayed packets were going. */
  towards: string;
  /** Packets (estimated) that waited longer than the harm threshold. */
  delayedPackets: number;
  /** 99th percentile and maximum of the excess wait of its packets in the event. */
  excessWaitP99Ns: number;
  excessWaitMaxNs: number;
  /** Sum of excess waits; the unit that blame and suffering are added up in. */
  excessWaitSumNs: number;
  /** Worst wait (p99) as a fraction of what the fabric may cost its packets: the budget of its slice, or else the fabric's. */
  budgetUse: number;
}

/** What a verdict rests on. */
export interface Evidence {
  /** Reports of the event, its build-up included. */
  reports: number;
  /** Reports of the build-up that shares were computed from, as an effective sample size; 0 when no evidence could be kept. */
  effectiveReports: number;
  /** Report loss of the node's exporter around the event, 0 to 1; null when the exporter does not count. */
  reportLossRatio: number | null;
  /** Octets accounted for over octets that the port must have taken in; null when its rate is not configured, or queues share it. */
  coverage: number | null;
  /** Share of the build-up's octets whose owner is known. */
  identifiedShare: number;
  /** Part of the longest wait that the octets in the queue explain, 0 to 1; absent where depth or rate is not known. */
  explainedShare?: number;
  /** Reports of the queue's events up to now, older ones counting for less: what is said to be missing rests on these. Absent where nothing can be said. */
  accountedReports?: number;
}

/** How an event ended: seen to be over, concluded from what was not seen any more, or unknown after long silence (an interval then). */
export interface EventEnd {
  kind: 'observed' | 'inferred' | 'timeout';
  earliest: string;
  latest: string;
}

/** What kind of cause it is: see docs/reference/events.md. */
export type Pattern =
  'burst' | 'standing' | 'swarm' | 'incast' | 'self-inflicted' | 'priority' | 'residual' | 'unwatched' | 'unknown';

export const EVENT_KINDS = ['microburst', 'congestion', 'sustained', 'starvation'] as const;

/**
 * Congestion on one queue: microburst below 1 ms, congestion above, sustained from 100 ms; starvation: packets waited for others that are served before
 * them, and not in their own line.
 */
export interface CongestionEvent {
  id: string;
  kind: (typeof EVENT_KINDS)[number];
  /** `silent`: no report for a while; the queue may still be full. */
  state: 'open' | 'silent' | 'closed';
  queue: QueueScope;
  buildUpStart: string;
  start: string;
  peakAt: string;
  /** Newest report that belongs to the event. */
  lastSeen: string;
  end: EventEnd | null;
  durationNs: number;
  peakWaitNs: number;
  /** Null when neither the occupancy unit nor the port rate of the source is configured. */
  peakDepthBytes: number | null;
  /** Lower bound: drop reports are rate-limited by switches. */
  dropReports: number;
  culprits: Culprit[];
  /** Largest flows of the build-up, the largest first; bounded. */
  flows: FlowShare[];
  pattern: Pattern;
  /** Senders that answered one receiver at once, where that is what happened. */
  fanIn: number | null;
  victims: Victim[];
  /** What the first culprit's own packets waited: its own doing, and no reason for a severity. */
  selfInflicted: Victim | null;
  /** 0 to 1: how sure it is that the first culprit is the largest. */
  confidence: number;
  evidence: Evidence;
}

/** What an event is about, as far as it is about one: a node, an interface of it, a queue of that; a slice; a prefix of addresses. */
export interface Place {
  node?: string;
  nodeId?: number;
  interface?: string;
  interfaceId?: number;
  queue?: number;
  slice?: string;
  prefix?: string;
}

/** Kinds of events that are no congestion: docs/reference/events.md tells of each how it is found. */
export const CONDITION_KINDS = [
  'incast',
  'ecmp-imbalance',
  'ecmp-collision',
  'ecmp-polarised',
  'slice-budget',
  'loss',
  'silent-loss',
  'path-change',
  'loop',
  'blackhole',
  'misclassified',
  'link-flap',
  'silent-switch',
  'telemetry-degraded',
  'unexplained-wait',
  'clock-fault',
] as const;
export type ConditionKind = (typeof CONDITION_KINDS)[number];

/** Something other than congestion that holds for a while at a place. */
export interface ConditionEvent {
  id: string;
  kind: ConditionKind;
  state: 'open' | 'closed';
  place: Place;
  start: string;
  lastSeen: string;
  end: EventEnd | null;
  durationNs: number;
  severity: Severity;
  /** One sentence for people. */
  summary: string;
  /** The figures that it rests on; each name carries its unit. */
  numbers: Record<string, number>;
  /** 0 to 1: how sure it is that this is so. */
  confidence: number;
  /** Ids of events that it comes from, or that come from it. */
  related: string[];
}

/** Anything that happened. */
export type FabricEvent = CongestionEvent | ConditionEvent;

export function isCongestion(event: FabricEvent): event is CongestionEvent {
  return 'queue' in event;
}

/** Where it is, for people. */
export function placeText(place: Place): string {
  const parts = [
    place.node,
    place.interface === undefined ? undefined : `interface ${place.interface}`,
    place.queue === undefined ? undefined : `queue ${place.queue}`,
    place.slice === undefined ? undefined : `slice ${place.slice}`,
    place.prefix === undefined ? undefined : `towards ${place.prefix}`,
  ];
  return parts.filter((part) => part !== undefined).join(' ') || 'the fabric';
}

/** 1 info, 2 minor, 3 warning, 4 major, 5 critical. */
export type Severity = 1 | 2 | 3 | 4 | 5;

/** What could be done about an incident, on what, why, and how it would be undone. */
export interface Plan {
  action: 'none' | 'limit-egress-rate' | 'investigate';
  targets: string[];
  why: string;
  expectedEffect: string;
  undo: string;
  /** SHA-256 over action and targets: an approval is bound to exactly this plan. */
  planHash: string;
}

/** An alert that Alertmanager sent about this incident. */
export interface LinkedAlert {
  fingerprint: string;
  name: string;
  status: string;
  startsAt: string;
}

/** What an incident is about. */
export type IncidentType = 'congestion' | ConditionKind;

/** An incident told to people. */
export interface Story {
  /** One paragraph, to be pasted into a chat. */
  text: string;
  /** What it rests on, a line each. */
  evidence: string[];
  /** What would help, and by how much. */
  help: string[];
}

/** How another incident stands to this one. */
export interface RelatedIncident {
  id: string;
  type: IncidentType;
  relation: 'cause' | 'effect' | 'limits-what-is-known';
  /** Where it is, for people. */
  where: string;
}

/** Events at one place that belong together: of a queue, with the same leading culprit. Only incidents alert. */
export interface Incident {
  id: string;
  type: IncidentType;
  state: 'open' | 'closed';
  severity: Severity;
  summary: string;
  story: Story;
  place: Place;
  /** The queue, where it is about one. */
  queue: QueueScope | null;
  related: RelatedIncident[];
  openedAt: string;
  updatedAt: string;
  closedAt: string | null;
  eventCount: number;
  peakWaitNs: number;
  peakDepthBytes: number | null;
  culprits: Culprit[];
  victims: Victim[];
  confidence: number;
  evidence: Evidence;
  plan: Plan;
  alerts: LinkedAlert[];
  /** Newest events, oldest first; bounded. */
  events: FabricEvent[];
}

/** An incident as lists and webhooks carry it: its events can be many. */
export function withoutEvents(incident: Incident): Omit<Incident, 'events'> {
  const { events: _events, ...rest } = incident;
  return rest;
}

/** What happened to an incident. */
export type IncidentChange = 'opened' | 'updated' | 'severity-changed' | 'closed';
