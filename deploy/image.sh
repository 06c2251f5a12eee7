#!/usr/bin/env bash
# Makes an image of a vmcp that is built, as an OCI archive, without Docker.
#
#   deploy/image.sh BINARY OUT.tar [--name NAME:TAG] [--base ROOTFS.tar]
#
# --name  what the image is called where it is imported; vmcp:VERSION if absent
# --base  a file system to put vmcp on, .tar or .tar.gz, with glibc and certificates of authorities in it: for
#         backends that are programs. Without it the image has what vmcp needs of Debian's packages of this
#         machine's release (apt-get download), and no shell.
#
# The same binary and packages make the same archive, to the byte. All times are SOURCE_DATE_EPOCH, or 1970.
# It is for `skopeo copy oci-archive:OUT.tar docker://…`, `podman load`, `docker load` (25 or newer) and
# `ctr -n k8s.io images import`. Needs bash, tar, gzip and coreutils; without --base dpkg and apt, too.
set -euo pipefail
export LC_ALL=C

usage='usage: deploy/image.sh BINARY OUT.tar [--name NAME:TAG] [--base ROOTFS.tar]'
binary=${1:?$usage}
out=${2:?$usage}
shift 2
name='' base=''
while [ $# -gt 0 ]; do
  case $1 in
    --name) name=${2:?$usage} ;;
    --base) base=${2:?$usage} ;;
    *) echo "$usage" >&2 && exit 2 ;;
  esac
  shift 2
done

epoch=${SOURCE_DATE_EPOCH:-0}
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
# The machine that the program is for, by its ELF header.
case $(od -An -t u2 -j 18 -N 2 "$binary" | tr -d ' ') in
  62) architecture=amd64 ;;
  183) architecture=arm64 ;;
  *) echo "$binary: for no machine that this script knows (amd64, arm64)" >&2 && exit 1 ;;
