/**
 * Which files are mutated, and which tests should notice.
 *
 * @module
 */

/** A part of the program, and its tests. */
export interface Area {
  readonly files: readonly string[];
  readonly tests: { readonly area: string; readonly tests: readonly string[] };
}

const RING = ["src/virtio/queue", "src/vhost_user", "tests/doubles"];
const DEVICE = ["src/virtio/gpio"];
const RULES = ["src/aggregator"];
const RIGHTS = ["src/service/api", "src/service/sockets", "src/client"];
const RESTART = [
  "src/vhost_user",
  "src/aggregator/restart",
  "src/service/restart",
  "src/service/api",
];

/** The heart of the program. */
export const AREAS: readonly Area[] = [
  {
    tests: { area: "ring", tests: RING },
    files: [
      "src/virtio/queue/split_queue.ts",
      "src/virtio/queue/ring_layout.ts",
      "src/virtio/queue/descriptor_chain.ts",
      "src/virtio/queue/guest_memory.ts",
      "src/vhost_user/rings/vring.ts",
      "src/vhost_user/rings/ring_start.ts",
      "src/vhost_user/rings/ring_starter.ts",
    ],
  },
  {
    tests: { area: "device", tests: DEVICE },
    files: [
      "src/virtio/gpio/device.ts",
      "src/virtio/gpio/line.ts",
      "src/virtio/gpio/line_interrupt.ts",
      "src/virtio/gpio/event_queue.ts",
      "src/virtio/gpio/deferred_requests.ts",
    ],
  },
  {
    tests: { area: "rules", tests: RULES },
    files: [
      "src/aggregator/guards.ts",
      "src/aggregator/aggregator_line.ts",
      "src/aggregator/observed_source.ts",
      "src/aggregator/rules/interlock.ts",
      "src/aggregator/rules/pending_rule.ts",
      "src/aggregator/sharing/combined_output.ts",
    ],
  },
  {
    tests: { area: "rights", tests: RIGHTS },
    files: [
      "src/service/api/creations/create.ts",
      "src/service/api/creations/creations.ts",
      "src/service/sockets/connection_slots.ts",
      "src/service/sockets/file_access.ts",
    ],
  },
  {
    tests: { area: "restart", tests: RESTART },
    files: [
      "src/vhost_user/guest/guest_identity.ts",
      "src/virtio/queue/inflight.ts",
      "src/service/restart/manager_fd_store.ts",
      "src/service/api/creations/kept_creations.ts",
    ],
  },
];

/** Changes that once went unnoticed: these are always tried. */
export const KNOWN: readonly {
  area: string;
  path: string;
  before: string;
  after: string;
  tests: readonly string[];
}[] = [
  {
    area: "rules",
    path: "src/aggregator/rules/interlock.ts",
    before: "this.wrapped.remember?.(operation, argument);",
    after: "this.isActive = argument !== 0;\n" +
      "    this.wrapped.remember?.(operation, argument);",
    tests: RULES,
  },
  {
    area: "rules",
    path: "src/aggregator/guards.ts",
    before: "    if (result !== FAILED) {\n",
    after: "    {\n",
    tests: RULES,
  },
  {
    area: "restart",
    path: "src/vhost_user/guest/guest_identity.ts",
    before: "log.taken.count - unlogged <= awaited",
    after: "log.taken.count - unlogged <= size",
    tests: RESTART,
  },
  {
    area: "rules",
    path: "src/qemu/pin_session.ts",
    before: "if (era === this.#era) take(word);",
    after: "take(word);",
    tests: ["src/qemu"],
  },
  {
    area: "rights",
    path: "src/service/api/creations/creations.ts",
    before: "    if (this.#entries.get(name) !== entry) return;\n",
    after: "",
    tests: RIGHTS,
  },
];

/** Changes that change nothing: no test can notice them, and none is tried. */
export const EQUIVALENT: readonly {
  path: string;
  /** The line, without what is around it. */
  before: string;
  after: string;
  why: string;
}[] = [
  {
    path: "src/aggregator/guards.ts",
    before: "#isUnderWay = false;",
    after: "#isUnderWay = true;",
    why: "a failure before the first change puts back what is there",
  },
  {
    path: "src/virtio/queue/descriptor_chain.ts",
    before: "if (bytes <= FEW_BYTES) {",
    after: "if (bytes < FEW_BYTES) {",
    why: "both ways of writing so many bytes write the same",
  },
  {
    path: "src/service/restart/manager_fd_store.ts",
    before: "if (tries >= MAX_TRIES) return false;",
    after: "if (tries > MAX_TRIES) return false;",
    why: "one try more than twenty",
  },
  {
    path: "src/service/restart/manager_fd_store.ts",
    before: "if (send(this.#manager.fd, bytes, fds) >= 0) return true;",
    after: "if (send(this.#manager.fd, bytes, fds) > 0) return true;",
    why: "no message is empty",
  },
  {
    path: "src/virtio/gpio/device.ts",
    before: "if (this.#serveWaiting(line, budget, undefined) > 0) return;",
    after: "if (this.#serveWaiting(line, budget, undefined) > 0) ;",
    why: "what is left of the budget means a line that is busy or has no more",
  },
];
