// Where Hopscope may connect to: the table of addresses that must not be reached, and what the allow-list can and cannot do.

import { describe, expect, it } from 'vitest';
import { allowedDestinationOf, Destinations } from '../../../alerts/notify/destination.ts';

const listOf = (...texts: string[]): Destinations => new Destinations(texts.map((text) => allowedDestinationOf(text)!));
const EVERYTHING = ['0.0.0.0/0', '::/0'];

describe('an address', () => {
  it.each(['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946', '8.8.8.8'])('%s is public', (address) => {
    expect(listOf().refusalOf(address, 443)).toBeUndefined();
  });

  it.each(['10.1.2.3', '172.16.0.1', '192.168.1.1', '100.64.0.1', 'fd00:1234::5', '::ffff:10.1.2.3'])(
    '%s is private, and needs an entry',
    (address) => {
      expect(listOf().refusalOf(address, 443)).toMatch(/not in egress\.allow/);
      expect(listOf(...EVERYTHING).refusalOf(address, 443)).toBeUndefined();
    },
  );

  it.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1'])(
    '%s is this machine, and needs its port',
    (address) => {
      const bare = address.startsWith('::ffff:') ? '127.0.0.1' : address;
      expect(listOf(...EVERYTHING).refusalOf(address, 9000)).toMatch(/this machine/);
      const entry = bare.includes(':') ? `[${bare}]:9000` : `${bare}:9000`;
      expect(listOf(entry).refusalOf(address, 9000)).toBeUndefined();
      expect(listOf(entry).refusalOf(address, 9001)).toMatch(/this machine/);
    },
  );

  it.each([
    ['169.254.169.254', 'the metadata service'],
    ['169.254.0.1', 'link-local'],
    ['fe80::1', 'link-local'],
    ['0.0.0.0', 'unspecified, which is this machine'],
    ['0.1.2.3', 'this network'],
    ['::', 'unspecified'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['192.0.0.8', 'reserved'],
    ['198.51.100.1', 'documentation'],
    ['203.0.113.1', 'documentation'],
    ['198.18.0.1', 'benchmarking'],
    ['240.0.0.1', 'reserved'],
    ['64:ff9b::7f00:1', 'NAT64 of 127.0.0.1'],
    ['64:ff9b::a00:1', 'NAT64 of 10.0.0.1'],
    ['64:ff9b:1::7f00:1', 'local NAT64'],
    ['2002:7f00:1::', '6to4 of 127.0.0.1'],
    ['2001:0:7f00:1::', 'Teredo'],
    ['2001:db8::1', 'documentation'],
    ['100::1', 'discard'],
    ['fec0::1', 'site-local, deprecated'],
    ['5f00::1', 'segment routing'],
    ['::7f00:1', 'IPv4-compatible'],
    ['::ffff:0:127.0.0.1', 'IPv4-translated'],
  ])('%s (%s) is never sent to, whatever the list says', (address) => {
    const all = new Destinations([...EVERYTHING.map((network) => ({ network })), { network: address, port: 80 }]);
    expect(all.refusalOf(address, 80)).toMatch(/never sent to/);
  });

  it('of the collector, the cluster or a switch is refused, whatever the list says', () => {
    const all = new Destinations(
      [{ network: '10.0.0.0/8' }, { network: '127.0.0.1', port: 9733 }],
      [
        { address: '127.0.0.0/8', port: 9733, what: 'the collector itself' },
        { address: '10.96.0.1', what: 'the API of the cluster' },
      ],
    );
    expect(all.refusalOf('127.0.0.1', 9733)).toBe('127.0.0.1 port 9733 is the collector itself');
    expect(all.refusalOf('10.96.0.1', 443)).toBe('10.96.0.1 port 443 is the API of the cluster');
    expect(all.refusalOf('::ffff:10.96.0.1', 6443)).toMatch(/the API of the cluster/);
    expect(all.refusalOf('10.96.0.2', 443)).toBeUndefined();
  });
});

describe('an entry of the list', () => {
  it.each([
    ['10.0.0.0/8', { network: '10.0.0.0/8' }],
    ['10.0.0.5', { network: '10.0.0.5' }],
    ['10.0.0.5:9000', { network: '10.0.0.5', port: 9000 }],
    ['fd00::/8', { network: 'fd00::/8' }],
    ['[fd00::5]:9000', { network: 'fd00::5', port: 9000 }],
  ])('%s', (text, entry) => expect(allowedDestinationOf(text)).toEqual(entry));

  it.each([
    '',
    'example.net',
    'example.net:80',
    '10.0.0.0/33',
    '127.1:80',
    '0x7f.1',
    '2130706433',
    '10.0.0.5:0',
    '10.0.0.5:70000',
    'fd00::5:9000:x',
  ])('%s is none', (text) => expect(allowedDestinationOf(text)).toBeUndefined());
});
