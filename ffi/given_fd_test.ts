import { assertEquals, assertThrows } from "@std/assert";
import { testSerially } from "../tests/doubles/test_alone.ts";
import { createEventFd } from "./event_fd.ts";
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  openFile,
} from "./files.ts";
import { type GivenKind, givenKind } from "./given_fd.ts";
import { libc } from "./libc.ts";
import { createMemFd } from "./mem_fd.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import { listenUnix, socketPair } from "./unix_socket.ts";

const AF_INET = 2;
const SOCK_STREAM = 1;

testSerially(
  "givenKind() knows what is served, and tells it from what pretends to be",
  () => {
    using stack = new DisposableStack();
    const directory = Deno.makeTempDirSync({ prefix: "given-fd-" });
    stack.defer(() => Deno.removeSync(directory, { recursive: true }));
    const use = (fd: OwnedFd) => stack.use(fd).fd;
    const pipe = new Int32Array(2);
    libc().pipe2(new Uint8Array(pipe.buffer), O_CLOEXEC);
    const sockets = socketPair();
    const memory = use(createMemFd("memory", 4096));
    const event = use(createEventFd());
    const named = (name: string) => {
      const path = `${directory}/${name}`;
      Deno.writeTextFileSync(path, "");
      const fd = use(openFile(path, O_RDWR));
      Deno.removeSync(path);
      return fd;
    };
    // Names that a stranger chose.
    new Deno.Command("mkfifo", { args: [`${directory}/pipe:[1]`] })
      .outputSync();
    const expected: readonly (readonly [GivenKind, number])[] = [
      ["eventfd", event],
      ["pipe", use(new OwnedFd(pipe[0]!, "a pipe"))],
      ["pipe", use(new OwnedFd(pipe[1]!, "a pipe"))],
      ["unix socket", use(sockets[0])],
      ["unix socket", use(sockets[1])],
      ["unix socket", use(listenUnix(`${directory}/sock`))],
      ["memory", memory],
      ["memory", use(openFile(`/proc/self/fd/${memory}`, O_RDONLY))],
      ["other", use(openFile(`/proc/self/fd/${memory}`, O_PATH))],
      ["other", use(openFile(`/proc/self/fd/${event}`, O_PATH))],
      ["other", use(openFile("/dev/null", O_RDWR))],
      ["other", use(openFile("/proc/self/stat", O_RDONLY))],
      ["other", use(openFile("/", O_RDONLY | O_DIRECTORY))],
      ["other", use(openFile(`${directory}/pipe:[1]`, O_RDWR))],
      [
        "other",
        use(
          new OwnedFd(libc().socket(AF_INET, SOCK_STREAM, 0), "a TCP socket"),
        ),
      ],
    ];
    assertEquals(
      expected.map(([, fd]) => givenKind(fd)),
      expected.map(([kind]) => kind),
    );
    // What the directory for temporary files is on differs.
    const plain = [named("memfd:x"), named("anon_inode:[eventfd]")].map(
      givenKind,
    );
    assertEquals(
      plain.every((kind) => kind === "other" || kind === "memory"),
      true,
    );
    assertThrows(() => givenKind(999_999), OsError, "EBADF");
  },
);
