// Wiring only: configuration in, parts built in the order of the data, parts stopped in reverse order.

import { sendWebhook } from '../alerts/remediation/actions/webhook.ts';
import { linkAlerts } from '../alerts/remediation/alertmanager.ts';
import { WebhookDelivery } from '../alerts/remediation/delivery.ts';
import { planFor } from '../alerts/remediation/plan.ts';
import { Remediation } from '../alerts/remediation/remediation.ts';
import { renderPage } from '../dashboards/live/page.ts';
import { readSecrets, type Config } from './config.ts';
import { Diagnosis } from './diagnosis.ts';
import type { Incident } from './event.ts';
import { HttpServer } from './expose/http.ts';
import { InfluxSink } from './expose/influx.ts';
import { OtlpSink } from './expose/otlp.ts';
import { PrometheusExposition } from './expose/prometheus.ts';
import { Identify } from './identify/identify.ts';
import { Inventory } from './identify/inventory.ts';
import { KubernetesOwners } from './identify/kubernetes.ts';
import { IngestSupervisor } from './ingest-supervisor.ts';
import { kernelDropsOf } from './ingest/kernel-drops.ts';
import { incidentPoints, queuePoints } from './influx-points.ts';
import { measure, PeakWaits } from './measurements.ts';
import { capacityOf, SharedState, thresholdsOf } from './shared-state.ts';
import { Outbox } from './store/outbox.ts';
import { Timeline } from './timeline.ts';
import { VERSION } from './version.ts';

const POLL_MS = 20;
const SLOW_MS = 1000;

/** Where the parts say what happened: `notice` for something odd, `error` when data is lost or somebody must act. */
export interface Log {
  info: (message: string) => void;
  notice: (message: string) => void;
  error: (message: string) => void;
}

/** A collector that runs. */
export interface Collector {
  readonly udpPort: number;
  readonly httpPort: number;
  readonly state: SharedState;
  readonly diagnosis: Diagnosis;
  stop(): Promise<void>;
}

