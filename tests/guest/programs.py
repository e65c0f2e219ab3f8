# SPDX-License-Identifier: GPL-2.0-or-later
"""
A disk with programs of ours for the test guest

The guest is made of Debian's packages, and our programs are built for the
host.  So they come with all that they need: the libraries and the loader that
ldd names, QEMU's firmware, and what of qemu-iotests the guest is to run.  In
the guest the disk is /programs:

  bin/NAME      runs NAME with the host's loader and libraries
  real/NAME     the program, without debugging symbols
  lib           libraries and loader
  firmware      firmware
  iotests       a part of QEMU's source tree, with the iotests of ours
  docs          the documentation whose commands doc_commands.py runs
"""

import glob
import hashlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import tempfile

# Where each is in the build directory
PROGRAMS = {
    'qemu-img': 'qemu-img',
    'qemu-io': 'qemu-io',
    'qemu-nbd': 'qemu-nbd',
    'qemu-storage-daemon': 'storage-daemon/qemu-storage-daemon',
    'qemu-system-x86_64': 'qemu-system-x86_64',
    'zone-stress': 'tests/bench/zone-stress',
}
FIRMWARE = ('bios-256k.bin', 'kvmvapic.bin', 'linuxboot_dma.bin',
            'multiboot_dma.bin', 'pvh.bin')
# Below qemu/ of the repository
IOTESTS = ('python/qemu/**/*.py', 'tests/qemu-iotests/check',
           'tests/qemu-iotests/*.py', 'tests/qemu-iotests/common.*',
           'tests/qemu-iotests/tests/zoned*')
DOCS = ('README.md', 'qemu/docs/system/zoned-storage.rst',
        'qemu/docs/system/devices/nvme.rst',
        'qemu/docs/system/qemu-block-drivers.rst.inc')
WRAPPER = '''#!/bin/sh
exec /programs/lib/{loader} --library-path /programs/lib \\
    /programs/real/{name}{options} "$@"
'''


class Error(Exception):
    """What is missing, in words for the user"""


def libraries(program):
    """The program's libraries and its loader, which comes first"""
    out = subprocess.run(['ldd', program], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    loader = re.search(r'^\s*(/\S*/ld-\S+) \(', out, re.M)
    if not loader or '=> not found' in out:
        raise Error(f'{program}: cannot tell its libraries from ldd:\n{out}')
    return [loader.group(1)] + re.findall(r' => (/\S+) \(', out)


class ProgramDisk:
    """
    The image of the disk, made again when anything on it changes.

    :param build: build directory
    :param tree: the assembled source tree, for the iotests
    :param firmware: directories in which QEMU's firmware is
    """

    def __init__(self, build, tree, firmware):
        self.build = build
        self.files = {}         # source by path on the disk
        self.texts = {}         # content by path on the disk
        self._add_programs()
        self._add_firmware(firmware)
        self._add_iotests(tree)
        for path in DOCS:
            self.files[f'docs/{os.path.basename(path)}'] = tree.parent / path

    def _add_programs(self):
        for name, path in PROGRAMS.items():
            source = self.build / path
            if not os.access(source, os.X_OK):
                raise Error(f'{source} does not exist; build it with "make"')
            loader, *rest = libraries(source)
            for library in (loader, *rest):
                self.files[f'lib/{os.path.basename(library)}'] = library
            self.files[f'real/{name}'] = source
            self.texts[f'bin/{name}'] = WRAPPER.format(
                name=name, loader=os.path.basename(loader),
                options=' -L /programs/firmware' if 'system' in name else '')

    def _add_firmware(self, firmware):
        for name in FIRMWARE:
            found = [os.path.join(d, name) for d in firmware
                     if os.path.exists(os.path.join(d, name))]
            if not found:
                raise Error(f'QEMU\'s firmware {name} is in none of '
                            f'{", ".join(firmware)}')
            self.files[f'firmware/{name}'] = found[0]

    def _add_iotests(self, tree):
        for pattern in IOTESTS:
            for source in glob.glob(str(tree / pattern), recursive=True):
                path = os.path.relpath(source, tree)
                self.files[f'iotests/{path}'] = source
        if 'iotests/tests/qemu-iotests/check' not in self.files:
            raise Error(f'{tree} does not hold qemu-iotests')

    def key(self):
        """A hash of all that is on the disk"""
        digest = hashlib.sha256(Path(__file__).read_bytes())
        for path, text in sorted(self.texts.items()):
            digest.update(f'{path}\0{text}\0'.encode())
        for path, source in sorted(self.files.items()):
            mode = os.stat(source).st_mode & 0o111
            digest.update(f'{path}\0{mode}\0'.encode())
            with open(source, 'rb') as f:
                digest.update(hashlib.sha256(f.read()).digest())
        return digest.hexdigest()[:16]

    def _fill(self, root):
        for path, source in self.files.items():
            copy = root / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.startswith('real/'):
                subprocess.run(['strip', '-o', copy, source], check=True)
                copy.chmod(0o755)
            else:
                shutil.copy(source, copy)
        for path, text in self.texts.items():
            script = root / path
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(text)
            script.chmod(0o755)

    def prepare(self, image):
        """Make the image, or leave it alone if it is up to date"""
        key = self.key()
        stamp = image.with_suffix('.key')
        if image.exists() and stamp.exists() and stamp.read_text() == key:
            return
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix='programs-',
                                         dir=image.parent) as tmp:
            root = Path(tmp) / 'root'
            root.mkdir()
            self._fill(root)
            kib = sum(f.stat().st_size // 1024 + 8
                      for f in root.rglob('*') if f.is_file())
            new = Path(tmp) / 'image'
            path = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
            subprocess.run(['mke2fs', '-q', '-t', 'ext4', '-O',
                            '^has_journal', '-m', '0', '-E',
                            'root_owner=0:0', '-d', root, new,
                            f'{kib * 5 // 4 + 8192}k'], check=True,
                           env=dict(os.environ, PATH=path),
                           stdout=subprocess.DEVNULL)
            new.replace(image)
        stamp.write_text(key)
