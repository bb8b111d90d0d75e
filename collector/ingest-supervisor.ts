// Keeps the hot threads alive: binds their sockets, starts a thread for each, and starts it again when it dies. The shared tables and the
// sockets outlive it: what comes in meanwhile waits in the kernel's buffer.
// Rule: while one of them does not listen the collector is not ready, and every new start is counted.

import { dirname, extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Config } from './config.ts';
import type { IngestMessage, IngestThreadData } from './ingest-thread.ts';
import { KernelDrops, kernelDropsAt } from './ingest/kernel-drops.ts';
import { UdpSocket } from './ingest/socket.ts';
import type { SharedMemory } from './shared-state.ts';

/** Where it says what happened. */
export interface IngestLog {
  notice: (message: string) => void;
  error: (message: string) => void;
}

/** What the threads are started with. */
export interface IngestParts {
  /** The tables of each thread on `ingest.port`. */
  memories: readonly SharedMemory[];
  /** Further ports, each with the tables of the one thread that listens on it. */
  others?: readonly { port: number; memory: SharedMemory }[];
  ingest: Config['ingest'];
  epochUnixMs: number;
}

const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 10_000;
/** A thread that lived for so long is started again without delay. */
const SETTLED_MS = 10_000;
/** The kernel's count of drops is asked for so often, if nobody else wants to know. */
const DROPS_EVERY_MS = 60_000;

/** The thread's file: the compiled package holds .js where a clone holds .ts. */
const THREAD = join(dirname(import.meta.filename), `ingest-thread${extname(import.meta.filename)}`);

export class IngestSupervisor {
  readonly port: number;
  /** What the kernel gave each socket. */
  readonly receiveBufferBytes: number;
  readonly #threads: IngestThread[];
  readonly #sockets: readonly UdpSocket[];
  readonly #drops: KernelDrops;
  readonly #dropsTimer: NodeJS.Timeout;

  private constructor(threads: IngestThread[], sockets: readonly UdpSocket[]) {
    this.#threads = threads;
    this.#sockets = sockets;
    this.port = sockets[0]?.port ?? threads[0].port;
    this.receiveBufferBytes = sockets[0]?.receiveBufferBytes ?? threads[0].receiveBufferBytes;
    this.#drops = new KernelDrops(sockets);
    this.#dropsTimer = setInterval(() => this.kernelDrops(), DROPS_EVERY_MS).unref();
  }

