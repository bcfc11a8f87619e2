/**
 * The guest of `gpioagg demo --vm`: boots User-Mode Linux at a vhost-user
 * socket and shows what the guest's own tools make of the lines.
 *
 * Usage: `deno run -P=unit scripts/demo_guest.ts SOCKET`, while `gpioagg demo`
 * serves its lines there.
 *
 * @module
 */
import { bootUmlGuest } from "../tests/environment/uml_guest.ts";

const [socket] = Deno.args;
if (socket === undefined) {
  console.error("Usage: demo_guest.ts SOCKET");
  Deno.exit(2);
}

console.log("\nBooting a Linux guest (User-Mode Linux) at the socket…");
await using guest = await bootUmlGuest({ sockets: [socket] });
await show("uname -sr");
await show("gpiodetect");
await show("gpioinfo");

console.log("\nThe guest lights LAMP0:");
await show("gpioset -t 0 LAMP0=1");
await host("LAMP0");

console.log("\nBUTTON0 is pressed on the host while the guest watches:");
const watch = "gpiomon --banner -n 2 -F '%E of %l' BUTTON0";
const watching = guest.exec(watch, {
  onOutput: (() => {
    let pressed = false;
    return (output: string) => {
      if (pressed || !output.includes("Monitoring")) return;
      pressed = true;
      press();
    };
  })(),
});
const { output, code } = await watching;
console.log(`guest# ${watch}\n${output.trimEnd()}`);
if (code !== 0 || !/rising of BUTTON0\s+falling of BUTTON0/.test(output)) {
  console.error("The guest did not see both edges");
  Deno.exit(1);
}

async function show(command: string): Promise<void> {
  console.log(`guest# ${command}`);
  console.log(await guest.run(command));
}

async function press(): Promise<void> {
  await gpioagg("sim", socket!, "BUTTON0=1");
  await gpioagg("sim", socket!, "BUTTON0=0");
}

async function host(line: string): Promise<void> {
  const table = await gpioagg("sim", socket!);
  const rows = table.split("\n").filter((row) => row.includes(line));
  console.log(`host#  gpioagg sim SOCKET\n${rows.join("\n")}`);
}

async function gpioagg(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=gpioagg", "src/cli/main.ts", ...args],
    cwd: new URL("..", import.meta.url).pathname,
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd();
}
