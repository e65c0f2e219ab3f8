#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A zoned disk at work: the story that "run demo" tells.
#
# disk: zbd size=1G,memory-backed=on,zoned.model=host-managed,zoned.zone-size=32M,zoned.zone-capacity=24M,zoned.conventional-zones=2,zoned.max-open-zones=8,zoned.max-active-zones=12
# limit: 120

. /guest/steps.sh

echo "Linux $(uname -r) has a zoned disk, $zbd:"
echo
echo '1. Its zones'
step_report "$zbd"
echo '2. One zone through its states'
step_blkzone "$zbd"
echo '3. A second opinion'
step_zbd "$zbd"
echo '4. Sequential writes with verification'
step_fio "$zbd" 3
echo '5. A file for each zone: zonefs'
step_zonefs "$zbd"
echo '6. A zoned file system: btrfs'
step_btrfs "$zbd"
echo
echo 'All of it worked.'
