import { assertEquals, assertThrows } from "@std/assert";
import { redirectFiles } from "../tests/doubles/redirected_files.ts";
import { ownCommand, startableCommand } from "./own_command.ts";

const { makeTempDirSync } = Deno;

/** A process whose program and command line are chosen. */
interface Rig extends Disposable {
  readonly directory: string;
  /** Directories that were made for copies. */
  readonly made: string[];
}

/**
 * Plays a process.
 *
 * @param link Target of `/proc/self/exe`, below a directory of its own.
 * @param options `text`: content of the running program; absent: it cannot be
 * read. `unusable`: directories in which nothing can be made; undefined is the
 * default one. `hasRuntime`: set if there is an `$XDG_RUNTIME_DIR`. `isShared`:
 * set if every user may replace files in the default directory.
 */
function play(
  link: string,
  {
    text,
    unusable = [],
    standalone = false,
    hasRuntime = false,
    isShared = false,
  }: {
    text?: string;
    unusable?: readonly (string | undefined)[];
    standalone?: boolean;
    hasRuntime?: boolean;
    isShared?: boolean;
  } = {},
): Rig {
  const stack = new DisposableStack();
  const directory = makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  Deno.writeTextFileSync(
    `${directory}/cmdline`,
    ["deno", "run", "", "main.ts", "serve", ""].map((word) => `${word}\0`)
      .join(""),
  );
  if (text !== undefined) {
    Deno.writeTextFileSync(`${directory}/running`, text);
  }
  stack.use(redirectFiles({
    files: {
      "/proc/self/cmdline": `${directory}/cmdline`,
      "/proc/self/exe": `${directory}/running`,
    },
    links: { "/proc/self/exe": `${directory}/${link}` },
  }));
  const made: string[] = [];
  const shared = `${directory}/shared`;
  if (isShared) {
    Deno.mkdirSync(shared);
    Deno.chmodSync(shared, 0o777);
  }
  const runtime = `${directory}/runtime`;
  if (hasRuntime) Deno.mkdirSync(runtime, { mode: 0o700 });
  const { build, env } = Deno;
  Object.defineProperty(Deno, "build", {
    configurable: true,
    value: { ...build, standalone },
  });
  Object.defineProperty(Deno, "env", {
    configurable: true,
    value: { get: () => hasRuntime ? runtime : undefined },
  });
  Object.assign(Deno, {
    makeTempDirSync: (options: Deno.MakeTempOptions = {}) => {
      if (unusable.includes(options.dir)) throw new Error("it is full");
      const path = makeTempDirSync(
        isShared && options.dir === undefined
          ? { ...options, dir: shared }
          : options,
      );
      made.push(path);
      return path;
    },
  });
  stack.defer(() => {
    Object.assign(Deno, { makeTempDirSync });
    for (const [name, value] of Object.entries({ build, env })) {
      Object.defineProperty(Deno, name, { configurable: true, value });
    }
  });
  return { directory, made, [Symbol.dispose]: () => stack.dispose() };
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test("the own command has no own arguments, and keeps empty words", () => {
  using it = play("deno");
  assertEquals(ownCommand(2), {
    path: `${it.directory}/deno`,
    argv: ["deno", "run", "", "main.ts"],
  });
  assertEquals(ownCommand(0).argv.at(-1), "");
});

Deno.test("the path of a replaced file is that of the new one", () => {
  using it = play("deno (deleted)");
  assertEquals(ownCommand(2).path, `${it.directory}/deno`);
  // A file may be called so.
  Deno.writeTextFileSync(`${it.directory}/deno (deleted)`, "");
  assertEquals(ownCommand(2).path, `${it.directory}/deno (deleted)`);
  using command = startableCommand(2);
  assertEquals(command.path, `${it.directory}/deno (deleted)`);
});

Deno.test("a script whose Deno was removed is started by what still runs", () => {
  using it = play("deno (deleted)");
  using command = startableCommand(2);
  assertEquals([command.path, command.argv], [
    "/proc/self/exe",
    ["deno", "run", "", "main.ts"],
  ]);
  assertEquals(it.made, []);
});

Deno.test("an executable that is there is not copied", () => {
  using it = play("gpioagg", { standalone: true });
  using command = startableCommand(2);
  assertEquals([command.path, it.made], [`${it.directory}/gpioagg`, []]);
});

Deno.test("an executable that was removed is copied for its user alone, until disposed", () => {
  // More than a piece, and no whole number of pieces.
  const text = "0123456789abcdef".repeat(150_001);
  using it = play("gpioagg (deleted)", { text, standalone: true });
  {
    using command = startableCommand(2);
    const [directory] = it.made;
    assertEquals(command.path, `${directory}/gpioagg`);
    assertEquals(Deno.readTextFileSync(command.path) === text, true);
    assertEquals(
      [command.path, directory!].map((path) =>
        Deno.statSync(path).mode! & 0o777
      ),
      [0o700, 0o700],
    );
  }
  assertEquals(it.made.map(exists), [false]);
});

Deno.test("a copy that another process has removed is not missed", () => {
  using it = play("gpioagg (deleted)", { text: "x", standalone: true });
  using _command = startableCommand(2);
  Deno.removeSync(it.made[0]!, { recursive: true });
});

Deno.test("a copy goes to the user's runtime directory if there is no other room", () => {
  using it = play("gpioagg (deleted)", {
    text: "x",
    standalone: true,
    unusable: [undefined],
    hasRuntime: true,
  });
  using command = startableCommand(2);
  assertEquals(command.path.startsWith(`${it.directory}/runtime/`), true);
  assertEquals(Deno.readTextFileSync(command.path), "x");
});

Deno.test("no copy is made where another user could replace it", () => {
  using it = play("gpioagg (deleted)", {
    text: "x",
    standalone: true,
    hasRuntime: true,
    isShared: true,
  });
  using command = startableCommand(2);
  assertEquals(command.path.startsWith(`${it.directory}/runtime/`), true);
  assertEquals(it.made.map(exists), [false, true]);
});

Deno.test("a program that cannot be copied anywhere leaves nothing, and says why", () => {
  using it = play("gpioagg (deleted)", {
    standalone: true,
    unusable: ["/run", "/dev/shm"],
    hasRuntime: true,
  });
  const { message } = assertThrows(() => startableCommand(2), Error);
  assertEquals(
    message.startsWith(
      "The program's file was removed, and cannot be copied: ",
    ),
    true,
  );
  // The default directory and the user's took it, but it could not be read.
  assertEquals([it.made.length, it.made.filter(exists)], [2, []]);
  assertEquals(message.match(/No such file|ENOENT/g)?.length, 2);
  assertEquals(message.endsWith("; it is full; it is full"), true);
});
