/**
 * Numbers of the socket calls, those that several files name.
 *
 * They are those of `asm-generic/socket.h`, which x86_64 and aarch64 share.
 *
 * @module
 */

/** Family of Unix sockets. **Safety**: a constant. */
export const AF_UNIX = 1;
/** Type of streams. **Safety**: a constant. */
export const SOCK_STREAM = 1;
/** Type of datagrams. **Safety**: a constant. */
export const SOCK_DGRAM = 2;
/** Flag of a new socket: calls do not wait. **Safety**: a constant. */
export const SOCK_NONBLOCK = 0o4000;
/** Flag of a new socket: closed in a new program. **Safety**: a constant. */
export const SOCK_CLOEXEC = 0o2000000;
/** Level of the options of any socket. **Safety**: a constant. */
export const SOL_SOCKET = 1;
/** Option: the type. **Safety**: a constant. */
export const SO_TYPE = 3;
/** Option: the family. **Safety**: a constant. */
export const SO_DOMAIN = 39;
/** Flag of a read: the bytes stay in the socket. **Safety**: a constant. */
export const MSG_PEEK = 0x2;
/** Flag of a call: it does not wait. **Safety**: a constant. */
export const MSG_DONTWAIT = 0x40;
