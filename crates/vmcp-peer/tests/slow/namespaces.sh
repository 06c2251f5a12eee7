#!/usr/bin/env bash
# Makes two network namespaces with a wire between them, and holds them until its input ends.
#
#   namespaces.sh
#
# Each has an interface called wire: 10.44.0.1 in the first one, 10.44.0.2 in the second. When all is up it writes one
# line: the ids of two processes that stand in them. To be started by root.
set -euo pipefail

setpriv --pdeathsig KILL unshare --net sleep infinity &
first=$!
setpriv --pdeathsig KILL unshare --net sleep infinity &
second=$!
trap 'kill "$first" "$second"' EXIT

# within PID COMMAND...
within() {
  local pid=$1
  shift
  nsenter --net="/proc/$pid/ns/net" "$@"
}

for pid in "$first" "$second"; do
  until [ "$(cat "/proc/$pid/comm")" = sleep ]; do sleep 0.01; done
done
within "$first" ip link add wire type veth peer name wire netns "$second"
for holder in "$first 1" "$second 2"; do
  read -r pid number <<<"$holder"
  within "$pid" ip address add "10.44.0.$number/24" dev wire
  within "$pid" ip link set lo up
  within "$pid" ip link set wire up
done
# It takes a moment until both ends have found each other.
until within "$first" ip -brief link show wire | grep --quiet ' UP '; do sleep 0.01; done
echo "$first $second"
read -r _ || true
