// Opens congestion on one new queue after another and waits for the webhook that says so: how long a user waits for news.

import { createSocket, type Socket } from 'node:dgram';
import { Postcards } from '../support/postcards.ts';
import { until } from '../support/processes.ts';
import { receive, type Receiver } from '../support/receiver.ts';

const NODE_ID = 77;
const FIRST_INTERFACE = 2000;
/** Far above the latency of an empty queue that the settings name. */
const LATENCY_NS = 200_000;

export class IncidentProbe {
  readonly #hook: Receiver;
  readonly #socket: Socket = createSocket('udp4');
  readonly #card = new Postcards(1, 128);
  readonly #sentMs: number[] = [];
  readonly #arrivedMs: Map<number, number>;

  private constructor(hook: Receiver, arrivedMs: Map<number, number>) {
    this.#hook = hook;
    this.#arrivedMs = arrivedMs;
  }

  static async start(): Promise<IncidentProbe> {
    const arrivedMs = new Map<number, number>();
    const hook = await receive((request) => {
      const atMs = performance.now();
      const event = JSON.parse(request.body.toString()) as { data: { queue: { interfaceId: number } | null } };
      if (event.data.queue === null) return;
      const incident = event.data.queue.interfaceId - FIRST_INTERFACE;
      if (!arrivedMs.has(incident)) arrivedMs.set(incident, atMs);
      return 200;
    });
    return new IncidentProbe(hook, arrivedMs);
  }

  /** What the collector must be told: a queue need not be learned, and every incident is told of. */
  settings() {
    return {
      ingest: { sources: [{ addresses: ['127.0.0.1'], emptyLatency: '1us' }] },
      egress: { allow: [`127.0.0.1:${this.#hook.port}`] },
      webhooks: [{ name: 'bench', url: this.#hook.url, secret: { env: 'HOPSCOPE_BENCH_SECRET' }, minSeverity: 1 }],
    };
  }

  /** Sends the postcard that opens congestion on the next queue. */
  shoot(port: number): void {
    const incident = this.#sentMs.length;
    this.#card.head(NODE_ID, incident);
    this.#card.report(0, 5, FIRST_INTERFACE + incident, incident * 40e6, LATENCY_NS);
    this.#sentMs.push(performance.now());
    this.#socket.send(Buffer.from(this.#card.bytes), port, '127.0.0.1');
  }

  /** Waits for all webhooks; milliseconds from the sending of each postcard to the request at the receiver's door. */
  async times(): Promise<number[]> {
    await until('all webhooks', () => this.#arrivedMs.size >= this.#sentMs.length);
    return this.#sentMs.map((sentMs, incident) => this.#arrivedMs.get(incident)! - sentMs);
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.#hook.close();
  }
}
