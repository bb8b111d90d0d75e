// Pods as owners of addresses, from the Kubernetes API by list and watch. Loaded only when configured: the client is heavy.
// A pod's interval opens with its address and closes when it Succeeded or Failed, not when the object goes away: the API keeps
// an address long after the network gave it to another pod (kubernetes#109414). Host-network pods own nothing: the node does.
// Rule: never block and never guess. While the API is away, what is known stays, and its age is a metric.

import type * as k8s from '@kubernetes/client-node';
import type { Owner } from '../event.ts';
import { OwnerMap } from './owner-map.ts';

export interface KubernetesOptions {
  /** Path of a kubeconfig file; undefined: in-cluster or the default one. */
  kubeconfig?: string;
  /** Told once per change of reachability, in plain words. */
  notice: (message: string) => void;
  now(): number;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
const MAX_ADDRESSES = 65_536;
const RETENTION_MS = 24 * 3600 * 1000;

export class KubernetesOwners {
  readonly map = new OwnerMap(MAX_ADDRESSES, RETENTION_MS);
  readonly #options: KubernetesOptions;
  /** UID by namespace and name: a pod that was made anew under its old name is another owner. */
  readonly #uids = new Map<string, string>();
  #informer: k8s.ListWatch<k8s.V1Pod> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MIN_MS;
  #stopped = false;
  #reachable: boolean | undefined;
  /** Wall-clock time of the last word from the API, ms; 0 before the first. */
  lastHeardUnixMs = 0;

  constructor(options: KubernetesOptions) {
    this.#options = options;
  }

