import { assert, assertEquals } from "@std/assert";
import { testSerially } from "../tests/doubles/test_alone.ts";
import {
  descriptorLimit,
  descriptorShares,
  SessionDescriptors,
} from "./descriptor_budget.ts";

Deno.test("descriptorShares() gives away no more than the limit", () => {
  for (const limit of [16, 64, 256, 1024, 16_384, 1_048_576]) {
    const {
      reserve,
      perApiListener,
      control,
      closing,
      closingPerPeer,
      sessions,
      perSession,
    } = descriptorShares(limit);
    assertEquals(
      reserve + 2 * perApiListener + control + closing + sessions,
      limit,
    );
    assert(perSession >= 9 && perSession <= 16, `${limit}`);
    assert(perApiListener >= limit / 16, `${limit}`);
    assert(sessions >= limit / 4, `${limit}`);
    assert(closingPerPeer <= closing, `${limit}`);
    assert(closingPerPeer > 0, `${limit}`);
  }
  assertEquals(descriptorShares(16_384).reserve, 64);
  assertEquals(descriptorShares(Infinity).closingPerPeer, 64);
});

testSerially(
  "descriptorLimit() is the hard limit: the runtime raises the soft one",
  async () => {
    const module = import.meta.resolve("./descriptor_budget.ts");
    const program = `
    import { descriptorLimit } from "${module}";
    console.log(descriptorLimit());
  `;
    const { stdout } = await new Deno.Command("sh", {
      args: [
        "-c",
        'ulimit -Sn 200; ulimit -Hn 512; exec "$0" eval --no-check --cached-only "$1"',
        Deno.execPath(),
        program,
      ],
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim(), "512");
    assert(descriptorLimit() > 0);
  },
);

Deno.test("SessionDescriptors reserves no more than the share of all VMMs", () => {
  const descriptors = new SessionDescriptors(64);
  const { sessions } = descriptorShares(64);
  assertEquals(descriptors.perSession, 9);
  const first = descriptors.reserve(descriptors.perSession)!;
  const second = descriptors.reserve(descriptors.perSession)!;
  assertEquals(descriptors.reserve(descriptors.perSession), undefined);
  // What waits in line takes one.
  using _rest = descriptors.reserve(sessions - 18);
  assertEquals(descriptors.reserve(1), undefined);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assertEquals(descriptors.reserve(10), undefined);
  assert(descriptors.reserve(9) !== undefined);
  second[Symbol.dispose]();
});

Deno.test("SessionDescriptors has room where there is no limit", () => {
  const descriptors = new SessionDescriptors(Infinity);
  assert(descriptors.reserve(1e6) !== undefined);
  assertEquals(descriptors.perSession, 16);
});
