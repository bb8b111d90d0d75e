// The form of remediation's rules in the configuration, and what they are read into.

import { z } from 'zod';
import { ACTIONS, isClusterAction, type ActionKind } from '../alerts/remediation/change.ts';
import { PROTECTED_NAMESPACES } from '../alerts/remediation/guard.ts';
import { MODES, type Rule } from '../alerts/remediation/rule.ts';
import { bitRate, duration } from './config-form.ts';

const isForSwitches = ({ action, endpoint }: { action: ActionKind; endpoint?: string | undefined }): boolean =>
  endpoint === undefined && !isClusterAction(action);

const ruleForm = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9-]+$/, 'must be of small letters, digits and hyphens'),
    mode: z.enum(MODES).default('observe'),
    action: z.enum(ACTIONS),
    value: z.union([z.number().int().min(0), bitRate.transform((bytesPerNs) => Math.round(bytesPerNs * 1e9))]),
    switches: z.array(z.string().min(1)).default([]),
    endpoint: z.string().min(1).optional(),
    namespaces: z.array(z.string().regex(/^[a-z0-9-]+$/, 'must be the name of one namespace')).min(1),
    minSeverity: z.number().int().min(1).max(5).default(3),
    minConfidence: z.number().min(0.8).max(1).default(0.8),
    minPredictedEffect: z.number().min(0).max(1).default(0.2),
    lease: duration.refine((ns) => ns >= 10e9 && ns <= 3600e9, 'must be from 10s to 1h').default(120e9),
    renewals: z.number().int().min(0).max(29).default(0),
    author: z.string().min(1).optional(),
  })
  .refine((rule) => !isForSwitches(rule) || rule.switches.length > 0, {
    path: ['switches'],
    message: 'must name the switches that may be written to',
  })
  .refine((rule) => isForSwitches(rule) || rule.switches.length === 0, {
    path: ['switches'],
    message: 'must not be said where the cluster or an endpoint does it',
  })
  .refine((rule) => rule.action !== 'shift-ecmp' || rule.endpoint === undefined, {
    path: ['endpoint'],
    message: 'must not be said for shift-ecmp: only a switch of ours knows its groups',
  })
  .refine((rule) => !(rule.lease * (1 + rule.renewals) > 3600e9), {
    path: ['renewals'],
    message: 'must not make a change last for longer than 1h in all',
  });

export const rulesForm = z
  .array(ruleForm)
  .refine((rules) => new Set(rules.map(({ name }) => name)).size === rules.length, 'must not use one name twice')
  .refine(
    (rules) =>
      !rules.some(({ namespaces }) => namespaces.some((one) => (PROTECTED_NAMESPACES as readonly string[]).includes(one))),
    `must not name ${PROTECTED_NAMESPACES.join(', ')}`,
  )
  .default([]);

export function ruleOf({ lease, ...rule }: z.output<typeof ruleForm>): Rule {
  return { ...rule, leaseMs: lease / 1e6 };
}
