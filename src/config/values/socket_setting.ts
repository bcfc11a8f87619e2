/**
 * Settings behind the path of a socket: `PATH,mode=660`.
 *
 * @module
 */

/** Settings of options with a socket; no option has all of them. */
const SETTING = /,((?:connect|device|group|mode|owner)(?:=[^,]*)?)$/i;

/**
 * Returns the setting that a path ends with, and with which its author hardly
 * means a file's name: `connect`. Undefined for other paths, with commas too.
 */
export function settingBehind(path: string): string | undefined {
  return SETTING.exec(path)?.[1];
}
