/*
 * Zones and memory behind the null block drivers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All functions run in the AioContext of the node.
 */

#ifndef BLOCK_NULL_DISK_H
#define BLOCK_NULL_DISK_H

#include "block/block_int.h"
#include "qapi/qapi-types-block-zoned.h"

/* What a null node has if it was asked for zones or for memory */
typedef struct NullDisk NullDisk;

/**
 * null_disk_open:
 * @bs: the node
 * @options: 'zoned.*' and 'memory-backed' are taken from it
 * @length: of the disk, in bytes
 * @latency_ns: how long each request takes, in real time
 * @disk: set to NULL where none of these options was given
 * @errp: set on failure
 *
 * Returns: 0 or -errno.  A disk blocks migration: it is lost with QEMU.
 */
int null_disk_open(BlockDriverState *bs, QDict *options, int64_t length,
                   int64_t latency_ns, NullDisk **disk, Error **errp);
void null_disk_close(NullDisk *disk);

bool null_disk_has_memory(const NullDisk *disk);
void null_disk_refresh_limits(NullDisk *disk, BlockLimits *bl);

/* As the BlockDriver callbacks */
int coroutine_fn null_disk_co_preadv(NullDisk *disk, int64_t offset,
                                     int64_t bytes, QEMUIOVector *qiov);
int coroutine_fn null_disk_co_pwritev(NullDisk *disk, int64_t offset,
                                      int64_t bytes, QEMUIOVector *qiov);
BlockAIOCB *null_disk_aio_rw(NullDisk *disk, BlockDriverState *bs,
                             bool is_write, int64_t offset, int64_t bytes,
                             QEMUIOVector *qiov, BlockCompletionFunc *cb,
                             void *opaque);
int coroutine_fn null_disk_co_zone_report(NullDisk *disk, int64_t offset,
                                          unsigned int *nr_zones,
                                          BlockZoneDescriptor *zones);
int coroutine_fn null_disk_co_zone_mgmt(NullDisk *disk, BlockZoneOp op,
                                        int64_t offset, int64_t len);
int coroutine_fn null_disk_co_zone_append(NullDisk *disk, int64_t *offset,
                                          QEMUIOVector *qiov);
int coroutine_fn null_disk_co_zone_set_state(NullDisk *disk, int64_t offset,
                                             BlockZoneState state);
BlockdevZoneCounts *null_disk_query_zone_counts(NullDisk *disk);
int coroutine_fn null_disk_co_zone_set_extension(NullDisk *disk,
                                                 int64_t offset,
                                                 const void *buf);
int coroutine_fn null_disk_co_zone_get_extension(NullDisk *disk,
                                                 int64_t offset, void *buf);

#endif /* BLOCK_NULL_DISK_H */
