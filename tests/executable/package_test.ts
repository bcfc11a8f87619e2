/** The Debian packages, as dpkg of Debian 12 and 13 takes them. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import {
  OTHER_VERSION,
  TO_OTHER_VERSION,
} from "../environment/other_version.ts";
import { DATE } from "../../src/cli/man/roff.ts";
import { EXECUTABLE, lacksExecutable } from "../environment/program.ts";
import { lacksTool, runTool } from "../environment/tool.ts";

const ignore = lacksExecutable() ||
  await mustSkip("bookwormSystem", "trixieSystem");

const TOOLS = ["detect", "get", "info", "mon", "notify", "set"];

/**
 * Function for sh: installs packages while a service runs, whose line has another
 * value than at its start; tells the value after it.
 */
const UPGRADE_DURING_SERVICE = `
upgrade() {
  gpioagg serve --socket-path /run/x.sock --line sim/1,as=BUTTON >/run/log 2>&1 &
  until [ -S /run/x.sock.control ]; do kill -0 $!; sleep 0.1; done
  gpioagg sim /run/x.sock BUTTON=1 >/dev/null
  for package; do dpkg --install "$package" >/dev/null; done
  value=$(gpioagg sim /run/x.sock --json | sed -n 's/.*"value":\\([01]\\).*/\\1/p')
  case $(readlink /proc/$!/exe) in *deleted*) what=replaced ;; *) what=kept ;; esac
  kill $!
  wait $! || { cat /run/log; return 1; }
  echo "BUTTON is $value, of a program that was $what"
}
`;

/** Has a package, in place, be of the other version, as its program is. */
const CHANGE_VERSION = `
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT
dpkg-deb --raw-extract "$1" "$tree"
sed -i 's/^Version: .*/Version: ${OTHER_VERSION}/' "$tree/DEBIAN/control"
program=usr/bin/gpioagg
if [ -f "$tree/$program" ]; then
  ${TO_OTHER_VERSION} <"$tree/$program" >"$tree.program"
  cat "$tree.program" >"$tree/$program"
  rm "$tree.program"
  sum=$(cd "$tree" && md5sum $program)
  sed -i "s|.* $program\$|$sum|" "$tree/DEBIAN/md5sums"
fi
dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$1"
`;

/** The packages of the executable under test, and the next ones, made once. */
let made: Promise<string> | undefined;

async function make(): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-packages-" });
  // The umask of who makes them is no matter of those who install them.
  const umask = Deno.umask(0);
  const making = runTool(Deno.execPath(), [
    "run",
    "-q",
    "--config",
    `${REPOSITORY}/deno.json`,
    "-P=compile",
    `${REPOSITORY}/scripts/package.ts`,
    "--executable",
    EXECUTABLE!,
    "--output",
    directory,
    "--compression",
    "gzip",
  ]);
  Deno.umask(umask);
  const { success, output } = (await making)!;
  assert(success, output);
  for await (const { name } of Deno.readDir(directory)) {
    const file = `${directory}/${name}`;
    const contents = (await runTool("env", [
      ...["TZ=UTC", "dpkg-deb", "--contents", file],
    ]))!.output;
    // The same files give the same package, whenever it is made.
    assertEquals(
      new Set(contents.match(/ \d{4}-\d\d-\d\d \d\d:\d\d /g)),
      new Set([` ${DATE} 00:00 `]),
    );
    // A file or directory that is for others to write.
    assert(!/^[-d](.{4}|.{7})w.*/m.test(contents), contents);
  }
  await Deno.mkdir(`${directory}/next`);
  for await (const { name, isFile } of Deno.readDir(directory)) {
    if (!isFile) continue;
    const next = `${directory}/next/${name}`;
    await Deno.copyFile(`${directory}/${name}`, next);
    const changed =
      (await runTool("sh", ["-euc", CHANGE_VERSION, "sh", next]))!;
    assert(changed.success, changed.output);
  }
  return directory;
}

interface Packages {
  readonly program: string;
  readonly tools: string;
}

/** The packages, and those of the other version. */
async function packages(): Promise<Packages & { readonly next: Packages }> {
  const directory = await (made ??= make());
  const files = [...Deno.readDirSync(directory)].map(({ name }) => name)
    .filter((name) => name !== "next").sort();
  assertEquals(files.length, 2);
  const [tools = "", program = ""] = files;
  assertMatch(tools, /^gpioagg-tools_[\d.]+_all\.deb$/);
  assertMatch(program, /^gpioagg_[\d.]+_amd64\.deb$/);
  const inside = (path: string): Packages => ({
    tools: `${path}/${tools}`,
    program: `${path}/${program}`,
  });
  return { ...inside(directory), next: inside(`${directory}/next`) };
}

globalThis.addEventListener("unload", () => {
  made?.then((directory) => Deno.removeSync(directory, { recursive: true }));
});

/** A Debian system of its own, to install packages in. */
class System implements AsyncDisposable {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async copy(directory: string): Promise<System> {
    const root = await Deno.makeTempDir({ prefix: "gpioagg-debian-" });
    const { success, output } = (await runTool("cp", [
      "-a",
      `${directory}/.`,
      root,
    ]))!;
    assert(success, output);
    return new System(root);
  }

