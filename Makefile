# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# wargfs: a Warg registry as a file system.
#
#   make            the program, build/wargfs, and the library, build/libwarg.so.0 and build/libwarg.a
#   make demo       set up, begin a registry, mount it, and show what that gives
#   make check      set up, build, lint, every test; the last line counts them
#   make abuse      a table of attackers: what each costs of what it may cost
#   make bench      a table of ratios against peers measured in the same run
#   make install    to $(DESTDIR)$(PREFIX); `make uninstall` takes it away again
#
# Pieces of these: make deps, reference, users, lint, unit, fuzz, mount-tests, manual, abuse-test, install-test.
#   make check-offline   what can be tested without network, root, FUSE and the reference: for package builds
# For long: make soak; make kills; make damage; make mutations COUNT=100000; make fuzz FUZZ_SECONDS=3600.
# SAN=address (with undefined), SAN=thread or SAN=fuzz builds a variant of everything under build/$(SAN)/.

.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR = $(PREFIX)/bin
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
MANDIR = $(PREFIX)/share/man
# Where mount(8) looks for helpers, and nowhere else.
HELPERDIR = /sbin

VERSION = 0.1.0
SAN ?=
BUILD = build$(if $(SAN),/$(SAN))
CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
REFERENCE = $(or $(WARGFS_REFERENCE),$(CACHE)/wargfs-reference/0.10.0)
USERS = $(or $(WARGFS_USERS),$(CACHE)/wargfs-users)
PYTHON = /usr/bin/python3

CC = gcc
CLANG = clang
PKG_CONFIG = pkg-config
OBJCOPY = objcopy
PIC =
OPTIMISE = -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wnull-dereference
# Keep a distribution's own level of _FORTIFY_SOURCE.
FORTIFY = $(if $(findstring _FORTIFY_SOURCE,$(CFLAGS) $(CPPFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDENING = -fstack-protector-strong -fstack-clash-protection -fPIE $(FORTIFY)
LINK_HARDENING = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
WERROR =

SANITIZE_address = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_thread = -fsanitize=thread -fno-omit-frame-pointer
SANITIZE_fuzz = -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(SAN),fuzz)
CC = $(CLANG)
WARNINGS = -Wall -Wextra
endif
ifneq ($(SAN),)
# It goes by what the optimiser happens to inline, which sanitizers change: the plain build has it.
WARNINGS := $(filter-out -Wnull-dereference,$(WARNINGS))
HARDENING =
LINK_HARDENING =
# Lines and functions are all that a stack trace shows.
OPTIMISE = -O1 -g1
endif

# What every program built with a sanitizer runs with. A failed allocation must come back as NULL, as without.
export ASAN_OPTIONS ?= detect_leaks=1:halt_on_error=1:allocator_may_return_null=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS ?= halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1:suppressions=$(TSAN_SPARED)
TSAN_SPARED = $(CURDIR)/tests/run/tsan
export LSAN_OPTIONS ?= print_suppressions=0:suppressions='$(CURDIR)/tests/run/lsan'

room_packages = fuse3 libcurl libcrypto jansson sqlite3 libmicrohttpd
# Of these only the headers are needed: the library is loaded when a key is wanted from it, which most never do.
loaded_packages = libsecret-1
# The oldest versions that the tests are run with: Debian 12's.
minimum_versions = fuse3 >= 3.14 libcurl >= 7.88 libcrypto >= 3.0 jansson >= 2.14 sqlite3 >= 3.40 \
	libmicrohttpd >= 0.9.75 libsecret-1 >= 0.20
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(room_packages) 2>/dev/null) \
	$(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags-only-I $(loaded_packages) 2>/dev/null))
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(room_packages) 2>/dev/null)

