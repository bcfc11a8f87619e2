/**
 * Asks a service as another user: one request, the answer's status and body as
 * JSON on standard output.
 *
 * Usage: as_user.ts SOCKET METHOD PATH [BODY]
 *
 * @module
 */
import { readText, sendRequest } from "../../src/client/http_request.ts";

const [socket = "", method = "GET", path = "/", body] = Deno.args;
try {
  const answer = await sendRequest(socket, {
    method: method as "GET",
    path,
    ...(body === undefined ? {} : { body: JSON.parse(body) }),
  });
  const text = await readText(answer.body);
  console.log(JSON.stringify({ status: answer.status, text }));
} catch (error) {
  console.log(JSON.stringify({ status: 0, text: String(error) }));
}
