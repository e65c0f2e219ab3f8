#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Writes to a zoned disk against writes to the same disk not zoned: one job at
# depth 32.
#
# With writes to many zones in turn, what is measured is the device.  With
# writes to one zone at a time it is more the guest: Linux keeps one write in
# flight to a zone, on any disk, so each write waits for the one before it.
# These have no bar ("info:" instead of "bench:").
#
# SCSI disks read, too, and report many zones, which is measured against Linux's
# own scsi_debug, in zones a millisecond.
#
# An NVMe namespace on a zoned node is compared with one that keeps zones itself,
# on a node without any.
#
# disk: zoned size=64G,zoned.model=host-managed,zoned.zone-size=256M
# disk: plain size=64G
# disk: scsi_zoned size=64G,zoned.model=host-managed,zoned.zone-size=256M
# hba: scsi_zoned virtio-scsi-pci
# disk: scsi_plain size=64G
# hba: scsi_plain virtio-scsi-pci
# disk: scsi_many size=100G,zoned.model=host-managed,zoned.zone-size=1M
# hba: scsi_many virtio-scsi-pci
# disk: nvme_zoned size=64G,zoned.model=host-managed,zoned.zone-size=256M
# disk: nvme_ram size=64G
# device: nvme_ram zoned=on,zoned.zone_size=256M,logical_block_size=512
# nvme: nvme_zoned nvme_ram
# limit: 1200

. /guest/compare.sh

# appends DISK PROCESSES: appends a second by passthrough
appends() {
    # shellcheck disable=SC2154  # of compare.sh
    /guest/zone-append "$1" "$2" "$seconds"
}

compare bench write-4k-depth-32-over-32-zones fill_in_turn 32
compare info write-4k-depth-32-in-one-zone timed_from_empty --rw=write

# shellcheck disable=SC2154  # the disks
zoned=$scsi_zoned plain=$scsi_plain
compare bench scsi-write-4k-depth-32-over-32-zones fill_in_turn 32
compare bench scsi-read-4k-depth-32 timed --rw=randread --read_beyond_wp=1
compare info scsi-write-4k-depth-32-in-one-zone timed_from_empty --rw=write

# zones_per_ms DISK: report all of them, 8191 at a time
zones_per_ms() {
    begin=$(date +%s%N)
    lba=0
    while [ "$lba" -lt $((100000 * 2048)) ]; do
        sg_rep_zones --raw --partial --maxlen=524288 --start="$lba" "$1" \
            > /dev/null
        lba=$((lba + 8191 * 2048))
    done
    end=$(date +%s%N)
    echo $((100000 * 1000000 / (end - begin)))
}

modprobe scsi_debug zbc=host-managed zone_size_mb=1 virtual_gb=100 \
    fake_rw=1 delay=0 dev_size_mb=8
until debug=$(grep -l Linux /sys/block/sd*/device/vendor); do
    usleep 10000
done
debug=/dev/$(echo "$debug" | cut -d / -f 4)
rm -f /tmp/zoned /tmp/plain
for _ in $(seq "$rounds"); do
    # shellcheck disable=SC2154
    zones_per_ms "$scsi_many" >> /tmp/zoned
    zones_per_ms "$debug" >> /tmp/plain
done
paste /tmp/zoned /tmp/plain | awk '{ print $1 / $2 }' > /tmp/ratios
echo "bench: scsi-report-100k-zones ours=$(median /tmp/zoned)" \
    "base=$(median /tmp/plain) ratio=$(median /tmp/ratios)"

# shellcheck disable=SC2154
zoned=$nvme_zoned plain=$nvme_ram
compare bench nvme-write-4k-depth-32-over-16-zones timed_from_empty \
    --rw=randwrite --max_open_zones=16
compare bench nvme-append-4k-to-16-zones appends 16
