/**
 * An aggregator's presentations, as the API describes them: what is known of
 * them from the specification alone.
 *
 * @module
 */
import { isListening, socketPath } from "../../../ffi/unix_socket.ts";
import type {
  QemuPinsState,
  UsbredirState,
  VfioUserState,
} from "../../client/protocol.ts";
import {
  type AggregatorSpecification,
  usbredirSockets,
} from "../../config/specification.ts";

/** State of each presentation that the aggregator has. */
export interface ExposureStates {
  readonly vfioUser?: VfioUserState;
  readonly usbredir?: UsbredirState;
  readonly qemuPins?: QemuPinsState;
}

/** Returns the states of the presentations that `specification` names. */
export function listStates(
  specification: AggregatorSpecification,
): ExposureStates {
  const { vfioUser } = specification;
  const usbredir = toUsbredirState(specification);
  const qemuPins = toQemuPinsState(specification);
  return {
    ...(vfioUser && { vfioUser: { socketPath: vfioUser.socketPath } }),
    ...(usbredir && { usbredir }),
    ...(qemuPins && { qemuPins }),
  };
}

/** Returns the path of a listening socket that was given as an fd. */
export function findSocketPath(
  { vhostUser }: AggregatorSpecification,
): string | undefined {
  return vhostUser !== undefined && "fd" in vhostUser &&
      isListening(vhostUser.fd)
    ? socketPath(vhostUser.fd)
    : undefined;
}

function toQemuPinsState(
  { qemuPins }: AggregatorSpecification,
): QemuPinsState | undefined {
  if (qemuPins === undefined) return undefined;
  const { qtest, qmp, device, index } = qemuPins;
  const state = { qtest, qmp, device };
  return index === undefined ? state : { ...state, index };
}

function toUsbredirState(
  { usbredir, lines }: AggregatorSpecification,
): UsbredirState | undefined {
  if (usbredir === undefined) return undefined;
  const { device, connects } = usbredir;
  return {
    sockets: usbredirSockets(usbredir, lines.length),
    device,
    ...(connects === undefined ? {} : { connects }),
  };
}
