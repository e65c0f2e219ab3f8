# SPDX-License-Identifier: GPL-2.0-or-later
"""
The virtual machine of the test guest, and its state saved without disks

Booting takes longer than most scripts.  So a guest of each kind boots once,
as far as it goes without disks, and is saved; each script then goes on from
there, with disks of its own, which the guest finds on its PCI bus.
"""

from pathlib import Path
import shlex
import subprocess
import tempfile
import threading
import time
from typing import NamedTuple

FIRMWARE = ('/usr/share/seabios', '/usr/share/qemu')
BOOT_SECONDS = 300
# What the guest's init says on the console when it needs its disks
WAITING = 'waiting for disks'
CONSOLE_TAIL = 30


running = set()                 # processes
stopping = threading.Event()    # nothing is to be begun any more


def kill_all():
    """Leave none behind."""
    stopping.set()
    for qemu in list(running):
        qemu.kill()


class Kind(NamedTuple):
    """What may differ between guests, besides disks"""
    smp: str = '2'
    memory: str = '1G'
    cpu: str = ''               # features that TCG's has to have, too


class Error(Exception):
    """A guest does not boot, or cannot be saved."""


def waits(console):
    """Whether a guest has come as far as it does without disks"""
    return console.exists() and \
        WAITING in console.read_text(errors='replace')


def tail(console):
    """The last lines of what a guest's kernel said"""
    if not console.exists():
        return []
    return console.read_text(errors='replace').splitlines()[-CONSOLE_TAIL:]


class Machine:
    """
    Makes command lines of QEMU.

    :param qemu: qemu-system-x86_64
    :param image: the folder of the guest's kernel and initramfs
    :param accel: kvm or tcg
    :param folder: where to keep saved guests, as long as this object lives
    """

    def __init__(self, qemu, image, accel, folder):
        self.qemu = qemu
        self.image = image
        self.accel = accel
        # pylint: disable=consider-using-with
        self.folder = tempfile.TemporaryDirectory(prefix='saved-', dir=folder)
        self.lock = threading.Lock()
        self.saved = {}         # kind of machine -> file

    def _options(self, kind):
        """A machine without disks and without serial ports"""
        # no_timer_check: Linux counts timer interrupts early at boot, and
        # gives up if a busy host lets a virtual machine have too few.
        # norandmaps: TCG translates code again that moves to another address,
        # so that a program would take ten times as long to start.
        append = 'quiet panic=-1 oops=panic nowatchdog mitigations=off ' \
                 'no_timer_check norandmaps ' \
                 'rcupdate.rcu_cpu_stall_suppress=1 printk.devkmsg=on ' \
                 'console=ttyS0'
        # With a thread for each CPU, TCG can keep a translation of code that
        # another CPU has patched meanwhile: Linux then panics on a breakpoint
        # of its own, about once in ten boots.  The CPU has SSE4.2 for
        # checksums, and little else that costs time to emulate.
        accel = ['-accel', 'tcg,thread=single', '-cpu',
                 ','.join(filter(None, ['Nehalem', kind.cpu]))]
        if self.accel == 'kvm':
            accel = ['-accel', 'kvm', '-cpu', 'max']
        firmware = [word for path in FIRMWARE for word in ('-L', path)]
        return [str(self.qemu), *accel, '-smp', kind.smp,
                '-m', kind.memory,
                '-nodefaults', '-no-user-config', '-no-reboot',
                '-nic', 'none', '-vga', 'none', '-display', 'none', *firmware,
                '-kernel', str(self.image / 'vmlinuz'),
                '-initrd', str(self.image / 'initrd'), '-append', append]

    def boots(self, seconds):
        """Whether a guest boots in that time"""
        with tempfile.TemporaryDirectory(dir=self.folder.name) as tmp:
            try:
                self._save(Kind(), Path(tmp) / 'probe', seconds)
            except Error:
                return False
        return True

    def interactive(self, kind):
        """The command line of a guest that boots on the user's terminal"""
        return self._options(kind) + ['-serial', 'mon:stdio']

    def command(self, kind, console, saved=True):
        """
        The command line of a guest that writes its results to stdout.

        :param console: the file for what its kernel says
        :param saved: whether it goes on where a saved guest is, or boots
        """
        command = self._options(kind) + \
            ['-serial', f'file:{console}',
             '-chardev', 'file,id=result,path=/dev/stdout',
             '-serial', 'chardev:result']
        if saved:
            command += ['-incoming',
                        f'exec:cat {shlex.quote(str(self._saved(kind)))}']
        return command

    def _saved(self, kind):
        """The file with a guest of that kind"""
        with self.lock:
            if kind not in self.saved:
                path = Path(self.folder.name) / str(len(self.saved))
                self._save(kind, path, BOOT_SECONDS)
                self.saved[kind] = path
        return self.saved[kind]

    def _save(self, kind, path, seconds):
        """Boot a guest, and save it when it waits for its disks"""
        console = path.with_suffix('.console')
        command = self._options(kind) + ['-serial', f'file:{console}',
                                         '-serial', 'null',
                                         '-monitor', 'stdio']
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as qemu:
            running.add(qemu)
            hung = threading.Timer(seconds, qemu.kill)
            hung.start()
            while qemu.poll() is None and not waits(console):
                time.sleep(0.05)
            output, _ = qemu.communicate(
                f'migrate "exec:cat > {shlex.quote(str(path))}"\n'
                'info migrate\nquit\n')
            hung.cancel()
            running.discard(qemu)
        if 'Migration status: completed' not in output:
            raise Error('\n'.join([f'no guest could be saved: {output}',
                                   *tail(console)]))
