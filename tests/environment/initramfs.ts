/**
 * Initial file systems of guests that need more than the common one.
 *
 * @module
 */
import { artefact } from "./environment.ts";

/**
 * Writes an initial file system: that of the file `initrd`, and the tree of files
 * at `tree`, which is removed. Returns its path, in `directory`.
 *
 * @throws {Error} with the messages of cpio.
 */
export async function extendInitramfs(
  directory: string,
  initrd: string,
  tree: string,
): Promise<string> {
  const whole = `${directory}/initrd`;
  // The kernel unpacks one archive after another.
  const { success, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      '(cd "$1" && find . | "$2" cpio -o -H newc; cat "$3") >"$4"',
      "sh",
      tree,
      await artefact("busybox"),
      initrd,
      whole,
    ],
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  await Deno.remove(tree, { recursive: true });
  return whole;
}

/**
 * Writes an initial file system as {@linkcode extendInitramfs} does, with the
 * driver of virtio-gpio, which the first program of the guest loads.
 */
export async function withDriverModule(
  directory: string,
  initrd: string,
): Promise<string> {
  const tree = `${directory}/tree`;
  const modules = `${tree}/lib/modules`;
  await Deno.mkdir(modules, { recursive: true });
  await Deno.copyFile(
    await artefact("guestDriver"),
    `${modules}/gpio-virtio.ko`,
  );
  await Deno.writeTextFile(`${modules}/order`, "gpio-virtio\n");
  return await extendInitramfs(directory, initrd, tree);
}

/** Word for the command line of a kernel that leaves out its own driver. */
export const NO_BUILT_IN_DRIVER = "initcall_blacklist=virtio_gpio_driver_init";
