// Who suffered: workloads whose packets waited in the queue for longer than harms, over the whole event.
// Rule: the workload that leads the build-up is not its victim: its own wait is its own doing, and told apart. Every other one may be both.

import { ownerKeyOf, type Culprit, type Owner, type Victim } from '../event.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import type { Parties } from './parties.ts';

const MIN_HARM_NS = 25_000;
/** Of the budget: a wait as long as this harms. */
const HARMFUL_SHARE = 0.05;
const MIN_PACKETS = 8;
const MIN_SHARE = 0.01;
const MAX_VICTIMS = 16;
const MAX_PODS = 16;

interface Harm {
  owner: Owner;
  budgetNs: number;
  harmNs: number;
  waits: number[];
  packets: number;
  delayed: number;
  sumNs: number;
  towards: Map<Owner, number>;
  pods: Set<string>;
}

/** Who was harmed, and what the leading culprit did to itself. */
export interface Harmed {
  /** Worst first. */
  victims: Victim[];
  selfInflicted: Victim | null;
}

/** What is too long. */
export interface HarmLimits {
  /** What the fabric may cost a packet of an owner, ns. */
  budgetNsOf: (owner: Owner) => number;
  /** From which wait on a packet is harmed, ns; undefined: by its budget. */
  harmWaitNs?: number | undefined;
}

/** Victims among the senders in `log` from the build-up to the newest report of the event, worst first. */
export function victimsOf(
  log: ArrivalLog,
  window: { fromNodeNs: number; toNodeNs: number },
  lossRatio: number,
  { budgetNsOf, harmWaitNs }: HarmLimits,
  culprits: readonly Culprit[],
  { sender, senders, owner: ownerOf, keys }: Parties,
  receiverOf: (arrival: number) => Owner,
  isOwn: (arrival: number) => boolean = () => true,
): Harmed {
  const inverse = 1 / (1 - Math.min(lossRatio, 0.95));
  const harms = keys.map((_, one): Harm => {
    const owner = senders[ownerOf.indexOf(one)];
    const sums = { waits: [], packets: 0, delayed: 0, sumNs: 0, towards: new Map<Owner, number>(), pods: new Set<string>() };
    return { owner, ...limitsOf(budgetNsOf(owner), harmWaitNs), ...sums };
  });
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < window.fromNodeNs || log.enqueueNodeNs[i] > window.toNodeNs || !isOwn(i)) continue;
    const harm = harms[ownerOf[sender[i]]];
    const { pod } = senders[sender[i]];
    const packets = log.weight[i] * inverse;
    harm.packets += packets;
    if (log.waitNs[i] <= harm.harmNs) continue;
    harm.delayed += packets;
    if (pod !== undefined && harm.pods.size < MAX_PODS) harm.pods.add(pod);
    harm.sumNs += log.waitNs[i] * packets;
    harm.waits.push(log.waitNs[i]);
    const receiver = receiverOf(i);
    harm.towards.set(receiver, (harm.towards.get(receiver) ?? 0) + packets);
  }
  const isHarmed = (h: Harm): boolean => h.delayed >= MIN_PACKETS || (h.waits.length >= 2 && h.delayed >= h.packets * MIN_SHARE);
  const leader = culprits[0] === undefined ? -1 : keys.indexOf(ownerKeyOf(culprits[0]));
  const own = harms[leader] as Harm | undefined;
  const victims = harms
    .filter((harm) => harm !== own && isHarmed(harm))
    .sort((a, b) => b.sumNs - a.sumNs)
    .slice(0, MAX_VICTIMS)
    .map(victimOf);
  return {
    victims,
    selfInflicted: own !== undefined && isHarmed(own) ? victimOf(own) : null,
  };
}

function limitsOf(budgetNs: number, harmWaitNs: number | undefined): Pick<Harm, 'budgetNs' | 'harmNs'> {
  return { budgetNs, harmNs: harmWaitNs ?? Math.max(MIN_HARM_NS, budgetNs * HARMFUL_SHARE) };
}

function victimOf(harm: Harm): Victim {
  const waits = Float64Array.from(harm.waits).sort();
  const p99 = waits[Math.min(waits.length - 1, Math.floor(waits.length * 0.99))];
  const packetsTo = new Map<string, number>();
  for (const [{ namespace, workload }, packets] of harm.towards) {
    const name = `${namespace}/${workload}`;
    packetsTo.set(name, (packetsTo.get(name) ?? 0) + packets);
  }
  const [towards] = [...packetsTo].sort((a, b) => b[1] - a[1])[0];
  return {
    namespace: harm.owner.namespace,
    workload: harm.owner.workload,
    kind: harm.owner.kind,
    ...(harm.pods.size === 0 ? {} : { pods: [...harm.pods] }),
    towards,
    delayedPackets: Math.round(harm.delayed),
    excessWaitP99Ns: p99,
    excessWaitMaxNs: waits[waits.length - 1],
    excessWaitSumNs: harm.sumNs,
    budgetUse: p99 / harm.budgetNs,
  };
}
