/**
 * The files that gpioagg needs to run, in a guest's initial file system: for a
 * machine whose disks do not survive what is tested.
 *
 * @module
 */
import { artefact, REPOSITORY } from "./environment.ts";
import { extendInitramfs } from "./initramfs.ts";

/** Directory of the initial file system that is the root of these files. */
export const HOST_FILES = "/host";

/**
 * Writes an initial file system that has, beside what is in `initrd`, below
 * {@linkcode HOST_FILES} Deno with its libraries, gpioagg, a shell, udev, and what
 * it is unpacked with, at the paths that they have on this machine. Returns its
 * path, in `directory`.
 *
 * @param cache Deno's cache, in which gpioagg is compiled.
 * @param udevd udev's daemon.
 * @throws {Error} if a file is missing.
 */
export async function withHostFiles(
  directory: string,
  initrd: string,
  cache: string,
  udevd: string,
): Promise<string> {
  const tree = `${directory}/tree`;
  const script = `
    set -e
    root=$1 deno=$2 program=$3 busybox=$4 cache=$5 udev=$6
    mkdir -p "$root/bin" "$root/tmp" "$root/usr/bin"
    mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/root"
    cp "$busybox" "$root/bin/sh"
    ln -s /bin/sh "$root/usr/bin/env"
    mkdir -p "$root/\${deno%/*}"
    cp "$program" "$root/$deno"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
      cp -L --parents "$library" "$root"
    done
    for wrapper in "$udev"/*; do
      # The loader, its option, the libraries' places, the program.
      eval "set -- $(sed -n 's/^exec //p' "$wrapper")"
      cp --parents "$wrapper" "$1" "$4" "$root"
      for library in $("$1" "$2" "$3" --list "$4" | grep -o '/[^ ]*'); do
        cp -L --parents "$library" "$root"
      done
    done
    # udevadm waits for nothing where it finds itself in another root.
    printf '#!/bin/sh\nSYSTEMD_IGNORE_CHROOT=1 exec %s "$@"\n' \
      "$udev/udevadm" >"$root/usr/bin/udevadm"
    chmod 755 "$root/usr/bin/udevadm"
    cp -r --parents src ffi mod.ts deno.json deno.lock scripts/systemd \\
      "$root/$REPOSITORY"
    cd "$cache"
    cp -r --parents gen/file/"$REPOSITORY"/src gen/file/"$REPOSITORY"/ffi \\
      npm/*/deno-std "$root/$cache"`;
  const root = `${tree}${HOST_FILES}`;
  await Deno.mkdir(`${root}${REPOSITORY}`, { recursive: true });
  await Deno.mkdir(`${root}${cache}`, { recursive: true });
  const { success, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      script,
      "sh",
      root,
      await artefact("deno"),
      // The other one may be a script that runs it.
      Deno.execPath(),
      await artefact("busybox"),
      cache,
      udevd.replace(/\/[^/]*$/, ""),
    ],
    cwd: REPOSITORY,
    env: { REPOSITORY },
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return await extendInitramfs(directory, initrd, tree);
}
