# SPDX-License-Identifier: GPL-2.0-or-later
#
# The way in: make help.

S := scripts/zoned
BUILD := build
TOOLS := qemu-system-x86_64 qemu-io qemu-img qemu-nbd \
         storage-daemon/qemu-storage-daemon tests/bench/zone-stress

# SANITIZE=1: what is built and run is built apart, with ASan and UBSan
ifdef SANITIZE
BUILD := build-sanitize
CONFIGURE_OPTIONS := --enable-sanitizers
LAYERS := unit qtest
else
LAYERS := style unit qtest iotests guest
endif

export NINJA_STATUS = [%f/%t, %es] 

.PHONY: all deps tree configured demo shell check bench series bisect \
        export install clean distclean help \
        $(addprefix check-,style unit qtest iotests guest) build-base/qemu-img

all: configured
	@ninja -C $(BUILD) $(TOOLS)

help:
	@sed -n 's/^#: //p' Makefile

#: Usual targets:
#:   demo           set everything up, then boot a Linux guest on a zoned disk
#:   check          set everything up, then run every test
#:                  (SANITIZE=1: the unit and qtest layers under ASan and UBSan)
#: Single steps:
#:   deps           install the Debian packages that are missing (needs root)
#:   all            assemble qemu/, configure and build in build/
#:   shell          an interactive guest on the same disk as demo's
#:   check-style    coding style, patches, the repository's own rules
#:   check-unit     the zone model and other code alone
#:   check-qtest    devices, driven by a raw driver
#:   check-iotests  block layer and tools
#:   check-guest    a Linux guest
#:   bench          speed and memory, as ratios
#: Work on the fork:
#:   export         write patches/ from the commits in qemu/
#:   series         write a series that can be mailed to build/series
#:   bisect         build and test each patch of the series (hours)
#:   install        install what was built (DESTDIR, ./configure --prefix)
#:   clean          remove what was built
#:   distclean      remove qemu/ and all that was fetched, too

deps:
	@$(S)/deps

tree: deps
	@$(S)/assemble

configured: tree
	@$(S)/configure-build $(BUILD) $(CONFIGURE_OPTIONS)

demo shell: all
	@tests/guest/run --build $(BUILD) $@

check: all
	@$(S)/check $(BUILD) $(LAYERS)

check-style: tree
	@$(S)/check-style

check-unit check-qtest check-iotests: all
	@$(S)/$@ $(BUILD)

check-guest: all
	@tests/guest/run --build $(BUILD) check

bench: all build-base/qemu-img
	@ninja -C $(BUILD) tests/bench/zone-model-bench \
		tests/qtest/scsi-zbc-test tests/qtest/virtio-blk-zoned-test
	@tests/bench/zoned-bench $(BUILD) build-base

# The base without patches, to compare with
build-base/qemu-img: tree
	@$(S)/base-tree .cache/base-tree
	@$(S)/configure-build --source=.cache/base-tree build-base
	@ninja -C build-base qemu-img

series: tree
	@$(S)/series

bisect: tree
	@$(S)/bisect-series

export:
	@$(S)/export

install: all
	@cd $(BUILD) && $(MAKE) --no-print-directory install

clean:
	rm -rf build build-*

distclean:
	@$(S)/distclean
