// The score as a page: tables, and for each scenario a picture of its longest queue: what was true, what was reported, what was found, and who was named.
// One static file of HTML and SVG, without scripts.

import type { Degradation } from '../telemetry/degradation.ts';
import type { QueueEvent } from '../truth/queue-event.ts';
import { PS_PER_NS } from '../units.ts';
import type { Picture } from './evaluate.ts';
import { scenarioTable, measureTable } from './table.ts';
import type { SuiteResult } from './suite.ts';

const WIDTH = 860;
const PLOT = { left: 64, right: 846, top: 14, bottom: 188 } as const;
const BAND = { truth: 200, found: 212, height: 9 } as const;
const HEIGHT = 244;
const BARS = { left: 150, width: 640, height: 16 } as const;
/** Points of reports in one picture. */
const MAX_DOTS = 1500;
/** The picture shows this many times the length of the longest event around it, or the whole scenario where that is shorter. */
const VIEW = 3;
const COLOURS = ['#2563eb', '#d97706', '#059669', '#7c3aed', '#dc2626', '#0891b2', '#65a30d', '#db2777'] as const;

export interface PageOptions {
  seeds: string;
  degradations: readonly Degradation[];
  /** Version and machine, for the foot. */
  about: string;
}

export function scorePage(result: SuiteResult, { seeds, degradations, about }: PageOptions): string {
  const tables = degradations.map(
    (degradation) =>
      `<h2>${degradation === 'none' ? 'Every postcard' : degradation}</h2>${htmlTable(scenarioTable(result, degradation))}
       <details><summary>every measure</summary>${htmlTable(measureTable(result, degradation))}</details>`,
  );
  const shown = new Set<string>();
  const pictures = result.results.flatMap(({ scenario, missed }) => {
    if (shown.has(scenario.name)) return [];
    shown.add(scenario.name);
    const picture = result.pictures.get(scenario.name);
    return [
      `<section id="${scenario.name}"><h3>${scenario.id ?? ''} ${scenario.name}</h3><p>${escaped(scenario.about)}</p>
       <p><b>Trap.</b> ${escaped(scenario.trap)}</p>
       <p class="${missed.length === 0 ? 'reached' : 'failed'}">${missed.length === 0 ? 'All goals reached.' : `Failed: ${escaped(missed.join(', '))}`}</p>
       ${picture === undefined ? '<p>No queue was congested.</p>' : pictureOf(picture)}</section>`,
    ];
  });
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Hopscope: the score</title><style>${STYLE}</style>
<h1>The score</h1><p>Seeds ${seeds}. In each cell Hopscope / the naive way: the most octets of the last ten milliseconds, where a port is used to more than 80 % for one.</p>
${tables.join('\n')}<h2>The scenarios</h2><p>The longest congested queue of the first seed.</p>${pictures.join('\n')}<footer>${escaped(about)}</footer></html>
`;
}

function pictureOf(picture: Picture): string {
  const [longest] = [...picture.truths].sort((a, b) => b.endPs - b.startPs - (a.endPs - a.startPs));
  const lengthNs = (longest.endPs - longest.buildUpPs) / PS_PER_NS;
  const fromNs = Math.max(0, longest.buildUpPs / PS_PER_NS - (lengthNs * (VIEW - 1)) / 2);
  const untilNs = fromNs + lengthNs * VIEW;
  const truths = picture.truths.filter((event) => event.endPs / PS_PER_NS >= fromNs && event.buildUpPs / PS_PER_NS <= untilNs);
  const found = picture.found.filter((event) => event.endNs >= fromNs && event.startNs <= untilNs);
  const x = (ns: number): number =>
    PLOT.left + ((PLOT.right - PLOT.left) * (Math.min(untilNs, Math.max(fromNs, ns)) - fromNs)) / (untilNs - fromNs);
  const peakBytes = Math.max(1, ...truths.map((event) => event.peakBytes));
  const dots = dotsOf(picture.reports, fromNs, untilNs);
  const peakWaitNs = Math.max(1, ...truths.map((event) => event.peakWaitPs / PS_PER_NS), ...dots.map(([, wait]) => wait));
  const y = (share: number): number => PLOT.bottom - (PLOT.bottom - PLOT.top) * share;
  const lines = truths.map((event) => {
    const points: string[] = [];
    for (let i = 0; i < event.trace.length; i += 2) {
      points.push(`${x(event.trace[i] / PS_PER_NS).toFixed(1)},${y(event.trace[i + 1] / peakBytes).toFixed(1)}`);
    }
    return `<polyline points="${points.join(' ')}" class="depth"/>`;
  });
  const band = (className: string, top: number, startNs: number, endNs: number): string =>
    `<rect class="${className}" x="${x(startNs).toFixed(1)}" y="${top}" width="${Math.max(1, x(endNs) - x(startNs)).toFixed(1)}" height="${BAND.height}"/>`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const ns = fromNs + (untilNs - fromNs) * share;
    return `<text class="tick" x="${x(ns).toFixed(1)}" y="${HEIGHT - 4}" text-anchor="${share === 0 ? 'start' : share === 1 ? 'end' : 'middle'}">${timeText(ns)}</text>`;
  });
  return `<figure><figcaption>${picture.node}, interface ${picture.interfaceId}, queue ${picture.queue}. Line: octets in the queue (left axis, up to ${bytesText(peakBytes)}).
Dots: waits as reported (up to ${timeText(peakWaitNs)}). Bars: congested in truth, and as found.</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<line class="axis" x1="${PLOT.left}" y1="${PLOT.bottom}" x2="${PLOT.right}" y2="${PLOT.bottom}"/>
<text class="tick" x="${PLOT.left - 6}" y="${PLOT.top + 6}" text-anchor="end">${bytesText(peakBytes)}</text><text class="tick" x="${PLOT.left - 6}" y="${PLOT.bottom}" text-anchor="end">0</text>
${dots.map(([at, wait]) => `<circle cx="${x(at).toFixed(1)}" cy="${y(wait / peakWaitNs).toFixed(1)}" r="1.2"/>`).join('')}
${lines.join('')}
<text class="tick" x="${PLOT.left - 6}" y="${BAND.truth + 8}" text-anchor="end">truth</text>${truths.map((event) => band('truth', BAND.truth, event.startPs / PS_PER_NS, event.endPs / PS_PER_NS)).join('')}
<text class="tick" x="${PLOT.left - 6}" y="${BAND.found + 8}" text-anchor="end">found</text>${found.map((event) => band('found', BAND.found, event.startNs, event.endNs)).join('')}
${ticks.join('')}</svg>${culpritBars(picture, longest)}</figure>`;
}

/** Who put how much into the build-up of the longest event, in truth and as named. */
function culpritBars({ workloads, found }: Picture, event: QueueEvent): string {
  const truth = event.inBuildUp.map(({ of, bytes }) => ({ workload: workloads[of], bytes }));
  const [startNs, endNs] = [event.startPs / PS_PER_NS, event.endPs / PS_PER_NS];
  const [named] = found
    .filter((one) => one.endNs >= startNs && one.startNs <= endNs)
    .sort((a, b) => Math.abs(a.startNs - startNs) - Math.abs(b.startNs - startNs));
  const names = [...new Set([...truth, ...(named?.culprits ?? [])].map(({ workload }) => workload))];
  const colourOf = (workload: string): string => COLOURS[names.indexOf(workload) % COLOURS.length];
  const bar = (shares: readonly { workload: string; bytes: number }[], top: number): string => {
    const total = shares.reduce((sum, { bytes }) => sum + bytes, 0);
    let left: number = BARS.left;
    return shares
      .map(({ workload, bytes }) => {
        const width = (BARS.width * bytes) / total;
        const rect = `<rect x="${left.toFixed(1)}" y="${top}" width="${width.toFixed(1)}" height="${BARS.height}" fill="${colourOf(workload)}"/>`;
        left += width;
        return rect;
      })
      .join('');
  };
  const legend = names.slice(0, COLOURS.length).map((workload, i) => {
    const [column, row] = [i % 4, Math.floor(i / 4)];
    const [left, top] = [BARS.left + column * 165, 50 + row * 16];
    return `<rect x="${left}" y="${top}" width="9" height="9" fill="${colourOf(workload)}"/><text class="tick" x="${left + 13}" y="${top + 8}">${escaped(workload)}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} 84" role="img">
