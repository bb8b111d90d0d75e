// `hopscope decode`: every telemetry report of a capture, of UDP payloads in hexadecimal, or of a live port, as JSON lines, as a table, or octet by
// octet, on standard output.
// What is not a report (other protocols, the end of a broken file) is said on standard error; nothing else goes to standard output.

import { createSocket } from 'node:dgram';
import { viewOf } from './decode/bytes.ts';
import { decoderOver } from './decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from './decode/outcome.ts';
import { explanationOf, TABLE_HEAD, tableRows } from './decode-text.ts';
import { HopBatch } from './hop.ts';
import { CaptureError, readCapture } from './ingest/capture.ts';
import { datagramOf } from './ingest/frame.ts';
import { dropReasonsOf, ProfileBook, sourceProfileOf, type ProfileSettings } from './profile-file.ts';
import { reportLines } from './report-json.ts';

export interface DecodeOptions {
  /** Only datagrams to this UDP port. */
  port?: number;
  /** UDP destination port that announces INT inside the reported packets. */
  intPort?: number;
  /** Refuse what the tolerant reading accepts with a warning. */
  strict?: boolean;
  /** Name of a profile, and a folder with profiles of the user's own. */
  profile?: string;
  profiles?: string;
  /** A row for each hop instead of JSON; or every octet of a datagram, and what deviates. */
  table?: boolean;
  explain?: boolean;
}

/** Where lines and remarks go. */
type Say = (text: string) => void;

/** Decodes the capture at `path`. Calls `line` per report and `note` for remarks; returns 1 when the file was broken, else 0. */
export function decodeCapture(path: string, options: DecodeOptions, line: Say, note: Say): number {
  const show = shower(options, line);
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
      show(frame.index, datagram.sourceAddress, datagram.payload);
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
export async function decodeHex(lines: AsyncIterable<string>, options: DecodeOptions, line: Say, note: Say): Promise<number> {
  const show = shower(options, line);
  let exitCode = 0;
  let frame = -1;
  for await (const raw of lines) {
    frame++;
    const digits = raw.replace(/#.*/, '').replace(/[\s:]/g, '');
    if (digits === '') continue;
    if (/^([0-9a-f]{2})+$/i.test(digits)) show(frame, null, Buffer.from(digits, 'hex'));
    else {
      note(`line ${frame + 1} is no whole number of octets in hexadecimal, and was passed over.`);
      exitCode = 1;
    }
  }
  return exitCode;
}

/** Decodes what comes in on a UDP port of this machine until `stopped`; `frame` counts datagrams. Rejects when the port cannot be had. */
export async function decodeLive(
  port: number,
  options: DecodeOptions,
  line: Say,
  note: Say,
  stopped: Promise<void>,
): Promise<void> {
  const show = shower(options, line);
  const socket = createSocket({ type: 'udp6', ipv6Only: false });
  let frame = 0;
  socket.on('message', (payload, { address }) => show(frame++, address.replace(/^::ffff:/, ''), payload));
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new Error(
          error.code === 'EADDRINUSE' ? `UDP port ${port} is taken by another process` : `UDP port ${port}: ${error.message}`,
        ),
      ),
    );
    socket.bind(port, resolve);
  });
  note(`listening on UDP port ${socket.address().port}; Ctrl-C ends`);
  await stopped;
  socket.close();
}

/** What decodes a UDP payload and says what was asked for. */
function shower(options: DecodeOptions, line: Say): (frame: number, source: string | null, payload: Uint8Array) => void {
  const settings = settingsOf(options);
  const profile = sourceProfileOf(settings);
  const dropReasons = dropReasonsOf(settings);
  const batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
  const outcome = new DatagramOutcome();
  const decode = decoderOver(batch, outcome);
  if (options.table === true) line(TABLE_HEAD);
  return (frame, source, payload) => {
    batch.clear();
    decode(viewOf(payload), 0, payload.length, profile);
    if (options.explain === true) line(explanationOf(frame, source, payload, batch, outcome, profile));
    else if (options.table === true) for (const row of tableRows(frame, batch, outcome, dropReasons)) line(row);
    else for (const report of reportLines(frame, source, batch, outcome, dropReasons)) line(JSON.stringify(report));
  };
}

/** Throws ConfigError when there is no such profile folder, and an Error with the names when there is no such profile. */
function settingsOf({ profile, profiles, strict, intPort }: DecodeOptions): ProfileSettings {
  let settings: ProfileSettings | undefined = {};
  if (profile !== undefined) {
    const book = ProfileBook.load(profiles);
    settings = book.settings(profile);
    if (settings === undefined) throw new Error(`there is no profile ${profile}; there are ${book.names.join(', ')}`);
  }
  return { ...settings, ...(strict === true ? { strict } : {}), ...(intPort === undefined ? {} : { intUdpPort: intPort }) };
}

/** What became of a broken capture, for people. */
export function framesBefore(frames: number): string {
  if (frames === 0) return 'No whole frame lies before it.';
  return frames === 1 ? 'The one whole frame before it was processed.' : `The ${frames} whole frames before it were processed.`;
}
