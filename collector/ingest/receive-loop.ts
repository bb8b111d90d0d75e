// The hot thread's life: blocking recvmmsg, many datagrams per system call, into memory that the kernel and we share.
//
//   recvmmsg ─▶ up to 64 messages ─▶ each one datagram, or several of one sender that the kernel coalesced (UDP_GRO) ─▶ receive
//
// Rule: a thread that is blocked here hears no message. It looks at the stop flag at least every 100 ms, and that is how it ends.

import * as c from './libc.ts';
import { systemError } from './socket.ts';
import { addressWordsOf, type UdpHandler } from './udp.ts';

const MESSAGES = 64;
/** The largest datagram, and a cache line: buffers that lay 65,536 octets apart would all compete for one set of the cache. */
const BUFFER_BYTES = 65_536 + 64;
const NAME_BYTES = 32;
const CONTROL_BYTES = 64;
/** struct mmsghdr: struct msghdr (56 octets) and the length received. */
const HEADER_BYTES = 64;
const VECTOR_BYTES = 16;
/** Offsets in struct msghdr. */
const Msg = { name: 0, nameLength: 8, vector: 16, vectors: 24, control: 32, controlLength: 40, length: 56 } as const;
/** struct cmsghdr: length (8 octets), level, type, then the data. */
const CMSG_HEADER_BYTES = 16;

const VECTORS = MESSAGES * HEADER_BYTES;
const NAMES = VECTORS + MESSAGES * VECTOR_BYTES;
const CONTROLS = NAMES + MESSAGES * NAME_BYTES;
const BUFFERS = CONTROLS + MESSAGES * CONTROL_BYTES;
/** Fewer datagrams than these are few; and how long a pause lets more come, ms. */
const FEW = 32;
const PAUSE_MS = 0.1;
const STAMP = 0;
const NOW = 1;

/**
 * Receives from the socket `fd` until `stop[0]` is not zero, blocking the thread; `ready` is called before the first datagram. Throws when the
 * kernel refuses to receive.
 */
export async function receiveLoop(
  fd: number,
  handler: UdpHandler,
  stop: Int32Array,
  ready: () => void = () => undefined,
): Promise<void> {
  const libc = await c.loadLibc();
  const memory = libc.allocate(BUFFERS + MESSAGES * BUFFER_BYTES);
  try {
    receiveInto(memory, libc, fd, handler, stop, ready);
  } finally {
    memory.free();
  }
}

function receiveInto(
  { address, bytes }: c.ForeignMemory,
  libc: c.Libc,
  fd: number,
  handler: UdpHandler,
  stop: Int32Array,
  ready: () => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  const source = new Uint32Array(4);
  /** Octets of each coalesced datagram in the message that is being delivered; 0: it is one. */
  let segmentBytes = 0;
  /** Datagrams that the newest system call brought. */
  let datagrams = 0;
  /** Wall-clock milliseconds: when the kernel took the message in (0: it does not tell), and now. In an array, where they need no box. */
  const times = new Float64Array(2);

  /** Writes the message headers: everything but the lengths stays as it is from here on. */
  function layOut(): void {
    for (let i = 0; i < MESSAGES; i++) {
      const header = i * HEADER_BYTES;
      view.setBigUint64(header + Msg.name, address + BigInt(NAMES + i * NAME_BYTES), true);
      view.setBigUint64(header + Msg.vector, address + BigInt(VECTORS + i * VECTOR_BYTES), true);
      view.setBigUint64(header + Msg.vectors, 1n, true);
      view.setBigUint64(header + Msg.control, address + BigInt(CONTROLS + i * CONTROL_BYTES), true);
      view.setBigUint64(VECTORS + i * VECTOR_BYTES, address + BigInt(BUFFERS + i * BUFFER_BYTES), true);
      view.setBigUint64(VECTORS + i * VECTOR_BYTES + 8, BigInt(BUFFER_BYTES), true);
      rearm(i);
    }
  }

  /** The kernel writes how much it used over how much there was. */
  function rearm(message: number): void {
    words[(message * HEADER_BYTES + Msg.nameLength) >>> 2] = NAME_BYTES;
    words[(message * HEADER_BYTES + Msg.controlLength) >>> 2] = CONTROL_BYTES;
  }

  function deliver(message: number): void {
    const start = BUFFERS + message * BUFFER_BYTES;
    const length = words[(message * HEADER_BYTES + Msg.length) >>> 2];
    readControl(message);
    addressWordsOf(view, NAMES + message * NAME_BYTES, source);
    rearm(message);
    const segment = segmentBytes === 0 ? length : segmentBytes;
    const waitedMs = times[STAMP] === 0 ? 0 : (times[NOW] - times[STAMP]) | 0;
    handler.message();
    // A datagram without octets is one all the same: it is received, and rejected.
    let o = 0;
    do {
      datagrams++;
      handler.receive(view, start + o, start + Math.min(o + segment, length), source, waitedMs);
      o += segment;
    } while (o < length);
  }

  function readControl(message: number): void {
    segmentBytes = 0;
    times[STAMP] = 0;
    const used = words[(message * HEADER_BYTES + Msg.controlLength) >>> 2];
    for (let o = 0; o + CMSG_HEADER_BYTES < used;) {
      const at = (CONTROLS + message * CONTROL_BYTES + o) >>> 2;
      const length = words[at];
      if (length < CMSG_HEADER_BYTES) return;
      const level = words[at + 2];
      const type = words[at + 3];
      if (level === c.SOL_UDP && type === c.UDP_GRO) segmentBytes = words[at + 4];
      // Seconds and nanoseconds are 64 bits each; the upper word of the seconds is 0 until 2106.
      else if (level === c.SOL_SOCKET && type === c.SO_TIMESTAMPNS) {
        times[STAMP] = words[at + 4] * 1000 + words[at + 6] / 1e6;
      }
      o += (length + 7) & ~7;
    }
  }

  layOut();
  ready();
  while (Atomics.load(stop, 0) === 0) {
    const count = libc.recvmmsg(fd, address, MESSAGES, c.MSG_WAITFORONE);
    if (count < 0) {
      const errno = libc.errno();
      if (errno === c.EAGAIN || errno === c.EINTR) continue;
      throw systemError(libc, 'recvmmsg');
    }
    times[NOW] = Date.now();
    datagrams = 0;
    handler.arrive();
    for (let message = 0; message < count; message++) deliver(message);
    handler.settle();
    // A few at a time: more will have come in a moment, and a system call for each costs more than all the rest. One alone is not waited on.
    if (datagrams > 1 && datagrams < FEW) Atomics.wait(stop, 0, 0, PAUSE_MS);
  }
}
