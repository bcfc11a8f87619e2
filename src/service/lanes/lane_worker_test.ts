/** A lane that cannot begin lets its lines go in their safe state. */
import { assertEquals, assertThrows } from "@std/assert";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { OsError } from "../../../ffi/os_error.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { laneMemoryBytes } from "../../aggregator/lane/lane_memory.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { runLane } from "./lane_worker.ts";

Deno.test("a lane that cannot listen to the reactor makes its lines safe and lets them go", () => {
  using kernel = GpioKernel.install();
  const chip = kernel.addChip({ lines: 2 });
  const memoryBytes = laneMemoryBytes(2);
  using memory = createMemFd("lane", memoryBytes);
  using done = createEventFd();
  const lines = parseLineSpec(
    `${chip.name}/0-1,direction=output,initial=1,safe=0`,
  );
  const start = {
    // A file of the memory cannot be waited for.
    handover: {
      memoryFd: memory.fd,
      memoryBytes,
      wakeFd: memory.fd,
      doneFd: done.fd,
    },
    lines: lines.map((specification, slot) => ({
      specification,
      owner: "press",
      slot,
    })),
  };
  assertThrows(() => runLane(start, () => {}), OsError, "epoll_ctl");
  const offsets = [0, 1];
  assertEquals(offsets.map((offset) => chip.consumer(offset)), [
    undefined,
    undefined,
  ]);
  assertEquals(offsets.map((offset) => chip.level(offset)), [0, 0]);
});
