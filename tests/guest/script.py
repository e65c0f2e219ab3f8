# SPDX-License-Identifier: GPL-2.0-or-later
"""
A script for the test guest, and what it asks for

A script says what it needs in its leading comments:

  # disk: NAME OPTIONS        a disk on a null-co node with these options; in
                              the guest, $NAME is its device
  # image: NAME SIZE OPTIONS  the same on a new zoned image that is made with
                              these options of "qemu-img create", or on a raw
                              one if they are "raw"
  # device: NAME OPTIONS      more options for that disk's device
  # hba: NAME DEVICE          the disk is a scsi-hd, on an HBA of this kind,
                              instead of a virtio-blk one
  # nvme: NAME                the disk is a namespace of an NVMe controller of
                              its own
  # served: NAME OPTIONS      a storage daemon of its own serves the disk,
                              through vhost-user-blk, with these options of its
                              export (- for none)
  # restarts: yes             that daemon is killed and started again, again
                              and again: see daemon.py
  # qmp: yes                  lines that it prints are commands for QEMU: see
                              qmp.py
  # moved: yes                the guest goes to another QEMU, again and again:
                              see moved.py
  # mirrored: yes             its disks go to other images, again and again:
                              see moved.py
  # object: OPTIONS           an object that these options name, as an iothread
  # programs: NAME...         programs of the build that it runs in the guest
  # peer: yes                 Debian's own QEMU on /mnt, to compare with
  # smp: COUNT                of processors
  # memory: SIZE              of the guest
  # cpu: FEATURES             that TCG's processor has to have, too
  # limit: SECONDS            how long it may run before it counts as hung
  # tries: COUNT              how often it may run, if the guest hangs or the
                              script ends with 75: for what now and then goes
                              wrong below the guest
  # boots: COUNT              it runs so often, each time in a new guest on the
                              same images; $boot counts from 1
  # killed: COUNT             it runs so often on the same images, and each
                              time QEMU is killed: see killed.py.  The variable
                              rounds (-e) sets another number.
"""

import re
import sys

import programs
from machine import Kind

# SCSI HBAs, and their drivers in Linux
HBA_DRIVERS = {
    'virtio-scsi-pci': 'virtio_scsi',
    'lsi53c895a': 'sym53c8xx',
    'megasas': 'megaraid_sas',
    'mptsas1068': 'mptsas',
    'pvscsi': 'vmw_pvscsi',
}


def fail(message):
    """Nothing can be run."""
    sys.exit(f'guest: {message}')


def null_options(options):
    """-blockdev wants this one integer in bytes, people do not"""
    def to_bytes(match):
        return match.group(1) + str(int(match.group(2)) <<
                                    ' KMGT'.index(match.group(3)) * 10)
    return re.sub(r'(,size=)(\d+)([KMGT])(?=,|$)', to_bytes,
                  ',' + options)[1:]


