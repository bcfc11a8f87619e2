/**
 * C struct layouts as ordered tables that yield offsets.
 *
 * A table is checked when it is made: every hole that a C compiler would leave
 * must be named, and the total must be the `sizeof` that the table claims. What
 * comes out are constants; encoders and decoders are written by hand with them,
 * so no generic walker runs per message.
 *
 * @example A struct of the GPIO uAPI
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { layout, LITTLE_ENDIAN, U64 } from "./layout.ts";
 *
 * const LINE_VALUES = layout("gpio_v2_line_values", 16, [
 *   ["bits", U64],
 *   ["mask", U64],
 * ]);
 * const view = new DataView(new ArrayBuffer(LINE_VALUES.size));
 * view.setBigUint64(LINE_VALUES.at.mask, 1n, LITTLE_ENDIAN);
 * assertEquals(LINE_VALUES.at.mask, 8);
 * ```
 *
 * @module
 */

/**
 * The `littleEndian` argument for every `DataView` access.
 *
 * Both supported targets (x86_64 and aarch64) are little-endian, and so are
 * virtio 1.x and vhost-user on them.
 *
 * **Safety**: a constant; no memory is touched.
 */
export const LITTLE_ENDIAN = true;

/**
 * Size of a field, and the alignment that C gives it.
 *
 * **Safety**: plain data; no memory is touched.
 */
interface FieldType {
  /** Bytes that the field takes; 0 for {@linkcode PADDING}, which adapts. */
  readonly size: number;
  /** The field begins at a multiple of this many bytes. */
  readonly alignment: number;
}

/**
 * One entry of a table: the field's name as the C header spells it, and its type.
 *
 * **Safety**: plain data; no memory is touched.
 */
type Field = readonly [name: string, type: FieldType];

/**
 * A checked struct layout; usable as the type of a field of another one.
 *
 * **Safety**: plain data, frozen; no memory is touched.
 */
export interface Layout<Name extends string = string> extends FieldType {
  /** The struct's name in C. */
  readonly name: string;
  /** Byte offset of each field from the start of the struct. */
  readonly at: { readonly [K in Name]: number };
}

function scalar(size: number): FieldType {
  return Object.freeze({ size, alignment: size });
}

/** An unsigned byte. **Safety**: plain data; no memory is touched. */
export const U8: FieldType = scalar(1);
/** An unsigned 16-bit number. **Safety**: plain data; no memory is touched. */
export const U16: FieldType = scalar(2);
/** An unsigned 32-bit number. **Safety**: plain data; no memory is touched. */
export const U32: FieldType = scalar(4);
/** An unsigned 64-bit number. **Safety**: plain data; no memory is touched. */
export const U64: FieldType = scalar(8);
/** A signed 32-bit number. **Safety**: plain data; no memory is touched. */
export const I32: FieldType = scalar(4);
/** A signed 64-bit number. **Safety**: plain data; no memory is touched. */
export const I64: FieldType = scalar(8);

/**
 * The hole that C leaves here, given a name: takes the bytes up to the next
 * field's alignment, or up to the struct's own at the end of the table.
 *
 * **Safety**: plain data; no memory is touched.
 */
export const PADDING: FieldType = Object.freeze({ size: 0, alignment: 1 });

/**
 * `length` bytes with no alignment of their own (`char name[32]`).
 *
 * @throws {RangeError} If `length` is not a positive integer.
 *
 * **Safety**: plain data; no memory is touched.
 */
export function bytes(length: number): FieldType {
  return array(U8, length);
}

/**
 * A C array: `length` elements of `type`, aligned like one of them.
 *
 * @throws {RangeError} If `length` is not a positive integer.
 *
 * **Safety**: plain data; no memory is touched.
 */
export function array(type: FieldType, length: number): FieldType {
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(
      `Cannot lay out an array of ${length} elements: a positive integer is needed`,
    );
  }
  return Object.freeze({
    size: type.size * length,
    alignment: type.alignment,
  });
}

function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

/**
 * Options of {@linkcode layout}.
 *
 * **Safety**: plain data; no memory is touched.
 */
interface LayoutOptions {
  /** `__attribute__((packed))`: no alignment, no holes. */
  readonly packed?: boolean;
}

/**
 * Checks a table against the struct's `sizeof` and yields its offsets.
 *
 * Meant to be called at module level, so that a wrong table fails at load. The
 * result's `at` has exactly the table's names: `X.at.unknown` is a type error.
 *
 * @param name The struct's name in C, for messages.
 * @param size The `sizeof` that the header's struct has, in bytes.
 * @param fields The fields in order, holes included ({@linkcode PADDING} or
 * `bytes(n)`).
 * @throws {TypeError} If a hole is not named, a name comes twice, `PADDING`
 * stands where C leaves no hole, or the total is not `size`.
 *
 * **Safety**: plain data; no memory is touched.
 */
export function layout<const Fields extends readonly Field[]>(
  name: string,
  size: number,
  fields: Fields,
  options: LayoutOptions = {},
): Layout<Fields[number][0]> {
  const packed = options.packed ?? false;
  const typeAlignment = (type: FieldType) => packed ? 1 : type.alignment;
  const structAlignment = fields.reduce(
    (most, [, type]) => Math.max(most, typeAlignment(type)),
    1,
  );
  const at: Record<string, number> = {};
  let offset = 0;
  for (const [index, [fieldName, type]] of fields.entries()) {
    if (Object.hasOwn(at, fieldName)) {
      throw new TypeError(
        `Cannot lay out ${name}: field "${fieldName}" comes twice`,
      );
    }
    if (type === PADDING) {
      const next = fields[index + 1];
      const end = alignUp(
        offset,
        next === undefined ? structAlignment : typeAlignment(next[1]),
      );
      if (end === offset) {
        throw new TypeError(
          `Cannot lay out ${name}: there is no hole at "${fieldName}", offset ${offset}`,
        );
      }
      at[fieldName] = offset;
      offset = end;
      continue;
    }
    const aligned = alignUp(offset, typeAlignment(type));
    if (aligned !== offset) {
      throw new TypeError(
        `Cannot lay out ${name}: unnamed hole of ${
          aligned - offset
        } bytes before "${fieldName}", offset ${offset}`,
      );
    }
    at[fieldName] = offset;
    offset += type.size;
  }
  const end = alignUp(offset, structAlignment);
  if (end !== offset) {
    throw new TypeError(
      `Cannot lay out ${name}: unnamed hole of ${
        end - offset
      } bytes at the end`,
    );
  }
  if (offset !== size) {
    throw new TypeError(
      `Cannot lay out ${name}: the fields take ${offset} bytes, not ${size}`,
    );
  }
  return Object.freeze({
    name,
    size,
    alignment: structAlignment,
    at: Object.freeze(at) as { readonly [K in Fields[number][0]]: number },
  });
}
