// Queues and incidents as InfluxDB points (line protocol 1.x) through the `influx` client: batched, bounded, dropped and counted.
// Rule: a database that is away costs points, never a postcard and never memory beyond the bound; it is said once, not per batch.

import { InfluxDB, type IPoint } from 'influx';

export interface InfluxOptions {
  url: string;
  database: string;
  username?: string;
  password?: string;
  intervalMs: number;
  maxQueuedPoints: number;
  /** Points of the moment, asked for once per interval. */
  sample(): IPoint[];
  notice: (message: string) => void;
}

const BATCH = 5000;
const MAX_SAID = 16;

export class InfluxSink {
  readonly #options: InfluxOptions;
  readonly #client: InfluxDB;
  #queue: IPoint[] = [];
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;
  #reachable: boolean | undefined;
  #databaseReady = false;
  readonly #said = new Set<string>();
  sent = 0;
  dropped = 0;

  constructor(options: InfluxOptions) {
    this.#options = options;
    const url = new URL(options.url);
    this.#client = new InfluxDB({
      host: url.hostname,
      port: Number(url.port || (url.protocol === 'https:' ? 443 : 8086)),
      protocol: url.protocol === 'https:' ? 'https' : 'http',
      database: options.database,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      options: { timeout: 5000 },
    });
  }

  get queued(): number {
    return this.#queue.length;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.add(this.#options.sample());
      void this.flush();
    }, this.#options.intervalMs);
  }

  /** Queues points; the oldest go when there are too many. */
  add(points: IPoint[]): void {
    for (const point of points) this.#queue.push(point);
    const excess = this.#queue.length - this.#options.maxQueuedPoints;
    if (excess > 0) {
      this.#queue.splice(0, excess);
      this.dropped += excess;
    }
  }

  /** Sends what is queued; keeps it when the database is away. One flush at a time. */
  flush(): Promise<void> {
    this.#flushing ??= this.#send().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    this.dropped += this.#queue.length;
    this.#queue = [];
  }

  async #send(): Promise<void> {
    try {
      if (!this.#databaseReady) {
        await this.#client.createDatabase(this.#options.database);
        this.#databaseReady = true;
      }
      while (this.#queue.length > 0) {
        const batch = this.#queue.splice(0, BATCH);
        try {
          await this.#client.writePoints(batch, { precision: 'n' });
          this.sent += batch.length;
        } catch (error) {
          if (isHopeless(error)) {
            // The server is there and will never take these points: keeping them would hold up all others for ever.
            this.dropped += batch.length;
            this.#sayOnce(`refuses points (${reasonOf(error)}); they are dropped`);
            continue;
          }
          this.#queue = batch.concat(this.#queue);
          throw error;
        }
      }
      if (this.#reachable === false) this.#options.notice(`InfluxDB at ${this.#options.url} answers again`);
      this.#reachable = true;
    } catch (error) {
      this.add([]);
      // The database may be gone: it is made again before the next batch.
      this.#databaseReady = false;
      if (this.#reachable !== false) {
        this.#options.notice(
          `InfluxDB at ${this.#options.url} does not take points (${reasonOf(error)}); keeping the newest and retrying`,
        );
      }
      this.#reachable = false;
    }
  }

  #sayOnce(what: string): void {
    if (this.#said.has(what)) return;
    if (this.#said.size < MAX_SAID) this.#said.add(what);
    this.#options.notice(`InfluxDB at ${this.#options.url} ${what}`);
  }
}

/** A 4xx about the points themselves; not about credentials, a missing database or haste. */
function isHopeless(error: unknown): boolean {
  const status = (error as { res?: { statusCode?: number } }).res?.statusCode ?? 0;
  return status >= 400 && status < 500 && ![401, 403, 404, 429].includes(status);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.split('\n')[0] : String(error);
}
