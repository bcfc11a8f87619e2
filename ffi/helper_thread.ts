/**
 * System calls that may wait for ever, made on threads of their own.
 *
 * Closing another process's file, or unmapping it, runs that file's code in the
 * kernel: a TCP socket may linger, a FUSE server may never answer, and the last
 * user of a large memory file frees all of its pages. None of that may happen on
 * a thread that serves others.
 *
 * A helper thread is a plain thread of the C library with a small stack that
 * makes the calls of one batch and ends (ffi/machine_code.ts): no isolate, no
 * event loop, 20 to 40 µs. One that hangs costs its stack; the process's end does
 * not wait for it. At most {@linkcode MAX_HELPERS} exist at a time, and of these
 * at most {@linkcode MAX_HELPERS_PER_QUEUE} work for one {@linkcode CloseQueue}:
 * a peer whose closes hang delays its own alone. What comes beyond is kept until
 * one has ended.
 *
 * @module
 */
import {
  descriptorLimit,
  type DescriptorShares,
  descriptorShares,
} from "./descriptor_budget.ts";
import { givenKind } from "./given_fd.ts";
import { LITTLE_ENDIAN } from "./layout.ts";
import { libc } from "./libc.ts";
import { machineCode, mapPermanently } from "./machine_code.ts";
import type { OwnedFd } from "./owned_fd.ts";

/**
 * The most helper threads that an isolate has at a time.
 *
 * **Safety**: a constant.
 */
export const MAX_HELPERS = 64;

/**
 * The most helper threads that work for one peer at a time.
 *
 * **Safety**: a constant.
 */
export const MAX_HELPERS_PER_QUEUE = 4;

/** Calls of one peer that may wait, at most: an unmapped table has 509. */
const MAX_CALLS_PER_QUEUE = 4096;

const IS_AARCH64 = Deno.build.arch === "aarch64";
const NR_CLOSE = IS_AARCH64 ? 57 : 3;
const NR_MUNMAP = IS_AARCH64 ? 215 : 11;
const NR_RT_SIGPROCMASK = IS_AARCH64 ? 135 : 14;
const SIG_SETMASK = 2;
const SHUT_RDWR = 2;
const PTHREAD_CREATE_DETACHED = 1;
const STACK_BYTES = 256 * 1024;
/** Bytes of a pthread_attr_t: 56 on x86_64, 64 on aarch64. */
const ATTRIBUTE_BYTES = 64;

/** A batch: calls left (u32), done (u32), 8 bytes of signal mask, calls. */
const BATCH_BYTES = 4096;
const HEADER_BYTES = 16;
const CALL_BYTES = 48;
/** The first call of a batch blocks all signals: they are for other threads. */
const MAX_CALLS = Math.floor((BATCH_BYTES - HEADER_BYTES) / CALL_BYTES) - 1;

/** A system call that a helper thread makes. */
interface Call {
  readonly number: number;
  readonly first: bigint;
  readonly second: bigint;
}

interface Batch {
  readonly pointer: Deno.PointerObject;
  readonly view: DataView;
  readonly counts: Int32Array;
  /** Descriptors that it closes. */
  fds: number;
  /** The queue that it is of. */
  queue: CloseQueue;
}

/**
 * Calls that one peer has caused.
 *
 * **Safety**: plain data.
 */
export class CloseQueue {
  /** Calls that no helper thread has taken yet. */
  readonly kept: Call[] = [];
  /** Helper threads that work for it. */
  running = 0;
  /** Descriptors that wait to be closed, those in work included. */
  descriptors = 0;
}

const free: Batch[] = [];
const running: Batch[] = [];
/** Queues with kept calls, those that wait longest first. */
const waiting = new Set<CloseQueue>();
/** The queue of what no peer has caused. */
const common = new CloseQueue();
let charged = common;
/** Descriptors of all queues that wait to be closed. */
let descriptorsWaiting = 0;
let shares: DescriptorShares | undefined;
let attributes: Uint8Array<ArrayBuffer> | undefined;

