// UDP datagrams in, by Node's own socket: the portable way, one system call per datagram.

import { createSocket, type Socket } from 'node:dgram';
import { parseAddress, type UdpHandler, type UdpIngest, type UdpOptions } from './udp.ts';

const MAX_KNOWN_ADDRESSES = 4096;

export class DgramIngest implements UdpIngest {
  readonly #socket: Socket;
  readonly port: number;
  readonly receiveBufferBytes: number;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    this.receiveBufferBytes = socket.getRecvBufferSize();
  }

  /** Binds and starts to receive. Rejects when the address or port cannot be had. */
  static open(options: UdpOptions, handler: UdpHandler): Promise<DgramIngest> {
    const socket = createSocket({ type: options.address.includes(':') ? 'udp6' : 'udp4' });
    const known = new Map<string, Uint32Array>();
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(options.port, options.address, () => {
        socket.removeListener('error', reject);
        socket.setRecvBufferSize(options.receiveBufferBytes);
        socket.on('message', (bytes, { address }) => {
          let words = known.get(address);
          if (words === undefined) {
            if (known.size >= MAX_KNOWN_ADDRESSES) known.clear();
            words = wordsOf(address);
            known.set(address, words);
          }
          handler.arrive();
          handler.message();
          handler.receive(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, words, 0);
          handler.settle();
        });
        resolve(new DgramIngest(socket));
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

function wordsOf(text: string): Uint32Array {
  const view = new DataView(Uint8Array.from(parseAddress(text, true)).buffer);
  return Uint32Array.from({ length: 4 }, (_, word) => view.getUint32(word * 4));
}
