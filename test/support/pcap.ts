// Classic pcap with nanoseconds, link type Ethernet, written frame by frame.

export interface PcapFrame {
  unixSeconds: number;
  nanoseconds: number;
  octets: Uint8Array;
}

/** The file. */
export function pcapFile(frames: readonly PcapFrame[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(0x40000, 16);
  header.writeUInt32LE(1, 20);
  const records = frames.flatMap(({ unixSeconds, nanoseconds, octets }) => {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(unixSeconds, 0);
    head.writeUInt32LE(nanoseconds, 4);
    head.writeUInt32LE(octets.length, 8);
    head.writeUInt32LE(octets.length, 12);
    return [head, octets];
  });
  return Buffer.concat([header, ...records]);
}