esac
version=$("$binary" --version) || {
  echo "$binary is for $architecture and does not run on this machine ($(uname -m)): run this on one of that kind" >&2
  exit 1
}
version=${version##* }
name=${name:-vmcp:$version}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/oci/blobs/sha256" "$work/base" "$work/vmcp" "$work/deb"

# pack FOLDER: its content as a tar in which nothing tells when, where and by whom it was made.
pack() {
  tar --create --format=ustar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
    --mode='u=rwX,go=rX' --directory "$1" .
}

digest() { sha256sum "$1" | cut -d ' ' -f 1; }

# blob FILE TYPE: moves it into the archive, and prints its descriptor.
blob() {
  local sum size
  sum=$(digest "$1")
  size=$(stat -c %s "$1")
  mv "$1" "$work/oci/blobs/sha256/$sum"
  printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d' "$2" "$sum" "$size"
}

layers='' diffs=''
# layer TAR: adds it to the image.
layer() {
  diffs+=${diffs:+,}\"sha256:$(digest "$1")\"
  gzip -n -9 "$1"
  layers+=${layers:+,}$(blob "$1.gz" layer.v1.tar+gzip)'}'
}

# take PACKAGE...: downloads and unpacks them, and notes them where scanners of images look.
take() {
  mkdir -p "$work/base/var/lib/dpkg/status.d"
  local as_root=() package
  # Who is root could not write into its folder as apt's own user.
  [ "$(id -u)" != 0 ] || as_root=(-o APT::Sandbox::User=root)
  (cd "$work/deb" && apt-get download --quiet=2 "${as_root[@]}" "$@" >&2)
  for package in "$@"; do
    dpkg-deb --extract "$work/deb/$package"_*.deb "$work/deb/root"
    dpkg-deb --field "$work/deb/$package"_*.deb >"$work/base/var/lib/dpkg/status.d/$package"
    # Of some it is a link to another package.
    [ ! -f "$work/deb/root/usr/share/doc/$package/copyright" ] ||
      install -D -m 644 "$work/deb/root/usr/share/doc/$package/copyright" "$work/base/usr/share/doc/$package/copyright"
  done
}

# What Debian's vmcp would depend on: certificates, and the libraries that the program is linked to.
debian() {
  local root=$work/base libraries library found target
  if [ "$(dpkg --print-architecture)" != "$architecture" ]; then
    echo "$binary is for $architecture: run this on such a machine, or give a --base" >&2
    exit 1
  fi
  # A program that is linked statically has none.
  libraries=$(ldd "$binary" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p')
  take base-files ca-certificates ${libraries:+libc6 libgcc-s1}
  for library in $libraries; do
    found=$(find "$work/deb/root" -name "${library##*/}" | sort | head -n 1)
    [ -n "$found" ] || { echo "$library is in no package that this script knows (libc6, libgcc-s1)" >&2 && exit 1; }
    # The loader stands where the program says; the others where the loader looks.
    case $library in */ld-linux*) target=$library ;; *) target=${found#"$work/deb/root"} ;; esac
    install -D "$(readlink -f "$found")" "$root$target"
  done
  mkdir -p "$root"/{etc/ssl/certs,dev,proc,sys,tmp}
  cp -L "$work/deb/root/usr/lib/os-release" "$root/etc/os-release"
  # One after the other, each with the end of its last line.
  find "$work/deb/root/usr/share/ca-certificates" -name '*.crt' | sort | while read -r found; do
    sed -e '$a\' "$found"
  done >"$root/etc/ssl/certs/ca-certificates.crt"
  printf 'root:x:0:0:root:/:/sbin/nologin\nvmcp:x:1000:1000:vmcp:/:/sbin/nologin\n' >"$root/etc/passwd"
  printf 'root:x:0:\nvmcp:x:1000:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  pack "$root" >"$work/base.tar"
}

if [ -z "$base" ]; then
  debian
elif gzip --test "$base" 2>/dev/null; then
  gzip -dc "$base" >"$work/base.tar"
else
  cp "$base" "$work/base.tar"
fi
layer "$work/base.tar"
install -D -m 755 "$binary" "$work/vmcp/usr/local/bin/vmcp"
pack "$work/vmcp" >"$work/vmcp.tar"
layer "$work/vmcp.tar"

cat >"$work/config" <<JSON
{"created":"$created","architecture":"$architecture","os":"linux","config":{"User":"1000:1000","WorkingDir":"/",
"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":["/usr/local/bin/vmcp"],
"Cmd":["serve","--config=/etc/vmcp-config/config.yaml","--host=0.0.0.0","--port=4483"],
"ExposedPorts":{"4483/tcp":{}},"StopSignal":"SIGTERM","Labels":{"org.opencontainers.image.title":"vmcp",
"org.opencontainers.image.description":"One MCP endpoint in front of many MCP servers",
"org.opencontainers.image.version":"$version","org.opencontainers.image.licenses":"Apache-2.0"}},
"rootfs":{"type":"layers","diff_ids":[$diffs]},
"history":[{"created":"$created","created_by":"base"},{"created":"$created","created_by":"vmcp $version"}]}
JSON
config=$(blob "$work/config" config.v1+json)'}'
cat >"$work/manifest" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":$config,"layers":[$layers]}
JSON
manifest=$(blob "$work/manifest" manifest.v1+json)
# By the first annotation containerd names what it imports, by the second all others do.
annotations="{\"io.containerd.image.name\":\"$name\",\"org.opencontainers.image.ref.name\":\"${name##*:}\"}"
platform="{\"architecture\":\"$architecture\",\"os\":\"linux\"}"
cat >"$work/oci/index.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[$manifest,"platform":$platform,"annotations":$annotations}]}
JSON
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/oci/oci-layout"
pack "$work/oci" >"$out"
echo "$out: $name, $((($(stat -c %s "$out") + 524288) / 1048576)) MB"
