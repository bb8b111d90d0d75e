// The built-in page at `/`: open incidents in plain words, readable without script, on a phone, in the dark.
// Rule: every text from outside is escaped; workload names are somebody else's words.

import { placeText, type Incident } from '../../collector/event.ts';

/** What the page shows beside the incidents. */
export interface PageStatus {
  reports: number;
  lost: number;
  nodes: number;
  queues: number;
  notReady: readonly string[];
  /** Where rules of remediation are configured. */
  remediation?: PageRemediation;
}

/** What the page shows of remediation. */
export interface PageRemediation {
  stopped: boolean;
  rules: readonly { name: string; mode: string; effectiveMode: string; promotion: string; charter: readonly string[] }[];
  /** Lines of what is in force, and until when. */
  leases: readonly { id: string; state: string; lines: readonly string[]; until: string }[];
  /** What waits for a person. */
  approvals: readonly { hash: string; lines: readonly string[] }[];
  /** Used part of each, 0 to 1. */
  budgets: Readonly<Record<string, number>>;
}

const SEVERITY = ['', 'info', 'minor', 'warning', 'major', 'critical'] as const;

/** The whole page as HTML. It loads nothing and asks the browser to come again every five seconds. */
export function renderPage(incidents: readonly Incident[], status: PageStatus): string {
  const open = incidents.filter((incident) => incident.state === 'open').sort((a, b) => b.severity - a.severity);
  const closed = incidents.filter((incident) => incident.state === 'closed').slice(0, 10);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5"><title>Hopscope: ${open.length} open</title><style>${STYLE}</style></head><body>
<header><h1>Hopscope</h1><p>${statusLine(status)}</p></header>
<main><h2>${open.length === 0 ? 'No open incident' : `Open incidents (${open.length})`}</h2>
${open.length === 0 ? `<p>${calmSentence(status)}</p>` : open.map(card).join('\n')}
${closed.length === 0 ? '' : `<h2>Recently closed</h2>\n${closed.map(card).join('\n')}`}
${status.remediation === undefined ? '' : remediationPart(status.remediation)}
</main><footer><a href="/api/v1/incidents">incidents as JSON</a> · <a href="/metrics">metrics</a> · <a href="/readyz">readiness</a></footer>
</body></html>`;
}

function calmSentence(status: PageStatus): string {
  if (status.reports === 0)
    return 'No report has come in yet: switches have to send theirs to this machine. Blind is not healthy.';
  return 'No queue that reports is congested in a way that harms anyone.';
}

function statusLine(status: PageStatus): string {
  const total = status.reports + status.lost;
  const loss = total === 0 ? '0' : ((status.lost / total) * 100).toFixed(2);
  const ready = status.notReady.length === 0 ? '' : ` <strong>Not ready: ${escapeHtml(status.notReady.join('; '))}</strong>`;
  return `${status.reports} reports from ${status.nodes} nodes, ${status.queues} queues; ${loss} % of reports lost on the way.${ready}`;
}

function card(incident: Incident): string {
  const culprits = incident.culprits
    .slice(0, 5)
    .map(
      (c) =>
        `<tr><td>${name(c)}</td><td class="n">${(c.buildUpShare * 100).toFixed(0)} %</td><td class="n">${c.counterfactual === null ? '' : `−${(c.counterfactual * 100).toFixed(0)} %`}</td><td class="n">${c.flows}</td></tr>`,
    );
  const victims = incident.victims
    .slice(0, 5)
    .map(
      (v) =>
        `<tr><td>${name(v)}</td><td>${escapeHtml(v.towards)}</td><td class="n">${micros(v.excessWaitP99Ns)}</td><td class="n">${(v.budgetUse * 100).toFixed(0)} %</td></tr>`,
    );
  const { place, story } = incident;
  return `<article class="s${incident.severity}"><h3>${escapeHtml(incident.type)} · ${escapeHtml(placeText(place))}
<span>${SEVERITY[incident.severity]}</span></h3>
<p>${escapeHtml(story.text)}</p>
${incident.type === 'congestion' ? tables(culprits, victims) : ''}
${story.help.length === 0 ? '' : `<p>What would help: ${escapeHtml(story.help.join('; '))}.</p>`}
<p class="plan"><b>${escapeHtml([incident.plan.action, ...incident.plan.targets].join(' '))}</b>: ${escapeHtml(incident.plan.why)}.
Expected: ${escapeHtml(incident.plan.expectedEffect)}.</p>
<p><a href="/api/v1/incidents/${escapeHtml(incident.id)}">${escapeHtml(incident.id)}</a></p></article>`;
}

function remediationPart({ stopped, rules, leases, approvals, budgets }: PageRemediation): string {
  const lines = (all: readonly string[]): string => all.map((line) => `<li>${escapeHtml(line)}</li>`).join('');
  const inForce = leases.map(
    ({ id, state, lines: what, until }) =>
      `<p><b>${escapeHtml(id)}</b>, ${escapeHtml(state)}, until ${escapeHtml(until)}</p><ul>${lines(what)}</ul>`,
  );
  const waiting = approvals.map(
    ({ hash, lines: what }) =>
      `<ul>${lines(what)}</ul><p><code>hopscope remediation approve ${escapeHtml(hash)} --as YOUR-NAME</code>, or <code>decline</code></p>`,
  );
  const ofRules = rules.map(
    ({ name: rule, mode, effectiveMode, promotion, charter }) =>
      `<details><summary><b>${escapeHtml(rule)}</b>: ${escapeHtml(mode)}${mode === effectiveMode ? '' : `, now ${escapeHtml(effectiveMode)}`}</summary>
<ul>${lines(charter)}</ul><p>Towards auto: ${escapeHtml(promotion)}</p></details>`,
  );
  const used = Object.entries(budgets).map(([budget, ratio]) => `${escapeHtml(budget)} ${Math.round(ratio * 100)} %`);
  return `<h2>Changes</h2><article class="s${stopped ? 4 : 1}"><h3>${stopped ? 'Stopped: nothing is done, everything is undone' : `${leases.length} in force`}
<span>budgets used: ${used.join(', ')}</span></h3>
${inForce.join('')}${waiting.length === 0 ? '' : `<h3>Waiting for a person</h3>${waiting.join('')}`}${ofRules.join('')}</article>`;
}

function tables(culprits: string[], victims: string[]): string {
  return `<div class="t"><table><caption>Caused by</caption><tr><th>workload</th><th>build-up</th><th>without it</th><th>flows</th></tr>${culprits.join('')}</table>
<table><caption>Suffered</caption><tr><th>workload</th><th>towards</th><th>p99 wait</th><th>budget</th></tr>${victims.join('') || '<tr><td colspan="4">nobody else</td></tr>'}</table></div>`;
}

function name(who: { namespace: string; workload: string }): string {
  return escapeHtml(`${who.namespace}/${who.workload}`);
}

function micros(ns: number): string {
  return ns >= 1e6 ? `${(ns / 1e6).toFixed(2)} ms` : `${(ns / 1e3).toFixed(0)} µs`;
}

/** Text made safe for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const STYLE = `
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:62rem;margin:0 auto;padding:1rem}
h1{margin:0;font-size:1.4rem}header p,footer{opacity:.75;margin:.2rem 0 1rem}article{border:1px solid #8886;border-left:.4rem solid #888;
border-radius:.4rem;padding:.2rem 1rem;margin:1rem 0}article.s2{border-left-color:#c9a400}article.s3{border-left-color:#e07b00}
article.s4,article.s5{border-left-color:#d32f2f}h3{margin:.6rem 0}h3 span{font-weight:400;opacity:.75;float:right}
.t{display:flex;gap:2rem;flex-wrap:wrap;align-items:flex-start}table{border-collapse:collapse}caption{text-align:left;font-weight:600}
th,td{text-align:left;padding:.15rem .8rem .15rem 0}th{font-weight:400;opacity:.75}.n{text-align:right;font-variant-numeric:tabular-nums}
.plan{background:#8881;padding:.5rem;border-radius:.3rem}`;
