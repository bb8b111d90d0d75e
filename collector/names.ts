// Names for the rows of the shared tables: nodes from the configuration or by id, queues by node, interface and number.
// Rule: a row may pass to another owner; a name is only given for what the row holds now.

import type { Config } from './config.ts';
import { queueKeyOf, type Place, type QueueScope } from './event.ts';
import { rowOfTag, rowTagOf } from './hop.ts';
import { sourceKeyOf, sourceKeyOfText } from './admission.ts';
import type { SharedState } from './shared-state.ts';

type NodeConfig = Config['nodes'][number];

export class Names {
  readonly #state: SharedState;
  /** By node id, and by the stand-in for an address that sends none. */
  readonly #byId = new Map<number, NodeConfig>();
  readonly #byKey = new Map<number, NodeConfig>();
  readonly #rowOfScope = new Map<string, number>();

  constructor(state: SharedState, nodes: Config['nodes']) {
    this.#state = state;
    for (const node of nodes) {
      if (node.id !== undefined) this.#byId.set(node.id, node);
      if (node.address !== undefined) this.#byKey.set(sourceKeyOfText(node.address), node);
    }
  }

  /** Name of the node in a node row: from the configuration, else its id, else the stand-in for a source without ids. */
  nodeName(nodeRow: number): string {
    if (nodeRow === 0) return 'others';
    const { keys } = this.#state.nodes;
    return this.#nameOf(keys.keyWord(nodeRow, 0), keys.keyWord(nodeRow, 1));
  }

  /** Name of the node behind a row of the sequence table. */
  sourceNodeName(row: number): string {
    const { keys } = this.#state.sources;
    return this.#nameOf(keys.keyWord(row, 4), sourceKeyOf(keys.words, row * keys.layout.rowWords));
  }

  /** Name of the node with this id; where that is 0, of the one whose address this key stands for. */
  #nameOf(id: number, key: number): string {
    return this.#configOf(id, key)?.name ?? (id === 0 ? `source-${key.toString(16)}` : String(id));
  }

  #configOf(id: number, key: number): NodeConfig | undefined {
    return id === 0 ? this.#byKey.get(key) : this.#byId.get(id);
  }

  #interfaceName(nodeRow: number, interfaceId: number): string {
    const { keys } = this.#state.nodes;
    const config = this.#configOf(keys.keyWord(nodeRow, 0), keys.keyWord(nodeRow, 1));
    return config?.interfaces[String(interfaceId)] ?? String(interfaceId);
  }

  /** The node that a tag names. */
  nodePlace(tag: number): Place {
    const row = rowOfTag(tag);
    return { node: this.nodeName(row), nodeId: row === 0 ? 0 : this.#state.nodes.keys.keyWord(row, 0) };
  }

  /** The tag of the node in this row. */
  tagOfNode(row: number): number {
    return rowTagOf(row, this.#state.nodes.keys.generationOf(row));
  }

  /** An interface of the node that a tag names; interface 0 is none. */
  interfacePlace(tag: number, interfaceId: number): Place {
    const node = this.nodePlace(tag);
    return interfaceId === 0 ? node : { ...node, interface: this.#interfaceName(rowOfTag(tag), interfaceId), interfaceId };
  }

  /** The egress interface in a port row. Row 0 is what found no room. */
  portPlace(row: number): Place {
    if (row === 0) return { node: 'others', nodeId: 0, interface: 'others', interfaceId: 0 };
    const { keys } = this.#state.ports;
    return this.interfacePlace(keys.keyWord(row, 0), keys.keyWord(row, 1));
  }

  /** Rows of queues whose node is still in the node table. */
  queueRows(): number[] {
    const { keys } = this.#state.queues;
    return keys.usedRows().filter((row) => this.#isCurrent(keys.keyWord(row, 0)));
  }

  /** Whether the node that a tag names still has its row. */
  #isCurrent(tag: number): boolean {
    const nodeRow = rowOfTag(tag);
    return rowTagOf(nodeRow, this.#state.nodes.keys.generationOf(nodeRow)) === tag;
  }

  /** Rows of interfaces whose node is still in the node table. */
  linkRows(): number[] {
    const { keys } = this.#state.links;
    return keys.usedRows().filter((row) => this.#isCurrent(keys.keyWord(row, 0)));
  }

  /** The interface in a link row, with names. Row 0 is what found no room. */
  linkScope(row: number): { node: string; interface: string } {
    if (row === 0) return { node: 'others', interface: 'others' };
    const { keys } = this.#state.links;
    const nodeRow = rowOfTag(keys.keyWord(row, 0));
    return { node: this.nodeName(nodeRow), interface: this.#interfaceName(nodeRow, keys.keyWord(row, 1)) };
  }

  /** The queue in a queue row, with names. Row 0 is what found no room. */
  queueScope(row: number): QueueScope {
    if (row === 0) return { node: 'others', nodeId: 0, interface: 'others', interfaceId: 0, queue: 0 };
    const { queues, nodes } = this.#state;
    const nodeRow = rowOfTag(queues.keys.keyWord(row, 0));
    const interfaceId = queues.keys.keyWord(row, 1);
    const nodeId = nodes.keys.keyWord(nodeRow, 0);
    const name = this.#interfaceName(nodeRow, interfaceId);
    const scope = { node: this.nodeName(nodeRow), nodeId, interface: name, interfaceId, queue: queues.keys.keyWord(row, 2) };
    if (this.#rowOfScope.size >= 2 * queues.keys.capacity) this.#rowOfScope.clear();
    this.#rowOfScope.set(queueKeyOf(scope), row);
    return scope;
  }

  /** Row of a queue that an event named; undefined for one not seen lately. */
  queueRowOf(scope: QueueScope): number | undefined {
    const key = queueKeyOf(scope);
    const row = this.#rowOfScope.get(key);
    // The row may have passed to another queue meanwhile.
    return row !== undefined && queueKeyOf(this.queueScope(row)) === key ? row : undefined;
  }
}
