// Entry of the hot thread: receive, decode and observe live here and never wait for anything.
// It speaks to the calm thread through shared memory, and by message only when it starts, stops or has something to say.

import { parentPort, workerData } from 'node:worker_threads';
import { addressText } from './address.ts';
import { Admission } from './admission.ts';
import type { Config } from './config.ts';
import type { DatagramOutcome } from './decode/outcome.ts';
import { REFUSALS } from './decode/reason.ts';
import { raiseInlining } from './inlining.ts';
import { DgramIngest } from './ingest/dgram.ts';
import { receiveLoop } from './ingest/receive-loop.ts';
import type { UdpHandler } from './ingest/udp.ts';
import { pipelineOver, type RejectionWatcher } from './pipeline.ts';
import { rejectionDetail } from './report-json.ts';
import { SharedState, type SharedMemory } from './shared-state.ts';

/** What the calm thread hands over at the start. */
export interface IngestThreadData {
  memory: SharedMemory;
  ingest: Config['ingest'];
  /** The socket to receive from, which the calm thread has bound to `ingest.port`; without one the thread opens Node's own. */
  fd: number | undefined;
  /** performance.timeOrigin-based milliseconds at collector time 0. */
  epochUnixMs: number;
  /** Not zero: end. A message would not be heard by a thread that is blocked in a system call. */
  stop: Int32Array;
}

/** Messages to the calm thread. */
export type IngestMessage =
  | { type: 'listening'; port: number; receiveBufferBytes: number }
  | { type: 'failed'; reason: NodeJS.ErrnoException }
  | { type: 'fault'; stack: string }
  | { type: 'rejected'; reason: string; detail: string; firstBytes: string; source: string };

const LOG_EVERY_NS = 10e9;
const STOP_POLL_MS = 50;
/** A system call that brings fewer messages has emptied the buffer: see ingest/receive-loop. */
const FULL_CALL_MESSAGES = 64;
if (parentPort !== null) {
  raiseInlining();
  await main(workerData as IngestThreadData, (message) => parentPort!.postMessage(message));
}

async function main(data: IngestThreadData, send: (message: IngestMessage) => void): Promise<void> {
  const startMs = performance.timeOrigin - data.epochUnixMs;
  const now = (): number => (startMs + performance.now()) * 1e6;
  const state = new SharedState(data.memory);
  let localPort = data.ingest.port;
  let from: Uint32Array = new Uint32Array(4);
  // What waited while there was no thread is no overload: nothing is late before the first system call that empties the buffer.
  let isCaughtUp = false;
  let messages = 0;
  const pipeline = pipelineOver(
    state,
    new Admission(state.exporters, data.ingest),
    rejectionLog(send, now, () => from),
    faultLog(send, now),
  );
  const handler: UdpHandler = {
    arrive: () => {
      messages = 0;
      pipeline.arrive(now());
    },
    message: () => {
      messages++;
      pipeline.message();
    },
    receive: (b, start, end, source, waitedMs) => {
      from = source;
      pipeline.receive(b, start, end, source, localPort, isCaughtUp ? waitedMs : 0);
    },
    settle: () => {
      isCaughtUp ||= messages < FULL_CALL_MESSAGES;
      pipeline.settle();
    },
  };
  if (data.fd !== undefined) {
    return receiveLoop(data.fd, handler, data.stop, () => send({ type: 'listening', port: localPort, receiveBufferBytes: 0 }));
  }
  try {
    const portable = await DgramIngest.open(data.ingest, handler);
    localPort = portable.port;
    send({ type: 'listening', port: portable.port, receiveBufferBytes: portable.receiveBufferBytes });
    while (Atomics.load(data.stop, 0) === 0) await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS));
    await portable.close();
  } catch (error) {
    send({ type: 'failed', reason: error as NodeJS.ErrnoException });
  }
}

/** Says what went wrong in decoding a datagram: at most once in ten seconds. */
function faultLog(send: (message: IngestMessage) => void, now: () => number): (error: unknown) => void {
  let loggedNs = -Infinity;
  return (error) => {
    if (now() - loggedNs < LOG_EVERY_NS) return;
    loggedNs = now();
    send({ type: 'fault', stack: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  };
}

/** Says what was rejected: at most once per reason in ten seconds. */
function rejectionLog(send: (message: IngestMessage) => void, now: () => number, from: () => Uint32Array): RejectionWatcher {
  const loggedNs = new Float64Array(REFUSALS.length).fill(-Infinity);
  return (outcome: DatagramOutcome, b, start, end) => {
    const at = now();
    if (at - loggedNs[outcome.rejected] < LOG_EVERY_NS) return;
    loggedNs[outcome.rejected] = at;
    const firstBytes = Buffer.from(b.buffer, b.byteOffset + start, Math.min(end - start, 32)).toString('hex');
    const source = addressText(from(), 0);
    send({ type: 'rejected', reason: REFUSALS[outcome.rejected], detail: rejectionDetail(outcome), firstBytes, source });
  };
}
