/** Lines of a chip, of a kernel that the test plays. */
import { assertEquals } from "@std/assert";
import {
  type ChipDouble,
  GpioKernel,
} from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Edges, FAILED } from "../../line/port.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { SourceOperation } from "../line_source.ts";
import { SourceFactory } from "./source_factory.ts";

/** A chip of four lines, and a factory of their sources. */
function rig() {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  const chip: ChipDouble = kernel.addChip({ lines: 4 });
  const reactor = stack.use(
    new Reactor({
      onError: (error) => {
        throw error;
      },
    }),
  );
  const sources = stack.use(new SourceFactory(reactor));
  const open = (spec: string, owner: string) =>
    sources.open(parseLineSpec(spec)[0]!, owner);
  return {
    kernel,
    chip,
    reactor,
    sources,
    open,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("ChipLine does not take a line again once it is closed", () => {
  using test = rig();
  const line = test.open("gpiochip0/1", "a");
  assertEquals(line.submit(SourceOperation.Input, 0), 0);
  line[Symbol.dispose]();
  assertEquals(line.submit(SourceOperation.SetEdges, Edges.Both), FAILED);
  assertEquals(test.chip.consumer(1), undefined);
  using other = test.open("gpiochip0/1", "b");
  assertEquals(other.submit(SourceOperation.Output, 1), 0);
});
