/**
 * Stands in for a VMM: attaches to a vhost-user socket, drives line 0 high, says
 * so, and stays until it is ended.
 *
 * Usage: vmm_double.ts SOCKET
 *
 * @module
 */
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction } from "../../src/virtio/gpio/protocol.ts";

using frontend = Frontend.open(Deno.args[0]!, { timeoutMs: 120_000 });
GpioDriver.attach(frontend).setOutput(0, 1, Direction.Output);
console.log(`VM ${Deno.pid} drives line 0`);
await new Promise((resolve) => setTimeout(resolve, 600_000));
