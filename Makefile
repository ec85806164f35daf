# Auriga. `make` or `make help` lists what can be done here.
#
# Needs Go, git and make, nothing else: no C compiler, no Docker, no root.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# One set of flags for everything, so that building, testing and linting share one build cache.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

BIN   := bin
TOOLS := $(BIN)/tools

VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
KUBERNETES := v1.35.8
export LDFLAGS := -s -w \
	-X k8s.io/component-base/version.gitMajor=1 \
	-X k8s.io/component-base/version.gitMinor=35 \
	-X k8s.io/component-base/version.gitVersion=$(KUBERNETES)+auriga.$(VERSION)

# What the demo and the tests run besides our own binaries.
RUN_TOOLS    := kwok prometheus helm kubeconform
# What only tests run, and what `make verify` runs.
TEST_TOOLS   := otelcol
VERIFY_TOOLS := golangci-lint helm kubeconform prometheus otelcol

##@ General

help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(RUN_TOOLS:%=$(TOOLS)/%) ## Build all binaries into bin/ (the first time takes minutes and shows how far it is).
	@hack/build.sh . $(BIN) ./cmd/...

clean: ## Remove everything that was built or measured (bin/ and out/).
	rm -rf $(BIN) out

##@ See it work

NODES ?= 1000
JOBS  ?= 2000
SEED  ?= 1
TRACE ?=

demo: build ## Schedule a workload on a real control plane. NODES=1000 JOBS=2000 SEED=1 TRACE=dir
	@$(BIN)/auriga-local demo --nodes=$(NODES) --jobs=$(JOBS) --seed=$(SEED) $(if $(TRACE),--trace="$(TRACE)")

##@ Check

# `go vet` is part of the linter; here it would analyse all of Kubernetes again.
test: build $(TEST_TOOLS:%=$(TOOLS)/%) ## Run all tests, those on a real control plane included.
	go test -vet=off -timeout 15m ./cmd/... ./pkg/... ./plugins/...
	go test -vet=off -timeout 25m -p 1 ./test/...

verify: $(VERIFY_TOOLS:%=$(TOOLS)/%) ## Check format, lint, import rules, generated files, go.mod, manifests.
	@hack/verify.sh

##@ Measure

WORKLOADS ?=
REPEAT    ?= 3
export SIZES PODS

bench: ## Compare with the stock scheduler in one run (20 min); writes out/bench. WORKLOADS=regexp REPEAT=3 SIZES=500,1000
	@hack/bench.sh "$(WORKLOADS)" "$(REPEAT)"

PAIRS ?= 5

bench-capacity: ## Measure what scheduling by measured load costs (4 min); writes out/bench/capacity.json. PAIRS=5
	@hack/bench-capacity.sh "$(PAIRS)"

bench-reclaim: build ## Measure by how much reclaimed pods raise the use of 100 workers (6 min); writes out/bench/reclaim.json
	@hack/bench-reclaim.sh

DATA ?=

eval: build ## Measure on public data sets; writes out/eval. DATA=folder with the folder ci
	@test -d "$(DATA)/ci" || { echo 'eval: say where the data sets are: make eval DATA=dir, with the folder dir/ci'; exit 2; }
	@mkdir -p out/eval
	@$(BIN)/auriga eval ci --data="$(DATA)/ci"
	@$(BIN)/auriga eval ci --data="$(DATA)/ci" -o json > out/eval/ci.json
	@echo 'The same for programs: out/eval/ci.json'

##@ Ship

image: build ## Build the container image with buildah into out/image. BASE_IMAGE=scratch
	@hack/image.sh

update: ## Regenerate generated code and CRDs.
	@hack/update.sh

# Prometheus without the service discovery of clouds: a third less to compile.
$(TOOLS)/prometheus: export GOFLAGS += -tags=remove_all_sd

# A tool is rebuilt when its pinned module changes.
$(TOOLS)/%: hack/tools/%/go.mod hack/tools/%/go.sum
	@hack/build.sh hack/tools/$* $(TOOLS) tool
	@touch $@

.PHONY: help build clean demo test verify bench bench-capacity eval image update
