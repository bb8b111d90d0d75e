// `hopscope decode FILE`: every telemetry report of a capture, or of UDP payloads in hexadecimal, as one JSON line on standard output.
// What is not a report (other protocols, the end of a broken file) is said on standard error; nothing else goes to standard output.

import { viewOf } from './decode/bytes.ts';
import { decoderOver } from './decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from './decode/outcome.ts';
import { IDENTITY_PROFILE } from './decode/profile.ts';
import { HopBatch } from './hop.ts';
import { CaptureError, readCapture } from './ingest/capture.ts';
import { datagramOf } from './ingest/frame.ts';
import { reportLines } from './report-json.ts';

export interface DecodeOptions {
  /** Only datagrams to this UDP port. */
  port?: number;
  /** UDP destination port that announces INT inside the reported packets. */
  intPort?: number;
  /** Refuse what the tolerant reading accepts with a warning. */
  strict?: boolean;
}

/** Decodes the capture at `path`. Calls `line` per report and `note` for remarks; returns 1 when the file was broken, else 0. */
export function decodeCapture(
  path: string,
  options: DecodeOptions,
  line: (text: string) => void,
  note: (text: string) => void,
): number {
  const decode = payloadDecoder(options);
  let frames = 0;
  let others = 0;
  let datagrams = 0;
  let exitCode = 0;
  try {
    for (const frame of readCapture(path)) {
      frames++;
      const datagram = datagramOf(frame.data, frame.linkType);
      if (datagram === undefined) {
        others++;
        continue;
      }
      if (options.port !== undefined && datagram.destinationPort !== options.port) continue;
      datagrams++;
      for (const report of decode(frame.index, datagram.sourceAddress, datagram.payload)) line(JSON.stringify(report));
    }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    note(`${error.message}. ${framesBefore(frames)}`);
    exitCode = 1;
  }
  if (frames > 0 && datagrams === 0) {
    const where = options.port === undefined ? '' : ` to port ${options.port}`;
    note(`no UDP datagram${where} is among the ${frames} frames.`);
  }
  if (others > 0) note(`${others} of ${frames} frames hold no UDP datagram and were passed over.`);
  return exitCode;
}

/**
 * Decodes UDP payloads in hexadecimal, one on each line; blanks and colons between octets do no harm, empty lines and what follows a # are
 * passed over, and `frame` counts all lines. Calls `line` per report and `note` for lines that are no octets; resolves with 1 when there
 * was one, else 0.
 */
export async function decodeHex(
  lines: AsyncIterable<string>,
  options: Omit<DecodeOptions, 'port'>,
  line: (text: string) => void,
  note: (text: string) => void,
): Promise<number> {
  const decode = payloadDecoder(options);
  let exitCode = 0;
  let frame = -1;
  for await (const raw of lines) {
    frame++;
    const digits = raw.replace(/#.*/, '').replace(/[\s:]/g, '');
    if (digits === '') continue;
    if (/^([0-9a-f]{2})+$/i.test(digits)) {
      for (const report of decode(frame, null, Buffer.from(digits, 'hex'))) line(JSON.stringify(report));
    } else {
      note(`line ${frame + 1} is no whole number of octets in hexadecimal, and was passed over.`);
      exitCode = 1;
    }
  }
  return exitCode;
}

/** What gives the objects of the reports in a UDP payload. */
function payloadDecoder(options: DecodeOptions): (frame: number, source: string | null, payload: Uint8Array) => object[] {
  const batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
  const outcome = new DatagramOutcome();
  const decode = decoderOver(batch, outcome);
  const profile = { ...IDENTITY_PROFILE, intUdpPort: options.intPort ?? 0, strict: options.strict ?? false };
  return (frame, source, payload) => {
    batch.clear();
    decode(viewOf(payload), 0, payload.length, profile);
    return reportLines(frame, source, batch, outcome);
  };
}

/** What became of a broken capture, for people. */
export function framesBefore(frames: number): string {
  if (frames === 0) return 'No whole frame lies before it.';
  return frames === 1 ? 'The one whole frame before it was processed.' : `The ${frames} whole frames before it were processed.`;
}
