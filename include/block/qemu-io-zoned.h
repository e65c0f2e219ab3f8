/*
 * qemu-io commands for zoned nodes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef BLOCK_QEMU_IO_ZONED_H
#define BLOCK_QEMU_IO_ZONED_H

#include "sysemu/block-backend.h"

/**
 * qemuio_add_zone_commands:
 *
 * Register the commands zone_report, zone_open and so on.
 */
void qemuio_add_zone_commands(void);

/**
 * qemuio_print_error:
 * @blk: where the request went
 * @cmd: what to call the request
 * @offset: of the request, in bytes
 * @bytes: length of the request
 * @ret: how it failed, -errno
 *
 * Print why a request failed: on a zoned node by the error contract of
 * block/zoned.h, otherwise in strerror()'s words.
 */
void qemuio_print_error(BlockBackend *blk, const char *cmd, int64_t offset,
                        int64_t bytes, int ret);

#endif /* BLOCK_QEMU_IO_ZONED_H */
