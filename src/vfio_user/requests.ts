/**
 * Requests of a vfio-user client, and what each of them does to the card.
 *
 * A message whose form is wrong breaks a rule. A request that cannot be done is
 * answered with an error number.
 *
 * @module
 */
import { EINVAL, EOPNOTSUPP } from "../../ffi/errno.ts";
import { closeElsewhere } from "../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { PciCard } from "../pci/pci_card.ts";
import { CallFd } from "../peer/notify_fds.ts";
import { ProtocolError } from "../peer/protocol_error.ts";
import { SessionPart, type SessionStore } from "../peer/session_store.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { Intx } from "./intx.ts";
import type { MessageStream } from "./message_stream.ts";
import {
  Command,
  commandName,
  CONFIG_BYTES,
  Flag,
  HEADER_BYTES,
  Irq,
  IrqFlag,
  MAX_ACCESS_BYTES,
  Region,
} from "./protocol.ts";
import { Progress } from "./session_memory.ts";

/** Offsets in the bodies of messages, from the message's begin. */
const BODY = HEADER_BYTES;
/** `struct vfio_device_info`, `vfio_region_info`, `vfio_irq_info`. */
const DEVICE_INFO_BYTES = 16;
const REGION_INFO_BYTES = 32;
const IRQ_INFO_BYTES = 16;
const SET_IRQS_BYTES = 20;
const DMA_MAP_BYTES = 32;
const DMA_UNMAP_BYTES = 24;
/** Offset, region and length in front of a region's data. */
const ACCESS_BYTES = 16;

/** VFIO_DEVICE_FLAGS_RESET and _PCI. */
const DEVICE_FLAGS = 3;
/** VFIO_REGION_INFO_FLAG_READ and _WRITE. */
const REGION_FLAGS = 3;
/** VFIO_IRQ_INFO_EVENTFD, _MASKABLE and _AUTOMASKED. */
const INTX_FLAGS = 7;

const MAJOR = 0;
const CAPABILITIES = new TextEncoder().encode(
  `${
    JSON.stringify({
      capabilities: { max_msg_fds: 16, max_data_xfer_size: MAX_ACCESS_BYTES },
    })
  }\0`,
);

/** Parts of a session that requests use; all of them are lent. */
interface RequestsOptions {
  readonly card: PciCard;
  readonly config: ConfigSpace;
  readonly intx: Intx;
  readonly stream: MessageStream;
  /** Progress of the session, see {@linkcode Progress}. */
  readonly progress: Int32Array;
  readonly store: SessionStore | undefined;
}

/** Server of one client's requests. */
export class Requests {
  readonly #card: PciCard;
  readonly #config: ConfigSpace;
  readonly #intx: Intx;
  readonly #stream: MessageStream;
  readonly #progress: Int32Array;
  readonly #store: SessionStore | undefined;

  constructor(options: RequestsOptions) {
    this.#card = options.card;
    this.#config = options.config;
    this.#intx = options.intx;
    this.#stream = options.stream;
    this.#progress = options.progress;
    this.#store = options.store;
  }

  /** True once a version is agreed on. */
  get isNegotiated(): boolean {
    return this.#progress[Progress.Negotiated] === 1;
  }

  /** Serves the message; returns the rule that it broke, if it broke one. */
  serve(): ProtocolError | undefined {
    const stream = this.#stream;
    const { command, flags } = stream;
    if ((flags & Flag.TypeMask) !== Flag.Request) {
      return this.#broken("it must be a request");
    }
    if (!this.isNegotiated && command !== Command.Version) {
      return this.#broken("the first message must be VERSION");
    }
    switch (command) {
      case Command.Version:
        return this.#version();
      case Command.DmaMap:
        return this.#dmaMap();
      case Command.DmaUnmap:
        return this.#dmaUnmap();
      case Command.GetInfo:
        return this.#info();
      case Command.GetRegionInfo:
        return this.#regionInfo();
      case Command.GetIrqInfo:
        return this.#irqInfo();
      case Command.SetIrqs:
        return this.#setIrqs();
      case Command.RegionRead:
        return this.#read();
      case Command.RegionWrite:
        return this.#write();
      case Command.Reset:
        this.#config.reset();
        this.#card.reset();
        this.#acknowledge();
        return undefined;
      default:
        this.#refuse(EOPNOTSUPP);
        return undefined;
    }
  }

  #broken(rule: string): ProtocolError {
    return new ProtocolError(commandName(this.#stream.command), rule);
  }

  #refuse(errno: number): void {
    this.#stream.replyError(errno);
  }

