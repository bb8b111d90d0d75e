// A scenario as data: fabric, workloads, traffic, faults, telemetry, and what is true because it was put there. The files are read
// by scenario-file.
// Rule: thresholds of truth stand here and nowhere else; no detector is asked what congestion is.

import { z } from 'zod';
import { FLOW_SIZES } from './traffic/flow-size.ts';
import { bytes, rate, time } from './units.ts';

const prose = z.string().transform((text) => text.trim());
const share = z.number().min(0).max(1);
const count = z.number().int().min(1);
const name = z.string().regex(/^[a-z0-9-]+$/, 'must be a name of small letters, digits and dashes');
const workloadName = z.string().regex(/^[a-z0-9-]+\/[a-z0-9-]+$/, 'must be namespace/workload');
const range = { from: time.default(0), until: time.optional() };

const queueClass = z.strictObject({
  queue: z.number().int().min(0).max(31),
  /** DSCP values that are put in this queue; the class without any takes the rest. */
  dscp: z.array(z.number().int().min(0).max(63)).default([]),
  /** Higher is served first; equal ones share by `weight`. */
  priority: z.number().int().min(0).max(7).default(0),
  weight: z.number().positive().default(1),
  /** Packets that enter a queue longer than this are marked, when their sender can be told so (RFC 3168). */
  ecnAbove: bytes.optional(),
  /** The queue is never served faster than this. */
  shaper: rate.optional(),
});

const fabric = z.strictObject({
  leaves: count,
  spines: count,
  hostsPerLeaf: count,
  /** Hosts of one more leaf, where gateways and radio sites are. */
  borderHosts: z.number().int().min(0).default(0),
  hostRate: rate.default(10e9),
  borderRate: rate.default(10e9),
  fabricRate: rate.default(10e9),
  /** Parallel links between each leaf and each spine. */
  linksPerPair: count.default(1),
  propagation: time.default(500e3),
  /** From the ingress stamp to the queue. */
  pipeline: time.default(800e3),
  pipelineJitter: time.default(0),
  /** Octets that a link needs for each packet beyond the packet's own (preamble, gap, checksum). */
  linkOverhead: bytes.default(0),
  /** Hosts wait at least so long for an acknowledgment, and four times as long before they know how long it takes. */
  minTimeout: time.default(5e9),
  /** Octets that one queue may hold. */
  queueBytes: bytes.default(4_000_000),
  /** Octets that all queues of a switch share; a queue may take `alpha` times what is free. */
  sharedBuffer: z.strictObject({ bytes, alpha: z.number().positive().default(1) }).optional(),
  /** `polarised`: every switch hashes with the same seed. */
  ecmp: z.enum(['per-switch', 'polarised']).default('per-switch'),
  classes: z
    .array(queueClass)
    .min(1)
    .prefault([{ queue: 0 }]),
});

const pod = z.strictObject({
  /** 0, 1, ... along the leaves; then the border. */
  host: z.number().int().min(0),
  address: z.string(),
  /** A second address of the other family. */
  address6: z.string().optional(),
  ...range,
});

const workload = z.strictObject({
  name: workloadName,
  pods: z.array(pod).min(1),
  /** Nobody is told about this workload: what a collector may say of it is "unknown". */
  untold: z.boolean().default(false),
  slice: name.optional(),
});

