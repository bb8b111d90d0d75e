// UDP datagrams in, many per system call: blocking recvmmsg on a thread of its own, into memory that the kernel and we share.
//
//   recvmmsg ─▶ up to 64 messages ─▶ each one datagram, or several of one sender that the kernel coalesced (UDP_GRO) ─▶ receive
//
// Rule: a thread that is blocked here hears no message. It looks at the stop flag at least every 100 ms, and that is how it ends.

import type { UdpHandler, UdpIngest, UdpOptions } from './udp.ts';
import { addressWordsOf, parseAddress } from './udp.ts';
import * as c from './libc.ts';

const MESSAGES = 64;
const BUFFER_BYTES = 65_536;
const NAME_BYTES = 32;
const CONTROL_BYTES = 64;
/** struct mmsghdr: struct msghdr (56 octets) and the length received. */
const HEADER_BYTES = 64;
const VECTOR_BYTES = 16;
/** Offsets in struct msghdr. */
const Msg = { name: 0, nameLength: 8, vector: 16, vectors: 24, control: 32, controlLength: 40, length: 56 } as const;
/** struct cmsghdr: length (8 octets), level, type, then the data. */
const CMSG_HEADER_BYTES = 16;
const TIMEOUT_US = 100_000n;

/** The socket fast path. Throws where the system lacks it: see loadLibc. */
export class SocketIngest implements UdpIngest {
  readonly port: number;
  readonly receiveBufferBytes: number;
  readonly #libc: c.Libc;
  readonly #fd: number;
  readonly #memory: c.ForeignMemory;
  readonly #words: Uint32Array;
  readonly #handler: UdpHandler;
  readonly #source = new Uint32Array(4);

  private constructor(libc: c.Libc, fd: number, handler: UdpHandler) {
    this.#libc = libc;
    this.#fd = fd;
    this.#handler = handler;
    this.port = portOf(libc, fd);
    this.receiveBufferBytes = optionOf(libc, fd, c.SO_RCVBUF);
    this.#memory = libc.allocate(MESSAGES * (HEADER_BYTES + VECTOR_BYTES + NAME_BYTES + CONTROL_BYTES + BUFFER_BYTES));
    const { bytes } = this.#memory;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    this.#layOut();
  }

  /** Binds. Rejects with an error that has a `code`, as Node's own sockets do, when the address or port cannot be had. */
  static async open(options: UdpOptions, handler: UdpHandler): Promise<SocketIngest> {
    const libc = await c.loadLibc();
    const isV6 = options.address.includes(':');
    const fd = libc.socket(isV6 ? c.AF_INET6 : c.AF_INET, c.SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) throw systemError(libc, 'socket');
    try {
      configure(libc, fd, isV6, options.receiveBufferBytes);
      const address = socketAddress(options, isV6);
      if (libc.bind(fd, address, address.length) < 0) throw systemError(libc, 'bind');
      return new SocketIngest(libc, fd, handler);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** Receives until `stop[0]` is not zero, blocking the thread; then closes the socket. */
  run(stop: Int32Array): void {
    const { address } = this.#memory;
    while (Atomics.load(stop, 0) === 0) {
      const count = this.#libc.recvmmsg(this.#fd, address, MESSAGES, c.MSG_WAITFORONE);
      if (count < 0) {
        const errno = this.#libc.errno();
        if (errno === c.EAGAIN || errno === c.EINTR) continue;
        throw systemError(this.#libc, 'recvmmsg');
      }
      this.#handler.arrive();
      for (let message = 0; message < count; message++) this.#deliver(message);
    }
    this.#libc.close(this.#fd);
  }

  /** Writes the message headers: everything but the lengths stays as it is from here on. */
  #layOut(): void {
    const { address, bytes } = this.#memory;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < MESSAGES; i++) {
      const header = i * HEADER_BYTES;
      view.setBigUint64(header + Msg.name, address + BigInt(nameAt(i)), true);
      view.setBigUint64(header + Msg.vector, address + BigInt(vectorAt(i)), true);
      view.setBigUint64(header + Msg.vectors, 1n, true);
      view.setBigUint64(header + Msg.control, address + BigInt(controlAt(i)), true);
      view.setBigUint64(vectorAt(i), address + BigInt(bufferAt(i)), true);
      view.setBigUint64(vectorAt(i) + 8, BigInt(BUFFER_BYTES), true);
      this.#rearm(i);
    }
  }

  /** The kernel writes how much it used over how much there was. */
  #rearm(message: number): void {
    const header = (message * HEADER_BYTES) / 4;
    this.#words[header + Msg.nameLength / 4] = NAME_BYTES;
    this.#words[header + Msg.controlLength / 4] = CONTROL_BYTES;
  }

