// Wiring only: configuration in, parts built in the order of the data, parts stopped in reverse order.

import { AlertmanagerHints } from '../alerts/notify/alertmanager-hints.ts';
import { planFor } from '../alerts/remediation/plan.ts';
import { renderPage } from '../dashboards/live/page.ts';
import { otherPorts, readSecrets, type Config } from './config.ts';
import { accountingOf, countsOf } from './accounting.ts';
import { Diagnosis, incidentBookOf } from './diagnosis.ts';
import type { IncidentBook } from './diagnose/incident.ts';
import type { Incident } from './event.ts';
import { HttpServer } from './expose/http.ts';
import { InfluxSink } from './expose/influx.ts';
import { OtlpSink } from './expose/otlp.ts';
import { PrometheusExposition } from './expose/prometheus.ts';
import { Identify } from './identify/identify.ts';
import { Inventory } from './identify/inventory.ts';
import { KubernetesOwners } from './identify/kubernetes.ts';
import { IngestSupervisor } from './ingest-supervisor.ts';
import { incidentPoints, queuePoints } from './influx-points.ts';
import { measure } from './measurements.ts';
import { PeakWaits } from './peak-waits.ts';
import { startSafeRemediation } from './safe-remediation.ts';
import { SeriesText } from './series-text.ts';
import { wideSeries, type Lane } from './series.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from './shared-state.ts';
import { Telling } from './telling.ts';
import { Timeline } from './timeline.ts';
import { VERSION } from './version.ts';
import { whyOf } from './why.ts';

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
  /** One for each ingest thread. */
  readonly lanes: readonly Diagnosis[];
  readonly incidents: IncidentBook;
  /** The kill switch of remediation, where there are rules of it. */
  stopRemediation(who: string): void;
  stop(): Promise<void>;
}

