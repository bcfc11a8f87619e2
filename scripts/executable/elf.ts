/**
 * Properties of an ELF file: its machine, and the libraries that it needs.
 *
 * @module
 */

/** A 64-bit little-endian ELF file. */
export interface ElfFacts {
  /** As `uname -m` names it, or `machine N`. */
  readonly machine: string;
  /** Shared libraries that it needs, the dynamic loader left out. */
  readonly libraries: readonly string[];
  /** The newest version of the C library that it needs, as `2.27`. */
  readonly glibc: string;
}

/** Program header that is loaded. */
interface Segment {
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

const MACHINES: Readonly<Record<number, string>> = {
  62: "x86_64",
  183: "aarch64",
};
const MAGIC = 0x464c457f;
const CLASS_64_LITTLE_ENDIAN = 0x0102;
const HEADER_BYTES = 64;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const DT_STRSZ = 10n;
const DT_VERNEED = 0x6ffffffen;
const DT_VERNEEDNUM = 0x6fffffffn;
const VERNEED_BYTES = 16;
/** Bytes that a version record and its name's part may take. */
const VERSIONS_BYTES = 64 * 1024;

/**
 * Reads the headers of an ELF file.
 *
 * @throws {Error} If it is not a dynamically linked 64-bit ELF file.
 */
export function readElf(path: string): ElfFacts {
  using file = Deno.openSync(path);
  const at = (offset: number, length: number): DataView => {
    file.seekSync(offset, Deno.SeekMode.Start);
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const count = file.readSync(bytes.subarray(filled));
      if (count === null) break;
      filled += count;
    }
    return new DataView(bytes.buffer, 0, filled);
  };
  const header = at(0, HEADER_BYTES);
  if (
    header.byteLength < HEADER_BYTES || header.getUint32(0, true) !== MAGIC ||
    header.getUint16(4, true) !== CLASS_64_LITTLE_ENDIAN
  ) throw new Error(`${path} is not a 64-bit ELF file`);
  const machine = header.getUint16(18, true);
  const { segments, dynamic } = programHeaders(header, at);
  if (dynamic === undefined) throw new Error(`${path} is linked statically`);

  const entries = at(dynamic.offset, dynamic.size);
  const needed: number[] = [];
  const values = new Map<bigint, number>();
  for (let i = 0; i + 16 <= entries.byteLength; i += 16) {
    const tag = entries.getBigInt64(i, true);
    const value = Number(entries.getBigUint64(i + 8, true));
    if (tag === DT_NEEDED) needed.push(value);
    else values.set(tag, value);
  }
  const stringsAt = fileOffset(segments, values.get(DT_STRTAB) ?? 0);
  const strings = at(stringsAt, values.get(DT_STRSZ) ?? 0);
  const records = at(
    fileOffset(segments, values.get(DT_VERNEED) ?? 0),
    VERSIONS_BYTES,
  );
  const versions = neededVersions(
    records,
    values.get(DT_VERNEEDNUM) ?? 0,
    strings,
  );
  return {
    machine: MACHINES[machine] ?? `machine ${machine}`,
    libraries: needed.map((offset) => textAt(strings, offset))
      .filter((name) => !name.startsWith("ld-linux")).sort(),
    glibc: versions.flatMap((name) => /^GLIBC_([\d.]+)$/.exec(name)?.[1] ?? [])
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1) ?? "",
  };
}

function programHeaders(
  header: DataView,
  at: (offset: number, length: number) => DataView,
): { segments: Segment[]; dynamic: Segment | undefined } {
  const start = Number(header.getBigUint64(32, true));
  const size = header.getUint16(54, true);
  const count = header.getUint16(56, true);
  const table = at(start, size * count);
  const segments: Segment[] = [];
  let dynamic: Segment | undefined;
  for (let i = 0; i + size <= table.byteLength; i += size) {
    const segment = {
      offset: Number(table.getBigUint64(i + 8, true)),
      address: Number(table.getBigUint64(i + 16, true)),
      size: Number(table.getBigUint64(i + 32, true)),
    };
    const type = table.getUint32(i, true);
    if (type === PT_LOAD) segments.push(segment);
    if (type === PT_DYNAMIC) dynamic = segment;
  }
  return { segments, dynamic };
}

/** All names of versions in the chain of records. */
function neededVersions(
  records: DataView,
  count: number,
  strings: DataView,
): string[] {
  const names: string[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + VERNEED_BYTES > records.byteLength) break;
    const parts = records.getUint16(at + 2, true);
    let part = at + records.getUint32(at + 8, true);
    for (let n = 0; n < parts; n++) {
      if (part + VERNEED_BYTES > records.byteLength) break;
      names.push(textAt(strings, records.getUint32(part + 8, true)));
      part += records.getUint32(part + 12, true);
    }
    at += records.getUint32(at + 12, true);
  }
  return names;
}

function fileOffset(segments: readonly Segment[], address: number): number {
  const segment = segments.find((one) =>
    address >= one.address && address < one.address + one.size
  );
  if (segment === undefined) throw new Error("not a loaded address");
  return address - segment.address + segment.offset;
}

function textAt(strings: DataView, offset: number): string {
  const bytes = new Uint8Array(
    strings.buffer,
    strings.byteOffset,
    strings.byteLength,
  ).subarray(offset);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? 0 : end));
}
