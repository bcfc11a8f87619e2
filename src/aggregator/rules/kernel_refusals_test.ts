import { assertEquals } from "@std/assert";
import { LineRig, SourceDouble } from "../../../tests/doubles/line_doubles.ts";
import { EBUSY, EINVAL, EIO, ENXIO } from "../../../ffi/errno.ts";
import { Direction, Edges, FAILED, LineOperation } from "../../line/port.ts";

Deno.test("AggregatorLine reports what the kernel refused once, until it succeeds", () => {
  const source = new SourceDouble();
  const { line, reports } = new LineRig("A", "", source);
  line.submit(LineOperation.Output, 0);
  source.refusals = 3;
  for (let i = 0; i < 3; i++) {
    assertEquals(line.submit(LineOperation.SetValue, 1), FAILED);
  }
  assertEquals(reports, [
    "A: the kernel refused to set its value: remote I/O error (EREMOTEIO)",
  ]);
  assertEquals(line.submit(LineOperation.SetValue, 1), 0);
  source.refusals = 1;
  assertEquals(line.submit(LineOperation.SetValue, 0), FAILED);
  assertEquals(reports.length, 2);
  // Another error is another reason.
  source.refusals = 1;
  source.refusalErrno = EIO;
  assertEquals(line.submit(LineOperation.SetValue, 0), FAILED);
  assertEquals(reports.length, 3);
  assertEquals(line.refusals, 0, "no rule refused anything");
});

Deno.test("AggregatorLine reports what a lane's chip refused", () => {
  const source = new SourceDouble();
  const { line, reports } = new LineRig("A", "", source);
  source.isSlow = true;
  source.refusals = 2;
  source.refusalErrno = ENXIO;
  for (let i = 0; i < 2; i++) {
    line.submit(LineOperation.SetEdges, Edges.Rising);
    source.answer();
  }
  assertEquals(reports, [
    "A: the kernel refused to watch its edges: no such device or address " +
    "(ENXIO); this chip raises no interrupts: the guest cannot wait for " +
    "edges of this line",
  ]);
});

Deno.test("AggregatorLine does not report an operation that fits no direction as the kernel's", () => {
  const source = new SourceDouble();
  const { line, reports } = new LineRig("A", "", source);
  assertEquals(source.direction, Direction.Input);
  assertEquals(line.submit(LineOperation.SetValue, 1), FAILED);
  assertEquals(reports, []);
});

Deno.test("a refusal names a driver that uses the line as an interrupt", () => {
  const source = new SourceDouble();
  source.isUsedAsInterrupt = true;
  const { line, reports } = new LineRig("A", "", source);
  source.refusals = 2;
  source.refusalErrno = EBUSY;
  line.submit(LineOperation.SetEdges, Edges.Both);
  source.refusalErrno = EIO;
  line.submit(LineOperation.Output, 1);
  const driver = "a driver of this host uses the line as an interrupt " +
    '(consumer "interrupt"); /proc/interrupts names it';
  assertEquals(reports, [
    "A: the kernel refused to watch its edges: busy " +
    `(EBUSY); ${driver}`,
    `A: the kernel refused to make it an output: input/output error (EIO); ${driver}`,
  ]);
});

Deno.test("a refusal names the settings that a chip may not support", () => {
  const source = new SourceDouble();
  const rules = ",bias=pull-up,drive=open-drain,debounce=10ms";
  const { line, reports } = new LineRig("A", rules, source);
  source.refusals = 2;
  source.refusalErrno = EINVAL;
  line.submit(LineOperation.Input, 0);
  line.submit(LineOperation.Output, 1);
  const refused = "A: the kernel refused to make it an";
  assertEquals(reports, [
    `${refused} input: invalid argument (EINVAL); this chip may not support ` +
    "bias=pull-up or debounce=10000us",
    `${refused} output: invalid argument (EINVAL); this chip may not support ` +
    "bias=pull-up or drive=open-drain",
  ]);
});
