// Classic pcap with nanoseconds, link type Ethernet (draft-ietf-opsawg-pcap), and the frame around a UDP payload.

export interface PcapFrame {
  unixSeconds: number;
  nanoseconds: number;
  octets: Uint8Array;
}

const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINK_TYPE_ETHERNET = 1;
const FRAME_BYTES = 42;

/** The file. */
export function pcapFile(frames: readonly PcapFrame[]): Buffer {
  return Buffer.concat([pcapHeader(), ...frames.flatMap((frame) => [pcapRecordHeader(frame), frame.octets])]);
}

export function pcapHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(MAGIC_NANOSECONDS, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(0x40000, 16);
  header.writeUInt32LE(LINK_TYPE_ETHERNET, 20);
  return header;
}

/** What stands in front of each frame. */
export function pcapRecordHeader({ unixSeconds, nanoseconds, octets }: PcapFrame): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(unixSeconds, 0);
  head.writeUInt32LE(nanoseconds, 4);
  head.writeUInt32LE(octets.length, 8);
  head.writeUInt32LE(octets.length, 12);
  return head;
}

/** An Ethernet frame with the payload in UDP from `sourceAddress` (IPv4 as a number) to 10.0.0.1. */
export function udpFrame(payload: Uint8Array, sourceAddress: number, destinationPort: number): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES + payload.length);
  frame.writeUInt16BE(0x0800, 12);
  frame.writeUInt8(0x45, 14);
  frame.writeUInt16BE(28 + payload.length, 16);
  frame.writeUInt8(64, 22);
  frame.writeUInt8(17, 23);
  frame.writeUInt32BE(sourceAddress, 26);
  frame.writeUInt32BE(0x0a000001, 30);
  frame.writeUInt16BE(destinationPort, 36);
  frame.writeUInt16BE(8 + payload.length, 38);
  frame.set(payload, FRAME_BYTES);
  return frame;
}
