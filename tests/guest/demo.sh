#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A zoned disk at work: the story that "run demo" tells.
#
# image: zbd 1G zone_size=32M,zone_capacity=24M,conventional_zones=2,max_open_zones=8,max_active_zones=12
# boots: 2
# limit: 120

. /guest/steps.sh

if [ "$boot" = 2 ]; then
    step_again "$zbd"
    echo
    echo 'All of it worked.'
    exit
fi

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
echo '7. Off and on again'
step_off "$zbd"
