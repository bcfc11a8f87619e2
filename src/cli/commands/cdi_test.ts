import { fileStatus } from "../../../ffi/file_status.ts";
import { listenUnix } from "../../../ffi/unix_socket.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { lacksRoot } from "../../../tests/doubles/skipped.ts";
import type { AggregatorState } from "../../client/protocol.ts";
import { NotThereError } from "../not_there.ts";
import type { InventoryChip } from "../../kernel_chip/inventory.ts";
import {
  type CdiSpecification,
  cdiSpecification,
  withoutForeignFiles,
} from "./cdi.ts";

const aggregator = (name: string): AggregatorState => ({
  name,
  lease: "none",
  presentation: `at /run/${name}.sock`,
  socketPath: `/run/gpioagg/vm/${name}.sock`,
  connected: false,
  lines: [],
});
const chipAggregator = (
  name: string,
  path: string,
  present = true,
): AggregatorState => ({
  name,
  lease: "stream",
  presentation: `as ${path}`,
  kernelChip: { path, label: "gpio-aggregator.0", present },
  connected: false,
  lines: [],
});
const chip = (name: string, path?: string): InventoryChip => ({
  name,
  state: "held",
  lines: [],
  ...(path === undefined ? {} : { path }),
});

/**
 * The rules of the published JSON schema (CDI 0.5.0: schema.json, defs.json),
 * for the keys that are used; no others may be there.
 */
function checkSchema(specification: CdiSpecification): void {
  const onlyKeys = (value: object, ...known: string[]) => {
    for (const key of Object.keys(value)) assert(known.includes(key), key);
  };
  const isPath = (text: unknown) =>
    assert(typeof text === "string" && text.startsWith("/"), String(text));
  onlyKeys(specification, "cdiVersion", "kind", "devices", "containerEdits");
  assert(/^[0-9]+\.[0-9]+\.[0-9]+$/.test(specification.cdiVersion));
  // vendor/class: both begin with a letter and end with a letter or digit.
  assert(
    /^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?\/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$/
      .test(specification.kind),
  );
  assert(specification.devices.length > 0);
  const names = specification.devices.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  for (const device of specification.devices) {
    onlyKeys(device, "name", "annotations", "containerEdits");
    assert(/^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/.test(device.name));
    const edits = device.containerEdits;
    onlyKeys(edits, "env", "deviceNodes", "hooks", "mounts");
    assert(Object.keys(edits).length > 0);
    for (const variable of edits.env ?? []) {
      assert(/^[A-Z_][A-Z0-9_]*=/.test(variable), variable);
    }
    for (const node of edits.deviceNodes ?? []) {
      onlyKeys(node, "path", "permissions", "fileMode", "uid", "gid");
      isPath(node.path);
      assert(/^[rwm]+$/.test(node.permissions ?? "rwm"));
    }
    for (const mount of edits.mounts ?? []) {
      onlyKeys(mount, "hostPath", "containerPath", "options", "type");
      isPath(mount.hostPath);
      isPath(mount.containerPath);
      assert(mount.options.every((option) => typeof option === "string"));
    }
  }
}

Deno.test("cdiSpecification() obeys the schema's rules", () => {
  const { specification } = cdiSpecification(
    [aggregator("plc0"), aggregator("plc-1.b")],
    [chip("lamps", "/dev/gpiochip7"), chip("gone"), chip("", "/dev/gpiochip0")],
  );
  checkSchema(specification);
  assertEquals(specification.devices.map(({ name }) => name), [
    "plc0",
    "plc-1.b",
    "lamps",
  ]);
  assertEquals(specification.devices[1]?.containerEdits.env, [
    "GPIOAGG_PLC_1_B=/run/gpioagg/plc-1.b.sock",
  ]);
  assertEquals(specification.devices[2]?.containerEdits.deviceNodes, [
    { path: "/dev/gpiochip7", permissions: "rw" },
  ]);
});

Deno.test("cdiSpecification() hands a kernel chip of the service over as its device node, once", () => {
  const { specification } = cdiSpecification(
    [
      aggregator("plc0"),
      chipAggregator("press", "/dev/gpiochip3"),
      chipAggregator("taken-down", "/dev/gpiochip4", false),
    ],
    // Its record is on this machine too.
    [chip("press", "/dev/gpiochip3"), chip("lamps", "/dev/gpiochip7")],
  );
  checkSchema(specification);
  assertEquals(specification.devices.slice(1), [
    {
      name: "press",
      containerEdits: {
        deviceNodes: [{ path: "/dev/gpiochip3", permissions: "rw" }],
        env: ["GPIOAGG_PRESS=/dev/gpiochip3"],
      },
    },
    {
      name: "lamps",
      containerEdits: {
        deviceNodes: [{ path: "/dev/gpiochip7", permissions: "rw" }],
        env: ["GPIOAGG_LAMPS=/dev/gpiochip7"],
      },
    },
  ]);
});

