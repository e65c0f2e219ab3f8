# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Make block devices of the guest's own kernel.  A script sources this file
# instead of lib.sh.
#
# Each function prints the path of the device that it made.  Names must be
# ones that no other device has.

. /guest/lib.sh

configfs=/sys/kernel/config/nullb

modprobe null_blk nr_devices=0
mountpoint -q /sys/kernel/config ||
    mount -t configfs configfs /sys/kernel/config

# null_blk_plain NAME ATTRIBUTE=VALUE...: a disk that keeps what is written.
# Attributes are those of the kernel's Documentation/block/null_blk.rst; sizes
# are in MiB.
null_blk_plain() {
    mkdir "$configfs/$1"
    null_blk_name=$1
    shift
    for attribute in memory_backed=1 "$@" power=1; do
        null_blk_set "$null_blk_name" "$attribute"
    done
    # The kernel may name the disk after its folder or number it
    if [ -e "/sys/block/$null_blk_name" ]; then
        echo "/dev/$null_blk_name"
    else
        echo "/dev/nullb$(cat "$configfs/$null_blk_name/index")"
    fi
}

# null_blk NAME ATTRIBUTE=VALUE...: the same with zones
null_blk() {
    null_blk_name=$1
    shift
    null_blk_plain "$null_blk_name" zoned=1 "$@"
}

# null_blk_set NAME ATTRIBUTE=VALUE: change an attribute, as badblocks or
# zone_readonly
null_blk_set() {
    echo "${2#*=}" > "$configfs/$1/${2%%=*}"
}

# null_blk_remove NAME
null_blk_remove() {
    rmdir "$configfs/$1"
}

# scsi_zbc PARAMETER=VALUE...: a SCSI disk with zones.  There can be one such
# disk at a time; sizes are in MiB.
scsi_zbc() {
    modprobe sd_mod
    modprobe scsi_debug zbc=managed "$@"
    for device in /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*:*/block/*; do
        echo "/dev/${device##*/}"
    done
}

scsi_zbc_remove() {
    modprobe -r scsi_debug
}

# partition DISK NUMBER START LENGTH: in MiB
partition() {
    addpart "$1" "$2" "$(($3 * 2048))" "$(($4 * 2048))"
    partition_path=$1$2
    [ -e "$partition_path" ] || partition_path=$1p$2
    echo "$partition_path"
}

# dm_linear NAME DISK FIRST COUNT: a device-mapper disk that is some of the
# zones of a disk
dm_linear() {
    modprobe dm_mod
    dmsetup create "$1" --noudevsync --noudevrules --table "0 \
        $(($(zone_sectors "$2") * $4)) linear $2 $(zone_start "$2" "$3")" \
        > /dev/null
    dm_path "$1"
}

# dm_path NAME: the path of a device-mapper disk that there is
dm_path() {
    dmsetup info -c --noheadings -o blkdevname "$1" | sed 's,^ *,/dev/,'
}

# dm_table NAME TARGET: make the disk that there is one of another target
dm_table() {
    dmsetup suspend --noudevsync "$1"
    dmsetup load "$1" --table "0 $(blockdev --getsz "$(dm_path "$1")") $2"
    dmsetup resume --noudevsync "$1"
}

dm_remove() {
    dmsetup remove --noudevsync "$1"
}
