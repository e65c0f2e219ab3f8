# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What a guest does while it or its disks are moved.  A script sources this file
# instead of lib.sh.  Its disks have zones of 8 MiB with a capacity of 6 MiB; two
# zones may be conventional.

. /guest/lib.sh

# Sectors that each of the zones 2 to 5 holds, in variables
written() {
    eval "echo \${written_$1_$2:-0}"
}

# write_more NAME ZONE SECTORS
write_more() (
    eval "disk=\$$1"
    now=$(written "$1" "$2")
    if [ $((now + $3)) -gt 8192 ]; then
        zone_do reset "$disk" "$2"
        now=0
    fi
    write_zone "$disk" "$2" "$3"
    echo $((now + $3))
)

# check_written NAME: every write pointer is where it has to be, and a write is
# taken there
check_written() {
    eval "disk=\$$1"
    for zone in 2 3 4 5; do
        n=$(written "$1" "$zone")
        # shellcheck disable=SC2046  # words
        set -- "$1" $(zone "$disk" "$zone")
        is "what was written to zone $zone of $1" "$n" "$3"
        write_at "$disk" $(($(zone_start "$disk" "$zone") + n)) 8
        eval "written_$1_$zone=$((n + 8))"
    done
    zone_is "$disk" 6 fu
    zone_is "$disk" 7 em 0
}

# fio_all NAME...: each block is read back, and must be the one written last
fio_all() {
    for name; do
        eval "disk=\$$name"
        set -- "$@" "--name=$name" "--filename=$disk"
        shift
    done
    zone_bytes=$((8 << 20))
    fio --direct=1 --zonemode=zbd --ioengine=libaio --iodepth=8 --bs=16k \
        --rw=randwrite --io_size=8m --max_open_zones=4 --randseed="$rounds" \
        --verify=crc32c --verify_fatal=1 --thread \
        --offset=$((8 * zone_bytes)) --size=$((8 * zone_bytes)) "$@" \
        > /tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
}

# fio_conventional NAME: the same in the conventional zones, if there are any
fio_conventional() {
    eval "disk=\$$1"
    [ "$(zone "$disk" 0 | cut -d ' ' -f 1)" = nw ] || return 0
    fio --direct=1 --ioengine=libaio --iodepth=8 --bs=4k --rw=randwrite \
        --size=16m --io_size=1m --verify=crc32c --verify_fatal=1 \
        "--name=$1" "--filename=$disk" > /tmp/fio.log 2>&1 ||
        die "fio: $(cat /tmp/fio.log)"
}

# use_disks NAME...: for as long as the host is told to move them
use_disks() {
    for name; do
        eval "disk=\$$name"
        write_zone "$disk" 6 64
        zone_do finish "$disk" 6
        write_zone "$disk" 7 8
        zone_do reset "$disk" 7
    done
    echo ready
    until=$(($(cut -d . -f 1 /proc/uptime) + ${seconds:-35}))
    rounds=0
    while [ "$(cut -d . -f 1 /proc/uptime)" -lt "$until" ]; do
        fio_all "$@"
        for name; do
            for zone in 2 3 4 5; do
                n=$(write_more "$name" "$zone" $((zone * 16)))
                eval "written_${name}_$zone=$n"
            done
            check_written "$name"
            fio_conventional "$name"
            eval "disk=\$$name"
            zone_do reset "$disk" 8 8
        done
        rounds=$((rounds + 1))
    done
    echo 'done'
    echo "$rounds rounds"
}