  /** Runs a command there; returns what it printed. */
  async run(command: string): Promise<string> {
    const { success, output } = (await runTool("unshare", [
      ...["--mount", "--pid", "--fork", "--propagation=private"],
      "/bin/sh",
      "-euc",
      `mount -t proc none "$1/proc"
      mount --rbind /dev "$1/dev"
      mount -t tmpfs none "$1/run"
      exec env -i PATH=/usr/sbin:/usr/bin LC_ALL=C chroot "$1" sh -euc "$2"`,
      "sh",
      this.root,
      command,
    ]))!;
    assert(success, `${command}: ${output}`);
    return output;
  }

  /** Copies a file into the system; returns its path there. */
  async put(file: string): Promise<string> {
    const path = `/tmp/${file.slice(file.lastIndexOf("/") + 1)}`;
    await Deno.copyFile(file, this.root + path);
    return path;
  }

  /** Installs a package. */
  async install(file: string): Promise<void> {
    await this.run(`dpkg --install ${await this.put(file)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

/** Returns the files that are named so, below the root. */
async function found(system: System, word: string): Promise<string[]> {
  const text = await system.run(
    `find / -xdev -name '*${word}*' -not -path '/proc/*' -not -path '/tmp/*' ` +
      `-not -path '/var/lib/dpkg/*'`,
  );
  return text.split("\n").filter((line) => line !== "").sort();
}

for (
  const [release, name] of [["bookworm", "12"], ["trixie", "13"]] as const
) {
  Deno.test({
    name: `Debian ${name} installs, upgrades, removes and purges the packages`,
    ignore,
    fn: async () => {
      const { program, tools, next } = await packages();
      await using system = await System.copy(
        await artefact(`${release}System`),
      );
      await system.install(program);
      assertEquals(await system.run("dpkg --verify gpioagg"), "");
      assertMatch(await system.run("gpioagg --version"), /^gpioagg [\d.]+\n$/);
      assertMatch(await system.run("gpioagg demo"), /LAMP|lamp|press/i);
      assertMatch(
        await system.run("grep gpioagg /etc/passwd"),
        /^gpioagg:.*\ngpioagg-vm:/m,
      );
      await system.run("gpioagg check /usr/share/doc/gpioagg/examples/*.yaml");

      // Theirs are moved aside, come back, and can be chosen.
      const version = (tool = "gpioget") => system.run(`${tool} --version`);
      assertMatch(await version(), /^gpioget \(libgpiod\)/);
      await system.install(tools);
      for (const tool of TOOLS) {
        assertMatch(await version(`gpio${tool}`), /gpioagg/);
      }
      // Shells that look for completions by the tool's name find ours.
      for (
        const file of ["bash-completion/completions/gpioget"]
          .concat("fish/vendor_completions.d/gpioget.fish")
      ) await system.run(`grep -q gpioget /usr/share/${file}`);
      await system.run(
        "update-alternatives --set gpioget /usr/bin/gpioget.gpiod",
      );
      assertMatch(await version(), /^gpioget \(libgpiod\)/);
      await system.run("update-alternatives --auto gpioget");

      // An upgrade of both to another version leaves all as it is, and what runs.
      const upgrades = [
        await system.put(next.program),
        await system.put(next.tools),
      ];
      assertEquals(
        await system.run(
          `${UPGRADE_DURING_SERVICE} upgrade ${upgrades.join(" ")}`,
        ),
        "BUTTON is 1, of a program that was replaced\n",
      );
      assertEquals(
        await system.run("gpioagg --version"),
        `gpioagg ${OTHER_VERSION}\n`,
      );
      assertEquals(await system.run("dpkg --verify gpioagg gpioagg-tools"), "");
      assertMatch(await version(), /gpioagg/);
      assertMatch(await version("gpioget.gpiod"), /libgpiod/);

      await system.run("dpkg --remove gpioagg-tools");
      assertMatch(await version(), /^gpioget \(libgpiod\)/);
      assertEquals(await found(system, "gpioget.gpiod"), []);

      // They may go while ours are there.
      await system.install(next.tools);
      await system.run("dpkg --remove gpiod");
      assertMatch(await version(), /gpioagg/);
      const choices = await system.run("update-alternatives --list gpioget");
      assertEquals(choices, "/usr/lib/gpioagg/gpioget\n");

      await system.run("dpkg --purge gpioagg-tools gpioagg");
      assertEquals(await found(system, "gpioagg"), []);
      assertEquals(await found(system, "gpioget"), []);
    },
  });
}

Deno.test({
  name: "lintian finds no error in the packages",
  ignore: ignore ||
    await lacksTool("lintian", "run scripts/environment judges"),
  fn: async () => {
    const { program, tools } = await packages();
    const { success, output } = (await runTool("lintian", [
      "--allow-root",
      "--fail-on=error",
      program,
      tools,
    ]))!;
    assert(success, output);
  },
});

Deno.test({
  name: "what cannot be packaged is refused",
  ignore,
  fn: async () => {
    for (
      const [args, says] of [
        [["--executable", "/no/such"], /No such file/],
        [["--executable", `${REPOSITORY}/README.md`], /not a 64-bit ELF/],
        [["--exectuable", "x"], /unknown argument "--exectuable"/],
        [["--compression", "zip"], /unknown compression "zip"; use xz or gzip/],
      ] as const
    ) {
      const { success, output } = (await runTool(Deno.execPath(), [
        "run",
        "-q",
        "--config",
        `${REPOSITORY}/deno.json`,
        "-P=compile",
        `${REPOSITORY}/scripts/package.ts`,
        ...args,
      ]))!;
      assert(!success);
      assertMatch(output, says);
    }
  },
});
