#!/usr/bin/env bash
# Runs a program as a pod of ToolHive's operator does: as user and group 1000, without capabilities, with nothing but
# the variables that it is given, and in a file system in which nothing can be written.
#
#   sandbox.sh ROOT PROGRAM [NAME=VALUE]... /vmcp [ARGUMENT]...
#
# ROOT is a folder that holds what the pod mounts, under the paths there: ROOT/etc/vmcp-config/config.yaml. It becomes
# the root, with PROGRAM at /vmcp beside it and the libraries of this machine. A file there that everybody may write is
# mounted by itself and can be written. To be started by root, by `unshare --mount`, so that the mounts end with the program. The program takes the place of this script: it
# has its process id, and dies with the parent.
set -euo pipefail

root=${1:?usage: sandbox.sh ROOT PROGRAM [NAME=VALUE]... /vmcp [ARGUMENT]...}
program=${2:?the program}
shift 2

# read_only SOURCE TARGET
read_only() {
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

mount --make-rprivate /
mount --bind "$root" "$root"
find "$root" -type f -perm -o=w -exec mount --bind {} {} \;
for folder in usr lib lib64; do
  if [ -L "/$folder" ]; then
    cp --no-dereference "/$folder" "$root/$folder"
  elif [ -d "/$folder" ]; then
    mkdir "$root/$folder"
    read_only "/$folder" "$root/$folder"
  fi
done
mkdir "$root/dev" "$root/proc" "$root/tmp"
chmod 1777 "$root/tmp"
for device in null random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount --rbind /proc "$root/proc"
touch "$root/vmcp"
read_only "$program" "$root/vmcp"
mount -o remount,bind,ro "$root"

exec chroot "$root" /usr/bin/setpriv --reuid=1000 --regid=1000 --groups=1000 --inh-caps=-all --bounding-set=-all \
  --no-new-privs --pdeathsig=KILL /usr/bin/env --ignore-environment "$@"
