/**
 * Thread of a guest that toggles and monitors.
 *
 * @module
 */
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import {
  Direction,
  EventStatus,
  IrqType,
  MessageType,
  Status,
} from "../../src/virtio/gpio/protocol.ts";
import { LIKE_QEMU } from "./effort.ts";
import { At, type GuestOrder } from "./toggling_guest.ts";

/** Limit of every wait. **Units**: milliseconds. */
const LIMIT_MS = 10_000;
const OUTPUT = 0;
const INPUT = 1;
/** Slots of one turn's requests; the driver's own take others. */
const RISE = 100;
const FALL = 101;
const LOOK = 102;
const SLOTS = [RISE, FALL, LOOK] as const;
/** Edges of a pulse. */
const EDGES = 2;

/** The parts of a Worker's global scope that are used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<GuestOrder>) => void) | null;
  postMessage(message: string): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data }) => {
  toggle(data);
  scope.postMessage("over");
};

/**
 * A turn is a pulse, of which both edges must come, and a look at the input.
 *
 * A simulated line begins anew in another process: where the last one has served
 * the first half of a pulse only, the second half is no edge. What a killed
 * process had done and not answered, the next one does again.
 */
function toggle({ socket, words }: GuestOrder): void {
  using frontend = Frontend.open(socket, {
    timeoutMs: LIMIT_MS,
    protocolFeatures: LIKE_QEMU,
  });
  const driver = GpioDriver.attach(frontend);
  driver.setOutput(OUTPUT, 0, Direction.Output);
  driver.setInterruptType(INPUT, IrqType.EdgeBoth);
  driver.arm(INPUT);
  const { requests } = driver;
  requests.prepare(RISE, MessageType.SetValue, OUTPUT, 1);
  requests.prepare(FALL, MessageType.SetValue, OUTPUT, 0);
  requests.prepare(LOOK, MessageType.GetValue, INPUT, 0);
  const add = (at: number, count: number) => Atomics.add(words, at, count);
  let last = performance.now();
  while (Atomics.load(words, At.isOver) === 0) {
    for (const slot of SLOTS) requests.submit(slot);
    requests.flush();
    let edges = 0;
    for (
      let event = driver.waitEvent(LIMIT_MS);
      event !== undefined;
      event = driver.waitEvent(0)
    ) {
      if (event.status !== EventStatus.Valid) add(At.errors, 1);
      edges++;
      driver.arm(INPUT);
    }
    requests.reap();
    const isCut = !requests.isBusy(RISE) && requests.isBusy(FALL);
    const end = performance.now() + LIMIT_MS;
    while (SLOTS.some((slot) => requests.isBusy(slot))) {
      if (performance.now() > end) throw new Error("The service is silent");
      requests.wait(LIMIT_MS);
    }
    for (const slot of SLOTS) {
      if (requests.answerStatus(slot) !== Status.Ok) add(At.errors, 1);
    }
    if (requests.answerValue(LOOK) !== 0) add(At.errors, 1);
    for (;;) {
      // The device takes all buffers, and gives back those that it has edges
      // for, before it answers this.
      driver.setInterruptType(INPUT, IrqType.EdgeBoth);
      if (driver.waitEvent(0) === undefined) break;
      edges++;
      driver.arm(INPUT);
    }
    if (edges < EDGES && !isCut) add(At.lost, EDGES - edges);
    if (edges > EDGES) add(At.repeated, edges - EDGES);
    const now = performance.now();
    const pauseUs = Math.round((now - last) * 1000);
    last = now;
    if (pauseUs > Atomics.load(words, At.longestUs)) {
      Atomics.store(words, At.longestUs, pauseUs);
    }
    add(At.toggles, EDGES);
  }
}
