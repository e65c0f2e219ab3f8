# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# One qemu-io that has a disk of the guest's kernel open all the time, while
# things happen to the disk.  A script sources this file instead of devices.sh.
# $disk is the disk, with zones of 4 MiB.

. /guest/devices.sh

# qemu-io reads its next command only after it has asked for it, and does not
# end the line that asks: this waits for it, and says "end" instead
cat > /tmp/ask.py << 'PYTHON'
import subprocess
import sys

PROMPT = b'qemu-io> '
qemu_io = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, bufsize=0)


def answer():
    text = b''
    while not text.endswith(PROMPT):
        more = qemu_io.stdout.read(4096)
        if not more:
            sys.exit(qemu_io.wait())
        text += more
    return text[:-len(PROMPT)].decode() + 'end\n'


answer()
for line in sys.stdin:
    qemu_io.stdin.write(line.encode())
    sys.stdout.write(answer())
    sys.stdout.flush()
PYTHON

# start_io DISK AIO
start_io() {
    rm -f /tmp/io.in /tmp/io.out
    mkfifo /tmp/io.in /tmp/io.out
    python3 /tmp/ask.py qemu-io --image-opts \
        "driver=host_device,filename=$1,cache.direct=on,aio=$2" \
        < /tmp/io.in > /tmp/io.out 2> /tmp/io.errors &
    qemu_io=$!
    exec 3> /tmp/io.in 4< /tmp/io.out
}

# io COMMANDS...: what qemu-io prints for these commands
io() {
    printf '%s\n' "$@" > /tmp/commands
    cat /tmp/commands >&3
    commands=$(wc -l < /tmp/commands)
    while [ "$commands" -gt 0 ]; do
        read -r line <&4 || die 'qemu-io has ended'
        if [ "$line" = end ]; then
            commands=$((commands - 1))
        else
            echo "$line"
        fi
    done
}

# io_is EXPECTED COMMAND...
io_is() {
    expected=$1
    shift
    is "qemu-io: $*" "$expected" "$(io "$@")"
}

end_io() {
    echo quit >&3
    # 1 if a command has failed
    status=0
    wait "$qemu_io" || status=$?
    [ "$status" -le 1 ] || die "qemu-io ended with status $status"
    exec 3>&- 4<&-
    is 'what qemu-io complains about' '' "$(cat /tmp/io.errors)"
}

# same_zone DISK ZONE: QEMU's write pointer is the kernel's, and the next
# append goes there
same_zone() {
    # shellcheck disable=SC2046  # the words are meant to be split
    set -- "$1" "$2" $(zone "$1" "$2")
    wp=$(printf 0x%x $(($(zone_start "$1" "$2") + $4)))
    report=$(io "zone_report $((4 * $2))M 1")
    case $report in
    *"wptr $wp, "*) ;;
    *) die "zone $2: the kernel says $wp, QEMU says $report" ;;
    esac
    io_is "appended at sector $wp" "zone_append -q -p $((4 * $2))M 4k"
}

# Errors are counted where the kernel has them: of what it logs there is a limit
tracing=/sys/kernel/tracing
mount -t tracefs tracefs "$tracing"
echo 'error != 0' > "$tracing/events/block/block_bio_complete/filter"
for event in block_rq_error block_bio_complete; do
    echo 1 > "$tracing/events/block/$event/enable"
done

errors() {
    grep -c ' block_\(rq_error\|bio_complete\): ' "$tracing/trace" || :
}

# may_fail COUNT COMMAND...: the most requests that may fail in the kernel
# meanwhile, as each may fill its log
may_fail() {
    most=$1
    before=$(errors)
    shift
    errors_expected "$@"
    n=$(($(errors) - before))
    [ "$n" -le "$most" ] || die "$*: $n requests have failed"
}
