// A datagram of reports on its way to the collector, and what is in it for those who read no bytes.

/** What one report says, in the order of REPORT_FIELDS. */
export const REPORT_FIELDS = 6;
export const ReportField = { flow: 0, bytes: 1, port: 2, enqueuedNs: 3, egressNs: 4, isDrop: 5 } as const;

export interface Datagram {
  /** Switch that sent it. */
  node: number;
  bytes: Buffer;
  /** When it left the switch, and when it comes to the collector; fabric time. */
  sentPs: number;
  arrivesPs: number;
  /** REPORT_FIELDS numbers for each report; times on the fabric's own clock. */
  reports: Float64Array;
}
