import { assertEquals, assertMatch } from "@std/assert";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { duplicate } from "../../../ffi/files.ts";
import { openChip } from "../../gpio/mod.ts";
import { requestFault } from "./kept_request.ts";

Deno.test("requestFault() knows the request of just this line", () => {
  using kernel = GpioKernel.install();
  const { path, name } = kernel.addChip({ lines: 4 });
  using chip = openChip(path);
  using one = chip.requestLines({ lines: [{ offset: 2 }] });
  using two = chip.requestLines({ lines: [{ offset: 0 }, { offset: 1 }] });
  using fd = duplicate(one.fd);
  assertEquals(requestFault(fd, name, 2), undefined);
  assertMatch(requestFault(fd, name, 1)!, /request of line 2 of gpiochip0/);
  assertMatch(requestFault(fd, "gpiochip7", 2)!, /of gpiochip0/);
  using both = duplicate(two.fd);
  assertMatch(requestFault(both, name, 0)!, /request of line 0,1/);
  using other = createEventFd();
  assertMatch(requestFault(other, name, 0)!, /eventfd/);
});
