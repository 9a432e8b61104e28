GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   = -s -w -X github.com/portico-lb/portico/cmd/internal/daemon.Version=$(VERSION)
# A cache of its own: in a shared one, findings bear the paths of other checkouts.
LINT      = GOLANGCI_LINT_CACHE=$(CURDIR)/bin/lint $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
# Runs tests, and those that failed once more by themselves: on a machine with
# other work a deadline is missed now and then. What passes the second time is
# listed under "Failed" all the same; a data race is never tried again.
TESTSUM   = $(GO) run gotest.tools/gotestsum@v1.13.0 --format testname \
            --rerun-fails=1 --rerun-fails-max-failures=5 --rerun-fails-abort-on-data-race
# Packages whose tests need a kernel with ip_vs, and run inside the guest.
KERNEL    = ./bpf ./l4/ipvs ./test/vm/guest ./test/lab ./test/scenario
# Tests among them that compare more than they check: bench-detect has them.
COMPARE   = FailureDetection|StreamsOutlive|WithAdvertsEach100ms
# Packages whose tests need a real API server.
CLUSTER   = ./test/cluster ./l7/kube ./test/scenario/apiserver ./test/scenario/acme ./test/scenario/podroutes
# Packages that have a target of their own.
APART     = /l4/ipvs$$|/test/(scenario|scenario/apiserver|scenario/kubeproxy|scenario/nodes|scenario/podroutes|scenario/acme|scenario/xdp|never|differential|package|cluster|vm|vm/guest|demo|soak)$$
UNIT      = $(shell $(GO) list ./... | grep -v -E '$(APART)')

# How long each fuzz target runs, and a soak.
FUZZTIME ?= 1m
SOAKTIME ?= 20m

export CGO_ENABLED ?= 0

.PHONY: all help build deps generate test test-unit test-generate test-browser test-never test-xdp test-kernel test-cluster test-differential test-package lint fuzz soak package bench bench-failover bench-checks bench-detect bench-l4 dashboard demo clean

all: build

help:
	@echo 'build         bin/portico'
	@echo 'demo          three edge nodes and a take-over; HOLD=1 keeps them up'
	@echo 'test          everything below, as CI runs it; needs root'
	@echo 'test-unit     packages by themselves, under the race detector'
	@echo 'test-generate  what is generated is what is checked in'
	@echo 'test-browser  the dashboard, in Chromium beside three nodes in a real kernel'
	@echo 'test-never    the proxy at full load while everything around it changes'
	@echo 'test-xdp      whole edges by XDP, on the own kernel'
	@echo 'test-differential  malformed requests, beside six other servers'
	@echo 'test-cluster  against a real kube-apiserver and etcd'
	@echo 'test-kernel   IPVS and whole edges, in a real kernel under qemu'
	@echo 'test-package  deb and rpm in a Debian with systemd, under qemu'
	@echo 'lint          gofmt, vet, golangci-lint, govulncheck'
	@echo 'fuzz          every fuzz target for FUZZTIME (1m); for a night'
	@echo 'soak          three nodes under load and faults for SOAKTIME (20m); GUEST=1 with IPVS'
	@echo 'package       deb and rpm into dist/'
	@echo 'bench         CPU time, and 10,000 hosts, beside nginx and HAProxy'
	@echo 'bench-failover  what clients see of a failover, beside keepalived'
	@echo 'bench-checks  CPU time and lateness of 5,000 checks; of 500 beside keepalived'
	@echo 'bench-detect  how long a failed server gets clients, beside keepalived, and streams that outlive their owner'
	@echo 'bench-xdp     time a packet: XDP, IPVS, plain forwarding; tables, changes and memory of XDP'
	@echo 'bench-l4      start, rest and reload of 500 and 1,000 services, beside keepalived'
	@echo 'generate      generated files; dashboard: those of web/; clean: what was built'

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/portico ./cmd/portico

deps:
	@test/install-deps

generate: deps
	@test/install-deps generate
	$(GO) generate ./...

test: deps lint test-unit test-generate test-browser test-never test-xdp test-differential test-cluster test-kernel test-package

test-unit: deps
	PORTICO_LAB=1 CGO_ENABLED=1 $(TESTSUM) --format pkgname --packages='$(UNIT)' -- -race

test-generate: deps
	@test/install-deps generate
	PORTICO_GENERATE=1 $(GO) test -count=1 -run Generated ./bpf

# What stands in the lock file and nothing else; no program of a package runs.
web/node_modules: web/package-lock.json
	@test/install-deps node
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

dashboard: web/node_modules
	cd web && npm run build

test-browser: deps build bin/vm web/node_modules
	@test/install-deps browser
	$(GO) build -o bin/browser ./test/browser
	cd web && npm test && npm run verify && { npm run test:browser || npm run test:browser; }

