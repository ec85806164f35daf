#!/usr/bin/env bash
# Builds Go commands and says how far it is: the first build compiles a whole
# Kubernetes control plane, which takes minutes.
#
# usage: hack/build.sh MODULE OUTDIR PACKAGE...
#   MODULE   folder of the go.mod, relative to the repository's root
#   OUTDIR   folder for the binaries, relative to the repository's root
#   PACKAGE  packages to build, or the word `tool` for those that the module
#            lists as tools
set -euo pipefail
cd "$(dirname "$0")/.."
module=$1 out=$PWD/$2
shift 2
mkdir -p "$out"

if [[ $1 == tool ]]; then
	mapfile -t packages < <(go -C "$module" list tool)
else
	packages=("$@")
fi

# Packages that are not in the build cache yet: few when only linking is left.
total=$(go -C "$module" list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "${packages[@]}" | wc -l)
name=$(basename "${packages[0]}")
[[ $name == ... ]] && name=auriga

start=$SECONDS
go -C "$module" build -v -ldflags "${LDFLAGS:--s -w}" -o "$out/" "${packages[@]}" 2>&1 |
	awk -v total="$total" -v name="$name" -v tty="$([[ -t 1 ]] && echo 1 || echo 0)" '
		# go build -v prints the name of each package it compiles; all else is an error.
		/^[a-z0-9_.\/-]+[A-Za-z0-9_.\/-]*$/ {
			n++
			if (n > total) total = n
			if (tty) printf "\rbuilding %s: %d of %d packages\033[K", name, n, total
			else if (n % 250 == 0) printf "building %s: %d of %d packages\n", name, n, total
			fflush()
			next
		}
		{ print > "/dev/stderr" }
		END { if (tty && n) printf "\r\033[K" }'
if ((SECONDS - start > 5)); then
	echo "built $name in $((SECONDS - start)) s"
fi
