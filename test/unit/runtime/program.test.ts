import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, isCanonical, numberOf, prefixMask } from '../../../p4-int/runtime/bytes.ts';
import { isSameEntry, keyOf, type Entry } from '../../../p4-int/runtime/entry.ts';
import { shippedProgram } from '../../../p4-int/runtime/shipped-program.ts';

const { program } = shippedProgram('postcards');

const WATCH: Entry = {
  table: 'watchlist',
  match: {
    source: { kind: 'ternary', value: 0xffff0a000000n, mask: prefixMask(104, 128) },
    protocol: { kind: 'ternary', value: 17n, mask: 255n },
  },
  priority: 7,
  action: 'watch',
  params: { latency_mask_us: 0xffffff00n, period_mask_us: 0n, drop_period_mask_us: 0n, sample_up_to: 0xffffffffn },
  cookie: 'hopscope:switch',
};
const QUEUE: Entry = {
  table: 'dscp_queue',
  match: { dscp: { kind: 'exact', value: 46n } },
  priority: 0,
  action: 'take_queue',
  params: { queue_id: 7n },
  cookie: '',
};
const ROUTE: Entry = {
  table: 'route',
  match: { destination: { kind: 'lpm', value: 0xffff0a000200n, prefixLength: 120 } },
  priority: 0,
  action: 'use_nexthop',
  params: { nexthop_id: 3n },
  cookie: '',
};
const MEMBER: Entry = {
  table: 'ecmp_member',
  match: { group_id: { kind: 'exact', value: 1n }, bucket: { kind: 'range', low: 0n, high: 127n } },
  priority: 1,
  action: 'use_nexthop',
  params: { nexthop_id: 3n },
  cookie: '',
};

describe('octets', () => {
  it('are the shortest, and come back as the number', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 128n - 1n), (value) => {
        const bytes = bytesOf(value, 128);
        return isCanonical(bytes) && numberOf(bytes) === value && numberOf(Buffer.concat([Buffer.alloc(3), bytes])) === value;
      }),
    );
    expect(bytesOf(0n, 8)).toEqual(Buffer.from([0]));
  });

  it('have no place for more bits than the field, or for less than nothing', () => {
    expect(() => bytesOf(512n, 9)).toThrow('512 does not fit into 9 bits');
    expect(bytesOf(511n, 9)).toEqual(Buffer.from([1, 255]));
    expect(() => bytesOf(-1n, 9)).toThrow('-1 does not fit');
  });
});

describe('an entry', () => {
  it.each([WATCH, QUEUE, ROUTE, MEMBER])('goes to the wire and back: $table', (entry) => {
    expect(program.decode(program.encode(entry))).toEqual(entry);
  });

  it('may be named in full', () => {
    expect(program.encode({ ...QUEUE, table: 'SwitchIngress.queueing.dscp_queue' })).toEqual(program.encode(QUEUE));
  });

  const ternary = (value: bigint, mask: bigint) => ({ ...WATCH, match: { protocol: { kind: 'ternary', value, mask } as const } });
  it.each<[string, Entry, string]>([
    ['a table', { ...QUEUE, table: 'queues' }, 'the program has no table queues: it has watchlist, dscp_queue,'],
    ['an action', { ...QUEUE, action: 'watch' }, 'table dscp_queue has no action watch: it has take_queue, NoAction'],
    [
      'a field',
      { ...QUEUE, match: { ...QUEUE.match, tos: { kind: 'exact', value: 1n } } },
      'table dscp_queue has no field tos: it has dscp',
    ],
    [
      'a parameter',
      { ...QUEUE, params: { queue_id: 1n, speed: 2n } },
      'action take_queue has no parameter speed: it has queue_id',
    ],
  ])('cannot have %s that the program does not have', (_, entry, message) => {
    expect(() => program.encode(entry)).toThrow(message);
  });

  it.each<[string, Entry, string]>([
    ['exact', { ...QUEUE, match: {} }, 'table dscp_queue: field dscp must be given, because it is matched exactly'],
    ['a parameter', { ...QUEUE, params: {} }, 'action take_queue: parameter queue_id must be given'],
    ['too large', { ...QUEUE, params: { queue_id: 8n } }, 'action take_queue: parameter queue_id: 8 does not fit into 3 bits'],
    ['a mask of nothing', ternary(0n, 0n), 'table watchlist: field protocol would match everything: leave it out'],
    ['beside the mask', ternary(7n, 3n), 'table watchlist: field protocol has bits set that its mask leaves out'],
    [
      'another kind',
      { ...QUEUE, match: { dscp: { kind: 'ternary', value: 1n, mask: 1n } } },
      'is matched as exact, not as ternary',
    ],
    [
      'a prefix of nothing',
      { ...ROUTE, match: { destination: { kind: 'lpm', value: 0n, prefixLength: 0 } } },
      'field destination would match everything',
    ],
    [
      'behind the prefix',
      { ...ROUTE, match: { destination: { kind: 'lpm', value: 1n, prefixLength: 120 } } },
      'field destination has bits set behind its prefix of 120',
    ],
    [
      'a whole range',
      { ...MEMBER, match: { ...MEMBER.match, bucket: { kind: 'range', low: 0n, high: 255n } } },
      'field bucket would match everything',
    ],
    [
      'an inverted range',
      { ...MEMBER, match: { ...MEMBER.match, bucket: { kind: 'range', low: 2n, high: 1n } } },
      'field bucket: the range ends before it begins',
    ],
    ['no priority', { ...WATCH, priority: 0 }, 'table watchlist: priority must be more than 0, because entries can overlap'],
    ['a priority', { ...QUEUE, priority: 1 }, 'table dscp_queue: priority must be 0'],
  ])('is refused with a sentence: %s', (_, entry, message) => {
    expect(() => program.encode(entry)).toThrow(message);
  });

  it('is known by table, fields and priority, and is the same when it does the same for the same writer', () => {
    const { protocol, source } = WATCH.match;
    expect(keyOf({ ...WATCH, match: { protocol, source } })).toBe(keyOf(WATCH));
    expect(keyOf({ ...WATCH, priority: 8 })).not.toBe(keyOf(WATCH));
    expect(keyOf({ ...WATCH, match: { protocol } })).not.toBe(keyOf(WATCH));
    expect(isSameEntry(WATCH, { ...WATCH, params: { ...WATCH.params } })).toBe(true);
    expect(isSameEntry(WATCH, { ...WATCH, cookie: 'another' })).toBe(false);
    expect(isSameEntry(QUEUE, { ...QUEUE, params: { queue_id: 6n } })).toBe(false);
  });

  it('of the switch with ids that the program does not have is none', () => {
    const wire = program.encode(QUEUE);
    expect(() => program.decode({ ...wire, tableId: 1 })).toThrow('the program has no table with id 1');
    expect(() => program.decode({ ...wire, action: undefined })).toThrow('an action that the program does not know');
  });
});
