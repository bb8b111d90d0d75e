// What time it is on a switch, by a packet that comes back at once. Entries that end by themselves say when in this time, which begins
// with the switch: registers and our own clock tell nothing about it.

import { bytesOf, numberOf } from './bytes.ts';
import type { SwitchClient } from './client.ts';
import type { ControllerPacketMetadata, P4Info } from './generated/p4info.ts';
import type { PacketIn } from './generated/p4runtime.ts';
import { SwitchError } from './switch-error.ts';

const TELL_TIME = 1n;

export interface SwitchTime {
  /** The switch's clock when it answered, in microseconds since its start. */
  switchTimeUs: bigint;
  /** How long question and answer took: the clock has gone on by at most so much. */
  roundTripMs: number;
}

/** Asks a switch that runs one of our programs. Throws SwitchError where it does not answer in time or we do not lead it. */
export async function askTime(client: SwitchClient, info: P4Info): Promise<SwitchTime> {
  const { name, timeoutMs } = client.target;
  const [request, answer] = ['packet_out', 'packet_in'].map((header) => headerOf(info, header));
  if (request === undefined || answer === undefined) {
    throw new SwitchError('mismatch', name, 'its program has no packet_out and packet_in: it cannot be asked for its time');
  }
  const field = (of: ControllerPacketMetadata, fieldName: string) => of.metadata.find((one) => one.name === fieldName)!;
  const valueOf = ({ metadata }: PacketIn, fieldName: string) =>
    numberOf(metadata.find(({ metadataId }) => metadataId === field(answer, fieldName).id)?.value ?? Buffer.alloc(0));
  const asked = performance.now();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop();
      reject(new SwitchError('unreachable', name, `it does not tell its time within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    const stop = client.onPacket((packet) => {
      if (valueOf(packet, 'answer') !== TELL_TIME) return;
      clearTimeout(timer);
      stop();
      resolve({ switchTimeUs: valueOf(packet, 'switch_time_us'), roundTripMs: performance.now() - asked });
    });
    const { id, bitwidth } = field(request, 'request');
    try {
      client.sendPacket(Buffer.alloc(1), [{ metadataId: id, value: bytesOf(TELL_TIME, bitwidth) }]);
    } catch (error) {
      clearTimeout(timer);
      stop();
      throw error;
    }
  });
}

function headerOf(info: P4Info, name: string): ControllerPacketMetadata | undefined {
  return info.controllerPacketMetadata.find(({ preamble }) => preamble?.name === name);
}
