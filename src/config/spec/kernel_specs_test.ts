import { assertEquals } from "@std/assert";
import { Problems } from "../document/problems.ts";
import { checkKernelSpecs } from "./kernel_specs.ts";

Deno.test("checkKernelSpecs() reports rules without effect", () => {
  const cases = {
    "gpiochip0/0-7,as=X": [],
    "sim/1": [],
    // Reported as a rule that the kernel has not.
    "gpiochip0/1,direction=input,lane": [],
    "gpiochip0/1,direction=any,lane=false": ["direction=any", "lane=false"],
    "gpiochip0/1,active-low=0,debounce=0ms": ["active-low=false", "debounce=0"],
    "gpiochip0/1,on-disconnect=keep": ["on-disconnect=keep"],
    "gpiochip0/1,shared=off,optional=off": ["shared=false", "optional=false"],
  };
  for (const [spec, rules] of Object.entries(cases)) {
    const problems = new Problems();
    checkKernelSpecs([spec], problems);
    assertEquals(
      problems.sorted().map(({ message }) => message),
      rules.map((rule) =>
        `--line ${spec}: a kernel chip has no rules, so ${rule} has no effect`
      ),
    );
  }
});
