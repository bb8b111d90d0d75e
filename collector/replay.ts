// `hopscope replay FILE`: a capture through the whole collector as if live, with the capture's own times. No sockets, no threads.

import { writeAddressWords } from './address.ts';
import { Admission } from './admission.ts';
import type { Config } from './config.ts';
import { viewOf } from './decode/bytes.ts';
import { framesBefore } from './decode-command.ts';
import { Diagnosis, incidentBookOf } from './diagnosis.ts';
import type { Incident, IncidentChange } from './event.ts';
import { Identify } from './identify/identify.ts';
import { Inventory } from './identify/inventory.ts';
import { CaptureError, readCapture } from './ingest/capture.ts';
import { datagramOf } from './ingest/frame.ts';
import { planFor } from '../alerts/remediation/plan.ts';
import { pipelineOver } from './pipeline.ts';
import { capacityOf, HashSecret, SharedState, thresholdsOf } from './shared-state.ts';
import { Timeline } from './timeline.ts';

/** How often the diagnosis looks, as in the collector itself. */
const POLL_NS = 20e6;

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
  const { config } = options;
  const state = SharedState.allocate(capacityOf(config), thresholdsOf(config), HashSecret.fixed());
  const pipeline = pipelineOver(state, new Admission(state.exporters, config.ingest));
  const source = new Uint32Array(4);
  const identify = new Identify([], new Inventory(config.inventory));
  let diagnosis: Diagnosis | undefined;
  let firstSeconds = 0;
  let polledNs = 0;
  let frames = 0;
  let datagrams = 0;
  let fault: string | undefined;
  const start = (epochUnixMs: number): Diagnosis => {
    const timeline = new Timeline(epochUnixMs);
    return new Diagnosis({
      state,
      config,
      timeline,
      ownerAt: (words, offset, unixMs) => identify.ownerAt(words, offset, unixMs),
      incidents: incidentBookOf(
        config,
        timeline,
        (incident) => planFor(incident, config.remediation),
        (incident, change) => options.onIncident?.(incident, change),
      ),
    });
  };
  try {
    for (const frame of readCapture(path)) {
      frames++;
      if (diagnosis === undefined) {
        // One second before the first frame: collector time 0 is never the time of an arrival.
        firstSeconds = frame.seconds - 1;
        diagnosis = start(firstSeconds * 1000);
      }
      const nowNs = (frame.seconds - firstSeconds) * 1e9 + frame.nanoseconds;
      // As the collector's timer would have: what is due before this frame happens before it.
      for (; polledNs < nowNs; polledNs += POLL_NS) {
        const isBehind = diagnosis.poll(polledNs);
        if (isBehind || !diagnosis.isIdle) continue;
        // Nothing would come of the polls until this frame.
        polledNs = Math.max(polledNs, Math.floor((nowNs - 1) / POLL_NS) * POLL_NS);
      }
      const datagram = datagramOf(frame.data, frame.linkType);
      if (datagram === undefined) continue;
      if (options.port !== undefined && datagram.destinationPort !== options.port) continue;
      datagrams++;
      const { payload, destinationPort, sourceAddress } = datagram;
      writeAddressWords(sourceAddress, source, 0);
      pipeline.arrive(nowNs);
      pipeline.receive(viewOf(payload), 0, payload.length, source, destinationPort, 0);
      pipeline.settle();
    }
    while (diagnosis?.poll(polledNs) === true);
    diagnosis?.refresh(polledNs);
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    fault = `${error.message}. ${framesBefore(frames)}`;
  }
  return { state, diagnosis: diagnosis ?? start(0), frames, datagrams, fault };
}
