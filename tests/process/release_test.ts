/** scripts/release, in a repository of its own whose steps are doubles. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeBeside, setOutputModes } from "../../scripts/releasing/outputs.ts";
import { formatBill } from "../../scripts/releasing/sbom.ts";
import {
  closeChangelog,
  extractChanges,
  testProblem,
  versionProblem,
} from "../../scripts/releasing/texts.ts";
import { REPOSITORY } from "../environment/environment.ts";

Deno.test("a version follows the one before", () => {
  for (const version of ["0.1.1", "0.2.0", "0.10.0", "1.0.0"]) {
    assertEquals(versionProblem(version, "0.1.0"), undefined);
  }
  for (const version of ["0.1.0", "0.0.9"]) {
    assertEquals(
      versionProblem(version, "0.1.0"),
      `${version} does not follow 0.1.0`,
    );
  }
  for (
    const version of ["", "v1.0.0", "1.0", "1.0.0-rc1", "01.0.0", "1.0.0;"]
  ) {
    assert(versionProblem(version, "0.1.0")?.includes("not a valid version"));
  }
});

const CHANGELOG = `# Changelog

## Unreleased

- One thing.

## 0.1.0

- The first.
`;

Deno.test("what was unreleased belongs to the release", () => {
  const closed = closeChangelog(CHANGELOG, "0.2.0", "2026-01-31");
  assertEquals(
    closed,
    CHANGELOG.replace("## Unreleased", "## 0.2.0 (2026-01-31)"),
  );
  assertEquals(extractChanges(closed, "0.2.0"), "- One thing.");
  assertEquals(extractChanges(closed, "0.1.0"), "- The first.");
  for (
    const text of [
      closed,
      "",
      "## Unreleased\n\n## 0.1.0\n\n- Old.\n",
      "## Unreleased\n\nNothing.\n",
    ]
  ) assertThrows(() => closeChangelog(text, "0.3.0", ""), Error, "no entry");
  assertThrows(() => closeChangelog(CHANGELOG, "0.1.0", ""), Error, "already");
});

Deno.test("only tests that all passed allow a release", () => {
  assertEquals(testProblem("noise\n12 passed, 0 failed\n"), undefined);
  for (
    const [text, problem] of [
      ["12 passed, 1 failed", "1 tests failed"],
      ["12 passed, 0 failed, 2 skipped", "2 tests were skipped"],
      ["0 passed, 0 failed", "no test was run"],
      ["12 passed, 0 failed\nKilled", "the tests did not come to their end"],
      ["", "the tests did not come to their end"],
    ] as const
  ) assertEquals(testProblem(text), problem);
});

Deno.test("the bill of materials names all that is in the executable", async () => {
  const lock = await Deno.readTextFile(`${REPOSITORY}/deno.lock`);
  const materials = {
    version: "1.2.3",
    architecture: "aarch64",
    sha256: "0123456789abcdef".repeat(4),
    deno: "2.9.6",
    lock,
    libraries: ["libc.so.6"],
    glibc: "2.27",
    time: "2026-01-31T00:00:00Z",
  };
  const text = formatBill(materials);
  assertEquals(text, formatBill(materials));
  const bill = JSON.parse(text);
  assertEquals(
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/
      .test(bill.serialNumber),
    true,
  );
  const { components } = bill;
  const names = components.map(({ name }: { name: string }) => name);
  assertEquals(names, ["deno", "deno-std", "libc.so.6"]);
  // The checksum of npm, in hexadecimal.
  const [{ alg, content }] = components[1].hashes;
  const { integrity } = JSON.parse(lock).npm["deno-std@1.4.0"];
  assertEquals(alg, "SHA-512");
  const bytes = Uint8Array.from(
    content.match(/../g)!,
    (pair: string) => parseInt(pair, 16),
  );
  assertEquals(`sha512-${btoa(String.fromCharCode(...bytes))}`, integrity);
  assertEquals(
    bill.dependencies[0].dependsOn,
    components.map((one: Record<string, string>) => one["bom-ref"]),
  );
  const bare = JSON.stringify({ npm: { "x@1.0.0": {} } });
  assertThrows(
    () => formatBill({ ...materials, lock: bare }),
    Error,
    "x@1.0.0",
  );
});

/** Commands that a release runs; what they print and leave. */
const STEPS: Readonly<Record<string, string>> = {
  "scripts/test":
    `#!/bin/sh\necho "$GPIOAGG_ALL_ROUNDS $*" >>"$LOG"\necho "\${RESULT:-7 passed, 0 failed}"\n`,
  "scripts/compile.ts": `
const [, target] = Deno.args;
Deno.mkdirSync("dist", { recursive: true });
Deno.copyFileSync("/bin/true", "dist/gpioagg-" + target);
`,
  "scripts/package.ts": `
const [, file, , output] = Deno.args;
Deno.copyFileSync(file, output + "/" + file.split("/").pop() + ".deb");
`,
  "scripts/soak.ts": "",
};
/** podman, in a directory of PATH. */
const PODMAN = `#!/bin/sh
echo "podman $*" >>"$LOG"
[ "$1" = build ] && exit
while [ "$1" != -o ]; do shift; done
echo image >"$2"
`;
const DEB = "#!/bin/sh\n";

