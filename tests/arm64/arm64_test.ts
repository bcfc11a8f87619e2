/**
 * The checkout and the compiled executable on aarch64: a QEMU board with Debian's
 * own kernel and a PL061.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { bootArmGuest, listArtefacts } from "../environment/arm_guest.ts";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { EXECUTABLE, lacksExecutable } from "../environment/program.ts";

const ignore = lacksExecutable() ||
  await mustSkip(
    "arm64Deno",
    "arm64Libraries",
    ...listArtefacts("virt", "new"),
  );

/**
 * The emulated processor is some thirty times slower than this machine's, which
 * may have other work. **Units**: ms.
 */
const LIMIT_MS = 20 * 60_000;
/** Files of the checkout that run in the guest. */
const PARTS = ["deno.json", "deno.lock", "ffi", "src"];
/** Cache in which Deno finds the modules that were compiled here. */
const DENO_DIR = "/opt/deno-dir";
const CHECKOUT = `/opt/deno run -q --no-prompt --cached-only ` +
  `--config ${REPOSITORY}/deno.json -P=gpioagg ${REPOSITORY}/src/cli/main.ts`;
/** The two forms of the program. */
const PROGRAMS = { "the checkout": CHECKOUT, "the executable": "/opt/gpioagg" };

/** Runs a shell script here. */
async function shell(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { success, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-euc", script, "sh", ...args],
    env: { ...env },
    stdin: "null",
    stdout: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Makes an initial file system that has everything. */
async function buildInitramfs(directory: string): Promise<string> {
  const tree = `${directory}/tree`;
  const initramfs = `${directory}/initrd`;
  const entries = ["src/cli/main.ts", "src/service/reactor/reactor_worker.ts"]
    .concat("src/service/lanes/lane_worker.ts");
  await shell(
    `
    tree=$1 base=$2 initramfs=$3 deno=$4 libraries=$5 executable=$6 busybox=$7
    top=$8
    shift 8
    mkdir -p "$tree/opt/checkout" "$tree/lib" "$tree/usr"
    cp "$deno" "$tree/opt/deno"
    cp "$executable" "$tree/opt/gpioagg"
    cp "$libraries"/*.so.* "$tree/lib"
    ln -s ../bin "$tree/usr/bin"
    cd "$top"
    cp -r ${PARTS.join(" ")} "$tree/opt/checkout"
    "$OUR_DENO" cache -q "$@"
    mv "$DENO_DIR" "$tree${DENO_DIR}"
    rm -f "$tree${DENO_DIR}"/v8_code_cache*
    cp "$base" "$initramfs"
    # The kernel looks for the next archive at a multiple of four bytes.
    truncate -s %512 "$initramfs"
    (cd "$tree" && find . | "$busybox" cpio -o -H newc) >>"$initramfs"
    rm -r "$tree"
    `,
    [
      tree,
      await artefact("arm64Initramfs"),
      initramfs,
      await artefact("arm64Deno"),
      await artefact("arm64Libraries"),
      EXECUTABLE!,
      await artefact("busybox"),
      REPOSITORY,
      ...entries,
    ],
    { DENO_DIR: `${directory}/deno-dir`, OUR_DENO: Deno.execPath() },
  );
  return initramfs;
}

/** Drives and reads a line of the PL061 by a service and its guest. */
async function serve(machine: GuestSession, program: string): Promise<void> {
  await machine.run(
    `rm -rf /run/a* /tmp/log; (${program} serve --socket-path /run/a.sock ` +
      `--line gpiochip0/1,as=RELAY,direction=output,safe=0 ` +
      `--line gpiochip0/2,as=BUTTON,direction=input,lane ` +
      `>/tmp/log 2>&1 & echo $! >/run/pid)`,
  );
  await machine.run(
    `i=0; while ! [ -S /run/a.sock ]; do sleep 1; i=$((i + 1)); ` +
      `[ $i -lt 120 ] || { cat /tmp/log; exit 1; }; done`,
    { timeoutMs: LIMIT_MS },
  );
  const probed = await machine.run(
    `${program} probe /run/a.sock --json --timeout 60s`,
    {
      timeoutMs: LIMIT_MS,
    },
  );
  assertStringIncludes(probed, "BUTTON");
  const level = "grep 'out ' /sys/kernel/debug/gpio";
  await machine.run(
    `${program} probe /run/a.sock -q --timeout 60s --set RELAY=1`,
    {
      timeoutMs: LIMIT_MS,
    },
  );
  // Its guest has gone: the safe value.
  await machine.run(`until ${level} | grep 'out lo'; do sleep 1; done`, {
    timeoutMs: LIMIT_MS,
  });
  // The line is free: the socket goes before it.
  await machine.run(
    `kill $(cat /run/pid); while [ -S /run/a.sock ] || ${level}; do sleep 1; done`,
    { timeoutMs: LIMIT_MS },
  );
}

Deno.test({
  name: "gpioagg works on aarch64, as a checkout and as an executable",
  ignore,
  fn: async (test) => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-arm64-" });
    try {
      const initramfs = await buildInitramfs(directory);
      await using machine = await bootArmGuest({
        board: "virt",
        qemu: "new",
        arguments: ["-m", "2G", "-smp", "2", "-initrd", initramfs],
        bootTimeoutMs: LIMIT_MS,
      });
      await machine.run(
        // At the same place as here, where Deno's cache knows it.
        `mount -t debugfs none /sys/kernel/debug; mkdir -p ${REPOSITORY} && ` +
          `cp -r /opt/checkout/. ${REPOSITORY}`,
        { timeoutMs: LIMIT_MS },
      );
      const run = (command: string) =>
        machine.run(
          `cd ${REPOSITORY} && export DENO_DIR=${DENO_DIR} HOME=/root; ${command}`,
          { timeoutMs: LIMIT_MS },
        );
      for (const [what, program] of Object.entries(PROGRAMS)) {
        await test.step(`${what}: version, chips, lines`, async () => {
          const told = JSON.parse(await run(`${program} version --json`));
          assertEquals(told.machine, "aarch64");
          assertEquals(told.isExecutable, program !== CHECKOUT);
          assertStringIncludes(await run(`${program} detect`), "gpiochip0");
          assertMatch(
            await run(`${program} get gpiochip0/0`),
            /=(in)?active$/,
          );
        });
        await test.step(`${what}: demo`, async () => {
          assertStringIncludes(
            await run(`${program} demo`),
            "guest: interrupt of line 2, reads 0",
          );
        });
        await test.step(`${what}: serve on a PL061, with a lane`, () =>
          serve(machine, `env DENO_DIR=${DENO_DIR} HOME=/root ${program}`));
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
