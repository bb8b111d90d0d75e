// Webhooks that must not arrive: forbidden addresses in every spelling, a name that changes its mind, redirects; and receivers that drip, flood
// or lie. A canary listens on loopback all the while, and nobody may come.

import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import dns from 'node:dns';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Destinations, type AllowedDestination } from '../../alerts/notify/destination.ts';
import { Poster } from '../../alerts/notify/post.ts';
import { signaturesOf, webhookSender, type Delivery } from '../../alerts/notify/webhook.ts';
import { receive, type Receiver } from '../support/receiver.ts';

const SECRET = 'a secret of the test, long enough';
const NOW = new Date();

function send(url: string, allow: AllowedDestination[] = [], signal = AbortSignal.timeout(20_000)): Promise<Delivery> {
  return webhookSender(new Poster(new Destinations(allow)))({ name: 'a', url, secrets: [SECRET] }, 'msg_1', '{}', NOW, signal);
}

let canary: Server;
let canaryPort: number;
let visits = 0;
beforeAll(async () => {
  canary = createTcpServer((socket) => {
    visits++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => canary.listen(0, '::', () => resolve()));
  canaryPort = (canary.address() as AddressInfo).port;
});
afterAll(() => canary.close());
beforeEach(() => (visits = 0));
afterEach(() => vi.restoreAllMocks());

describe('no connection is made', () => {
  it.each([
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '0177.0.0.1',
    '127.0.0.1.',
    '0.0.0.0',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:7f00:1]',
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[2001:0:7f00:1::]',
    '169.254.169.254',
    '[fd00:ec2::254]',
    '[fe80::1]',
    'localhost',
    'localhost.',
    'LOCALHOST',
    '10.0.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '100.64.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '192.0.2.1',
    '[ff02::1]',
    '[fec0::1]',
    '[100::1]',
    '[2001:db8::1]',
    '127.0.0.1%2f',
    '１２７.0.0.1',
    'ⓛocalhost',
  ])('to %s', async (host) => {
    const url = `http://${host}:${canaryPort}/`;
    if (!URL.canParse(url)) return;
    const { answer, detail } = await send(url);
    // Not every machine knows every way to say its own name.
    if (detail !== 'ENOTFOUND') expect(answer, detail).toBe('refused');
    expect(detail).toMatch(/egress\.allow|never sent to|ENOTFOUND/);
    expect(visits).toBe(0);
  });

  it('to the second address of a name that was public when it was first asked for', async () => {
    const asked: string[] = [];
    const answers = [['93.184.216.34'], ['127.0.0.1'], ['127.0.0.1', '169.254.169.254']];
    vi.spyOn(dns, 'lookup').mockImplementation(((name: string, _options: object, done: (error: null, all: object[]) => void) => {
      const addresses = answers[Math.min(asked.length, answers.length - 1)];
      asked.push(name);
      done(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    }) as unknown as typeof dns.lookup);
    // The first is public, and is not reached from here; what counts is where the next ones go.
    const url = `http://rebinding.example:${canaryPort}/`;
    await send(url, [], AbortSignal.timeout(500));
    for (const _ of [1, 2]) expect((await send(url)).answer).toBe('refused');
    expect(visits).toBe(0);
  });

  it('to where a redirect leads', async () => {
    const hook = createServer((_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${canaryPort}/` }).end();
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', () => resolve()));
    const { port } = hook.address() as AddressInfo;
    const all = [
      { network: '127.0.0.1', port },
      { network: '127.0.0.1', port: canaryPort },
    ];
    expect(await send(`http://127.0.0.1:${port}/`, all)).toMatchObject({ answer: 'refused', detail: 'HTTP 307' });
    expect(visits).toBe(0);
    hook.close();
  });
});

describe('a receiver that', () => {
  let server: Server;
  const talking = async (talk: (socket: Socket) => void): Promise<number> => {
    server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => talk(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return (server.address() as AddressInfo).port;
  };
  const sendTo = async (port: number): Promise<Delivery & { tookMs: number }> => {
    const began = performance.now();
    const delivery = await send(`http://127.0.0.1:${port}/`, [{ network: '127.0.0.1', port }]);
    return { ...delivery, tookMs: performance.now() - began };
  };
  afterEach(() => server.close());

  it('floods is cut off after what anybody reads', async () => {
    let written = 0;
    const port = await talking((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n');
      const flood = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) written += 65_536;
      };
      socket.on('drain', flood);
      flood();
    });
    expect((await sendTo(port)).answer).toBe('delivered');
    expect(written).toBeLessThan(64e6);
  });

  it('sends a bomb is not unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(50e6));
    const port = await talking((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`);
      socket.end(bomb);
    });
    const before = process.memoryUsage().rss;
    expect((await sendTo(port)).answer).toBe('delivered');
    expect(process.memoryUsage().rss - before).toBeLessThan(40e6);
  });

  it('has headers without an end is retried', async () => {
    const port = await talking((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const more = setInterval(() => {
        if (socket.destroyed) clearInterval(more);
        else socket.write(`x-${'a'.repeat(2000)}: b\r\n`);
      }, 1);
    });
    expect(await sendTo(port)).toMatchObject({ answer: 'retry', detail: 'HPE_HEADER_OVERFLOW' });
  });

  it.each([
    ['speaks nonsense', 'HELO there\r\n\r\n'],
    ['ends in the middle of its headers', 'HTTP/1.1 200 OK\r\nx-a'],
    ['says nothing', ''],
  ])('%s is retried', async (_what, text) => {
    const port = await talking((socket) => socket.end(text));
    expect((await sendTo(port)).answer).toBe('retry');
  });

  it('drips is given up after fifteen seconds', { timeout: 30_000 }, async () => {
    const port = await talking((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-a: ');
      const drip = setInterval(() => (socket.destroyed ? clearInterval(drip) : socket.write('b')), 200);
    });
    const { answer, tookMs } = await sendTo(port);
    expect(answer).toBe('retry');
    expect(tookMs).toBeLessThan(17_000);
  });
});

describe('the signature', () => {
  let hook: Receiver;
  beforeAll(async () => (hook = await receive()));
  afterAll(() => hook.close());

  it('is accepted by the official verifier, with the old secret and the new; and refused when one bit is another', async () => {
    const [current, previous] = [`whsec_${Buffer.alloc(32, 7).toString('base64')}`, SECRET];
    const body = JSON.stringify({ type: 'incident.opened', data: { name: 'Ångström „x“' } });
    const endpoint = { name: 'a', url: hook.url, secrets: [current, previous] };
    const sender = webhookSender(new Poster(new Destinations([{ network: '127.0.0.1', port: hook.port }])));
    expect(await sender(endpoint, 'msg_1', body, new Date(), AbortSignal.timeout(5000))).toMatchObject({ answer: 'delivered' });
    const { headers, body: bytes } = hook.received[0];
    const signed = headers as Record<string, string>;
    const verifiers = [new Webhook(current), new Webhook(previous, { format: 'raw' })];
    for (const verifier of verifiers) expect(verifier.verify(bytes.toString(), signed)).toEqual(JSON.parse(body));
    expect(() => new Webhook('another secret, also long enough', { format: 'raw' }).verify(bytes.toString(), signed)).toThrow();
    let refused = 0;
    const flipped = (text: string, bit: number): string => {
      const octets = Buffer.from(text);
      octets[bit >> 3] ^= 1 << (bit & 7);
      return octets.toString('latin1');
    };
    const tries: [string, (bit: number) => [string, Record<string, string>]][] = [
      [bytes.toString('latin1'), (bit) => [flipped(bytes.toString('latin1'), bit), signed]],
      [signed['webhook-id'], (bit) => [bytes.toString(), { ...signed, 'webhook-id': flipped(signed['webhook-id'], bit) }]],
      [
        signed['webhook-timestamp'],
        (bit) => [bytes.toString(), { ...signed, 'webhook-timestamp': flipped(signed['webhook-timestamp'], bit) }],
      ],
    ];
    let all = 0;
    for (const [text, change] of tries) {
      for (let bit = 0; bit < 8 * Buffer.byteLength(text); bit++) {
        const [changedBody, changedHeaders] = change(bit);
        all++;
        try {
          verifiers[0].verify(changedBody, changedHeaders);
        } catch {
          refused++;
        }
      }
    }
    expect(all).toBeGreaterThan(500);
    expect(refused).toBe(all);
  });

  it('of a rotation is never one that nobody knows: old, both, new', () => {
    const [a, b] = [`whsec_${Buffer.alloc(32, 1).toString('base64')}`, `whsec_${Buffer.alloc(32, 2).toString('base64')}`];
    const phases = [[a], [b, a], [b]];
    // A receiver changes over at any time while both sign.
    const knows = [a, a, b];
    for (let i = 0; i < 300; i++) {
      const phase = Math.floor(i / 100);
      const known = phase === 1 && i % 2 === 0 ? b : knows[phase];
      const now = new Date();
      const signature = signaturesOf(phases[phase], `msg_${i}`, '{}', now);
      const headers = {
        'webhook-id': `msg_${i}`,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': signature,
      };
      expect(new Webhook(known).verify('{}', headers)).toEqual({});
    }
  });
});
