// The few functions of Linux's C library that the fast socket needs, called through koffi, and memory that both sides see.
// Numbers are those of the Linux UAPI headers for 64-bit little-endian machines (asm-generic/socket.h, linux/in6.h, linux/udp.h).
// Rule: nothing outside this folder knows that there is a C library.

import type * as koffi from 'koffi';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
export const SOL_SOCKET = 1;
export const SOL_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_RCVTIMEO = 20;
export const SO_RCVBUFFORCE = 33;
/** Also the type of the control message: struct timespec, when the kernel took the datagram in. */
export const SO_TIMESTAMPNS = 35;
export const SO_ATTACH_REUSEPORT_CBPF = 51;
/** Nine 32-bit numbers about the socket's memory (linux/sock_diag.h). */
export const SO_MEMINFO = 55;
export const SK_MEMINFO_RMEM_ALLOC = 0;
export const SK_MEMINFO_DROPS = 8;
export const IPV6_V6ONLY = 26;
export const UDP_NO_CHECK6_RX = 102;
export const UDP_GRO = 104;
export const MSG_WAITFORONE = 0x10000;
export const EAGAIN = 11;
export const EINTR = 4;

/** Memory that lies where the C library can write and TypeScript can read it, until it is freed. */
export interface ForeignMemory {
  address: bigint;
  bytes: Uint8Array;
  /** Gives it back. Nobody may read `bytes` any more. */
  free(): void;
}

/** The C library's functions, with koffi's types taken off. Each returns as C does: -1 means that `errno` says why. */
export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint32Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array | Int32Array | BigInt64Array, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Int32Array | Uint32Array, length: Uint32Array): number;
  recvmmsg(fd: number, messages: bigint, count: number, flags: number): number;
  close(fd: number): number;
  errno(): number;
  allocate(bytes: number): ForeignMemory;
}

/** Binds the C library. Rejects where koffi or a 64-bit little-endian Linux is missing. */
export async function loadLibc(): Promise<Libc> {
  if (process.platform !== 'linux' || !['x64', 'arm64', 'riscv64'].includes(process.arch)) {
    throw new Error(`${process.platform} on ${process.arch} has no recvmmsg that is known`);
  }
  const ffi: typeof koffi = await import('koffi');
  const library = ffi.load(null);
  const recvmmsg = library.func('int recvmmsg(int, void *, unsigned int, int, void *)') as (
    fd: number,
    messages: bigint,
    count: number,
    flags: number,
    timeout: null,
  ) => number;
  return {
    socket: library.func('int socket(int, int, int)') as unknown as Libc['socket'],
    bind: library.func('int bind(int, void *, unsigned int)') as unknown as Libc['bind'],
    getsockname: library.func('int getsockname(int, void *, void *)') as unknown as Libc['getsockname'],
    setsockopt: library.func('int setsockopt(int, int, int, void *, unsigned int)') as unknown as Libc['setsockopt'],
    getsockopt: library.func('int getsockopt(int, int, int, void *, void *)') as unknown as Libc['getsockopt'],
    recvmmsg: (fd, messages, count, flags) => recvmmsg(fd, messages, count, flags, null),
    close: library.func('int close(int)') as unknown as Libc['close'],
    errno: () => ffi.errno(),
    allocate: (bytes) => {
      const pointer: unknown = ffi.alloc('uint8_t', bytes);
      return {
        address: ffi.address(pointer),
        bytes: new Uint8Array(ffi.view(pointer, bytes)),
        free: () => ffi.free(pointer),
      };
    },
  };
}
