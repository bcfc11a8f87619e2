/**
 * Makes the Debian packages of one machine: gpioagg, the executable with its
 * units, rules, completions and manual pages; and gpioagg-tools, the names of
 * libgpiod's tools beside Debian's own.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import settings from "../deno.json" with { type: "json" };
import { DATE } from "../src/cli/man/roff.ts";
import { TOOL_NAMES } from "../src/cli/tool_commands.ts";
import { GLIBC } from "./compile.ts";
import { readElf } from "./executable/elf.ts";
import { setOutputModes } from "./releasing/outputs.ts";

const HELP = `Usage: deno task package [OPTION...]

Makes gpioagg_VERSION_ARCH.deb and gpioagg-tools_VERSION_all.deb. ARCH is that of
the executable (deno task compile). Needs dpkg-deb and gzip.

  --executable FILE  default: dist/gpioagg-x86_64 in the checkout
  --output DIR       directory of the packages; default: dist
  --compression xz|gzip
                     default: xz; gzip takes seconds, and half as much room again
  -h, --help         this text
`;

const ROOT = new URL("..", import.meta.url).pathname;
const MAINTAINER = "gpioagg developers <gpioagg@users.noreply.github.com>";
const ARCHITECTURES: Readonly<Record<string, string>> = {
  "x86_64": "amd64",
  "aarch64": "arm64",
};
const TOOLS = Object.keys(TOOL_NAMES);
/** Options of dpkg-deb, by compression. */
const COMPRESSIONS: Readonly<Record<string, readonly string[]>> = {
  xz: ["-Zxz"],
  gzip: ["-Zgzip", "-z1"],
};

/** Directories of completions, which these shells search by command. */
const COMPLETIONS = {
  bash: "/usr/share/bash-completion/completions",
  fish: "/usr/share/fish/vendor_completions.d",
};

const EXAMPLE = `# /etc/gpioagg/NAME.yaml, served by gpioagg@NAME.service.
# yaml-language-server: $schema=/usr/share/gpioagg/gpioagg.schema.json
aggregators:
  press:
    vhost-user: /run/gpioagg-NAME/press.sock
    lines:
      # Simulated lines need no GPIO: gpioagg sim press START=1
      - { sim: 1, as: START }
      - { sim: 1, as: VALVE, direction: output, safe: 0 }
`;

/** The runtime that deno compile puts in comes as it was built. */
const OVERRIDES = `gpioagg: embedded-library
gpioagg: unstripped-binary-or-object
gpioagg: hardening-no-pie
gpioagg: hardening-no-relro
`;

/** Copyright of the runtime that the executable contains. */
const BUNDLED = `Files: usr/bin/gpioagg
Copyright: 2018-2026 the Deno authors
           2006-2026 the V8 project authors
License: Expat and BSD-3-Clause
Comment:
 The executable contains gpioagg, files of Deno's standard library (deno-std),
 and Deno's runtime: both are of the Deno authors, under the Expat licence. The
 runtime contains V8, under the BSD licence, and Rust libraries under licences
 of the same kind: https://github.com/denoland/deno lists them.

License: BSD-3-Clause
 Redistribution and use in source and binary forms, with or without
 modification, are permitted provided that the following conditions are met:
 .
 * Redistributions of source code must retain the above copyright notice, this
   list of conditions and the following disclaimer.
 * Redistributions in binary form must reproduce the above copyright notice,
   this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.
 * Neither the name of Google Inc. nor the names of its contributors may be used
   to endorse or promote products derived from this software without specific
   prior written permission.
 .
 THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND
 ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED
 WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
 DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT OWNER OR CONTRIBUTORS BE LIABLE FOR
 ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES
 (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES;
 LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON
 ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT
 (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS
 SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.

`;

