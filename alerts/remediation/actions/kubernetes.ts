// Leases on workloads of the cluster: `kubernetes.io/egress-bandwidth` on the pod template, or a proposal and an Event where only people may act.
// What a workload had before stands on the workload itself, with the lease's mark: it is undone without anything of ours.
// Rule: one lease on a workload; what somebody else has changed since is left to them.

import type { KubernetesObject, KubernetesObjectApi } from '@kubernetes/client-node';
import { rateText, type Lease, type WorkloadTarget } from '../change.ts';

/** The parts of the client that are used, so that it is loaded only where it is. */
export type ClusterClient = Pick<KubernetesObjectApi, 'create' | 'list' | 'patch' | 'read'>;

export interface KubernetesExecutorOptions {
  client: ClusterClient;
  /** Where leases may be: nothing else is asked for, and the Role allows nothing else. */
  namespaces: readonly string[];
  now: () => number;
}

/** Controllers whose pod template may be changed; that of a Job may not. */
const KINDS = ['Deployment', 'StatefulSet', 'DaemonSet'] as const;
const API = 'apps/v1';
const LEASE_LABEL = 'hopscope.io/lease';
const BEFORE = 'hopscope.io/lease-before';
const UNTIL = 'hopscope.io/lease-until';
const PROPOSAL = 'hopscope.io/proposal';
const BANDWIDTH = 'kubernetes.io/egress-bandwidth';
const MERGE_PATCH = 'application/merge-patch+json';
const TIMEOUT_MS = 4000;

type Marks = Record<string, string | null>;
interface Workload extends KubernetesObject {
  spec?: { template?: { metadata?: { annotations?: Record<string, string> } } };
}

/** What a lease has changed, as it stands in its mark. */
interface Before {
  /** The bandwidth that was there, null for none; not there in a proposal. */
  bandwidth?: string | null;
  /** What we have set it to. */
  set?: string;
}

export class KubernetesExecutor {
  readonly #options: KubernetesExecutorOptions;

  constructor(options: KubernetesExecutorOptions) {
    this.#options = options;
  }

