/**
 * Users and groups by name, from wherever the machine has them (files, LDAP).
 *
 * @module
 */
import { bytes, layout, LITTLE_ENDIAN, PADDING, U32, U64 } from "./layout.ts";
import { cString } from "./libc.ts";

const SYMBOLS = {
  /** struct passwd *getpwnam(const char *name) */
  getpwnam: { parameters: ["buffer"], result: "pointer" },
  /** struct group *getgrnam(const char *name) */
  getgrnam: { parameters: ["buffer"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

const PASSWD = layout("passwd", 48, [
  ["pw_name", U64],
  ["pw_passwd", U64],
  ["pw_uid", U32],
  ["pw_gid", U32],
  ["_rest", bytes(24)],
]);
const GROUP = layout("group", 32, [
  ["gr_name", U64],
  ["gr_passwd", U64],
  ["gr_gid", U32],
  ["_hole", PADDING],
  ["gr_mem", U64],
]);

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/**
 * The id of the user of this name; undefined if there is none.
 *
 * **Blocking**: as long as the machine's user database takes.
 * **Safety**: reads libc's own record before anything else can overwrite it.
 */
export function findUserId(name: string): number | undefined {
  return numberAt(symbols().getpwnam(cString(name)), PASSWD.at.pw_uid);
}

/**
 * The id of the group of this name; undefined if there is none.
 *
 * **Blocking**: as long as the machine's group database takes.
 * **Safety**: reads libc's own record before anything else can overwrite it.
 */
export function findGroupId(name: string): number | undefined {
  return numberAt(symbols().getgrnam(cString(name)), GROUP.at.gr_gid);
}

function numberAt(
  record: Deno.PointerValue,
  offset: number,
): number | undefined {
  if (record === null) return undefined;
  const view = new DataView(
    Deno.UnsafePointerView.getArrayBuffer(record, offset + 4),
  );
  return view.getUint32(offset, LITTLE_ENDIAN);
}
