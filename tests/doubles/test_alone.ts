/**
 * Tests that need a process without other threads of tests: those that count
 * open fds or rely on which number the next one gets, and those that start
 * processes.
 *
 * @module
 */

/**
 * Environment variable: `only` in a process for such tests, `none` in one whose
 * tests run on several threads. Without it, each such test starts a process.
 */
export const ALONE_VARIABLE = "GPIOAGG_TEST_ALONE";

type TestBody = () => void | Promise<void>;

/** A test that may be ignored. */
interface SerialTest {
  readonly name: string;
  /** Looks whether it must be, where the test is run at all. */
  readonly ignore?: () => boolean;
  readonly fn: TestBody;
}

/** Ends the names of such tests in their process. */
const SUFFIX = " (alone)";

/** Filter of `deno test` for all tests of these kinds. */
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
  body: TestBody,
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

/**
 * Defines a test that starts processes: it runs while no other test does. Unlike
 * one that {@linkcode testAlone} defines, it may follow others in its process.
 *
 * A child has a copy of every descriptor until it has become its program. What
 * a test on another thread closes meanwhile stays open: its peer sees no end,
 * and a socket, a lease or a line is still taken.
 */
export function testSerially(name: string, fn: TestBody): void;
export function testSerially(definition: SerialTest): void;
export function testSerially(
  test: string | SerialTest,
  body?: TestBody,
): void {
  const mode = Deno.env.get(ALONE_VARIABLE);
  if (mode === "none") return;
  const { name, fn, ignore }: SerialTest = typeof test === "string"
    ? { name: test, fn: body! }
    : test;
  Deno.test({
    name: mode === "only" ? `${name}${SUFFIX}` : name,
    ignore: ignore?.() ?? false,
    fn,
  });
}