/** A repository with one commit, and the release script. */
class Scratch implements AsyncDisposable {
  readonly root: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.root = `${directory}/repository`;
  }

  static async make(): Promise<Scratch> {
    const it = new Scratch(await Deno.makeTempDir({ prefix: "release-" }));
    const write = async (path: string, text: string, mode = 0o644) => {
      await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(path, text, { mode });
    };
    const { root } = it;
    const task = (name: string) => `deno run -q -A scripts/${name}.ts`;
    for (const [path, text] of Object.entries(STEPS)) {
      await write(`${root}/${path}`, text, 0o755);
    }
    await write(`${root}/.gitignore`, "dist\n");
    await write(`${root}/.deno-version`, `${Deno.version.deno}\n`);
    await write(`${root}/CHANGELOG.md`, CHANGELOG);
    await write(`${root}/src/cli/man/roff.ts`, 'export const DATE = "";\n');
    await write(`${root}/mod.ts`, "/** @module */\nexport {};\n");
    await write(
      `${root}/deno.json`,
      JSON.stringify(
        {
          name: "@gpioagg/gpioagg",
          version: "0.1.0",
          license: "MIT",
          exports: "./mod.ts",
          imports: JSON.parse(
            await Deno.readTextFile(`${REPOSITORY}/deno.json`),
          ).imports,
          tasks: {
            compile: task("compile"),
            package: task("package"),
            soak: task("soak"),
          },
        },
        null,
        2,
      ),
    );
    for (
      const path of [
        "deno.lock",
        "scripts/release.ts",
        "scripts/releasing/outputs.ts",
        "scripts/releasing/sbom.ts",
        "scripts/releasing/texts.ts",
        "scripts/executable/elf.ts",
      ]
    ) {
      await write(
        `${root}/${path}`,
        await Deno.readTextFile(`${REPOSITORY}/${path}`),
      );
    }
    await write(`${it.#directory}/bin/podman`, PODMAN, 0o755);
    for (const name of ["dpkg-deb", "gzip"]) {
      await write(`${it.#directory}/bin/${name}`, DEB, 0o755);
    }
    await it.git("init", "-q", "-b", "main");
    await it.git("add", "-A");
    await it.git("commit", "-q", "-m", "first");
    return it;
  }

  async git(...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("git", {
      args,
      cwd: this.root,
      env: this.#env,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim();
  }

  async release(
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; said: string }> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", `${this.root}/scripts/release.ts`, ...args],
      env: { ...this.#env, ...env },
    }).output();
    const text = new TextDecoder();
    return { code, said: text.decode(stderr) + text.decode(stdout) };
  }

  /** Requests to the steps. */
  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.#directory}/log`).catch(() => "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }

  get #env(): Record<string, string> {
    return {
      NO_COLOR: "1",
      LOG: `${this.#directory}/log`,
      PATH: `${this.#directory}/bin:${Deno.env.get("PATH")}`,
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_AUTHOR_NAME: "a",
      GIT_AUTHOR_EMAIL: "a@example.org",
      GIT_COMMITTER_NAME: "a",
      GIT_COMMITTER_EMAIL: "a@example.org",
    };
  }
}

