/** Words that shells complete, of services that run and of chips that are there. */
import { assertEquals } from "@std/assert";
import { fileStatus } from "../../../ffi/file_status.ts";
import { listenUnix } from "../../../ffi/unix_socket.ts";
import {
  aggregatorState,
  CannedService,
} from "../../../tests/doubles/canned_service.ts";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";
import { ControlName } from "../../service/control/control_names.ts";

/** Beginning of every name here: services of the machine have words too. */
const OWN = "completed-";

/** Two services below a runtime directory; the second can only be looked at. */
function rig() {
  const stack = new DisposableStack();
  const runtime = stack.adopt(
    Deno.makeTempDirSync(),
    (path) => Deno.removeSync(path, { recursive: true }),
  );
  const before = Deno.env.get("XDG_RUNTIME_DIR");
  Deno.env.set("XDG_RUNTIME_DIR", runtime);
  stack.defer(() =>
    before === undefined
      ? Deno.env.delete("XDG_RUNTIME_DIR")
      : Deno.env.set("XDG_RUNTIME_DIR", before)
  );
  const names = ["press", "crane", "two\nlines"].map((name) => OWN + name);
  for (const [service, socket] of [["plc0", "api"], ["plc1", "look"]]) {
    const directory = `${runtime}/gpioagg-${OWN}${service}`;
    Deno.mkdirSync(directory);
    stack.use(
      new CannedService(
        `${directory}/${socket}.sock`,
        names.map((name) => aggregatorState(name)),
      ),
    );
  }
  const control = `${runtime}/press.sock.control`;
  stack.use(listenUnix(control));
  stack.use(ControlName.publish(`${OWN}press`, control)!);
  return { runtime, [Symbol.dispose]: () => stack.dispose() };
}

/** Words of a kind; a shell gets neither errors nor a status. */
async function words(...args: readonly string[]): Promise<string[]> {
  const { code, stdout, stderr } = await gpioagg(["complete-words", ...args]);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout.split("\n").filter((word) => word !== "").sort();
}

Deno.test("aggregators of all services are completed, each once", async () => {
  using _services = rig();
  assertEquals(await words("aggregator", OWN), [`${OWN}crane`, `${OWN}press`]);
  assertEquals(await words("aggregator", `${OWN}p`), [`${OWN}press`]);
});

Deno.test("lines of aggregators are completed, and conditions on them", async () => {
  using _services = rig();
  const press = `${OWN}press.0`;
  assertEquals(await words("served-line", `${OWN}p`), [press]);
  assertEquals(await words("line-condition", `${OWN}p`), [`${press}=`]);
  assertEquals(await words("line-condition", `${press}=`), [
    `${press}=0`,
    `${press}=1`,
    `${press}=edge`,
    `${press}=falling`,
    `${press}=rising`,
  ]);
});

Deno.test("services are completed by the names that --api takes", async () => {
  using _services = rig();
  assertEquals(await words("service", OWN), [`${OWN}plc0`, `${OWN}plc1`]);
});

Deno.test("sim completes aggregators that can be pulled, then levels", async () => {
  using _services = rig();
  assertEquals(await words("sim", OWN), [`${OWN}press`]);
  assertEquals(await words("pull", "A=B=", `${OWN}press`), ["A=B=0", "A=B=1"]);
  // Nothing is there to tell its lines.
  assertEquals(await words("pull", "D", `${OWN}crane`), []);
});

Deno.test("commands are completed without those that are not for users", async () => {
  assertEquals(await words("command", "us"), []);
  assertEquals(await words("command", "co"), ["completions"]);
});

Deno.test("lines are completed by chip and name, and with values", async () => {
  using kernel = GpioKernel.install();
  kernel.addChip({ lines: 2, names: { 0: "LED", 1: "a b" } });
  assertEquals(await words("chip"), ["gpiochip0"]);
  assertEquals(await words("line"), ["LED", "gpiochip0/"]);
  assertEquals(await words("line-value"), ["LED=", "gpiochip0/"]);
  assertEquals(await words("line-value", "gpiochip0/0"), ["gpiochip0/0="]);
  assertEquals(await words("line-value", "LED="), ["LED=0", "LED=1"]);
  assertEquals(await words("spec", "LED,op"), ["LED,optional"]);
});

Deno.test("lines are remembered for the chips that a shell has seen", async () => {
  using services = rig();
  using kernel = GpioKernel.install();
  kernel.addChip({ lines: 2, names: { 0: "LED", 1: "a b" } });
  const file = `${services.runtime}/gpioagg/lines`;
  assertEquals(await words("line", "L", ""), ["LED"]);
  assertEquals(fileStatus(file), undefined);
  // Nothing that a shell would take for more than one line.
  assertEquals(await words("line", "L", "", "boot\n1 chip"), ["LED"]);
  assertEquals(fileStatus(file), undefined);
  assertEquals(await words("line", "L", "", "boot 1 chip "), ["LED"]);
  assertEquals(
    Deno.readTextFileSync(file),
    "boot 1 chip \ngpiochip0\t0\tLED\ngpiochip0\t1\t\n",
  );
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  // Where it cannot be written, words are there all the same.
  Deno.removeSync(file);
  Deno.mkdirSync(file);
  assertEquals(await words("line", "L", "", "boot 1 chip "), ["LED"]);
});

Deno.test("a kind that is not known has no words", async () => {
  assertEquals(await words("nothing"), []);
  assertEquals(await words(), []);
});