  /** Binds and starts all threads. Rejects with a plain sentence when they cannot listen. */
  static async start(parts: IngestParts, log: IngestLog, file = THREAD): Promise<IngestSupervisor> {
    const { ingest, memories, others = [], epochUnixMs } = parts;
    const groups = [{ port: ingest.port, memories }, ...others.map(({ port, memory }) => ({ port, memories: [memory] }))];
    const sockets: UdpSocket[] = [];
    const threads: IngestThread[] = [];
    let isPortable = false;
    let at = ingest.port;
    try {
      for (const group of groups) {
        at = group.port;
        const options = { ...ingest, port: at };
        let own: UdpSocket[] = [];
        if (!isPortable) {
          own = await UdpSocket.open(options, group.memories.length, group.memories.length * ingest.processes).catch(
            (error: unknown) => {
              log.notice(
                `receiving the portable way, on one thread and at several times the processor time (${unlessMissing(error as NodeJS.ErrnoException)})`,
              );
              isPortable = true;
              return [];
            },
          );
        }
        sockets.push(...own);
        // The portable way has one socket for a port, and so one thread.
        const used = isPortable ? group.memories.slice(0, 1) : group.memories;
        const started = used.map((memory, i) => {
          const port = own[0]?.port ?? at;
          return new IngestThread({ memory, ingest: { ...ingest, port }, fd: own[i]?.fd, epochUnixMs }, log, file);
        });
        threads.push(...started);
        await Promise.all(started.map((thread) => thread.launch()));
      }
      return new IngestSupervisor(threads, sockets);
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.stop()));
      for (const socket of sockets) socket.close();
      throw new Error(reasonOf(error as NodeJS.ErrnoException, ingest.address, at), { cause: error });
    }
  }

  /** Ends all threads, then closes their sockets. */
  async stop(): Promise<void> {
    clearInterval(this.#dropsTimer);
    await Promise.all(this.#threads.map((thread) => thread.stop()));
    for (const socket of this.#sockets) socket.close();
  }

  /** Whether all threads listen now. */
  get isUp(): boolean {
    return this.#threads.every((thread) => thread.isUp);
  }

  get restarts(): number {
    return this.#threads.reduce((sum, thread) => sum + thread.restarts, 0);
  }

  /** Datagrams that the kernel dropped because a buffer was full. */
  kernelDrops(): number {
    if (this.#sockets.length > 0) return this.#drops.read();
    return this.#threads.reduce((sum, { port }) => sum + (kernelDropsAt(port) ?? 0), 0);
  }

  /** Whether a thread receives for these tables: the portable way has but one for each port. */
  uses(memory: SharedMemory): boolean {
    return this.#threads.some((thread) => thread.memory === memory);
  }

  /** Ports that are listened on, `port` first. */
  get ports(): number[] {
    return [...new Set(this.#threads.map(({ port }) => port))];
  }

  /** Octets that wait in the fullest of the kernel's buffers, its own bookkeeping included; undefined where it cannot be asked. */
  queuedBytes(): number | undefined {
    return this.#sockets.length === 0 ? undefined : Math.max(...this.#sockets.map((socket) => socket.memory().queuedBytes));
  }
}

/** One thread and its successors. */
class IngestThread {
  readonly #data: Omit<IngestThreadData, 'stop'>;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #log: IngestLog;
  readonly #file: string;
  #ended: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #restartMs = RESTART_MIN_MS;
  #upSinceMs = 0;
  #stopping = false;
  isUp = false;
  restarts = 0;
  port = 0;
  receiveBufferBytes = 0;

  constructor(data: Omit<IngestThreadData, 'stop'>, log: IngestLog, file: string) {
    this.#data = data;
    this.#log = log;
    this.#file = file;
  }

  get memory(): SharedMemory {
    return this.#data.memory;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    Atomics.store(this.#stop, 0, 1);
    await this.#ended;
  }

  /** Resolves when the thread listens, rejects when it says that it cannot, or dies before it did. */
  launch(): Promise<void> {
    // A free port that the system chose is kept over restarts: switches send to it.
    const ingest = { ...this.#data.ingest, port: this.port || this.#data.ingest.port };
    const data: IngestThreadData = { ...this.#data, ingest, stop: this.#stop };
    const worker = new Worker(this.#file, { workerData: data, name: 'hopscope-ingest' });
    return new Promise((resolve, reject) => {
      let fault: Error | undefined;
      worker.on('message', (message: IngestMessage) => {
        if (message.type === 'listening') {
          this.isUp = true;
          this.port = message.port;
          this.receiveBufferBytes = message.receiveBufferBytes;
          this.#upSinceMs = performance.now();
          resolve();
        } else if (message.type === 'failed') fault = message.reason;
        else if (message.type === 'fault') {
          this.#log.error(`a datagram could not be decoded through a fault of the collector, please report it: ${message.stack}`);
        } else {
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
          if (wasUp && performance.now() - this.#upSinceMs > SETTLED_MS) this.#restartMs = RESTART_MIN_MS;
          if (wasUp && !this.#stopping) this.#later(fault);
          resolveEnd();
        }),
      );
    });
  }

  #later(fault: Error | undefined): void {
    this.#log.error(
      `the ingest thread ended (${fault?.message ?? 'without a word'}): reports wait, and are lost when the buffer is full, until it listens again`,
    );
    this.#timer = setTimeout(() => void this.#restart(), this.#restartMs);
    this.#restartMs = Math.min(RESTART_MAX_MS, this.#restartMs * 2);
  }

  async #restart(): Promise<void> {
    this.restarts++;
    try {
      await this.launch();
      this.#log.notice(`the ingest thread listens again on port ${this.port}`);
    } catch (error) {
      if (!this.#stopping) this.#later(error as Error);
    }
  }
}

/** Why the fast way is missing here, in words; any other fault is thrown on. */
function unlessMissing(error: NodeJS.ErrnoException): string {
  if (error.syscall !== undefined) throw error;
  return error.code === 'ERR_MODULE_NOT_FOUND' ? 'the package koffi is not installed' : error.message.split('\n')[0];
}

function reasonOf(error: NodeJS.ErrnoException, address: string, port: number): string {
  const where = `UDP ${address} port ${port}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `${where} is taken by another process; choose another port or stop that process`,
    EADDRNOTAVAIL: `${where}: this machine has no such address; set ingest.address to one that it has`,
    EACCES: `${where}: not permitted; choose a port above 1023`,
  };
  return reasons[error.code ?? ''] ?? `${where}: ${error.message}`;
}