/**
 * Charges what is given away from here on to a peer's queue; without one, to
 * that of what no peer has caused. The event loop calls it around each peer's
 * slice.
 *
 * **Safety**: sets a variable.
 */
export function chargeCloses(queue: CloseQueue = common): void {
  charged = queue;
}

/**
 * True while the peer whose slice runs must not give away more: too many of its
 * descriptors wait to be closed, or of all peers' and some are its own.
 *
 * **Safety**: looks only.
 */
export function isBehindWithCloses(): boolean {
  const { descriptors, kept } = charged;
  if (descriptors === 0 && kept.length === 0) return false;
  reap();
  shares ??= descriptorShares(descriptorLimit());
  return charged.descriptors >= shares.closingPerPeer ||
    charged.descriptors > 0 && descriptorsWaiting >= shares.closing ||
    kept.length >= MAX_CALLS_PER_QUEUE;
}

/**
 * Closes descriptors of other processes without waiting. An eventfd is closed at
 * once: that never waits.
 *
 * **Ownership**: taken over; those that are closed already are left alone.
 * **Blocking**: never. **Safety**: end watches before; the numbers are free for
 * others once the helper comes to them.
 */
export function closeElsewhere(fds: Iterable<OwnedFd>): void {
  const calls: Call[] = [];
  for (const owned of fds) {
    if (owned.closed) continue;
    if (givenKind(owned.fd) === "eventfd") {
      owned.close();
      continue;
    }
    calls.push({
      number: NR_CLOSE,
      first: BigInt(owned.release()),
      second: 0n,
    });
  }
  run(calls);
}

/**
 * Hangs up a socket at once and closes it without waiting: what its peer sent
 * and nothing read may hold descriptors, which are closed with it.
 *
 * **Ownership**: taken over. **Blocking**: never. **Safety**: end watches before.
 */
export function hangUpElsewhere(socket: OwnedFd): void {
  if (socket.closed) return;
  shutDown(socket);
  closeElsewhere([socket]);
}

/**
 * The same for a socket in which no descriptor of its peer waits, as at its end:
 * closing it cannot wait. A close alone would not do: a child process that is
 * being started holds a copy until it has become its program.
 *
 * **Ownership**: taken over. **Blocking**: never. **Safety**: end watches before.
 */
export function hangUp(socket: OwnedFd): void {
  if (socket.closed) return;
  shutDown(socket);
  socket.close();
}

/** Fails if the peer is gone, which is as well. */
function shutDown(socket: OwnedFd): void {
  libc().shutdown(socket.fd, SHUT_RDWR);
}

/**
 * Unmaps memory without waiting.
 *
 * **Blocking**: never. **Safety**: nothing may use the memory any more; another
 * mapping may take its place at any time.
 */
export function unmapElsewhere(
  mappings: Iterable<{ address: bigint; length: number }>,
): void {
  const calls: Call[] = [];
  for (const { address, length } of mappings) {
    calls.push({ number: NR_MUNMAP, first: address, second: BigInt(length) });
  }
  run(calls);
}

/**
 * Counts the descriptors that wait to be closed, for tests.
 *
 * **Safety**: looks only.
 */
export function descriptorsElsewhere(): number {
  reap();
  return descriptorsWaiting;
}

/**
 * True while calls wait for a helper thread: an event loop then calls
 * {@linkcode tendHelpers} from time to time.
 *
 * **Safety**: looks only.
 */
export function areCallsKept(): boolean {
  return waiting.size > 0;
}

/**
 * Gives kept calls to helper threads that are free by now.
 *
 * **Blocking**: never. **Safety**: as the calls were promised.
 */
export function tendHelpers(): void {
  reap();
  for (const queue of [...waiting]) {
    if (running.length >= MAX_HELPERS) return;
    serve(queue);
  }
}

/**
 * Waits until all that was given away is done.
 *
 * @returns False if something is not done after `ms` milliseconds.
 *
 * **Blocking**: up to `ms` milliseconds; for tests. **Safety**: looks only.
 */
