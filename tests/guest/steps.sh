# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What people do with a zoned disk: each step does one thing for real, checks
# that it worked and says so.  The demonstration and the tests share them.
#
# Each takes the disk as its argument and resets it first.

. /guest/lib.sh

tell() {
    echo "   $*"
}

mib() {
    echo $(($1 / 2048))
}

# Human words for the kernel's geometry
step_report() {
    disk=$1
    is "model of $disk" host-managed "$(queue "$disk" zoned)"
    blkzone report "$disk" > /tmp/report
    is 'zones in the report' "$(nr_zones "$disk")" "$(wc -l < /tmp/report)"
    conv=$(grep -c CONVENTIONAL /tmp/report || :)
    capacity=$(($(blkzone capacity "$disk")))
    sum=0
    while read -r line; do
        line=${line#*cap }
        sum=$((sum + ${line%%,*}))
    done < /tmp/report
    is 'blkzone capacity' "$sum" "$capacity"
    tell "blkzone report: $(nr_zones "$disk") zones of" \
        "$(mib "$(zone_sectors "$disk")") MiB, the first $conv conventional"
    tell "blkzone capacity: $(mib "$capacity") MiB of the" \
        "$(mib "$(cat "/sys/block/${disk#/dev/}/size")") MiB can be written"
    tell "limits: $(queue "$disk" max_open_zones) open zones," \
        "$(queue "$disk" max_active_zones) active zones (0: no limit)"
}

# One zone through all its states
step_blkzone() {
    disk=$1
    blkzone reset "$disk"
    z=$(first_sequential "$disk")
    zone_is "$disk" "$z" em 0
    zone_do open "$disk" "$z"
    zone_is "$disk" "$z" oe 0
    write_zone "$disk" "$z" 2048
    zone_is "$disk" "$z" oe 2048
    fails "$IO_ERROR" write_at "$disk" $(($(zone_start "$disk" "$z") + 8)) 8
    zone_is "$disk" "$z" oe 2048
    tell "blkzone open: zone $z is open, and empty"
    tell 'write 1 MiB: the write pointer moves by 1 MiB'
    tell 'write elsewhere in the zone: refused'
    zone_do close "$disk" "$z"
    zone_is "$disk" "$z" cl 2048
    tell 'blkzone close: the zone is closed and keeps its write pointer'
    zone_do finish "$disk" "$z"
    zone_is "$disk" "$z" fu
    fails "$(full_error "$disk")" write_at "$disk" \
        $(($(zone_start "$disk" "$z") + 2048)) 8
    tell 'blkzone finish: the zone is full and takes no more writes'
    zone_do reset "$disk" "$z"
    zone_is "$disk" "$z" em 0
    tell 'blkzone reset: the zone is empty again'
}

# The other tool, and a second opinion on the report
step_zbd() {
    disk=$1
    blkzone reset "$disk"
    z=$(first_sequential "$disk")
    bytes=$(($(zone_sectors "$disk") * 512))
    write_zone "$disk" "$z" 16
    is 'zones by zbd' "$(nr_zones "$disk") zones" "$(zbd report -n "$disk")"
    is 'zone by zbd' "wp $((z * bytes + 8192)) oi" \
        "$(zbd report -ofst $((z * bytes)) -len "$bytes" "$disk" |
            sed -n 's/^Zone .* wp 0*\([0-9]*\), \(..\),.*/wp \1 \2/p')"
    zbd finish -ofst $((z * bytes)) -len "$bytes" "$disk"
    zone_is "$disk" "$z" fu
    zbd reset -ofst $((z * bytes)) -len "$bytes" "$disk"
    zone_is "$disk" "$z" em 0
    tell 'zbd report, finish, reset: the same zones, states and pointers'
}

# step_fio DISK ZONES: write them from their start and read them back
step_fio() {
    disk=$1
    blkzone reset "$disk"
    z=$(first_sequential "$disk")
    fio_zones "$disk" "$z" "$2" --name=sequential --rw=write --bs=128k \
        --iodepth=8
    tell "fio --zonemode=zbd: $2 zones written from start to end, read back"
    tell 'and every block verified'
}

