# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Compare two disks, $zoned and $plain, mostly by fio.  A script sources this file
# instead of lib.sh.
#
# Prints "bench: NAME ours=X base=Y ratio=R": requests a second, the medians of
# rounds that alternate between the two disks.

. /guest/lib.sh

rounds=9
seconds=2

# iops DISK OPTION...: reads and writes a second
iops() {
    disk=$1
    shift
    fio --name=bench --filename="$disk" --bs=4k --iodepth=32 \
        --ioengine=libaio --direct=1 --zonemode=zbd --zonesize=256m \
        --time_based --runtime="$seconds" --ramp_time=1 --minimal "$@" \
        2> /tmp/fio.log | awk -F ';' '{ print int($8 + $49) }'
}

# Not where $keep_zones is set
reset_zones() {
    [ "${keep_zones-}" ] || [ "$(queue "$1" zoned)" = none ] ||
        blkzone reset "$1"
}

median() {
    sort -g "$1" | sed -n "$(((rounds + 1) / 2))p"
}

# compare LABEL NAME FUNCTION ARGUMENT...: it is called with a disk, too
compare() {
    label=$1
    name=$2
    function=$3
    shift 3
    rm -f /tmp/zoned /tmp/plain
    for round in $(seq "$rounds"); do
        # Not always the same one first
        if [ $((round % 2)) = 1 ]; then
            order='zoned plain'
        else
            order='plain zoned'
        fi
        reset_zones "$zoned"
        reset_zones "$plain"
        for side in $order; do
            eval "disk=\$$side"
            # shellcheck disable=SC2154  # just set
            "$function" "$disk" "$@" >> "/tmp/$side"
        done
    done
    # Each round has its own ratio, so that a slow spell hits both sides
    paste /tmp/zoned /tmp/plain | awk '{ print $1 / $2 }' > /tmp/ratios
    echo "$label: $name ours=$(median /tmp/zoned)" \
        "base=$(median /tmp/plain) ratio=$(median /tmp/ratios)"
}
