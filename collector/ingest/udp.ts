// What the ways of receiving UDP have in common: how a datagram is handed on, what is asked of a socket, and addresses as words.

import ipaddr from 'ipaddr.js';

export interface UdpHandler {
  /** The datagrams that follow have arrived: called once per system call, before them. */
  arrive(): void;
  /** The datagrams that follow came as one message: one of them, or several of one sender that the kernel coalesced. */
  message(): void;
  /**
   * Takes one payload [start, end) of `b`, its sender's address as four big-endian words (IPv4 as ::ffff:a.b.c.d), and for how long it
   * lay in the socket's buffer (0 where the system does not tell). Bytes and address are only valid during the call.
   */
  receive(b: DataView, start: number, end: number, source: Uint32Array, waitedMs: number): void;
  /** No more is at hand of what arrived. */
  settle(): void;
}

export interface UdpOptions {
  address: string;
  port: number;
  /** Asked of the kernel; what it really gave is in `receiveBufferBytes`. */
  receiveBufferBytes: number;
}

export interface UdpIngest {
  readonly port: number;
  /** What the kernel gave. Without privileges it caps requests at net.core.rmem_max without an error. */
  readonly receiveBufferBytes: number;
}

/** Octets of an address in text form: 4, or 16 when `isV6`. */
export function parseAddress(text: string, isV6: boolean): number[] {
  const parsed = ipaddr.parse(text.includes('%') ? text.slice(0, text.indexOf('%')) : text);
  if (!isV6 || parsed.kind() === 'ipv6') return parsed.toByteArray();
  return (parsed as ipaddr.IPv4).toIPv4MappedAddress().toByteArray();
}

const AF_INET = 2;

/** Writes the address of a struct sockaddr_in or sockaddr_in6 at `o` as four words. */
export function addressWordsOf(b: DataView, o: number, words: Uint32Array): void {
  if (b.getUint8(o) === AF_INET) {
    words[0] = 0;
    words[1] = 0;
    words[2] = 0xffff;
    words[3] = b.getUint32(o + 4);
    return;
  }
  for (let word = 0; word < 4; word++) words[word] = b.getUint32(o + 8 + word * 4);
}
