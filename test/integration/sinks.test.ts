// The life of one incident as others see it: webhooks on open, severity change and close; an OTLP trace; InfluxDB away, back, and strict.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { OtlpSink } from '../../collector/expose/otlp.ts';
import { InfluxSink } from '../../collector/expose/influx.ts';
import { LiveFabric } from '../../p4-int/fabric/live.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { metricOf, startTestCollector, type TestCollector } from '../support/collector.ts';
import { incidentOf } from '../support/incidents.ts';
import { freePorts, getJson, until } from '../support/processes.ts';
import { receive, type Receiver } from '../support/receiver.ts';
import { noisyBackup } from '../support/stories.ts';

const SECRET = 'another secret of the test, long enough';

describe('one burst, from the first postcard to the last event', () => {
  const story = noisyBackup(0.5e9, 1000e9);
  let hook: Receiver;
  let otlp: Receiver;
  let collector: TestCollector;
  let fabric: LiveFabric;

  beforeAll(async () => {
    process.env['HOPSCOPE_SINKS_SECRET'] = SECRET;
    hook = await receive();
    otlp = await receive();
    collector = await startTestCollector({
      ...scenarioSettings(story.scenario),
      congestion: { incidentQuiet: '1500ms' },
      egress: { allow: [`127.0.0.1:${hook.port}`] },
      webhooks: [{ name: 'hook', url: `${hook.url}/in`, secret: { env: 'HOPSCOPE_SINKS_SECRET' }, minSeverity: 1 }],
      otlp: { url: otlp.url },
    });
    fabric = new LiveFabric({ scenario: story.scenario, seed: 5, port: collector.udpPort });
    fabric.start();
    await until('the incident to close', () => hook.received.some((r) => r.body.includes('incident.closed')), 20_000);
  });
  afterAll(async () => {
    await fabric.stop();
    await collector.stop();
    await hook.close();
    await otlp.close();
  });

  it('the webhook hears of opening, severity change and close, signed and in order', () => {
    const verifier = new Webhook(SECRET, { format: 'raw' });
    const events = hook.received.map(
      ({ body, headers }) => verifier.verify(body.toString(), headers as Record<string, string>) as any,
    );
    const types = events.map((event) => event.type);
    expect(types[0]).toBe('incident.opened');
    expect(types.at(-1)).toBe('incident.closed');
    expect(types.slice(1, -1).length).toBeGreaterThan(0);
    expect(new Set(types.slice(1, -1))).toEqual(new Set(['incident.severity-changed']));
    const severities = events.map((event) => event.data.severity);
    expect(severities).toEqual(severities.toSorted((a: number, b: number) => a - b));
    const { data } = events.at(-1);
    expect(data.state).toBe('closed');
    expect(`${data.culprits[0].namespace}/${data.culprits[0].workload}`).toBe(story.truth.culprit);
    expect(data.plan).toMatchObject({ action: 'limit-egress-rate', targets: ['workload/analytics/backup'] });
    expect(new Set(hook.received.map((r) => r.headers['webhook-id'])).size).toBe(events.length);
  });

  it('the trace holds the incident, its build-up, culprits and victims with their attributes', { timeout: 40_000 }, async () => {
    const body = await until('a trace', () => otlp.received.find((r) => r.path === '/v1/traces')?.body.toString(), 20_000);
    const { resourceSpans } = JSON.parse(body);
    const resource = Object.fromEntries(resourceSpans[0].resource.attributes.map((a: any) => [a.key, a.value.stringValue]));
    expect(resource['service.name']).toBe('hopscope');
    const spans: any[] = resourceSpans[0].scopeSpans.flatMap((scope: any) => scope.spans);
    const attributesOf = (span: any) =>
      Object.fromEntries(span.attributes.map((a: any) => [a.key, Object.values(a.value as object)[0]]));
    const root = spans.find((span) => span.name === 'incident');
    expect(attributesOf(root)).toMatchObject({
      'int.node.name': story.truth.node,
      'network.interface.name': String(story.truth.interfaceId),
      'int.incident.severity': 4,
    });
    expect(new Set(spans.map((span) => span.traceId)).size).toBe(1);
    const children = spans.filter((span) => span.parentSpanId === root.spanId);
    expect(children).toHaveLength(spans.length - 1);
    const named = (name: string): any[] => children.filter((span) => span.name === name).map(attributesOf);
    expect(named('build-up')[0]['int.queue.peak_wait_ns']).toBeGreaterThan(1e6);
    expect(named('culprit')[0]).toMatchObject({ 'k8s.namespace.name': 'analytics', 'int.workload.name': 'backup' });
    expect(
      named('victim')
        .map((a) => `${a['k8s.namespace.name']}/${a['int.workload.name']}`)
        .sort(),
    ).toEqual(story.truth.victims.toSorted());
    for (const span of spans) expect(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)).toBe(true);
  });
});

