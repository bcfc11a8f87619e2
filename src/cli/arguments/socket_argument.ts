/**
 * A socket on a command line: its path, and access to it.
 *
 * @module
 */
import { Problems } from "../../config/document/problems.ts";
import type { FileAccess } from "../../config/specification.ts";
import { settingBehind } from "../../config/values/socket_setting.ts";
import { MODE, readValue } from "../../config/values/values.ts";

const HINT = "Write PATH,mode=660,owner=USER,group=GROUP";

/**
 * Reads `PATH[,mode=660][,owner=USER][,group=GROUP]`.
 *
 * @param hint Form of the whole argument, for messages.
 * @param isDirectory True for the path of a directory, which may end in a slash.
 *
 * @throws {ConfigError} If a key is unknown, given twice, or has no value, or the
 * path is a directory's, or ends with a setting of another option.
 */
export function readSocketArgument(
  text: string,
  switchName: string,
  { hint = HINT, isDirectory = false }: {
    readonly hint?: string;
    readonly isDirectory?: boolean;
  } = {},
): { path: string; access: FileAccess } {
  const problems = new Problems();
  const report = problems.at({ path: `${switchName} ${text}` });
  // A path may contain commas: settings begin at the first one with a value.
  const settings = /,(?=[a-z]+=)/.exec(text)?.index ?? text.length;
  const path = text.slice(0, settings);
  const access: FileAccess = {};
  const slip = settingBehind(path);
  if (path === "") report("has no path", hint);
  else if (slip !== undefined) report(`unknown setting "${slip}"`, hint);
  else if (path.endsWith("/") && !isDirectory) {
    report(
      "is the path of a directory",
      `Add the name of the socket: ${path}NAME.sock`,
    );
  }
  for (const setting of text.slice(settings + 1).split(",")) {
    if (setting === "") continue;
    const equals = setting.indexOf("=");
    const key = setting.slice(0, equals);
    const value = setting.slice(equals + 1);
    if (key !== "mode" && key !== "owner" && key !== "group") {
      report(`unknown setting "${setting}"`, hint);
    } else if (access[key] !== undefined) report(`${key} is given twice`);
    else if (key === "mode") access.mode = readValue(MODE, value, report);
    else if (value === "") report(`${key} has no value`, hint);
    else access[key] = value;
  }
  problems.throwFirst();
  return { path, access };
}
