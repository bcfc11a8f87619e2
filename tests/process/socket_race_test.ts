/** Sockets made in a directory of a user who wants more than the socket. */
import { assert, assertEquals } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { listenFor } from "../../src/service/sockets/file_access.ts";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksRoot } from "../doubles/skipped.ts";

/** A user that owns nothing: "nobody" on most machines, but any will do. */
const OTHER = 65534;
const RACE_MS = 4000;

const isUser = lacksRoot("races for sockets of other users");

Deno.test({
  name:
    "a socket in a VMM's directory is given away, and no file that the VMM's user puts in its place",
  ignore: isUser,
  fn: async () => {
    const scratch = await Deno.makeTempDir({ prefix: "gpioagg-race-" });
    try {
      await Deno.chmod(scratch, 0o755);
      const [theirs, ours] = [`${scratch}/vmm`, `${scratch}/root`];
      await Deno.mkdir(theirs);
      await Deno.chown(theirs, OTHER, OTHER);
      // Passable: it is the victim's own mode that keeps him out.
      await Deno.mkdir(ours, { mode: 0o755 });
      const victim = `${ours}/victim`;
      await Deno.writeTextFile(victim, "secret", { mode: 0o600 });
      const before = fileStatus(victim);
      const deno = `${scratch}/deno`;
      await Deno.copyFile(await Deno.realPath(await artefact("deno")), deno);
      const program = `${scratch}/racer.js`;
      await Deno.copyFile(
        `${REPOSITORY}/tests/environment/socket_racer.js`,
        program,
      );
      await using racer = new ChildProcess({
        command: "setpriv",
        args: [
          ...[`--reuid=${OTHER}`, `--regid=${OTHER}`, "--clear-groups", deno],
          ...["run", "-q", "--no-config", "--allow-ffi", "--allow-read"],
          ...[program, theirs, "x.sock", victim, String(RACE_MS)],
        ],
        cwd: "/",
        env: { DENO_DIR: `${theirs}/deno`, HOME: theirs },
      });
      await racer.waitFor("racing", { timeoutMs: 120_000 });
      let made = 0;
      const end = performance.now() + RACE_MS;
      while (performance.now() < end) {
        try {
          using _socket = listenFor(
            `${theirs}/x.sock`,
            { owner: String(OTHER) },
            0o666,
          );
          made++;
        } catch (error) {
          // He may well keep the socket from being made at all.
          assert(error instanceof Error);
        }
        assertEquals(fileStatus(victim), before);
      }
      assertEquals([...Deno.readDirSync(ours)].length, 1);
      assert(made > 0, "no socket was made");
      const [line] = await racer.waitFor(/\{"swaps":\d+\}/);
      assert(JSON.parse(line!).swaps > 0, line);
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  },
});
