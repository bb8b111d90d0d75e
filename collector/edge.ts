// The record that crosses from the hot thread to the calm one when a queue's congestion opens, grows or closes.
// Times are on the node's own clock; the calm thread maps them to wall-clock time.

/** Fields of an edge record, by position. */
export const EDGE_WIDTH = 14;
export const Edge = {
  kind: 0,
  queueRow: 1,
  openedNodeNs: 2,
  buildUpNodeNs: 3,
  peakNodeNs: 4,
  lastNodeNs: 5,
  peakWaitNs: 6,
  peakDepthBytes: 7,
  reports: 8,
  log: 9,
  dropReports: 10,
  openCount: 11,
  /** Which use of the log is meant: it may have another owner by the time that this is read. */
  logGeneration: 12,
  /** 1: the log holds what entered the other queues of the port, too. */
  hasOthers: 13,
} as const;
/** `drained`: over, though no report has said so; `lastNodeNs` is then when the queue had drained. */
export const EdgeKind = { opened: 1, grew: 2, closed: 3, drained: 4 } as const;
