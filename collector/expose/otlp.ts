// An incident as an OpenTelemetry trace: the incident is the root span; build-up, culprits and victims are spans below it.
// Exported over OTLP/HTTP by the OpenTelemetry Node SDK, when the incident closes. Loaded only when configured.
// Attribute names follow the semantic conventions where one exists (k8s.namespace.name), `int.*` elsewhere.

import type { Attributes, Tracer } from '@opentelemetry/api';
import type { NodeSDK } from '@opentelemetry/sdk-node';
import { isCongestion, type CongestionEvent, type Incident } from '../event.ts';

/** ExportResultCode.SUCCESS of @opentelemetry/core, which is not a dependency of ours. */
const EXPORTED = 0;

export class OtlpSink {
  readonly #sdk: NodeSDK;
  readonly #tracer: Tracer;
  readonly #api: typeof import('@opentelemetry/api');
  exported = 0;

  private constructor(sdk: NodeSDK, tracer: Tracer, api: typeof import('@opentelemetry/api')) {
    this.#sdk = sdk;
    this.#tracer = tracer;
    this.#api = api;
  }

  /** Starts the SDK with an exporter to `url` (the collector's base, like http://127.0.0.1:4318). `notice` hears of a change once. */
  static async start(url: string, version: string, notice: (message: string) => void): Promise<OtlpSink> {
    const [api, { NodeSDK }, { OTLPTraceExporter }] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-node'),
      import('@opentelemetry/exporter-trace-otlp-http'),
    ]);
    const quiet = (): void => undefined;
    api.diag.setLogger({ error: quiet, warn: quiet, info: quiet, debug: quiet, verbose: quiet }, api.DiagLogLevel.NONE);
    const exporter = new OTLPTraceExporter({ url: `${url.replace(/\/$/, '')}/v1/traces`, timeoutMillis: 5000 });
    // The exporter's own answer, once per change: the SDK's diagnostics repeat themselves and never tell of a recovery.
    const send = exporter.export.bind(exporter);
    let isTaken: boolean | undefined;
    exporter.export = (spans, done) =>
      send(spans, (result) => {
        const wasTaken = isTaken;
        isTaken = Number(result.code) === EXPORTED;
        if (!isTaken && wasTaken !== false) notice(`OTLP at ${url} does not take traces; they are dropped until it does`);
        if (isTaken && wasTaken === false) notice(`OTLP at ${url} takes traces again`);
        done(result);
      });
    const sdk = new NodeSDK({
      serviceName: 'hopscope',
      autoDetectResources: false,
      // The SDK batches (2,048 spans at most wait) and drops what does not fit: an endpoint that is away costs no memory.
      traceExporter: exporter,
      instrumentations: [],
    });
    sdk.start();
    return new OtlpSink(sdk, api.trace.getTracer('hopscope', version), api);
  }

  /** Exports a closed incident as one trace. */
  export(incident: Incident): void {
    const { trace, ROOT_CONTEXT } = this.#api;
    const end = incident.events.at(-1)?.lastSeen ?? incident.updatedAt;
    const root = this.#tracer.startSpan(
      'incident',
      { root: true, startTime: timeOf(incident.openedAt), attributes: incidentAttributes(incident) },
      ROOT_CONTEXT,
    );
    const below = trace.setSpan(ROOT_CONTEXT, root);
    const span = (name: string, from: string, to: string, attributes: Attributes): void => {
      this.#tracer.startSpan(name, { startTime: timeOf(from), attributes }, below).end(timeOf(to));
    };
    for (const event of incident.events.filter(isCongestion))
      span('build-up', event.buildUpStart, event.peakAt, eventAttributes(event));
    for (const culprit of incident.culprits) {
      span('culprit', incident.openedAt, end, {
        ...workloadAttributes(culprit),
        'int.culprit.build_up_share': culprit.buildUpShare,
        'int.culprit.build_up_bytes': culprit.buildUpBytes,
      });
    }
    for (const victim of incident.victims) {
      span('victim', incident.openedAt, end, {
        ...workloadAttributes(victim),
        'int.victim.excess_wait_p99_ns': victim.excessWaitP99Ns,
        'int.victim.budget_use': victim.budgetUse,
      });
    }
    root.end(timeOf(end));
    this.exported++;
  }

  /** Sends what is queued and stops; gives up after two seconds. */
  async stop(): Promise<void> {
    await Promise.race([
      this.#sdk.shutdown().catch(() => undefined),
      new Promise((resolve) => setTimeout(resolve, 2000).unref()),
    ]);
    // The SDK registers itself for the whole process and stays so when shut down: the next one would get its tracer.
    this.#api.trace.disable();
    this.#api.context.disable();
    this.#api.propagation.disable();
  }
}

/** [seconds, nanoseconds], the SDK's form of a time with nanoseconds. */
function timeOf(iso: string): [number, number] {
  const [whole, fraction = '0'] = iso.replace('Z', '').split('.');
  return [Date.parse(`${whole}Z`) / 1000, Number(fraction.padEnd(9, '0').slice(0, 9))];
}

function incidentAttributes(incident: Incident): Attributes {
  const { place } = incident;
  return {
    'int.incident.id': incident.id,
    'int.incident.type': incident.type,
    'int.incident.severity': incident.severity,
    'int.incident.confidence': incident.confidence,
    'int.incident.summary': incident.summary,
    'int.incident.story': incident.story.text,
    ...(place.node === undefined ? {} : { 'int.node.name': place.node, 'int.node.id': place.nodeId }),
    ...(place.interface === undefined ? {} : { 'network.interface.name': place.interface }),
    ...(place.queue === undefined ? {} : { 'int.queue.id': place.queue, 'int.queue.peak_wait_ns': incident.peakWaitNs }),
    ...(incident.evidence.reportLossRatio === null ? {} : { 'int.report.loss_ratio': incident.evidence.reportLossRatio }),
    'int.plan.action': incident.plan.action,
  };
}

function eventAttributes(event: CongestionEvent): Attributes {
  return {
    'int.event.id': event.id,
    'int.event.kind': event.kind,
    'int.event.duration_ns': event.durationNs,
    'int.queue.peak_wait_ns': event.peakWaitNs,
    ...(event.peakDepthBytes === null ? {} : { 'int.queue.peak_depth_bytes': event.peakDepthBytes }),
  };
}

function workloadAttributes(who: { namespace: string; workload: string; kind: string }): Attributes {
  return { 'k8s.namespace.name': who.namespace, 'int.workload.name': who.workload, 'int.workload.kind': who.kind };
}
