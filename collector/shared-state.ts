// Everything that the hot thread writes and the calm thread reads, cut from one shared buffer in one fixed order.
// Rule: both threads build it from the same Capacity, or they read each other's columns.

import type { Config } from './config.ts';
import { REFUSALS, UNKNOWN_DIALECTS, WARNINGS } from './decode/reason.ts';
import { EDGE_WIDTH } from './edge.ts';
import { MOVE_WIDTH } from './move.ts';
import { DIALECTS } from './hop.ts';
import { Arena, measure } from './memory/arena.ts';
import { ArrivalPool } from './memory/arrivals.ts';
import { Counters } from './memory/counters.ts';
import { Ring } from './memory/ring.ts';
import { NodeTable } from './observe/clock.ts';
import { ClassTable, type QueueOfDscp } from './observe/class.ts';
import { DropTable } from './observe/drop.ts';
import { ExporterTable } from './observe/exporter.ts';
import { FlowTable } from './observe/flow.ts';
import { LinkTable } from './observe/link.ts';
import { HeldBackTable } from './observe/held-back.ts';
import { PathTable } from './observe/path.ts';
import { PortTable } from './observe/port.ts';
import { QueueTable, type QueueSettings } from './observe/queue.ts';
import { SequenceTable } from './observe/sequence.ts';
import { SliceTable } from './observe/slice.ts';
import { StitchTable } from './observe/stitch.ts';

/** Bounds of every table. What does not fit is counted and lands in the "others" row. */
export interface Capacity {
  sources: number;
  nodes: number;
  queues: number;
  /** Interfaces: those that packets leave by, and those whose counters are told. */
  links: number;
  flows: number;
  /** Arrival logs for queues that fill at the same time, and arrivals per log. */
  arrivalLogs: number;
  arrivalsPerLog: number;
  /** Event edges, and moves of flows, that may wait for the calm thread. */
  edges: number;
}

const EDGES = 4096;
/** Packets whose histories are put together at the same time; see observe/stitch for what becomes of more. */
const HISTORIES = 32_768;
/** Networks of strangers that are told apart. */
const STRANGERS = 1024;
/** Numbers that a keyed hash needs: two for each word of the longest key. */
const SECRET_WORDS = 22;
/** A queue that stays above its floor without reports for so long is not filling. */
const LOOSE_LOG_NS = 10e6;

/** What the stages of the hot thread are told by the configuration. */
export interface ObserveSettings extends QueueSettings {
  /** The queue of each DSCP value, where classes are configured. */
  queueOfDscp: QueueOfDscp;
  /** What the fabric may cost a packet, ns, by slice; the first is no slice. */
  sliceBudgetsNs: Float64Array;
}

/** Settings of the stages from the configuration; the build-up may have begun ten opening waits before the opening. */
export function observeSettingsOf(config: Config): ObserveSettings {
  const { openWait, closeWait, timeoutAfter } = config.congestion;
  const queueOfDscp: (number | undefined)[] = [];
  for (const { queue, dscp } of config.classes) for (const value of dscp) queueOfDscp[value] = queue;
  const rest = config.classes.find(({ dscp }) => dscp.length === 0);
  if (rest !== undefined) for (let value = 0; value < 64; value++) queueOfDscp[value] ??= rest.queue;
  return {
    queueOfDscp,
    sliceBudgetsNs: Float64Array.from([Infinity, ...config.slices.map(({ fabricBudget }) => fabricBudget)]),
    openWaitNs: openWait,
    closeWaitNs: closeWait,
    floorWaitNs: openWait / 20,
    maxBuildUpNs: openWait * 10,
    timeoutAfterNs: timeoutAfter,
    portRates: new Map(
      config.nodes.flatMap(({ id, portRates }) =>
        id === undefined ? [] : [[id, new Map(Object.entries(portRates).map(([port, rate]) => [Number(port), rate]))]],
      ),
    ),
  };
}

/** Bounds of the shared tables from the configuration. */
export function capacityOf(config: Config): Capacity {
  return { ...config.limits, edges: EDGES };
}

