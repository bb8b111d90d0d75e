// What a strict P4Runtime server refuses of an entry, by the specification (1.5, section 9.1), and by nothing that the client has: the
// two are written apart, so that one fault cannot hide another.

import { status } from '@grpc/grpc-js';
import { MatchField_MatchType, type MatchField, type P4Info, type Table } from '../../p4-int/runtime/generated/p4info.ts';
import type { FieldMatch, TableEntry } from '../../p4-int/runtime/generated/p4runtime.ts';

export class Refusal extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws Refusal where the entry is none that the program can have. */
export function checkEntry(info: P4Info, entry: TableEntry, needsAction: boolean): void {
  const table = info.tables.find(({ preamble }) => preamble!.id === entry.tableId);
  if (table === undefined) throw new Refusal(status.NOT_FOUND, `no table ${entry.tableId}`);
  if (table.isConstTable) throw new Refusal(status.PERMISSION_DENIED, 'a constant table');
  if (new Set(entry.match.map(({ fieldId }) => fieldId)).size !== entry.match.length) {
    throw new Refusal(status.INVALID_ARGUMENT, 'a field twice');
  }
  for (const match of entry.match) {
    const field = table.matchFields.find(({ id }) => id === match.fieldId);
    if (field === undefined) throw new Refusal(status.INVALID_ARGUMENT, `no field ${match.fieldId}`);
    checkMatch(field, match);
  }
  const isNeeded = (field: MatchField) => typeOf(field) === MatchField_MatchType.EXACT;
  const absent = table.matchFields.find((field) => isNeeded(field) && !entry.match.some(({ fieldId }) => fieldId === field.id));
  if (absent !== undefined) throw new Refusal(status.INVALID_ARGUMENT, `field ${absent.name} is missing`);
  const types: number[] = table.matchFields.map(typeOf);
  const hasPriority = [MatchField_MatchType.TERNARY, MatchField_MatchType.RANGE, MatchField_MatchType.OPTIONAL].some((type) =>
    types.includes(type),
  );
  if (hasPriority !== entry.priority > 0) throw new Refusal(status.INVALID_ARGUMENT, `priority ${entry.priority}`);
  if (entry.action !== undefined || needsAction) checkAction(info, table, entry);
  if (entry.meterConfig !== undefined && !info.directMeters.some(({ directTableId }) => directTableId === entry.tableId)) {
    throw new Refusal(status.INVALID_ARGUMENT, 'a meter in a table without one');
  }
}

function checkAction(info: P4Info, table: Table, { action }: TableEntry): void {
  if (action?.type?.$case !== 'action') throw new Refusal(status.INVALID_ARGUMENT, 'no action');
  const { actionId, params } = action.type.value;
  const known = info.actions.find(({ preamble }) => preamble!.id === actionId);
  if (known === undefined || !table.actionRefs.some(({ id }) => id === actionId)) {
    throw new Refusal(status.INVALID_ARGUMENT, `no action ${actionId}`);
  }
  if (params.length !== known.params.length) throw new Refusal(status.INVALID_ARGUMENT, 'parameters');
  for (const { id, bitwidth } of known.params) {
    const given = params.find(({ paramId }) => paramId === id);
    if (given === undefined) throw new Refusal(status.INVALID_ARGUMENT, `parameter ${id} is missing`);
    checkBytes(given.value, bitwidth);
  }
}

function typeOf({ match }: MatchField): number {
  return match?.$case === 'matchType' ? match.value : MatchField_MatchType.UNSPECIFIED;
}

const CASE_OF: Record<number, string> = {
  [MatchField_MatchType.EXACT]: 'exact',
  [MatchField_MatchType.TERNARY]: 'ternary',
  [MatchField_MatchType.LPM]: 'lpm',
  [MatchField_MatchType.RANGE]: 'range',
  [MatchField_MatchType.OPTIONAL]: 'optional',
};

function checkMatch(field: MatchField, { fieldMatchType: type }: FieldMatch): void {
  const wrong = (what: string) => new Refusal(status.INVALID_ARGUMENT, `field ${field.name}: ${what}`);
  if (type === undefined || type.$case !== CASE_OF[typeOf(field)]) throw wrong('the wrong kind of match');
  if (type.$case === 'exact' || type.$case === 'optional') return checkBytes(type.value.value, field.bitwidth);
  if (type.$case === 'ternary') {
    const { value, mask } = type.value;
    for (const bytes of [value, mask]) checkBytes(bytes, field.bitwidth);
    if (big(mask) === 0n) throw wrong('matches everything');
    if ((big(value) & ~big(mask)) !== 0n) throw wrong('bits outside the mask');
  } else if (type.$case === 'lpm') {
    const { value, prefixLen } = type.value;
    checkBytes(value, field.bitwidth);
    if (prefixLen <= 0) throw wrong('matches everything');
    if (prefixLen > field.bitwidth) throw wrong('prefix too long');
    if ((big(value) & ((1n << BigInt(field.bitwidth - prefixLen)) - 1n)) !== 0n) throw wrong('bits behind the prefix');
  } else {
    const { low, high } = type.value;
    for (const bytes of [low, high]) checkBytes(bytes, field.bitwidth);
    if (big(low) > big(high)) throw wrong('ends before it begins');
    if (big(low) === 0n && big(high) === (1n << BigInt(field.bitwidth)) - 1n) throw wrong('matches everything');
  }
}

function checkBytes(bytes: Uint8Array, bitwidth: number): void {
  if (bytes.length === 0) throw new Refusal(status.INVALID_ARGUMENT, 'no octets');
  if (bytes.length > 1 && bytes[0] === 0) throw new Refusal(status.INVALID_ARGUMENT, 'not the shortest octets');
  if (big(bytes) >> BigInt(bitwidth) !== 0n) throw new Refusal(status.OUT_OF_RANGE, `more than ${bitwidth} bits`);
}

function big(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}
