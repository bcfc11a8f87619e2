// Listens at a unix socket, as another user, and says so.
const listener = Deno.listen({ transport: "unix", path: Deno.args[0] });
console.log("listening");
for await (const connection of listener) connection.close();