export function helpersAreDone(ms: number): boolean {
  const end = performance.now() + ms;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    tendHelpers();
    reap();
    if (running.length === 0 && waiting.size === 0) return true;
    if (performance.now() >= end) return false;
    Atomics.wait(cell, 0, 0, 1);
  }
}

function countFds(calls: readonly Call[]): number {
  return calls.filter(({ number }) => number === NR_CLOSE).length;
}

/** Takes back the batches that are done. */
function reap(): void {
  for (let i = running.length - 1; i >= 0; i--) {
    const batch = running[i]!;
    if (Atomics.load(batch.counts, 1) === 0) continue;
    running.splice(i, 1);
    free.push(batch);
    const { queue } = batch;
    queue.running--;
    queue.descriptors -= batch.fds;
    descriptorsWaiting -= batch.fds;
  }
}

function run(calls: readonly Call[]): void {
  if (calls.length === 0) return;
  const fds = countFds(calls);
  charged.kept.push(...calls);
  charged.descriptors += fds;
  descriptorsWaiting += fds;
  waiting.add(charged);
  reap();
  serve(charged);
}

/** Starts helper threads for a queue, as far as there are any for it. */
function serve(queue: CloseQueue): void {
  const { kept } = queue;
  waiting.delete(queue);
  while (
    kept.length > 0 && running.length < MAX_HELPERS &&
    queue.running < MAX_HELPERS_PER_QUEUE
  ) {
    const some = kept.slice(0, MAX_CALLS);
    // Without a thread (EAGAIN: too many tasks), later.
    if (!start(some, queue)) break;
    kept.splice(0, some.length);
  }
  // Behind the others that wait.
  if (kept.length > 0) waiting.add(queue);
}

function start(calls: readonly Call[], queue: CloseQueue): boolean {
  const batch = free.pop() ?? newBatch();
  const { counts, view, pointer } = batch;
  calls.forEach(({ number, first, second }, i) => {
    const offset = HEADER_BYTES + (i + 1) * CALL_BYTES;
    view.setBigInt64(offset, BigInt(number), LITTLE_ENDIAN);
    view.setBigUint64(offset + 8, first, LITTLE_ENDIAN);
    view.setBigUint64(offset + 16, second, LITTLE_ENDIAN);
  });
  // The result of the last run stands in place of the number.
  view.setBigInt64(HEADER_BYTES, BigInt(NR_RT_SIGPROCMASK), LITTLE_ENDIAN);
  Atomics.store(counts, 0, calls.length + 1);
  Atomics.store(counts, 1, 0);
  batch.fds = countFds(calls);
  const { pthreadCreate } = libc();
  const thread = new Uint8Array(8);
  attributes ??= newAttributes();
  const routine = machineCode().routine("helper");
  if (pthreadCreate(thread, attributes, routine, pointer) !== 0) {
    free.push(batch);
    return false;
  }
  batch.queue = queue;
  queue.running++;
  running.push(batch);
  return true;
}

function newBatch(): Batch {
  const pointer = mapPermanently(BATCH_BYTES);
  const memory = Deno.UnsafePointerView.getArrayBuffer(pointer, BATCH_BYTES);
  const view = new DataView(memory);
  const mask = Deno.UnsafePointer.value(pointer) + 8n;
  view.setBigUint64(8, 2n ** 64n - 1n, LITTLE_ENDIAN);
  view.setBigInt64(HEADER_BYTES + 8, BigInt(SIG_SETMASK), LITTLE_ENDIAN);
  view.setBigUint64(HEADER_BYTES + 16, mask, LITTLE_ENDIAN);
  view.setBigUint64(HEADER_BYTES + 32, 8n, LITTLE_ENDIAN);
  const counts = new Int32Array(memory, 0, 2);
  return { pointer, view, counts, fds: 0, queue: common };
}

function newAttributes(): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(ATTRIBUTE_BYTES);
  const c = libc();
  c.pthreadAttrInit(made);
  c.pthreadAttrSetdetachstate(made, PTHREAD_CREATE_DETACHED);
  c.pthreadAttrSetstacksize(made, BigInt(STACK_BYTES));
  return made;
}
