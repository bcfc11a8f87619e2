/**
 * Parts of the scripts of guardians: shells in groups of their own, whose
 * standard output is a pipe to the process that started them, which never reads
 * it.
 *
 * @module
 */

/**
 * Starts a second process of the guardian's group. From the end of the process
 * that started the guardian on, it continues each process of the group that was
 * stopped, once a second, until the guardian has ended. It ends too when the
 * other end of the pipe is closed after a guardian that was killed. Standard
 * output is `/dev/null` afterwards.
 *
 * Until the group is gone its number, the guardian's, is given to no other
 * process.
 */
export const WAKER = `
# Waits at a full pipe for the end of the process that never reads it.
{
  yes
  while kill -CONT $$ && kill -CONT 0; do sleep 1 >/dev/null; done
} </dev/null 2>/dev/null &
waker=$!
trap 'kill -KILL $waker 2>/dev/null' EXIT
exec >/dev/null
`;

/** Continues the second process, which may have been stopped too. */
export const WAKE_ALL = `
kill -CONT 0
`;
