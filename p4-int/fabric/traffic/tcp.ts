// A TCP connection that sends octets one way: slow start, congestion avoidance, fast retransmit and recovery (RFC 5681, RFC 6582), timeouts (RFC 6298
// with the minimum of the scenario), and either DCTCP (RFC 8257) or halving once a window on an ECN echo.
// Simplifications: no handshake, an acknowledgment for every segment, and the congestion of a segment echoed by its own acknowledgment.

import type { Flow } from '../flow.ts';
import { TcpFlag } from '../packets.ts';
import type { Simulator, Timer } from '../simulator.ts';
import type { Pair } from './pairs.ts';

export interface TcpOptions {
  congestionControl: 'dctcp' | 'reno';
  sourcePort: number;
  destinationPort: number;
  /** Octets to send; Infinity never ends. */
  size: number;
  /** Octets of IP of a full segment. */
  packetBytes: number;
  initialSequence: number;
  /** All octets are acknowledged. */
  onDone?(): void;
}

/** Of IPv4 and TCP without options. */
export const HEADER_BYTES = 40;
const INITIAL_SEGMENTS = 10;
const MAX_WINDOW_BYTES = 2_000_000;
const DUPLICATES = 3;
/** Of the least timeout. */
const FIRST_TIMEOUT = 4;
const MAX_TIMEOUT = 256;
/** Weight of the newest window in DCTCP's estimate (RFC 8257 section 3.3). */
const DCTCP_GAIN = 1 / 16;

export class TcpConnection implements Timer {
  readonly #simulator: Simulator;
  readonly #options: TcpOptions;
  readonly #data: Flow;
  readonly #acknowledgments: Flow;
  readonly #segmentBytes: number;
  readonly #timer: number;
  readonly #untilPs: number;
  // Offsets count octets from the beginning.
  #unacknowledged = 0;
  #next = 0;
  #highest = 0;
  #window: number;
  #slowStartBelow = Infinity;
  #duplicates = 0;
  #recoverAt = -1;
  #windowEnd = 0;
  #ackedBytes = 0;
  #markedBytes = 0;
  #markedShare = 0;
  #smoothedPs = 0;
  #variationPs = 0;
  #timeoutPs: number;
  /** End of the segment that is timed, and when it was sent. */
  #timedEnd = -1;
  #timedSincePs = 0;
  #deadlinePs = Infinity;
  #timerPs = Infinity;
  #isDone = false;
  // The other end.
  #received = 0;
  readonly #ahead: { start: number; end: number }[] = [];

