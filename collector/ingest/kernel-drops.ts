// What the kernel dropped at a UDP port because the socket's buffer was full, as Linux tells it in /proc/net.

import { readFileSync } from 'node:fs';

/**
 * Sum of the `drops` column of /proc/net/udp and udp6 for sockets bound to `port`, or undefined where the system does not tell.
 * The count is the socket's own and vanishes with it.
 */
export function kernelDropsOf(port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let drops: number | undefined;
  for (const path of ['/proc/net/udp', '/proc/net/udp6']) {
    let text: string;
    try {
      text = readFileSync(path, 'latin1');
    } catch {
      continue;
    }
    for (const line of text.split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(suffix)) drops = (drops ?? 0) + Number(fields.at(-1));
    }
  }
  return drops;
}
