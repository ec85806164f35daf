#!/usr/bin/env bash
# Compares Auriga's profile with the stock scheduler's on upstream's benchmark,
# alternating in one process (see test/perf).
#   out/bench/report.json    the figures
#   out/bench/go-bench.txt   the same in Go's format, for benchstat -col /side -ignore /run
#
# usage: hack/bench.sh [WORKLOADS [REPEAT]]; environment: SIZES, PODS
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}" ARTIFACTS="$PWD/out/bench/logs"
mkdir -p bin "$ARTIFACTS"
echo "building the bench: upstream's scheduler_perf with our plugins"
go test -c -vet=off -o bin/auriga-bench ./test/perf
if ! bin/auriga-bench -test.run='^$' -test.bench='^BenchmarkSchedulers$' -test.timeout=3h \
	${1:+-workloads="$1"} ${2:+-repeat="$2"} ${SIZES:+-sizes="$SIZES"} ${PODS:+-pods="$PODS"} \
	>out/bench/go-bench.txt; then
	grep -A15 -e '--- FAIL' out/bench/go-bench.txt >&2 || tail -n 15 out/bench/go-bench.txt >&2
	exit 1
fi
