// CIDRs as numbers, so that the packet path can ask whether an address is in one of them without a string.

import ipaddr from 'ipaddr.js';
import { writeAddressWords } from './address.ts';

/** A list of CIDRs and single addresses, IPv4 and IPv6. */
export class AddressSet {
  readonly length: number;
  /** Four words each: network and mask. IPv4 is held as ::ffff:a.b.c.d, its prefix lengths count from bit 96. */
  readonly #networks: Uint32Array;
  readonly #masks: Uint32Array;

  /** `texts` are valid: the configuration has seen to that. */
  constructor(texts: readonly string[]) {
    this.length = texts.length;
    this.#networks = new Uint32Array(texts.length * 4);
    this.#masks = new Uint32Array(texts.length * 4);
    texts.forEach((text, i) => {
      const [address, length] = text.split('/');
      writeAddressWords(address, this.#networks, i * 4);
      const isV4 = ipaddr.parse(address).kind() === 'ipv4';
      const bits = length === undefined ? 128 : Number(length) + (isV4 ? 96 : 0);
      for (let word = 0; word < 4; word++) {
        const wordBits = Math.min(32, Math.max(0, bits - word * 32));
        this.#masks[i * 4 + word] = wordBits === 0 ? 0 : 0xffff_ffff << (32 - wordBits);
        this.#networks[i * 4 + word] &= this.#masks[i * 4 + word];
      }
    });
  }

  /** Whether the address in four words at `words[at]` is in one of them. */
  has(words: Uint32Array, at: number): boolean {
    const masks = this.#masks;
    const networks = this.#networks;
    for (let o = 0; o < masks.length; o += 4) {
      const differs =
        ((words[at] & masks[o]) ^ networks[o]) |
        ((words[at + 1] & masks[o + 1]) ^ networks[o + 1]) |
        ((words[at + 2] & masks[o + 2]) ^ networks[o + 2]) |
        ((words[at + 3] & masks[o + 3]) ^ networks[o + 3]);
      if (differs === 0) return true;
    }
    return false;
  }
}
