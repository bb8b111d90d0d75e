// The story of an incident: one paragraph that can be pasted into a chat, what it rests on, and what would help.
//
// Rule: nobody is named below half a confidence. What was not seen is part of the story.

import {
  isCongestion,
  placeText,
  type CongestionEvent,
  type Culprit,
  type Incident,
  type IncidentType,
  type Pattern,
  type Story,
  type Victim,
} from '../event.ts';

const MIN_CONFIDENCE = 0.5;

type Told = Omit<Incident, 'story' | 'plan' | 'summary'>;

/** The story of an incident as it stands. */
export function storyOf(incident: Told): Story {
  return incident.type === 'congestion' ? congestionStory(incident) : conditionStory(incident);
}

function congestionStory(incident: Told): Story {
  const events = incident.events.filter(isCongestion);
  const { evidence, culprits } = incident;
  const pattern = events.findLast((event) => event.pattern !== 'unknown')?.pattern ?? 'unknown';
  const depth = incident.peakDepthBytes === null ? '' : ` (${Math.round(incident.peakDepthBytes / 1000)} kB)`;
  const sentences = [
    `${whenOf(incident, events)} ${placeText(incident.place)} was congested ${timesOf(incident.eventCount)}: packets waited up to ${micros(incident.peakWaitNs)}${depth}.`,
    causeText(culprits, incident.confidence, pattern),
    upstreamText(incident),
    harmText(incident.victims),
    trustText(incident),
  ];
  return {
    text: sentences.filter((sentence) => sentence !== '').join(' '),
    evidence: [
      `${evidence.reports} reports of the newest verdict's event, worth ${Math.round(evidence.effectiveReports)} independent ones`,
      evidence.reportLossRatio === null
        ? "the node's exporter does not count its reports: what was lost is not known"
        : `${percent(evidence.reportLossRatio)} of the node's reports did not arrive`,
      evidence.coverage === null
        ? 'what share of the traffic was seen is not known: the rate of the port is not configured, or others share it'
        : `${percent(evidence.coverage)} of what the port must have taken in was seen`,
      `${percent(evidence.identifiedShare)} of the octets have a known owner`,
      "all times are of this node's own clock; no two clocks were compared",
      ...culprits
        .slice(0, 4)
        .map(
          ({ namespace, workload, buildUpShare, buildUpBytes, occupancyShare, excessShare, flows, counterfactual }) =>
            `${namespace}/${workload}: ${percent(buildUpShare)} of the build-up (${Math.round(buildUpBytes / 1000)} kB in ${flows} flow${flows === 1 ? '' : 's'}, ` +
            `${percent(excessShare)} of it beyond its usual pace), ${percent(occupancyShare)} of the queue` +
            (counterfactual === null ? '' : `, without it ${percent(counterfactual)} less waiting (open loop)`),
        ),
      ...flowLines(events.at(-1)),
      ...events
        .slice(-4)
        .map(({ id, kind, start, durationNs }) => `event ${id}: ${kind} from ${start} for ${micros(durationNs)}`),
    ],
    help: helpOf(culprits[0], incident.confidence, pattern),
  };
}

const FLOWS_TOLD = 3;

function flowLines(event: CongestionEvent | undefined): string[] {
  return (event?.flows ?? [])
    .slice(0, FLOWS_TOLD)
    .map(
      ({ source, sourcePort, destination, destinationPort, protocol, sender, path, buildUpShare }) =>
        `flow ${source} port ${sourcePort} to ${destination} port ${destinationPort}, protocol ${protocol}, of ${sender}, by ${path.join(', ')}: ${percent(buildUpShare)}`,
    );
}

function conditionStory(incident: Told): Story {
  const newest = incident.events.findLast((event) => !isCongestion(event));
  if (newest === undefined || isCongestion(newest)) return { text: '', evidence: [], help: [] };
  const until = incident.state === 'closed' || newest.state === 'closed' ? `until ${clock(newest.lastSeen)}` : 'and it goes on';
  const { kind, summary, numbers, confidence } = newest;
  return {
    text: `From ${clock(incident.openedAt)} ${until}: ${KIND_TEXT[kind]} at ${placeText(incident.place)}: ${summary}.`,
    evidence: [
      ...Object.entries(numbers).map(([name, value]) => `${name}: ${Number(value.toPrecision(4))}`),
      `event ${newest.id}, ${percent(confidence)} sure`,
    ],
    help: [HELP[kind]],
  };
}

