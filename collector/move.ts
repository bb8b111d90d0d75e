// The record that crosses from the hot thread to the calm one when a flow takes another way, or goes round.

/** Fields of a move, by position. */
export const MOVE_WIDTH = 7;
export const Move = {
  kind: 0,
  nodeTag: 1,
  /** Rows of the egress interfaces, see observe/port. */
  fromPortRow: 2,
  toPortRow: 3,
  flowRow: 4,
  flowGeneration: 5,
  /** Collector time of the report that showed it, ns. */
  atNs: 6,
} as const;
export const MoveKind = { moved: 1, looped: 2 } as const;