const sending = {
  name,
  from: workloadName,
  to: workloadName,
  /** Which pods: each with one of the other side in turn, or each with each. */
  pairs: z.enum(['in-turn', 'each-with-each']).default('in-turn'),
  dscp: z.number().int().min(0).max(63).default(0),
  sourcePort: z.number().int().min(1).max(65_535).optional(),
  destinationPort: z.number().int().min(1).max(65_535).default(9000),
  start: time.default(0),
  until: time.optional(),
  /** Octets of IP. */
  packet: bytes.default(1500),
  useAddress6: z.boolean().default(false),
  /** What the fabric sees as the source: the address of the node (host network, source NAT). */
  sourceAddress: z.string().optional(),
  /** The packets travel in a tunnel between these addresses. */
  gtpu: z
    .strictObject({
      outerSource: z.string(),
      outerDestination: z.string(),
      teid: z.number().int().min(0).max(0xffffffff),
      qfi: z.number().int().min(0).max(63),
      direction: z.enum(['uplink', 'downlink']).default('downlink'),
    })
    .optional(),
};
const burst = z.strictObject({
  /** First burst after `start`. */
  every: time,
  on: time,
  /** Bursts begin up to so much later, and are up to this share longer or shorter. */
  jitter: time.default(0),
  spread: share.default(0),
  /** Silent and sending times are drawn: exponential, or Pareto with shape 1.5, around `every - on` and `on`. */
  draw: z.enum(['regular', 'exponential', 'pareto']).default('regular'),
});
const paced = z.strictObject({
  kind: z.enum(['constant', 'poisson']),
  ...sending,
  protocol: z.enum(['tcp', 'udp']).default('udp'),
  rate,
  jitter: share.default(0.02),
  /** Every packet is a flow of its own. */
  freshFlows: z.boolean().default(false),
  burst: burst.optional(),
});
const congestionControl = z.enum(['dctcp', 'reno']).default('dctcp');
const bulk = z.strictObject({
  kind: z.literal('bulk'),
  ...sending,
  congestionControl,
  /** Octets to send; without it, it never ends. */
  size: bytes.optional(),
  connections: count.default(1),
  repeatEvery: time.optional(),
});
const flows = z.strictObject({
  kind: z.literal('flows'),
  ...sending,
  congestionControl,
  sizes: z.enum(Object.keys(FLOW_SIZES) as [keyof typeof FLOW_SIZES, ...(keyof typeof FLOW_SIZES)[]]),
  /** Larger flows are not drawn. */
  maxSize: bytes.optional(),
  /** Mean rate that all these flows offer together. */
  load: rate,
});
const requests = z.strictObject({
  kind: z.literal('requests'),
  ...sending,
  congestionControl,
  request: bytes.default(200),
  response: bytes,
  /** Requests a second of each pair. */
  perSecond: z.number().positive(),
});
const incast = z.strictObject({
  kind: z.literal('incast'),
  ...sending,
  congestionControl,
  response: bytes,
  every: time,
  /** Answers begin so much apart (standard deviation). */
  jitter: time.default(8e6),
});
const traffic = z.discriminatedUnion('kind', [paced, bulk, flows, requests, incast]);

const link = z.strictObject({
  /** The end that is meant, as node and interface: leaf-1 and 5. */
  node: z.string(),
  interface: count,
});
const whileIt = { at: time, until: time.optional() };
const fault = z.discriminatedUnion('kind', [
  /** Both directions are dead; routes avoid the link after `detection`. */
  z.strictObject({ kind: z.literal('link-down'), ...link.shape, detection: time.default(1e9), ...whileIt }),
  /** The direction away from the node loses packets without a word. */
  z.strictObject({ kind: z.literal('silent-loss'), ...link.shape, probability: share, ...whileIt }),
  /** What the node sends out of this interface towards the address prefix vanishes without a word. */
  z.strictObject({ kind: z.literal('blackhole'), ...link.shape, prefix: z.string(), ...whileIt }),
  /** Dropped by a rule, and told: reason 80. */
  z.strictObject({ kind: z.literal('acl'), node: z.string(), prefix: z.string(), ...whileIt }),
  /** The node knows no way: reason 29. */
  z.strictObject({ kind: z.literal('no-route'), node: z.string(), prefix: z.string(), ...whileIt }),
  /** The node sends what is for the prefix out of this interface, whatever the right way is. */
  z.strictObject({ kind: z.literal('wrong-route'), ...link.shape, prefix: z.string(), ...whileIt }),
  /** The same as it should be: a way that is pinned, through a firewall or away from a link. No fault. */
  z.strictObject({ kind: z.literal('pinned-route'), ...link.shape, prefix: z.string(), ...whileIt }),
  /** The node puts these DSCP values into this queue. */
  z.strictObject({
    kind: z.literal('wrong-dscp-map'),
    node: z.string(),
    dscp: z.array(z.number().int().min(0).max(63)),
    queue: z.number().int(),
    ...whileIt,
  }),
]);

