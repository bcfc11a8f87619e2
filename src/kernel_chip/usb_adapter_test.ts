import { assertEquals } from "@std/assert";
import {
  adapterChips,
  type AttachedAdapter,
  detachAdapters,
} from "./usb_adapter.ts";

const RECORD = { id: "plc0.0123456789abcdef", adapters: 2, ports: [0, 30] };

Deno.test("only the adapters of a record are detached, whatever the record says", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const row = (port: string, busId: string) =>
      `hub port sta spd dev sockfd local_busid\nhs ${port} 006 3 0 7 ${busId}\n`;
    await Deno.writeTextFile(`${directory}/status`, row("0000", "1-1"));
    await Deno.writeTextFile(`${directory}/status.1`, row("0030", "3-1"));
    await Deno.writeTextFile(`${directory}/detach`, "");
    for (const [busId, serial] of [["1-1", "keyboard"], ["3-1", "other"]]) {
      await Deno.mkdir(`${directory}/${busId}`);
      await Deno.writeTextFile(`${directory}/${busId}/serial`, `${serial}\n`);
    }
    const detached = () => Deno.readTextFile(`${directory}/detach`);
    detachAdapters(RECORD, directory, directory);
    assertEquals(await detached(), "");
    await Deno.writeTextFile(`${directory}/3-1/serial`, `${RECORD.id}.1\n`);
    detachAdapters(RECORD, directory, directory);
    assertEquals(await detached(), "30");
    // The ports may be free, and the controllers unloaded.
    detachAdapters({ ...RECORD, ports: [1, 2] }, directory, directory);
    detachAdapters(RECORD, `${directory}/none`, directory);
    assertEquals(await detached(), "30");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a chip is there once all its adapters are chips", () => {
  const chips = new Map([[0, "gpiochip1"]]);
  const kernel = {
    chips: (adapters: readonly AttachedAdapter[]) =>
      adapters.flatMap(({ port }) => {
        const name = chips.get(port);
        return name === undefined ? [] : { name, path: `/dev/${name}` };
      }),
  };
  assertEquals(adapterChips(RECORD, kernel), undefined);
  chips.set(30, "gpiochip2");
  assertEquals(
    adapterChips(RECORD, kernel)?.map(({ name }) => name),
    ["gpiochip1", "gpiochip2"],
  );
  assertEquals(adapterChips({ id: RECORD.id }, kernel), undefined);
});