/** Builds and starts everything. Rejects with a plain sentence when a port cannot be had or a secret is missing. */
export async function startCollector(config: Config, log: Log, onIncident?: (incident: Incident) => void): Promise<Collector> {
  const stops: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    const faults: unknown[] = [];
    for (const stopPart of stops.splice(0).reverse()) {
      // One part that cannot be stopped keeps no other from it.
      try {
        await stopPart();
      } catch (error) {
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
  };
  try {
    const timeline = new Timeline(Date.now());
    const nowNs = (): number => (performance.timeOrigin + performance.now() - timeline.epochUnixMs) * 1e6;
    const secret = HashSecret.random();
    const ports = otherPorts(config.ingest);
    const states = Array.from({ length: config.ingest.threads + ports.length }, () =>
      SharedState.allocate(capacityOf(config), observeSettingsOf(config), secret),
    );

    const secrets = readSecrets(config);

    const kubernetes =
      config.kubernetes && new KubernetesOwners({ ...config.kubernetes, notice: log.notice, now: () => Date.now() });
    const identify = new Identify(kubernetes === undefined ? [] : [kubernetes.map], new Inventory(config.inventory));

    const telling = new Telling(config, secrets, log);
    stops.push(() => telling.stop());

    const otlp = config.otlp && (await OtlpSink.start(config.otlp.url, VERSION, log.notice));
    if (otlp !== undefined) stops.push(() => otlp.stop());

    const incidents = incidentBookOf(
      config,
      timeline,
      (incident) => planFor(incident, config.remediation),
      (incident, change) => {
        telling.onIncident(incident, change);
        if (change === 'closed') otlp?.export(incident);
        if (change !== 'updated') influx?.add(incidentPoints(incident, change));
        onIncident?.(incident);
      },
    );
    const ownerAt: Identify['ownerAt'] = (words, offset, unixMs) => identify.ownerAt(words, offset, unixMs);
    const diagnoses = states.map((state) => new Diagnosis({ state, config, timeline, ownerAt, incidents }));
    const lanes: Lane[] = diagnoses.map((diagnosis) => ({ diagnosis, peaks: new PeakWaits(diagnosis.state.queues) }));
    const influx =
      config.influx &&
      new InfluxSink({
        ...config.influx,
        password: secrets.influxPassword,
        intervalMs: config.influx.interval / 1e6,
        sample: () => queuePoints(lanes, Date.now()),
        notice: log.notice,
      });

    const ingest = await IngestSupervisor.start(
      {
        memories: states.slice(0, config.ingest.threads).map((state) => state.memory),
        others: ports.map((port, i) => ({ port, memory: states[config.ingest.threads + i].memory })),
        ingest: config.ingest,
        epochUnixMs: timeline.epochUnixMs,
      },
      log,
    );
    stops.push(() => ingest.stop());
    log.info(`listening for telemetry reports on UDP ${config.ingest.address} port ${ingest.ports.join(', ')}`);
    const threads = states.slice(0, config.ingest.threads).filter((state) => ingest.uses(state.memory)).length;
    judgeBuffer(config.ingest, ingest, threads, log);
    // The portable way has one thread for a port: the other lanes stay empty, and nobody asks them.
    for (let i = lanes.length - 1; i >= 0; i--) {
      if (ingest.uses(states[i].memory)) continue;
      diagnoses.splice(i, 1);
      lanes.splice(i, 1);
    }

    const { maxSeries: all, maxSeriesPerMetric: perMetric } = config.http;
    const series = new SeriesText(wideSeries(lanes, timeline), { all, perMetric });
    const exposition = new PrometheusExposition(
      measure(diagnoses, incidents, {
        kernelDrops: () => ingest.kernelDrops(),
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
        remediation: () => safe?.numbers(),
        telling,
        alertmanagerHints: () => hints.counts,
        ingestUp: () => ingest.isUp,
        ingestRestarts: () => ingest.restarts,
        receiveBuffer: () => ({
          asked: config.ingest.receiveBufferBytes,
          given: ingest.receiveBufferBytes,
          queued: ingest.queuedBytes(),
        }),
        series: () => ({ shown: series.series, folded: series.folded }),
      }),
      () => series.render(),
    );
    const safe =
      config.remediation.rules.length === 0
        ? undefined
        : await startSafeRemediation({
            config,
            lanes: diagnoses,
            incidents: () => incidents.list(),
            nowNs,
            telling,
            notice: log.notice,
          });
    if (safe !== undefined) stops.push(() => safe.close());
    const hints = new AlertmanagerHints({
      incidents: () => incidents.list(),
      link: (id, alert) => incidents.link(id, alert),
    });
    const notReady = (): string[] => (ingest.isUp ? [] : ['an ingest thread does not listen']);
    const http = await HttpServer.open({
      ...config.http,
      token: secrets.httpToken,
      incidents: () => incidents.list(),
      incident: (id) => incidents.get(id),
      metrics: () => exposition.render(),
      metricsContentType: exposition.contentType,
      accounting: () => accountingOf(diagnoses, ingest.kernelDrops()),
      why: (subject, at) => whyOf(subject, at, Date.now(), incidents.list(), pageStatus(diagnoses, [])),
      page: () =>
        renderPage(incidents.list(), { ...pageStatus(diagnoses, notReady()), ...(safe && { remediation: safe.page() }) }),
      notReady,
      remediation: safe,
      webhooks: {
        status: () => telling.status(),
        deadLetters: (filter) => telling.deadLetters(filter),
        replay: (filter, who) => {
          const replayed = telling.replay(filter);
          safe?.note('webhooks-replayed', { who, replayed });
          return replayed;
        },
        enable: (endpoint, who) => {
          telling.enable(endpoint);
          safe?.note('webhook-enabled', { who, endpoint });
        },
      },
      alertmanager: (body) => hints.take(body),
    });
    stops.push(() => http.close());

    await kubernetes?.start();
    if (kubernetes !== undefined) stops.push(() => kubernetes.stop());
    influx?.start();
    if (influx !== undefined) stops.push(() => influx.stop());
    telling.start();
    const fast = setInterval(() => {
      for (const diagnosis of diagnoses) diagnosis.poll(nowNs());
    }, POLL_MS);
    const slow = setInterval(() => {
      for (const { peaks } of lanes) peaks.advance(Date.now());
      safe?.turn(incidents.list());
    }, SLOW_MS);
    let isStopped = false;
    for (const diagnosis of diagnoses) void followEdges(diagnosis, nowNs, () => isStopped);
    stops.push(() => {
      isStopped = true;
      for (const { state } of diagnoses) state.edges.wake();
      clearInterval(fast);
      clearInterval(slow);
    });
    const stopRemediation = (who: string): void => safe?.stop(who);
    return { udpPort: ingest.port, httpPort: http.port, lanes: diagnoses, incidents, stopRemediation, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Looks at edges as soon as they come; the timer is for what comes of silence. */
async function followEdges(diagnosis: Diagnosis, nowNs: () => number, isStopped: () => boolean): Promise<void> {
  for (;;) {
    await diagnosis.state.edges.filled();
    if (isStopped()) return;
    diagnosis.poll(nowNs());
    // Others have their turn: a storm of edges must not starve the scrapes.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a small datagram costs in the kernel's buffer (a postcard of 120 octets: measured), and for how long the buffer should last. */
const DATAGRAM_BUFFER_BYTES = 832;
const BUFFER_SECONDS = 0.2;

/** Says when a receive buffer is smaller than was asked for, or lasts too short a time at the rate that was declared. */
function judgeBuffer(asked: Config['ingest'], { receiveBufferBytes: given }: IngestSupervisor, threads: number, log: Log): void {
  if (given < asked.receiveBufferBytes) {
    log.notice(
      `the kernel gave ${given} of ${asked.receiveBufferBytes} octets of receive buffer; raise net.core.rmem_max to hold longer bursts`,
    );
  }
  const seconds = (given * threads) / DATAGRAM_BUFFER_BYTES / asked.expectedRate;
  if (seconds < BUFFER_SECONDS) {
    log.notice(
      `the receive buffer of ${given} octets holds ${Math.round(seconds * 1000)} ms at ingest.expectedRate ` +
        `(${asked.expectedRate} datagrams a second); 200 ms ride out a pause: raise net.core.rmem_max and ingest.receiveBufferBytes`,
    );
  }
}

function pageStatus(lanes: readonly Diagnosis[], notReady: string[]) {
  const sum = (read: (state: SharedState) => number): number => lanes.reduce((total, { state }) => total + read(state), 0);
  return {
    reports: countsOf(lanes).of('reportsDecoded'),
    lost: sum(({ sources }) => sources.keys.usedRows().reduce((lost, row) => lost + sources.lost(row), 0)),
    nodes: sum(({ nodes }) => nodes.keys.totals[0]),
    queues: sum(({ queues }) => queues.keys.totals[0]),
    notReady,
  };
}
