// Seeded random streams: sfc32 (Chris Doty-Humphrey, PractRand), one stream per concern, so that adding one disturbs no other.

/** Next number in [0, 1). */
export type Random = () => number;

/** The stream named `name` of `seed`. */
export function randomStream(seed: number, name: string): Random {
  let a = seed | 0;
  let b = 0x9e3779b9 | 0;
  let c = 1;
  for (const char of name) c = Math.imul(c ^ char.charCodeAt(0), 0x01000193);
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 0x1_0000_0000;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/** A waiting time of mean 1, as between events that come independently. */
export function exponential(random: Random): number {
  return -Math.log(1 - random());
}

/** A normal deviate of mean 0 and deviation 1 (Box and Muller, 1958). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
