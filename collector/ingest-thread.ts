// Entry of the hot thread: socket, decode and observe live here and never wait for anything.
// It speaks to the calm thread through shared memory, and by message only when it starts, stops or has something to say.

import { parentPort, workerData } from 'node:worker_threads';
import { addressText } from './address.ts';
import type { Config } from './config.ts';
import type { DatagramOutcome } from './decode/outcome.ts';
import { REFUSALS } from './decode/reason.ts';
import { DgramIngest } from './ingest/dgram.ts';
import { SocketIngest } from './ingest/socket.ts';
import type { UdpHandler, UdpIngest } from './ingest/udp.ts';
import type { QueueThresholds } from './observe/queue.ts';
import { Pipeline, type RejectionWatcher } from './pipeline.ts';
import { rejectionDetail } from './report-json.ts';
import { SharedState, type Capacity } from './shared-state.ts';
import { SourceDirectory } from './source-directory.ts';

/** What the calm thread hands over at the start. */
export interface IngestThreadData {
  capacity: Capacity;
  thresholds: QueueThresholds;
  buffer: SharedArrayBuffer;
  ingest: Config['ingest'];
  /** performance.timeOrigin-based milliseconds at collector time 0. */
  epochUnixMs: number;
  /** Not zero: end. A message would not be heard by a thread that is blocked in a system call. */
  stop: Int32Array;
}

/** Messages to the calm thread. */
export type IngestMessage =
  | { type: 'listening'; port: number; receiveBufferBytes: number; remark?: string }
  | { type: 'failed'; reason: string }
  | { type: 'rejected'; reason: string; detail: string; firstBytes: string; source: string };

const LOG_EVERY_NS = 10e9;
const STOP_POLL_MS = 50;

if (parentPort !== null) await main(workerData as IngestThreadData, (message) => parentPort!.postMessage(message));

async function main(data: IngestThreadData, send: (message: IngestMessage) => void): Promise<void> {
  const startMs = performance.timeOrigin - data.epochUnixMs;
  const now = (): number => (startMs + performance.now()) * 1e6;
  // One look at the clock per system call; in an array, where the number needs no box.
  const arrivedNs = new Float64Array(1);
  const sources = new SourceDirectory(data.ingest.sources);
  let localPort = data.ingest.port;
  let from: Uint32Array = new Uint32Array(4);
  const pipeline = new Pipeline(
    new SharedState(data.capacity, data.thresholds, data.buffer),
    rejectionLog(send, now, () => from),
  );
  const handler: UdpHandler = {
    arrive: () => (arrivedNs[0] = now()),
    receive: (bytes, start, end, source) => {
      from = source;
      pipeline.receive(bytes, start, end, sources.sourceOf(source), localPort, arrivedNs[0]);
    },
  };
  const listening = (ingest: UdpIngest, remark?: string): void => {
    localPort = ingest.port;
    send({ type: 'listening', port: ingest.port, receiveBufferBytes: ingest.receiveBufferBytes, remark });
  };
  try {
    const fast = await SocketIngest.open(data.ingest, handler).catch(unlessMissing);
    if (fast instanceof SocketIngest) {
      listening(fast);
      fast.run(data.stop);
      return;
    }
    const portable = await DgramIngest.open(data.ingest, handler);
    listening(portable, `receiving the portable way, which costs several times the processor time (${fast})`);
    while (Atomics.load(data.stop, 0) === 0) await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS));
    await portable.close();
  } catch (error) {
    send({ type: 'failed', reason: reasonOf(error as NodeJS.ErrnoException, data.ingest) });
  }
}

/** Why the fast socket is missing here, in words; any other fault is thrown on. */
function unlessMissing(error: NodeJS.ErrnoException): string {
  if (error.syscall !== undefined) throw error;
  return error.code === 'ERR_MODULE_NOT_FOUND' ? 'the package koffi is not installed' : error.message.split('\n')[0];
}

/** Says what was rejected: at most once per reason in ten seconds. */
function rejectionLog(send: (message: IngestMessage) => void, now: () => number, from: () => Uint32Array): RejectionWatcher {
  const loggedNs = new Float64Array(REFUSALS.length).fill(-Infinity);
  return (outcome: DatagramOutcome, bytes, start, end) => {
    const at = now();
    if (at - loggedNs[outcome.rejected] < LOG_EVERY_NS) return;
    loggedNs[outcome.rejected] = at;
    const firstBytes = Buffer.from(bytes.subarray(start, Math.min(end, start + 32))).toString('hex');
    const source = addressText(from(), 0);
    send({ type: 'rejected', reason: REFUSALS[outcome.rejected], detail: rejectionDetail(outcome), firstBytes, source });
  };
}

function reasonOf(error: NodeJS.ErrnoException, ingest: Config['ingest']): string {
  const where = `UDP ${ingest.address} port ${ingest.port}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `${where} is taken by another process; choose another ingest.port or stop that process`,
    EADDRNOTAVAIL: `${where}: this machine has no such address; set ingest.address to one that it has`,
    EACCES: `${where}: not permitted; choose an ingest.port above 1023`,
  };
  return reasons[error.code ?? ''] ?? `${where}: ${error.message}`;
}
