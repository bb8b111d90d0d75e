// Numbers with units as people write them in scenarios: 50us, 10G, 4MB. Inside, times are whole picoseconds, so that sums of them are exact.

import { z } from 'zod';

/** Picoseconds in a nanosecond. A double counts picoseconds exactly for two and a half hours. */
export const PS_PER_NS = 1000;

const TIME_PS: Record<string, number> = { ps: 1, ns: 1e3, us: 1e6, ms: 1e9, s: 1e12 };
const BITS: Record<string, number> = { k: 1e3, M: 1e6, G: 1e9 };
const BYTES: Record<string, number> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };

/** A form: text that matches, as a number. */
function quantity(form: string, factors: Record<string, number>) {
  const pattern = new RegExp(`^(-?\\d+(?:\\.\\d+)?)(${Object.keys(factors).join('|')})$`);
  return z.string(`must be ${form}`).transform((text, context) => {
    const match = pattern.exec(text);
    if (match !== null) return Number(match[1]) * factors[match[2]];
    context.addIssue({ code: 'custom', message: `must be ${form}` });
    return z.NEVER;
  });
}

/** 50us → picoseconds. */
export const time = quantity('a time with its unit, like 50us, 20ms or 2s', TIME_PS).transform(Math.round);
/** 10G → bits per second. */
export const rate = quantity('a rate in bits per second, like 10G or 400M', BITS);
/** 4MB → octets. */
export const bytes = quantity('octets with a unit, like 1500B or 4MB', BYTES).transform(Math.round);

/** Picoseconds that an octet takes at so many bits per second. */
export function psPerByteAt(bitsPerSecond: number): number {
  return 8e12 / bitsPerSecond;
}
