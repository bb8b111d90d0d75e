// The schedule around the sender: what is retried, when, in which order, and what is given up in the open.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { answerOf, type Delivery } from '../../../alerts/remediation/actions/webhook.ts';
import { WebhookDelivery } from '../../../alerts/remediation/delivery.ts';
import { Outbox } from '../../../collector/store/outbox.ts';

describe('answers', () => {
  it.each([
    [200, 'delivered'],
    [204, 'delivered'],
    [301, 'refused'],
    [400, 'refused'],
    [404, 'refused'],
    [408, 'retry'],
    [410, 'refused'],
    [425, 'retry'],
    [429, 'retry'],
    [500, 'retry'],
    [503, 'retry'],
  ])('%i is %s', (status, answer) => expect(answerOf(status, null).answer).toBe(answer));

  it.each([
    ['5', 5000],
    ['0', 0],
    ['soon', undefined],
    ['-1', undefined],
    [null, undefined],
  ])('Retry-After %s', (header, ms) => expect(answerOf(503, header).retryAfterMs).toBe(ms));
});

describe('delivery', () => {
  let outbox: Outbox;
  let delivery: WebhookDelivery;
  let sent: { endpoint: string; id: string; atMs: number }[];
  let answers: Record<string, Delivery[]>;
  let notices: string[];
  const put = (id: string, groupKey: string, endpoint = 'a', expiresUnixMs: number | null = null): void => {
    outbox.put({ id, endpoint, type: 't', groupKey, body: '{}', expiresUnixMs }, Date.now());
  };

  beforeEach(() => {
    vi.useFakeTimers({ now: 1_000_000, toFake: ['setInterval', 'clearInterval', 'setTimeout', 'setImmediate', 'Date'] });
    outbox = new Outbox(':memory:');
    [sent, answers, notices] = [[], {}, []];
    delivery = new WebhookDelivery({
      endpoints: ['a', 'b'].map((name) => ({ name, url: '', secret: '' })),
      outbox,
      send: (endpoint, id) => {
        sent.push({ endpoint: endpoint.name, id, atMs: Date.now() - 1_000_000 });
        return Promise.resolve(answers[endpoint.name]?.shift() ?? { answer: 'delivered', detail: '' });
      },
      onDelivered: () => undefined,
      now: () => Date.now(),
      notice: (message) => notices.push(message),
    });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await delivery.stop();
    outbox.close();
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
    await vi.advanceTimersByTimeAsync(30 * 3600e3);
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
    put('1', 'x', 'a', 1_000_000 + 8_000);
    answers['a'] = retry(99);
    delivery.start();
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
