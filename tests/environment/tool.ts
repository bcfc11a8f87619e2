/**
 * Programs of other people that judge what ours makes.
 *
 * @module
 */

/** Result of a program. */
export interface ToolResult {
  readonly success: boolean;
  /** Standard output and standard error. */
  readonly output: string;
}

/** Runs a program to its end; undefined where the machine has none such. */
export async function runTool(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly cwd?: string } = {},
): Promise<ToolResult | undefined> {
  const { input = "", cwd } = options;
  try {
    const child = new Deno.Command(program, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...(cwd === undefined ? {} : { cwd }),
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input)).catch(() => {});
    await writer.close().catch(() => {});
    const { success, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Returns true if the machine lacks a program; prints that tests are skipped
 * then.
 */
export async function lacksTool(
  program: string,
  hint: string,
): Promise<boolean> {
  const found = await runTool(program, ["--version"]);
  if (found === undefined) console.warn(`skipped: no ${program}; ${hint}`);
  return found === undefined;
}
