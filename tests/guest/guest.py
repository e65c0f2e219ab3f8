# SPDX-License-Identifier: GPL-2.0-or-later
"""Prepare what the test guest needs, and run it."""

import hashlib
import os
from pathlib import Path
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time

from daemon import Daemon, Killer
import killed
import machine
import moved
import programs
import qmp
from script import Script, fail

HERE = Path(__file__).resolve().parent
# What a guest finds in /guest, besides the script
FILES = ('start', 'lib.sh', 'load.sh', 'steps.sh', 'devices.sh', 'compare.sh',
         'nested.sh', 'mkzonefs', 'iotests', 'qemu-io.sh', 'vm.py', 'qmp.py',
         'machine.py', 'moved.py', 'nested_moved.py', 'doc_commands.py')
# C programs of this folder, of files whose names begin so
COMPILED = ('zone-append', 'zone-diff')
KVM_PROBE_SECONDS = 15
# A script's exit status that asks for another try
TRY_AGAIN = 75


class Result:
    """How a script ended."""

    def __init__(self, status, output, console='', seconds=0):
        self.status = status        # the script's exit status, None if none
        self.output = output        # lines
        self.console = console.splitlines()
        self.seconds = seconds
        self.tries = 1

    def why(self):
        """In words"""
        if self.status is None:
            return 'the guest ended without a result'
        return f'exit status {self.status}'


