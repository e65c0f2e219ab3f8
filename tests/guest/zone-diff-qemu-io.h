/*
 * A zoned disk that is used through the commands of qemu-io
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ZONE_DIFF_QEMU_IO_H
#define ZONE_DIFF_QEMU_IO_H

#include <linux/blkzoned.h>
#include <stddef.h>
#include <stdint.h>

typedef struct QemuIo QemuIo;

/* Most that can be read at a time: it is printed and parsed */
#define QEMU_IO_MAX_READ 8192

/* Run the shell command @command, which is qemu-io with its options */
QemuIo *qemu_io_start(const char *command);

/*
 * Positions and lengths are in bytes.  These return 0 or -errno, where all
 * errors but -ETOOMANYREFS and -EOVERFLOW are -EIO, as Linux has it.
 */
int qemu_io_write(QemuIo *q, const void *data, uint64_t offset, size_t bytes);
int qemu_io_read(QemuIo *q, uint8_t *data, uint64_t offset, size_t bytes);

/* @command: of the zone operations, as zone_reset */
int qemu_io_operate(QemuIo *q, const char *command, uint64_t offset,
                    uint64_t bytes);

/* Fill in up to @max zones.  Returns: how many there are */
unsigned int qemu_io_report(QemuIo *q, struct blk_zone *zones,
                            unsigned int max);

#endif /* ZONE_DIFF_QEMU_IO_H */
