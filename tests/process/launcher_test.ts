/** `scripts/gpioagg`: which Deno it runs, and what it hands to a VMM. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { LIBGPIOD_NAMES } from "../../src/cli/libgpiod_names.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { lacksRoot } from "../doubles/skipped.ts";
import {
  launch,
  LAUNCHER,
  machineEnvironment,
  makeCheckout,
  withPrograms,
} from "./launcher_rig.ts";

const TOOLS = Object.values(LIBGPIOD_NAMES);
const PIN = (await Deno.readTextFile(`${REPOSITORY}/.deno-version`)).trim();

/** An `npm` that packs a program of its own and records how it was called. */
async function addNpm(directory: string, path: string): Promise<void> {
  const script = `#!/bin/sh
printf '%s\\n' "$@" >'${directory}/npm-arguments'
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) ls -A "$2" >'${directory}/prefix-holds' ;;
    --pack-destination) destination=$2 ;;
  esac
  shift
done
mkdir '${directory}/package'
printf '#!/bin/sh\\n: >${directory}/was-run\\necho deno ${PIN} x\\n' \\
  >'${directory}/package/deno'
chmod +x '${directory}/package/deno'
for platform in linux-x64-glibc linux-arm64-glibc; do
  tar -C '${directory}' -czf "$destination/deno-$platform-${PIN}.tgz" package
done
`;
  await Deno.writeTextFile(`${path}/npm`, script, { mode: 0o755 });
}

Deno.test("the launcher runs no Deno whose checksum is not the pinned one", async () => {
  await withPrograms(async (directory, path) => {
    await addNpm(directory, path);
    const cache = `${directory}/cache`;
    const { code, stdout, stderr } = await launch(["--version"], {
      PATH: path,
      HOME: directory,
      GPIOAGG_CACHE: cache,
    });
    assertEquals(code, 1);
    assertEquals(stdout, "");
    assertStringIncludes(stderr, "is not the file that");
    assertStringIncludes(stderr, "deno.sha512");
    for (const name of [`${cache}/deno-${PIN}`, `${directory}/was-run`]) {
      assert(!await exists(name), `${name} is there`);
    }
  });
});

