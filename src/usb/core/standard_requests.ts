/**
 * Standard requests of a USB host: descriptors, status, and what a driver sets.
 *
 * **Source**: USB 2.0, section 9.4 "Standard Device Requests".
 *
 * @module
 */
import {
  type Descriptors,
  DescriptorType,
  makeDescriptors,
} from "./descriptors.ts";
import type { Setup, UsbDescription } from "./transfers.ts";

/** Part of `bmRequestType` that names the recipient. */
export const RECIPIENT = 0x1f;
/** The recipient is an interface. */
export const RECIPIENT_INTERFACE = 1;
const RECIPIENT_DEVICE = 0;
const RECIPIENT_ENDPOINT = 2;

/** `bRequest` of a standard request. */
export const StandardRequest = {
  GetStatus: 0,
  ClearFeature: 1,
  SetFeature: 3,
  SetAddress: 5,
  GetDescriptor: 6,
  GetConfiguration: 8,
  SetConfiguration: 9,
  GetInterface: 10,
  SetInterface: 11,
} as const;

/** Standard requests to one device. Nothing is made for each. */
export class StandardRequests {
  readonly #description: UsbDescription;
  readonly #descriptors: Descriptors;
  readonly #reports: readonly Uint8Array[];
  readonly #answer = new Uint8Array(2);

  /**
   * Prepares the answers.
   *
   * @param reports HID report descriptors, by the number of their interface.
   */
  constructor(
    description: UsbDescription,
    isHighSpeed: boolean,
    reports: readonly Uint8Array[],
  ) {
    this.#description = description;
    this.#descriptors = makeDescriptors(description, isHighSpeed);
    this.#reports = reports;
  }

  /**
   * Returns true for a request without data that the device carries out. All
   * are without effect but SET_CONFIGURATION, which is the device's own.
   */
  accepts({ requestType, request, value, index, length }: Setup): boolean {
    if (length !== 0) return false;
    const recipient = requestType & RECIPIENT;
    switch (request) {
      case StandardRequest.ClearFeature:
      case StandardRequest.SetFeature:
        return recipient <= RECIPIENT_ENDPOINT;
      case StandardRequest.SetAddress:
      case StandardRequest.SetConfiguration:
        return recipient === RECIPIENT_DEVICE;
      case StandardRequest.SetInterface:
        return recipient === RECIPIENT_INTERFACE && value === 0 &&
          index < this.#description.interfaces.length;
      default:
        return false;
    }
  }

  /**
   * Returns the answer to the host; undefined: the request is refused. It is
   * valid until the next call.
   */
  answer(setup: Setup, configuration: number): Uint8Array | undefined {
    const { requestType, request, value, index } = setup;
    const recipient = requestType & RECIPIENT;
    const answer = this.#answer;
    switch (request) {
      case StandardRequest.GetStatus:
        if (recipient > RECIPIENT_ENDPOINT) return undefined;
        answer[0] = recipient === RECIPIENT_DEVICE ? 1 : 0;
        answer[1] = 0;
        return answer;
      case StandardRequest.GetConfiguration:
        answer[0] = configuration;
        return answer.subarray(0, 1);
      case StandardRequest.GetInterface:
        answer[0] = 0;
        return index < this.#description.interfaces.length
          ? answer.subarray(0, 1)
          : undefined;
      case StandardRequest.GetDescriptor:
        return recipient === RECIPIENT_INTERFACE
          ? this.#classDescriptor(value >>> 8, index)
          : this.#descriptor(value >>> 8, value & 0xff);
      default:
        return undefined;
    }
  }

  #descriptor(type: number, index: number): Uint8Array | undefined {
    const { device, configuration, strings } = this.#descriptors;
    if (type === DescriptorType.Device && index === 0) return device;
    if (type === DescriptorType.Configuration && index === 0) {
      return configuration;
    }
    return type === DescriptorType.String ? strings[index] : undefined;
  }

  #classDescriptor(type: number, index: number): Uint8Array | undefined {
    const report = this.#reports[index];
    if (report === undefined || report.length === 0) return undefined;
    if (type === DescriptorType.HidReport) return report;
    return type === DescriptorType.Hid
      ? this.#description.interfaces[index]!.classDescriptor
      : undefined;
  }
}
