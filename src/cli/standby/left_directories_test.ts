import { assertEquals } from "@std/assert";
import { bindDatagram } from "../../../ffi/datagram.ts";
import { listDirectory } from "../../../ffi/directory_entries.ts";
import { testAlone } from "../../../tests/doubles/test_alone.ts";
import {
  KEEPER_PREFIX,
  removeLeftDirectories,
  WARM_UP_PREFIX,
} from "./left_directories.ts";

testAlone(
  import.meta,
  "removeLeftDirectories() removes what killed processes left, and nothing else",
  () => {
    const place = Deno.makeTempDirSync();
    try {
      const old = new Date(Date.now() - 120_000);
      const make = (name: string, { listens = true, isYoung = false } = {}) => {
        const path = `${place}/${name}`;
        Deno.mkdirSync(path);
        const socket = listens ? bindDatagram(`${path}/notify`) : undefined;
        if (!isYoung) Deno.utimeSync(path, old, old);
        return socket;
      };
      const own = `${KEEPER_PREFIX}own`;
      using _own = make(own);
      using _other = make(`${KEEPER_PREFIX}other`);
      make(`${KEEPER_PREFIX}killed`)!.close();
      make(`${WARM_UP_PREFIX}killed`)!.close();
      make(`${KEEPER_PREFIX}young`, { isYoung: true })!.close();
      make(`${KEEPER_PREFIX}empty`, { listens: false });
      make("gpioagg-else")!.close();
      Deno.symlinkSync(
        `${place}/gpioagg-else`,
        `${place}/${KEEPER_PREFIX}link`,
      );
      removeLeftDirectories(`${place}/${own}`);
      assertEquals(
        listDirectory(place).sort(),
        [
          "gpioagg-else",
          `${KEEPER_PREFIX}empty`,
          `${KEEPER_PREFIX}link`,
          `${KEEPER_PREFIX}other`,
          own,
          `${KEEPER_PREFIX}young`,
        ].sort(),
      );
      removeLeftDirectories(`${place}/no/such`);
    } finally {
      Deno.removeSync(place, { recursive: true });
    }
  },
);
