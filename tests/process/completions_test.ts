/** Completion in real shells, and the manual pages as other programs read them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { ApiService } from "../environment/api_service.ts";
import { LAUNCHER, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { lacksTool, runTool } from "../environment/tool.ts";
import { until } from "../environment/wait.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { withDirectory } from "./run_rig.ts";

const HINT = "run scripts/environment judges";

async function gpioagg(...args: string[]): Promise<string> {
  const { success, output } = (await runTool(PROGRAM_FILE, [
    ...PROGRAM,
    ...args,
  ]))!;
  assert(success, output);
  return output;
}

/** Checks the words that a shell completes, of command lines. */
type Check = (
  expected: Readonly<Record<string, readonly string[]>>,
  env?: Readonly<Record<string, string>>,
) => Promise<void>;

/** End of the words of one command line. */
const END = "-- end of words --";

/**
 * Runs `action` with the completions of a shell, and a gpioagg in PATH. The
 * shell gets the script as $1, and the command lines behind it.
 */
async function withShell(
  shell: string,
  file: string,
  args: readonly string[],
  action: (check: Check) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const calls = `${directory}/calls`;
    // A call takes longer than a user waits: none is made for these words.
    await Deno.writeTextFile(
      `${directory}/gpioagg`,
      `#!/bin/sh\nprintf '%s\\n' "$*" >>${calls}\nexec '${LAUNCHER}' "$@"\n`,
      { mode: 0o755 },
    );
    const script = `${directory}/${file}`;
    await Deno.writeTextFile(script, await gpioagg("completions", shell));
    await action(async (expected, env = {}) => {
      const { stdout, stderr } = await new Deno.Command(shell, {
        args: [...args, script, ...Object.keys(expected)],
        env: { ...env, PATH: `${directory}:${Deno.env.get("PATH")}` },
      }).output();
      const decoder = new TextDecoder();
      assertEquals(decoder.decode(stderr), "");
      const found = decoder.decode(stdout).replaceAll("\r", "").split(END)
        .map((words) => words.split("\n").filter((word) => word !== ""));
      for (const [i, [line, words]] of Object.entries(expected).entries()) {
        assertEquals([...new Set(found[i])].sort(), [...words].sort(), line);
      }
      assertEquals(readSmallFile(calls), undefined);
    });
  });
}

/** Command lines and the words that all shells complete. */
const CASES: Readonly<Record<string, readonly string[]>> = {
  "gpioagg se": ["serve", "set", "set-rule"],
  "gpioagg help ker": ["kernel"],
  "gpioagg show --": ["--api", "--help", "--json"],
  "gpioagg kernel re": ["remove", "resume"],
  "gpioagg kernel create --interface ": ["configfs", "sysfs", "usb"],
  "gpioagg kernel list --d": ["--directory"],
  "gpioagg probe /tmp/x --order cl": ["cloud-hypervisor"],
  "gpioagg completions ": ["bash", "fish", "zsh"],
  "gpioagg serve --line sim/2,sa": ["sim/2,safe-after=", "sim/2,safe="],
  "gpioagg safe const/": ["const/0", "const/1"],
  "gpiomon --edges r": ["rising"],
  "gpioset --b": ["--banner", "--bias", "--by-name"],
  "gpiomon --vcd-timescale 100": ["100ns", "100us"],
  "gpioset --leave as": ["as-is"],
  "gpioagg serve --st": ["--standby"],
  "gpioagg serve --is": ["--isolate"],
  "gpioagg serve --record i": ["inputs"],
  "gpioagg serve --usbredir /tmp/x,de": ["/tmp/x,device="],
  "gpioagg serve --usbredir /tmp/x,device=l": ["/tmp/x,device=ljca"],
  "gpioagg man spe": ["spec"],
};

/** A service of this user with one aggregator, found by its directory. */
async function withService(
  action: (env: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (runtime) => {
    const directory = `${runtime}/gpioagg-plc0`;
    await Deno.mkdir(directory);
    await using _service = await ApiService.start({
      aggregators: { press: ["sim/2,as=START"], crane: ["sim/1"] },
      directory,
      env: { XDG_RUNTIME_DIR: runtime },
    });
    await until(
      "the words of the service",
      () => fileStatus(`${directory}/words`) !== undefined,
    );
    await action({ XDG_RUNTIME_DIR: runtime });
  });
}

const LIVE: Readonly<Record<string, readonly string[]>> = {
  "gpioagg show pr": ["press"],
  "gpioagg remove ": ["crane", "press"],
  "gpioagg sim cr": ["crane"],
  "gpioagg sim press START": ["START0=", "START1="],
  "gpioagg safe sim/2,act": ["sim/2,active-low"],
  "gpioagg wait cr": ["crane.sim0="],
  "gpioagg list --api ": ["plc0"],
  "gpioagg force cr": ["crane.sim0="],
  "gpioagg force crane.sim0=": ["crane.sim0=0", "crane.sim0=1"],
  "gpioagg force --end cr": ["crane.sim0"],
  "gpioagg get --api plc0 cr": ["crane.sim0"],
  "gpiomon --api=plc0 cr": ["crane.sim0"],
  "gpioagg play x.vcd --map A=cr": ["A=crane.sim0"],
};

async function checkAll(check: Check): Promise<void> {
  await check(CASES);
  await withService((env) => check(LIVE, env));
}

const BASH = `
source "$1"
for COMP_LINE in "\${@:2}"; do
  COMP_POINT=\${#COMP_LINE}
  _gpioagg
  printf '%s\n' "\${COMPREPLY[@]}" '${END}'
done
`;

