// A small Kubernetes API over real HTTP: list and watch of pods with resource versions, bookmarks, 410 and dropped watches.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';

export interface Pod {
  metadata: { name: string; namespace: string; uid: string; resourceVersion?: string; [key: string]: unknown };
  spec: { nodeName?: string; hostNetwork?: boolean };
  status: { phase: string; podIP?: string; podIPs?: { ip: string }[]; hostIP?: string; [key: string]: unknown };
}

export class KubernetesApi {
  readonly #pods = new Map<string, Pod>();
  readonly #events: { version: number; type: string; object: object }[] = [];
  readonly #watches = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    if (url.pathname !== '/api/v1/pods') response.writeHead(404).end();
    else if (url.searchParams.get('watch') === 'true') this.#watch(url, response);
    else this.#list(response);
  });
  #version = 100;
  #oldest = 0;
  lists = 0;
  watches = 0;
  bookmarksAskedFor = false;

  /** Listens and writes a kubeconfig for itself to `kubeconfig`. */
  async start(kubeconfig: string, port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', () => resolve()));
    const bound = (this.#server.address() as AddressInfo).port;
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [
          {
            name: 'c', // The client speaks plain HTTP only when told not to verify.
            cluster: { server: `http://127.0.0.1:${bound}`, 'insecure-skip-tls-verify': true },
          },
        ],
        users: [{ name: 'u', user: {} }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    return bound;
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** Creates or changes a pod; watchers hear of it. */
  put(pod: Pod): void {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const type = this.#pods.has(key) ? 'MODIFIED' : 'ADDED';
    const stored = structuredClone(pod);
    stored.metadata.resourceVersion = String(++this.#version);
    this.#pods.set(key, stored);
    this.#tell(type, stored);
  }

  delete(namespace: string, name: string): void {
    const pod = this.#pods.get(`${namespace}/${name}`);
    if (pod === undefined) return;
    this.#pods.delete(`${namespace}/${name}`);
    pod.metadata.resourceVersion = String(++this.#version);
    this.#tell('DELETED', pod);
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(++this.#version), creationTimestamp: null };
    this.#tell('BOOKMARK', { kind: 'Pod', apiVersion: 'v1', metadata, spec: { containers: null }, status: {} });
  }

  /** Ends all watches, as an API server does every few minutes. */
  endWatches(): void {
    for (const response of this.#watches) response.end();
    this.#watches.clear();
  }

  /** Forgets history: a watch from before is answered with 410. */
  compact(): void {
    this.#oldest = ++this.#version;
    this.#events.length = 0;
  }

  #tell(type: string, object: object): void {
    this.#events.push({ version: this.#version, type, object: structuredClone(object) });
    for (const response of this.#watches) response.write(`${JSON.stringify({ type, object })}\n`);
  }

  #list(response: ServerResponse): void {
    this.lists++;
    response.writeHead(200, { 'content-type': 'application/json' });
    const metadata = { resourceVersion: String(this.#version) };
    response.end(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata, items: [...this.#pods.values()] }));
  }

  #watch(url: URL, response: ServerResponse): void {
    this.watches++;
    this.bookmarksAskedFor ||= url.searchParams.get('allowWatchBookmarks') === 'true';
    const from = Number(url.searchParams.get('resourceVersion') ?? 0);
    response.writeHead(200, { 'content-type': 'application/json' });
    if (from < this.#oldest) {
      const object = {
        kind: 'Status',
        apiVersion: 'v1',
        status: 'Failure',
        reason: 'Expired',
        code: 410,
        message: 'too old resource version',
      };
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return;
    }
    response.flushHeaders();
    for (const { version, type, object } of this.#events) {
      if (version > from) response.write(`${JSON.stringify({ type, object })}\n`);
    }
    this.#watches.add(response);
    response.once('close', () => this.#watches.delete(response));
  }
}
