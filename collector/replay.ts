// `hopscope replay FILE`: a capture through the whole collector as if live, with the capture's own times. No sockets, no threads.

import type { Config } from './config.ts';
import { framesBefore } from './decode-command.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { Incident, IncidentChange } from './event.ts';
import { InMemoryCollector } from './in-memory.ts';
import { CaptureError, readCapture } from './ingest/capture.ts';
import { datagramOf } from './ingest/frame.ts';
import type { SharedState } from './shared-state.ts';

/** What a replay left behind. */
export interface Replayed {
  state: SharedState;
  diagnosis: Diagnosis;
  frames: number;
  datagrams: number;
  /** Why the capture could not be read to its end, or undefined. */
  fault: string | undefined;
}

export interface ReplayOptions {
  config: Config;
  /** Only datagrams to this UDP port. */
  port?: number;
  onIncident?(incident: Incident, change: IncidentChange): void;
}

/** Runs the capture at `path` through pipeline and diagnosis; time is that of the frames. */
export function replayCapture(path: string, options: ReplayOptions): Replayed {
  let collector: InMemoryCollector | undefined;
  let firstSeconds = 0;
  let frames = 0;
  let datagrams = 0;
  let fault: string | undefined;
  try {
    for (const frame of readCapture(path)) {
      frames++;
      if (collector === undefined) {
        // One second before the first frame: collector time 0 is never the time of an arrival.
        firstSeconds = frame.seconds - 1;
        collector = new InMemoryCollector({ ...options, epochUnixMs: firstSeconds * 1000 });
      }
      const nowNs = (frame.seconds - firstSeconds) * 1e9 + frame.nanoseconds;
      collector.pollUntil(nowNs);
      const datagram = datagramOf(frame.data, frame.linkType);
      if (datagram === undefined) continue;
      if (options.port !== undefined && datagram.destinationPort !== options.port) continue;
      datagrams++;
      collector.receive(nowNs, datagram.payload, datagram.sourceAddress, datagram.destinationPort);
    }
    collector?.finish();
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    fault = `${error.message}. ${framesBefore(frames)}`;
  }
  const { state, diagnosis } = collector ?? new InMemoryCollector({ ...options, epochUnixMs: 0 });
  return { state, diagnosis, frames, datagrams, fault };
}