  async apply(lease: Lease, remainingMs: number): Promise<void> {
    const { change, id } = lease;
    const until = new Date(this.#options.now() + remainingMs).toISOString();
    for (const target of change.targets) {
      if (!('workload' in target)) throw new Error('the cluster changes workloads, and nothing else');
      const found = await this.#find(target);
      const other = found.metadata?.labels?.[LEASE_LABEL];
      if (other !== undefined && other !== id) throw new Error(`${nameOf(found)} has a lease already: ${other}`);
      const marks: Marks = { [UNTIL]: until };
      if (change.action === 'propose') {
        marks[PROPOSAL] = `at most ${rateText(change.value)}: it harms others (${change.incidentId})`;
        marks[BEFORE] = JSON.stringify({} satisfies Before);
        await this.#patch(found, id, marks);
        await this.#tell(target, marks[PROPOSAL]);
        continue;
      }
      const bits = Math.round(change.value * 8);
      const set = bits % 1e6 === 0 ? `${bits / 1e6}M` : `${Math.round(bits / 1000)}k`;
      const before = other === id ? beforeOf(found) : { bandwidth: bandwidthOf(found) ?? null, set };
      marks[BEFORE] = JSON.stringify(before);
      const changed = await this.#patch(found, id, marks, set);
      if (bandwidthOf(changed) !== set) throw new Error(`${nameOf(found)} did not keep ${BANDWIDTH}: ${set}`);
    }
  }

  async remove(leaseId: string): Promise<void> {
    for (const found of await this.#marked(`${LEASE_LABEL}=${leaseId}`)) {
      const { bandwidth, set } = beforeOf(found);
      const marks: Marks = { [UNTIL]: null, [BEFORE]: null, [PROPOSAL]: null };
      // Somebody else's value stays.
      const isOurs = set !== undefined && bandwidthOf(found) === set;
      await this.#patch(found, null, marks, ...(isOurs ? [bandwidth ?? null] : []));
    }
    const left = await this.#marked(`${LEASE_LABEL}=${leaseId}`);
    if (left.length > 0) throw new Error(`${left.map(nameOf).join(', ')} still has the lease ${leaseId}`);
  }

  async held(): Promise<ReadonlyMap<string, number>> {
    const held = new Map<string, number>();
    for (const found of await this.#marked(LEASE_LABEL)) {
      const id = found.metadata?.labels?.[LEASE_LABEL] ?? '';
      const { set } = beforeOf(found);
      const isInForce = set === undefined || bandwidthOf(found) === set;
      held.set(id, (held.get(id) ?? 0) + Number(isInForce));
    }
    return held;
  }

  /** The controller of a workload's pods. */
  async #find({ namespace, workload }: WorkloadTarget): Promise<Workload> {
    if (!this.#options.namespaces.includes(namespace)) throw new Error(`${namespace} is none of the namespaces of the rules`);
    for (const kind of KINDS) {
      try {
        return await timely(
          this.#options.client.read<Workload>({ apiVersion: API, kind, metadata: { namespace, name: workload } }),
        );
      } catch (error) {
        if ((error as { code?: number }).code !== 404) throw sentenceOf(error);
      }
    }
    throw new Error(`${namespace}/${workload} is no ${KINDS.join(', ')}: its pods have no template that may be changed`);
  }

  async #marked(labelSelector: string): Promise<Workload[]> {
    const lists = this.#options.namespaces.flatMap((namespace) =>
      KINDS.map(async (kind) => {
        const { list } = this.#options.client;
        const asked = list.call(
          this.#options.client,
          API,
          kind,
          namespace,
          undefined,
          undefined,
          undefined,
          undefined,
          labelSelector,
        );
        const { items } = await timely(asked);
        // What comes in a list says neither kind nor version.
        return items.map((item) => ({ ...item, apiVersion: API, kind }));
      }),
    );
    return (await Promise.all(lists).catch((error: unknown) => Promise.reject(sentenceOf(error)))).flat();
  }

  /** Writes the marks, and the bandwidth where one is given; refused by the API where the workload has been changed since it was read. */
  async #patch(found: Workload, lease: string | null, marks: Marks, ...bandwidth: (string | null)[]): Promise<Workload> {
    const { namespace, name, resourceVersion } = found.metadata ?? {};
    const template =
      bandwidth.length === 0 ? {} : { spec: { template: { metadata: { annotations: { [BANDWIDTH]: bandwidth[0] } } } } };
    const patch = {
      apiVersion: API,
      kind: found.kind,
      metadata: { namespace, name, resourceVersion, labels: { [LEASE_LABEL]: lease }, annotations: marks },
      ...template,
    } as unknown as Workload;
    try {
      return await timely(this.#options.client.patch(patch, undefined, undefined, 'hopscope', undefined, MERGE_PATCH));
    } catch (error) {
      throw sentenceOf(error);
    }
  }

  /** An Event on each pod that sends; where none is found, the annotation must do. */
  async #tell({ namespace, addresses }: WorkloadTarget, message: string): Promise<void> {
    const { client, now } = this.#options;
    const time = new Date(now()).toISOString();
    for (const address of addresses) {
      const { items } = await timely(
        client.list('v1', 'Pod', namespace, undefined, undefined, undefined, `status.podIP=${address}`),
      );
      for (const { metadata } of items) {
        const event = {
          apiVersion: 'v1',
          kind: 'Event',
          metadata: { namespace, generateName: 'hopscope-' },
          involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name: metadata?.name, uid: metadata?.uid },
          reason: 'HarmsOthers',
          message,
          type: 'Warning',
          source: { component: 'hopscope' },
          firstTimestamp: time,
          lastTimestamp: time,
          count: 1,
        };
        await timely(client.create(event));
      }
    }
  }
}

function bandwidthOf({ spec }: Workload): string | undefined {
  return spec?.template?.metadata?.annotations?.[BANDWIDTH];
}

/** What stands in the mark; nothing where somebody has spoilt it. */
function beforeOf({ metadata }: Workload): Before {
  try {
    return JSON.parse(metadata?.annotations?.[BEFORE] ?? '{}') as Before;
  } catch {
    return {};
  }
}

function nameOf({ kind, metadata }: Workload): string {
  return `${kind} ${metadata?.namespace}/${metadata?.name}`;
}

/** The client has no time-out of its own. */
function timely<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the API of the cluster did not answer within ${TIMEOUT_MS / 1000} s`)),
      TIMEOUT_MS,
    );
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What the API says, without the headers and bodies that its errors carry. */
function sentenceOf(error: unknown): Error {
  const { code, message } = error as { code?: number; message?: string };
  if (typeof code !== 'number') return error as Error;
  const what = { 403: 'does not allow it: see the Role in docs/remediation.md', 409: 'says that it was changed meanwhile' }[code];
  return new Error(`the API of the cluster ${what ?? `refuses (HTTP ${code}, ${String(message).split('\n')[0].slice(0, 100)})`}`);
}