const KIND_TEXT: Record<Exclude<IncidentType, 'congestion'>, string> = {
  incast: 'an incast',
  'ecmp-imbalance': 'equal paths are used unequally',
  'ecmp-collision': 'large flows collide on one of several equal paths',
  'ecmp-polarised': 'the hash sends everything the same way',
  'slice-budget': 'a latency budget is breached',
  loss: 'packets are dropped',
  'silent-loss': 'packets are lost without a word',
  'path-change': 'flows were rerouted',
  loop: 'packets go round in a loop',
  blackhole: 'packets vanish',
  misclassified: 'packets are in the wrong queue',
  'link-flap': 'a link flaps',
  'silent-switch': 'a node has fallen silent',
  'telemetry-degraded': 'reports are missing',
  'unexplained-wait': 'packets wait behind something that is in no report',
  'clock-fault': 'a clock is wrong',
};

const HELP: Record<Exclude<IncidentType, 'congestion'>, string> = {
  incast:
    'fewer requests at the same moment: limit the fan-out of the asking service, or let answers begin some hundred µs apart',
  'ecmp-imbalance': 'check the weights of the group',
  'ecmp-collision': 'move one of the large flows, or change the seed of the hash on this node',
  'ecmp-polarised': 'give each tier of switches a seed of its own for its hash; moving single flows would change little',
  'slice-budget': 'see the congestion incidents of the same time: they name the queue and who filled it',
  loss: 'congestion: as for congestion there; policy: the owner of the rule; forwarding and TTL: the route of the prefix on this node',
  'silent-loss': 'check optics, cable and error counters of both ends; drain the link if the others can carry its load',
  'path-change': 'nothing, if it was meant; otherwise look for a link that went down',
  loop: 'correct the routes of the nodes named; a transient loop ends when routing has converged',
  blackhole: 'check the forwarding entry of the prefix on this node for this interface; drain the link until it is right',
  misclassified: "compare the node's map of DSCP values to queues with that of the other nodes",
  'link-flap': 'take the link out of service until it is repaired: each transition reroutes flows',
  'silent-switch': 'check whether the node is up, then its report session',
  'telemetry-degraded': 'give the collector room (receive buffer, rate), check the path of the reports, or set a higher quota',
  'unexplained-wait': 'put the missing traffic on the watch list, and check the port for pause frames and shapers',
  'clock-fault': 'check the time service of the node; verdicts about single queues do not depend on it',
};

function whenOf(incident: Told, events: readonly CongestionEvent[]): string {
  const last = events.at(-1);
  const until =
    incident.state === 'closed' || last?.state === 'closed'
      ? clock(last?.end?.latest ?? last?.lastSeen ?? incident.updatedAt)
      : 'now';
  return `From ${clock(incident.openedAt)} to ${until}`;
}