class Runner:
    """
    Runs scripts, each in a guest of its own.

    :param build: build directory
    :param qemu: qemu-system-x86_64, if it is another one than of the build
    :param variables: NAME=VALUE, for the scripts
    """

    def __init__(self, build, qemu=None, variables=()):
        self.build = build.resolve()
        self.variables = list(variables)
        self.qemu = qemu or self.build / 'qemu-system-x86_64'
        self.cache = self.build / 'guest'
        self.cache.mkdir(parents=True, exist_ok=True)
        if not os.access(self.qemu, os.X_OK):
            fail(f'{self.qemu} does not exist; build it with "make"')
        self.image = self._prepare_image()
        self.compiled = {name: self._compile(name) for name in COMPILED}
        self.program_disk = self.cache / 'programs.img'
        self.machine = self._make_machine(os.environ.get('GUEST_ACCEL') or
                                          self._choose_accel())

    def _prepare_image(self):
        """The guest's kernel and root, made again when their inputs change"""
        tool = HERE / 'rootfs'
        key = subprocess.run([tool, '--key'], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.strip()
        image = self.cache / 'image'
        stamp = image / 'key'
        if not stamp.exists() or stamp.read_text().strip() != key:
            shutil.rmtree(image, ignore_errors=True)
            if subprocess.run([tool, image], check=False).returncode:
                fail('the root file system of the guest could not be made')
        return image

    def _compile(self, name):
        """A program for a guest that has other libraries than this host"""
        files = sorted(HERE.glob(f'{name}*.[ch]'))
        digest = hashlib.sha256(b''.join(f.read_bytes() for f in files)) \
            .hexdigest()[:16]
        program = self.cache / f'{name}-{digest}'
        if not program.exists():
            for old in self.cache.glob(f'{name}-*'):
                old.unlink()
            compiler = os.environ.get('CC', 'cc').split()
            subprocess.run(compiler + ['-static', '-O2', '-Wall', '-Wextra',
                                       '-Werror', '-o', program] +
                           [f for f in files if f.suffix == '.c'], check=True)
        return program

    def prepare_disks(self, scripts):
        """The disks with programs that a script wants"""
        if any(s.programs for s in scripts):
            try:
                disk = programs.ProgramDisk(self.build,
                                            HERE.parents[1] / 'qemu',
                                            machine.FIRMWARE)
                disk.prepare(self.program_disk)
            except programs.Error as e:
                fail(e)
        if any(s.peer for s in scripts) and \
                subprocess.run([HERE / 'peer', self.cache],
                               check=False).returncode:
            fail('Debian\'s QEMU could not be fetched')

    def _choose_accel(self):
        """KVM where a guest boots on it, else TCG; tried once"""
        answer = self.cache / 'accel'
        if not answer.exists():
            kvm = os.access('/dev/kvm', os.R_OK | os.W_OK) and \
                self._make_machine('kvm').boots(KVM_PROBE_SECONDS)
            answer.write_text('kvm\n' if kvm else 'tcg\n')
        return answer.read_text().strip()

    def _make_machine(self, accel):
        return machine.Machine(self.qemu, self.image, accel, self.cache)

    def _make_images(self, script, folder):
        """The script's images in that folder, unless they are there"""
        for name in script.images:
            path = script.image_path(folder, name)
            if not path.exists():
                self._make_image(script, name, path)

    def _make_image(self, script, name, path):
        size, options = script.images[name]
        form = ['raw'] if options == 'raw' else ['zoned', '-o', options]
        subprocess.run([self.build / 'qemu-img', 'create', '-q', '-f', *form,
                        path, size], check=True)

    def _write_files(self, path, script, boot=1, shell=False):
        """What this run brings into the guest: a tar file as a disk"""
        texts = {'script': script.text, 'variables': ''.join(
            f'export {name}={shlex.quote(value)}\n'
            for name, _, value in (v.partition('=') for v in
                                   self.variables +
                                   [f'boot={boot}',
                                    f'served={" ".join(script.served)}']))}
        texts.update(script.drivers())
        if shell:
            texts['shell'] = ''
        with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as tar:
            for name in FILES:
                tar.add(HERE / name, name)
            for name, program in self.compiled.items():
                tar.add(program, name)
            if 'qemu-system-x86_64' in script.programs:
                for name in ('vmlinuz', 'initrd'):
                    tar.add(self.image / name, name)
            for name, text in texts.items():
                copy = path.parent / name
                copy.write_text(text)
                tar.add(copy, name)

    def _command(self, script, folder, sockets=()):
        """A guest, the disks that every one has, and those of the script"""
        try:
            command = self.machine.command(script.kind, folder / 'console',
                                           script.can_be_restored())
        except machine.Error as e:
            fail(e)
        return command + self._disk_options(script, folder, folder, sockets)

    def _disk_options(self, script, folder, images, sockets=()):
        options = []
        disks = [('guest-root', self.image / 'root.img'),
                 ('guest-files', folder / 'files.tar')]
        if script.programs:
            disks.append(('guest-programs', self.program_disk))
        if script.peer:
            disks.append(('guest-peer', self.cache / 'peer.img'))
        for name, path in disks:
            options += ['-blockdev',
                        f'driver=raw,node-name={name},read-only=on,'
                        f'file.driver=file,file.filename={path}',
                        '-device',
                        f'virtio-blk-pci,drive={name},serial={name}']
        return options + script.disk_options(images, dict(sockets))

    @staticmethod
    def _boot(command, limit, see, killed_by=0):
        """
        Run one guest.

        :param see: called with each line that the script prints, and with the
                    QEMU process
        :param killed_by: the signal that is to end QEMU, if any
        :return: the script's exit status, or None; the lines; and whether
                 the limit was reached
        """
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True,
                                 errors='replace')
        machine.running.add(guest)
        hung = threading.Timer(limit, guest.kill)
        hung.start()
        output = []
        status = None
        for line in guest.stdout:
            line = line.rstrip()
            end = re.fullmatch(r'exit (\d+)', line)
            if end:
                status = int(end.group(1))
                continue
            output.append(line)
            see(line, guest)
        guest.wait()
        machine.running.discard(guest)
        expired = not hung.is_alive()
        hung.cancel()
        if expired:
            status = None
            output.append(f'no end after {limit} s, killed')
        elif guest.returncode != -killed_by or machine.stopping.is_set():
            status = status or 1
            output.append(f'QEMU ended with status {guest.returncode}')
        return status, output, expired

    def _run_boots(self, script, folder, live):
        def see(line, _guest):
            if live:
                print(line, flush=True)
            if monitor:
                monitor.see(line)

        command = self._command(script, folder)
        monitor = None
        if script.qmp:
            command += qmp.Monitor.options(folder / 'qmp')
        result = Result(None, [])
        for boot in range(1, script.boots + 1):
            self._write_files(folder / 'files.tar', script, boot)
            if script.qmp:
                monitor = qmp.Monitor(folder / 'qmp')
            result.status, lines, _ = self._boot(command, script.limit, see)
            result.output += lines
            failures = monitor.close() if monitor else []
            if failures:
                result.output += failures
                result.status = result.status or 1
            if result.status != 0:
                break
        return result

    def _run_killed(self, script, folder):
        """Kill guests, and look at what is left of the images each time"""
        variables = dict(v.split('=', 1) for v in self.variables)
        watchers = [killed.Watcher(self.build,
                                   script.image_path(folder, name),
                                   variables.get('seed'))
                    for name in script.images]

        def see(line, guest):
            for watcher in watchers:
                watcher.see(line, guest)

        command = self._command(script, folder)
        result = Result(1, [])
        for boot in range(1, int(variables.get('rounds', script.killed)) + 1):
            self._write_files(folder / 'files.tar', script, boot)
            status, lines, expired = self._boot(command, script.limit, see,
                                                signal.SIGKILL)
            if status is not None or expired:
                # Such a script never ends by itself
                result.output += lines
                return result
            try:
                result.output += [f'{boot}: {w.check()}' for w in watchers]
            except killed.Error as e:
                result.output += [*lines, str(e)]
                return result
        result.status = 0
        return result

    def _run_served(self, script, folder, live):
        """With disks that storage daemons serve, which may be killed"""
        variables = dict(v.split('=', 1) for v in self.variables)
        nodes = script.nodes(folder)
        daemons = {name: Daemon(self.build, nodes[name], name, options)
                   for name, options in script.served.items()}
        killers = [Killer(daemon, variables.get('seed'))
                   for daemon in daemons.values() if script.restarts]

        def see(line, _guest):
            if live:
                print(line, flush=True)
            for killer in killers:
                killer.see(line)

        self._write_files(folder / 'files.tar', script)
        try:
            status, lines, _ = self._boot(
                self._command(script, folder, {name: daemon.socket for
                                               name, daemon in
                                               daemons.items()}),
                script.limit, see)
        finally:
            for killer in killers:
                killer.stop()
            said = [line for daemon in daemons.values()
                    for line in daemon.remove()]
        for killer in killers:
            lines.append(f'the daemon was killed {killer.kills} times')
            status = status or int(not killer.kills)
        if said:
            lines += ['the daemon said:', *said]
            status = status or 1
        return Result(status, lines)

    def _run_moved(self, script, folder):
        """In one QEMU after the other, or on one image after the other"""
        consoles = []

        def create(name, what):
            path = script.image_path(folder, f'{name}-{what}')
            self._make_image(script, name, path)
            return path

        def command(number):
            console = folder / f'console{number}'
            consoles.append(console)
            saved = script.can_be_restored() and not number
            return self.machine.command(script.kind, console, saved) + \
                self._disk_options(script, folder, folder)

        self._write_files(folder / 'files.tar', script)
        seed = dict(v.split('=', 1) for v in self.variables).get('seed')
        try:
            mover = moved.Mirrorer(command, create, script.images, seed) \
                if script.mirrored else moved.Mover(command, seed)
        except (machine.Error, moved.Error) as e:
            fail(e)
        hung = threading.Timer(script.limit, mover.kill)
        hung.start()
        status, output = mover.run()
        hung.cancel()
        (folder / 'console').write_bytes(b''.join(
            c.read_bytes() for c in consoles if c.exists()))
        return Result(status, output)

    def run(self, script, live=False):
        """Boot a guest and run a script; with live, show what it prints"""
        result = self._run_once(script, live)
        while result.status in (None, TRY_AGAIN) and \
                result.tries < script.tries:
            earlier = result
            result = self._run_once(script, live)
            result.tries += earlier.tries
            result.seconds += earlier.seconds
            result.output = [*earlier.output,
                             f'{earlier.why()}; another try:', *result.output]
        return result

    def _run_once(self, script, live):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix='guest-',
                                         dir=self.cache) as tmp:
            folder = Path(tmp)
            self._make_images(script, folder)
            if script.served:
                result = self._run_served(script, folder, live)
            elif script.moved or script.mirrored:
                result = self._run_moved(script, folder)
            elif script.killed:
                result = self._run_killed(script, folder)
            else:
                result = self._run_boots(script, folder, live)
            console = folder / 'console'
            if console.exists():
                result.console = console.read_text(errors='replace') \
                    .splitlines()
        result.seconds = time.monotonic() - begin
        return result

    def shell(self, script):
        """An interactive guest; the script's images stay for the next one"""
        images = self.cache / 'shell'
        images.mkdir(exist_ok=True)
        self._make_images(script, images)
        with tempfile.TemporaryDirectory(prefix='guest-',
                                         dir=self.cache) as tmp:
            folder = Path(tmp)
            self._write_files(folder / 'files.tar', script, shell=True)
            command = self.machine.interactive(script.kind) + \
                self._disk_options(script, folder, images)
            return subprocess.run(command, check=False).returncode
