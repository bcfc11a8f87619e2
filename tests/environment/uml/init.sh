#!/bin/sh
# The first program of a User-Mode-Linux test machine. The machine's own files
# are below, read-only; everything that is written stays in memory. The kernel
# passes NAME=VALUE words of its command line on as the environment:
#   GPIOAGG_BUSYBOX  a static busybox: the shell of the command loop
#   GPIOAGG_SESSION  the command loop
#   GPIOAGG_PATH     where programs are looked for
#   GPIOAGG_SHARE    a directory of the machine that can be written, at /mnt
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
"$busybox" mount -t tmpfs none $root/run
if [ -n "$GPIOAGG_SHARE" ]; then
  "$busybox" mount -t hostfs -o "$GPIOAGG_SHARE" none $root/mnt
fi
"$busybox" ip link set lo up
export PATH="$GPIOAGG_PATH"
exec "$busybox" setsid "$busybox" chroot $root "$busybox" sh -c \
  'exec "$GPIOAGG_BUSYBOX" sh "$GPIOAGG_SESSION" </dev/tty1 >/dev/tty1'