ALL_CFLAGS = -std=gnu17 $(OPTIMISE) $(WARNINGS) $(WERROR) $(HARDENING) $(SANITIZE_$(SAN)) -I. \
	-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DWARGFS_VERSION='"$(VERSION)"' $(PACKAGE_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LINK_HARDENING) -Wl,--as-needed $(SANITIZE_$(SAN)) $(LDFLAGS)
LIBS = $(PACKAGE_LIBS) -pthread

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
VERIFY = $(call objects,verify)
CLIENT = $(call objects,client/*)
FS = $(call objects,fs)
SERVER = $(call objects,server)
CMD = $(call objects,cmd)

.PHONY: all
all: $(BUILD)/wargfs $(BUILD)/libwarg.a $(BUILD)/libwarg.so.0

# With all names, for the program and the tests.
$(BUILD)/client.a: $(VERIFY) $(CLIENT)
	@rm -f $@
	$(AR) rcs $@ $^

# The library, twice. Of both, only what client/warg.h declares can be linked to.
$(VERIFY) $(CLIENT): private PIC = -fPIC -fvisibility=hidden

$(BUILD)/libwarg.o: $(VERIFY) $(CLIENT)
	$(CC) $(filter -flto% -fno-lto,$(CFLAGS)) $(if $(findstring -flto,$(CFLAGS)),-flinker-output=nolto-rel) \
		-nostdlib -r -o $@ $^
	$(OBJCOPY) --localize-hidden $@

$(BUILD)/libwarg.a: $(BUILD)/libwarg.o
	@rm -f $@
	$(AR) rcs $@ $^

SONAME = libwarg.so.0
# A sanitizer's own names are in the program.
$(BUILD)/$(SONAME): client/door/libwarg.map $(VERIFY) $(CLIENT)
	$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=$< $(if $(SAN),,-Wl,-z,defs) \
		$(filter-out -pie,$(ALL_LDFLAGS)) -o $@ $(filter %.o,$^) $(LIBS)

$(BUILD)/fs.a: $(FS)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/server.a: $(SERVER)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/wargfs: $(CMD) $(FS) $(BUILD)/server.a $(BUILD)/client.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c Makefile $(BUILD)/flags | libraries
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(PIC) -MMD -MP -c -o $@ $<

# Written when the flags differ from those of the last build: everything is then out of date.
export FLAGS_NOW = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBS)
.PHONY: flags
$(BUILD)/flags: flags
	@mkdir -p $(@D)
	@[ "$$(cat $@ 2>/dev/null)" = "$$FLAGS_NOW" ] || printf '%s\n' "$$FLAGS_NOW" >$@

.PHONY: libraries
libraries:
	@command -v $(firstword $(PKG_CONFIG)) >/dev/null || \
		{ echo "$(firstword $(PKG_CONFIG)) is missing: run 'make deps' first." >&2; exit 1; }
	@$(PKG_CONFIG) --exists --print-errors '$(minimum_versions)' || \
		{ echo "Needed are $(minimum_versions): run 'make deps', or install them, first." >&2; exit 1; }

-include $(patsubst %.o,%.d,$(VERIFY) $(CLIENT) $(FS) $(SERVER) $(CMD))

# ---- Unit tests: one program a file; those that start with test_ are run ----

UNIT_COMMON = $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
UNIT = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
TORTURE = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup,--wrap=strndup

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(UNIT_COMMON) $(BUILD)/fs.a $(BUILD)/server.a \
		$(BUILD)/client.a
	$(CC) $(ALL_LDFLAGS) $(TORTURE) -o $@ $^ -lcmocka $(LIBS)

-include $(wildcard $(BUILD)/tests/unit/*.d)

.PHONY: unit unit-programs
unit-programs: $(UNIT)
unit: $(UNIT)
	@tests/run/each 4 $(UNIT)

# ---- Random mutation of every answer: one program, in which a client is lied to by chance ----

MUTATIONS = $(BUILD)/tests/mutation/mutations
# How often a client is lied to, which takes rather more mutations.
COUNT = $(if $(SAN),2000,5000)
SEED = 1

$(MUTATIONS): $(call objects,tests/mutation) $(UNIT_COMMON) $(BUILD)/client.a
	$(CC) $(ALL_LDFLAGS) $(TORTURE) -o $@ $^ -lcmocka $(LIBS)

-include $(wildcard $(BUILD)/tests/mutation/*.d)

.PHONY: test-programs
test-programs: unit-programs $(MUTATIONS)

.PHONY: mutations
mutations: $(MUTATIONS)
	@tests/run/one mutations$(if $(SAN),-$(SAN)) $< --count $(COUNT) --seed $(SEED)

# ---- Fuzz targets: one program a file, under SAN=fuzz; seeds in tests/fuzz/corpus/<target>/ ----

FUZZ = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS = 60

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/server.a $(BUILD)/client.a
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

-include $(wildcard $(BUILD)/tests/fuzz/*.d)

.PHONY: fuzz fuzz-targets
fuzz-targets: $(FUZZ)
ifeq ($(SAN),fuzz)
fuzz: $(FUZZ)
	@tests/run/fuzz $(FUZZ_SECONDS) $(FUZZ)
else
fuzz:
	@$(MAKE) SAN=fuzz fuzz
endif

# ---- Programs of the benchmarks: one a file ----

BENCH = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/tests/unit/forge.o $(BUILD)/server.a \
		$(BUILD)/client.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

-include $(wildcard $(BUILD)/tests/bench/*.d)

.PHONY: bench-programs
bench-programs: $(BENCH)

# ---- The rest of the tests ----

.PHONY: lint
lint:
	@tests/run/each 2 $(filter-out tests/lint/options,$(wildcard tests/lint/*))

# The lint that asks the program.
.PHONY: manual
manual: $(BUILD)/wargfs
	@WARGFS=$< tests/run/one tests/lint/options

# Every test of tests/mount runs against our own server, which signs at once, in each variant; except test_users,
# test_pages and test_library, in the plain variant only: other people's programs, and README's commands, do the same to
# each variant, and what is built with a sanitizer cannot be loaded into a program that is not.
# Each lie has a mount of its own, with a registry that is waited for: that makes many minutes on a busy machine.
MOUNT_SECONDS = 2400
pytest = exec env WARGFS="$(CURDIR)/$(BUILD)/wargfs" WARGFS_MUTATIONS="$(CURDIR)/$(MUTATIONS)" \
	WARGFS_REFERENCE="$(REFERENCE)" WARGFS_USERS="$(USERS)" WARGFS_SUITE_SECONDS=$(MOUNT_SECONDS) \
	WARGFS_SERVER=$(1) tests/run/one $(2)$(if $(SAN),-$(SAN)) $(PYTHON) -m pytest -q -p no:cacheprovider

# `make check` tries parts beside each other, each of which waits as much as it works: tables that have a mount or a
# registry for each row, and the others, in two halves by name.
mount_files = $(filter-out $(if $(SAN),$(patsubst %,tests/mount/test_%.py,users pages library)), \
	$(wildcard tests/mount/test_*.py))
mount_tables = $(patsubst %,tests/mount/test_%.py,lies publish_lies serve_import sizes)
mount_first = $(filter-out $(mount_tables),$(filter $(wildcard tests/mount/test_[a-m]*.py),$(mount_files)))
mount_second = $(filter-out $(mount_tables) $(mount_first),$(mount_files))
mount_part = $(filter tables first second,$(PART))
.PHONY: mount-tests
mount-tests: $(BUILD)/wargfs $(BUILD)/$(SONAME) $(MUTATIONS)
	@$(call pytest,wargfs,mount$(addprefix -,$(mount_part))) $(mount_$(or $(mount_part),files))

# The reference's server signs every five seconds. Only tests that depend on the server run against it, in parts that
# wait at the same time. Tests marked `reference` are about that server alone, and run in each variant.
reference_reading = age cache federation fork lazy life living negative offline sizes tree trust
reference_publishing = keys publish_commands publish_engine writing
reference_using = commands documents links together users verify without_mount
PART = marked
.PHONY: reference-tests
reference-tests: $(BUILD)/wargfs
	@$(call pytest,reference,reference-$(PART)) \
		$(if $(filter marked,$(PART)),-m reference tests/mount,$(reference_$(PART):%=tests/mount/test_%.py))

# kill -9 at each system call of each command, of which the mount tests try some.
KILLS = all
.PHONY: kills
kills: $(BUILD)/wargfs
	@export WARGFS_KILLS=$(KILLS); $(call pytest,wargfs,kills) $(wildcard tests/mount/test_*killed.py)

# Attacks that aim to cost memory and time. SHORT=--short: the part that `make check` runs.
SHORT =
.PHONY: abuse
abuse: $(BUILD)/wargfs $(BUILD)/tests/bench/large_registry
	@exec env WARGFS="$(CURDIR)/$(BUILD)/wargfs" tests/abuse/run $(SHORT)

.PHONY: abuse-test
abuse-test: $(BUILD)/wargfs $(BUILD)/tests/bench/large_registry
	@exec env WARGFS="$(CURDIR)/$(BUILD)/wargfs" tests/run/one abuse tests/abuse/run --short

.PHONY: install-test
install-test: all
	@tests/run/one install tests/install $(MAKE)

.PHONY: demo-test
demo-test: $(BUILD)/wargfs
	@WARGFS=$< tests/run/one demo tests/demo

# What a package build may run: nothing is installed or fetched, nothing mounted, and no root is needed.
.PHONY: check-offline
check-offline: export WARGFS_OFFLINE = 1
check-offline: all unit-programs
	@rm -rf build/results
	@tests/run/each 4 $(UNIT)
	@tests/run/each 2 $(filter-out tests/lint/options,$(wildcard tests/lint/*))
	@$(MAKE) manual install-test

.PHONY: check
check: set-up
	@$(MAKE) users
	@tests/run/check $(MAKE)

.PHONY: bench
bench: set-up
	@tests/run/deps deps/bench.list
	@$(MAKE) all bench-programs
	@WARGFS="$(CURDIR)/$(BUILD)/wargfs" WARGFS_REFERENCE="$(REFERENCE)" \
		WARGFS_BENCH="$(CURDIR)/$(BUILD)/tests/bench" tests/bench/run $(if $(RECORD),--record "$(RECORD)")

# Every bit of every file of cache and state flipped, one at a time: an hour.
.PHONY: damage
damage: $(BUILD)/tests/unit/test_damage
	@WARGFS_DAMAGE_STEP=1 $<

# Everything at once for that long, with what the daemons hold printed.
MINUTES = 60
.PHONY: soak
soak: $(BUILD)/wargfs
	@WARGFS="$(CURDIR)/$(BUILD)/wargfs" WARGFS_REFERENCE="$(REFERENCE)" tests/soak/run --minutes $(MINUTES)

.PHONY: demo
demo:
	@tests/run/deps deps/build.list deps/demo.list
	@echo "demo: building $(BUILD)/wargfs where it is out of date"
	@$(MAKE) -s $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(or $(shell nproc 2>/dev/null),1)) all
	@WARGFS="$(CURDIR)/$(BUILD)/wargfs" tests/demo

# ---- Set-up. What comes after it runs in a make of its own, which finds the libraries that were not there before ----

.PHONY: set-up deps reference users
set-up:
	@tests/run/deps deps/build.list deps/demo.list deps/check.list
	@$(MAKE) reference

deps:
	@tests/run/deps deps/build.list

reference:
	@tests/reference/install "$(REFERENCE)"
	@if [ -x tests/reference/wycheproof ]; then tests/reference/wycheproof >/dev/null; fi
	@if [ -x tests/reference/toml ]; then tests/reference/toml >/dev/null; fi

users:
	@tests/reference/users "$(USERS)"

# ---- Installation ----

PAGES = $(wildcard man/*.1)
LIBRARY_PAGES = $(wildcard man/*.3)
OVERVIEW_PAGES = $(wildcard man/*.7)
HELPER_PAGES = $(wildcard man/*.8)
HEADER = client/warg.h

define PC
prefix=$(PREFIX)
libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)
includedir=$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)

Name: warg
Description: Checks what a Warg registry says, and fetches from it
Version: $(VERSION)
Requires.private: libcurl libcrypto jansson
Libs: -L$${libdir} -lwarg
Libs.private: -pthread
Cflags: -I$${includedir}
endef
export PC

# Quote folders, which may have spaces in their names, and set the umask for install.
$(BUILD)/warg.pc: $(BUILD)/flags
	@printf '%s\n' "$$PC" >$@

.PHONY: install uninstall
install: all $(BUILD)/warg.pc
	umask 022 && install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(MANDIR)/man1" \
		"$(DESTDIR)$(MANDIR)/man3" "$(DESTDIR)$(MANDIR)/man7" "$(DESTDIR)$(MANDIR)/man8" \
		"$(DESTDIR)$(INCLUDEDIR)"
	install -m 755 $(BUILD)/wargfs "$(DESTDIR)$(BINDIR)/wargfs"
	install -m 644 $(BUILD)/libwarg.a "$(DESTDIR)$(LIBDIR)/libwarg.a"
	install -m 755 $(BUILD)/$(SONAME) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sfn $(SONAME) "$(DESTDIR)$(LIBDIR)/libwarg.so"
	@umask 022 && install -d "$(DESTDIR)$(HELPERDIR)" && \
		ln -sfn "$(BINDIR)/wargfs" "$(DESTDIR)$(HELPERDIR)/mount.wargfs" || \
		echo "install: without $(HELPERDIR)/mount.wargfs, which needs root, 'mount -t wargfs' does not work" >&2
	install -m 644 $(PAGES) "$(DESTDIR)$(MANDIR)/man1"
	install -m 644 $(LIBRARY_PAGES) "$(DESTDIR)$(MANDIR)/man3"
	install -m 644 $(OVERVIEW_PAGES) "$(DESTDIR)$(MANDIR)/man7"
	install -m 644 $(HELPER_PAGES) "$(DESTDIR)$(MANDIR)/man8"
	install -m 644 $(HEADER) "$(DESTDIR)$(INCLUDEDIR)/warg.h"
	install -m 644 $(BUILD)/warg.pc "$(DESTDIR)$(LIBDIR)/pkgconfig/warg.pc"

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/wargfs" "$(DESTDIR)$(LIBDIR)/libwarg.a" "$(DESTDIR)$(LIBDIR)/$(SONAME)" \
		"$(DESTDIR)$(LIBDIR)/libwarg.so" "$(DESTDIR)$(LIBDIR)/pkgconfig/warg.pc" \
		"$(DESTDIR)$(INCLUDEDIR)/warg.h"
	cd "$(DESTDIR)$(MANDIR)/man1" && rm -f $(notdir $(PAGES))
	cd "$(DESTDIR)$(MANDIR)/man3" && rm -f $(notdir $(LIBRARY_PAGES))
	cd "$(DESTDIR)$(MANDIR)/man7" && rm -f $(notdir $(OVERVIEW_PAGES))
	cd "$(DESTDIR)$(MANDIR)/man8" && rm -f $(notdir $(HELPER_PAGES))
	@if [ -L "$(DESTDIR)$(HELPERDIR)/mount.wargfs" ]; then rm -f "$(DESTDIR)$(HELPERDIR)/mount.wargfs"; fi

.PHONY: clean
clean:
	rm -rf build
