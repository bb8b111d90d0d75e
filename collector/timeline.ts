// The collector's time: nanoseconds since it started, as a double (exact for 104 days), and how to say it as wall-clock time.
// Rule: everything inside counts in this time; strings are made at the edges.

export class Timeline {
  /** Wall-clock milliseconds at collector time 0. */
  readonly epochUnixMs: number;

  constructor(epochUnixMs: number) {
    this.epochUnixMs = epochUnixMs;
  }

  /** Wall-clock milliseconds of a collector time. */
  unixMs(ns: number): number {
    return this.epochUnixMs + ns / 1e6;
  }

  /** ISO 8601 in UTC with nine decimals. */
  iso(ns: number): string {
    const whole = Math.floor(ns / 1e9);
    const rest = Math.round(ns - whole * 1e9);
    const ms = this.epochUnixMs + whole * 1000;
    const second = Math.floor(ms / 1000);
    const nanoseconds = (ms - second * 1000) * 1e6 + rest;
    const carried = second + Math.floor(nanoseconds / 1e9);
    const fraction = String(Math.floor(nanoseconds % 1e9)).padStart(9, '0');
    return `${new Date(carried * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
  }
}

/** Nanoseconds since the Unix epoch of such an ISO time. */
export function unixNsOfIso(iso: string): bigint {
  const [whole, fraction = '0'] = iso.replace('Z', '').split('.');
  return BigInt(Date.parse(`${whole}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
}