/** Builds and starts everything. Rejects with a plain sentence when a port cannot be had or a secret is missing. */
export async function startCollector(config: Config, log: Log, onIncident?: (incident: Incident) => void): Promise<Collector> {
  const stops: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const stopPart of stops.splice(0).reverse()) await stopPart();
  };
  try {
    const timeline = new Timeline(Date.now());
    const nowNs = (): number => (performance.timeOrigin + performance.now() - timeline.epochUnixMs) * 1e6;
    const state = new SharedState(capacityOf(config), thresholdsOf(config));

    const secrets = readSecrets(config);
    const endpoints = config.webhooks.map((webhook, i) => ({ ...webhook, secret: secrets.webhooks[i] }));

    const kubernetes =
      config.kubernetes && new KubernetesOwners({ ...config.kubernetes, notice: log.notice, now: () => Date.now() });
    const identify = new Identify(kubernetes === undefined ? [] : [kubernetes.map], new Inventory(config.inventory));

    const outbox = new Outbox(endpoints.length === 0 ? ':memory:' : config.store.path);
    stops.push(() => outbox.close());
    const delivery: WebhookDelivery = new WebhookDelivery({
      endpoints,
      outbox,
      send: sendWebhook,
      onDelivered: (event) => remediation.onDelivered(event),
      now: () => Date.now(),
      notice: log.notice,
    });
    stops.push(() => delivery.stop());
    let lostEvents = 0;
    const remediation = new Remediation({
      mode: config.remediation.mode,
      minSeverity: config.remediation.minSeverity,
      expiryNs: config.remediation.expiry,
      settleNs: config.remediation.settle,
      endpoints,
      outbox,
      readQueue: (incident) => {
        const row = diagnosis.names.queueRowOf(incident.queue);
        return row === undefined
          ? undefined
          : {
              atNs: nowNs(),
              congestedNs: state.queues.congestedNs[row],
              openings: state.queues.openCount[row],
              reports: state.queues.reports[row],
            };
      },
      nowUnixMs: () => Date.now(),
      onStored: (evicted) => {
        if (evicted !== undefined) delivery.countEvicted(evicted);
        delivery.wake();
      },
      onLost: (reason) => {
        lostEvents++;
        if (lostEvents === 1) log.error(`a webhook event could not be stored (${reason}); what is lost is counted`);
      },
    });

    const otlp = config.otlp && (await OtlpSink.start(config.otlp.url, VERSION, log.notice));
    if (otlp !== undefined) stops.push(() => otlp.stop());

    const diagnosis: Diagnosis = new Diagnosis({
      state,
      config,
      timeline,
      ownerAt: (words, offset, unixMs) => identify.ownerAt(words, offset, unixMs),
      planFor: (incident) => planFor(incident, config.remediation),
      onIncident: (incident, change) => {
        remediation.onIncident(incident, change);
        if (change === 'closed') otlp?.export(incident);
        if (change !== 'updated') influx?.add(incidentPoints(incident, change));
        onIncident?.(incident);
      },
    });
    const influx =
      config.influx &&
      new InfluxSink({
        ...config.influx,
        password: secrets.influxPassword,
        intervalMs: config.influx.interval / 1e6,
        sample: () => queuePoints(state, diagnosis, peaks, Date.now()),
        notice: log.notice,
      });

    const shared = { capacity: capacityOf(config), thresholds: thresholdsOf(config), buffer: state.buffer };
    const ingest = await IngestSupervisor.start({ ...shared, ingest: config.ingest, epochUnixMs: timeline.epochUnixMs }, log);
    stops.push(() => ingest.stop());
    log.info(`listening for telemetry reports on UDP ${config.ingest.address} port ${ingest.port}`);
    if (ingest.receiveBufferBytes < config.ingest.receiveBufferBytes) {
      log.notice(
        `the kernel gave ${ingest.receiveBufferBytes} of ${config.ingest.receiveBufferBytes} octets of receive buffer; ` +
          'raise net.core.rmem_max to hold longer bursts',
      );
    }

    const peaks = new PeakWaits(state);
    const kernelDrops = (): number => kernelDropsOf(ingest.port) ?? 0;
    const exposition = new PrometheusExposition(
      measure(state, diagnosis, timeline, peaks, {
        kernelDrops,
        identity: () => ({ ...identify.counts }),
        addresses: () => kubernetes?.map,
        kubernetesLastHeardUnixMs: () => kubernetes?.lastHeardUnixMs,
        sinkPoints: () =>
          influx === undefined
            ? []
            : [
                { labels: { sink: 'influx', result: 'sent' }, value: influx.sent },
                { labels: { sink: 'influx', result: 'dropped' }, value: influx.dropped },
              ],
        webhookPending: () => {
          const pending = outbox.pending();
          return endpoints.map(({ name }) => ({ labels: { endpoint: name }, value: pending.get(name) ?? 0 }));
        },
        webhookAttempts: () => pairs(delivery.attempts, 'result'),
        webhookDead: () => [
          ...pairs(delivery.dead, 'reason'),
          ...(lostEvents === 0 ? [] : [{ labels: { endpoint: 'any', reason: 'store-failed' }, value: lostEvents }]),
        ],
        ingestUp: () => ingest.isUp,
        ingestRestarts: () => ingest.restarts,
        receiveBuffer: () => ({ asked: config.ingest.receiveBufferBytes, given: ingest.receiveBufferBytes }),
      }),
    );
    const notReady = (): string[] => (ingest.isUp ? [] : ['the ingest thread does not listen']);
    const http = await HttpServer.open({
      ...config.http,
      token: secrets.httpToken,
      incidents: () => diagnosis.incidents.list(),
      incident: (id) => diagnosis.incidents.get(id),
      metrics: () => exposition.render(),
      metricsContentType: exposition.contentType,
      page: () => renderPage(diagnosis.incidents.list(), pageStatus(state, notReady())),
      notReady,
      alertmanager: (body) => linkAlerts(body, diagnosis.incidents.list(), (id, alert) => diagnosis.incidents.link(id, alert)),
    });
    stops.push(() => http.close());

    await kubernetes?.start();
    if (kubernetes !== undefined) stops.push(() => kubernetes.stop());
    influx?.start();
    if (influx !== undefined) stops.push(() => influx.stop());
    remediation.start();
    delivery.start();
    const fast = setInterval(() => diagnosis.poll(nowNs()), POLL_MS);
    const slow = setInterval(() => {
      peaks.advance(Date.now());
      remediation.advance(nowNs(), diagnosis.incidents.list());
    }, SLOW_MS);
    stops.push(() => {
      clearInterval(fast);
      clearInterval(slow);
    });
    return { udpPort: ingest.port, httpPort: http.port, state, diagnosis, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** `name/second` keys as samples. */
function pairs(counts: ReadonlyMap<string, number>, second: string) {
  return [...counts].map(([key, value]) => {
    const at = key.lastIndexOf('/');
    return { labels: { endpoint: key.slice(0, at), [second]: key.slice(at + 1) }, value };
  });
}

function pageStatus(state: SharedState, notReady: string[]) {
  const { sources } = state;
  const lost = sources.keys.usedRows().reduce((sum, row) => sum + sources.lost[row], 0);
  return {
    reports: state.counters.reportsDecoded[0],
    lost,
    nodes: state.nodes.keys.totals[0],
    queues: state.queues.keys.totals[0],
    notReady,
  };
}
