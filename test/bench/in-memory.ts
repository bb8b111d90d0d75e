// Decode and observe in memory, in a process of its own that measures a round whenever it is asked: V8 specialises the packet path for the one
// instance that a process makes, and rounds of several can alternate.

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** One round of observe-child. */
export interface InMemoryRound {
  hopsPerSecond: number;
  /** Growth of the heap; null when a collection came in between. */
  bytesPerReport: number | null;
}

export class InMemory {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  private constructor(reports: number, flows: number) {
    const file = join(import.meta.dirname, 'observe-child.ts');
    this.#child = spawn(process.execPath, [file, String(reports), String(flows)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  /** Datagrams of `reports` postcards, each of one of `flows` live flows. Resolves when everything is known and compiled. */
  static async start(reports: number, flows: number): Promise<InMemory> {
    const started = new InMemory(reports, flows);
    await once(started.#lines, 'line');
    return started;
  }

  async round(): Promise<InMemoryRound> {
    this.#child.stdin.write('round\n');
    const [line] = (await once(this.#lines, 'line')) as [string];
    return JSON.parse(line) as InMemoryRound;
  }

  close(): void {
    this.#child.kill();
  }
}
