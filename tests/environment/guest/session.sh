#!/bin/sh
# The command loop inside every test machine: UML or QEMU, host or guest.
# Standard input and output are a terminal whose other end is the test.
#
# A request is a shell command in which a backslash is written \\ and a line
# feed \n, sent as one or more lines: a token, " + ", a part of the command;
# the last one with " ! " instead. The loop answers RS, the token, "+", RS to
# each "+" line: the other end waits for it, since a terminal that is sent
# more than it can hold (4 KiB) blocks the kernel of User-Mode Linux.
# The answer to "!" is what the command writes to both its outputs, then RS,
# the token, a space, the exit status, RS. Every command runs in a shell of
# its own. RS "ready" RS comes first.
stty raw -echo
printf '\036ready\036'
text=
while IFS= read -r line; do
  token=${line%% *}
  line=${line#* }
  text=$text${line#* }
  if [ "${line%% *}" = + ]; then
    printf '\036%s+\036' "$token"
    continue
  fi
  command=$(printf '%b' "$text")
  text=
  (eval "$command") </dev/null 2>&1
  printf '\036%s %d\036' "$token" "$?"
done
