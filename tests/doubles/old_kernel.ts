/**
 * Kernels before Linux 6.16 for tests.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { forgetKernel } from "../../ffi/socket_message.ts";

const SO_PASSRIGHTS = 83;
const NO_OPTION = 9999;

/** Lets no socket of this isolate refuse descriptors, until disposed. */
export function refuseNoDescriptors(): Disposable {
  const { setsockopt } = libc();
  const use = (value: typeof setsockopt) => {
    Object.defineProperty(libc(), "setsockopt", { configurable: true, value });
    forgetKernel();
  };
  use((fd, level, option, value, length) =>
    setsockopt(
      fd,
      level,
      option === SO_PASSRIGHTS ? NO_OPTION : option,
      value,
      length,
    )
  );
  return { [Symbol.dispose]: () => use(setsockopt) };
}
