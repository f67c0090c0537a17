# aitrail: make demo, make test; the rest is for those who change it.
GO ?= go
FUZZTIME ?= 3s

.PHONY: demo build test infra check bench fuzz generate

# The whole way on a local endpoint, from calls to answers. Needs no AWS account.
demo: build
	bin/aitrail demo

build:
	$(GO) build -trimpath -ldflags='-s -w' -o bin/aitrail ./cmd/aitrail

test:
	$(GO) test -timeout 30m ./...

# The companion of aitrail up, and the tests of the Pulumi modules. The first compile takes minutes: the SDK for AWS is large.
bin/aitrail-pulumi: FORCE
	cd infra && $(GO) build -ldflags='-s -w' -o ../bin/aitrail-pulumi ./cmd/aitrail-pulumi

infra:
	cd infra && $(GO) test ./...
	cd infra/plugin && $(GO) test ./...

FORCE:

# All that must hold before a change is merged.
check:
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race -shuffle=on -timeout 60m ./...
	cd infra && $(GO) vet ./... && cd plugin && $(GO) vet ./...
	$(MAKE) infra fuzz

# Every fuzzer for a few seconds each: make fuzz FUZZTIME=1m for longer.
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read dir; do \
		for f in $$(grep -h '^func Fuzz' $$dir/*_test.go | sed 's/func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do \
			echo "$$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done; done

# Speed, as ratios against named peers in one run; see docs/performance.md.
bench: build
	dir=$$(mktemp -d) && $(GO) run ./bench -dir $$dir && $(GO) run ./bench/queries -dir $$dir; code=$$?; rm -rf $$dir; exit $$code
	$(GO) run ./bench/verify
	$(GO) run ./bench/verify -matrix
	$(GO) run ./bench/load

generate:
	$(GO) generate ./...
