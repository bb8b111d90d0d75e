// The kinds of panels that the dashboards are made of, with Grafana's foundation SDK.

import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

const SOURCE = { type: 'prometheus', uid: 'hopscope-prometheus' };

function query(expr: string, legend: string): prometheus.DataqueryBuilder {
  return new prometheus.DataqueryBuilder().expr(expr).legendFormat(legend).refId('A');
}

/** One number, red from `warnAt` on. */
export function tile(title: string, expr: string, unit: string, description: string, warnAt?: number): stat.PanelBuilder {
  const steps = [
    { value: null, color: 'green' },
    ...(warnAt === undefined ? [] : [{ value: warnAt, color: 'red' }]),
  ] as dashboard.Threshold[];
  return new stat.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .span(4)
    .height(4)
    .thresholds(new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(steps))
    .withTarget(query(expr, ''));
}

/** One query over time. */
export function chart(title: string, expr: string, legend: string, unit: string, description: string): timeseries.PanelBuilder {
  return new timeseries.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .span(12)
    .height(8)
    .withTarget(query(expr, legend));
}

/** A chart of several queries on top of one another, per second. */
export function books(
  title: string,
  description: string,
  queries: readonly [expr: string, legend: string][],
): timeseries.PanelBuilder {
  return queries.reduce(
    (panel, [expr, legend], i) => panel.withTarget(query(expr, legend).refId(String.fromCharCode(65 + i))),
    new timeseries.PanelBuilder().title(title).description(description).datasource(SOURCE).unit('cps').span(12).height(8),
  );
}

/** What a query gives now, a row each. */
export function list(title: string, expr: string, unit: string, description: string): table.PanelBuilder {
  return new table.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .span(12)
    .height(8)
    .withTarget(query(expr, '').instant().format(prometheus.PromQueryFormat.Table));
}

/** A dashboard that looks the same everywhere. */
export function board(title: string, uid: string, description: string): dashboard.DashboardBuilder {
  return new dashboard.DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['hopscope'])
    .refresh('10s')
    .time({ from: 'now-15m', to: 'now' })
    .readonly();
}

export function row(title: string): dashboard.RowBuilder {
  return new dashboard.RowBuilder(title);
}
