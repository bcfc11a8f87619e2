/** The image of scripts/Containerfile, and what CDI hands over, with Podman. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { lacksApi } from "../environment/program.ts";
import { until } from "../environment/wait.ts";
import { simChip } from "./gpio_sim.ts";
import { gpioagg, holdChip } from "./kernel_chip_rig.ts";
import { Podman } from "./podman_rig.ts";
import { shell } from "./shell.ts";

const START_LIMIT_MS = 120_000;
/** The container's own: what is in /run/gpioagg is the host's. */
const DIRECTORY = "/run/gpioagg-service";
const API_SOCKET = `${DIRECTORY}/api.sock`;
const SERVICE_USER = 65534;
const CHIP_GROUP = 995;
const STATUS = "--format={{.State.Status}} {{.State.ExitCode}}";

let podman: Podman;

Deno.test("podman builds the image of the Containerfile", async () => {
  podman = await Podman.open();
  await podman.buildImage();
  assertMatch(
    await podman.runImage("--rm", "gpioagg", "--version"),
    /^gpioagg /,
  );
});

Deno.test("a container serves simulated lines to another one", async () => {
  const directory = "/run/gpioagg-sim";
  await shell(
    `install -d -o ${SERVICE_USER} -g ${SERVICE_USER} ${directory}`,
  );
  const socket = `${directory}/press.sock`;
  const volume = `--volume=${directory}:${directory}`;
  const inContainer = ["--read-only", "--cap-drop=all", volume];
  await podman.runImage(
    "--detach",
    "--name=sim",
    ...inContainer,
    ...["gpioagg", "serve", "--socket-path", socket],
    ...["--line", "sim/2,as=LAMP,safe=0"],
  );
  try {
    await until(
      "the socket",
      () => fileStatus(socket) !== undefined,
      START_LIMIT_MS,
    );
    const probe = ["gpioagg", "probe", socket, "--timeout", "60s"];
    assertMatch(
      await podman.runImage(
        "--rm",
        ...inContainer,
        ...probe,
        ...["--set", "LAMP0=1", "--get", "LAMP0"],
      ),
      /\nLAMP0=1$/,
    );
  } finally {
    await podman.run("stop", "sim");
  }
  assertEquals(await podman.run("inspect", STATUS, "sim"), "exited 0");
});

Deno.test({
  name: "a container serves chips that it was given, to host and containers",
  ignore: lacksApi(),
  fn: servesChips,
});

async function servesChips(): Promise<void> {
  await using chip = await simChip({ lines: 3, names: { 2: "VALVE" } });
  await shell(`
    chgrp ${CHIP_GROUP} ${chip.path}
    chmod 660 ${chip.path}
    install -d -o ${SERVICE_USER} -g ${SERVICE_USER} ${DIRECTORY}
  `);
  await podman.runImage(
    "--detach",
    "--name=service",
    "--read-only",
    "--cap-drop=all",
    `--device=${chip.path}`,
    `--group-add=${CHIP_GROUP}`,
    `--volume=${DIRECTORY}:${DIRECTORY}`,
    "gpioagg",
    "serve",
    `--api=${API_SOCKET}`,
    `--api-look=${DIRECTORY}/look.sock`,
  );
  try {
    const client = new ServiceClient(API_SOCKET);
    await until(
      "the service in the container",
      () => fileStatus(API_SOCKET) !== undefined,
      START_LIMIT_MS,
    );
    await client.createLasting({
      name: "press",
      lines: [
        `${chip.name}/0,as=PUMP,direction=output,initial=1,safe=0`,
        `${chip.name}/1,as=LEVEL,direction=input`,
      ],
    });
    assertEquals(await chip.level(0), 1);
    await using valve = await holdChip(
      "--name",
      "valve",
      "--line",
      "VALVE",
      "--group",
      String(CHIP_GROUP),
      "--mode",
      "660",
    );

    const written = await gpioagg(
      "cdi",
      "--trust-services",
      "--output",
      `${podman.root}/etc/cdi/gpioagg.json`,
    );
    assertEquals([written.code, written.stdout], [0, ""]);
    // The service's own user decides what is at its sockets.
    assertMatch(
      written.stderr,
      /^gpioagg: others can write to the directory \/run\/gpioagg-service .*\n$/,
    );
    // Other containers get what they are given by name, and no more.
    const inContainer = (script: string, ...devices: readonly string[]) =>
      podman.runImage(
        "--rm",
        `--group-add=${CHIP_GROUP}`,
        ...devices.map((name) => `--device=gpioagg/aggregator=${name}`),
        "--entrypoint=/bin/sh",
        "gpioagg",
        "-c",
        `${script}; echo /dev/gpiochip* /run/gpioagg/*`,
      );
    await chip.pull(1, "up");
    await chip.pull(2, "up");
    assertEquals(
      await inContainer(":"),
      "/dev/gpiochip* /run/gpioagg/*",
    );
    const probed = await inContainer(
      "gpioagg probe $GPIOAGG_PRESS --set PUMP=0 --get LEVEL",
      "press",
    );
    assertMatch(
      probed,
      /\nPUMP=0\nLEVEL=1\n\/dev\/gpiochip\* \/run\/gpioagg\/press.sock$/,
    );
    assertEquals(await chip.level(0), 0);
    assertEquals(
      await inContainer("gpioagg get --numeric VALVE", "valve"),
      `1\n${valve.chip.path} /run/gpioagg/*`,
    );
    assertEquals(
      await inContainer("stat -c '%u %g %a' $GPIOAGG_VALVE", "valve"),
      `0 ${CHIP_GROUP} 660\n${valve.chip.path} /run/gpioagg/*`,
    );
    await assertRejects(() => inContainer(":", "no-such-thing"));
  } finally {
    await podman.run("stop", "service");
  }
  assertEquals(await podman.run("inspect", STATUS, "service"), "exited 0");
  assertEquals(fileStatus(`${DIRECTORY}/press.sock`), undefined);
}
