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
import {
  OTHER_VERSION,
  TO_OTHER_VERSION,
} from "../environment/other_version.ts";
import { EXECUTABLE, lacksApi } from "../environment/program.ts";
import { INSTALLED, shell, showProgram, TOP } from "./shell.ts";

/** Rules of udev that take their time. */
const SLOW_RULES = "/run/udev/rules.d/10-slow.rules";

/** Has units serve their file alone: an old executable refuses an API. */
const WITHOUT_API = `
    sed -n 's|^ExecStart=|&\\n&|; s| --api[a-z-]* [^ ]*||gp' gpioagg@.service |
      sed '1i [Service]' \\
        >/etc/systemd/system/gpioagg@.service.d/without-api.conf`;

/**
 * Installs the units, their user, the rules for chips (with an udev to obey
 * them) and the program; starts no unit.
 */
export async function installUnits(): Promise<void> {
  const udevd = await artefact("udevd");
  const udev = udevd.slice(0, udevd.lastIndexOf("/bin/"));
  await showProgram();
  await shell(`
    ln -sf ${INSTALLED} /usr/bin/gpioagg
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
TimeoutStartSec=5min
END
    done
    install -D -m 644 60-gpioagg.rules /etc/udev/rules.d/60-gpioagg.rules
    '${udevd}' --daemon
    # Its tool, where services find it: they cannot read home directories.
    mkdir ${TOP}/udev
    mount --bind '${udev}' ${TOP}/udev
    sed 's|${udev}|${TOP}/udev|g' '${udev}/bin/udevadm' > ${TOP}/bin/udevadm
    chmod 755 ${TOP}/bin/udevadm
    mkdir -p /etc/gpioagg
    ${lacksApi() ? WITHOUT_API : ""}
    systemctl daemon-reload
  `);
}

/** Dpkg's database, in which nothing but gpioagg is installed. */
const DPKG = "/run/dpkg";

/**
 * Upgrades gpioagg to a package of the other version, by dpkg: with the units,
 * the scripts and the program of the real one. The program of this version is
 * back when the object goes.
 */
export async function upgradePackage(): Promise<AsyncDisposable> {
  // A checkout's version is that of its settings.
  const [program, back] = EXECUTABLE === undefined
    ? [
      `${TO_OTHER_VERSION} <'${REPOSITORY}/deno.json' >/run/deno.json
      mount --bind /run/deno.json ${TOP}/checkout/deno.json
      ln -s ${INSTALLED} $tree/usr/bin/gpioagg`,
      `umount ${TOP}/checkout/deno.json`,
    ]
    : [
      `${TO_OTHER_VERSION} <${INSTALLED} >$tree/usr/bin/gpioagg
      chmod 755 $tree/usr/bin/gpioagg`,
      `ln -sf ${INSTALLED} /usr/bin/gpioagg`,
    ];
  await shell(`
    PATH=$PATH:/usr/sbin:/sbin
    tree=$(mktemp -d)
    chmod 755 $tree
    mkdir -p $tree/DEBIAN $tree/usr/bin ${DPKG}/info ${DPKG}/updates
    ${program}
    cd '${REPOSITORY}/scripts'
    install -D -m 644 -t $tree/usr/lib/systemd/system \
      systemd/*.service systemd/*.socket
    install -D -m 644 systemd/gpioagg.sysusers.conf \
      $tree/usr/lib/sysusers.d/gpioagg.conf
    for script in postinst prerm postrm; do
      install -m 755 debian/gpioagg.$script $tree/DEBIAN/$script
      install -m 755 debian/gpioagg.$script ${DPKG}/info/gpioagg.$script
    done
    cat >$tree/DEBIAN/control <<END
Package: gpioagg
Version: ${OTHER_VERSION}
Architecture: all
Maintainer: a test <test@example.com>
Description: a test
END
    # What is there is the package of this version.
    sed '/^Package/a Status: install ok installed
      s/^Version: .*/Version: 0~this/' $tree/DEBIAN/control >${DPKG}/status
    printf '/.\n/usr\n/usr/bin\n/usr/bin/gpioagg\n' >${DPKG}/info/gpioagg.list
    dpkg-deb --root-owner-group -Znone --build $tree $tree.deb
    rm -r $tree
    dpkg --admindir=${DPKG} --force-unsafe-io --install $tree.deb
    rm $tree.deb
  `);
  return {
    [Symbol.asyncDispose]: async () => {
      await shell(back);
    },
  };
}

/** Installs a drop-in of the checkout for a unit; it goes with the object. */
export async function dropIn(
  unit: string,
  file: string,
): Promise<AsyncDisposable> {
  const installed = `/etc/systemd/system/${unit}.d/${file}`;
  await shell(`
    install -m 644 '${REPOSITORY}/scripts/systemd/${file}' ${installed}
    systemctl daemon-reload
  `);
  return {
    [Symbol.asyncDispose]: async () => {
      await shell(`rm ${installed}; systemctl daemon-reload`);
    },
  };
}

/** Has udev think about every chip; it goes with the object. */
export async function slowUdev(): Promise<AsyncDisposable> {
  await shell(`
    mkdir -p ${SLOW_RULES.slice(0, SLOW_RULES.lastIndexOf("/"))}
    echo 'KERNEL=="gpiochip*", PROGRAM="/bin/sleep 1"' > ${SLOW_RULES}
    ${TOP}/bin/udevadm control --reload
  `);
  return {
    [Symbol.asyncDispose]: async () => {
      await shell(`rm ${SLOW_RULES}; ${TOP}/bin/udevadm control --reload`);
    },
  };
}

/** Stops units, in this order, when it goes. */
export function stopAtEnd(...units: readonly string[]): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      await shell(`systemctl stop ${units.join(" ")}`);
    },
  };
}

/** Returns the output of the services, and systemd's messages about them. */
export async function unitLog(): Promise<string> {
  return await shell("cat /run/units.log");
}

/** Returns the properties of a unit, by name. */
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
