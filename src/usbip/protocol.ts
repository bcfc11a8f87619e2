/**
 * Messages of USB/IP as the kernel's virtual host controller (vhci_hcd) speaks
 * them: transfers without the handshake that names a device. Big endian, but
 * for the setup packet, which is as on the wire of USB.
 *
 * **Source**: Linux, `Documentation/usb/usbip_protocol.rst`,
 * `drivers/usb/usbip/vhci_rx.c`.
 *
 * @module
 */

/** Numbers of the messages. */
export const Message = {
  /** A transfer, from the kernel. */
  Submit: 1,
  /** A transfer is to be taken back, from the kernel. */
  Unlink: 2,
  /** A transfer is done, to the kernel. */
  SubmitDone: 3,
  /** The answer to Unlink, to the kernel. */
  UnlinkDone: 4,
} as const;

/** Size of every header. **Units**: bytes. */
export const HEADER = 48;
/** Most bytes that a transfer brings or asks for. */
export const MAX_TRANSFER = 64 * 1024;

/** Offsets of fields in a header. */
export const Field = {
  Message: 0,
  Seqnum: 4,
  Device: 8,
  /** 1: to the host. */
  Direction: 12,
  Endpoint: 16,
  /** Of a submit; of an unlink: the seqnum of the transfer. */
  Flags: 20,
  Victim: 20,
  /** Of an answer, as a negative errno. */
  Status: 20,
  /** Bytes of the host's buffer, or bytes that are done. */
  Length: 24,
  Setup: 40,
} as const;

/** Negative error numbers of transfers. */
export const UrbStatus = {
  Ok: 0,
  /** EPIPE: the endpoint stalls. */
  Stall: -32,
  /** EPROTO: the device did not answer as it should. */
  Protocol: -71,
  /** EOVERFLOW: the host's buffer is too small. */
  Babble: -75,
  /** ECONNRESET: it was taken back. */
  Unlinked: -104,
} as const;
