// Keeps the hot thread alive: starts it, waits until it listens, and starts it again when it dies. The shared tables outlive it.
// Rule: while it does not listen the collector is not ready, and every new start is counted.

import { dirname, extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { IngestMessage, IngestThreadData } from './ingest-thread.ts';

/** Where it says what happened. */
export interface IngestLog {
  notice: (message: string) => void;
  error: (message: string) => void;
}

const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 10_000;

/** The thread's file: the compiled package holds .js where a clone holds .ts. */
const THREAD = join(dirname(import.meta.filename), `ingest-thread${extname(import.meta.filename)}`);

export class IngestSupervisor {
  readonly #data: Omit<IngestThreadData, 'stop'>;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #log: IngestLog;
  readonly #file: string;
  #ended: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #restartMs = RESTART_MIN_MS;
  #stopping = false;
  /** Whether the thread listens now. */
  isUp = false;
  restarts = 0;
  port = 0;
  /** What the kernel gave the socket. */
  receiveBufferBytes = 0;

  private constructor(data: Omit<IngestThreadData, 'stop'>, log: IngestLog, file: string) {
    this.#data = data;
    this.#log = log;
    this.#file = file;
  }

  /** Starts the thread. Rejects with a plain sentence when it cannot listen at first. */
  static async start(data: Omit<IngestThreadData, 'stop'>, log: IngestLog, file = THREAD): Promise<IngestSupervisor> {
    const supervisor = new IngestSupervisor(data, log, file);
    await supervisor.#launch();
    return supervisor;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    Atomics.store(this.#stop, 0, 1);
    await this.#ended;
  }

  /** Resolves when the thread listens, rejects when it says that it cannot, or dies before it did. */
  #launch(): Promise<void> {
    // A free port that the system chose is kept over restarts: switches send to it.
    const data: IngestThreadData = {
      ...this.#data,
      stop: this.#stop,
      ingest: { ...this.#data.ingest, port: this.port || this.#data.ingest.port },
    };
    const worker = new Worker(this.#file, { workerData: data, name: 'hopscope-ingest' });
    return new Promise((resolve, reject) => {
      let fault: Error | undefined;
      worker.on('message', (message: IngestMessage) => {
        if (message.type === 'listening') {
          this.isUp = true;
          this.port = message.port;
          this.receiveBufferBytes = message.receiveBufferBytes;
          this.#restartMs = RESTART_MIN_MS;
          if (message.remark !== undefined && this.restarts === 0) this.#log.notice(message.remark);
          resolve();
        } else if (message.type === 'failed') fault = new Error(message.reason);
        else {
          const { reason, detail, firstBytes, source } = message;
          this.#log.notice(`rejected a datagram from ${source}: ${reason}, ${detail}; it begins ${firstBytes}`);
        }
      });
      worker.once('error', (error: Error) => (fault = error));
      this.#ended = new Promise((resolveEnd) =>
        worker.once('exit', () => {
          const wasUp = this.isUp;
          this.isUp = false;
          reject(fault ?? new Error('the ingest thread ended before it listened'));
          if (wasUp && !this.#stopping) this.#later(fault);
          resolveEnd();
        }),
      );
    });
  }

  #later(fault: Error | undefined): void {
    this.#log.error(`the ingest thread ended (${fault?.message ?? 'without a word'}): reports are lost until it listens again`);
    this.#timer = setTimeout(() => void this.#restart(), this.#restartMs);
    this.#restartMs = Math.min(RESTART_MAX_MS, this.#restartMs * 2);
  }

  async #restart(): Promise<void> {
    this.restarts++;
    try {
      await this.#launch();
      this.#log.notice(`the ingest thread listens again on port ${this.port}`);
    } catch (error) {
      if (!this.#stopping) this.#later(error as Error);
    }
  }
}
