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

# A reset gives space back, which the next writes would have to take anew
# shellcheck disable=SC2034
keep_zones=1

compare bench write-4k-depth-32-over-32-zones iops --rw=randwrite \
    --max_open_zones=32
compare bench read-4k-depth-32 iops --rw=randread --read_beyond_wp=1
