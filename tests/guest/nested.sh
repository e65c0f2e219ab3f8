# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# An inner guest, which our qemu-system runs in this one.  It is the same guest:
# its kernel, root file system and start are those of this one, and so is what
# its script finds in /guest.  A script sources this file instead of devices.sh.
#
# TCG has AMD's instructions for guests, so that the inner guest can have KVM:
# with TCG in TCG it would take minutes.  With two processors this hangs now and
# then, and with one, which is rare, the inner guest's kernel panics or stops.  So
# the script's header has these lines:
#
#   programs: qemu-system-x86_64
#   cpu: vendor=AuthenticAMD,+svm,+npt
#   smp: 1
#   memory: 2G
#   tries: 2

. /guest/devices.sh

modprobe kvm_amd || modprobe kvm_intel || :

# inner_files SCSI NVME: prepare /tmp/inner.tar with the inner guest's script,
# which is read from standard input, and the names of its disks of these kinds.
# Programs that need no libraries start several times as fast.
inner_files() {
    mkdir /tmp/inner-files
    (
        cd /tmp/inner-files || exit
        cp /guest/start /guest/*.sh /guest/mkzonefs .
        {
            # shellcheck disable=SC2016  # for the inner guest
            echo 'mkdir /tmp/bin
                  busybox --install -s /tmp/bin
                  rm /tmp/bin/dd
                  PATH=/tmp/bin:$PATH'
            cat
        } > script
        : > variables
        [ -z "$1" ] ||
            printf 'scsi_drivers=virtio_scsi\nscsi_disks="%s"\n' "$1" > scsi
        [ -z "$2" ] || printf 'nvme_disks="%s"\n' "$2" > nvme
        busybox tar -c -f /tmp/inner.tar -- *
    )
}

# inner_qemu OPTION...: become qemu-system with an inner guest, whose second
# serial port is still to come
inner_qemu() {
    root=$(findmnt -n -o SOURCE /)
    exec qemu-system-x86_64 -accel kvm -accel tcg -cpu max -m 256M \
        -nodefaults -no-user-config -no-reboot -display none -vga none \
        -nic none -kernel /guest/vmlinuz -initrd /guest/initrd \
        -append 'quiet panic=-1 oops=panic nowatchdog no_timer_check
                 norandmaps mitigations=off printk.devkmsg=on console=ttyS0
                 raid6_pq.benchmark=0' \
        -blockdev "host_device,node-name=root,read-only=on,filename=$root" \
        -device virtio-blk-pci,drive=root,serial=guest-root \
        -blockdev file,node-name=files,read-only=on,filename=/tmp/inner.tar \
        -device virtio-blk-pci,drive=files,serial=guest-files "$@"
}

# host_disk NAME DISK: options of a node of that name
host_disk() {
    echo "-blockdev host_device,node-name=$1,filename=$2,cache.direct=on"
}

# inner_died: end, for another try if it was not QEMU that ended
inner_died() {
    cat /tmp/inner-console*
    if [ -e /tmp/inner-hangs ] || grep -q 'Kernel panic' /tmp/inner-console*
    then
        exit 75
    fi
    die 'the inner guest has failed'
}

tell() {
    echo "$(cut -d ' ' -f 1 /proc/uptime) $*"
}
