// UDP sockets through Linux's own interface: opened and asked by the calm thread, which keeps them when a hot thread dies; what the
// kernel holds for them meanwhile is not lost. A hot thread receives from one by its number: see receive-loop.

import * as c from './libc.ts';
import { steeringProgram } from './steering.ts';
import { parseAddress, type UdpIngest, type UdpOptions } from './udp.ts';

/** A hot thread must look at its stop flag so often. */
const TIMEOUT_US = 100_000n;
const MEMINFO_WORDS = 9;

/** What the kernel says about a socket. */
export interface SocketMemory {
  /** Octets that wait in the receive buffer, the kernel's own bookkeeping included. */
  queuedBytes: number;
  /** Datagrams that found no room in it, modulo 2^32. */
  drops: number;
}

/** A bound socket, for one hot thread. */
export class UdpSocket implements UdpIngest {
  /** Its file descriptor. */
  readonly fd: number;
  readonly port: number;
  readonly receiveBufferBytes: number;
  readonly #libc: c.Libc;

  private constructor(libc: c.Libc, fd: number) {
    this.#libc = libc;
    this.fd = fd;
    this.port = portOf(libc, fd);
    const given = new Int32Array(1);
    if (libc.getsockopt(fd, c.SOL_SOCKET, c.SO_RCVBUF, given, Uint32Array.of(4)) < 0) throw systemError(libc, 'getsockopt');
    this.receiveBufferBytes = given[0];
  }

  /**
   * Binds `count` sockets to one port, of `total` that will share it (those of other processes included). Rejects with an error that has
   * a `code`, as Node's own sockets do, when the address or port cannot be had; without a `syscall` where the system lacks this way.
   */
  static async open(options: UdpOptions, count = 1, total = count): Promise<UdpSocket[]> {
    const libc = await c.loadLibc();
    const sockets: UdpSocket[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const port = sockets[0]?.port ?? options.port;
        sockets.push(UdpSocket.#bind(libc, { ...options, port }, total));
      }
      if (total > 1) steer(libc, sockets[0].fd, total);
      return sockets;
    } catch (error) {
      for (const socket of sockets) socket.close();
      throw error;
    }
  }

  static #bind(libc: c.Libc, options: UdpOptions, total: number): UdpSocket {
    const isV6 = options.address.includes(':');
    const fd = libc.socket(isV6 ? c.AF_INET6 : c.AF_INET, c.SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) throw systemError(libc, 'socket');
    try {
      configure(libc, fd, isV6, options.receiveBufferBytes, total > 1);
      const address = socketAddress(options, isV6);
      if (libc.bind(fd, address, address.length) < 0) throw systemError(libc, 'bind');
      return new UdpSocket(libc, fd);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** What the kernel says about it now. */
  memory(): SocketMemory {
    const words = new Uint32Array(MEMINFO_WORDS);
    if (this.#libc.getsockopt(this.fd, c.SOL_SOCKET, c.SO_MEMINFO, words, Uint32Array.of(words.byteLength)) < 0) {
      throw systemError(this.#libc, 'getsockopt SO_MEMINFO');
    }
    return { queuedBytes: words[c.SK_MEMINFO_RMEM_ALLOC], drops: words[c.SK_MEMINFO_DROPS] };
  }

  /** Closes it. No thread may receive from it any more. */
  close(): void {
    this.#libc.close(this.fd);
  }
}

/** Options of the socket. Only the time-out must be had: without it the thread could never be stopped. */
function configure(libc: c.Libc, fd: number, isV6: boolean, receiveBufferBytes: number, isShared: boolean): void {
  const one = Int32Array.of(1);
  if (libc.setsockopt(fd, c.SOL_SOCKET, c.SO_RCVTIMEO, BigInt64Array.of(0n, TIMEOUT_US), 16) < 0) {
    throw systemError(libc, 'setsockopt SO_RCVTIMEO');
  }
  libc.setsockopt(fd, c.SOL_SOCKET, c.SO_TIMESTAMPNS, one, 4);
  if (isShared) {
    if (libc.setsockopt(fd, c.SOL_SOCKET, c.SO_REUSEPORT, one, 4) < 0) throw systemError(libc, 'setsockopt SO_REUSEPORT');
    // Datagrams of one sender are coalesced before they are steered: those of a relay's many nodes would all follow the first.
  } else libc.setsockopt(fd, c.SOL_UDP, c.UDP_GRO, one, 4);
  if (isV6) {
    // Exporters leave the checksum out, which IPv6 refuses unless told otherwise; and IPv4 comes in on the same socket.
    libc.setsockopt(fd, c.SOL_UDP, c.UDP_NO_CHECK6_RX, one, 4);
    libc.setsockopt(fd, c.IPPROTO_IPV6, c.IPV6_V6ONLY, Int32Array.of(0), 4);
  }
  // The kernel doubles what it is asked for, to have room for its own bookkeeping.
  const asked = Int32Array.of(Math.ceil(receiveBufferBytes / 2));
  if (libc.setsockopt(fd, c.SOL_SOCKET, c.SO_RCVBUFFORCE, asked, 4) < 0) libc.setsockopt(fd, c.SOL_SOCKET, c.SO_RCVBUF, asked, 4);
}

/** Has the kernel choose among the sockets that share the port of `fd` by node. */
function steer(libc: c.Libc, fd: number, total: number): void {
  const program = steeringProgram(total);
  const filter = libc.allocate(program.length);
  filter.bytes.set(program);
  // struct sock_fprog: the number of instructions, and where they are.
  const description = new Uint8Array(16);
  const view = new DataView(description.buffer);
  view.setUint16(0, program.length / 8, true);
  view.setBigUint64(8, filter.address, true);
  if (libc.setsockopt(fd, c.SOL_SOCKET, c.SO_ATTACH_REUSEPORT_CBPF, description, description.length) < 0) {
    throw systemError(libc, 'setsockopt SO_ATTACH_REUSEPORT_CBPF');
  }
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

const CODES: Record<number, string> = { 13: 'EACCES', 98: 'EADDRINUSE', 99: 'EADDRNOTAVAIL' };

/** The C library's newest error as Node's own calls would have it. */
export function systemError(libc: c.Libc, call: string): NodeJS.ErrnoException {
  const errno = libc.errno();
  const code = CODES[errno] ?? `errno ${errno}`;
  return Object.assign(new Error(`${call} ${code}`), { code, errno, syscall: call });
}
