#!/usr/bin/env bash
# Copyright The Auriga Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Writes everything in this repository that is generated:
#   pkg/apis/**/zz_generated.*.go      deep copies, defaults, conversions
#   manifests/chart/auriga/files/crds  custom resource definitions
#
#   hack/update.sh            generate into place
#   hack/update.sh --verify   generate into a copy; show what is stale and exit 1
#
# The generators are built from the pinned modules hack/tools/codegen and
# hack/tools/controller-gen into bin/tools.
set -o errexit -o nounset -o pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$repo/bin/tools
# What the generators read and write, relative to the repository.
inputs=(go.mod go.sum hack pkg)
crd_dir=manifests/chart/auriga/files/crds

# The same flags as the Makefile, so that build caches are shared.
export CGO_ENABLED=0
export GOFLAGS=${GOFLAGS:--trimpath}

build_tools() {
  mkdir -p "$tools"
  go -C "$repo/hack/tools/codegen" build -o "$tools/" tool
  go -C "$repo/hack/tools/controller-gen" build -o "$tools/" tool
}

# Each generate_* function works on the tree in the current directory.

# generate_code writes zz_generated.*.go beside the types that ask for it with
# +k8s: tags in their package's doc.go.
generate_code() {
  local internal=./pkg/apis/config versioned=./pkg/apis/config/v1
  local header=hack/boilerplate.go.txt

  find pkg/apis -name 'zz_generated.*.go' -delete
  "$tools/deepcopy-gen" --go-header-file "$header" \
    --output-file zz_generated.deepcopy.go "$internal" "$versioned"
  "$tools/defaulter-gen" --go-header-file "$header" \
    --output-file zz_generated.defaults.go "$versioned"
  # Arguments embed the scheduler's own types, whose conversions live upstream.
  "$tools/conversion-gen" --go-header-file "$header" \
    --extra-peer-dirs k8s.io/kubernetes/pkg/scheduler/apis/config/v1 \
    --output-file zz_generated.conversion.go "$versioned"
}

# generate_crds writes the definitions of the custom resources that Auriga's
# plugins read, one file a resource, from the Go types of scheduler-plugins.
generate_crds() {
  rm -rf "$crd_dir"
  mkdir -p "$crd_dir"
  "$tools/controller-gen" crd \
    paths=sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1 \
    output:crd:dir="$crd_dir"
}

generate() {
  generate_code
  generate_crds
}

verify() {
  local copy stale=0
  copy=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder is known now
  trap "rm -rf '$copy'" EXIT
  (cd "$repo" && cp -r --parents "${inputs[@]}" "$copy")
  (cd "$copy" && generate)
  for dir in pkg/apis "$crd_dir"; do
    (cd "$repo" && diff -ruN "$dir" "$copy/$dir") || stale=1
  done
  if ((stale)); then
    echo "Generated files are stale (see above). Run hack/update.sh and commit the result." >&2
    exit 1
  fi
  echo "Generated files are up to date."
}

case ${1-} in
'')
  build_tools
  cd "$repo"
  generate
  ;;
--verify)
  build_tools
  verify
  ;;
*)
  echo "usage: hack/update.sh [--verify]" >&2
  exit 2
  ;;
esac
