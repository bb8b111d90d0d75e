// Decoded datagrams as text for people: a row for each hop, or every octet and what deviates.

import type { DatagramOutcome } from './decode/outcome.ts';
import type { SourceProfile } from './decode/profile.ts';
import { REFUSAL_TEXT, REFUSALS, WARNING_TEXT, warningNames } from './decode/reason.ts';
import { explain } from './explain.ts';
import { FLOW_WORDS, FlowPart } from './flow-key.ts';
import { DIALECTS, latencyOf, Present, type HopBatch } from './hop.ts';
import { endpointsOf, rejectionDetail } from './report-json.ts';

const WIDTHS = [6, 6, 12, 11, 11, 5, 9, 11, 6] as const;

/** Heads of the columns of `tableRows`. */
export const TABLE_HEAD = rowOf(
  ['frame', 'report', 'dialect', 'node', 'in>out', 'queue', 'depth', 'latency ns', 'drop'],
  'flow, warnings',
);

/** A row for each hop of a datagram, and one for what was refused. */
export function tableRows(
  frame: number,
  batch: HopBatch,
  outcome: DatagramOutcome,
  dropReasons: ReadonlyMap<number, string>,
): string[] {
  if (outcome.rejected !== 0) return [rowOf([frame, '-'], `${REFUSALS[outcome.rejected]}: ${rejectionDetail(outcome)}`)];
  const { reports, datagrams, links } = batch;
  const rows: string[] = [];
  for (let report = 0; report < reports.length; report++) {
    const dialect = DIALECTS[datagrams.dialect[reports.datagram[report]]];
    const wrapNs = datagrams.timestampWrapNs[reports.datagram[report]];
    const index = reports.indexInDatagram[report];
    const end = [flowText(batch, report), ...warningNames(reports.warnings[report])].join(' ');
    if (reports.hopCount[report] === 0) rows.push(rowOf([frame, index, dialect], end));
    for (let hop = reports.firstHop[report]; hop < reports.firstHop[report] + reports.hopCount[report]; hop++) {
      const has = (bit: number): boolean => (batch.present[hop] & bit) !== 0;
      const latencyNs = latencyOf(batch, hop, wrapNs);
      const drop = has(Present.dropReason) ? (dropReasons.get(batch.dropReason[hop]) ?? batch.dropReason[hop]) : '';
      rows.push(
        rowOf(
          [
            frame,
            index,
            dialect,
            has(Present.nodeId) ? batch.nodeId[hop] : '-',
            `${has(Present.ingressInterfaceId) ? batch.ingressInterfaceId[hop] : '-'}>${has(Present.egressInterfaceId) ? batch.egressInterfaceId[hop] : '-'}`,
            has(Present.queueId) ? batch.queueId[hop] : '-',
            has(Present.queueOccupancy) ? batch.queueOccupancy[hop] : '-',
            latencyNs < 0 ? '-' : latencyNs,
            drop,
          ],
          end,
        ),
      );
    }
  }
  for (let i = 0; i < outcome.refusedReports; i++) {
    const code = REFUSALS[outcome.refusedCode[i]];
    rows.push(rowOf([frame, outcome.refusedIndex[i]], `${code}: ${REFUSAL_TEXT[code]}, at octet ${outcome.refusedAt[i]}`));
  }
  for (let link = 0; link < links.length; link++)
    rows.push(rowOf([frame, '-'], `counters of interface ${links.interfaceId[link]}`));
  return rows;
}

function rowOf(cells: readonly (string | number)[], end: string): string {
  return `${WIDTHS.map((width, i) => String(cells[i] ?? '').padStart(width)).join(' ')}  ${end}`.trimEnd();
}

function flowText(batch: HopBatch, report: number): string {
  const { flowParts, flowKey } = batch.reports;
  if ((flowParts[report] & FlowPart.addresses) === 0) return '-';
  const flow = endpointsOf(flowKey, report * FLOW_WORDS, flowParts[report]);
  const source = endText(flow.sourceAddress, flow.sourcePort);
  return `${source} > ${endText(flow.destinationAddress, flow.destinationPort)} protocol ${flow.protocol}`;
}

function endText(address: string, port: number | null): string {
  if (port === null) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Every field of a datagram by its offset, then what the decoder made of it: what deviates, and what was refused. */
export function explanationOf(
  frame: number,
  source: string | null,
  payload: Uint8Array,
  batch: HopBatch,
  outcome: DatagramOutcome,
  profile: SourceProfile,
): string {
  const { reports, datagrams } = batch;
  const dialect = outcome.dialect < 0 ? undefined : DIALECTS[outcome.dialect];
  const lines = [`frame ${frame}, ${source === null ? '' : `from ${source}, `}${payload.length} octets, ${dialect ?? 'unknown'}`];
  const fields = dialect === undefined ? [] : explain(payload, dialect, { dscp: profile.intDscp, udpPort: profile.intUdpPort });
  let header = '';
  for (const field of fields) {
    const octet = `${field.octet}${field.bit === 0 ? '' : `.${field.bit}`}`;
    const name = field.header === header ? '' : field.header;
    ({ header } = field);
    lines.push(`  ${octet.padStart(7)}  ${name.padEnd(15)} ${field.field.padEnd(18)} ${field.value}`);
  }
  if (outcome.rejected !== 0) lines.push(`  refused: ${REFUSALS[outcome.rejected]}, ${rejectionDetail(outcome)}`);
  for (let report = 0; report < reports.length; report++) {
    for (const name of warningNames(reports.warnings[report])) {
      lines.push(`  report ${reports.indexInDatagram[report]} deviates: ${name}, ${WARNING_TEXT[name]}`);
    }
  }
  for (let i = 0; i < outcome.refusedReports; i++) {
    const code = REFUSALS[outcome.refusedCode[i]];
    lines.push(`  report ${outcome.refusedIndex[i]} refused: ${code}, ${REFUSAL_TEXT[code]}, at octet ${outcome.refusedAt[i]}`);
  }
  if (datagrams.length > 0)
    lines.push(`  decoded: ${reports.length} reports, ${batch.length} hops, ${batch.links.length} interfaces`);
  return lines.join('\n');
}
