// Waves of flows that leave a node by another interface than before, and packets that go round.
//
//   moves of flows ─▶ by node ── several within a second ──▶ path-change        TTLs that keep falling ──▶ loop, with the nodes on it
//
// Rule: one flow that moves is the hash's business; several at once are a reroute.

import type { Place } from '../event.ts';
import { Move, MOVE_WIDTH, MoveKind } from '../move.ts';
import type { ConditionBook } from './condition.ts';

const WAVE_FLOWS = 4;
const WAVE_NS = 1e9;
/** A loop of one flow may be a service chain that nobody told of; it is told, but less loudly. */
const MANY_FLOWS = 3;
const MAX_FLOWS = 4096;
const MAX_MOVES_PER_POLL = 4096;
const LOOP_QUIET_NS = 3e9;

export interface MoveSources {
  /** Copies the next move into `record`; false when there is none. */
  nextMove(record: Float64Array): boolean;
  placeOfNode(nodeTag: number): Place;
  /** Names of two interfaces of one node. */
  interfaceOf(portRow: number): string;
  /** Told of the interface that a flow does not leave by any more. */
  leftBehind(portRow: number, flowRow: number, atNs: number): void;
}

interface Wave {
  /** Flow rows and when they moved. */
  flows: Map<number, number>;
  from: Map<string, number>;
}

export class PathChangeDetector {
  readonly #sources: MoveSources;
  readonly #conditions: ConditionBook;
  readonly #waves = new Map<number, Wave>();
  readonly #record = new Float64Array(MOVE_WIDTH);
  readonly #loop = { nodes: new Set<string>(), flows: new Set<number>(), fromNs: 0, lastNs: -Infinity };

  constructor(sources: MoveSources, conditions: ConditionBook) {
    this.#sources = sources;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    for (let i = 0; i < MAX_MOVES_PER_POLL && this.#sources.nextMove(this.#record); i++) {
      if (this.#record[Move.kind] === MoveKind.looped) this.#goesRound(nowNs);
      else this.#moved(nowNs);
    }
  }

  #moved(nowNs: number): void {
    const m = this.#record;
    const atNs = m[Move.atNs];
    this.#sources.leftBehind(m[Move.fromPortRow], m[Move.flowRow], atNs);
    const wave = this.#waves.get(m[Move.nodeTag]) ?? { flows: new Map<number, number>(), from: new Map<string, number>() };
    this.#waves.set(m[Move.nodeTag], wave);
    for (const [flow, movedNs] of wave.flows) if (atNs - movedNs > WAVE_NS) wave.flows.delete(flow);
    if (wave.flows.size === 0) wave.from.clear();
    if (wave.flows.size < MAX_FLOWS) wave.flows.set(m[Move.flowRow], atNs);
    const way = `${this.#sources.interfaceOf(m[Move.fromPortRow])} to ${this.#sources.interfaceOf(m[Move.toPortRow])}`;
    wave.from.set(way, (wave.from.get(way) ?? 0) + 1);
    if (wave.flows.size < WAVE_FLOWS) return;
    const [mostly] = [...wave.from].sort((a, b) => b[1] - a[1])[0];
    this.#conditions.raise(
      {
        kind: 'path-change',
        place: this.#sources.placeOfNode(m[Move.nodeTag]),
        fromNs: Math.min(...wave.flows.values()),
        atNs,
        severity: 2,
        summary: `${wave.flows.size} flows moved, mostly from interface ${mostly}`,
        numbers: { flows: wave.flows.size },
      },
      nowNs,
    );
  }

  #goesRound(nowNs: number): void {
    const m = this.#record;
    const atNs = m[Move.atNs];
    const loop = this.#loop;
    if (atNs - loop.lastNs > LOOP_QUIET_NS) {
      loop.nodes.clear();
      loop.flows.clear();
      loop.fromNs = atNs;
    }
    loop.lastNs = atNs;
    const { node } = this.#sources.placeOfNode(m[Move.nodeTag]);
    if (node !== undefined) loop.nodes.add(node);
    if (loop.flows.size < MAX_FLOWS) loop.flows.add(m[Move.flowRow]);
    const isSerious = loop.flows.size >= MANY_FLOWS || atNs - loop.fromNs >= 1e9;
    this.#conditions.raise(
      {
        kind: 'loop',
        place: {},
        fromNs: loop.fromNs,
        atNs,
        severity: isSerious ? 5 : 4,
        summary: `packets of ${loop.flows.size} flow(s) go round between ${[...loop.nodes].sort().join(', ')} until their TTL is used up`,
        numbers: { flows: loop.flows.size, nodes: loop.nodes.size },
      },
      nowNs,
    );
  }
}