describe('what is away', () => {
  it('is said once in plain words and costs no postcard', { timeout: 30_000 }, async () => {
    const [nothing] = await freePorts(1);
    const story = noisyBackup(0.3e9, 0.5e9);
    const collector = await startTestCollector({
      ...scenarioSettings(story.scenario),
      influx: { url: `http://127.0.0.1:${nothing}`, interval: '200ms', maxQueuedPoints: 50 },
      otlp: { url: `http://127.0.0.1:${nothing}` },
    });
    const fabric = new LiveFabric({ scenario: story.scenario, seed: 5, port: collector.udpPort });
    fabric.start();
    await until('dropped points', async () => {
      const text = await (await fetch(`${collector.base}/metrics`)).text();
      return metricOf(text, 'hopscope_sink_points_total{sink="influx",result="dropped"}') > 50;
    });
    await fabric.stop();
    expect(collector.lanes[0].state.counters.read().of('reportsDecoded')).toBeGreaterThan(10_000);
    const { sources } = collector.lanes[0].state;
    expect(sources.keys.usedRows().map((row) => sources.lost(row))).toEqual(sources.keys.usedRows().map(() => 0));
    expect(collector.said.filter((line) => line.startsWith('InfluxDB'))).toEqual([
      expect.stringMatching(/does not take points \(.*ECONNREFUSED.*\); keeping the newest and retrying$/),
    ]);
    expect((await getJson(`${collector.base}/readyz`)).ready).toBe(true);
    const stoppedAt = Date.now();
    await collector.stop();
    expect(Date.now() - stoppedAt).toBeLessThan(4000);
  });

  it('OTLP: said when it goes and when it comes back', { timeout: 30_000 }, async () => {
    const notices: string[] = [];
    let status = 400;
    const server = await receive(() => status);
    const sink = await OtlpSink.start(server.url, '0', (message) => notices.push(message));
    sink.export(incidentOf());
    await until('a notice', () => notices.length === 1, 15_000);
    status = 200;
    sink.export(incidentOf());
    await until('a second notice', () => notices.length === 2, 15_000);
    await sink.stop();
    await server.close();
    expect(notices[0]).toContain('does not take traces');
    expect(notices[1]).toContain('takes traces again');
  });
});

describe('InfluxDB', () => {
  const point = (value: number) => ({ measurement: 'm', tags: { t: 'x' }, fields: { value }, timestamp: String(value) });
  async function sinkWith(answer: (path: string, body: string) => number) {
    const notices: string[] = [];
    const server = await receive((request) => answer(request.path, request.body.toString()));
    const sink = new InfluxSink({
      url: server.url,
      database: 'd',
      intervalMs: 1e9,
      maxQueuedPoints: 100_000,
      sample: () => [],
      notice: (message) => notices.push(message),
    });
    return { sink, server, notices };
  }

  it('points that the server will never take are dropped and counted, and hold up nobody', async () => {
    const { sink, server, notices } = await sinkWith((path, body) =>
      path.startsWith('/write') ? (body.includes('value=13') ? 400 : 204) : 200,
    );
    for (let i = 0; i < 3; i++) {
      sink.add([point(13)]);
      await sink.flush();
      sink.add([point(i)]);
      await sink.flush();
    }
    expect([sink.sent, sink.dropped, sink.queued]).toEqual([3, 3, 0]);
    expect(notices.filter((notice) => notice.includes('refuses points'))).toHaveLength(1);
    await server.close();
  });

  it('a database that was dropped is made again', async () => {
    let exists = true;
    const { sink, server } = await sinkWith((path, body) => {
      if (path.startsWith('/query')) exists ||= decodeURIComponent(`${path}${body}`).includes('create database');
      return path.startsWith('/query') ? 200 : exists ? 204 : 404;
    });
    sink.add([point(1)]);
    await sink.flush();
    exists = false;
    sink.add([point(2)]);
    await sink.flush();
    expect(sink.queued).toBe(1);
    await sink.flush();
    expect([sink.sent, sink.dropped, sink.queued]).toEqual([2, 0, 0]);
    await server.close();
  });

  it('any number of points at once', async () => {
    const { sink, server } = await sinkWith(() => 204);
    sink.add(Array.from({ length: 300_000 }, (_, i) => point(i)));
    expect([sink.queued, sink.dropped]).toEqual([100_000, 200_000]);
    await server.close();
  });
});
