/**
 * vfio-user messages, as far as a server of one PCI device needs them.
 *
 * **Source**: QEMU `docs/interop/vfio-user.rst`, version 0.9.1; Linux
 * `include/uapi/linux/vfio.h`.
 *
 * @module
 */

/** Numbers of the commands that a client sends. */
export const Command = {
  Version: 1,
  DmaMap: 2,
  DmaUnmap: 3,
  GetInfo: 4,
  GetRegionInfo: 5,
  GetRegionIoFds: 6,
  GetIrqInfo: 7,
  SetIrqs: 8,
  RegionRead: 9,
  RegionWrite: 10,
  Reset: 13,
} as const;

/** **Units**: bytes. */
export const HEADER_BYTES = 16;
/** Longest message that is read, header included. **Units**: bytes. */
export const MAX_MESSAGE_BYTES = 8192;
/** Most descriptors that a message may bring. */
export const MAX_MESSAGE_FDS = 16;
/** Longest access to a region. **Units**: bytes. */
export const MAX_ACCESS_BYTES = 4096;

/** Bits of the header's flags. */
export const Flag = {
  TypeMask: 0xf,
  Request: 0,
  Reply: 1,
  NoReply: 0x10,
  Error: 0x20,
} as const;

/** Fields of the header, as byte offsets. */
export const HeaderField = {
  id: 0,
  command: 2,
  size: 4,
  flags: 8,
  errno: 12,
} as const;

/** Indices of a PCI device's regions: BARs 0 to 5, ROM, configuration, VGA. */
export const Region = { Config: 7, Count: 9 } as const;
/** **Units**: bytes. */
export const CONFIG_BYTES = 256;

/** Indices of a PCI device's interrupts. */
export const Irq = { Intx: 0, Count: 5 } as const;

/** Flags of SET_IRQS: kind of data, and action. */
export const IrqFlag = {
  None: 1,
  Bool: 2,
  EventFd: 4,
  DataMask: 7,
  Mask: 8,
  Unmask: 0x10,
  Trigger: 0x20,
  ActionMask: 0x38,
} as const;

/** Returns a command's name for people. */
export function commandName(command: number): string {
  const found = Object.entries(Command).find(([, code]) => code === command);
  return found === undefined ? `command ${command}` : NAMES[found[0]]!;
}

const NAMES: Readonly<Record<string, string>> = {
  Version: "VERSION",
  DmaMap: "DMA_MAP",
  DmaUnmap: "DMA_UNMAP",
  GetInfo: "DEVICE_GET_INFO",
  GetRegionInfo: "DEVICE_GET_REGION_INFO",
  GetRegionIoFds: "DEVICE_GET_REGION_IO_FDS",
  GetIrqInfo: "DEVICE_GET_IRQ_INFO",
  SetIrqs: "DEVICE_SET_IRQS",
  RegionRead: "REGION_READ",
  RegionWrite: "REGION_WRITE",
  Reset: "DEVICE_RESET",
};
