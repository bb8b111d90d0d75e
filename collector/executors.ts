// Wiring of whoever carries changes out: switches of the switch file, the cluster, and endpoints that are asked to.

import { CommandExecutor } from '../alerts/remediation/actions/command.ts';
import { KubernetesExecutor, type ClusterClient } from '../alerts/remediation/actions/kubernetes.ts';
import { P4RuntimeDevice } from '../alerts/remediation/actions/p4runtime.ts';
import { isClusterAction, KUBERNETES } from '../alerts/remediation/change.ts';
import type { Executor } from '../alerts/remediation/executor.ts';
import type { EcmpMember } from '../alerts/remediation/propose.ts';
import { ipv4Text } from '../p4-int/runtime/address.ts';
import { SwitchClient } from '../p4-int/runtime/client.ts';
import { shippedProgram } from '../p4-int/runtime/shipped-program.ts';
import { groupMembersOf } from '../p4-int/runtime/wanted.ts';
import type { Config } from './config.ts';
import type { SafetyStore } from './store/safety.ts';
import { readSwitchFile } from './switch-file.ts';
import type { Telling } from './telling.ts';

/** The role of remediation among a switch's controllers; servers without roles take the highest election id. */
const ROLE = 'hopscope-remediation';
/** Election ids begin here: above those of configuration, which are small, and rising with every start. */
const ELECTION_BASE = 1_000_000n;
const CALL_TIMEOUT_MS = 4000;

export interface Executors {
  all: Map<string, Executor>;
  /** Addresses that nobody's traffic may be changed to or from. */
  protectedAddresses: string[];
  membersOf: (switchName: string) => readonly EcmpMember[];
  close: () => void;
}

/** By the number of the term, as the store counts it: higher than any that was used before, with room for the reaper's in between. */
export function electionIdOf(term: number): bigint {
  return ELECTION_BASE + 2n * BigInt(term);
}

/** Terms of leadership over switches, counted by whoever has the store. */
export interface Terms {
  electionId: bigint;
  /** A further term, where nobody else of ours has begun one since: the reaper has stepped in, and we are well again. */
  next?(): bigint | undefined;
}

/** A term may follow another after so long: who leads instead of us is not fought for every write. */
const TERM_MS = 60_000;

/** The terms of a main process. They rise with the seconds of the wall clock: a store that was lost must not keep us from what we left on switches. */
export function beginTerms(store: SafetyStore, unixMs: () => number): Terms {
  const begin = (): number => store.next('start', Math.floor(unixMs() / 1000));
  let term = begin();
  let begunMs = unixMs();
  return {
    electionId: electionIdOf(term),
    next: () => {
      if (store.last('start') !== term || Math.abs(unixMs() - begunMs) < TERM_MS) return undefined;
      [term, begunMs] = [begin(), unixMs()];
      return electionIdOf(term);
    },
  };
}

/** Everybody that the rules name, but for endpoints where there is no `telling`. Throws ConfigError where the switch file cannot be used. */
export async function executorsOf({ remediation, kubernetes }: Config, terms: Terms, telling?: Telling): Promise<Executors> {
  const specs = remediation.switches === undefined ? [] : readSwitchFile(remediation.switches);
  const all = new Map<string, Executor>();
  const clients: SwitchClient[] = [];
  for (const { target, program } of specs) {
    const clientFor = (electionId: bigint): SwitchClient => {
      const client = new SwitchClient({ ...target, role: ROLE, electionId, timeoutMs: CALL_TIMEOUT_MS });
      clients.push(client);
      return client;
    };
    const successor = (): SwitchClient | undefined => {
      const electionId = terms.next?.();
      return electionId === undefined ? undefined : clientFor(electionId);
    };
    all.set(target.name, new P4RuntimeDevice(clientFor(terms.electionId), shippedProgram(program), successor));
  }
  const forCluster = remediation.rules.filter(({ action, endpoint }) => endpoint === undefined && isClusterAction(action));
  if (forCluster.length > 0) {
    const namespaces = [...new Set(forCluster.flatMap((rule) => rule.namespaces))];
    const client = await clusterClient(remediation.kubeconfig ?? kubernetes?.kubeconfig);
    all.set(KUBERNETES, new KubernetesExecutor({ client, namespaces, now: () => Date.now() }));
  }
  if (telling !== undefined) {
    for (const { endpoint } of remediation.rules) {
      if (endpoint !== undefined) all.set(endpoint, commandExecutor(endpoint, telling));
    }
  }
  const reported = specs.flatMap(({ report }) => (report === undefined ? [] : [report.source.value, report.destination.value]));
  const gateways = specs.flatMap((spec) => spec.gateways.map(({ address }) => address.value));
  const members = new Map(specs.map((spec) => [spec.target.name, groupMembersOf(spec)]));
  return {
    all,
    protectedAddresses: [...reported, ...gateways].map(ipv4Text),
    membersOf: (switchName) => members.get(switchName) ?? [],
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

/** Loaded only where a rule needs it: the client is heavy. */
async function clusterClient(kubeconfig: string | undefined): Promise<ClusterClient> {
  const { KubeConfig, KubernetesObjectApi } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  return KubernetesObjectApi.makeApiClient(config);
}

function commandExecutor(endpoint: string, telling: Telling): CommandExecutor {
  return new CommandExecutor({
    endpoint,
    put: (event) => {
      telling.outbox.put(event, Date.now());
      telling.delivery.wake();
    },
    cancel: (id) => telling.outbox.giveUp(id, 'expired', Date.now()),
    onSettled: (listener) => telling.onSettled(({ id }, isDelivered) => listener(id, isDelivered)),
    now: () => Date.now(),
  });
}
