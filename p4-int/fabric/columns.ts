// Columns that grow: typed arrays of twice the length with what was in the old one.

type Column = Int32Array | Uint8Array | Uint16Array | Uint32Array | Float64Array;

export function larger<T extends Column>(column: T): T {
  const grown = new (column.constructor as new (length: number) => T)(column.length * 2);
  grown.set(column);
  return grown;
}
