#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Zoned disks of the host: our QEMU against the one that Debian packages, an
# ordinary disk, and fio on the disk itself
#
# The disks take 10 ms for each request, however many there are.  So what is
# measured is how many of them are in flight, and less the processor.
#
# Prints "bench: NAME ours=X other=Y raw=Z ratio=R", rates in requests a second
# or times in milliseconds, the medians of rounds in turns.  A ratio above 1 is
# in our favour.
#
# The last figure is the longest that QMP takes to answer while requests stall
# and fail, on a disk that takes seconds for each.  The other one is of the same
# QEMU when it has nothing to do: the noise of this guest.  The ratio is that to
# the 100 ms that it may take.
#
# programs: qemu-img qemu-io qemu-system-x86_64
# peer: yes
# memory: 2G
# limit: 900

# The functions that measure() calls are others for each row
# shellcheck disable=SC2317

. /guest/devices.sh

rounds=3
zone_size=$((16 * 1024 * 1024))
zones=2048
# The peer does not do more than 100 requests a second in some of this
many=2048
few=192
delay='irqmode=2 completion_nsec=10000000 hw_queue_depth=128 memory_backed=0'

# options DISK
options() {
    echo "driver=host_device,filename=$1,cache.direct=on,aio=native"
}

# rate PREFIX COUNT DISK OPTION...: requests a second of qemu-img bench
rate() {
    qemu_img=$1qemu-img
    count=$2
    disk=$3
    shift 3
    "$qemu_img" bench -t none -c "$count" -d 32 -s 4096 "$@" \
        --image-opts "$(options "$disk")" > /tmp/rate 2>&1 ||
        die "$qemu_img bench: $(cat /tmp/rate)" >&2
    sed -n 's/^Run completed in \(.*\) seconds.*/\1/p' /tmp/rate |
        awk -v n="$count" '{ printf "%.1f\n", n / $1 }'
}

# raw DISK OPTION...: the same of fio
raw() {
    disk=$1
    shift
    fio --name=raw --filename="$disk" --direct=1 --bs=4k --iodepth=32 \
        --ioengine=libaio --zonemode=zbd --zonesize="$zone_size" \
        --time_based --runtime=2 --ramp_time=1 --minimal "$@" 2> /tmp/fio.log |
        awk -F ';' '{ print $8 + $49 }'
}

# milliseconds COMMAND...
milliseconds() {
    begin=$(date +%s%N)
    "$@" > /dev/null 2> /tmp/errors ||
        die "$*: $(cat /tmp/errors)" >&2
    echo $((($(date +%s%N) - begin) / 1000000))
}

median() {
    sort -g "$1" | sed -n "$(((rounds + 1) / 2))p"
}

# measure NAME: in rounds, run ours_figure, other_figure and raw_figure;
# speed is 1 if they print rates and -1 if they print times
measure() {
    rm -f /tmp/ours /tmp/other /tmp/raw
    for round in $(seq "$rounds"); do
        # Not always the same one first
        if [ $((round % 2)) = 1 ]; then
            order='ours other'
        else
            order='other ours'
        fi
        for side in $order raw; do
            prepare
            "${side}_figure" >> "/tmp/$side"
        done
    done
    paste /tmp/ours /tmp/other |
        awk -v t="$speed" '{ print (t > 0 ? $1 / $2 : $2 / $1) }' > /tmp/ratios
    echo "bench: $1 ours=$(median /tmp/ours) other=$(median /tmp/other)" \
        "raw=$(median /tmp/raw) ratio=$(median /tmp/ratios)"
}

# shellcheck disable=SC2086  # the words are meant to be split
zoned=$(null_blk zoned size=$((zones * 16)) zone_size=16 $delay)
# shellcheck disable=SC2086
plain=$(null_blk_plain plain size=$((zones * 16)) $delay)
# shellcheck disable=SC2086
hundred=$(null_blk hundred size=100000 zone_size=1 memory_backed=0)
peer=/mnt/

speed=1
prepare() { blkzone reset "$zoned"; }

ours_figure() { rate '' "$many" "$zoned" -w -S "$zone_size"; }
other_figure() { rate "$peer" "$few" "$zoned" -w -S "$zone_size"; }
raw_figure() { raw "$zoned" --rw=randwrite; }
measure 'writes, each to another zone, to the peer'