/** What switches report, and what becomes of the reports on their way. */
export const telemetry = z.strictObject({
  dialect: z.enum(['report-v2.0', 'report-v0.5', 'int-md-v2.1']).default('report-v2.0'),
  /** Reports of one node that travel in one datagram (v2.0). */
  group: count.default(8),
  /** A group waits no longer than this. */
  groupWait: time.default(1e9),
  /** Octets of the packet that a report carries. */
  truncate: bytes.default(128),
  /** Workloads whose packets no switch watches. */
  unwatched: z.array(workloadName).default([]),
  flowReports: z.enum(['every', 'change-filter', 'none']).default('every'),
  changeFilter: z.strictObject({ latency: time.default(256e3), time: time.default(2 ** 30 * 1e3) }).prefault({}),
  queueReports: z.strictObject({ trigger: time, reset: time, quota: count.default(1024) }).optional(),
  dropReports: z.enum(['every', 'filter', 'none']).default('every'),
  sampling: z
    .strictObject({ oneIn: count, kind: z.enum(['independent', 'consistent']).default('independent') })
    .prefault({ oneIn: 1 }),
  clocks: z
    .strictObject({
      /** Clocks are off by up to this much, and run up to `driftPpm` too fast or slow. */
      offset: time.default(0),
      driftPpm: z.number().min(0).default(0),
      jitter: time.default(0),
      steps: z.array(z.strictObject({ node: z.string(), at: time, by: time })).default([]),
      /** Timestamps have 32 bits, and begin so shortly before they wrap. */
      wrapAfter: time.optional(),
    })
    .prefault({}),
  loss: share.default(0),
  /** Share of the loss that comes in runs, and how many datagrams such a run has. */
  burstLoss: z.strictObject({ share: share.default(0.5), datagrams: count.default(8) }).prefault({}),
  /** Share of a node's reports that is lost while one of its queues is congested. */
  lossWhenCongested: z.strictObject({ node: z.string(), share }).optional(),
  reorder: time.default(0),
  duplicates: share.default(0),
  restarts: z.array(z.strictObject({ node: z.string(), at: time })).default([]),
  /** The exporter of this node falls silent. */
  silences: z.array(z.strictObject({ node: z.string(), ...whileIt })).default([]),
  occupancyUnit: z.enum(['bytes', 'cells', 'packets']).default('bytes'),
});

/** Kinds of events besides congestion that a scenario can inject. */
export const INJECTED_KINDS = [
  'incast',
  'ecmp-collision',
  'ecmp-polarised',
  'slice-budget',
  'loss',
  'silent-loss',
  'path-change',
  'loop',
  'blackhole',
  'starvation',
  'misclassified',
  'link-flap',
  'silent-switch',
  'telemetry-degraded',
  'unexplained-wait',
  'clock-fault',
] as const;

/** Groups of measures that have goals: the part of a measure's name before its dot. */
export const ASKED = ['queue', 'onset', 'culprit', 'counterfactual', 'victim', 'hop', 'events', 'confidence'] as const;

const truth = z.strictObject({
  /** A queue is congested from the time a packet would wait `high` in it, until it would wait less than `low`. */
  high: time.default(50e6),
  low: time.default(25e6),
  /** Below this much it counts as empty: a build-up begins here. */
  floor: bytes.default(3000),
  /** Intervals nearer than this are one; shorter ones than `shortest` are none. */
  merge: time.default(50e6),
  shortest: time.default(10e6),
  /** Excess wait from which a packet is harmed. */
  harm: time.default(25e6),
  /** What the fabric may cost a packet, and one of a certain slice. */
  budget: time.default(1e9),
  sliceBudgets: z.record(name, time).default({}),
  /** Groups of measures that are asked for. Where the scenario's own telemetry cannot tell something, it is not. */
  asks: z.array(z.enum(ASKED)).default([...ASKED]),
  /** Workload that was made to cause the trouble. */
  cause: workloadName.optional(),
  /** What else is true, because it was injected; `scope` in the words of the catalogue of events. */
  events: z
    .array(
      z.strictObject({
        kind: z.enum(INJECTED_KINDS),
        node: z.string().optional(),
        interface: z.number().int().optional(),
        queue: z.number().int().optional(),
        slice: z.string().optional(),
        prefix: z.string().optional(),
        workload: workloadName.optional(),
        from: time.default(0),
        until: time.optional(),
      }),
    )
    .default([]),
});

/** The form of a scenario file. */
export const scenarioForm = z.strictObject({
  name,
  /** Its number in the catalogue, S01 to S20. */
  id: z.string().optional(),
  /** One paragraph: what it tests. */
  about: prose,
  /** How a naive answer goes wrong. */
  trap: prose,
  duration: time,
  fabric,
  workloads: z.array(workload).min(1),
  traffic: z.array(traffic).min(1),
  faults: z.array(fault).default([]),
  telemetry: telemetry.prefault({}),
  truth: truth.prefault({}),
});

export type Scenario = z.infer<typeof scenarioForm>;
export type FabricSpec = z.infer<typeof fabric>;
export type WorkloadSpec = z.infer<typeof workload>;
export type TrafficSpec = z.infer<typeof traffic>;
export type TrafficOf<K extends TrafficSpec['kind']> = Extract<TrafficSpec, { kind: K }>;
export type FaultSpec = z.infer<typeof fault>;
export type InjectedKind = (typeof INJECTED_KINDS)[number];
export type InjectedEvent = Scenario['truth']['events'][number];
export type TelemetrySpec = z.infer<typeof telemetry>;
