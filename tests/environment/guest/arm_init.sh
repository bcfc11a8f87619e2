#!/bin/busybox sh
# The first program of an ARM guest: the file systems, the modules, then the
# command loop on the serial port that the kernel's command line names
# (GPIOAGG_TTY). The kernel says nothing there: it is told to be quiet.
export PATH=/bin HOME=/root LD_LIBRARY_PATH=/lib
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
busybox mount -t devtmpfs none /dev
busybox mount -t tmpfs none /tmp
busybox mount -t tmpfs none /run
for module in /lib/*.ko; do
  if [ -e "$module" ]; then busybox insmod "$module"; fi
done 2>/dev/null
cd /root
while :; do
  busybox setsid session <"/dev/$GPIOAGG_TTY" >"/dev/$GPIOAGG_TTY" 2>/dev/null
done
