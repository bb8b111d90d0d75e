// A P4 program as its P4Info tells it: entries in words to entries on the wire, and back. What the switch would refuse, or what would
// match more than was meant, is refused here with the names in the sentence.

import { bytesOf, fullMask, numberOf, prefixMask } from './bytes.ts';
import type { Entry, MatchValue, MeterRates } from './entry.ts';
import { MatchField_MatchType, type MatchField, type P4Info, type Preamble, type Table } from './generated/p4info.ts';
import type { FieldMatch, TableEntry } from './generated/p4runtime.ts';

/** An entry that the program cannot have; the message names table, field or parameter, and says what to do. */
export class EntryError extends Error {}

type Named = { preamble: Preamble | undefined };

/** By alias and by full name. Two objects of one kind never share a name. */
function byName<T extends Named>(objects: readonly T[]): Map<string, T> {
  return new Map(objects.flatMap((one) => [one.preamble!.name, one.preamble!.alias].map((name) => [name, one] as const)));
}

function byId<T extends Named>(objects: readonly T[]): Map<number, T> {
  return new Map(objects.map((one) => [one.preamble!.id, one]));
}

export class Program {
  readonly info: P4Info;
  readonly #tables;
  readonly #tablesById;
  readonly #actions;
  readonly #actionsById;

  constructor(info: P4Info) {
    this.info = info;
    this.#tables = byName(info.tables);
    this.#tablesById = byId(info.tables);
    this.#actions = byName(info.actions);
    this.#actionsById = byId(info.actions);
  }

  get tableNames(): string[] {
    return this.info.tables.map((table) => table.preamble!.alias);
  }

  /** Throws EntryError for a table that the program does not have. */
  tableId(name: string): number {
    return this.#table(name).preamble!.id;
  }

