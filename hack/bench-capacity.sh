#!/usr/bin/env bash
# Measures what it costs to schedule by measured load, against loopback servers
# that speak Prometheus' API (see test/perf).
#   out/bench/capacity.json    the figures
#
# usage: hack/bench-capacity.sh [PAIRS [NODES]]; of the comparison with a
# Prometheus that hangs: pairs of runs, nodes of the cluster
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}" ARTIFACTS="$PWD/out/bench/logs"
mkdir -p bin "$ARTIFACTS"
echo "building the bench: upstream's scheduler_perf with our plugins"
go test -c -vet=off -o bin/auriga-bench ./test/perf
log=out/bench/capacity.log
if ! bin/auriga-bench -test.run='^TestCapacityFigures$' -test.bench='^BenchmarkHangingPrometheus$' -test.timeout=1h \
	-capacity="$PWD/out/bench/capacity.json" ${1:+-repeat="$1"} ${2:+-hang-nodes="$2"} >"$log"; then
	grep -A15 -e '--- FAIL' "$log" >&2 || tail -n 15 "$log" >&2
	exit 1
fi
