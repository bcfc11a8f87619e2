/**
 * The part of `gpioagg demo --vm` that needs a checkout: the guest's kernel is
 * built, and the guest is run, by the project's scripts.
 *
 * @module
 */

/** What has to be there before a guest can boot, as `scripts/environment` calls it. */
const PARTS = ["deno", "gpiod", "uml"];

/**
 * Boots a guest at the vhost-user `socket` and shows its tools at work.
 *
 * @throws {Error} If there is no checkout, or the guest does not do its part.
 */
export async function runDemoVm(
  socket: string,
  say: (text: string) => void,
): Promise<void> {
  if (Deno.build.standalone) {
    throw new Error(
      "demo --vm builds its guest's kernel with the scripts of a checkout: " +
        "run scripts/gpioagg demo --vm there",
    );
  }
  const scripts = new URL("../../scripts/", import.meta.url).pathname;
  for (const part of PARTS) {
    say(`Preparing the guest: ${part} (from the cache, if it is there)`);
    await run(`${scripts}environment`, [part], "null");
  }
  await run(Deno.execPath(), [
    "run",
    "-q",
    "-P=unit",
    `${scripts}demo_guest.ts`,
    socket,
  ], "inherit");
}

async function run(
  command: string,
  args: string[],
  stdout: "inherit" | "null",
): Promise<void> {
  const { code } = await new Deno.Command(command, {
    args,
    cwd: new URL("../..", import.meta.url).pathname,
    stdin: "null",
    stdout,
    stderr: "inherit",
  }).spawn().status;
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}
