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
writes=60000            # of fill_in_turn(), about as long
zone_size=268435456     # of all disks that are written

# run_fio DISK OPTION...: reads and writes a second
run_fio() {
    disk=$1
    shift
    fio --name=bench --filename="$disk" --bs=4k --iodepth=32 \
        --ioengine=libaio --direct=1 --minimal "$@" \
        2> /tmp/fio.log | awk -F ';' '{ print int($8 + $49) }'
}

# timed DISK OPTION...: the same, for a while
timed() {
    run_fio "$@" --zonemode=zbd --zonesize="$zone_size" \
        --time_based --runtime="$seconds" --ramp_time=1
}

reset_zones() {
    [ "$(queue "$1" zoned)" = none ] || blkzone reset "$1"
}

# timed_from_empty DISK OPTION...: the same with empty zones
timed_from_empty() {
    reset_zones "$1"
    timed "$@"
}

# fill_in_turn DISK ZONES: writes a second, to one zone after the other.
#
# Linux keeps one write in flight to a zone: to have 32 at once, the disk must
# get each for another zone.  A round goes on where the one before it ended, so
# that a file behind the disk has to take space for them, be it zoned or not.
fill_in_turn() {
    log=/tmp/log.$2.$round
    [ -e "$log" ] || awk -v zones="$2" -v writes="$writes" \
        -v size="$zone_size" -v round="$round" '
        BEGIN {
            print "fio version 2 iolog\ndisk add\ndisk open"
            for (i = (round - 1) * writes; i < round * writes; i++) {
                offset = i % zones * size + int(i / zones) * 4096
                printf "disk write %.0f 4096\n", offset
            }
            print "disk close"
        }' > "$log"
    run_fio "$1" --read_iolog="$log" --replay_redirect="$1"
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
