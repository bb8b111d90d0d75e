// Entry of the hot thread: socket, decode and observe live here and never wait for anything.
// It speaks to the calm thread through shared memory, and by message only when it starts, stops or has something to say.

import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from './config.ts';
import type { DatagramOutcome } from './decode/outcome.ts';
import { REFUSALS } from './decode/reason.ts';
import { DgramIngest } from './ingest/dgram.ts';
import type { QueueThresholds } from './observe/queue.ts';
import { Pipeline } from './pipeline.ts';
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
}

/** Messages to the calm thread. */
export type IngestMessage =
  | { type: 'listening'; port: number; receiveBufferBytes: number }
  | { type: 'failed'; reason: string }
  | { type: 'rejected'; reason: string; detail: string; firstBytes: string; source: string };

const LOG_EVERY_NS = 10e9;

if (parentPort !== null) {
  const port = parentPort;
  const data = workerData as IngestThreadData;
  const send = (message: IngestMessage): void => port.postMessage(message);
  let source = '';
  const loggedNs = new Float64Array(REFUSALS.length).fill(-Infinity);
  const now = (): number => (performance.timeOrigin + performance.now() - data.epochUnixMs) * 1e6;
  const onRejected = (outcome: DatagramOutcome, bytes: Uint8Array, start: number, end: number): void => {
    const at = now();
    if (at - loggedNs[outcome.rejected] < LOG_EVERY_NS) return;
    loggedNs[outcome.rejected] = at;
    const firstBytes = Buffer.from(bytes.subarray(start, Math.min(end, start + 32))).toString('hex');
    send({ type: 'rejected', reason: REFUSALS[outcome.rejected], detail: rejectionDetail(outcome), firstBytes, source });
  };
  const pipeline = new Pipeline(new SharedState(data.capacity, data.thresholds, data.buffer), onRejected);
  const sources = new SourceDirectory(data.ingest.sources);
  let localPort = data.ingest.port;
  DgramIngest.open(data.ingest, (bytes, address) => {
    source = address;
    pipeline.receive(bytes, 0, bytes.length, sources.sourceOf(address), localPort, now());
  }).then(
    (ingest) => {
      localPort = ingest.port;
      send({ type: 'listening', port: ingest.port, receiveBufferBytes: ingest.receiveBufferBytes });
      port.once('message', () => void ingest.close().then(() => port.close()));
    },
    (error: NodeJS.ErrnoException) => {
      const where = `UDP ${data.ingest.address} port ${data.ingest.port}`;
      const reasons: Record<string, string> = {
        EADDRINUSE: `${where} is taken by another process; choose another ingest.port or stop that process`,
        EADDRNOTAVAIL: `${where}: this machine has no such address; set ingest.address to one that it has`,
        EACCES: `${where}: not permitted; choose an ingest.port above 1023`,
      };
      send({ type: 'failed', reason: reasons[error.code ?? ''] ?? `${where}: ${error.message}` });
      port.close();
    },
  );
}
