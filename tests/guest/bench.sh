#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Writes to a zoned disk against writes to the same disk not zoned: one job at
# depth 32.
#
# Prints "bench: NAME ours=X base=Y ratio=R": requests a second, the medians of
# rounds that alternate between the two disks.
#
# With writes to many zones, what is measured is the device.  With writes to
# one zone at a time it is more the guest: Linux keeps one write in flight to
# a zone, on any disk, so each write waits for the one before it.  These have
# no bar ("info:" instead of "bench:").
#
# disk: zoned size=64G,zoned.model=host-managed,zoned.zone-size=256M
# disk: plain size=64G
# limit: 600

. /guest/lib.sh

rounds=9
seconds=2

# iops DISK OPTION...
iops() {
    disk=$1
    shift
    fio --name=bench --filename="$disk" --bs=4k --iodepth=32 \
        --ioengine=libaio --direct=1 --zonemode=zbd --zonesize=256m \
        --time_based --runtime="$seconds" --ramp_time=1 --minimal "$@" \
        2> /tmp/fio.log | cut -d ';' -f 49 | cut -d . -f 1
}

median() {
    sort -g "$1" | sed -n "$(((rounds + 1) / 2))p"
}

# compare LABEL NAME OPTION...
compare() {
    label=$1
    name=$2
    shift 2
    rm -f /tmp/zoned /tmp/plain
    for _ in $(seq "$rounds"); do
        blkzone reset "$zoned"
        iops "$zoned" "$@" >> /tmp/zoned
        iops "$plain" "$@" >> /tmp/plain
    done
    # Each round has its own ratio, so that a slow spell hits both sides
    paste /tmp/zoned /tmp/plain | awk '{ print $1 / $2 }' > /tmp/ratios
    echo "$label: $name ours=$(median /tmp/zoned)" \
        "base=$(median /tmp/plain) ratio=$(median /tmp/ratios)"
}

compare bench write-4k-depth-32-over-32-zones --rw=randwrite --max_open_zones=32
compare info write-4k-depth-32-in-one-zone --rw=write