Deno.test("a release has all files, a commit and a tag", async () => {
  await using it = await Scratch.make();
  const { code, said } = await it.release(["0.2.0"]);
  assertEquals(code, 0, said);
  const output = `${it.root}/dist/0.2.0`;
  const names = [...Deno.readDirSync(output)].map(({ name }) => name).sort();
  assertEquals(names, [
    "CHANGES.md",
    "SHA256SUMS",
    "gpioagg-0.2.0-aarch64",
    "gpioagg-0.2.0-aarch64.cdx.json",
    "gpioagg-0.2.0-aarch64.oci.tar",
    "gpioagg-0.2.0-x86_64",
    "gpioagg-0.2.0-x86_64.cdx.json",
    "gpioagg-0.2.0-x86_64.oci.tar",
    "gpioagg-aarch64.deb",
    "gpioagg-x86_64.deb",
  ]);
  const checked = await new Deno.Command("sha256sum", {
    args: ["--check", "--strict", "SHA256SUMS"],
    cwd: output,
  }).output();
  assert(checked.success);
  assertEquals(
    await Deno.readTextFile(`${output}/CHANGES.md`),
    "- One thing.\n",
  );
  assertEquals(await it.git("describe", "--exact-match"), "v0.2.0");
  assertEquals(await it.git("status", "--porcelain"), "");
  assertEquals(
    JSON.parse(await Deno.readTextFile(`${it.root}/deno.json`)).version,
    "0.2.0",
  );
  const log = await it.log();
  assert(/^1 unit .* executable:all .* arm64 uml-guest$/m.test(log), log);
  assert(log.includes("--platform linux/arm64"), log);
});

Deno.test("a release that cannot be made leaves the checkout as it was", async () => {
  await using it = await Scratch.make();
  const head = await it.git("rev-parse", "HEAD");
  for (
    const [result, problem] of [
      ["7 passed, 0 failed, 1 skipped", "release: 1 tests were skipped"],
      ["7 passed, 2 failed", "release: 2 tests failed"],
    ] as const
  ) {
    const { code, said } = await it.release(["0.2.0"], { RESULT: result });
    assertEquals(code, 1);
    assert(said.includes(problem), said);
  }
  for (
    const [args, status, problem] of [
      [["0.1.0", "--check"], 1, "0.1.0 does not follow 0.1.0"],
      [["0.2.0", "--output", it.root], 1, "exists already"],
      [["--check"], 2, "needs one version"],
      [["0.2.0", "0.3.0"], 2, "needs one version"],
      [["0.2.0", "--chekc"], 2, "unknown option --chekc"],
    ] as const
  ) {
    const { code, said } = await it.release(args);
    assertEquals(code, status, said);
    assert(said.includes(problem), said);
  }
  assertEquals(await it.git("rev-parse", "HEAD"), head);
  assertEquals(await it.git("tag"), "");
  assertEquals(await it.git("status", "--porcelain"), "");

  await Deno.writeTextFile(`${it.root}/CHANGELOG.md`, "# Changelog\n");
  const { code, said } = await it.release(["0.2.0", "--check"]);
  assertEquals(code, 1);
  // Everything at once.
  assert(said.includes("no entry") && said.includes("has changes"), said);
});

Deno.test("what is made beside an output is in a directory of this user's alone", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-release-" });
  const before = Deno.umask(0);
  try {
    const output = `${directory}/dist/gpioagg`;
    const made = [await makeBeside(output), await makeBeside(output)];
    // Each has a name of its own, which is not that of the process either.
    assertEquals(new Set(made).size, 2);
    for (const path of made) {
      assert(path.startsWith(`${output}.new-`), path);
      assert(!path.endsWith(String(Deno.pid)), path);
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o700);
    }
    setOutputModes();
    await Deno.writeTextFile(`${directory}/file`, "");
    await Deno.mkdir(`${directory}/directory`);
    assertEquals((await Deno.stat(`${directory}/file`)).mode! & 0o777, 0o644);
    assertEquals(
      (await Deno.stat(`${directory}/directory`)).mode! & 0o777,
      0o755,
    );
  } finally {
    Deno.umask(before);
    await Deno.remove(directory, { recursive: true });
  }
});