function timesOf(count: number): string {
  return count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`;
}

function causeText([first, second]: readonly Culprit[], confidence: number, pattern: Pattern): string {
  if (first === undefined) return 'Nobody was seen to send: there is no evidence of the cause.';
  const sure = `${percent(confidence)} sure`;
  if (pattern === 'unwatched')
    return `${percent(first.buildUpShare)} of what came in is in no report: the cause is traffic that nobody watches, a pause or a shaper.`;
  const share = (one: Culprit): string => `${nameOf(one)} (${percent(one.buildUpShare)})`;
  if (confidence < MIN_CONFIDENCE) {
    const candidates = second === undefined ? share(first) : `${share(first)} or ${share(second)}`;
    return `There is not enough evidence to name a cause (${sure}); candidates are ${candidates}.`;
  }
  const without =
    first.counterfactual === null ? '' : `; without it packets would have waited ${percent(first.counterfactual)} less`;
  return `${nameOf(first)} ${PATTERN_TEXT[pattern]} and put in ${percent(first.buildUpShare)} of the build-up${without} (${sure}).`;
}

const PATTERN_TEXT: Record<Pattern, string> = {
  burst: 'sent a burst',
  standing: 'keeps the queue standing',
  swarm: 'sent a swarm of small flows',
  incast: 'answered one receiver from many senders at once',
  'self-inflicted': 'made its own packets wait',
  priority: 'is served before this queue, left it no room,',
  residual: 'is what remains when all that can be counted is taken off',
  unwatched: 'is not watched',
  unknown: 'sent most',
};

/** Where the same traffic was queued before. */
function upstreamText({ related }: Told): string {
  const upstream = related
    .filter(({ type, relation }) => type === 'congestion' && relation === 'cause')
    .map(({ where }) => where);
  return upstream.length === 0 ? '' : `The same flows were queued before that at ${upstream.join(' and ')}: begin there.`;
}

function harmText(victims: readonly Victim[]): string {
  const [worst] = victims;
  if (worst === undefined) return 'Nobody else was harmed.';
  const named = victims
    .slice(0, 3)
    .map((victim) => `${nameOf(victim)} (p99 ${micros(victim.excessWaitP99Ns)}, ${percent(victim.budgetUse)} of its budget)`)
    .join(', ');
  const others = victims.length > 3 ? ` and ${victims.length - 3} more` : '';
  return `Harmed: ${named}${others}.`;
}

function trustText({ evidence }: Told): string {
  const lost = evidence.reportLossRatio ?? 0;
  const parts = [
    ...(lost >= 0.01 ? [`${percent(lost)} of the node's reports were lost, which is allowed for`] : []),
    ...(evidence.coverage !== null && evidence.coverage < 0.9
      ? [`only ${percent(evidence.coverage)} of the traffic was seen`]
      : []),
  ];
  return parts.length === 0 ? '' : `What is not known: ${parts.join('; ')}.`;
}

function helpOf(first: Culprit | undefined, confidence: number, pattern: Pattern): string[] {
  if (first === undefined || confidence < MIN_CONFIDENCE || first.kind === 'unknown')
    return [
      'see more: put unwatched traffic on the watch list, and tell the owners of unknown addresses (inventory or Kubernetes)',
    ];
  const effect =
    first.counterfactual === null
      ? ''
      : `: up to ${percent(first.counterfactual)} less waiting (upper bound; senders that adapt would have used the room)`;
  const name = nameOf(first);
  if (pattern === 'incast') return [`let ${name} answer with some hundred µs of jitter, or ask fewer at once${effect}`];
  if (pattern === 'priority') return [`limit what ${name} may send in its class, or put it in another${effect}`];
  if (pattern === 'standing') return [`limit the rate of ${name}${effect}`, 'mark earlier (ECN) if its senders obey it'];
  return [`pace ${name}, or limit its egress rate${effect}`];
}

function nameOf(who: { kind: string; namespace: string; workload: string; pods?: readonly string[] }): string {
  if (who.kind === 'unknown') return who.workload === 'unwatched' ? 'traffic in no report' : 'a sender that nobody knows';
  const pods = who.pods ?? [];
  const pod = pods.length === 1 && pods[0] !== who.workload ? `, pod ${pods[0]}` : '';
  return `${who.namespace === '' ? '' : `${who.namespace}/`}${who.workload}${pod}`;
}

function percent(ratio: number): string {
  const value = ratio * 100;
  return `${value > 0 && value < 1 ? value.toFixed(1) : Math.round(value)} %`;
}

function micros(ns: number): string {
  return ns >= 10e6 ? `${(ns / 1e6).toFixed(0)} ms` : ns >= 1e6 ? `${(ns / 1e6).toFixed(1)} ms` : `${Math.round(ns / 1000)} µs`;
}

/** Hour to microsecond; the date is in the numbers beside it. */
function clock(iso: string): string {
  return `${iso.slice(11, 26)}Z`;
}
