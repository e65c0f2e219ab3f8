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
 * zone_strerror:
 * @blk: where the request went
 * @offset: of the request, in bytes
 * @bytes: length of the request
 * @ret: how it failed, -errno
 *
 * Returns: why a request failed: on a zoned node by the error contract of
 * block/zoned.h, otherwise in strerror()'s words; for g_free().
 */
char *zone_strerror(BlockBackend *blk, int64_t offset, int64_t bytes, int ret);

/**
 * qemuio_print_error:
 * @cmd: what to call the request
 *
 * Print "@cmd failed: " and what zone_strerror() says.
 */
void qemuio_print_error(BlockBackend *blk, const char *cmd, int64_t offset,
                        int64_t bytes, int ret);

#endif /* BLOCK_QEMU_IO_ZONED_H */
