/**
 * A socket on a command line: its path, and who may use it.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type { FileAccess } from "../config/specification.ts";

const HINT = "Write PATH,mode=660,owner=USER,group=GROUP";

/**
 * Reads `PATH[,mode=660][,owner=USER][,group=GROUP]`.
 *
 * @throws {ConfigError} If a key is unknown, given twice, or has no value.
 */
export function readSocketPlace(
  text: string,
  switchName: string,
): { path: string; access: FileAccess } {
  const place = `${switchName} ${text}`;
  // A path may hold commas: settings begin at the first known one.
  const settings = /,(?=[a-z]+=)/.exec(text)?.index ?? text.length;
  const path = text.slice(0, settings);
  const access: FileAccess = {};
  if (path === "") {
    throw new ConfigError("has no path", { path: place, hint: HINT });
  }
  for (const setting of text.slice(settings + 1).split(",")) {
    if (setting === "") continue;
    const equals = setting.indexOf("=");
    const key = setting.slice(0, equals);
    const value = setting.slice(equals + 1);
    if (key !== "mode" && key !== "owner" && key !== "group") {
      throw new ConfigError(`cannot take "${setting}"`, {
        path: place,
        hint: HINT,
      });
    }
    if (access[key] !== undefined) {
      throw new ConfigError(`${key} is given twice`, { path: place });
    }
    if (key === "mode") {
      if (!/^0?[0-7]{3}$/.test(value)) {
        throw new ConfigError(`"${value}" is no mode`, {
          path: place,
          hint: "Three octal digits, such as 660",
        });
      }
      access.mode = parseInt(value, 8);
    } else if (value === "") {
      throw new ConfigError(`${key} has no value`, { path: place, hint: HINT });
    } else access[key] = value;
  }
  return { path, access };
}
