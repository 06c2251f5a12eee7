# Builds a tool that is written in Go, by the Go that is there or else by one of PyPI. To be sourced:
#
#   build_go NAME    builds tools/NAME as target/tools/NAME/NAME
#
# What is pinned lives in target/tools/NAME; nothing is fetched when it is there.

build_go() {
  local name=$1 tools root packages pin go=go
  tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  root=$(cd "$tools/.." && pwd)
  packages=$root/target/tools/$name
  # One Go for all tools.
  pin=$tools/pairings/go.txt
  cat "$tools/$name"/*.go "$tools/$name"/go.* "$pin" | cmp -s - "$packages/built" && return
  mkdir -p "$packages"
  if ! command -v go >/dev/null; then
    python3 -m venv "$packages/go"
    "$packages/go/bin/pip" install --quiet --disable-pip-version-check -r "$pin" >&2
    go=$packages/go/bin/go
  fi
  # What Go fetches stays here too, and can be removed as everything else.
  (
    cd "$tools/$name"
    export GOFLAGS='-modcacherw -mod=readonly' GOMODCACHE=$packages/gomod GOCACHE=$packages/gocache
    "$go" build -o "$packages/$name" .
  )
  # Written last: a build that was interrupted is made anew.
  cat "$tools/$name"/*.go "$tools/$name"/go.* "$pin" >"$packages/built"
}