class Script:
    """A script for the guest, and what its header asks for."""

    def __init__(self, path, text=None):
        self.name = path.name
        self.text = path.read_text() if text is None else text
        self.limit = 300
        self.tries = 1
        self.kind = Kind()
        self.programs = []
        self.peer = False
        self.restarts = False
        self.qmp = False
        self.moved = False
        self.mirrored = False
        self.boots = 1
        self.killed = 0
        self.disks = {}         # name: options
        self.images = {}        # name: (size, options)
        self.devices = {}       # name: options
        self.hbas = {}          # name: device
        self.nvme = []          # names
        self.served = {}        # name: options
        self.objects = []
        for key, value in re.findall(r'^# ([a-z-]+): (.*)$', self.text, re.M):
            self._read(key, value)
        self._check(path)

    def _read(self, key, value):
        if key in ('limit', 'tries', 'boots', 'killed'):
            setattr(self, key, int(value))
        elif key in ('smp', 'memory', 'cpu'):
            self.kind = self.kind._replace(**{key: value})
        elif key in ('peer', 'restarts', 'qmp', 'moved', 'mirrored'):
            setattr(self, key, True)
        elif key == 'programs':
            self.programs += value.split()
        elif key == 'nvme':
            self.nvme += value.split()
        elif key == 'object':
            self.objects.append(value)
        elif key == 'image':
            name, size, options = value.split()
            self.images[name] = (size, options)
        elif key == 'served':
            name, options = value.split()
            self.served[name] = '' if options == '-' else f',{options}'
        elif key in ('disk', 'device', 'hba'):
            name, options = value.split()
            getattr(self, key + 's')[name] = options

    def _check(self, path):
        unknown = set(self.devices) | set(self.hbas) | set(self.nvme) | \
            set(self.served)
        unknown -= set(self.disks) | set(self.images)
        if unknown:
            fail(f'{path}: device without a disk: {", ".join(unknown)}')
        unknown = set(self.programs) - set(programs.PROGRAMS)
        if unknown:
            fail(f'{path}: no such program: {", ".join(unknown)}')

    def nodes(self, images):
        """
        Options of -blockdev for each disk, by its name.

        :param images: the folder of the script's images
        """
        nodes = {name: f'driver=null-co,{null_options(options)}'
                 for name, options in self.disks.items()}
        for name, (_, options) in self.images.items():
            driver = 'raw' if options == 'raw' else 'zoned'
            nodes[name] = (f'driver={driver},file.driver=file,file.filename='
                           f'{self.image_path(images, name)}')
        return {name: f'{node},node-name={name}'
                for name, node in nodes.items()}

    def disk_options(self, images, sockets):
        """
        The options of QEMU for all disks.

        :param images: the folder of the script's images
        :param sockets: path of the socket of each disk that is served, by name
        """
        options = [word for o in self.objects for word in ('-object', o)]
        if sockets:
            # The daemon works on the guest's memory.  That is what the saved
            # guest calls pc.ram.
            options += ['-object', 'memory-backend-memfd,id=pc.ram,share=on,'
                        'x-use-canonical-path-for-ramblock-id=off,'
                        f'size={self.kind.memory}', '-machine',
                        'memory-backend=pc.ram']
        for name, node in self.nodes(images).items():
            if name in sockets:
                options += ['-chardev', f'socket,id={name},reconnect=1,'
                            f'path={sockets[name]}', '-device',
                            f'vhost-user-blk-pci,chardev={name},num-queues=2' +
                            self._device(name)]
            else:
                options += ['-blockdev', node, *self._front_end(name)]
        return options

    def _device(self, name):
        """More options for a disk's device"""
        return f',{self.devices[name]}' if name in self.devices else ''

    def _front_end(self, name):
        """The options of QEMU that make a node a disk of the guest"""
        options = f'drive={name}' + self._device(name)
        if name in self.nvme:
            return ['-device', f'nvme,id=nvme-{name},serial={name}',
                    '-device', f'nvme-ns,bus=nvme-{name},{options}']
        options += f',serial={name}'
        if name not in self.hbas:
            return ['-device', f'virtio-blk-pci,{options}']
        return ['-device', f'{self.hbas[name]},id=hba-{name}',
                '-device', f'scsi-hd,bus=hba-{name}.0,{options}']

    def can_be_restored(self):
        """NVMe devices keep QEMU from loading a saved guest"""
        return not self.nvme

    @staticmethod
    def image_path(folder, name):
        """Where the image of that name is"""
        return folder / f'{name}.img'

    def drivers(self):
        """Modules that the guest needs, if any, and disks to wait for"""
        drivers = {HBA_DRIVERS[h.split(',')[0]] for h in self.hbas.values()}
        files = {}
        if drivers:
            files['scsi'] = (f'scsi_drivers="{" ".join(sorted(drivers))}"\n'
                             f'scsi_disks="{" ".join(self.hbas)}"\n')
        if self.nvme:
            files['nvme'] = f'nvme_disks="{" ".join(self.nvme)}"\n'
        return files

    def summary(self):
        """The first comment that is a sentence"""
        for line in self.text.splitlines()[1:]:
            if line.startswith('# ') and 'SPDX' not in line:
                return line[2:]
        return ''
