// What could be done about an incident, as a plan that people can read and a receiver can check. It writes to nothing.
// Rule: no plan to act without a confident culprit that can be named; doing nothing is a plan too, and it says why.

import { createHash } from 'node:crypto';
import { placeText, type Incident, type Plan } from '../../collector/event.ts';

export interface PlanPolicy {
  /** Below it the plan is to investigate, never to act. */
  minConfidence: number;
}

/** Report loss from which on the telemetry itself is the first thing to look at. */
const MAX_REPORT_LOSS = 0.05;

/** The plan for an incident as it stands now. Pure: the same incident has the same plan and the same hash. */
export function planFor(incident: Incident, policy: PlanPolicy): Plan {
  const draft = draftFor(incident, policy);
  const planHash = createHash('sha256')
    .update(JSON.stringify([draft.action, draft.targets]))
    .digest('hex');
  return { ...draft, planHash };
}

function draftFor(incident: Incident, policy: PlanPolicy): Omit<Plan, 'planHash'> {
  const [first] = incident.culprits;
  const where = placeText(incident.place);
  const nothing = { targets: [], undo: 'nothing to undo' };
  if (incident.type !== 'congestion') {
    const [why = 'see the incident'] = incident.story.help;
    return { action: 'investigate', ...nothing, why, expectedEffect: 'it ends' };
  }
  if (incident.victims.length === 0) {
    const why = 'no other workload waited for long enough to be harmed';
    return { action: 'none', ...nothing, why, expectedEffect: 'none needed' };
  }
  const doubt = doubtAbout(incident, policy);
  if (first === undefined || doubt !== undefined) {
    const why = `${where} harms ${incident.victims.length} workload(s), but ${doubt ?? 'no sender was seen'}`;
    return {
      action: 'investigate',
      ...nothing,
      why,
      expectedEffect: 'a confident culprit, or a reason outside the reported traffic',
    };
  }
  const share = Math.round(first.buildUpShare * 100);
  const victims = incident.victims
    .slice(0, 3)
    .map((v) => `${v.namespace}/${v.workload}`)
    .join(', ');
  return {
    action: 'limit-egress-rate',
    targets: [`workload/${first.namespace}/${first.workload}`],
    why: `it put in ${share} % of the build-up on ${where}, and ${victims} waited up to ${Math.round(incident.peakWaitNs / 1000)} µs`,
    expectedEffect: `the build-up shrinks by up to ${share} % (upper bound: senders that adapt would have used the room)`,
    undo: 'take the rate limit off the workload',
  };
}

/** Why the first culprit is not sure enough to act on; undefined when it is. */
function doubtAbout(incident: Incident, policy: PlanPolicy): string | undefined {
  if (incident.confidence < policy.minConfidence) {
    return `the cause is only ${Math.round(incident.confidence * 100)} % sure (${Math.round(policy.minConfidence * 100)} % needed)`;
  }
  const { reportLossRatio } = incident.evidence;
  if (reportLossRatio !== null && reportLossRatio > MAX_REPORT_LOSS) {
    return `${Math.round(reportLossRatio * 100)} % of the switch's reports are lost`;
  }
  const kind = incident.culprits[0]?.kind;
  if (kind !== 'pod' && kind !== 'workload') return 'the largest sender is not a workload that can be named';
  return undefined;
}
