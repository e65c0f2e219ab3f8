#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A zoned image that a storage daemon serves against a raw one, by vhost-user-blk
#
# image: zoned 16G zone_size=256M
# served: zoned -
# image: plain 16G raw
# served: plain -
# limit: 600

. /guest/compare.sh

compare bench write-4k-depth-32-over-32-zones fill_in_turn 32

# Data: what was never written is answered without the file, so soon that the
# guest has an interrupt for each request
# shellcheck disable=SC2154  # the disks
blkzone reset "$zoned"
for disk in "$zoned" "$plain"; do
    dd if=/dev/zero of="$disk" bs=1M count=1024 oflag=direct 2> /tmp/dd ||
        die "dd: $(cat /tmp/dd)"
done
compare bench read-4k-depth-32 timed --rw=randread --read_beyond_wp=1 --size=1g
