// The whole story with real servers: the fabric injects congestion with a known culprit and victims; Prometheus scrapes it, the
// shipped rules fire, Alertmanager calls back, InfluxDB holds the series, and the signed webhook names the injected ones.

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseConfig } from '../../collector/config.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { startCollector, type Collector } from '../../collector/main.ts';
import { LiveFabric } from '../../p4-int/fabric/live.ts';
import { DASHBOARDS } from '../../dashboards/grafana/generate.ts';
import { freePorts, getJson, start, until, type Running } from '../support/processes.ts';
import { receive, type Receiver } from '../support/receiver.ts';
import { noisyBackup } from '../support/stories.ts';

const servers = inject('servers');
const { prometheus, alertmanager, influxd } = servers;
const SECRET = `whsec_${Buffer.from('a secret of the test, 32 octets.').toString('base64')}`;
const root = join(import.meta.dirname, '..', '..');

describe.skipIf(prometheus === undefined || alertmanager === undefined || influxd === undefined)('the whole story', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-e2e-'));
  const story = noisyBackup(1e9, 3e9);
  const running: Running[] = [];
  let collector: Collector;
  let fabric: LiveFabric;
  let hook: Receiver;
  let base: string;
  let prometheusUrl: string;
  let influxUrl: string;
  let alertmanagerUrl: string;

  beforeAll(async () => {
    process.env['HOPSCOPE_TEST_SECRET'] = SECRET;
    const [prometheusPort, alertmanagerPort, influxPort, influxRpcPort, httpPort] = await freePorts(5);
    prometheusUrl = `http://127.0.0.1:${prometheusPort}`;
    alertmanagerUrl = `http://127.0.0.1:${alertmanagerPort}`;
    influxUrl = `http://127.0.0.1:${influxPort}`;
    base = `http://127.0.0.1:${httpPort}`;
    hook = await receive();

    const influxConf = join(folder, 'influx.conf');
    writeFileSync(
      influxConf,
      `reporting-disabled = true\nbind-address = "127.0.0.1:${influxRpcPort}"\n` +
        ['meta', 'data']
          .map((d) => `[${d}]\n  dir = "${folder}/${d}"\n${d === 'data' ? `  wal-dir = "${folder}/wal"\n` : ''}`)
          .join('') +
        `[http]\n  bind-address = "127.0.0.1:${influxPort}"\n  log-enabled = false\n`,
    );
    running.push(start(influxd!, ['run', '-config', influxConf]));

    // The shipped files, with ports of this test and shorter intervals.
    const prometheusConfig = parse(await readText(join(root, 'compose/prometheus.yml')));
    prometheusConfig.global = { scrape_interval: '1s', evaluation_interval: '1s' };
    prometheusConfig.alerting.alertmanagers[0].static_configs[0].targets = [`127.0.0.1:${alertmanagerPort}`];
    prometheusConfig.scrape_configs[0].static_configs[0].targets = [`127.0.0.1:${httpPort}`];
    writeFileSync(join(folder, 'prometheus.yml'), stringify(prometheusConfig));
    copyFileSync(join(root, 'alerts/rules/hopscope.yaml'), join(folder, 'hopscope.yaml'));
    const alertmanagerConfig = parse(await readText(join(root, 'compose/alertmanager.yml')));
    alertmanagerConfig.receivers[0].webhook_configs[0].url = `${base}/api/v1/alertmanager`;
    Object.assign(alertmanagerConfig.route, { group_wait: '1s', group_interval: '5s' });
    writeFileSync(join(folder, 'alertmanager.yml'), stringify(alertmanagerConfig));
    running.push(
      start(
        alertmanager!,
        [
          `--config.file=${folder}/alertmanager.yml`,
          `--storage.path=${folder}/am`,
          `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
          '--cluster.listen-address=',
        ],
        { cwd: join(dirname(alertmanager!), '..', '..') },
      ),
      start(prometheus!, [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/tsdb`,
        `--web.listen-address=127.0.0.1:${prometheusPort}`,
        '--web.console.templates=/nonexistent',
        '--web.console.libraries=/nonexistent',
      ]),
    );
    await until('InfluxDB', () => fetch(`${influxUrl}/ping`).then((r) => r.ok));
    await until('Prometheus', () => fetch(`${prometheusUrl}/-/ready`).then((r) => r.ok));
    await until('Alertmanager', () => fetch(`${alertmanagerUrl}/-/ready`).then((r) => r.ok));

    const config = parseConfig(
      stringify({
        ...scenarioSettings(story.scenario),
        http: { port: httpPort },
        influx: { url: influxUrl, interval: '1s' },
        egress: { allow: [`127.0.0.1:${hook.port}`] },
        webhooks: [{ name: 'test', url: `${hook.url}/hook`, secret: { env: 'HOPSCOPE_TEST_SECRET' } }],
        store: { path: join(folder, 'hopscope.db') },
        remediation: {
          safety: join(folder, 'safety.db'),
          audit: join(folder, 'audit.jsonl'),
          killSwitch: join(folder, 'stopped'),
          rules: [{ name: 'watch', action: 'limit-egress', endpoint: 'test', value: '400M', namespaces: ['analytics'] }],
        },
      }),
    );
    collector = await startCollector(config, {
      info: () => undefined,
      notice: () => undefined,
      error: (message) => console.error(message),
    });
    fabric = new LiveFabric({ scenario: story.scenario, seed: 7, port: collector.udpPort });
    fabric.start();
  });

  afterAll(async () => {
    await fabric?.stop();
    await collector?.stop();
    await Promise.all(running.map((process) => process.stop('SIGKILL')));
    await hook?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const query = async (expr: string): Promise<any[]> =>
    (await getJson(`${prometheusUrl}/api/v1/query?query=${encodeURIComponent(expr)}`)).data.result;

  it('Prometheus has scraped the congestion of the injected queue with the injected culprit', async () => {
    const [culprit] = await until(
      'the culprit in Prometheus',
      async () => {
        const found = await query('fabric_incident_culprit_ratio > 0.3');
        return found.length > 0 && found;
      },
      60_000,
    );
    const [namespace, workload] = story.truth.culprit.split('/');
    expect(culprit.metric).toMatchObject({
      node: story.truth.node,
      interface: String(story.truth.interfaceId),
      namespace,
      workload,
    });
    expect(Number(culprit.value[1])).toBeGreaterThan(0.8);
  });

  it('the shipped rules fire, and Alertmanager calls back: the alert is linked to the incident', async () => {
    const alerts = await until(
      'FabricCongestion in Alertmanager',
      async () => {
        const found = (await getJson(`${alertmanagerUrl}/api/v2/alerts`)).filter(
          (a: any) => a.labels.alertname === 'FabricCongestion',
        );
        return found.length > 0 && found;
      },
      60_000,
    );
    expect(alerts[0].labels).toMatchObject({ node: story.truth.node, namespace: 'analytics', workload: 'backup' });
    const incident = await until(
      'an incident with its alert',
      async () => {
        const { incidents } = await getJson(`${base}/api/v1/incidents`);
        return incidents.find((candidate: any) =>
          candidate.alerts.some((a: any) => a.name === 'FabricCongestion' && a.status === 'firing'),
        );
      },
      60_000,
    );
    expect(incident.queue.node).toBe(story.truth.node);
  });

  it('only the injected queue has an incident, with the injected culprit and victims', async () => {
    const incidents = await until('an incident with both victims', async () => {
      const found = (await getJson(`${base}/api/v1/incidents`)).incidents;
      return found[0].victims.length >= story.truth.victims.length && found;
    });
    expect(incidents).toHaveLength(1);
    const [incident] = incidents;
    expect(incident.queue).toMatchObject({ nodeId: story.truth.nodeId, interfaceId: story.truth.interfaceId });
    expect(`${incident.culprits[0].namespace}/${incident.culprits[0].workload}`).toBe(story.truth.culprit);
    expect(incident.victims.map((v: any) => `${v.namespace}/${v.workload}`).sort()).toEqual(story.truth.victims.toSorted());
    expect(incident.confidence).toBeGreaterThan(0.8);
    expect(incident.plan).toMatchObject({
      action: 'limit-egress-rate',
      targets: [`workload/${story.truth.culprit}`],
    });
    const detail = await getJson(`${base}/api/v1/incidents/${incident.id}`);
    expect(detail.events.length).toBeGreaterThan(0);
    expect(detail.events[0].buildUpStart <= detail.events[0].start).toBe(true);
  });

  it('InfluxDB holds the series of the queue and the incident', async () => {
    const influx = async (q: string): Promise<any> =>
      getJson(`${influxUrl}/query?db=hopscope&q=${encodeURIComponent(q)}`).then((body) => body.results[0].series?.[0]);
    const queue = await until('queue points', () =>
      influx(
        `SELECT max(peak_wait_seconds) FROM fabric_queue WHERE node='${story.truth.node}' AND "interface"='${story.truth.interfaceId}'`,
      ),
    );
    expect(queue.values[0][1]).toBeGreaterThan(0.001);
    const incident = await until('incident points', () => influx(`SELECT severity, workload FROM fabric_incident`));
    expect(incident.values[0]).toContain('backup');
  });

  it('the webhook verifies with the official library and names culprit and victims', async () => {
    const request = await until('a webhook', () => hook.received[0]);
    const payload = new Webhook(SECRET).verify(request.body.toString(), request.headers as Record<string, string>) as any;
    expect(payload.type).toBe('incident.opened');
    const tampered = request.body.toString().replace('incident.opened', 'incident.closed');
    expect(() => new Webhook(SECRET).verify(tampered, request.headers as Record<string, string>)).toThrow();
    expect(`${payload.data.culprits[0].namespace}/${payload.data.culprits[0].workload}`).toBe(story.truth.culprit);
    expect(payload.data.id).toBe((await getJson(`${base}/api/v1/incidents`)).incidents[0].id);
  });

  it.each(Object.entries(DASHBOARDS))(
    'every query of the dashboard %s returns data',
    { timeout: 90_000 },
    async (_name, dashboard) => {
      const expressions = (dashboard().panels ?? []).flatMap((panel: any) =>
        (panel.targets ?? []).map((target: any) => target.expr),
      );
      expect(expressions.length).toBeGreaterThanOrEqual(14);
      for (const expr of expressions) {
        const result = await until(
          `data for ${expr}`,
          async () => {
            const found = await query(expr);
            return found.length > 0 && found;
          },
          60_000,
        );
        expect(result.length, expr).toBeGreaterThan(0);
      }
    },
  );

  it('no alert about ourselves fires, and the watchdog does', async () => {
    const { data } = await getJson(`${prometheusUrl}/api/v1/alerts`);
    const firing = data.alerts.filter((a: any) => a.state === 'firing').map((a: any) => a.labels.alertname);
    expect(firing).toContain('HopscopeWatchdog');
    expect(firing).not.toContain('CollectorUnhealthy');
    expect(firing).not.toContain('SwitchSilent');
    expect(firing).not.toContain('TelemetryLoss');
  });
});

async function readText(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return readFile(path, 'utf8');
}
