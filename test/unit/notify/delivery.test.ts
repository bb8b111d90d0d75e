// The schedule around the sender: what is retried, when, in which order, how seldom the dead are asked, and what is given up in the open.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebhookDelivery } from '../../../alerts/notify/delivery.ts';
import { answerOf, type Delivery } from '../../../alerts/notify/webhook.ts';
import { openDatabase } from '../../../collector/store/database.ts';
import { Outbox } from '../../../collector/store/outbox.ts';

const NOW = new Date('2026-11-24T10:00:00Z');
const answer = (status: number, retryAfter?: string) => answerOf({ status, retryAfter, date: undefined }, NOW);

describe('answers', () => {
  const table: Record<Delivery['answer'], number[]> = {
    delivered: [200, 201, 202, 204, 299],
    retry: [408, 425, 429, 500, 502, 503, 504, 599],
    refused: [100, 301, 302, 307, 308, 400, 401, 403, 404, 409, 413, 418, 422],
    gone: [410],
  };
  const cases = Object.entries(table).flatMap(([kind, all]) => all.map((status) => [status, kind] as const));
  it.each(cases)('%i is %s', (status, kind) => expect(answer(status).answer).toBe(kind));

  it.each([
    ['5', 5000],
    ['0', 0],
    ['3600', 3_600_000],
    ['Tue, 24 Nov 2026 10:00:30 GMT', 30_000],
    ['Tue, 24 Nov 2026 09:00:00 GMT', 0],
    ['soon', undefined],
    ['-1', undefined],
    ['1e9', undefined],
    [undefined, undefined],
  ])('Retry-After %s, whatever the status', (header, ms) => {
    for (const status of table.retry) expect(answer(status, header).retryAfterMs).toBe(ms);
    for (const status of [...table.delivered, ...table.refused]) expect(answer(status, header).retryAfterMs).toBeUndefined();
  });
});