<text class="tick" x="${BARS.left - 6}" y="15" text-anchor="end">culprits in truth</text>${bar(truth, 3)}
<text class="tick" x="${BARS.left - 6}" y="37" text-anchor="end">as named</text>${named === undefined ? '' : bar(named.culprits, 25)}
${legend.join('')}</svg>`;
}

function dotsOf(reports: readonly number[], fromNs: number, untilNs: number): [number, number][] {
  const dots: [number, number][] = [];
  for (let i = 0; i < reports.length; i += 2) {
    if (reports[i] >= fromNs && reports[i] <= untilNs) dots.push([reports[i], reports[i + 1]]);
  }
  const step = Math.max(1, Math.ceil(dots.length / MAX_DOTS));
  return dots.filter((_, i) => i % step === 0);
}

function htmlTable(markdown: readonly string[]): string {
  const cells = (line: string): string[] => line.slice(2, -2).split(' | ');
  const [head, , ...rows] = markdown;
  const row = (tag: string, line: string): string =>
    `<tr>${cells(line)
      .map((cell) => `<${tag}>${escaped(cell).replace(/`([^`]+)`/g, '<code>$1</code>')}</${tag}>`)
      .join('')}</tr>`;
  return `<table>${row('th', head)}${rows.map((line) => row('td', line)).join('')}</table>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function timeText(ns: number): string {
  if (ns >= 1e9) return `${(ns / 1e9).toFixed(2)} s`;
  return ns >= 1e6 ? `${(ns / 1e6).toFixed(2)} ms` : `${Math.round(ns / 1e3)} µs`;
}

function bytesText(bytes: number): string {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} kB`;
}

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:1100px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-size:13px;margin:.5rem 0}th,td{border-bottom:1px solid #e5e7eb;padding:.25rem .6rem;text-align:left;vertical-align:top}
th{background:#f9fafb}section{border-top:1px solid #e5e7eb;margin-top:1.5rem}figure{margin:.5rem 0}figcaption,footer{font-size:13px;color:#6b7280}
svg{width:100%;max-width:${WIDTH}px;display:block}.axis{stroke:#9ca3af}.tick{font-size:11px;fill:#6b7280}.depth{fill:none;stroke:#111827;stroke-width:1.2}
circle{fill:#f59e0b;opacity:.5}.truth{fill:#111827}.found{fill:#2563eb}.reached{color:#047857}.failed{color:#b91c1c}code{font-size:12px}`;