  #deliver(message: number): void {
    const { bytes } = this.#memory;
    const start = bufferAt(message);
    const length = this.#words[(message * HEADER_BYTES + Msg.length) / 4];
    const segment = this.#segmentBytes(message) || length;
    addressWordsOf(bytes, nameAt(message), this.#source);
    this.#rearm(message);
    // A datagram without octets is one all the same: it is received, and rejected.
    let o = 0;
    do {
      this.#handler.receive(bytes, start + o, start + Math.min(o + segment, length), this.#source);
      o += segment;
    } while (o < length);
  }

  /** Octets of each coalesced datagram (the last may be shorter), or 0 when the message is one datagram. */
  #segmentBytes(message: number): number {
    const used = this.#words[(message * HEADER_BYTES + Msg.controlLength) / 4];
    const control = controlAt(message) / 4;
    for (let o = 0; o + CMSG_HEADER_BYTES < used;) {
      const at = control + o / 4;
      const length = this.#words[at];
      if (length < CMSG_HEADER_BYTES) return 0;
      if (this.#words[at + 2] === c.SOL_UDP && this.#words[at + 3] === c.UDP_GRO) return this.#words[at + 4];
      o += (length + 7) & ~7;
    }
    return 0;
  }
}

function vectorAt(message: number): number {
  return MESSAGES * HEADER_BYTES + message * VECTOR_BYTES;
}

function nameAt(message: number): number {
  return MESSAGES * (HEADER_BYTES + VECTOR_BYTES) + message * NAME_BYTES;
}

function controlAt(message: number): number {
  return MESSAGES * (HEADER_BYTES + VECTOR_BYTES + NAME_BYTES) + message * CONTROL_BYTES;
}

function bufferAt(message: number): number {
  return MESSAGES * (HEADER_BYTES + VECTOR_BYTES + NAME_BYTES + CONTROL_BYTES) + message * BUFFER_BYTES;
}

/** Options of the socket. Only the time-out must be had: without it the thread could never be stopped. */
function configure(libc: c.Libc, fd: number, isV6: boolean, receiveBufferBytes: number): void {
  const one = Int32Array.of(1);
  if (libc.setsockopt(fd, c.SOL_SOCKET, c.SO_RCVTIMEO, BigInt64Array.of(0n, TIMEOUT_US), 16) < 0) {
    throw systemError(libc, 'setsockopt SO_RCVTIMEO');
  }
  libc.setsockopt(fd, c.SOL_UDP, c.UDP_GRO, one, 4);
  if (isV6) {
    // Exporters leave the checksum out, which IPv6 refuses unless told otherwise; and IPv4 comes in on the same socket.
    libc.setsockopt(fd, c.SOL_UDP, c.UDP_NO_CHECK6_RX, one, 4);
    libc.setsockopt(fd, c.IPPROTO_IPV6, c.IPV6_V6ONLY, Int32Array.of(0), 4);
  }
  // The kernel doubles what it is asked for, to have room for its own bookkeeping.
  const asked = Int32Array.of(Math.ceil(receiveBufferBytes / 2));
  if (libc.setsockopt(fd, c.SOL_SOCKET, c.SO_RCVBUFFORCE, asked, 4) < 0) libc.setsockopt(fd, c.SOL_SOCKET, c.SO_RCVBUF, asked, 4);
}

/** struct sockaddr_in or sockaddr_in6 of the address and port. */
function socketAddress(options: UdpOptions, isV6: boolean): Uint8Array {
  const address = new Uint8Array(isV6 ? 28 : 16);
  const view = new DataView(address.buffer);
  view.setUint16(0, isV6 ? c.AF_INET6 : c.AF_INET, true);
  view.setUint16(2, options.port, false);
  address.set(parseAddress(options.address, isV6), isV6 ? 8 : 4);
  return address;
}

function portOf(libc: c.Libc, fd: number): number {
  const address = new Uint8Array(28);
  if (libc.getsockname(fd, address, Uint32Array.of(address.length)) < 0) throw systemError(libc, 'getsockname');
  return (address[2] << 8) | address[3];
}

function optionOf(libc: c.Libc, fd: number, name: number): number {
  const value = new Int32Array(1);
  if (libc.getsockopt(fd, c.SOL_SOCKET, name, value, Uint32Array.of(4)) < 0) throw systemError(libc, 'getsockopt');
  return value[0];
}

const CODES: Record<number, string> = { 13: 'EACCES', 98: 'EADDRINUSE', 99: 'EADDRNOTAVAIL' };

function systemError(libc: c.Libc, call: string): NodeJS.ErrnoException {
  const errno = libc.errno();
  const code = CODES[errno] ?? `errno ${errno}`;
  return Object.assign(new Error(`${call} ${code}`), { code, errno, syscall: call });
}