  constructor(simulator: Simulator, pair: Pair, options: TcpOptions) {
    this.#simulator = simulator;
    this.#options = options;
    this.#segmentBytes = options.packetBytes - HEADER_BYTES;
    this.#window = INITIAL_SEGMENTS * this.#segmentBytes;
    this.#untilPs = pair.untilPs;
    this.#timeoutPs = FIRST_TIMEOUT * simulator.scenario.fabric.minTimeout;
    const { sourcePort, destinationPort } = options;
    this.#data = simulator.newFlow({ ...pair.forth, protocol: 6, sourcePort, destinationPort, isEcnCapable: true });
    this.#acknowledgments = simulator.newFlow({
      ...pair.back,
      protocol: 6,
      sourcePort: destinationPort,
      destinationPort: sourcePort,
      isEcnCapable: false,
    });
    this.#data.receiver = { receive: (packet) => this.#onSegment(packet) };
    this.#acknowledgments.receiver = { receive: (packet) => this.#onAcknowledgment(packet) };
    this.#timer = simulator.register(this);
    this.#pump();
  }

  /** The retransmission timer: it runs late rather than being moved with every segment. */
  fire(): void {
    const { nowPs } = this.#simulator;
    this.#timerPs = Infinity;
    if (this.#isDone || this.#unacknowledged === this.#next) return;
    if (nowPs < this.#deadlinePs) return this.#arm(this.#deadlinePs);
    this.#slowStartBelow = Math.max((this.#next - this.#unacknowledged) / 2, 2 * this.#segmentBytes);
    this.#window = this.#segmentBytes;
    this.#next = this.#unacknowledged;
    this.#duplicates = 0;
    this.#recoverAt = -1;
    this.#timedEnd = -1;
    this.#timeoutPs = Math.min(2 * this.#timeoutPs, MAX_TIMEOUT * this.#simulator.scenario.fabric.minTimeout);
    this.#pump();
  }

  /** Sends what the window allows. */
  #pump(): void {
    const { size } = this.#options;
    if (this.#simulator.nowPs >= this.#untilPs) return;
    while (
      this.#next < size &&
      this.#next - this.#unacknowledged + this.#segmentBytes <= Math.max(this.#window, this.#segmentBytes)
    ) {
      const length = Math.min(this.#segmentBytes, size - this.#next);
      this.#sendSegment(this.#next, length);
      this.#next += length;
      this.#highest = Math.max(this.#highest, this.#next);
    }
  }

  #sendSegment(offset: number, length: number): void {
    const { nowPs, packets } = this.#simulator;
    const packet = packets.add(this.#data, length + HEADER_BYTES, nowPs);
    packets.tcpSequence[packet] = this.#options.initialSequence + offset;
    packets.payloadBytes[packet] = length;
    // A segment that was sent before tells nothing about the time it takes (Karn and Partridge, 1987).
    if (this.#timedEnd < 0 && offset >= this.#highest) {
      this.#timedEnd = offset + length;
      this.#timedSincePs = nowPs;
    }
    this.#simulator.send(packet);
    this.#deadlinePs = nowPs + this.#timeoutPs;
    this.#arm(this.#deadlinePs);
  }

  #arm(atPs: number): void {
    if (this.#timerPs <= atPs) return;
    this.#timerPs = atPs;
    this.#simulator.schedule(atPs, this.#timer);
  }

  #onAcknowledgment(packet: number): void {
    const { packets } = this.#simulator;
    if (this.#isDone) return;
    const isMarked = (packets.tcpFlags[packet] & TcpFlag.ece) !== 0;
    const ahead = (packets.tcpAcknowledgment[packet] - this.#options.initialSequence - this.#unacknowledged) | 0;
    if (ahead <= 0) this.#onDuplicate();
    else this.#onProgress(ahead, isMarked);
    if (this.#unacknowledged >= this.#options.size) {
      this.#isDone = true;
      this.#options.onDone?.();
    } else this.#pump();
  }

  #onProgress(acked: number, isMarked: boolean): void {
    this.#unacknowledged += acked;
    this.#next = Math.max(this.#next, this.#unacknowledged);
    this.#duplicates = 0;
    this.#measure();
    this.#deadlinePs = this.#simulator.nowPs + this.#timeoutPs;
    if (this.#recoverAt >= 0) {
      if (this.#unacknowledged >= this.#recoverAt) {
        this.#recoverAt = -1;
        this.#window = this.#slowStartBelow;
      } else {
        // The next hole (RFC 6582 section 3.2 step 3).
        this.#window = Math.max(this.#window - acked + this.#segmentBytes, this.#segmentBytes);
        this.#retransmit();
      }
      return;
    }
    this.#ackedBytes += acked;
    if (isMarked) this.#markedBytes += acked;
    if (isMarked && this.#window < this.#slowStartBelow) this.#slowStartBelow = this.#window;
    const growth = this.#window < this.#slowStartBelow ? acked : (this.#segmentBytes * acked) / this.#window;
    this.#window = Math.min(this.#window + growth, MAX_WINDOW_BYTES);
    if (this.#unacknowledged >= this.#windowEnd) this.#endWindow();
  }

  /** Once a round trip: the answer to what was marked in it. */
  #endWindow(): void {
    const marked = this.#markedBytes / Math.max(1, this.#ackedBytes);
    this.#markedShare += DCTCP_GAIN * (marked - this.#markedShare);
    if (marked > 0) {
      const cut = this.#options.congestionControl === 'dctcp' ? this.#markedShare / 2 : 0.5;
      this.#window = Math.max(this.#window * (1 - cut), 2 * this.#segmentBytes);
      this.#slowStartBelow = this.#window;
    }
    this.#ackedBytes = this.#markedBytes = 0;
    this.#windowEnd = this.#next;
  }

  #onDuplicate(): void {
    if (this.#unacknowledged === this.#next) return;
    this.#duplicates++;
    if (this.#recoverAt >= 0) {
      this.#window += this.#segmentBytes;
    } else if (this.#duplicates === DUPLICATES) {
      this.#slowStartBelow = Math.max((this.#next - this.#unacknowledged) / 2, 2 * this.#segmentBytes);
      this.#recoverAt = this.#next;
      this.#window = this.#slowStartBelow + DUPLICATES * this.#segmentBytes;
      this.#retransmit();
    }
  }

  #retransmit(): void {
    this.#timedEnd = -1;
    this.#sendSegment(this.#unacknowledged, Math.min(this.#segmentBytes, this.#options.size - this.#unacknowledged));
  }

  #measure(): void {
    if (this.#timedEnd < 0 || this.#unacknowledged < this.#timedEnd) return;
    const took = this.#simulator.nowPs - this.#timedSincePs;
    this.#timedEnd = -1;
    if (this.#smoothedPs === 0) {
      this.#smoothedPs = took;
      this.#variationPs = took / 2;
    } else {
      this.#variationPs = 0.75 * this.#variationPs + 0.25 * Math.abs(this.#smoothedPs - took);
      this.#smoothedPs = 0.875 * this.#smoothedPs + 0.125 * took;
    }
    this.#timeoutPs = Math.max(this.#simulator.scenario.fabric.minTimeout, Math.round(this.#smoothedPs + 4 * this.#variationPs));
  }

  /** The other end: notes the segment, and acknowledges what it has without a hole. */
  #onSegment(packet: number): void {
    const { packets, nowPs } = this.#simulator;
    const start = this.#received + ((packets.tcpSequence[packet] - this.#options.initialSequence - this.#received) | 0);
    const end = start + packets.payloadBytes[packet];
    const isMarked = packets.ecn[packet] === 3;
    if (start <= this.#received) {
      this.#received = Math.max(this.#received, end);
      while (this.#ahead.length > 0 && this.#ahead[0].start <= this.#received) {
        this.#received = Math.max(this.#received, this.#ahead.shift()!.end);
      }
    } else if (!this.#ahead.some((one) => one.start === start)) {
      this.#ahead.push({ start, end });
      this.#ahead.sort((a, b) => a.start - b.start);
    }
    const answer = packets.add(this.#acknowledgments, HEADER_BYTES, nowPs);
    packets.tcpAcknowledgment[answer] = this.#options.initialSequence + this.#received;
    packets.tcpFlags[answer] = TcpFlag.ack | (isMarked ? TcpFlag.ece : 0);
    this.#simulator.send(answer);
  }
}
