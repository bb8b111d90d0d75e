// An HTTP receiver on loopback that keeps what it got, for webhooks and OTLP.

import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Receiver {
  port: number;
  url: string;
  received: Received[];
  close(): Promise<void>;
}

/** Starts a receiver; `answer` gives the status for each request, 200 by default; undefined closes the connection unanswered. */
export async function receive(answer: (request: Received) => number | undefined = () => 200, port = 0): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const entry = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) };
      received.push(entry);
      const status = answer(entry);
      if (status === undefined) request.socket.destroy();
      else
        response.writeHead(status, { 'content-type': 'application/json' }).end(status === 204 ? undefined : '{"results":[{}]}');
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
