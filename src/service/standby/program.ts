/**
 * The program that a keeper starts: the one that is installed now.
 *
 * @module
 */
import { fileStatus } from "../../../ffi/file_status.ts";
import {
  type OwnCommand,
  ownCommand,
  startableCommand,
} from "../../../ffi/own_command.ts";

/** Files of a checkout that change with its version. */
const CHECKOUT_FILES = ["../../../deno.json", "../../cli/main.ts"];

/**
 * Returns the command of the program that is installed now, or of the one that
 * runs, if its file was removed. **Ownership**: as {@linkcode startableCommand}.
 */
export function installedCommand(): OwnCommand & Disposable {
  const command = ownCommand(Deno.args.length);
  return fileStatus(command.path) === undefined
    ? startableCommand(Deno.args.length)
    : { ...command, [Symbol.dispose]: () => {} };
}

/** Returns a text that changes when another program is installed. */
export function installedIdentity(): string {
  const files = [
    ownCommand(Deno.args.length).path,
    ...(Deno.build.standalone
      ? []
      : CHECKOUT_FILES.map((file) => new URL(file, import.meta.url).pathname)),
  ];
  return identityOfFiles(files);
}

/** Returns a text that changes when one of the files is replaced. */
export function identityOfFiles(files: readonly string[]): string {
  return files.map((file) => identifyProgram(file)).join(" ");
}

function identifyProgram(path: string): string {
  try {
    const { dev, ino, size, mtime } = Deno.statSync(path);
    return `${dev}:${ino}:${size}:${mtime?.getTime()}`;
  } catch {
    return "absent";
  }
}
