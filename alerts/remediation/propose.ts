// From a rule and an incident to the one change that the rule would make. Pure; whatever cannot be proposed is said in a sentence.

import { isCongestion, type FlowShare, type Incident } from '../../collector/event.ts';
import { isClusterAction, KUBERNETES, type Change, type FlowTarget, type MemberTarget, type Target } from './change.ts';
import { LIMITS } from './guard.ts';
import type { Rule } from './rule.ts';

/** A member of an ECMP group: the buckets that take it, and where it leads. */
export interface EcmpMember {
  group: number;
  firstBucket: number;
  lastBucket: number;
  nexthop: number;
  interfaceId: number;
}

/** What a rule would do about an incident; a sentence where it can do nothing. */
export function changeFor(
  rule: Rule,
  incident: Incident,
  membersOf: (switchName: string) => readonly EcmpMember[],
): Change | string {
  const [culprit] = incident.culprits;
  const owner = `${culprit.namespace}/${culprit.workload}`;
  const flows = incident.events.filter(isCongestion).flatMap((event) => event.flows.filter(({ sender }) => sender === owner));
  if (flows.length === 0) return `no flow of ${owner} is known`;
  const found = targetsFor(rule, incident, owner, flows, membersOf);
  if (typeof found === 'string') return found;
  return {
    action: rule.action,
    executor: rule.endpoint ?? found.executor,
    targets: found.targets,
    value: rule.value,
    culprit: owner,
    incidentId: incident.id,
    rule: rule.name,
    predictedEffect: culprit.counterfactual ?? culprit.buildUpShare,
    leaseMs: rule.leaseMs,
  };
}

interface Found {
  executor: string;
  targets: Target[];
}

function targetsFor(
  rule: Rule,
  incident: Incident,
  owner: string,
  flows: readonly FlowShare[],
  membersOf: (switchName: string) => readonly EcmpMember[],
): Found | string {
  if (isClusterAction(rule.action)) {
    const [{ namespace, workload }] = incident.culprits;
    const addresses = [...new Set(flows.map(({ source }) => source))].slice(0, LIMITS.targets);
    return { executor: KUBERNETES, targets: [{ namespace, workload, addresses }] };
  }
  if (rule.action === 'shift-ecmp') return shiftAway(rule, incident, membersOf);
  return flowsAtTheirWayIn(rule, owner, flows);
}

/** The culprit's largest flows, at the first switch on their way that may be written to: what is changed there is changed for the rest of the way. */
function flowsAtTheirWayIn(rule: Rule, owner: string, flows: readonly FlowShare[]): Found | string {
  const executor =
    rule.endpoint ??
    flows.map(({ path }) => path.find((node) => rule.switches.includes(node))).find((node) => node !== undefined);
  if (executor === undefined) return `no flow of ${owner} is known to enter by a switch of the rule`;
  const targets = new Map<string, FlowTarget>();
  for (const { source, destination, protocol, destinationPort, path } of flows) {
    if (rule.endpoint === undefined && !path.includes(executor)) continue;
    const target = { source, destination, protocol, ...(destinationPort > 0 && { destinationPort }) };
    if (targets.size < LIMITS.targets) targets.set(JSON.stringify(target), target);
  }
  return { executor, targets: [...targets.values()] };
}

/** A share of the buckets that lead through the congested interface take the other members of their group, in equal parts. */
function shiftAway(
  { switches, value }: Rule,
  { place, queue }: Incident,
  membersOf: (switchName: string) => readonly EcmpMember[],
): Found | string {
  const executor = place.node;
  if (executor === undefined || queue === null || !switches.includes(executor)) return 'it is at no switch of the rule';
  const members = membersOf(executor);
  const targets: MemberTarget[] = [];
  for (const { group, firstBucket, lastBucket } of members.filter(({ interfaceId }) => interfaceId === queue.interfaceId)) {
    const others = members.filter((one) => one.group === group && one.interfaceId !== queue.interfaceId);
    const moved = Math.floor(((lastBucket - firstBucket + 1) * value) / 100);
    others.slice(0, moved).forEach(({ nexthop }, i, { length }) => {
      const from = lastBucket - moved + 1 + Math.floor((moved * i) / length);
      const to = lastBucket - moved + Math.floor((moved * (i + 1)) / length);
      targets.push({ group, firstBucket: from, lastBucket: to, nexthop });
    });
  }
  return targets.length === 0 ? `no other way around ${executor} interface ${queue.interface} is known` : { executor, targets };
}