Deno.test("bash completes commands, options and live words", async () => {
  const args = ["--norc", "-c", BASH, "bash"];
  await withShell("bash", "gpioagg.bash", args, async (check) => {
    // It splits words at these characters, and replaces the last one.
    await checkAll((expected, env) =>
      check(
        Object.fromEntries(
          Object.entries(expected).map(([line, words]) => {
            const head = /[^ ]*[=:]|$/.exec(line.split(" ").at(-1)!)![0];
            return [line, words.map((word) => word.slice(head.length))];
          }),
        ),
        env,
      )
    );
    await check({
      "gpioagg run --respawn=": ["always", "on-failure"],
      "gpioagg serve --line=sim/2,safe=": ["0", "1"],
      "gpioagg run --line sim/1 -- cat /etc/hostna": ["/etc/hostname"],
      "gpioagg serve --vfio-user /etc/hostna": ["/etc/hostname"],
      "gpioagg list --api /etc/hostna": ["/etc/hostname"],
    });
  });
});

const FISH = `
source $argv[1]
for line in $argv[2..]
    # Words alone, without their descriptions.
    complete -C $line | string split -f1 \\t
    echo '${END}'
end
`;

Deno.test({
  name: "fish completes commands, options and live words",
  ignore: await lacksTool("fish", HINT),
  fn: () =>
    withShell(
      "fish",
      "gpioagg.fish",
      ["--no-config", "-c", FISH],
      checkAll,
    ),
});

/** Types each line and a tab into a zsh, and prints the words that it adds. */
const ZSH = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; unsetopt zle_bracketed_paste prompt_sp beep; fpath=(\${1:h} \\$fpath)"
zpty -w z 'autoload -Uz compinit; compinit -u -D'
zpty -w z 'compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a added; builtin compadd -A added "$@"; local word
  for word in $added; do print -r -- "WORD:$word:"; done
  builtin compadd "$@"
}'
zpty -w z 'report() { _main_complete; print -r -- "END:"OF:WORDS; }'
zpty -w z 'zle -C report complete-word report; bindkey "^I" report; print -- "NOW:"READY'
zpty -r z output '*NOW:READY*'
for line in "$@[2,-1]"; do
  # Nothing is left of the line before.
  zpty -w -n z $'\\C-u'"$line"$'\\t'
  zpty -r z output '*END:OF:WORDS*'
  print -r -- "$output" | grep -ao 'WORD:[^:]*:' | sed 's/^WORD:\\(.*\\):$/\\1/'
  print -r -- '${END}'
done
zpty -d z
exit 0
`;

Deno.test({
  name: "zsh completes commands, options and live words",
  ignore: await lacksTool("zsh", HINT),
  fn: () => withShell("zsh", "_gpioagg", ["-f", "-c", ZSH, "zsh"], checkAll),
});

Deno.test("words of nothing are none, and no error", async () => {
  assertEquals(await gpioagg("complete-words"), "");
  assertEquals(await gpioagg("complete-words", "no-such-kind", "x"), "");
  assertEquals(await gpioagg("complete-words", "pull", "", "/no/such"), "");
});

Deno.test({
  name: "manual pages of all commands are right for mandoc and man",
  ignore: await lacksTool("mandoc", HINT),
  fn: async () =>
    await withDirectory(async (directory) => {
      await gpioagg("man", "--output", directory);
      for (const [name, { isHidden, toolName }] of Object.entries(COMMANDS)) {
        if (isHidden) continue;
        const file = `${directory}/man1/gpioagg-${name}.1`;
        await Deno.stat(file);
        if (toolName !== undefined) {
          await Deno.stat(`${directory}/man1/${toolName}.1`);
        }
      }
      const pages: string[] = [];
      for (const section of ["man1", "man5", "man7"]) {
        for await (
          const { name, isFile } of Deno.readDir(`${directory}/${section}`)
        ) {
          if (isFile) pages.push(`${directory}/${section}/${name}`);
        }
      }
      for (const page of pages) {
        const lint = (await runTool("mandoc", ["-Tlint", "-Wwarning", page]))!;
        assertEquals(lint.output, "", page);
        const man = await runTool("man", ["--warnings", "-l", page]);
        assertEquals(man?.output.match(/^.*warning:.*$/gm) ?? [], [], page);
      }
      const text = (await runTool("mandoc", [
        "-Tutf8",
        `${directory}/man5/gpioagg.yaml.5`,
      ]))!.output.replaceAll(/.[\b]/g, "");
      assertStringIncludes(text, "aggregators.NAME.lines[].safe");
    }),
});

Deno.test("gpioagg man prints a page by any of its names", async () => {
  for (
    const [name, title] of [
      ["serve", "GPIOAGG-SERVE 1"],
      ["gpioagg-serve", "GPIOAGG-SERVE 1"],
      ["get", "GPIOGET 1"],
      ["gpioget(1)", "GPIOGET 1"],
      ["yaml", "GPIOAGG.YAML 5"],
      ["spec", "GPIOAGG-SPEC 7"],
    ] as const
  ) {
    const text = await gpioagg("man", name, "--roff");
    assertStringIncludes(text, `.TH ${title} `);
  }
  const { success, output } = (await runTool(PROGRAM_FILE, [
    ...PROGRAM,
    "man",
    "sevre",
  ]))!;
  assert(!success);
  assertStringIncludes(output, "Did you mean serve?");
});
