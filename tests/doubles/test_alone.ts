/**
 * Tests that need a process without other threads of tests: those that count
 * open fds or rely on which number the next one gets.
 *
 * @module
 */

/**
 * Environment variable: `only` in a process for such tests, `none` in one whose
 * tests run on several threads. Without it, each such test starts a process.
 */
export const ALONE_VARIABLE = "GPIOAGG_TEST_ALONE";

/** Ends the names of such tests in their process. */
const SUFFIX = " (alone)";

/** Filter of `deno test` for all tests of this kind. */
export const ALONE_FILTER = "/ \\(alone\\)$/";

/**
 * Defines a test whose body runs in a process in which no other test runs at
 * the same time.
 *
 * @param file The test file: its `import.meta`.
 * @param name The test's name.
 * @param body What to run there.
 */
export function testAlone(
  file: ImportMeta,
  name: string,
  body: () => void | Promise<void>,
): void {
  const mode = Deno.env.get(ALONE_VARIABLE);
  if (mode === "none") return;
  if (mode === "only") {
    Deno.test(`${name}${SUFFIX}`, body);
    return;
  }
  Deno.test(name, async () => {
    const pattern = `${name}${SUFFIX}`
      .replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args: [
          "test",
          "--quiet",
          "--no-check",
          "--cached-only",
          "--permission-set=unit",
          "--filter",
          `/^${pattern}$/`,
          file.url,
        ],
        env: { [ALONE_VARIABLE]: "only", NO_COLOR: "1" },
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
