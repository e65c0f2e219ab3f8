/*
 * Zoned disks of the host, for block/file-posix.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a node on a zoned disk does in another way than a node on an ordinary
 * one.  RawZones is NULL for the latter, and no function but
 * raw_zoned_open(), raw_zoned_check_reopen(), raw_zoned_forget() and
 * raw_zoned_close() is called for it.  The coroutine functions run in the
 * AioContext of the node; none of them blocks the event loop.
 */

#ifndef BLOCK_FILE_POSIX_ZONED_H
#define BLOCK_FILE_POSIX_ZONED_H

#include "block/block_int.h"

typedef struct RawZones RawZones;

/**
 * raw_zoned_open:
 * @bs: a node that has just opened a block device
 * @fd: its file descriptor; read again for each request, because it can change
 * @zones: set to NULL if the disk is not zoned
 * @errp: set on failure
 *
 * Find out whether the disk is zoned, and read the zones if it is.  Refuse
 * what cannot be told, what the driver cannot do, and a host-managed disk
 * behind the page cache, which writes when and in which order it likes.
 *
 * Returns: whether the disk can be used.
 */
bool raw_zoned_open(BlockDriverState *bs, const int *fd, RawZones **zones,
                    Error **errp);

/* All requests have ended; @zones may be NULL */
void raw_zoned_close(RawZones *zones);

/* May the node be reopened with the flags @flags?  @zones may be NULL */
bool raw_zoned_check_reopen(const RawZones *zones, int flags, Error **errp);

/*
 * Somebody else may have written to the disk: read each zone again before the
 * next write to it.  @zones may be NULL.
 */
void raw_zoned_forget(RawZones *zones);

void raw_zoned_refresh_limits(BlockDriverState *bs, const RawZones *zones);

/* A guest has to write in units of the write granularity */
void raw_zoned_block_sizes(const RawZones *zones, BlockSizes *sizes);

/**
 * raw_zoned_co_preadv:
 *
 * Returns: 0; -ENXIO if the range touches an offline zone; or an I/O error,
 * also if the disk is gone.
 */
int coroutine_fn raw_zoned_co_preadv(BlockDriverState *bs, RawZones *zones,
                                     int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov);

/* Write in turn with the other requests to the zone; by the error contract */
int coroutine_fn raw_zoned_co_pwritev(BlockDriverState *bs, RawZones *zones,
                                      int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov);

/* As the callbacks of BlockDriver */
int coroutine_fn raw_zoned_co_append(BlockDriverState *bs, RawZones *zones,
                                     int64_t *offset, QEMUIOVector *qiov);
int coroutine_fn raw_zoned_co_mgmt(BlockDriverState *bs, RawZones *zones,
                                   BlockZoneOp op, int64_t offset,
                                   int64_t len);
int coroutine_fn raw_zoned_co_report(BlockDriverState *bs, RawZones *zones,
                                     int64_t offset, unsigned int *nr_zones,
                                     BlockZoneDescriptor *descriptors);

/*
 * What block/file-posix.c lends: transfer data with the aio engine of @bs.
 * @type is QEMU_AIO_READ or QEMU_AIO_WRITE.
 */
int coroutine_fn raw_co_prw(BlockDriverState *bs, uint64_t offset,
                            uint64_t bytes, QEMUIOVector *qiov, int type);

#endif /* BLOCK_FILE_POSIX_ZONED_H */
