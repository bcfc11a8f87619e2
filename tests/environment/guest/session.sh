#!/bin/sh
# The command loop inside every test machine: UML or QEMU, host or guest.
# Standard input and output are a terminal whose other end is the test.
#
# A request is one line: a token, a space, and a shell command in which a
# backslash is written \\ and a line feed \n. The answer is what the command
# writes to both its outputs, then RS, the token, a space, the exit status,
# RS. Every command runs in a shell of its own. RS "ready" RS comes first.
stty raw -echo
printf '\036ready\036'
while IFS= read -r line; do
  token=${line%% *}
  command=$(printf '%b' "${line#* }")
  (eval "$command") </dev/null 2>&1
  printf '\036%s %d\036' "$token" "$?"
done