/** Keys the hashes of all tables: random where anybody may send, fixed where a run must be repeatable to the octet. */
export class HashSecret {
  readonly words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.words = words;
  }

  /** Nobody outside can choose keys that collide. */
  static random(): HashSecret {
    return new HashSecret(crypto.getRandomValues(new Uint32Array(SECRET_WORDS)));
  }

  /** The same in every run: replays, scores, tests. */
  static fixed(): HashSecret {
    return new HashSecret(Uint32Array.from({ length: SECRET_WORDS }, (_, i) => Math.imul(i + 1, 0x9e3779b1)));
  }
}

/** What the hot thread needs to build the same tables over the same memory. */
export interface SharedMemory {
  readonly capacity: Capacity;
  readonly thresholds: ObserveSettings;
  readonly secret: Uint32Array;
  readonly buffer: SharedArrayBuffer;
}

export class SharedState {
  readonly memory: SharedMemory;
  readonly counters: Counters;
  readonly exporters: ExporterTable;
  readonly sources: SequenceTable;
  readonly nodes: NodeTable;
  readonly flows: FlowTable;
  readonly arrivals: ArrivalPool;
  readonly edges: Ring;
  readonly queues: QueueTable;
  readonly links: LinkTable;
  readonly ports: PortTable;
  readonly drops: DropTable;
  readonly paths: PathTable;
  readonly heldBack: HeldBackTable;
  readonly moves: Ring;
  readonly stitch: StitchTable;
  readonly classes: ClassTable;
  readonly slices: SliceTable;

  /** Builds the tables over memory that is there already: both threads must do it alike. */
  constructor(memory: SharedMemory) {
    this.memory = memory;
    const parts = cut(new Arena(memory.buffer), memory);
    this.counters = parts.counters;
    this.exporters = parts.exporters;
    this.sources = parts.sources;
    this.nodes = parts.nodes;
    this.flows = parts.flows;
    this.arrivals = parts.arrivals;
    this.edges = parts.edges;
    this.queues = parts.queues;
    this.links = parts.links;
    this.ports = parts.ports;
    this.drops = parts.drops;
    this.paths = parts.paths;
    this.heldBack = parts.heldBack;
    this.moves = parts.moves;
    this.stitch = parts.stitch;
    this.classes = parts.classes;
    this.slices = parts.slices;
  }

  /** New tables over new memory of the right size, all zero. */
  static allocate(capacity: Capacity, thresholds: ObserveSettings, secret: HashSecret): SharedState {
    const parts = { capacity, thresholds, secret: secret.words };
    const buffer = new SharedArrayBuffer(measure((arena) => void cut(arena, parts)));
    return new SharedState({ ...parts, buffer });
  }
}

function cut(arena: Arena, { capacity, thresholds, secret }: Omit<SharedMemory, 'buffer'>) {
  const counters = new Counters(arena, {
    refusals: REFUSALS.length,
    warnings: WARNINGS.length,
    unknownDialects: UNKNOWN_DIALECTS.length,
    dialects: DIALECTS.length,
  });
  const exporters = new ExporterTable(arena, capacity.sources, STRANGERS, secret);
  const sources = new SequenceTable(arena, capacity.sources, secret);
  const nodes = new NodeTable(arena, capacity.nodes, secret);
  const flows = new FlowTable(arena, capacity.flows, secret);
  const patience = { looseNs: LOOSE_LOG_NS, pinnedNs: thresholds.timeoutAfterNs };
  const arrivals = new ArrivalPool(arena, capacity.arrivalLogs, capacity.arrivalsPerLog, capacity.queues + 1, patience);
  const edges = new Ring(arena, capacity.edges, EDGE_WIDTH);
  const queues = new QueueTable(arena, capacity.queues, secret, arrivals);
  const links = new LinkTable(arena, capacity.links, secret);
  const ports = new PortTable(arena, capacity.links, secret);
  const drops = new DropTable(arena, capacity.nodes, secret);
  const paths = new PathTable(arena, capacity.flows + 1);
  const heldBack = new HeldBackTable(arena, capacity.flows + 1);
  const moves = new Ring(arena, capacity.edges, MOVE_WIDTH);
  const stitch = new StitchTable(arena, HISTORIES);
  const classes = new ClassTable(arena, capacity.nodes + 1);
  const slices = new SliceTable(arena, capacity.flows + 1);
  return {
    counters,
    exporters,
    sources,
    nodes,
    flows,
    arrivals,
    edges,
    queues,
    links,
    ports,
    drops,
    paths,
    heldBack,
    moves,
    stitch,
    classes,
    slices,
  };
}
