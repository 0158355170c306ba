GO       ?= go
PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 30s
# For make run: -server prosody, -stay, -h. For make test-sugar and test-vm: -server prosody, -by gadget, -steps chat, -out folder, -h.
ARGS     ?=
# How long make soak goes on, and with how many simulated children.
SOAKTIME ?= 5m
CHILDREN ?= 60

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

# The version is that of the first entry in debian/changelog, and nowhere else.
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)

# No cgo: the binary needs nothing of the system but D-Bus, and cross builds need no toolchain.
BUILD     = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
PROGRAM   = ./cmd/telepathy-olpc
DATAFILES = $(GO) run ./internal/datafiles

# What the program may have in bytes: an XO-1 has 1 GB of flash for everything. docs/performance.md says what made it smaller.
MOSTBYTES = 9900000
sizecheck = @size=$$(stat -c %s $(1)); test $$size -le $(MOSTBYTES) || { echo "$(1) has $$size bytes; $(MOSTBYTES) are allowed."; exit 1; }

.PHONY: build generate run test test-sugar test-vm soak faults lint check-generated bench fuzz install install-gadget xo $(addprefix xo-,$(XO)) deb test-packages govulncheck clean check-go deps-run deps-test deps-sugar deps-vm deps-deb deps-packages

build: check-go
	$(BUILD) -o bin/telepathy-olpc $(PROGRAM)
	$(call sizecheck,bin/telepathy-olpc)
	$(BUILD) -o bin/olpc-gadget ./cmd/olpc-gadget
	$(DATAFILES)

generate: check-go
	$(GO) generate ./...
	$(DATAFILES)

# Two children, one school: a live story on throwaway buses and a throwaway server.
run: deps-run build
	$(GO) build -o bin/demo ./internal/demo
	@exec bin/demo $(ARGS)

# What CI runs, in the same way; test-sugar comes after it.
test: deps-test lint check-generated build
	CGO_ENABLED=0 GOARCH=386 GO386=softfloat $(GO) vet ./...
	$(GO) build -race ./...
	# One package at a time: real servers and desktops beside each other make tests wait in vain.
	$(GO) test -race -count=1 -timeout 20m -p 1 ./...

# Two unmodified Sugars of Debian share activities on both school servers, in throwaway homes and namespaces of their own: that
# needs root, or a kernel that gives user namespaces to everybody. What is left of it: bin/test-sugar.
test-sugar: deps-sugar build
	$(GO) build -o bin/sugars ./tests/sugar/cmd
	@exec bin/sugars $(ARGS)

# School days with a class of simulated children, cut links and killed servers: nothing may grow or get lost. make test has a
# short one.
soak: deps-test build
	CM_BINARY=$(CURDIR)/bin/telepathy-olpc $(GO) test -count=1 -v -timeout 0 ./tests/soak -args -soak $(SOAKTIME) -children $(CHILDREN)

# What can go wrong around the program, one line for each with how that ended. Some of it needs root, and is skipped without.
faults: deps-test
	$(GO) test -count=1 -v -timeout 20m ./tests/faults -args -all

# What needs a kernel with netem or with AppArmor, on one that runs as a program and has both: the row of the faults that loses
# packets, then two Sugars with the program's AppArmor profile enforced, whose logs are in bin/test-confined.
test-vm: deps-vm build
	$(GO) test -c -o bin/faults.test ./tests/faults
	$(GO) build -o bin/sugars ./tests/sugar/cmd
	cd tests/faults && ../vm/run env CM_BINARY=$(CURDIR)/bin/telepathy-olpc ../../bin/faults.test -test.v -test.run TestFaults/packets -all
	tests/vm/run tests/vm/confined $(ARGS)

lint: check-go
	@bad=$$(gofmt -l .); test -z "$$bad" || { echo "gofmt would change:" $$bad; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

SUMS = find . \( -name '*_gen.go' -o -path './data/*' -type f \) -exec sha256sum {} + | sort
check-generated: check-go
	@before=$$($(SUMS)); $(GO) generate ./... && $(DATAFILES) && test "$$before" = "$$($(SUMS))" || \
		{ echo "Generated files differed from their sources; they are right now, commit them."; exit 1; }

bench: check-go
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Every fuzz target for FUZZTIME each.
fuzz: check-go
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

# After make, so that root needs no Go: make && sudo make install.
install: | bin/telepathy-olpc
	install -D -m 755 bin/telepathy-olpc $(DESTDIR)$(PREFIX)/bin/telepathy-olpc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/telepathy/managers data/*.manager
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 data/man/telepathy-olpc.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/dbus-1/services data/dbus-services/*.service
	sed -i 's|^Exec=.*|Exec=$(PREFIX)/bin/telepathy-olpc|' \
		$(addprefix $(DESTDIR)$(PREFIX)/share/dbus-1/services/,$(notdir $(wildcard data/dbus-services/*.service)))

# The server component, for the school's server; docs/gadget.md.
install-gadget: | bin/telepathy-olpc
	install -D -m 755 bin/olpc-gadget $(DESTDIR)$(PREFIX)/bin/olpc-gadget
	install -D -m 644 docs/gadget.md $(DESTDIR)$(PREFIX)/share/doc/telepathy-olpc/gadget.md
	install -D -m 644 data/systemd/olpc-gadget.service $(DESTDIR)$(PREFIX)/lib/systemd/system/olpc-gadget.service
	sed -i 's|/usr/local/|$(PREFIX)/|g' $(DESTDIR)$(PREFIX)/lib/systemd/system/olpc-gadget.service

bin/telepathy-olpc:
	$(MAKE) build

# The laptops: XO-1 and XO-1.5 (i386; the XO-1's processor has no SSE2), XO-1.75 and XO-4 (ARMv7), and 64-bit ARM. Each tarball has
# an install script, and is the same however often it is made.
XO = 386 armv7 arm64
XOENV_386   = GOARCH=386 GO386=softfloat
XOENV_armv7 = GOARCH=arm GOARM=7
XOENV_arm64 = GOARCH=arm64
xo: $(addprefix xo-,$(XO))
$(addprefix xo-,$(XO)): xo-%: check-go
	$(XOENV_$*) $(BUILD) -o bin/xo/telepathy-olpc-$* $(PROGRAM)
	$(call sizecheck,bin/xo/telepathy-olpc-$*)
	scripts/make-tarball $(VERSION) $* bin/xo/telepathy-olpc-$* bin/xo

# Debian packages in bin/deb, from a copy of the tree: dpkg-buildpackage writes beside it.
deb: check-go deps-deb
	@scripts/make-deb $(GO)

# Lintian, two builds compared, and the packages in a clean Debian 12. Root, and a network for Debian's mirror.
test-packages: deps-packages deb
	tests/packages/lintian
	tests/packages/reproducible $(GO)
	tests/packages/install

# Known holes in what we build from. Their list is on the network; without it nothing is checked, and that is said.
govulncheck: check-go
	@scripts/govulncheck $(GO) $(GOVULNCHECK)

clean:
	rm -rf bin

check-go:
	@scripts/check-go $(GO)

deps-run deps-test deps-sugar deps-vm deps-deb deps-packages: deps-%:
	@scripts/install-deps $*
