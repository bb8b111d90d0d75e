// The HTTP side of a running collector: what is open, what needs the token, what a browser may be tricked into, what is escaped.

import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METRICS } from '../../collector/metric.ts';
import { escapeHtml, renderPage } from '../../dashboards/live/page.ts';
import { startTestCollector, type TestCollector } from '../support/collector.ts';
import { incidentOf } from '../support/incidents.ts';

const TOKEN = 'a token of the test';
let open: TestCollector;
let guarded: TestCollector;
beforeAll(async () => {
  process.env['HOPSCOPE_HTTP_TEST_TOKEN'] = TOKEN;
  open = await startTestCollector();
  guarded = await startTestCollector({ http: { port: 0, token: { env: 'HOPSCOPE_HTTP_TEST_TOKEN' } } });
});
afterAll(async () => {
  await open.stop();
  await guarded.stop();
});

const status = async (url: string, headers: Record<string, string> = {}): Promise<number> =>
  (await fetch(url, { headers })).status;
/** fetch sets the host by itself; a rebound name needs a request by hand. */
const statusAs = (port: number, host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/', headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .once('error', reject)
      .end();
  });

it('without a token serves this machine, by address or as localhost, and nobody else’s name', async () => {
  for (const path of ['/', '/metrics', '/api/v1/incidents', '/healthz', '/readyz'])
    expect(await status(open.base + path)).toBe(200);
  const { headers } = await fetch(open.base);
  expect(headers.get('content-security-policy')).toContain("default-src 'self'");
  expect(headers.get('content-security-policy')).not.toContain('upgrade-insecure-requests');
  expect(await statusAs(open.httpPort, `localhost:${open.httpPort}`)).toBe(200);
  expect(await statusAs(open.httpPort, '[::1]:1')).toBe(200);
  expect(await statusAs(open.httpPort, 'rebound.example.net')).toBe(421);
});

describe('with a token', () => {
  it('everything but /healthz needs it', async () => {
    expect(await status(`${guarded.base}/healthz`)).toBe(200);
    for (const path of ['/', '/metrics', '/api/v1/incidents', '/api/v1/incidents/x', '/readyz', '/nothing']) {
      expect(await status(guarded.base + path), path).toBe(401);
      expect(await status(guarded.base + path, { authorization: 'Bearer wrong' }), path).toBe(401);
    }
    const post = await fetch(`${guarded.base}/api/v1/alertmanager`, { method: 'POST', body: '{}' });
    expect(post.status).toBe(401);
  });

  it.each([
    ['Bearer', `Bearer ${TOKEN}`],
    ['bearer', `bearer ${TOKEN}`],
    ['a browser’s password', `Basic ${Buffer.from(`anybody:${TOKEN}`).toString('base64')}`],
  ])('%s opens', async (_name, authorization) => expect(await status(`${guarded.base}/metrics`, { authorization })).toBe(200));
});

it('answers what is not there, and what is asked wrongly, with one sentence', async () => {
  const answer = async (path: string): Promise<[number, any]> => {
    const response = await fetch(open.base + path);
    return [response.status, await response.json()];
  };
  expect(await answer('/api/v1/incidents/inc_nope')).toEqual([404, { error: 'no incident has the id inc_nope' }]);
  expect(await answer('/api/v1/incidents?state=ajar')).toEqual([400, { error: 'state must be open or closed' }]);
  expect(await answer('/nothing')).toEqual([404, { error: 'not found' }]);
  const post = (body: string) =>
    fetch(`${open.base}/api/v1/alertmanager`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  expect((await post('{')).status).toBe(400);
  expect(((await (await post('{"version":"3","alerts":[]}')).json()) as any).error).toMatch(
    /^not an Alertmanager webhook of version "4": version/,
  );
});

it('exposes every metric of the table with its help and type, and nothing by another name', async () => {
  const text = await (await fetch(`${open.base}/metrics`)).text();
  for (const { name, type, help } of METRICS) {
    expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`);
  }
  const ours = new Set(
    [...text.matchAll(/^(?:fabric|hopscope)_\w+/gm)].map(([name]) => name.replace(/_(bucket|sum|count)$/, '')),
  );
  const known = new Set<string>(METRICS.map((metric) => metric.name));
  for (const name of ours) expect(known).toContain(name);
});

it('asked why, answers in plain words, and says what is wrong with a bad question', async () => {
  const ask = async (query: string): Promise<[number, any]> => {
    const response = await fetch(`${open.base}/api/v1/why${query}`);
    return [response.status, await response.json()];
  };
  const [code, answer] = await ask('?subject=shop/cart');
  expect(code).toBe(200);
  expect(answer).toMatchObject({ subject: 'shop/cart', incidents: [] });
  expect(answer.text).toContain('no node reports to this collector');
  for (const query of ['', '?subject=cart', '?subject=shop/cart&at=yesterday']) {
    const [refused, { error }] = await ask(query);
    expect(refused).toBe(400);
    expect(error).toMatch(/NAMESPACE\/NAME|is no time/);
  }
});

it('the page escapes what comes from outside, and loads nothing', () => {
  const evil = '<script>alert("x")</script>';
  const incident = incidentOf();
  incident.culprits[0] = { ...incident.culprits[0], workload: evil };
  incident.victims[0] = { ...incident.victims[0], towards: evil };
  incident.place = { ...incident.place, node: evil, interface: '"><img src=x>' };
  incident.story = { text: evil, evidence: [], help: [evil] };
  const page = renderPage([incident], { reports: 1, lost: 0, nodes: 1, queues: 1, notReady: [evil] });
  const remediation = {
    stopped: false,
    rules: [{ name: evil, mode: 'approve', effectiveMode: 'recommend', promotion: evil, charter: [evil] }],
    leases: [{ id: evil, state: 'active', lines: [evil], until: evil }],
    approvals: [{ hash: evil, lines: [evil] }],
    budgets: { [evil]: 0.5 },
  };
  const withChanges = renderPage([incident], { reports: 1, lost: 0, nodes: 1, queues: 1, notReady: [evil], remediation });
  expect(withChanges).not.toContain('<script');
  expect(withChanges).toContain('1 in force');
  expect(withChanges).toContain('approve, now recommend');
  expect(withChanges).toContain('50 %');
  expect(page).not.toContain('<script');
  expect(page).not.toContain('<img');
  expect(page).not.toMatch(/(src|href)="?https?:/);
  expect(page).toContain(escapeHtml(evil));
});
