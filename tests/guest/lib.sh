# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What the scripts that run in the test guest share.  A script sources this
# file; from then on any command that fails ends the script.
#
# Disks are paths of block devices.  Zones are named by their number.

set -eu

die() {
    echo "$*"
    exit 1
}

# is WHAT EXPECTED ACTUAL
is() {
    [ "$2" = "$3" ] || die "$1: expected '$2', got '$3'"
}

# errors_expected COMMAND...: the kernel may log errors of requests meanwhile.
# In a function that is called so, a command that fails does not end the script.
errors_expected() {
    echo 'errors expected: begin' > /dev/kmsg
    status=0
    "$@" || status=$?
    echo 'errors expected: end' > /dev/kmsg
    return "$status"
}

# fails MESSAGE COMMAND...: the command must fail, its output hold the message
fails() {
    message=$1
    shift
    if out=$(errors_expected "$@" 2>&1); then
        die "should have failed with '$message': $*"
    fi
    case $out in
    *"$message"*) ;;
    *) die "$*: expected '$message', got '$out'" ;;
    esac
}

# What Linux calls them
# shellcheck disable=SC2034  # for the scripts
OPEN_LIMIT='Too many references'
ACTIVE_LIMIT='Value too large for defined data type'
IO_ERROR='Input/output error'

# full_error DISK: what a write to a full zone ends with
full_error() {
    case $1 in
    /dev/sd*) echo 'Remote I/O error' ;;
    *) echo "$IO_ERROR" ;;
    esac
}

# queue DISK NAME: an attribute of the disk's request queue
queue() {
    cat "/sys/block/${1#/dev/}/queue/$2"
}

# All zones but the last have this size, in sectors of 512 bytes
zone_sectors() {
    queue "$1" chunk_sectors
}

nr_zones() {
    queue "$1" nr_zones
}

# zone_start DISK ZONE: its first sector
zone_start() {
    echo $(($(zone_sectors "$1") * $2))
}

# zone DISK ZONE: 'CONDITION WRITTEN CAPACITY TYPE', the condition as two
# letters (em oi oe cl fu nw ro of), sizes in sectors
zone() {
    # shellcheck disable=SC2046  # the words are meant to be split
    set -- $(blkzone report -o "$(zone_start "$1" "$2")" -c 1 "$1" |
        sed 's/[^0-9a-zA-Z]\{1,\}/ /g')
    # start S len L cap C wptr W reset R non seq N zcond N cc type N NAME
    echo "${16}" $(($8)) $(($6)) "${18}"
}

# zone_is DISK ZONE CONDITION [WRITTEN]
zone_is() {
    # shellcheck disable=SC2046  # the words are meant to be split
    set -- "$@" -- $(zone "$1" "$2")
    if [ "$4" = -- ]; then
        is "zone $2 of $1" "$3" "$5"
    else
        is "zone $2 of $1" "$3 $4" "$6 $7"
    fi
}

# zones_of DISK...: as they compare with those that another kernel sees; full
# zones have no write pointer
zones_of() {
    for d; do
        blkzone report "$d"
    done | sed '/(fu)/s/wptr [^ ]*//'
}

# zone_do OPERATION DISK ZONE [COUNT]: open, close, finish or reset zones
zone_do() {
    blkzone "$1" -o "$(zone_start "$2" "$3")" -c "${4:-1}" "$2"
}

# write_at DISK SECTOR COUNT: write sectors of random data in one request
write_at() {
    dd if=/dev/urandom of="$1" bs=$(($3 * 512)) count=1 iflag=fullblock \
        seek=$(($2 * 512)) oflag=direct,seek_bytes conv=notrunc status=none
}

# write_zone DISK ZONE COUNT: the same at the write pointer
write_zone() (
    start=$(zone_start "$1" "$2")
    written=$(zone "$1" "$2" | cut -d ' ' -f 2)
    write_at "$1" $((start + written)) "$3"
)

# first_sequential DISK: the number of the first zone with a write pointer
first_sequential() {
    blkzone report "$1" | grep -n -m 1 -v CONVENTIONAL |
        { IFS=: read -r line _; echo $((line - 1)); }
}

# fio_zones DISK FIRST COUNT OPTION...: run fio on zones, with verification
fio_zones() (
    zone_bytes=$(($(zone_sectors "$1") * 512))
    fio_disk=$1
    first=$2
    count=$3
    shift 3
    fio --filename="$fio_disk" --direct=1 --zonemode=zbd --ioengine=libaio \
        --offset=$((first * zone_bytes)) --size=$((count * zone_bytes)) \
        --verify=crc32c --verify_fatal=1 --group_reporting \
        "$@" > /tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
)
