/**
 * `gpioagg usb-relay SOCKET` whose kernel is a process that listens at a second
 * socket, and gets the connection.
 *
 * @module
 */
import { send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { relayDevices } from "../../src/usbip/relay_process.ts";

const [path, kernel] = Deno.args;
relayDevices([path!], () => {}, {
  attachDevice: (fd) => {
    const connection = connectUnix(kernel!);
    send(connection.fd, new Uint8Array(1), [fd]);
    connection.close();
    return 0;
  },
});
