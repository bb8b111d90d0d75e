// What could be done about an incident: pure, and bound to a hash.

import { describe, expect, it } from 'vitest';
import { planFor } from '../../../alerts/remediation/plan.ts';
import type { Incident } from '../../../collector/event.ts';
import { incidentOf } from '../../support/incidents.ts';

describe('the plan', () => {
  const policy = { minConfidence: 0.8 };

  it('limits the culprit, with why, effect, undo and a hash over action and target', () => {
    const plan = planFor(incidentOf(), policy);
    expect(plan).toMatchObject({ action: 'limit-egress-rate', targets: ['workload/analytics/backup'] });
    expect(plan.why).toContain('90 % of the build-up');
    expect(plan.undo).not.toBe('');
    expect(plan.planHash).toMatch(/^[0-9a-f]{64}$/);
    expect(planFor(incidentOf({ peakWaitNs: 5 }), policy).planHash).toBe(plan.planHash);
  });

  const { culprits, evidence } = incidentOf();
  it.each([
    ['nobody is harmed', { victims: [] }, 'none'],
    ['it is not sure', { confidence: 0.79 }, 'investigate'],
    ['reports are lost', { evidence: { ...evidence, reportLossRatio: 0.06 } }, 'investigate'],
    ['the sender is unknown', { culprits: [{ ...culprits[0], kind: 'unknown' }] }, 'investigate'],
    ['the sender is a node', { culprits: [{ ...culprits[0], kind: 'node' }] }, 'investigate'],
    ['no sender was seen', { culprits: [] }, 'investigate'],
  ] as [string, Partial<Incident>, string][])('does not act when %s', (_name, changes, action) => {
    expect(planFor(incidentOf(changes), policy)).toMatchObject({ action, targets: [] });
  });
});