/** Returns the home of the owner of this checkout. */
async function homeOfOwner(): Promise<string> {
  const { stdout } = await new Deno.Command("bash", {
    args: ["-c", `eval echo ~$(stat -c %U '${REPOSITORY}')`],
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("without a home the launcher says what is missing, and no more", async () => {
  await withPrograms(async (directory, path) => {
    const checkout = await makeCheckout(directory, {});
    // A version that no cache has.
    await Deno.writeTextFile(`${checkout}/.deno-version`, "99.0.0\n");
    const { code, stdout, stderr } = await launch(
      ["safe", "sim/1,safe=0"],
      { PATH: path, HOME: "/proc/none" },
      "/",
      `${checkout}/scripts/gpioagg`,
    );
    assertEquals([code, stdout], [1, ""]);
    assertEquals(
      stderr,
      "gpioagg: no Deno 99.0.0 or newer on PATH or in a cache, and " +
        "/proc/none/.cache/gpioagg cannot be written\n  put Deno on PATH, " +
        "or set GPIOAGG_CACHE to a directory that has it or can be written\n",
    );
    // With Deno on PATH the program runs, and nothing else is said. Its packages
    // are in the cache of the checkout's owner, where it has run before.
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    await launch(["--version"], {
      ...machineEnvironment(),
      PATH: path,
      HOME: await homeOfOwner(),
    });
    const { code: found, stderr: said } = await launch(
      ["--version"],
      { ...machineEnvironment(), PATH: path, HOME: "/proc/none" },
    );
    assertEquals([found, said], [0, ""]);
  });
});

Deno.test("the launcher works from a removed directory, and takes no relative home", async () => {
  await withPrograms(async (directory, path) => {
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    const gone = `${directory}/gone`;
    await Deno.mkdir(gone);
    const home = await homeOfOwner();
    // Neither the launcher nor its shell is told where it is.
    const { code, stdout, stderr } = await new Deno.Command("/bin/bash", {
      args: [
        "-c",
        'cd "$1" && rmdir "$1" && exec env -i PATH="$2" HOME="$3" "$4" --version',
        ...["bash", gone, path, home, LAUNCHER],
      ],
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stderr);
    assertEquals(code, 0, said);
    assert(/^gpioagg [\d.]+\n$/.test(new TextDecoder().decode(stdout)), said);
    assert(!said.includes("unbound"), said);

    const work = `${directory}/work`;
    await Deno.mkdir(work);
    await launch(["--version"], {
      PATH: path,
      HOME: "relative",
      XDG_CACHE_HOME: "other",
      // Nothing listens there.
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
    }, work);
    assertEquals([...Deno.readDirSync(work)], []);
  });
});

Deno.test("without its packages the program says which it cannot get, and what to do", async () => {
  await withPrograms(async (directory, path) => {
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    for (const args of [["--version"], ["safe", "sim/1,safe=0"]]) {
      const { code, stdout, stderr } = await launch(args, {
        PATH: path,
        HOME: directory,
        // Nothing listens there.
        NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
      });
      assertEquals([code, stdout], [1, ""]);
      assert(
        /^gpioagg: Cannot get deno-std@[\d.]+, a package of this program: .*; run it once where .*, or set DENO_DIR to a directory that has it\n$/
          .test(stderr),
        stderr,
      );
    }
  });
});

Deno.test("npm is told of an empty prefix: an .npmrc of the working directory says nothing", async () => {
  await withPrograms(async (directory, path) => {
    await addNpm(directory, path);
    const work = `${directory}/work`;
    await Deno.mkdir(work);
    await Deno.writeTextFile(`${work}/.npmrc`, "registry=http://127.0.0.1:9/");
    await launch(["--version"], {
      PATH: path,
      HOME: directory,
      GPIOAGG_CACHE: `${directory}/cache`,
    }, work);
    const args = await Deno.readTextFile(`${directory}/npm-arguments`);
    assertStringIncludes(args, "\n--prefix\n");
    assertEquals(await Deno.readTextFile(`${directory}/prefix-holds`), "");
  });
});

Deno.test("both architectures have a pinned checksum of the pinned version", async () => {
  const text = await Deno.readTextFile(
    `${REPOSITORY}/scripts/lib/deno.sha512`,
  );
  for (const platform of ["linux-x64-glibc", "linux-arm64-glibc"]) {
    assert(
      new RegExp(`^[0-9a-f]{128}  deno-${platform}-${PIN}\\.tgz$`, "m")
        .test(text),
      platform,
    );
  }
});

Deno.test("the launcher runs no Deno from the working directory", async () => {
  await withPrograms(async (directory, path) => {
    const work = `${directory}/work`;
    await Deno.mkdir(`${work}/bin`, { recursive: true });
    for (const place of [work, `${work}/bin`]) {
      await Deno.writeTextFile(
        `${place}/deno`,
        `#!/bin/sh\n: >${directory}/was-run\necho deno ${PIN} x\n`,
        { mode: 0o755 },
      );
    }
    for (const relative of ["", ".", "bin", "./bin"]) {
      // Another one may be found, or none.
      await launch(["--version"], {
        PATH: `${path}:${relative}`,
        HOME: directory,
        GPIOAGG_CACHE: "/dev/null/none",
      }, work);
      assert(!await exists(`${directory}/was-run`), relative);
    }
  });
});

Deno.test({
  name: "the launcher uses no directory of Deno's that is another user's",
  ignore: lacksRoot("files of another user"),
  fn: async () => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-launcher-" });
    try {
      await Deno.chown(directory, 65534, 65534);
      const { code, stderr } = await launch(["--version"], {
        PATH: `${Deno.execPath().replace(/\/[^/]*$/, "")}:/usr/bin:/bin`,
        HOME: "/root",
        DENO_DIR: directory,
      });
      assertEquals(code, 1);
      assertStringIncludes(stderr, `no program is run from ${directory}`);
      assertStringIncludes(stderr, "set DENO_DIR");
      assertEquals([...Deno.readDirSync(directory)], []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("every base of the image is named by its contents", async () => {
  const text = await Deno.readTextFile(`${REPOSITORY}/scripts/Containerfile`);
  const values = new Map(
    [...text.matchAll(/^ARG (\w+)=(.*)$/gm)].map(([, name, value]) =>
      [name!, value!] as const
    ),
  );
  const stages = new Set(["scratch"]);
  const bases = [...text.matchAll(/^FROM +(\S+)(?: +AS +(\S+))?$/gim)];
  assertEquals(bases.length, [...text.matchAll(/^\s*FROM\b/gim)].length);
  let pulled = 0;
  for (const [, named, stage] of bases) {
    const base = named!.replace(
      /\$\{?(\w+)\}?/g,
      (_, name: string) => values.get(name) ?? "",
    );
    if (!stages.has(base)) {
      assertMatch(base, /^[^\s@]+@sha256:[0-9a-f]{64}$/);
      pulled++;
    }
    if (stage !== undefined) stages.add(stage);
  }
  assert(pulled > 0);
  // Nor does a step copy from an image of another name.
  for (const [, from] of text.matchAll(/--from=(\S+)/g)) {
    assert(stages.has(from!), from);
  }
});

Deno.test({
  name: "the launcher runs no program from a cache of another user",
  ignore: lacksRoot("files of another user"),
  fn: async () => {
    await withPrograms(async (directory, path) => {
      const home = `${directory}/cache/deno-${PIN}`;
      await Deno.mkdir(home, { recursive: true });
      await Deno.writeTextFile(
        `${home}/deno`,
        `#!/bin/sh\n: >${directory}/was-run\n`,
        { mode: 0o755 },
      );
      for (const owned of [`${directory}/cache`, home, `${home}/deno`]) {
        await Deno.chown(owned, 65534, 65534);
        const { code, stderr } = await launch(["--version"], {
          PATH: path,
          HOME: directory,
          GPIOAGG_CACHE: `${directory}/cache`,
        });
        assertEquals(code, 1);
        assertStringIncludes(stderr, `no program is run from ${owned}`);
        await Deno.chown(owned, 0, 0);
      }
      // Its owner alone is not enough.
      await Deno.chmod(`${directory}/cache`, 0o777);
      const { stderr } = await launch(["--version"], {
        PATH: path,
        HOME: directory,
        GPIOAGG_CACHE: `${directory}/cache`,
      });
      assertStringIncludes(stderr, "no program is run from");
      assert(!await exists(`${directory}/was-run`), "it was run");
    });
  },
});

Deno.test("no configuration above the checkout decides what is run", async () => {
  await withPrograms(async (directory, path) => {
    const checkout = await makeCheckout(directory, {
      main:
        'import * as yaml from "@std/yaml"; console.log(Object.keys(yaml));',
    });
    const planted = `${directory}/node_modules/deno-std`;
    await Deno.mkdir(`${planted}/yaml`, { recursive: true });
    await Deno.writeTextFile(
      `${planted}/package.json`,
      '{ "name": "deno-std", "version": "1.4.0", "type": "module" }',
    );
    await Deno.writeTextFile(
      `${planted}/yaml/mod.js`,
      "export const planted = 1;",
    );
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    for (
      const [name, settings] of [
        ["deno.json", { workspace: ["./*"], nodeModulesDir: "manual" }],
        ["package.json", { workspaces: ["./*"] }],
      ] as const
    ) {
      const file = `${directory}/${name}`;
      await Deno.writeTextFile(file, JSON.stringify(settings));
      const { code, stdout, stderr } = await launch(
        [],
        {
          PATH: path,
          HOME: directory,
          GPIOAGG_CACHE: `${directory}/cache`,
          ...machineEnvironment(),
        },
        "/",
        `${checkout}/scripts/gpioagg`,
      );
      assertEquals(code, 0, stderr);
      assertStringIncludes(stdout, '"parse"');
      await Deno.remove(file);
    }
  });
});

Deno.test("by the name of a tool the tools alone are run, which is little to load", async () => {
  await withPrograms(async (directory, path) => {
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    const checkout = await makeCheckout(directory, {
      main: 'console.log("all")',
      tools: 'console.log("tools")',
    });
    for (
      const [name, runs] of [
        [TOOLS[0]!, "tools"],
        [TOOLS.at(-1)!, "tools"],
        ["gpioagg", "all"],
      ] as const
    ) {
      const link = `${directory}/${name}`;
      await Deno.symlink(`${checkout}/scripts/gpioagg`, link);
      const { stdout, stderr } = await launch(
        [],
        {
          PATH: path,
          HOME: directory,
          GPIOAGG_CACHE: `${directory}/cache`,
          ...machineEnvironment(),
        },
        "/",
        link,
      );
      assertEquals([stdout, stderr], [`${runs}\n`, ""], name);
    }
  });
  const text = await Deno.readTextFile(LAUNCHER);
  for (const tool of TOOLS) assertMatch(text, new RegExp(`\\b${tool}\\b`));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "src/cli/tools.ts"],
    cwd: REPOSITORY,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(
    modules.map(({ specifier }: { specifier: string }) => specifier)
      .filter((name: string) => /^npm:|\/src\/(service|vm|web)\//.test(name)),
    [],
  );
});

Deno.test("a VMM gets none of the variables of the launcher and of Deno", async () => {
  await withPrograms(async (directory, path) => {
    // The program alone, without Node.js beside it: Deno puts a substitute of
    // its own into PATH then.
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    const env = {
      PATH: path,
      HOME: directory,
      GPIOAGG_CACHE: `${directory}/cache`,
      // Certificates and proxies of the machine are needed for the one package.
      ...machineEnvironment(),
      KEPT: "yes",
    };
    const { code, stderr, stdout } = await launch([
      "run",
      "--line",
      "sim/1",
      "--",
      "env",
      "SOCKET={socket}",
    ], env);
    assertEquals(code, 0, stderr);
    const names = stdout.trim().split("\n").map((line) => line.split("=")[0]!);
    const foreign = names.filter((name) =>
      !Object.hasOwn(env, name) && name !== "GPIOAGG_CACHE" &&
      // Those are of the shells on the way.
      !["SOCKET", "PWD", "SHLVL", "_", "OLDPWD", "LC_ALL"].includes(name)
    );
    assertEquals(foreign, []);
    assertStringIncludes(stdout, `\nPATH=${path}\n`);
    assertStringIncludes(stdout, "\nKEPT=yes\n");
  });
});

function exists(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}

/** Settings of a launch with this test's Deno on PATH. */
async function withDeno(
  action: (
    directory: string,
    env: Record<string, string>,
  ) => Promise<void>,
): Promise<void> {
  await withPrograms(async (directory, path) => {
    await Deno.symlink(Deno.execPath(), `${path}/deno`);
    await action(directory, {
      PATH: path,
      HOME: directory,
      GPIOAGG_CACHE: `${directory}/cache`,
      ...machineEnvironment(),
    });
  });
}

Deno.test("the launcher's cache is for its owner alone to write, whatever the umask", () =>
  withDeno(async (directory, env) => {
    const checkout = await makeCheckout(directory, { main: "" });
    const before = Deno.umask(0);
    try {
      const { code, stderr } = await launch(
        [],
        env,
        "/",
        `${checkout}/scripts/gpioagg`,
      );
      assertEquals(code, 0, stderr);
    } finally {
      Deno.umask(before);
    }
    const cache = `${directory}/cache`;
    const names = [...Deno.readDirSync(cache)].map(({ name }) => name);
    assert(names.includes("deno-on-path"), names.join(" "));
    for (const path of [cache, ...names.map((name) => `${cache}/${name}`)]) {
      assertEquals([path, Deno.statSync(path).mode! & 0o022], [path, 0]);
    }
  }));

Deno.test("the launcher does not wait for a FIFO in its cache, and replaces it", () =>
  withDeno(async (directory, env) => {
    const checkout = await makeCheckout(directory, { main: "" });
    const memory = `${directory}/cache/deno-on-path`;
    await Deno.mkdir(`${directory}/cache`);
    await new Deno.Command("mkfifo", { args: [memory] }).output();
    const { code, stderr } = await launch(
      [],
      env,
      "/",
      `${checkout}/scripts/gpioagg`,
    );
    assertEquals(code, 0, stderr);
    assert(Deno.lstatSync(memory).isFile);
  }));

Deno.test({
  name: "the launcher writes through no link in a cache of another user",
  ignore: lacksRoot("files of another user"),
  fn: () =>
    withDeno(async (directory, env) => {
      const cache = `${directory}/cache`;
      await Deno.mkdir(cache);
      await Deno.writeTextFile(`${directory}/precious`, "precious");
      for (const name of ["deno-on-path", "lock"]) {
        await Deno.symlink(`${directory}/precious`, `${cache}/${name}`);
      }
      await Deno.chown(cache, 65534, 65534);
      for (const isThere of [true, false]) {
        // Without a Deno one is to be got, which takes a lock.
        if (!isThere) await Deno.remove(`${env.PATH}/deno`);
        const { code, stderr } = await launch(["--version"], env);
        assertEquals(code, 1);
        assertStringIncludes(stderr, `no program is run from ${cache}`);
        assertEquals(
          await Deno.readTextFile(`${directory}/precious`),
          "precious",
        );
      }
    }),
});
