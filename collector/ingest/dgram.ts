// UDP datagrams in, by Node's own socket: the portable way. One datagram per call into `receive`, nothing kept.

import { createSocket, type Socket } from 'node:dgram';

/** Takes one payload: bytes, the sender's address as text. The bytes are only valid during the call. */
export type ReceiveDatagram = (bytes: Uint8Array, sourceAddress: string) => void;

export interface DgramOptions {
  address: string;
  port: number;
  /** Asked of the kernel; what it really gave is in `receiveBufferBytes`. */
  receiveBufferBytes: number;
}

export class DgramIngest {
  readonly #socket: Socket;
  readonly port: number;
  /** What the kernel gave. It caps requests at net.core.rmem_max without an error. */
  readonly receiveBufferBytes: number;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    this.receiveBufferBytes = socket.getRecvBufferSize();
  }

  /** Binds and starts to receive. Rejects when the address or port cannot be had. */
  static open(options: DgramOptions, receive: ReceiveDatagram): Promise<DgramIngest> {
    const socket = createSocket({ type: options.address.includes(':') ? 'udp6' : 'udp4' });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(options.port, options.address, () => {
        socket.removeListener('error', reject);
        socket.setRecvBufferSize(options.receiveBufferBytes);
        socket.on('message', (bytes, remote) => receive(bytes, remote.address));
        resolve(new DgramIngest(socket));
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