Deno.test("cdiSpecification() hands a device node over with the access it has here", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.chmod(path, 0o640);
    const { specification } = cdiSpecification([], [chip("lamps", path)]);
    checkSchema(specification);
    const { uid, gid } = fileStatus(path)!;
    assertEquals(specification.devices[0]?.containerEdits.deviceNodes, [
      { path, permissions: "rw", fileMode: 0o640, uid, gid },
    ]);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("cdiSpecification() leaves out what CDI cannot say, and tells of it", () => {
  const { specification, warnings } = cdiSpecification(
    [
      aggregator("_x"),
      aggregator("plc0"),
      aggregator("plc1"),
      { ...aggregator("near"), socketPath: "near.sock" },
    ],
    [chip("a-", "/dev/gpiochip6"), chip("plc0", "/dev/gpiochip7")],
  );
  checkSchema(specification);
  assertEquals(specification.devices.map(({ name }) => name), ["plc1"]);
  const name = "a CDI name must begin and end with a letter or digit";
  assertEquals(warnings, [
    `"_x" is left out: ${name}`,
    '"plc0" is left out: it is an aggregator of the service, and another ' +
    "kernel chip; rename one of them",
    '"near" is left out: its service knows only a relative path of its socket, ' +
    "near.sock",
    `"a-" is left out: ${name}`,
  ]);
});

Deno.test("cdiSpecification() tells of names that have one variable", () => {
  const { specification, warnings } = cdiSpecification(
    [aggregator("a-b"), aggregator("c")],
    [chip("A_b", "/dev/gpiochip7")],
  );
  checkSchema(specification);
  assertEquals(specification.devices.length, 3);
  assertEquals(warnings, [
    '"a-b" and "A_b" have the same variable, GPIOAGG_A_B: a container that gets ' +
    "both sees only one of them",
  ]);
});

/** Of services that are trusted. */
function trusted(
  states: readonly AggregatorState[],
  listNodes?: () => readonly { path: string }[],
) {
  return withoutForeignFiles(
    states.map((state) => ({ state, user: undefined })),
    { areTrusted: true, ...(listNodes === undefined ? {} : { listNodes }) },
  );
}

Deno.test("withoutForeignFiles() leaves out what is not what its service says", async () => {
  const directory = await Deno.makeTempDir();
  const at = (name: string, socketPath: string) => ({
    ...aggregator(name),
    socketPath,
  });
  try {
    using _socket = listenUnix(`${directory}/a.sock`);
    await Deno.writeTextFile(`${directory}/file`, "secret");
    await Deno.symlink(`${directory}/a.sock`, `${directory}/link`);
    const { aggregators, refused } = trusted([
      at("a", `${directory}/a.sock`),
      at("file", `${directory}/file`),
      at("link", `${directory}/link`),
      at("directory", directory),
      // In a container, as far as can be seen from here.
      at("far", `${directory}/far.sock`),
      chipAggregator("null", "/dev/null"),
      chipAggregator("disk", `${directory}/file`),
    ]);
    assertEquals(aggregators.map(({ name }) => name), ["a", "far"]);
    const no = "is not the device node of a GPIO chip";
    assertEquals(refused, [
      `"file" is left out: ${directory}/file is a regular file, not a socket`,
      `"link" is left out: ${directory}/link is a symbolic link, not a socket`,
      `"directory" is left out: ${directory} is a directory, not a socket`,
      `"null" is left out: /dev/null ${no}`,
      `"disk" is left out: ${directory}/file ${no}`,
    ]);
    const both = { ...aggregator("chip"), ...chipAggregator("chip", "/dev/x") };
    assertEquals(
      trusted([both], () => [{ path: "/dev/x" }]).aggregators,
      [both],
    );
    // A link of its service's may lead elsewhere once the engine follows it.
    await Deno.symlink("/dev/null", `${directory}/chip`);
    const linked = chipAggregator("linked", `${directory}/chip`);
    assertEquals(
      trusted([linked], () => [{ path: "/dev/null" }]).refused,
      [`"linked" is left out: ${directory}/chip ${no}`],
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("cdiSpecification() refuses to hand over nothing", () => {
  assertThrows(() => cdiSpecification([], []), NotThereError, "no aggregator");
  const error = assertThrows(
    () => cdiSpecification([aggregator("_a")], []),
    NotThereError,
    "no aggregator",
  );
  assertEquals(
    error.hint,
    '"_a" is left out: a CDI name must begin and end with a letter or digit',
  );
});

const OTHER_USER = 65534;

/** Returns why a socket of a service of this user is left out, if it is. */
function left(socketPath: string, user: number | undefined): string {
  const state = { ...aggregator("a"), socketPath };
  const { aggregators, refused } = withoutForeignFiles([{ state, user }]);
  assertEquals(aggregators.length, refused.length === 0 ? 1 : 0);
  return refused.join("\n");
}

Deno.test({
  name: "withoutForeignFiles() leaves out what its service could exchange",
  ignore: lacksRoot("files of another user"),
  fn: async () => {
    const directory = await Deno.makeTempDir();
    try {
      using _socket = listenUnix(`${directory}/a.sock`);
      const path = `${directory}/a.sock`;
      assertEquals(left(path, 0), "");
      // One that the service did not make, such as that of a container engine.
      assertMatch(
        left(path, OTHER_USER),
        /belongs to user 0, not to its service/,
      );
      assertMatch(left(path, undefined), /whose user is not known/);
      await Deno.chown(path, OTHER_USER, OTHER_USER);
      assertEquals(left(path, OTHER_USER), "");
      // The root of services may give its sockets to others.
      assertEquals(left(path, 0), "");
      // Where all may add files, each may exchange its own.
      await Deno.chmod(directory, 0o1777);
      assertMatch(left(path, OTHER_USER), /every user may write to it/);
      assertEquals(left(path, 0), "");
      await Deno.chmod(directory, 0o755);
      await Deno.chown(directory, OTHER_USER, OTHER_USER);
      for (const user of [0, OTHER_USER]) {
        assertMatch(left(path, user), /exchange .* before it is mounted/);
      }
      // What is not there yet may become anything.
      assertMatch(left(`${directory}/b/b.sock`, 0), /is not there/);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