  /** Starts to list and watch. Resolves at once; an API that is away is retried for ever and never an error. */
  async start(): Promise<void> {
    const client = await import('@kubernetes/client-node');
    const config = new client.KubeConfig();
    if (this.#options.kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(this.#options.kubeconfig);
    const cluster = config.getCurrentCluster();
    if (cluster === null || (cluster.server.startsWith('http:') && !cluster.skipTLSVerify)) {
      // Without any configuration the client thinks of http://localhost:8080, and then refuses plain HTTP in words of its own.
      const file = this.#options.kubeconfig;
      const reason = file === undefined ? 'no kubeconfig and no service account was found' : `${file} names no server by https`;
      this.#options.notice(`Kubernetes is not watched: ${reason}; owners come from the inventory alone`);
      return;
    }
    const api = config.makeApiClient(client.CoreV1Api);
    const list = async (): Promise<k8s.V1PodList> => {
      const pods = await api.listPodForAllNamespaces();
      this.#heard();
      return pods;
    };
    const informer = new client.ListWatch<k8s.V1Pod>('/api/v1/pods', this.#listening(new client.Watch(config)), list, false);
    informer.on('add', (pod) => this.#learn(pod));
    informer.on('update', (pod) => this.#learn(pod));
    informer.on('delete', (pod) => this.#forget(pod));
    informer.on('error', (error: unknown) => this.#later(error));
    this.#informer = informer;
    this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#informer?.stop();
  }

  /**
   * The watch with bookmarks asked for, which tells of every answer: the informer's own "connect" comes before anybody answered,
   * and a cluster where nothing happens is not one that is away.
   */
  #listening(watch: k8s.Watch): k8s.Watch {
    const open = watch.watch.bind(watch);
    watch.watch = async (path, parameters, onEvent, done) => {
      try {
        const controller = await open(
          path,
          { ...parameters, allowWatchBookmarks: true },
          (phase, object, event) => {
            this.#heard();
            onEvent(phase, object, event);
          },
          done,
        );
        if (!controller.signal.aborted) this.#heard();
        return controller;
      } catch (error) {
        // Credentials that cannot be had, for one: nobody awaits this promise but the informer's own retry.
        done(error);
        return new AbortController();
      }
    };
    return watch;
  }

  #run(): void {
    this.#informer?.start().catch((error: unknown) => this.#later(error));
  }

  #later(error: unknown): void {
    if (this.#stopped || this.#retry !== undefined) return;
    if (this.#reachable !== false) {
      this.#reachable = false;
      const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
      this.#options.notice(`Kubernetes API is not reachable (${reason}); owners known so far stay in use, retrying`);
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#run();
    }, this.#retryMs);
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
  }

  #heard(): void {
    this.lastHeardUnixMs = this.#options.now();
    this.#retryMs = RETRY_MIN_MS;
    if (this.#reachable !== true) {
      this.#reachable = true;
      this.#options.notice('Kubernetes API is reachable: pods are watched');
    }
  }

  #learn(pod: k8s.V1Pod): void {
    const { status, spec, metadata } = pod;
    const uid = metadata?.uid;
    if (status === undefined || uid === undefined) return;
    const before = this.#uids.get(nameOf(pod));
    if (before !== undefined && before !== uid) this.map.release(before, startedUnixMs(pod) ?? this.#options.now());
    this.#uids.set(nameOf(pod), uid);
    if (status.hostIP !== undefined && spec?.nodeName !== undefined) {
      const owner: Owner = { kind: 'node', namespace: '', workload: spec.nodeName, confidence: 0.9 };
      this.map.claim(status.hostIP, `node/${spec.nodeName}`, owner, 0, this.#options.now());
    }
    if (spec?.hostNetwork === true) return;
    const addresses = addressesOf(pod);
    const startedMs = startedUnixMs(pod) ?? this.#options.now();
    for (const address of addresses) this.map.claim(address, uid, ownerOfPod(pod), startedMs, this.#options.now());
    // A new sandbox means new addresses; none at all for a moment means nothing (kubernetes#125370).
    if (addresses.length > 0) this.map.release(uid, this.#options.now(), addresses);
    if (status.phase === 'Succeeded' || status.phase === 'Failed') {
      this.map.release(uid, finishedUnixMs(pod) ?? this.#options.now());
    }
  }

  #forget(pod: k8s.V1Pod): void {
    this.#uids.delete(nameOf(pod));
    if (pod.metadata?.uid !== undefined) this.map.release(pod.metadata.uid, this.#options.now());
  }
}

function nameOf(pod: k8s.V1Pod): string {
  return `${pod.metadata?.namespace ?? ''}/${pod.metadata?.name ?? ''}`;
}

function addressesOf(pod: k8s.V1Pod): string[] {
  const listed = pod.status?.podIPs?.map((entry) => entry.ip).filter((ip) => ip !== '') ?? [];
  return listed.length > 0 ? listed : pod.status?.podIP ? [pod.status.podIP] : [];
}

/** When the first container started: the network was ready by then, and no traffic came before. Else when the node took the pod. */
function startedUnixMs(pod: k8s.V1Pod): number | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const starts = statuses.flatMap((c) => [
    unixMsOf(c.state?.running?.startedAt),
    unixMsOf(c.state?.terminated?.startedAt),
    unixMsOf(c.lastState?.terminated?.startedAt),
  ]);
  const known = starts.filter((ms) => ms !== undefined);
  return known.length > 0 ? Math.min(...known) : unixMsOf(pod.status?.startTime ?? pod.metadata?.creationTimestamp);
}

/** When the last container ended: that is when the network may give the address away. */
function finishedUnixMs(pod: k8s.V1Pod): number | undefined {
  const ends = (pod.status?.containerStatuses ?? []).map((c) => unixMsOf(c.state?.terminated?.finishedAt));
  const known = ends.filter((ms) => ms !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** The client makes Dates of what it lists and leaves text of what it watches, whatever its types say. */
function unixMsOf(date: Date | string | undefined): number | undefined {
  const ms = date === undefined ? Number.NaN : new Date(date).getTime();
  return Number.isNaN(ms) ? undefined : ms;
}

/** Label of a pod that names its slice. */
const SLICE_LABEL = 'hopscope.io/slice';

/** The workload above a pod: the owner reference, and for a ReplicaSet its Deployment (the name without the template hash). */
function ownerOfPod(pod: k8s.V1Pod): Owner {
  const namespace = pod.metadata?.namespace ?? 'default';
  const name = pod.metadata?.name ?? 'unknown';
  const controller = pod.metadata?.ownerReferences?.find((reference) => reference.controller === true);
  const hash = pod.metadata?.labels?.['pod-template-hash'];
  let workload = controller?.name ?? name;
  if (controller?.kind === 'ReplicaSet' && hash !== undefined && workload.endsWith(`-${hash}`)) {
    workload = workload.slice(0, -hash.length - 1);
  }
  const slice = pod.metadata?.labels?.[SLICE_LABEL];
  return { kind: 'pod', namespace, workload, pod: name, ...(slice === undefined ? {} : { slice }), confidence: 0.99 };
}
