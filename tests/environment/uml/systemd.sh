# Goes on as systemd, with the few units that services stand on. Sourced by
# init.sh when everything is mounted.
units=/etc/systemd/system
"$busybox" rm -rf /.dockerenv $units
"$busybox" mkdir -p $units
for unit in basic local-fs multi-user shutdown sockets swap sysinit umount; do
  "$busybox" ln -s "/lib/systemd/system/$unit.target" $units
done
"$busybox" ln -s multi-user.target $units/default.target
"$busybox" mount -t cgroup2 none /sys/fs/cgroup
# Commands are taken when it is up.
(
  until [ -S /run/systemd/private ]; do "$busybox" sleep 0.05; done
  systemctl is-system-running --wait >/dev/null 2>&1
  command_loop
) &
# Neither the machine's own units nor its generators.
export SYSTEMD_UNIT_PATH=$units SYSTEMD_GENERATOR_PATH=/nonexistent
exec /lib/systemd/systemd </dev/null
