#!/bin/sh
# The first program of a User-Mode-Linux test machine. The machine's own files
# are below, read-only; everything that is written stays in memory. GPIOAGG_
# SETTINGS, a word of the kernel's command line, names a file that sets:
#   GPIOAGG_BUSYBOX  a static busybox: the shell of the command loop
#   GPIOAGG_SESSION  the command loop
#   GPIOAGG_SHARE    a directory of the machine that can be written, at /mnt
#   GPIOAGG_SYSTEMD  systemd.sh, where systemd goes on as the first program
# and the environment of all commands. The kernel's messages are on the
# console, the command loop is on tty1.
. "$GPIOAGG_SETTINGS"
busybox=$GPIOAGG_BUSYBOX
top=/mnt
"$busybox" mount -t tmpfs none $top
"$busybox" mkdir $top/above $top/work $top/root
root=$top/root
"$busybox" mount -t overlay \
  -o lowerdir=/,upperdir=$top/above,workdir=$top/work none $root
"$busybox" mount -t proc none $root/proc
"$busybox" mount -t sysfs none $root/sys
"$busybox" mount -t configfs none $root/sys/kernel/config
"$busybox" mount -t debugfs none $root/sys/kernel/debug
"$busybox" mount -t devtmpfs none $root/dev
"$busybox" mkdir $root/dev/pts $root/dev/shm
"$busybox" mount -t devpts none $root/dev/pts
"$busybox" mount -t tmpfs none $root/dev/shm
"$busybox" ln -s /proc/self/fd $root/dev/fd
"$busybox" mount -t tmpfs -o mode=755 none $root/run
"$busybox" mount -t hostfs -o "$GPIOAGG_SHARE" none $root/mnt
"$busybox" ip link set lo up
# A real change of the root: services get mounts of their own below it.
"$busybox" mkdir $root/run/initial
cd $root || exit
"$busybox" pivot_root . run/initial
"$busybox" umount -l run/initial
"$busybox" rmdir run/initial
# The end of the command loop (its other end has gone) is the machine's end.
command_loop() {
  "$busybox" setsid "$busybox" sh -c \
    'cd /root && exec "$GPIOAGG_BUSYBOX" sh "$GPIOAGG_SESSION" \
      </dev/tty1 >/dev/tty1'
  "$busybox" poweroff -f
}
[ -n "${GPIOAGG_SYSTEMD:-}" ] || command_loop
. "$GPIOAGG_SYSTEMD"
