// The part of a Kubernetes API that changes of workloads go through, over real HTTP: discovery, controllers with their pod templates, merge patches
// with resource versions, pods by address, Events. It checks what it is asked as the real one does, and tells lies when told to.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';

type Json = Record<string, any>;

const KINDS: Record<string, string> = { deployments: 'Deployment', statefulsets: 'StatefulSet', daemonsets: 'DaemonSet' };

export class WorkloadApi {
  /** By resource/namespace/name. */
  readonly objects = new Map<string, Json>();
  readonly events: Json[] = [];
  /** Answers every patch with this. */
  refuses: number | undefined;
  /** Takes patches, says so, and forgets what was in the template. */
  isDishonest = false;
  patches = 0;
  /** Before each patch is applied: somebody else may come first. */
  beforePatch: () => void = () => undefined;
  #version = 100;
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  async start(kubeconfig: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()));
    const { port } = this.#server.address() as AddressInfo;
    const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
    const context = { cluster: 'c', user: 'u' };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context }],
      'current-context': 'x',
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  put(resource: string, namespace: string, name: string, annotations: Json = {}): void {
    const metadata = { namespace, name, resourceVersion: String(++this.#version), annotations: {}, labels: {} };
    const spec = { template: { metadata: { annotations } } };
    this.objects.set(`${resource}/${namespace}/${name}`, { metadata, spec });
  }

  putPod(namespace: string, name: string, podIP: string): void {
    this.objects.set(`pods/${namespace}/${name}`, { metadata: { namespace, name, uid: `uid-${name}` }, status: { podIP } });
  }

  /** Annotations of a workload's pod template. */
  template(path: string): Json {
    return this.objects.get(path)!.spec.template.metadata.annotations;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://x');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const send = (code: number, body: Json): void => {
      response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const refuse = (code: number, reason: string): void =>
      send(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: reason });
    const resources = (groupVersion: string, of: [string, string][]): Json => ({
      kind: 'APIResourceList',
      groupVersion,
      resources: of.map(([name, kind]) => ({ name, kind, namespaced: true, verbs: ['get', 'list', 'patch', 'create'] })),
    });
    if (url.pathname === '/apis/apps/v1') return send(200, resources('apps/v1', Object.entries(KINDS)));
    const core: [string, string][] = [
      ['pods', 'Pod'],
      ['events', 'Event'],
    ];
    if (url.pathname === '/api/v1') return send(200, resources('v1', core));
    const [, namespace, resource, name] =
      /^\/(?:apis\/apps\/v1|api\/v1)\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    if (resource === undefined) return refuse(404, 'NotFound');
    if (request.method === 'POST') {
      const event = JSON.parse(Buffer.concat(chunks).toString()) as Json;
      this.events.push(event);
      return send(201, event);
    }
    const version = resource in KINDS ? { apiVersion: 'apps/v1', kind: KINDS[resource] } : { apiVersion: 'v1', kind: 'Pod' };
    if (name === undefined) {
      const items = this.#list(`${resource}/${namespace}/`, url.searchParams);
      return send(200, { ...version, kind: `${version.kind}List`, metadata: {}, items });
    }
    const object = this.objects.get(`${resource}/${namespace}/${name}`);
    if (object === undefined) return refuse(404, 'NotFound');
    if (request.method === 'GET') return send(200, { ...version, ...object });
    this.patches++;
    if (this.refuses !== undefined) return refuse(this.refuses, 'Forbidden');
    this.beforePatch();
    const patch = JSON.parse(Buffer.concat(chunks).toString()) as Json;
    if (patch.metadata.resourceVersion !== undefined && patch.metadata.resourceVersion !== object.metadata.resourceVersion) {
      return refuse(409, 'Conflict');
    }
    if (this.isDishonest) delete patch.spec;
    const { apiVersion: _apiVersion, kind: _kind, ...changes } = patch;
    merge(object, changes);
    object.metadata.resourceVersion = String(++this.#version);
    send(200, { ...version, ...object });
  }

  #list(prefix: string, query: URLSearchParams): Json[] {
    const [label, value] = (query.get('labelSelector') ?? '').split('=');
    const address = /^status\.podIP=(.*)$/.exec(query.get('fieldSelector') ?? '')?.[1];
    return [...this.objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([, object]) => object)
      .filter(
        ({ metadata }) => label === '' || (value === undefined ? label in metadata.labels : metadata.labels[label] === value),
      )
      .filter(({ status }) => address === undefined || status.podIP === address);
  }
}

/** JSON merge patch (RFC 7396). */
function merge(target: Json, patch: Json): void {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (typeof value === 'object' && !Array.isArray(value)) merge((target[key] ??= {}), value as Json);
    else target[key] = value;
  }
}
