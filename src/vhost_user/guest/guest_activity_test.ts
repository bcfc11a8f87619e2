import { assertEquals, assertStringIncludes } from "@std/assert";
import { GuestActivity } from "./guest_activity.ts";
import {
  parseProcessTimes,
  type PeerTimes,
  type ProcessTimes,
} from "../../peer/peer_process.ts";

const PID = 100;

/** A VMM whose threads' times a test sets, and a clock. */
class Vmm {
  now = 0;
  guestMs = 0;
  isThere = true;
  readonly threads = new Map<number, { busyMs: number; name: string }>();

  constructor(threads: Record<number, string>) {
    for (const [tid, name] of Object.entries(threads)) {
      this.threads.set(Number(tid), { busyMs: 1000, name });
    }
  }

  readonly times = (): PeerTimes | undefined => {
    const of = (busyMs: number, name: string, startTime = 1): ProcessTimes => ({
      name,
      busyMs,
      guestMs: this.guestMs,
      startTime,
      threadCount: this.threads.size,
    });
    return this.isThere
      ? {
        pid: PID,
        process: of(0, "qemu"),
        threads: new Map(
          [...this.threads].map(([tid, { busyMs, name }]) => [
            tid,
            of(busyMs, name, tid),
          ]),
        ),
      }
      : undefined;
  };

  /** Looks for a second, every 100 ms, while a thread works; the first reason. */
  work(tid: number, msPerLook: number): string | undefined {
    const activity = new GuestActivity(this.times, () => this.now);
    return this.goOn(activity, tid, msPerLook);
  }

  goOn(activity: GuestActivity, tid: number, msPerLook: number) {
    for (let look = 0; look < 10; look++) {
      this.now += 100;
      const thread = this.threads.get(tid);
      if (thread !== undefined) thread.busyMs += msPerLook;
      const reason = activity.look();
      if (reason !== undefined) return reason;
    }
    return undefined;
  }
}

Deno.test("GuestActivity: a VMM at rest, or one that only its main loop keeps busy, is paused", () => {
  const threads = { [PID]: "qemu-system-x86", 101: "qemu-system-x86" };
  assertEquals(new Vmm(threads).work(101, 0), undefined);
  assertEquals(new Vmm(threads).work(PID, 100), undefined);
  // Half a CPU is not enough.
  assertEquals(new Vmm(threads).work(101, 50), undefined);
});

Deno.test("GuestActivity: a thread that is busy for half a second is a guest that runs", () => {
  const vmm = new Vmm({ [PID]: "qemu-system-x86", 101: "qemu-system-x86" });
  assertEquals(
    vmm.work(101, 90),
    "its VMM is busy (qemu-system-x86, 90 % of a CPU)",
  );
  assertEquals(vmm.now, 500);
});

Deno.test("GuestActivity: where QEMU names its virtual CPUs, no other thread counts", () => {
  const threads = {
    [PID]: "qemu-system-x86",
    101: "CPU 0/TCG",
    102: "IO iothread0",
  };
  assertEquals(new Vmm(threads).work(102, 100), undefined);
  assertStringIncludes(new Vmm(threads).work(101, 100) ?? "", "CPU 0/TCG");
});

Deno.test("GuestActivity: a thread that came after the stop writes a dump, perhaps", () => {
  const vmm = new Vmm({ [PID]: "qemu", 101: "qemu" });
  const activity = new GuestActivity(vmm.times, () => vmm.now);
  vmm.threads.set(102, { busyMs: 0, name: "qemu" });
  assertEquals(vmm.goOn(activity, 102, 100), undefined);
});

Deno.test("GuestActivity: the one thread of a process is its guest's", () => {
  assertStringIncludes(
    new Vmm({ [PID]: "linux" }).work(PID, 100) ?? "",
    "linux",
  );
});

Deno.test("GuestActivity: guest time is proof, and with KVM nothing else is", () => {
  const vmm = new Vmm({ [PID]: "qemu", 101: "qemu" });
  vmm.guestMs = 500;
  const activity = new GuestActivity(vmm.times, () => vmm.now);
  // What ran on while the rings stopped is seen at the first look.
  vmm.guestMs += 30;
  assertEquals(vmm.goOn(activity, 101, 100), undefined);
  vmm.guestMs += 20;
  assertEquals(activity.look(), undefined);
  vmm.guestMs += 10;
  assertEquals(activity.look(), "its virtual CPUs ran for 30 ms since");
});

Deno.test("GuestActivity: a process that cannot be looked at says nothing", () => {
  const vmm = new Vmm({ [PID]: "qemu", 101: "qemu" });
  vmm.isThere = false;
  const activity = new GuestActivity(vmm.times, () => vmm.now);
  vmm.isThere = true;
  assertEquals(vmm.goOn(activity, 101, 100), undefined);
  const other = new GuestActivity(vmm.times, () => vmm.now);
  vmm.isThere = false;
  assertEquals(vmm.goOn(other, 101, 10), undefined);
});

Deno.test("parseProcessTimes() reads a name with anything in it", () => {
  const fields = Array.from({ length: 50 }, (_, i) => String(i + 3));
  fields[0] = "S";
  assertEquals(parseProcessTimes(`7 (a) (b\n c) ${fields.join(" ")}`), {
    name: "a) (b? c",
    busyMs: 290,
    threadCount: 20,
    startTime: 22,
    guestMs: 430,
  });
  assertEquals(parseProcessTimes(""), undefined);
  assertEquals(parseProcessTimes("7 (a) S 1"), undefined);
});
