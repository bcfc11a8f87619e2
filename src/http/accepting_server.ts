/**
 * An HTTP server for connections that its user accepts: the control API's and
 * the page's.
 *
 * @module
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";

/** Longest head of a request. **Units**: bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Makes a server that does not listen: each connection comes by its event
 * `connection`.
 *
 * @param take Called with each request, also with one that lacks a host or
 * expects something: Node would answer those itself, or not at all.
 * @param badRequest Answer to an invalid request, as it is sent.
 */
export function acceptingServer(
  take: (request: IncomingMessage, response: ServerResponse) => void,
  badRequest: string,
): Server {
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false },
    take,
  );
  // A server that knows of no listener would promise to keep a connection, and
  // close it after its first answer.
  Object.defineProperty(server, "listening", { value: true });
  // A client may shut down its write side and still read responses.
  Object.defineProperty(server, "httpAllowHalfOpen", { value: true });
  server.on("checkExpectation", take);
  server.on("clientError", (_error: Error, socket: Duplex) => {
    if (socket.writable) socket.end(badRequest);
    else socket.destroy();
  });
  return server;
}
