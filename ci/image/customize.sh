#!/bin/sh
# Runs once on the unpacked packages ($1 is their root), before they are cached.
set -eu
root=$1

# Installed for the scenarios that start them; a machine at rest runs none of them.
chroot "$root" systemctl --quiet disable earlyoom.service docker.service docker.socket containerd.service

# `ssh root@127.0.0.1` inside the guest is how a scenario tries a fresh login.
mkdir -p "$root/root/.ssh"
chmod 700 "$root/root/.ssh"
chroot "$root" ssh-keygen -q -t ed25519 -N '' -C bulkhead-guest -f /root/.ssh/id_ed25519
cp "$root/root/.ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
for key in "$root"/etc/ssh/ssh_host_*_key.pub; do
    printf '127.0.0.1,localhost %s\n' "$(cut -d' ' -f1,2 "$key")"
done >"$root/root/.ssh/known_hosts"

# The machine boots with an initrd of its own.
rm -f "$root"/boot/initrd.img-*
chroot "$root" depmod "$(ls "$root/usr/lib/modules")"
