/**
 * gpioagg's own units under systemd, in a User-Mode-Linux host where systemd is
 * the first program.
 *
 * The units are taken as they are. What they call /usr/bin/gpioagg is the
 * checkout's launcher, and drop-ins say where its user finds Deno, and that a
 * hang is found sooner.
 *
 * @module
 */
import { artefact, REPOSITORY } from "../environment/environment.ts";

/** Where everybody in the machine finds what is at home elsewhere. */
const TOP = "/opt/gpioagg";

/**
 * Installs the units, their user, the rules for chips (with an udev to obey
 * them) and the program; starts no unit.
 */
export async function installUnits(): Promise<void> {
  const deno = await artefact("deno");
  const udevd = await artefact("udevd");
  await shell(`
    mkdir -p ${TOP}/checkout ${TOP}/deno-cache ${TOP}/bin
    mount --bind '${REPOSITORY}' ${TOP}/checkout
    mount --bind "\${DENO_DIR:-\${XDG_CACHE_HOME:-$HOME/.cache}/deno}" \\
      ${TOP}/deno-cache
    touch ${TOP}/bin/deno
    mount --bind "$(readlink -f '${deno}')" ${TOP}/bin/deno
    ln -sf ${TOP}/checkout/scripts/gpioagg /usr/bin/gpioagg
    cd '${REPOSITORY}/scripts/systemd'
    install -D -m 644 gpioagg.sysusers.conf /usr/lib/sysusers.d/gpioagg.conf
    systemd-sysusers gpioagg.conf
    groupadd vmm
    install -m 644 *.service *.socket /etc/systemd/system
    for unit in gpioagg.service gpioagg@.service; do
      install -D -m 644 /dev/stdin /etc/systemd/system/$unit.d/test.conf <<END
[Service]
Environment=PATH=${TOP}/bin:/usr/bin:/bin DENO_DIR=${TOP}/deno-cache
SupplementaryGroups=vmm
StandardOutput=append:/run/units.log
StandardError=append:/run/units.log
WatchdogSec=2s
END
    done
    install -D -m 644 60-gpioagg.rules /etc/udev/rules.d/60-gpioagg.rules
    '${udevd}' --daemon
    mkdir -p /etc/gpioagg
    systemctl daemon-reload
  `);
}

/**
 * Runs a shell script, with what a machine's maker may do.
 *
 * @throws {Error} when it fails, with what it said.
 */
export async function shell(script: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-euc", script],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    const said = decoder.decode(stdout) + decoder.decode(stderr);
    throw new Error(`Failed: ${script.trim()}\n${said.trim()}`);
  }
  return decoder.decode(stdout).trimEnd();
}

/** Stops units, in this order, when it goes. */
export function stopAtEnd(...units: readonly string[]): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      await shell(`systemctl stop ${units.join(" ")}`);
    },
  };
}

/** What the services wrote, and systemd about them. */
export async function unitLog(): Promise<string> {
  return await shell("cat /run/units.log");
}

/** What systemd says of a unit: properties by name. */
export async function properties(
  unit: string,
): Promise<Readonly<Record<string, string>>> {
  const text = await shell(`systemctl show ${unit}`);
  return Object.fromEntries(
    text.split("\n").map((line) => {
      const equals = line.indexOf("=");
      return [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}