other_figure() { rate '' "$many" "$plain" -w -S "$zone_size"; }
raw_figure() { raw "$plain" --rw=randwrite; }
measure 'writes, each to another zone, to not zoned'

ours_figure() { rate '' "$many" "$zoned" -w --zone-append --zones=1; }
other_figure() { rate "$peer" "$few" "$zoned" -w; }
raw_figure() { raw "$zoned" --rw=write; }
measure "appends to one zone, to the peer's writes"

ours_figure() { rate '' "$many" "$zoned" -w --zone-append --zones=8; }
raw_figure() { raw "$zoned" --rw=randwrite --max_open_zones=8; }
measure "appends to 8 zones, to the peer's writes to one"

# A step that visits the whole disk in no order
step=$((4096 * 319993))
ours_figure() { rate '' "$many" "$zoned" -S "$step"; }
other_figure() { rate '' "$many" "$plain" -S "$step"; }
raw_figure() { raw "$plain" --rw=randread; }
measure 'random reads, to not zoned'

speed=-1
rounds=5
prepare() { :; }
# io PREFIX COMMAND: how long one command of qemu-io takes
io() {
    milliseconds "$1qemu-io" --image-opts -c "$2" "$(options "$hundred")"
}
ours_figure() { io '' quit; }
other_figure() { io "$peer" quit; }
raw_figure() { milliseconds blkzone report -c 1 "$hundred"; }
measure 'opening 100k zones (ms), to the peer'

ours_figure() { io '' 'zone_report 0 100000'; }
other_figure() { io "$peer" 'zone_report 0 100000'; }
raw_figure() { milliseconds blkzone report "$hundred"; }
measure 'report of 100k zones (ms), to the peer'

cat > /tmp/latency.py << 'PYTHON'
import subprocess
import sys
import time

sys.path.insert(0, '/guest')
from vm import Qemu


def longest(qemu, seconds):
    """Ask all the time, and return how long the longest answer took, in ms"""
    end = time.monotonic() + seconds
    took = 0
    while time.monotonic() < end:
        took = max(took, qemu.ask('query-status')[1])
        time.sleep(0.01)
    return 1000 * took


def send(qemu, *commands):
    return 1000 * max(qemu.io(command)[1] for command in commands)


def set_delay(jiffies):
    with open('/sys/bus/pseudo/drivers/scsi_debug/delay', 'w') as f:
        f.write(str(jiffies))


def take_zones(disk, numbers):
    """Empty them behind QEMU's back"""
    for i in numbers:
        subprocess.run(['blkzone', 'reset', '-o', str(i * 8192), '-c', '1',
                        disk], check=True)


disk, aio = sys.argv[1:]
qemu = Qemu(disk, aio)
qemu.io('zone_reset 0 64M')
for zone in range(1, 5):
    qemu.io(f'write -q {4 * zone}M 64k')
idle = longest(qemu, 3)
take_zones(disk, [2, 3])
# A second has 250 of these
set_delay(250)
busy = send(
    qemu,
    # Its zone is read, and it is refused
    'aio_write -q 16M 4k',
    'aio_zone_append -q 4M 4k',
    # These fail, and then their zones are read
    'aio_zone_append -q 8M 4k', 'aio_zone_append -q 8M 4k',
    'aio_write -q 12352k 4k', 'aio_write -q 12356k 4k', 'aio_read -q 4M 4k')
busy = max(busy, longest(qemu, 5))
qemu.io('aio_flush')
set_delay(0)
out = qemu.end()
if out.count('failed') < 4:
    sys.exit(f'too few requests failed: {out}')
print(f'{busy:.1f} {idle:.1f}')
PYTHON

scsi=$(scsi_zbc dev_size_mb=64 zone_size_mb=4 delay=0)
rm -f /tmp/ours /tmp/other
for aio in threads native io_uring; do
    errors_expected python3 /tmp/latency.py "$scsi" "$aio" > /tmp/latency ||
        die "$(cat /tmp/latency)"
    cut -d ' ' -f 1 /tmp/latency >> /tmp/ours
    cut -d ' ' -f 2 /tmp/latency >> /tmp/other
done
longest=$(sort -g /tmp/ours | tail -n 1)
echo "bench: QMP while a disk stalls (ms), to 100 ms ours=$longest" \
    "other=$(sort -g /tmp/other | tail -n 1) raw=-" \
    "ratio=$(awk -v ms="$longest" 'BEGIN { print 100 / ms }')"
