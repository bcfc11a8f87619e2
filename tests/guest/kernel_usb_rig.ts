/**
 * Chips by USB of machines with Debian's own kernels.
 *
 * @module
 */
import {
  findUdevd,
  HOST_ROOT,
  type StockHost,
} from "../environment/stock_host.ts";
import { until } from "../environment/wait.ts";

const LIMIT_MS = 240_000;

/**
 * Runs a tool of libgpiod until it succeeds; its output. Drivers wait for an answer
 * for a fraction of a second, and the process that relays not much longer, which
 * is short under emulation.
 */
export async function tool(host: StockHost, command: string): Promise<string> {
  let text = "";
  await until(command, async () => {
    const { code, output } = await host.exec(command, { timeoutMs: LIMIT_MS });
    text = output.trim();
    return code === 0;
  }, LIMIT_MS).catch((cause) => {
    throw new Error(`${command}: ${text}`, { cause });
  });
  return text;
}

/**
 * Starts a release's udev, with a rule for chips that says less than their
 * configuration, and more: group 77 and mode 664.
 */
export async function startUdev(
  host: StockHost,
  release: "bookworm" | "trixie",
): Promise<void> {
  await host.run(
    `mkdir -p ${HOST_ROOT}/etc/udev/rules.d
     cat >${HOST_ROOT}/etc/udev/rules.d/60-test.rules <<'END'
SUBSYSTEM=="gpio", KERNEL=="gpiochip[0-9]*", GROUP="77", MODE="0664"
END
     chroot ${HOST_ROOT} '${await findUdevd(release)}' --daemon`,
    { timeoutMs: LIMIT_MS },
  );
}

/** Waits until a chip's node has this owner, group and mode: `1234 77 640`. */
export async function untilAccess(
  host: StockHost,
  chip: string,
  access: string,
): Promise<void> {
  let found = "";
  await until(`the access of ${chip}`, async () => {
    // One that was made again may be away for a moment.
    const { output } = await host.exec(`stat -c '%u %g %a' /dev/${chip}`);
    found = output.trim();
    return found === access;
  }, LIMIT_MS).catch((cause) => {
    throw new Error(`${chip} has ${found}`, { cause });
  });
}
