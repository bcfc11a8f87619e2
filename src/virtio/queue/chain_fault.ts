/**
 * Faults of a descriptor chain, and their texts.
 *
 * @module
 */

/** Why a chain cannot be used. */
export const ChainFault = {
  /** It can be used. */
  None: 0,
  /** More descriptors than a chain may have: a loop, most likely. */
  TooLong: 1,
  /** `next` names a descriptor that is not in the table. */
  NextOutOfRange: 2,
  /** A buffer is not in the guest's memory, or not all of it. */
  BufferOutOfRange: 3,
  /** A readable descriptor follows a writable one. */
  ReadableAfterWritable: 4,
  /** An indirect descriptor, and the feature was not negotiated. */
  IndirectNotNegotiated: 5,
  /** An indirect descriptor inside an indirect table. */
  IndirectNested: 6,
  /** A descriptor with both INDIRECT and NEXT. */
  IndirectWithNext: 7,
  /** An indirect table whose length is 0 or no multiple of 16. */
  IndirectLength: 8,
  /** An indirect table that is not in the guest's memory, or not all of it. */
  IndirectOutOfRange: 9,
  /** The buffers add up to more than 2^32 - 1 bytes. */
  TooManyBytes: 10,
  /** The buffers lie in more pieces of guest memory than are served. */
  TooManyParts: 11,
} as const;
/** One of the {@linkcode ChainFault} numbers. */
export type ChainFault = typeof ChainFault[keyof typeof ChainFault];

/** Each {@linkcode ChainFault} in words. */
export const CHAIN_FAULT_TEXTS: Readonly<Record<ChainFault, string>> = {
  [ChainFault.None]: "it has no room for a response",
  [ChainFault.TooLong]: "it has more descriptors than a chain may have",
  [ChainFault.NextOutOfRange]: "a descriptor continues outside the table",
  [ChainFault.BufferOutOfRange]: "a buffer is not in the memory that the VMM " +
    "shares",
  [ChainFault.ReadableAfterWritable]: "a readable descriptor follows a " +
    "writable one",
  [ChainFault.IndirectNotNegotiated]:
    "it is indirect, which was not negotiated",
  [ChainFault.IndirectNested]: "an indirect table contains another one",
  [ChainFault.IndirectWithNext]: "an indirect descriptor continues in another",
  [ChainFault.IndirectLength]: "an indirect table has an invalid length",
  [ChainFault.IndirectOutOfRange]: "an indirect table is not in the memory " +
    "that the VMM shares",
  [ChainFault.TooManyBytes]: "its buffers add up to more than 2^32 - 1 bytes",
  [ChainFault.TooManyParts]:
    "its buffers lie in more pieces of memory than are served",
};
