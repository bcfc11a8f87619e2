#!/bin/busybox sh
# The first program of a QEMU guest: the file systems, then the command loop
# on the second serial port (the first one has the kernel's messages).
export PATH=/bin HOME=/root LD_LIBRARY_PATH=/lib
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
busybox mount -t devtmpfs none /dev
mount -t configfs none /sys/kernel/config
mount -t debugfs none /sys/kernel/debug
mount -t tmpfs none /tmp
mount -t tmpfs none /run
# Those of a stock kernel, dependencies first.
while read -r module; do
  insmod "/lib/modules/$module.ko"
done 2>/dev/null </lib/modules/order
cd /root
while :; do
  setsid session </dev/ttyS1 >/dev/ttyS1 2>/dev/console
done