  /** The wire form. Throws EntryError for names that the program does not have, numbers that do not fit, and fields that must be given. */
  encode(entry: Entry): TableEntry {
    const table = this.#table(entry.table);
    const fields = new Map(table.matchFields.map((field) => [field.name, field]));
    for (const name of Object.keys(entry.match)) {
      if (!fields.has(name))
        throw new EntryError(`table ${entry.table} has no field ${name}: it has ${[...fields.keys()].join(', ')}`);
    }
    const match = table.matchFields.flatMap((field) => {
      const value = entry.match[field.name];
      if (value !== undefined) return [encodeField(entry.table, field, value)];
      if (typeOf(field) === MatchField_MatchType.EXACT) {
        throw new EntryError(`table ${entry.table}: field ${field.name} must be given, because it is matched exactly`);
      }
      return [];
    });
    const needsPriority = table.matchFields.some((field) => PRIORITISED.has(typeOf(field)));
    if (needsPriority !== entry.priority > 0) {
      throw new EntryError(
        `table ${entry.table}: priority must be ${needsPriority ? 'more than 0, because entries can overlap' : '0'}`,
      );
    }
    return {
      tableId: table.preamble!.id,
      match,
      action: { type: { $case: 'action', value: this.#encodeAction(entry, table) } },
      priority: entry.priority,
      meterConfig: entry.meter && encodeMeter(entry.meter),
      counterData: undefined,
      meterCounterData: undefined,
      isDefaultAction: false,
      idleTimeoutNs: 0n,
      timeSinceLastHit: undefined,
      metadata: Buffer.from(entry.cookie),
      isConst: false,
    };
  }

  /** An entry of the switch in words. Throws EntryError where it is none of this program. */
  decode(wire: TableEntry): Entry {
    const table = this.#tablesById.get(wire.tableId);
    if (table === undefined) throw new EntryError(`the program has no table with id ${wire.tableId}`);
    const match: Record<string, MatchValue> = {};
    for (const one of wire.match) {
      const field = table.matchFields.find((field) => field.id === one.fieldId);
      if (field === undefined) throw new EntryError(`table ${table.preamble!.alias} has no field with id ${one.fieldId}`);
      match[field.name] = decodeField(one);
    }
    const action = wire.action?.type?.$case === 'action' ? wire.action.type.value : undefined;
    const known = action && this.#actionsById.get(action.actionId);
    if (action === undefined || known === undefined) {
      throw new EntryError(`table ${table.preamble!.alias}: an entry has an action that the program does not know`);
    }
    return {
      table: table.preamble!.alias,
      match,
      priority: wire.priority,
      action: known.preamble!.alias,
      params: Object.fromEntries(
        action.params.map(({ paramId, value }) => [known.params.find((param) => param.id === paramId)!.name, numberOf(value)]),
      ),
      meter: wire.meterConfig && decodeMeter(wire.meterConfig),
      cookie: wire.metadata.toString(),
    };
  }

  #table(name: string): Table {
    const table = this.#tables.get(name);
    if (table === undefined) throw new EntryError(`the program has no table ${name}: it has ${this.tableNames.join(', ')}`);
    return table;
  }

  #encodeAction({ table: tableName, action: name, params }: Entry, table: Table) {
    const action = this.#actions.get(name);
    const allowed = table.actionRefs.map(({ id }) => this.#actionsById.get(id)!.preamble!.alias);
    if (action === undefined || !table.actionRefs.some(({ id }) => id === action.preamble!.id)) {
      throw new EntryError(`table ${tableName} has no action ${name}: it has ${allowed.join(', ')}`);
    }
    for (const given of Object.keys(params)) {
      if (!action.params.some((param) => param.name === given)) {
        throw new EntryError(
          `action ${name} has no parameter ${given}: it has ${action.params.map((param) => param.name).join(', ')}`,
        );
      }
    }
    return {
      actionId: action.preamble!.id,
      params: action.params.map((param) => {
        const value = params[param.name];
        if (value === undefined) throw new EntryError(`action ${name}: parameter ${param.name} must be given`);
        return { paramId: param.id, value: octets(value, param.bitwidth, `action ${name}: parameter ${param.name}`) };
      }),
    };
  }
}

const PRIORITISED: ReadonlySet<number> = new Set([
  MatchField_MatchType.TERNARY,
  MatchField_MatchType.RANGE,
  MatchField_MatchType.OPTIONAL,
]);

const KIND_OF: Record<number, MatchValue['kind']> = {
  [MatchField_MatchType.EXACT]: 'exact',
  [MatchField_MatchType.TERNARY]: 'ternary',
  [MatchField_MatchType.LPM]: 'lpm',
  [MatchField_MatchType.RANGE]: 'range',
  [MatchField_MatchType.OPTIONAL]: 'optional',
};

function typeOf({ match }: MatchField): number {
  return match?.$case === 'matchType' ? match.value : MatchField_MatchType.UNSPECIFIED;
}

function encodeField(table: string, field: MatchField, match: MatchValue): FieldMatch {
  const where = `table ${table}: field ${field.name}`;
  const { bitwidth } = field;
  const kind = KIND_OF[typeOf(field)];
  if (match.kind !== kind) throw new EntryError(`${where} is matched as ${kind ?? 'something unknown'}, not as ${match.kind}`);
  const wire = (type: FieldMatch['fieldMatchType']): FieldMatch => ({ fieldId: field.id, fieldMatchType: type });
  // What matches everything has no place in an entry (specification, section 9.1.1): who means it leaves the field out.
  const leaveOut = `${where} would match everything: leave it out if you mean that`;
  if (match.kind === 'exact') return wire({ $case: 'exact', value: { value: octets(match.value, bitwidth, where) } });
  if (match.kind === 'optional') return wire({ $case: 'optional', value: { value: octets(match.value, bitwidth, where) } });
  if (match.kind === 'ternary') {
    if (match.mask === 0n) throw new EntryError(leaveOut);
    if ((match.value & ~match.mask) !== 0n) throw new EntryError(`${where} has bits set that its mask leaves out`);
    const [value, mask] = [octets(match.value, bitwidth, where), octets(match.mask, bitwidth, where)];
    return wire({ $case: 'ternary', value: { value, mask } });
  }
  if (match.kind === 'lpm') {
    if (match.prefixLength === 0) throw new EntryError(leaveOut);
    if (match.prefixLength > bitwidth) throw new EntryError(`${where} has ${bitwidth} bits, fewer than ${match.prefixLength}`);
    if ((match.value & ~prefixMask(match.prefixLength, bitwidth)) !== 0n) {
      throw new EntryError(`${where} has bits set behind its prefix of ${match.prefixLength}`);
    }
    return wire({ $case: 'lpm', value: { value: octets(match.value, bitwidth, where), prefixLen: match.prefixLength } });
  }
  if (match.low > match.high) throw new EntryError(`${where}: the range ends before it begins`);
  if (match.low === 0n && match.high === fullMask(bitwidth)) throw new EntryError(leaveOut);
  return wire({ $case: 'range', value: { low: octets(match.low, bitwidth, where), high: octets(match.high, bitwidth, where) } });
}

function decodeField({ fieldMatchType: type }: FieldMatch): MatchValue {
  if (type === undefined) throw new EntryError('an entry of the switch has a field without a value');
  if (type.$case === 'ternary') return { kind: 'ternary', value: numberOf(type.value.value), mask: numberOf(type.value.mask) };
  if (type.$case === 'lpm') return { kind: 'lpm', value: numberOf(type.value.value), prefixLength: type.value.prefixLen };
  if (type.$case === 'range') return { kind: 'range', low: numberOf(type.value.low), high: numberOf(type.value.high) };
  return { kind: type.$case, value: numberOf(type.value.value) };
}

function octets(value: bigint, bitwidth: number, where: string): Buffer {
  try {
    return bytesOf(value, bitwidth);
  } catch (error) {
    throw new EntryError(`${where}: ${(error as Error).message}`);
  }
}

function encodeMeter({ committedRate: cir, committedBurst: cburst, peakRate: pir, peakBurst: pburst }: MeterRates) {
  return { cir, cburst, pir, pburst, eburst: 0n };
}

function decodeMeter({ cir, cburst, pir, pburst }: { cir: bigint; cburst: bigint; pir: bigint; pburst: bigint }): MeterRates {
  return { committedRate: cir, committedBurst: cburst, peakRate: pir, peakBurst: pburst };
}
