#!/usr/bin/env bash
# Copyright The Auriga Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds the container image from the binaries in bin/ (see Dockerfile) with
# buildah, needing neither a daemon nor, on the base image `scratch`, a network:
#   out/image/auriga.tar   an OCI archive; the same binaries give the same bytes
#
# Environment: BASE_IMAGE (default: scratch), VERSION (default: from git).
# Load it with `podman load -i` or copy it with
#   skopeo copy oci-archive:out/image/auriga.tar docker://REGISTRY/auriga:VERSION
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BASE_IMAGE:-scratch}
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
out=out/image

# install_buildah installs buildah from the distribution's packages, or says how.
install_buildah() {
  local install
  if command -v apt-get >/dev/null; then
    install="apt-get update && apt-get install -y --no-install-recommends buildah"
  elif command -v dnf >/dev/null; then
    install="dnf install -y buildah"
  elif command -v zypper >/dev/null; then
    install="zypper install -y buildah"
  elif command -v apk >/dev/null; then
    install="apk add buildah"
  else
    echo "hack/image.sh: buildah is not installed, and no package manager known here (apt-get, dnf, zypper, apk) was found. Install buildah 1.28 or newer and run again." >&2
    exit 1
  fi
  if ((EUID != 0)); then
    echo "hack/image.sh: buildah is not installed. Install it as root and run again:" >&2
    echo "  $install" >&2
    exit 1
  fi
  echo "installing buildah: $install"
  sh -c "$install" >"$work/install.log" 2>&1 || {
    tail -n 20 "$work/install.log" >&2
    echo "hack/image.sh: could not install buildah (see above). Install it by hand and run again." >&2
    exit 1
  }
}

for binary in auriga-scheduler auriga-controller auriga; do
  if [[ ! -x bin/$binary ]]; then
    echo "hack/image.sh: bin/$binary is missing: run \`make build\` first." >&2
    exit 1
  fi
  if ! go version -m "bin/$binary" | grep -q 'CGO_ENABLED=0'; then
    echo "hack/image.sh: bin/$binary was built with cgo and may need libraries that the image has not: run \`make build\`." >&2
    exit 1
  fi
done

work=$(mktemp -d)
# The store's folders may be read-only, which stops everybody but root.
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
command -v buildah >/dev/null || install_buildah

# A store of its own, so that nothing is left behind and nobody's images change.
cat >"$work/policy.json" <<<'{"default": [{"type": "insecureAcceptAnything"}]}'
buildah() {
  command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"
}

start=$SECONDS
# A timestamp of 0 makes the image depend on its content only.
buildah bud --quiet --isolation chroot --format oci --timestamp 0 \
  --signature-policy "$work/policy.json" \
  --build-arg BASE_IMAGE="$base" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
  --tag "auriga:$version" --file Dockerfile . >"$work/id"

mkdir -p "$out"
buildah push --quiet --signature-policy "$work/policy.json" --digestfile "$work/digest" \
  "auriga:$version" "oci:$work/layout:auriga:$version"
tar --create --file "$out/auriga.tar" --directory "$work/layout" \
  --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX .

size() { numfmt --to=iec-i --suffix=B "$1"; }
echo "image    auriga:$version on $base, built in $((SECONDS - start)) s"
echo "digest   $(cat "$work/digest")"
echo "size     $(size "$(stat -c %s bin/auriga-scheduler bin/auriga-controller bin/auriga | awk '{n += $1} END {print n}')") unpacked, $(size "$(stat -c %s "$out/auriga.tar")") as $out/auriga.tar"