  /** Returns the fault if the body is shorter than `bytes`. */
  #tooShort(bytes: number): ProtocolError | undefined {
    const { size } = this.#stream;
    return size >= BODY + bytes ? undefined : this.#broken(
      `its body has ${bytes} bytes or more, not ${size - BODY}`,
    );
  }

  #version(): ProtocolError | undefined {
    const short = this.#tooShort(4);
    if (short !== undefined) return short;
    if (this.isNegotiated) return this.#broken("it must come once");
    const { message } = this.#stream;
    const major = message.getUint16(BODY, true);
    if (major !== MAJOR) {
      return this.#broken(`version ${MAJOR} is served, not ${major}`);
    }
    this.#progress[Progress.Negotiated] = 1;
    const minor = message.getUint16(BODY + 2, true);
    const { body } = this.#stream;
    this.#stream.reply(4 + CAPABILITIES.length);
    body.setUint16(0, MAJOR, true);
    body.setUint16(2, minor, true);
    new Uint8Array(body.buffer, body.byteOffset + 4).set(CAPABILITIES);
    return undefined;
  }

  #dmaMap(): ProtocolError | undefined {
    const short = this.#tooShort(DMA_MAP_BYTES);
    if (short !== undefined) return short;
    closeElsewhere(this.#stream.takeFds());
    this.#acknowledge();
    return undefined;
  }

  /** Answers a request that has nothing to return. */
  #acknowledge(): void {
    this.#stream.reply(0);
  }

  #dmaUnmap(): ProtocolError | undefined {
    const short = this.#tooShort(DMA_UNMAP_BYTES);
    if (short !== undefined) return short;
    const { body } = this.#stream;
    this.#stream.reply(DMA_UNMAP_BYTES);
    for (let i = 0; i < DMA_UNMAP_BYTES; i++) {
      body.setUint8(i, this.#stream.message.getUint8(BODY + i));
    }
    return undefined;
  }

  #info(): ProtocolError | undefined {
    const short = this.#tooShort(DEVICE_INFO_BYTES);
    if (short !== undefined) return short;
    const { body } = this.#stream;
    this.#stream.reply(DEVICE_INFO_BYTES);
    body.setUint32(0, DEVICE_INFO_BYTES, true);
    body.setUint32(4, DEVICE_FLAGS, true);
    body.setUint32(8, Region.Count, true);
    body.setUint32(12, Irq.Count, true);
    return undefined;
  }

  /** Returns the size of a region; 0 if the card has none of that number. */
  #regionBytes(region: number): number {
    if (region === Region.Config) return CONFIG_BYTES;
    const { bars } = this.#card;
    for (let i = 0; i < bars.length; i++) {
      if (bars[i]!.index === region) return bars[i]!.size;
    }
    return 0;
  }

  #regionInfo(): ProtocolError | undefined {
    const short = this.#tooShort(REGION_INFO_BYTES);
    if (short !== undefined) return short;
    const region = this.#stream.message.getUint32(BODY + 8, true);
    if (region >= Region.Count) {
      this.#refuse(EINVAL);
      return undefined;
    }
    const size = this.#regionBytes(region);
    const { body } = this.#stream;
    this.#stream.reply(REGION_INFO_BYTES);
    body.setUint32(0, REGION_INFO_BYTES, true);
    body.setUint32(4, size === 0 ? 0 : REGION_FLAGS, true);
    body.setUint32(8, region, true);
    body.setUint32(16, size, true);
    return undefined;
  }

  #irqInfo(): ProtocolError | undefined {
    const short = this.#tooShort(IRQ_INFO_BYTES);
    if (short !== undefined) return short;
    const irq = this.#stream.message.getUint32(BODY + 8, true);
    if (irq >= Irq.Count) {
      this.#refuse(EINVAL);
      return undefined;
    }
    const { body } = this.#stream;
    this.#stream.reply(IRQ_INFO_BYTES);
    body.setUint32(0, IRQ_INFO_BYTES, true);
    body.setUint32(4, irq === Irq.Intx ? INTX_FLAGS : 0, true);
    body.setUint32(8, irq, true);
    body.setUint32(12, irq === Irq.Intx ? 1 : 0, true);
    return undefined;
  }

  #setIrqs(): ProtocolError | undefined {
    const short = this.#tooShort(SET_IRQS_BYTES);
    if (short !== undefined) return short;
    const { message } = this.#stream;
    const flags = message.getUint32(BODY + 4, true);
    const irq = message.getUint32(BODY + 8, true);
    const start = message.getUint32(BODY + 12, true);
    const count = message.getUint32(BODY + 16, true);
    const isDone = irq === Irq.Intx
      ? start === 0 && count <= 1 && this.#setIntx(flags, count)
      // Other interrupts do not exist: only switching them off succeeds.
      : irq < Irq.Count && count === 0;
    if (isDone) this.#acknowledge();
    else this.#refuse(EINVAL);
    return undefined;
  }

  /** Returns true if what `flags` say could be done. */
  #setIntx(flags: number, count: number): boolean {
    const data = flags & IrqFlag.DataMask;
    const action = flags & IrqFlag.ActionMask;
    if (count === 0) {
      // "No data, none of them": off.
      if (data !== IrqFlag.None || action !== IrqFlag.Trigger) return false;
      this.#switchOff();
      return true;
    }
    if (data === IrqFlag.EventFd) {
      // An eventfd that unmasks is refused: QEMU then sends messages instead.
      return action === IrqFlag.Trigger && this.#takeTrigger();
    }
    if (data === IrqFlag.Bool) {
      if (this.#stream.size < BODY + SET_IRQS_BYTES + 1) return false;
      if (this.#stream.message.getUint8(BODY + SET_IRQS_BYTES) === 0) {
        return true;
      }
    } else if (data !== IrqFlag.None) return false;
    switch (action) {
      case IrqFlag.Mask:
        this.#intx.mask();
        return true;
      case IrqFlag.Unmask:
        this.#intx.unmask();
        return true;
      case IrqFlag.Trigger:
        this.#intx.triggerOnce();
        return true;
      default:
        return false;
    }
  }

  #takeTrigger(): boolean {
    const [fd, ...others] = this.#stream.takeFds();
    closeElsewhere(others);
    if (fd === undefined) {
      // Without a descriptor: off.
      this.#switchOff();
      return true;
    }
    return this.setTrigger(fd);
  }

  /**
   * Has INTx signal this fd.
   *
   * @returns False if it cannot be signalled; it is closed then.
   */
  setTrigger(fd: OwnedFd): boolean {
    const call = CallFd.open(fd);
    if (typeof call === "string") return false;
    this.#store?.keep(SessionPart.Trigger, call.fd);
    this.#intx.setTrigger(call);
    return true;
  }

  #switchOff(): void {
    this.#store?.drop(SessionPart.Trigger);
    this.#intx.setTrigger(undefined);
  }

  /** Returns the length of an access; -1 if it is outside of its region. */
  #accessBytes(): number {
    const { message } = this.#stream;
    const count = message.getUint32(BODY + 12, true);
    const high = message.getUint32(BODY + 4, true);
    const offset = message.getUint32(BODY, true);
    const size = this.#regionBytes(message.getUint32(BODY + 8, true));
    const isInside = high === 0 && count > 0 && count <= MAX_ACCESS_BYTES &&
      offset + count <= size;
    return isInside ? count : -1;
  }

  #read(): ProtocolError | undefined {
    const short = this.#tooShort(ACCESS_BYTES);
    if (short !== undefined) return short;
    const count = this.#accessBytes();
    const { message } = this.#stream;
    const region = message.getUint32(BODY + 8, true);
    const offset = message.getUint32(BODY, true);
    const isBar = region !== Region.Config;
    if (count < 0 || (isBar && !isNatural(offset, count))) {
      this.#refuse(EINVAL);
      return undefined;
    }
    const { body } = this.#stream;
    this.#stream.reply(ACCESS_BYTES + count);
    for (let i = 0; i < ACCESS_BYTES; i += 4) {
      body.setUint32(i, message.getUint32(BODY + i, true), true);
    }
    if (!isBar) {
      this.#config.read(offset, body, ACCESS_BYTES, count);
      return undefined;
    }
    const card = this.#card;
    const value = card.read(region, offset, Math.min(count, 4));
    if (count === 1) body.setUint8(ACCESS_BYTES, value);
    else if (count === 2) body.setUint16(ACCESS_BYTES, value, true);
    else body.setUint32(ACCESS_BYTES, value >>> 0, true);
    if (count === 8) {
      const high = card.read(region, offset + 4, 4);
      body.setUint32(ACCESS_BYTES + 4, high >>> 0, true);
    }
    this.#intx.update();
    return undefined;
  }

  #write(): ProtocolError | undefined {
    const short = this.#tooShort(ACCESS_BYTES);
    if (short !== undefined) return short;
    const count = this.#accessBytes();
    const { message, size } = this.#stream;
    const region = message.getUint32(BODY + 8, true);
    const offset = message.getUint32(BODY, true);
    const isBar = region !== Region.Config;
    if (
      count < 0 || size < BODY + ACCESS_BYTES + count ||
      (isBar && !isNatural(offset, count))
    ) {
      this.#refuse(EINVAL);
      return undefined;
    }
    const at = BODY + ACCESS_BYTES;
    if (!isBar) this.#config.write(offset, message, at, count);
    else {
      const card = this.#card;
      const value = count === 1
        ? message.getUint8(at)
        : count === 2
        ? message.getUint16(at, true)
        : message.getUint32(at, true);
      card.write(region, offset, Math.min(count, 4), value);
      if (count === 8) {
        card.write(region, offset + 4, 4, message.getUint32(at + 4, true));
      }
    }
    this.#intx.update();
    if (!this.#stream.wantsReply) return undefined;
    const { body } = this.#stream;
    this.#stream.reply(ACCESS_BYTES);
    for (let i = 0; i < ACCESS_BYTES; i += 4) {
      body.setUint32(i, message.getUint32(BODY + i, true), true);
    }
    return undefined;
  }
}

/** Returns true if a BAR can be accessed so: 1, 2, 4 or 8 bytes, aligned. */
function isNatural(offset: number, count: number): boolean {
  return (count === 1 || count === 2 || count === 4 || count === 8) &&
    offset % count === 0;
}