/** Its scripts name the files of another package, in a loop. */
const TOOLS_OVERRIDES = `gpioagg-tools: diversion-for-unknown-file
`;

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(args: readonly string[]): Promise<number> {
  const unknown: string[] = [];
  const given = parseArgs([...args], {
    string: ["executable", "output", "compression"],
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (word: string) => {
      unknown.push(word);
      return false;
    },
  });
  if (given.help) {
    console.log(HELP.trimEnd());
    return 0;
  }
  if (unknown.length > 0) {
    console.error(`package: unknown argument "${unknown[0]}"; see --help`);
    return 2;
  }
  const compression = given.compression ?? "xz";
  const how = COMPRESSIONS[compression];
  if (how === undefined) {
    console.error(
      `package: unknown compression "${compression}"; use xz or gzip`,
    );
    return 2;
  }
  const executable = given.executable ?? `${ROOT}dist/gpioagg-x86_64`;
  const output = given.output ?? `${ROOT}dist`;
  setOutputModes();
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-package-" });
  try {
    const elf = readElf(executable);
    const arch = ARCHITECTURES[elf.machine];
    if (arch === undefined) {
      throw new Error(`no Debian architecture for ${elf.machine}`);
    }
    await Deno.mkdir(output, { recursive: true });
    const texts = `${directory}/texts`;
    await writeTexts(texts);
    const programs = `${directory}/gpioagg`;
    await stageProgram(programs, { executable, arch, texts });
    const links = `${directory}/gpioagg-tools`;
    await stageTools(links, texts);
    const { version } = settings;
    await build(programs, `${output}/gpioagg_${version}_${arch}.deb`, how);
    await build(links, `${output}/gpioagg-tools_${version}_all.deb`, how);
    return 0;
  } catch (error) {
    console.error(`package: ${(error as Error).message}`);
    return 1;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Writes the texts that the program makes of its own tables. */
async function writeTexts(directory: string): Promise<void> {
  await Deno.mkdir(directory);
  const own = async (...args: string[]) =>
    await run(Deno.execPath(), [
      "run",
      "-q",
      "--no-prompt",
      "--config",
      `${ROOT}deno.json`,
      "-P=gpioagg",
      `${ROOT}src/cli/main.ts`,
      ...args,
    ]);
  await own("man", "--output", `${directory}/man`);
  for (const shell of ["bash", "zsh", "fish"]) {
    const text = await own("completions", shell);
    await Deno.writeTextFile(`${directory}/${shell}`, text);
  }
  await Deno.writeTextFile(`${directory}/schema.json`, await own("schema"));
}

/** Stages the package of the program. */
async function stageProgram(
  tree: string,
  { executable, arch, texts }: {
    executable: string;
    arch: string;
    texts: string;
  },
): Promise<void> {
  const put = (from: string, to: string, mode = 0o644) =>
    install(from, `${tree}${to}`, mode);
  await put(executable, "/usr/bin/gpioagg", 0o755);
  const units = `${ROOT}scripts/systemd`;
  for await (const { name } of Deno.readDir(units)) {
    if (/\.(service|socket)$/.test(name)) {
      await put(`${units}/${name}`, `/usr/lib/systemd/system/${name}`);
    }
  }
  await put(
    `${units}/gpioagg.sysusers.conf`,
    "/usr/lib/sysusers.d/gpioagg.conf",
  );
  await put(
    `${units}/60-gpioagg.rules`,
    "/usr/lib/udev/rules.d/60-gpioagg.rules",
  );
  await put(
    `${units}/gpioagg.sleep`,
    "/usr/lib/systemd/system-sleep/gpioagg",
    0o755,
  );
  await put(
    `${texts}/schema.json`,
    "/usr/share/gpioagg/gpioagg.schema.json",
  );
  await put(
    `${texts}/bash`,
    `${COMPLETIONS.bash}/gpioagg`,
  );
  await put(`${texts}/zsh`, "/usr/share/zsh/vendor-completions/_gpioagg");
  await put(`${texts}/fish`, `${COMPLETIONS.fish}/gpioagg.fish`);
  const docs = "/usr/share/doc/gpioagg";
  await put(
    `${units}/kernel-chips.conf`,
    `${docs}/examples/kernel-chips.conf`,
  );
  for (const name of ["alerts.yml", "dashboard.json"]) {
    await put(
      `${ROOT}scripts/prometheus/${name}`,
      `${docs}/examples/prometheus/${name}`,
    );
  }
  await Deno.writeTextFile(
    await place(`${tree}${docs}/examples/gpioagg.yaml`),
    EXAMPLE,
  );
  await Deno.mkdir(`${tree}/etc/gpioagg`, { recursive: true });
  for await (const { name } of Deno.readDir(`${ROOT}docs`)) {
    await put(`${ROOT}docs/${name}`, `${docs}/${name}`);
  }
  await putManPages(
    `${texts}/man`,
    tree,
    (name) => !TOOLS.some((tool) => name.startsWith(`${tool}.`)),
  );
  await putCommon(tree, "gpioagg", BUNDLED);
  await Deno.writeTextFile(
    await place(`${tree}/usr/share/lintian/overrides/gpioagg`),
    OVERRIDES,
  );
  await control(tree, {
    Package: "gpioagg",
    Version: settings.version,
    Architecture: arch,
    Maintainer: MAINTAINER,
    Section: "admin",
    Priority: "optional",
    Depends: `libc6 (>= ${GLIBC}), libgcc-s1, ` +
      "systemd | systemd-standalone-sysusers | systemd-sysusers",
    Suggests: "gpioagg-tools, qemu-system",
    Description: `present GPIO lines to virtual machines and containers
 gpioagg takes GPIO lines of any chips of this host and presents chosen sets of
 them to virtual machines, each set as one controller: as a virtio-gpio device,
 as a controller that a stock kernel drives (PL061 pins, USB adapters, a PCI
 card), or as a chip of this host's kernel. Lines have safe states, interlocks
 and other rules, which hold when a guest dies.`,
  });
  for (const script of ["postinst", "prerm", "postrm"]) {
    await install(
      `${ROOT}scripts/debian/gpioagg.${script}`,
      `${tree}/DEBIAN/${script}`,
      0o755,
    );
  }
}

/** Stages the package of the tools' names. */
async function stageTools(tree: string, texts: string): Promise<void> {
  for (const tool of TOOLS) {
    const link = await place(`${tree}/usr/lib/gpioagg/${tool}`);
    await Deno.symlink("../../bin/gpioagg", link);
    // Bash and fish look for a file of the command's name; zsh reads all.
    const { bash, fish } = COMPLETIONS;
    await Deno.symlink("gpioagg", await place(`${tree}${bash}/${tool}`));
    await Deno.symlink(
      "gpioagg.fish",
      await place(`${tree}${fish}/${tool}.fish`),
    );
    const page = `${tree}/usr/lib/gpioagg/man1/${tool}.1`;
    await install(`${texts}/man/man1/${tool}.1`, page, 0o644);
    await run("gzip", ["-9n", page]);
  }
  await putCommon(tree, "gpioagg-tools");
  await Deno.writeTextFile(
    await place(`${tree}/usr/share/lintian/overrides/gpioagg-tools`),
    TOOLS_OVERRIDES,
  );
  await control(tree, {
    Package: "gpioagg-tools",
    Version: settings.version,
    Architecture: "all",
    Maintainer: MAINTAINER,
    Section: "admin",
    Priority: "optional",
    Depends: `gpioagg (>= ${settings.version})`,
    Enhances: "gpiod",
    Description: `GPIO tools with the names of libgpiod's
 gpiodetect, gpioget, gpioinfo, gpiomon, gpionotify and gpioset of gpioagg. They
 take the options of libgpiod's and print the same. Where libgpiod's own are
 installed, update-alternatives chooses between them.`,
  });
  const common = await Deno.readTextFile(
    `${ROOT}scripts/debian/gpioagg-tools.common`,
  );
  for (const script of ["preinst", "postinst", "prerm", "postrm"]) {
    const text = await Deno.readTextFile(
      `${ROOT}scripts/debian/gpioagg-tools.${script}`,
    );
    const file = `${tree}/DEBIAN/${script}`;
    await Deno.writeTextFile(
      file,
      text.replace("#COMMON#", () => common.trimEnd()),
    );
    await Deno.chmod(file, 0o755);
  }
  await Deno.writeTextFile(
    `${tree}/DEBIAN/triggers`,
    TOOLS.map((tool) => `interest-noawait /usr/bin/${tool}.gpiod\n`).join(""),
  );
}

/** Installs the manual pages that are chosen, compressed. */
async function putManPages(
  from: string,
  tree: string,
  isWanted: (name: string) => boolean,
): Promise<void> {
  for (const section of ["man1", "man5", "man7"]) {
    for await (
      const { name } of Deno.readDir(`${from}/${section}`)
    ) {
      if (!isWanted(name)) continue;
      const page = await place(`${tree}/usr/share/man/${section}/${name}`);
      // The target of a link: the tools' pages are in another package.
      await Deno.copyFile(`${from}/${section}/${name}`, page);
      await Deno.chmod(page, 0o644);
      await run("gzip", ["-9n", page]);
    }
  }
}

/** Installs what each package has: copyright and changelog. */
async function putCommon(
  tree: string,
  name: string,
  bundled = "",
): Promise<void> {
  const docs = `${tree}/usr/share/doc/${name}`;
  const license = await Deno.readTextFile(`${ROOT}LICENSE`);
  await Deno.writeTextFile(
    await place(`${docs}/copyright`),
    copyright(license, bundled),
  );
  await install(`${ROOT}CHANGELOG.md`, `${docs}/CHANGELOG.md`, 0o644);
  await Deno.writeTextFile(
    `${docs}/changelog`,
    `${name} (${settings.version}) unstable; urgency=medium

  * The changes are in CHANGELOG.md.

 -- ${MAINTAINER}  ${new Date(DATE).toUTCString().replace("GMT", "+0000")}
`,
  );
  await run("gzip", ["-9n", `${docs}/changelog`]);
}

/**
 * Returns the machine-readable copyright of Debian.
 *
 * @param bundled Paragraphs of what else is in the package.
 */
function copyright(license: string, bundled: string): string {
  const holder = /^Copyright \(c\) (.*)$/m.exec(license)?.[1];
  if (holder === undefined) throw new Error("LICENSE names no holder");
  const text = license.slice(license.indexOf("Permission is")).trim()
    .split("\n").map((line) => line === "" ? " ." : ` ${line}`).join("\n");
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: gpioagg

Files: *
Copyright: ${holder}
License: Expat

${bundled}License: Expat
${text}
`;
}

/** Writes DEBIAN/control and the checksums. */
async function control(
  tree: string,
  fields: Readonly<Record<string, string>>,
): Promise<void> {
  const files = (await listFiles(tree)).sort();
  let bytes = 0;
  for (const file of files) bytes += (await Deno.lstat(file)).size;
  const { Description: description, ...others } = fields;
  const all = {
    ...others,
    "Installed-Size": String(Math.ceil(bytes / 1024)),
    Description: description,
  };
  await Deno.writeTextFile(
    await place(`${tree}/DEBIAN/control`),
    Object.entries(all).map(([key, value]) => `${key}: ${value}\n`).join(""),
  );
  const regular = [];
  for (const file of files) {
    if ((await Deno.lstat(file)).isFile) {
      regular.push(file.slice(tree.length + 1));
    }
  }
  const sums = await run("md5sum", regular, { cwd: tree });
  await Deno.writeTextFile(`${tree}/DEBIAN/md5sums`, sums);
}

async function listFiles(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) found.push(...await listFiles(path));
    else found.push(path);
  }
  return found;
}

async function build(
  tree: string,
  file: string,
  compression: readonly string[],
): Promise<void> {
  // The same files give the same package: they have the time of the version.
  const seconds = Deno.env.get("SOURCE_DATE_EPOCH") ??
    String(Date.parse(DATE) / 1000);
  await run(
    "dpkg-deb",
    ["--root-owner-group", ...compression, "--build", tree, file],
    { env: { SOURCE_DATE_EPOCH: seconds } },
  );
  console.log(file);
}

async function install(from: string, to: string, mode: number): Promise<void> {
  await Deno.copyFile(from, await place(to));
  await Deno.chmod(to, mode);
}

/** Makes the directory of a file; returns the file's path. */
async function place(path: string): Promise<string> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  return path;
}

async function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    ...options,
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
