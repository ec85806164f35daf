#!/usr/bin/env bash
# Measures what reclaimed capacity is worth (see test/capacity), and whether a
# worker is ever above its ceiling for long.
#   out/bench/reclaim.json   the figures
#
# usage: hack/bench-reclaim.sh [WORKERS [SCRAPE_SECONDS [SEED]]]
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}"
mkdir -p bin out/bench
go test -c -vet=off -o bin/auriga-bench-reclaim ./test/capacity
cd test/capacity # from where a test finds the repository
../../bin/auriga-bench-reclaim -test.run='^TestReclaim$' -test.timeout=30m \
	-workers="${1:-100}" -scrape="${2:-4}" -seed="${3:-1}" -out=../../out/bench/reclaim.json
echo 'The same for programs: out/bench/reclaim.json'
