/**
 * A service that polls: requests are answered without kicks while they follow
 * each other, kicks are wanted again afterwards, and a reload turns it off.
 */
import { assertEquals } from "@std/assert";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { MessageType } from "../../src/virtio/gpio/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";
import { until } from "../environment/wait.ts";

const config = (poll: string, isolate = "none") => (directory: string) =>
  `poll: ${poll}
poll-share: 100%
isolate: ${isolate}
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines: [sim/4]
`;

/** A guest that counts the requests for which no kick was wanted. */
class CountingGuest implements Disposable {
  readonly #frontend: Frontend;
  readonly #driver: GpioDriver;
  unkicked = 0;

  constructor(socket: string) {
    this.#frontend = Frontend.open(socket, { timeoutMs: 120_000 });
    this.#driver = GpioDriver.attach(this.#frontend);
  }

  /** One request; kicks only where the device wants that. */
  ask(): void {
    const { requests } = this.#driver;
    const ring = this.#frontend.rings[0]!;
    requests.prepare(0, MessageType.GetValue, 0, 0);
    requests.submit(0);
    if (ring.publish()) this.#frontend.kick(0);
    else this.unkicked++;
    while (requests.wait(60_000) === 0) { /* woken for nothing */ }
    assertEquals(requests.answerStatus(0), 0);
  }

  [Symbol.dispose](): void {
    this.#frontend[Symbol.dispose]();
  }
}

for (const isolate of ["none", "process"]) {
  Deno.test(`a service that polls needs no kick for each request, isolate: ${isolate}`, async () => {
    await using service = await ConfigService.start(config("10ms", isolate));
    const socket = service.socket("a");
    using guest = new CountingGuest(socket);
    await until("a hundred requests without a kick", () => {
      for (let i = 0; i < 20; i++) guest.ask();
      return guest.unkicked >= 100;
    });
    // Pauses that are longer are no reason to poll; every request is answered.
    for (let i = 0; i < 20; i++) {
      guest.ask();
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    await service.hangUp(config("0", isolate));
    guest.ask();
    await until("kicks are wanted", () => {
      const before = guest.unkicked;
      for (let i = 0; i < 50; i++) guest.ask();
      return guest.unkicked === before;
    });
  });
}