# An empty zonefs, and a file per zone that is appended to
step_zonefs() {
    disk=$1
    modprobe zonefs
    /guest/mkzonefs "$disk"
    mkdir -p /tmp/zonefs
    mount -t zonefs "$disk" /tmp/zonefs
    file=/tmp/zonefs/seq/3
    is 'size of an empty zone' 0 "$(stat -c %s "$file")"
    dd if=/dev/urandom of=/tmp/data bs=64k count=16 status=none
    dd if=/tmp/data of="$file" bs=64k oflag=append,direct conv=notrunc \
        status=none
    umount /tmp/zonefs
    mount -t zonefs "$disk" /tmp/zonefs
    is 'size of the file' 1048576 "$(stat -c %s "$file")"
    cmp "$file" /tmp/data
    truncate -s 0 "$file"
    is 'size of a truncated file' 0 "$(stat -c %s "$file")"
    files=$(find /tmp/zonefs/seq -type f | wc -l)
    umount /tmp/zonefs
    tell "mount -t zonefs: $files files, one for each sequential zone"
    tell 'append 1 MiB to one, mount again: it reads back the same'
    tell 'truncate it: its zone is reset'
}

# A file system that has learned to live with zones
step_btrfs() {
    disk=$1
    modprobe btrfs
    blkzone reset "$disk"
    mkfs.btrfs -q -f -O zoned -m single -d single "$disk" > /tmp/mkfs 2>&1 ||
        die "mkfs.btrfs: $(cat /tmp/mkfs)"
    mkdir -p /tmp/btrfs
    mount -t btrfs "$disk" /tmp/btrfs
    cp /usr/bin/bash /tmp/btrfs/copy
    umount /tmp/btrfs
    mount -t btrfs "$disk" /tmp/btrfs
    cmp /usr/bin/bash /tmp/btrfs/copy
    size=$(stat -c %s /tmp/btrfs/copy)
    umount /tmp/btrfs
    tell "mkfs.btrfs -O zoned, mount, copy in a file of $((size / 1024)) KiB"
    tell 'mount again: the file reads back the same'
}

# What an image keeps when QEMU ends: step_off in one boot, step_again in the
# next one
step_off() {
    disk=$1
    blkzone reset "$disk"
    z=$(first_sequential "$disk")
    seq 200000 | head -c 1M > /tmp/data
    dd if=/tmp/data of="$disk" bs=1M seek=$(($(zone_start "$disk" "$z") * 512)) \
        oflag=direct,seek_bytes conv=notrunc,fsync status=none
    zone_do finish "$disk" $((z + 1))
    zone_do open "$disk" $((z + 2))
    write_zone "$disk" $((z + 2)) 8
    zone_is "$disk" "$z" oi 2048
    zone_is "$disk" $((z + 2)) oe 8
    tell "write 1 MiB to zone $z, finish zone $((z + 1)), open zone $((z + 2))" \
        'and write 4 KiB'
    tell 'power off: QEMU ends'
}

step_again() {
    disk=$1
    z=$(first_sequential "$disk")
    zone_is "$disk" "$z" cl 2048
    seq 200000 | head -c 1M > /tmp/data
    dd if="$disk" of=/tmp/back bs=1M count=1 iflag=direct,skip_bytes \
        skip=$(($(zone_start "$disk" "$z") * 512)) status=none
    cmp /tmp/data /tmp/back
    zone_is "$disk" $((z + 1)) fu
    zone_is "$disk" $((z + 2)) cl 8
    zone_is "$disk" $((z + 3)) em 0
    tell 'QEMU starts again with the same image, and no options for its zones'
    tell "zone $z has its 1 MiB, zone $((z + 1)) is full, zone $((z + 2)) is" \
        'closed with 4 KiB'
}

all_steps() {
    step_report "$1"
    step_blkzone "$1"
    step_zbd "$1"
    step_fio "$1" 2
    step_zonefs "$1"
    step_btrfs "$1"
}
