// Who sends to whom: the pods of two workloads, paired, each pair while both pods live.

import type { FlowParts } from '../flow.ts';
import type { Scenario, TrafficSpec, WorkloadSpec } from '../scenario.ts';

type Pod = WorkloadSpec['pods'][number];

/** Two pods, and what their packets have in common. */
export interface Pair {
  /** Distinct among the pairs of one traffic: names its random streams and its ports. */
  index: number;
  from: Pod;
  to: Pod;
  startPs: number;
  untilPs: number;
  /** From sender to receiver, and back. */
  forth: Omit<FlowParts, 'index' | 'protocol' | 'sourcePort' | 'destinationPort' | 'isEcnCapable'>;
  back: Pair['forth'];
}

export function pairsOf(scenario: Scenario, spec: TrafficSpec): Pair[] {
  const indexOf = (name: string): number => scenario.workloads.findIndex((one) => one.name === name);
  const [owner, peer] = [indexOf(spec.from), indexOf(spec.to)];
  const senders = scenario.workloads[owner].pods;
  const receivers = scenario.workloads[peer].pods;
  const pairs: [Pod, Pod][] =
    spec.pairs === 'each-with-each'
      ? senders.flatMap((from) => receivers.filter((to) => to !== from).map((to): [Pod, Pod] => [from, to]))
      : Array.from({ length: Math.max(senders.length, receivers.length) }, (_, i): [Pod, Pod] => [
          senders[i % senders.length],
          receivers[i % receivers.length],
        ]);
  return pairs.map(([from, to], index) => {
    const addressOf = (pod: Pod): string => (spec.useAddress6 ? pod.address6 : undefined) ?? pod.address;
    const forth = {
      owner,
      peer,
      fromHost: from.host,
      toHost: to.host,
      sourceAddress: spec.sourceAddress ?? addressOf(from),
      destinationAddress: addressOf(to),
      dscp: spec.dscp,
      gtpu: spec.gtpu,
    };
    const back = {
      owner: peer,
      peer: owner,
      fromHost: to.host,
      toHost: from.host,
      sourceAddress: addressOf(to),
      destinationAddress: forth.sourceAddress,
      dscp: spec.dscp,
    };
    const ends = [spec.until, from.until, to.until].map((until) => until ?? Infinity);
    return { index, from, to, startPs: Math.max(spec.start, from.from, to.from), untilPs: Math.min(...ends), forth, back };
  });
}
