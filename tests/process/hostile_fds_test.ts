/**
 * Descriptors whose close, look or use waits, given to a running service: the
 * guest beside must not notice.
 */
import { assert, assertEquals } from "@std/assert";
import { closeElsewhere } from "../../ffi/helper_thread.ts";
import { libc } from "../../ffi/libc.ts";
import { send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { encodeVringFd } from "../../src/vhost_frontend/messages.ts";
import { FrontendRequest } from "../../src/vhost_user/messages/protocol.ts";
import { LingeringSocket } from "../doubles/lingering_socket.ts";
import { Service } from "../environment/service.ts";

const NOTHING = new Uint8Array(0);
const LINGER_S = 60;
const LIMIT_MS = 20_000;

/** The guest beside is served, and the process ends, without waiting. */
async function assertUndisturbed(
  act: (service: Service, fd: number) => Disposable,
): Promise<void> {
  await using service = await Service.start({
    plc0: ["sim/4"],
    plc1: ["sim/4"],
  });
  using good = Frontend.open(service.socket("plc1"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(good);
  using stack = new DisposableStack();
  for (let round = 0; round < 3; round++) {
    const lingering = stack.use(new LingeringSocket(LINGER_S));
    stack.use(act(service, lingering.socket.fd));
    // Whichever copy is closed last waits.
    closeElsewhere([lingering.socket]);
    const began = performance.now();
    for (let i = 0; i < 20; i++) {
      assertEquals(driver.getValue(0), 0);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const ms = performance.now() - began;
    assert(ms < LIMIT_MS, `${ms} ms in round ${round}`);
  }
  const began = performance.now();
  service.process.kill("SIGTERM");
  await service.process.waitForExit({ timeoutMs: LIMIT_MS });
  assert(performance.now() - began < LIMIT_MS);
}

for (
  const [what, request, payload] of [
    ["that nothing asked for", FrontendRequest.SET_OWNER, NOTHING],
    ["as a kick", FrontendRequest.SET_VRING_KICK, encodeVringFd(0, true)],
    ["as a call", FrontendRequest.SET_VRING_CALL, encodeVringFd(1, true)],
    ["as a channel", FrontendRequest.SET_BACKEND_REQ_FD, NOTHING],
  ] as const
) {
  Deno.test(`a descriptor ${what} whose close lingers holds up no guest`, async () => {
    await assertUndisturbed((service, fd) => {
      const evil = Frontend.open(service.socket("plc0"), {
        timeoutMs: 120_000,
      });
      evil.client.sendRaw(request, payload, { fds: [fd] });
      return evil;
    });
  });
}

Deno.test("descriptors that wait unread when a connection ends hold up no guest", async () => {
  await assertUndisturbed((service, fd) => {
    const connection = connectUnix(service.socket("plc0"));
    // A message that is malformed ends the connection; behind it the fd waits.
    send(connection.fd, new Uint8Array(12).fill(0xff));
    try {
      send(connection.fd, new Uint8Array(1), [fd]);
    } catch { /* ended already */ }
    return connection;
  });
});

Deno.test("descriptors sent to a control socket hold up no guest", async () => {
  await assertUndisturbed((service, fd) => {
    const connection = connectUnix(`${service.socket("plc0")}.control`);
    try {
      send(connection.fd, new Uint8Array([0x7b]), [fd]);
    } catch { /* the kernel refuses them: Linux 6.16 and newer */ }
    return connection;
  });
});

Deno.test("a call eventfd that is made to block holds up no guest", async () => {
  await using service = await Service.start({
    plc0: ["sim/4"],
    plc1: ["sim/4"],
  });
  using good = Frontend.open(service.socket("plc1"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(good);
  using evil = Frontend.open(service.socket("plc0"), { timeoutMs: 120_000 });
  GpioDriver.attach(evil);
  const callFd = evil.callPoint(0).backendFd;
  const { fcntl, write } = libc();
  fcntl(callFd, 4, fcntl(callFd, 3, 0) & ~0o4000);
  write(callFd, new Uint8Array(8).fill(0xff).with(0, 0xfe), 8);
  const { rings: [ring] } = evil;
  // The request of a moment ago once more, and an interrupt for it.
  ring!.enableCalls();
  ring!.makeAvailable(0);
  ring!.publish();
  evil.kick(0);
  const began = performance.now();
  assertEquals(driver.getValue(0), 0);
  assert(performance.now() - began < LIMIT_MS);
  await service.process.waitFor(/its notification fd was made blocking/);
});
