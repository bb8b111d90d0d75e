// What receiving one datagram costs the ingest thread, Node's own socket against the fast one, from one flooding sender on loopback.
// Rates say more about the sender than about us, so processor time per datagram is the figure; what the kernel dropped stands beside it.
// Rounds alternate, and the median counts. Run by `npm run bench`.

import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import * as koffi from 'koffi';
import { DgramIngest } from '../../collector/ingest/dgram.ts';
import { SocketIngest } from '../../collector/ingest/socket.ts';
import type { UdpHandler } from '../../collector/ingest/udp.ts';

const PAYLOAD_BYTES = 128;
const SEGMENTS = 40;
const ROUNDS = 5;
const ROUND_MS = 1000;

interface ReceiverData {
  kind: 'dgram' | 'socket';
  stop: Int32Array;
}
interface SenderData {
  port: number;
  segments: number;
  stop: Int32Array;
}
interface Result {
  received: number;
  cpuNs: number;
}

async function receiver({ kind, stop }: ReceiverData): Promise<void> {
  let received = 0;
  const handler: UdpHandler = { arrive: () => undefined, receive: () => void received++ };
  const options = { address: '127.0.0.1', port: 0, receiveBufferBytes: 8 * 1024 * 1024 };
  const fast = kind === 'socket' ? await SocketIngest.open(options, handler) : undefined;
  const portable = fast === undefined ? await DgramIngest.open(options, handler) : undefined;
  parentPort!.postMessage((fast ?? portable!).port);
  const before = process.threadCpuUsage();
  if (fast !== undefined) fast.run(stop);
  else {
    while (Atomics.load(stop, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await portable!.close();
  }
  const { user, system } = process.threadCpuUsage(before);
  parentPort!.postMessage({ received, cpuNs: (user + system) * 1000 } satisfies Result);
}

/** Sends as fast as it can, `segments` datagrams a system call, until told to stop; says how many. */
function sender({ port, segments, stop }: SenderData): void {
  const library = koffi.load(null);
  const fd = library.func('int socket(int, int, int)')(2, 2, 0) as number;
  const address = new Uint8Array(16);
  address.set([2, 0, port >>> 8, port & 0xff, 127, 0, 0, 1]);
  library.func('int connect(int, void *, unsigned int)')(fd, address, address.length);
  const setsockopt = library.func('int setsockopt(int, int, int, void *, unsigned int)');
  if (segments > 1) setsockopt(fd, 17, 103, Int32Array.of(PAYLOAD_BYTES), 4);
  const send = library.func('long send(int, void *, size_t, int)') as (
    fd: number,
    b: Uint8Array,
    n: number,
    flags: number,
  ) => number;
  const bytes = new Uint8Array(PAYLOAD_BYTES * segments);
  let sent = 0;
  while (Atomics.load(stop, 0) === 0)
    for (let i = 0; i < 64; i++) if (Number(send(fd, bytes, bytes.length, 0)) > 0) sent += segments;
  library.func('int close(int)')(fd);
  parentPort!.postMessage(sent);
}

async function round(kind: 'dgram' | 'socket', segments: number): Promise<{ nsPerDatagram: number; rate: number; lost: number }> {
  const stops = [0, 1].map(() => new Int32Array(new SharedArrayBuffer(4)));
  const next = <T>(worker: Worker): Promise<T> => new Promise((resolve) => worker.once('message', resolve));
  const own = import.meta.filename;
  const receiving = new Worker(own, { workerData: { role: 'receiver', kind, stop: stops[0] } });
  const port = await next<number>(receiving);
  const sending = new Worker(own, { workerData: { role: 'sender', port, segments, stop: stops[1] } });
  const [counted, result] = [next<number>(sending), next<Result>(receiving)];
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
  Atomics.store(stops[1], 0, 1);
  const sent = await counted;
  // What lies in the buffer is taken before the end.
  await new Promise((resolve) => setTimeout(resolve, 200));
  Atomics.store(stops[0], 0, 1);
  const { received, cpuNs } = await result;
  return { nsPerDatagram: cpuNs / received, rate: received / (ROUND_MS / 1000), lost: 1 - received / sent };
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];

if (isMainThread) {
  const rows = [
    { name: "Node's dgram, plain", kind: 'dgram', segments: 1 },
    { name: 'recvmmsg, plain', kind: 'socket', segments: 1 },
    { name: `recvmmsg, ${SEGMENTS} segments a send`, kind: 'socket', segments: SEGMENTS },
  ] as const;
  const results = rows.map(() => [] as Awaited<ReturnType<typeof round>>[]);
  for (let i = 0; i < ROUNDS; i++)
    for (let row = 0; row < rows.length; row++) results[row].push(await round(rows[row].kind, rows[row].segments));
  const cost = results.map((rounds) => median(rounds.map((r) => r.nsPerDatagram)));
  console.log(`\n${PAYLOAD_BYTES} octets a datagram, one sender on loopback, 8 MiB buffer; median of ${ROUNDS} rounds\n`);
  console.log('| receiver | ingest-thread CPU, ns/datagram | times cheaper than dgram | received/s | lost |');
  console.log('| --- | --- | --- | --- | --- |');
  rows.forEach(({ name }, row) => {
    const rate = median(results[row].map((r) => r.rate));
    const lost = median(results[row].map((r) => r.lost));
    const cells = [
      name,
      cost[row].toFixed(0),
      (cost[0] / cost[row]).toFixed(1),
      `${(rate / 1e6).toFixed(2)} M`,
      `${(lost * 100).toFixed(1)} %`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  });
} else if ((workerData as { role: string }).role === 'receiver') await receiver(workerData as ReceiverData);
else sender(workerData as SenderData);
