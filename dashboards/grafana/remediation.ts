// The dashboard "Remediation" as code: whether it is stopped, what is in force and how near the limits are, whether changes helped as much as was said,
// and who is told. Every query is run against a real Prometheus by a test.

import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { board, books, chart, list, row, tile } from './panels.ts';

/** The dashboard as plain JSON. */
export function remediation(): Dashboard {
  return board('Remediation', 'hopscope-remediation', 'What Hopscope changes by itself, whether it helps, and who is told.')
    .withRow(row('Now'))
    .withPanel(tile('Stopped', 'hopscope_remediation_stopped', 'none', '1 while the kill switch is on.', 1))
    .withPanel(tile('Changes in force', 'sum(hopscope_remediation_leases)', 'none', 'Leases, of all rules.'))
    .withPanel(
      tile('Waiting for a person', 'hopscope_remediation_approvals_waiting', 'none', 'Changes that need a yes or a no.', 1),
    )
    .withPanel(
      tile('Fullest budget', 'max(hopscope_remediation_budget_ratio)', 'percentunit', 'At 100 % nothing new is done.', 1),
    )
    .withPanel(
      tile(
        'Failed undoing',
        'sum(increase(hopscope_remediation_decisions_total{kind="undo-failed"}[10m]))',
        'none',
        'Tries to end a change that did not succeed, in ten minutes.',
        1,
      ),
    )
    .withPanel(
      tile(
        'Drift',
        'sum(increase(hopscope_remediation_decisions_total{kind="drift"}[1h]))',
        'none',
        'Changes that others took off.',
        1,
      ),
    )
    .withRow(row('Rules'))
    .withPanel(
      list(
        'How far each rule may go',
        'hopscope_remediation_rule_mode',
        'none',
        '0 observe, 1 recommend, 2 approve, 3 auto; lower after a change that did not help.',
      ),
    )
    .withPanel(chart('Changes in force by rule', 'hopscope_remediation_leases', '{{rule}}', 'none', 'Each ends by itself.'))
    .withRow(row('Effect'))
    .withPanel(
      chart(
        'Verdicts',
        'increase(hopscope_remediation_judged_total[1h])',
        '{{effect}}',
        'none',
        'Per hour. No data is not success.',
      ),
    )
    .withPanel(
      chart(
        'Effect per change, predicted and achieved',
        'sum by (what) (hopscope_remediation_effect_ratio_total) / on () group_left () sum(hopscope_remediation_judged_total{effect!="no-data"})',
        '{{what}}',
        'percentunit',
        'Part of the congested time that was to go, and that went, since the start.',
      ),
    )
    .withRow(row('Decisions'))
    .withPanel(
      books('Lines of the audit file', 'Every decision, also to do nothing.', [
        ['rate(hopscope_remediation_decisions_total[5m])', '{{kind}}'],
      ]),
    )
    .withPanel(chart('Budgets', 'hopscope_remediation_budget_ratio', '{{budget}}', 'percentunit', 'Used, of what may be.'))
    .withRow(row('Who is told'))
    .withPanel(
      chart('Webhook events waiting', 'hopscope_webhook_pending', '{{endpoint}}', 'none', 'Stored and not yet delivered.'),
    )
    .withPanel(
      books('Webhook attempts and events given up', 'Per second.', [
        ['rate(hopscope_webhook_attempts_total[5m])', '{{endpoint}}: {{result}}'],
        ['rate(hopscope_webhook_dead_total[5m])', '{{endpoint}} given up: {{reason}}'],
      ]),
    )
    .build();
}