test-never: deps build
	PORTICO_LAB=1 PORTICO_BIN=$(CURDIR)/bin/portico $(GO) test -count=1 -v ./test/never
	$(GO) test -count=1 -run AllocatesNothing ./l7/proxy ./l7/route

test-xdp: deps build
	PORTICO_LAB=1 PORTICO_BIN=$(CURDIR)/bin/portico $(TESTSUM) --packages=./test/scenario/xdp -- -count=1

test-kernel: deps build bin/vm
	PORTICO_LAB=1 $(GO) test -count=1 ./test/vm
	PORTICO_LAB=1 PORTICO_BIN=$(CURDIR)/bin/portico $(TESTSUM) --packages='$(KERNEL)' -- -count=1 -p 1 -timeout 40m -skip '$(COMPARE)' -exec '$(CURDIR)/bin/vm -timeout 40m'

test-differential: deps build
	@test/install-deps differential
	PORTICO_LAB=1 PORTICO_BIN=$(CURDIR)/bin/portico $(GO) test -count=1 ./test/differential

test-cluster: deps build bin/vm
	PORTICO_CLUSTER=1 PORTICO_LAB=1 PORTICO_BIN=$(CURDIR)/bin/portico $(TESTSUM) --packages='$(CLUSTER)' -- -count=1 -p 2
	PORTICO_CLUSTER=1 PORTICO_LAB=1 $(TESTSUM) --packages=./l7/acme -- -count=1 -run TestSecrets
	PORTICO_CLUSTER=1 PORTICO_LAB=1 PORTICO_BIN=$(CURDIR)/bin/portico $(TESTSUM) --packages='./test/scenario/nodes ./test/scenario/kubeproxy' -- -count=1 -timeout 20m -p 1 -exec '$(CURDIR)/bin/vm'

test-package: deps package bin/vm
	PORTICO_LAB=1 $(TESTSUM) --packages=./test/package -- -count=1 -timeout 40m

lint: deps
	test -z "$$(gofmt -l bpf cmd internal l4 l7 health vip test packaging)"
	$(GO) vet ./...
	$(LINT) run
	@test/vulncheck

fuzz: deps
	@test/fuzz $(FUZZTIME)

# Without GUEST=1 it has this machine's kernel, XDP and a real API server; with it
# IPVS, a folder of manifests, and a clock and a memory that may be played with.
soak: deps build bin/vm
	PORTICO_LAB=1 PORTICO_SOAK=$(SOAKTIME) PORTICO_SEED=$(SEED) PORTICO_FAULTS='$(FAULTS)' PORTICO_ROUTES=$(ROUTES) PORTICO_BIN=$(CURDIR)/bin/portico $(GO) test -count=1 -v -timeout 24h $(if $(GUEST),-exec '$(CURDIR)/bin/vm -mem 4096 -timeout 24h') ./test/soak

package: build
	packaging/build $(VERSION)

bench: build
	@test/install-deps bench
	$(GO) run ./test/bench -portico bin/portico -rounds 5 cpu routes

bench-checks: deps bin/vm
	$(GO) test -run '^$$' -bench . -benchtime 1x ./test/bench/checks
	PORTICO_CHECKS=500 $(GO) test -run '^$$' -bench . -benchtime 1x -exec '$(CURDIR)/bin/vm' ./test/bench/checks

bench-detect: deps build bin/vm
	PORTICO_BENCH=1 PORTICO_BIN=$(CURDIR)/bin/portico $(GO) test -count=1 -v -run '$(COMPARE)' -timeout 30m -exec '$(CURDIR)/bin/vm' ./test/scenario

bench-l4: deps build bin/vm
	PORTICO_BIN=$(CURDIR)/bin/portico $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m -exec '$(CURDIR)/bin/vm -timeout 60m' ./test/bench/l4

bench-xdp: deps bin/vm
	$(GO) test -run '^$$' -bench 'Program|Update' -benchtime 1x ./test/bench/xdp
	$(GO) test -run '^$$' -bench . ./l4/xdp/mh
	$(GO) test -run '^$$' -bench Director -benchtime 1x -timeout 30m -exec '$(CURDIR)/bin/vm -count -timeout 30m' ./test/bench/xdp

bench-failover: build
	@test/install-deps bench
	$(GO) run ./test/bench -portico bin/portico failover
	$(GO) run ./test/bench -portico bin/portico -length 10s jitter

demo: deps build bin/vm
	@$(GO) build -o bin/demo ./test/demo
	@bin/demo $(if $(HOLD),-hold)

clean:
	rm -rf bin dist

.PHONY: bin/vm
bin/vm:
	$(GO) build -o $@ ./test/vm
