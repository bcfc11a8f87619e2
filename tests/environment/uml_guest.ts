/**
 * User-Mode Linux as the guest: its kernel is a vhost-user frontend with the
 * real gpio-virtio driver.
 *
 * @module
 */
import { bootUml, type UmlOptions, type UmlSession } from "./uml.ts";

/** Options of a guest. */
export interface UmlGuestOptions extends UmlOptions {
  /** The vhost-user sockets of its GPIO controllers, in order. */
  readonly sockets?: readonly string[];
}

/** The device number of GPIO in the virtio specification. */
const VIRTIO_ID_GPIO = 41;

const GUEST_MEMORY_MIB = 128;

/**
 * Boots a guest whose GPIO controllers are vhost-user backends.
 *
 * A backend that a device tree names (`virtio,uml` with `socket-path` and
 * `virtio-device-id`) can have consumers such as `gpio-keys`; see
 * {@linkcode interruptDeviceTree}.
 *
 * @throws {Error} as {@linkcode bootUml} does.
 */
export function bootUmlGuest(
  options: UmlGuestOptions = {},
): Promise<UmlSession> {
  const devices = (options.sockets ?? []).map((socket) =>
    `virtio_uml.device=${socket}:${VIRTIO_ID_GPIO}`
  );
  return bootUml({
    memoryMiB: GUEST_MEMORY_MIB,
    ...options,
    kernelArguments: [...devices, ...options.kernelArguments ?? []],
  });
}

/** An interrupt that a consumer in the guest's kernel takes from a line. */
export interface KernelInterrupt {
  /** The consumer's name in `/proc/interrupts`. */
  readonly name: string;
  /** The line, as the guest counts. */
  readonly line: number;
  /** When it fires. */
  readonly trigger: "rising" | "falling" | "both" | "high" | "low";
}

const TRIGGERS = { rising: 1, falling: 2, both: 3, high: 4, low: 8 } as const;

/**
 * A device tree with one GPIO controller on a vhost-user socket, and a
 * `gpio-keys` button in the guest's kernel for each interrupt.
 *
 * The count of a button's interrupts is in `/proc/interrupts` under its name.
 * Such a line is never requested as GPIO: only its interrupt is used. Do not
 * name the socket in {@linkcode UmlGuestOptions.sockets} too.
 */
export function interruptDeviceTree(
  socket: string,
  interrupts: readonly KernelInterrupt[],
): string {
  const buttons = interrupts.map(({ name, line, trigger }, index) =>
    `    ${name} {
      label = "${name}";
      linux,code = <${index + 2}>;
      interrupts-extended = <&gpio ${line} ${TRIGGERS[trigger]}>;
    };`
  );
  return `/dts-v1/;
/ {
  #address-cells = <1>;
  #size-cells = <0>;
  virtio {
    compatible = "virtio,uml";
    socket-path = "${socket}";
    virtio-device-id = <${VIRTIO_ID_GPIO}>;
    gpio: gpio {
      compatible = "virtio,device${VIRTIO_ID_GPIO.toString(16)}";
      gpio-controller;
      #gpio-cells = <2>;
      interrupt-controller;
      #interrupt-cells = <2>;
    };
  };
  keys {
    compatible = "gpio-keys";
${buttons.join("\n")}
  };
};
`;
}
