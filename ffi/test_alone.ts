/**
 * Tests that need a process of their own: those that count open fds or rely on
 * which number the next one gets, since tests of other files run on other
 * threads of the same process.
 *
 * @module
 */

const VARIABLE = "GPIOAGG_TEST_ALONE";

/**
 * Defines a test whose body runs in a process of its own, with its file's other
 * tests left out.
 *
 * @param file The test file: its `import.meta`.
 * @param name The test's name.
 * @param body What to run there.
 *
 * **Safety**: starts a process, which ends with the body.
 */
export function testAlone(
  file: ImportMeta,
  name: string,
  body: () => void | Promise<void>,
): void {
  Deno.test(name, async () => {
    if (Deno.env.get(VARIABLE) === name) {
      await body();
      return;
    }
    const pattern = name.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args: [
          "test",
          "--quiet",
          "--no-check",
          "--cached-only",
          "--allow-ffi",
          "--allow-read",
          "--allow-write",
          "--allow-env",
          "--allow-sys",
          "--allow-run",
          "--filter",
          `/^${pattern}$/`,
          file.url,
        ],
        env: { [VARIABLE]: name, NO_COLOR: "1" },
        signal: AbortSignal.timeout(60_000),
      },
    ).output();
    const text = new TextDecoder().decode(stdout);
    if (!success || !text.includes("1 passed")) {
      throw new Error(
        `In a process of its own it failed:\n${text}${
          new TextDecoder().decode(stderr)
        }`,
      );
    }
  });
}
