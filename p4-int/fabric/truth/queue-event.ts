// A true interval of congestion on one queue, with everything that a verdict about it can be held against.

/** Octets of one workload or flow, largest first in lists. */
export interface ByteShare {
  /** Index of the workload or flow. */
  of: number;
  bytes: number;
}

export interface TrueVictim {
  owner: number;
  /** Packets that waited longer than the harm threshold, or were dropped; and all of the workload in the event. */
  harmedPackets: number;
  packets: number;
  /** Sum of the waits of the harmed. */
  harmPs: number;
}

/** How much smaller the queue would have been without a workload: 1 is "there would have been none". Open loop: the others send as they did. */
export interface TrueCounterfactual {
  owner: number;
  share: number;
}

export type QueueEventKind = 'microburst' | 'congestion' | 'sustained' | 'starvation';

export interface QueueEvent {
  kind: QueueEventKind;
  port: number;
  cls: number;
  /** When the queue was last below the floor before it was congested. */
  buildUpPs: number;
  startPs: number;
  peakPs: number;
  endPs: number;
  /** The scenario ended before the event did. */
  isCut: boolean;
  peakBytes: number;
  peakWaitPs: number;
  /** Packets that entered between start and end. */
  packets: number;
  /** Octets that entered the port ahead of or in this queue between build-up start and peak, by workload and by flow. */
  inBuildUp: ByteShare[];
  flowsInBuildUp: ByteShare[];
  /** The same between build-up start and end. */
  inEvent: ByteShare[];
  /** Size times residence of the packets of this queue, in octets times ps, by workload: an exact split of the area under the queue. */
  residence: ByteShare[];
  droppedPackets: number;
  victims: TrueVictim[];
  counterfactual: TrueCounterfactual[];
  /** The queue as a picture has it: times and octets, alternating; largest value of each of at most 300 spans. */
  trace: number[];
}
