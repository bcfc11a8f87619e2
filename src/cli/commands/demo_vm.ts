/**
 * The part of `gpioagg demo --vm` that needs a checkout: the project's scripts
 * build the guest's kernel and run the guest.
 *
 * @module
 */

/** Parts of `scripts/environment` that a guest needs to boot. */
const PARTS = ["deno", "gpiod", "uml"];

/**
 * Boots a guest at the vhost-user `socket` and shows its tools at work.
 *
 * @param end Ends its processes.
 * @throws {Error} If there is no checkout, or the guest fails.
 */
export async function runDemoVm(
  socket: string,
  say: (text: string) => void,
  end: AbortSignal,
): Promise<void> {
  if (Deno.build.standalone) {
    throw new Error(
      "demo --vm builds its guest's kernel with the scripts of a checkout: " +
        "run scripts/gpioagg demo --vm there",
    );
  }
  const scripts = new URL("../../../scripts/", import.meta.url).pathname;
  for (const part of PARTS) {
    say(`Preparing the guest: ${part} (from the cache, if possible)`);
    await run(`${scripts}environment`, [part], "null", end);
  }
  await run(
    Deno.execPath(),
    [
      "run",
      "-q",
      "-P=unit",
      `${scripts}demo_guest.ts`,
      socket,
    ],
    "inherit",
    end,
  );
}

async function run(
  command: string,
  args: string[],
  stdout: "inherit" | "null",
  end: AbortSignal,
): Promise<void> {
  end.throwIfAborted();
  const { code } = await new Deno.Command(command, {
    args,
    cwd: new URL("../../..", import.meta.url).pathname,
    stdin: "null",
    stdout,
    stderr: "inherit",
    signal: end,
  }).spawn().status;
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}
