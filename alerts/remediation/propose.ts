// From a rule and an incident to the one change that the rule would make: the culprit's largest flows, at the first switch on their way that may
// be written to.

import { isCongestion, type Incident } from '../../collector/event.ts';
import type { Change, FlowTarget } from './change.ts';
import { LIMITS } from './guard.ts';
import type { Rule } from './rule.ts';

/** What a rule would do about an incident; a sentence where it can do nothing. */
export function changeFor(rule: Rule, incident: Incident): Change | string {
  const [culprit] = incident.culprits;
  const owner = `${culprit.namespace}/${culprit.workload}`;
  const flows = incident.events.filter(isCongestion).flatMap((event) => event.flows.filter(({ sender }) => sender === owner));
  // The first switch on the way that the rule may write to: what is changed there is changed for the rest of the way.
  const switchName = flows
    .map(({ path }) => path.find((node) => rule.switches.includes(node)))
    .find((node) => node !== undefined);
  if (switchName === undefined) return `no flow of ${owner} is known to enter by a switch of the rule`;
  const targets = new Map<string, FlowTarget>();
  for (const { source, destination, protocol, destinationPort, path } of flows) {
    if (!path.includes(switchName)) continue;
    const target = { source, destination, protocol, ...(destinationPort > 0 && { destinationPort }) };
    if (targets.size < LIMITS.targets) targets.set(JSON.stringify(target), target);
  }
  return {
    action: rule.action,
    switchName,
    targets: [...targets.values()],
    value: rule.value,
    culprit: owner,
    incidentId: incident.id,
    rule: rule.name,
    predictedEffect: culprit.counterfactual ?? culprit.buildUpShare,
    leaseMs: rule.leaseMs,
  };
}
