#!/usr/bin/env bash
# Checks everything that can be checked without running Auriga. Goes on after
# a failure, so that one run shows all there is to mend.
# To add a check: write a function and add its name to the list at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}"
tools=$PWD/bin/tools

# Only what the layout names lies at the top.
layout() {
	local extra
	extra=$(git ls-files | cut -d/ -f1 | sort -u |
		grep -vxE 'cmd|pkg|plugins|config|manifests|hack|test|go\.mod|go\.sum|Makefile|Dockerfile|README\.md|LICENSE|\..*')
	[[ -z $extra ]] || { echo "not in the agreed layout: $extra"; return 1; }
}

format() { "$tools/golangci-lint" fmt --diff; }

lint() { "$tools/golangci-lint" run; }

imports() { go test -vet=off ./test/imports; }

generated() { hack/update.sh --verify; }

tidy() {
	local module failed=0
	for module in . hack/tools/*/; do
		(cd "$module" && go mod tidy -diff) || { echo "run: (cd $module && go mod tidy)"; failed=1; }
	done
	return $failed
}

# The configurations that we ship are valid, and so is what the chart renders.
configs() { go run ./cmd/auriga validate --config config/scheduler.yaml config/examples/*.yaml; }

manifests() { go test -vet=off -count=1 ./test/chart -run 'TestLint|TestKubeconform'; }

# Recording and alerting rules, with a case for and against each alert; the
# collector's configuration, by a real collector.
monitoring() {
	"$tools/promtool" check rules --lint=all --lint-fatal manifests/chart/auriga/files/rules/*.yaml &&
		"$tools/promtool" test rules test/integration/monitoring/testdata/*.test.yaml &&
		TRACES_ENDPOINT=traces.invalid:4317 "$tools/otelcol" validate --config=manifests/monitoring/otel-collector.yaml
}

failed=()
for check in layout format lint imports generated tidy configs manifests monitoring; do
	start=$SECONDS
	if output=$("$check" 2>&1); then
		printf 'ok    %-10s %4d s\n' "$check" $((SECONDS - start))
	else
		printf 'FAIL  %-10s %4d s\n%s\n' "$check" $((SECONDS - start)) "$output"
		failed+=("$check")
	fi
done
if ((${#failed[@]})); then
	echo "verify failed: ${failed[*]}"
	exit 1
fi
