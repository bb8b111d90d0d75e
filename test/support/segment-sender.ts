// Sends many datagrams in one system call (UDP_SEGMENT), which loopback delivers coalesced to a socket that asked for it (UDP_GRO).

import * as koffi from 'koffi';

const [AF_INET, SOCK_DGRAM, SOL_UDP, UDP_SEGMENT] = [2, 2, 17, 103];

/** Sends datagrams to 127.0.0.1:`port`, one system call each, without a turn of the event loop in between. */
export function sender(port: number): (bytes: Uint8Array) => void {
  const library = koffi.load(null);
  const address = new Uint8Array(16);
  address.set([AF_INET, 0, port >>> 8, port & 0xff, 127, 0, 0, 1]);
  const fd = library.func('int socket(int, int, int)')(AF_INET, SOCK_DGRAM, 0) as number;
  library.func('int connect(int, void *, unsigned int)')(fd, address, address.length);
  const send = library.func('long send(int, void *, size_t, int)');
  return (bytes) => {
    if (Number(send(fd, bytes, bytes.length, 0)) < 0) throw new Error(`send: errno ${koffi.errno()}`);
  };
}

/** Sends `bytes` to 127.0.0.1:`port`, cut by the kernel into datagrams of `segmentBytes` (the last may be shorter). */
export function sendSegmented(bytes: Uint8Array, segmentBytes: number, port: number): void {
  const library = koffi.load(null);
  const socket = library.func('int socket(int, int, int)');
  const connect = library.func('int connect(int, void *, unsigned int)');
  const setsockopt = library.func('int setsockopt(int, int, int, void *, unsigned int)');
  const send = library.func('long send(int, void *, size_t, int)');
  const close = library.func('int close(int)');
  const fd = socket(AF_INET, SOCK_DGRAM, 0) as number;
  const address = new Uint8Array(16);
  address.set([AF_INET, 0, port >>> 8, port & 0xff, 127, 0, 0, 1]);
  const failed = (result: unknown): boolean => Number(result) < 0;
  if (failed(connect(fd, address, address.length))) throw new Error(`connect: errno ${koffi.errno()}`);
  if (failed(setsockopt(fd, SOL_UDP, UDP_SEGMENT, Int32Array.of(segmentBytes), 4)))
    throw new Error(`UDP_SEGMENT: errno ${koffi.errno()}`);
  if (failed(send(fd, bytes, bytes.length, 0))) throw new Error(`send: errno ${koffi.errno()}`);
  close(fd);
}
