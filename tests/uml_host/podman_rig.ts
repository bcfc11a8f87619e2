/**
 * Podman in a User-Mode-Linux host, and the image of scripts/Containerfile.
 *
 * No registry is asked for anything: the base image is made here, of a C library
 * and busybox. Unless an executable is tested, the image is given a script in its
 * place, which runs the checkout, which each container is given a look at.
 *
 * @module
 */
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { EXECUTABLE } from "../environment/program.ts";
import { shell, showProgram, TOP } from "./shell.ts";

/** Place in a container of the things of {@linkcode TOP}. */
const LOOK = `${TOP}:${TOP}:ro`;

/** Script that stands in for the compiled executable. */
const STAND_IN = `#!/bin/sh
export DENO_DIR=${TOP}/deno-cache HOME=/nonexistent
exec ${TOP}/bin/deno run -q --no-prompt --cached-only \\
  --config ${TOP}/checkout/deno.json -P=gpioagg \\
  ${TOP}/checkout/src/cli/main.ts "$@"
`;

/** Stands in for the pinned base image. */
const BASE_IMAGE = "localhost/base";

/** Podman with a file system of its own, in which this machine's /run is. */
export class Podman {
  /** Directory of its file system. */
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** Makes everything ready, without an image. */
  static async open(): Promise<Podman> {
    const root = await artefact("podman");
    await showProgram();
    await shell(`
      mount -t cgroup2 none /sys/fs/cgroup
      mount --bind ${root} ${root}
      cd ${root}
      mkdir -p proc sys dev run tmp var root etc/cdi /dev/mqueue .${TOP}
      mount -t proc none proc
      for place in sys dev run ${TOP.slice(1)}; do
        mount --rbind /$place $place
      done
      mount -t tmpfs none tmp
      mount -t tmpfs -o size=75% none var
      mkdir -p var/tmp
      echo 'root:x:0:0::/root:/bin/sh' >etc/passwd
      cat >etc/containers/containers.conf <<END
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
END
    `);
    return new Podman(root);
  }

  /**
   * Runs a command of podman's; what it writes to standard output.
   *
   * @throws {Error} when it fails, with what it said.
   */
  async run(...args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("chroot", {
      args: [this.root, "/usr/bin/podman", ...args],
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    if (!success) {
      const said = decoder.decode(stdout) + decoder.decode(stderr);
      throw new Error(`Failed: podman ${args.join(" ")}\n${said.trim()}`);
    }
    return decoder.decode(stdout).trimEnd();
  }

  /** Runs a container of the image: `podman run` with what every one needs. */
  runImage(...args: readonly string[]): Promise<string> {
    return this.run("run", "--network=none", "-v", LOOK, ...args);
  }

  /** Builds the image "gpioagg" as scripts/Containerfile says. */
  async buildImage(): Promise<void> {
    await shell(`
      cd ${this.root}/tmp
      mkdir -p base/bin base/etc base/lib base/lib64 base/tmp context/dist
      cp '${await artefact("busybox")}' base/bin/busybox
      ln -s busybox base/bin/sh
      cp -L ../lib64/ld-linux-*.so.* base/lib64
      for library in c m dl pthread rt gcc_s; do
        cp -L ../lib/*-linux-gnu/lib$library.so.* base/lib
      done
      tar -cf base.tar -C base .
      cp '${REPOSITORY}/scripts/Containerfile' context
    `);
    const file = `${this.root}/tmp/context/dist/gpioagg-${Deno.build.arch}`;
    if (EXECUTABLE === undefined) {
      await Deno.writeTextFile(file, STAND_IN, { mode: 0o755 });
    } else await Deno.copyFile(EXECUTABLE, file);
    await this.run(
      "import",
      "-q",
      "/tmp/base.tar",
      BASE_IMAGE,
    );
    await this.run(
      "build",
      "-q",
      "--pull=never",
      `--build-arg=BASE=${BASE_IMAGE}`,
      "--build-arg=EXECUTABLE=given",
      `--build-arg=TARGET=${Deno.build.arch}`,
      "-t",
      "gpioagg",
      "/tmp/context",
    );
  }
}
