// Names for the rows of the shared tables: nodes from the configuration or by id, queues by node, interface and number.
// Rule: a row may pass to another owner; a name is only given for what the row holds now.

import type { Config } from './config.ts';
import { queueKeyOf, type QueueScope } from './event.ts';
import { rowOfTag, rowTagOf } from './hop.ts';
import { sourceKeyOf } from './admission.ts';
import type { SharedState } from './shared-state.ts';

export class Names {
  readonly #state: SharedState;
  readonly #nodes: Map<number, Config['nodes'][number]>;
  readonly #rowOfScope = new Map<string, number>();

  constructor(state: SharedState, nodes: Config['nodes']) {
    this.#state = state;
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
  }

  /** Name of the node in a node row: from the configuration, else its id, else the stand-in for a source without ids. */
  nodeName(nodeRow: number): string {
    if (nodeRow === 0) return 'others';
    const { keys } = this.#state.nodes;
    const id = keys.keyWord(nodeRow, 0);
    return id === 0 ? sourceName(keys.keyWord(nodeRow, 1)) : this.#nameOfId(id);
  }

  /** Name of the node behind a row of the sequence table. */
  sourceNodeName(row: number): string {
    const { keys } = this.#state.sources;
    const id = keys.keyWord(row, 4);
    return id === 0 ? sourceName(sourceKeyOf(keys.words, row * keys.layout.rowWords)) : this.#nameOfId(id);
  }

  #nameOfId(id: number): string {
    return this.#nodes.get(id)?.name ?? String(id);
  }

  /** Rows of queues whose node is still in the node table. */
  queueRows(): number[] {
    const { queues, nodes } = this.#state;
    return queues.keys.usedRows().filter((row) => {
      const tag = queues.keys.keyWord(row, 0);
      const nodeRow = rowOfTag(tag);
      return rowTagOf(nodeRow, nodes.keys.generationOf(nodeRow)) === tag;
    });
  }

  /** The queue in a queue row, with names. Row 0 is what found no room. */
  queueScope(row: number): QueueScope {
    if (row === 0) return { node: 'others', nodeId: 0, interface: 'others', interfaceId: 0, queue: 0 };
    const { queues, nodes } = this.#state;
    const nodeRow = rowOfTag(queues.keys.keyWord(row, 0));
    const interfaceId = queues.keys.keyWord(row, 1);
    const nodeId = nodes.keys.keyWord(nodeRow, 0);
    const name = this.#nodes.get(nodeId)?.interfaces[String(interfaceId)] ?? String(interfaceId);
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

/** Stands for an exporter that sends no node id. */
function sourceName(sourceKey: number): string {
  return `source-${sourceKey.toString(16)}`;
}
