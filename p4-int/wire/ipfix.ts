// IPFIX messages with templates, options templates and data records of fixed and variable length. RFC 7011 section 3 and 7.
// Enough to carry draft-spiegel-ippm-ioam-rawexport, whose element ids are not assigned.

import { u16, u32, u8 } from './octets.ts';

/** Field length that makes an element variable (RFC 7011 section 7). */
export const VARIABLE_LENGTH = 0xffff;
/** Assigned elements that carry a part of the packet (IANA). */
export const IE_IP_HEADER_PACKET_SECTION = 313;
export const IE_DATA_LINK_FRAME_SECTION = 315;

export interface IpfixField {
  /** 15 bits. */
  elementId: number;
  /** Octets, or `VARIABLE_LENGTH`. */
  length: number;
  /** Private enterprise number; its presence sets the enterprise bit. */
  enterprise?: number;
}

export interface IpfixTemplate {
  /** 256 and up. */
  templateId: number;
  fields: readonly IpfixField[];
}

export interface IpfixOptionsTemplate extends IpfixTemplate {
  scopeFields: readonly IpfixField[];
}

/** Octets as they are, or a number that fills a fixed-length field; `longLength` forces the 3-octet length of RFC 7011 figure S. */
export type IpfixValue = number | bigint | Uint8Array | { octets: Uint8Array; longLength: boolean };

/** The values of one record, in the order of the template (scope fields first). */
export type IpfixRecord = readonly IpfixValue[];

export type IpfixSet =
  | { kind: 'templates'; templates: readonly IpfixTemplate[] }
  | { kind: 'optionsTemplates'; templates: readonly IpfixOptionsTemplate[] }
  /** Withdraws these templates (RFC 7011 section 8.1). */
  | { kind: 'withdrawal'; templateIds: readonly number[] }
  /** `padTo` fills the set with zeros to that multiple of octets. Default 1, no padding. */
  | { kind: 'data'; template: IpfixTemplate | IpfixOptionsTemplate; records: readonly IpfixRecord[]; padTo?: number }
  | { kind: 'raw'; setId: number; body: Uint8Array };

export interface IpfixMessage {
  /** Unix seconds. */
  exportTime: number;
  /** Data records sent so far in this session and domain, modulo 2^32. */
  sequence: number;
  observationDomainId: number;
  sets: readonly IpfixSet[];
  /** Default: of the octets. */
  length?: number;
}

/** The message: 16-octet header and its sets. */
export function ipfixMessage(message: IpfixMessage): Buffer {
  const body = Buffer.concat(message.sets.map(setOctets));
  return Buffer.concat([
    u16(10),
    u16(message.length ?? 16 + body.length),
    u32(message.exportTime),
    u32(message.sequence),
    u32(message.observationDomainId),
    body,
  ]);
}

function setOctets(set: IpfixSet): Buffer {
  switch (set.kind) {
    case 'templates':
      return withSetHeader(2, Buffer.concat(set.templates.map(templateOctets)));
    case 'optionsTemplates':
      return withSetHeader(3, Buffer.concat(set.templates.map(optionsTemplateOctets)));
    case 'withdrawal':
      return withSetHeader(2, Buffer.concat(set.templateIds.map((id) => Buffer.concat([u16(id), u16(0)]))));
    case 'data': {
      const fields = 'scopeFields' in set.template ? [...set.template.scopeFields, ...set.template.fields] : set.template.fields;
      const records = Buffer.concat(set.records.map((record) => recordOctets(record, fields)));
      const padTo = set.padTo ?? 1;
      const padding = (padTo - ((4 + records.length) % padTo)) % padTo;
      return withSetHeader(set.template.templateId, Buffer.concat([records, Buffer.alloc(padding)]));
    }
    case 'raw':
      return withSetHeader(set.setId, set.body);
  }
}

function withSetHeader(setId: number, body: Uint8Array): Buffer {
  return Buffer.concat([u16(setId), u16(4 + body.length), body]);
}

function templateOctets(template: IpfixTemplate): Buffer {
  return Buffer.concat([u16(template.templateId), u16(template.fields.length), ...template.fields.map(fieldOctets)]);
}

function optionsTemplateOctets(template: IpfixOptionsTemplate): Buffer {
  const fields = [...template.scopeFields, ...template.fields];
  const head = [u16(template.templateId), u16(fields.length), u16(template.scopeFields.length)];
  return Buffer.concat([...head, ...fields.map(fieldOctets)]);
}

function fieldOctets(field: IpfixField): Buffer {
  if (field.enterprise === undefined) return Buffer.concat([u16(field.elementId), u16(field.length)]);
  return Buffer.concat([u16(0x8000 | field.elementId), u16(field.length), u32(field.enterprise)]);
}

function recordOctets(record: IpfixRecord, fields: readonly IpfixField[]): Buffer {
  if (record.length !== fields.length) throw new Error('a record has one value per field of its template');
  return Buffer.concat(fields.map((field, index) => valueOctets(record[index], field)));
}

function valueOctets(value: IpfixValue, field: IpfixField): Buffer {
  if (typeof value === 'number' || typeof value === 'bigint') return numberOctets(BigInt(value), field.length);
  const octets = value instanceof Uint8Array ? value : value.octets;
  if (field.length !== VARIABLE_LENGTH) {
    if (octets.length !== field.length) throw new Error(`element ${field.elementId} has ${field.length} octets`);
    return Buffer.from(octets);
  }
  const long = octets.length >= 255 || (!(value instanceof Uint8Array) && value.longLength);
  return Buffer.concat([long ? Buffer.concat([u8(255), u16(octets.length)]) : u8(octets.length), octets]);
}

function numberOctets(value: bigint, length: number): Buffer {
  if (length === VARIABLE_LENGTH) throw new Error('a variable-length element takes octets');
  return Buffer.from(
    BigInt.asUintN(length * 8, value)
      .toString(16)
      .padStart(length * 2, '0'),
    'hex',
  );
}