describe('delivery', () => {
  let outbox: Outbox;
  let delivery: WebhookDelivery;
  let sent: { endpoint: string; id: string; atMs: number }[];
  let answers: Record<string, Delivery[]>;
  let notices: string[];
  let settled: string[];
  let bodies: string[] = [];
  const put = (id: string, groupKey: string, endpoint = 'a', expiresUnixMs: number | null = null): void => {
    outbox.put({ id, endpoint, type: 't', groupKey, body: () => '{}', expiresUnixMs }, Date.now());
  };

  beforeEach(() => {
    vi.useFakeTimers({ now: 1_000_000, toFake: ['setInterval', 'clearInterval', 'setTimeout', 'setImmediate', 'Date'] });
    outbox = new Outbox(openDatabase(':memory:'));
    [sent, answers, notices, settled] = [[], {}, [], []];
    delivery = new WebhookDelivery({
      endpoints: ['a', 'b'].map((name) => ({ name, url: `https://${name}/`, secrets: [''] })),
      outbox,
      send: (endpoint, id, body) => {
        bodies.push(body);
        sent.push({ endpoint: endpoint.name, id, atMs: Date.now() - 1_000_000 });
        return Promise.resolve(answers[endpoint.name]?.shift() ?? { answer: 'delivered', detail: '' });
      },
      onSettled: ({ id }, isDelivered) => settled.push(`${id} ${isDelivered}`),
      now: () => Date.now(),
      notice: (message) => notices.push(message),
    });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await delivery.stop();
  });
  const retry = (n: number): Delivery[] => Array.from({ length: n }, () => ({ answer: 'retry', detail: 'HTTP 500' }));
  const at = (id: string): number[] => sent.filter((s) => s.id === id).map((s) => s.atMs);

  it('sends at once, and events of one incident one after the other', async () => {
    put('1', 'x');
    put('2', 'x');
    put('3', 'y');
    answers['a'] = retry(1);
    delivery.start();
    await vi.advanceTimersByTimeAsync(100);
    expect(sent.map((s) => s.id)).toEqual(['1', '3']);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(sent.map((s) => s.id)).toEqual(['1', '3', '1', '2']);
    expect(outbox.pending().size).toBe(0);
  });

  it('retries for about sixteen hours, ever more slowly, then gives up in the open', async () => {
    put('1', 'x');
    answers['a'] = retry(99);
    delivery.start();
    await vi.advanceTimersByTimeAsync(10 * 60e3);
    expect(at('1').length).toBeLessThanOrEqual(5);
    await vi.advanceTimersByTimeAsync(20 * 3600e3);
    const gaps = at('1')
      .slice(1)
      .map((ms, i) => ms - at('1')[i]);
    const steps = [5e3, 30e3, 120e3, 600e3, 1800e3, 3600e3, 7200e3, 14_400e3, 28_800e3];
    expect(gaps).toHaveLength(steps.length);
    gaps.forEach((gap, i) => {
      expect(gap).toBeGreaterThanOrEqual(steps[i] * 0.8);
      expect(gap).toBeLessThanOrEqual(steps[i] * 1.2 + 500);
    });
    expect(delivery.dead.get('a/attempts')).toBe(1);
    expect(notices.filter((n) => n.includes('did not take an event'))).toHaveLength(1);
  });

  it('a command is never sent after its expiry', async () => {
    answers['a'] = retry(99);
    delivery.start();
    put('1', 'x', 'a', 1_000_000 + 8_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Math.max(...at('1'))).toBeLessThan(8_000);
    expect(at('1').length).toBeGreaterThan(2);
    expect(delivery.dead.get('a/expired')).toBe(1);
  });

  it('a dead endpoint delays no other, and its return is said', async () => {
    answers['a'] = retry(2);
    for (let i = 0; i < 10; i++) {
      put(`a${i}`, `g${i}`, 'a');
      put(`b${i}`, `g${i}`, 'b');
    }
    delivery.start();
    await vi.advanceTimersByTimeAsync(100);
    expect(sent.filter((s) => s.endpoint === 'b')).toHaveLength(10);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(notices).toEqual(['webhook endpoint a did not take an event (HTTP 500)', 'webhook endpoint a answers again']);
  });

  it('Retry-After is honoured between one and two steps', async () => {
    put('1', 'x');
    answers['a'] = [
      { answer: 'retry', detail: '', retryAfterMs: 9_000 },
      { answer: 'retry', detail: '', retryAfterMs: 3600e3 },
    ];
    delivery.start();
    await vi.advanceTimersByTimeAsync(200_000);
    const [first, second, third] = at('1');
    expect(second - first).toBeGreaterThanOrEqual(9_000);
    expect(second - first).toBeLessThan(9_600);
    expect(third - second).toBeLessThanOrEqual(60_500);
  });

  const given = (kind: Delivery['answer'], n: number): Delivery[] =>
    Array.from({ length: n }, () => ({ answer: kind, detail: kind }));

  it('a dead endpoint is asked twelve times at most in ten minutes, however much waits for it, and all goes out when it is back', async () => {
    for (let i = 0; i < 200; i++) put(`${i}`, `g${i}`);
    answers['a'] = retry(12);
    delivery.start();
    await vi.advanceTimersByTimeAsync(600_000);
    const asked = sent.length;
    expect(asked).toBeGreaterThanOrEqual(8);
    expect(asked).toBeLessThanOrEqual(12);
    expect(delivery.openCircuits).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(outbox.pending().size).toBe(0);
    expect(delivery.openCircuits).toEqual([]);
    expect(new Set(sent.slice(-200).map(({ id }) => id)).size).toBeGreaterThan(180);
  });

  it('what a receiver says is wrong is tried three times, and goes; what comes after it says that something is missing', async () => {
    put('1', 'x');
    put('2', 'x');
    answers['a'] = given('refused', 3);
    bodies = [];
    delivery.start();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(at('1')).toHaveLength(3);
    expect(at('2')).toHaveLength(1);
    expect(bodies).toEqual(['{}', '{}', '{}', '{"missed":1}']);
    expect(outbox.deadLetters()).toMatchObject([{ id: '1', reason: 'refused' }]);
    expect(settled).toEqual(['1 false', '2 true']);
    expect(delivery.openCircuits).toEqual([]);
  });

  it('an endpoint that is gone gets nothing more until it is enabled', async () => {
    put('1', 'x');
    put('2', 'y');
    answers['a'] = given('gone', 2);
    delivery.start();
    await vi.advanceTimersByTimeAsync(1000);
    put('3', 'z');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(new Set(sent.map(({ id }) => id))).toEqual(new Set(['1', '2']));
    expect(outbox.deadLetters().map(({ id, reason }) => `${id} ${reason}`)).toEqual([
      '1 endpoint-disabled',
      '2 endpoint-disabled',
      '3 endpoint-disabled',
    ]);
    expect(() => delivery.enable('nobody')).toThrow('no endpoint is called nobody');
    delivery.enable('a');
    outbox.replay({}, Date.now());
    await vi.advanceTimersByTimeAsync(1000);
    expect(outbox.pending().size).toBe(0);
    expect(outbox.deadLetters()).toEqual([]);
  });

  it('a clock that is a minute off is said once', async () => {
    for (const id of ['1', '2']) put(id, id);
    answers['a'] = [120_000, 61_000].map((clockAheadMs) => ({ answer: 'delivered', detail: '', clockAheadMs }));
    delivery.start();
    await vi.advanceTimersByTimeAsync(1000);
    expect(notices).toEqual([
      'clock_skew_suspected: webhook endpoint a has a clock -120 s ahead of ours, and may refuse what we sign',
    ]);
  });

  it('what is left of an endpoint that is no longer configured is given up and counted', async () => {
    put('1', 'x', 'gone');
    delivery.start();
    await vi.advanceTimersByTimeAsync(100);
    expect(delivery.dead.get('gone/endpoint-gone')).toBe(1);
    expect(outbox.pending().size).toBe(0);
  });

  it('a store that fails costs an attempt, not the process', async () => {
    put('1', 'x');
    delivery.start();
    outbox.due = () => {
      throw new Error('database or disk is full');
    };
    await vi.advanceTimersByTimeAsync(1000);
    expect(notices.some((notice) => notice.includes('disk is full'))).toBe(true);
  });
});
