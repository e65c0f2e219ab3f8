/*
 * Zoned images: what the parts of the block driver share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef BLOCK_ZONED_DRIVER_H
#define BLOCK_ZONED_DRIVER_H

#include "block/block_int.h"
#include "block/zone-emulation.h"
#include "zoned-table.h"

typedef struct BDRVZonedState {
    uint8_t *header;            /* ZONED_HEADER_SIZE bytes, as on disk */
    int header_copy;            /* which of the copies this is */
    unsigned int header_valid;  /* which copies are intact */
    ZonedHeader h;
    ZoneEmulation zones;
    ZonedTable table;
    ZonedDamage damage;         /* found at open for a check, not repaired */
    /*
     * The zones and the table are loaded, and the image is as they say.
     * Without this, all requests fail.
     */
    bool usable;
    /* What was read at open is known to be durable */
    bool settled;
    CoMutex settle_lock;
} BDRVZonedState;

/**
 * zoned_co_settle:
 *
 * To be called before the first change of anything.  What another process
 * has written may still be in a cache of the host, and be lost with it; then
 * what we write on top of it must not survive.
 *
 * Returns: 0 or -errno.
 */
int coroutine_fn zoned_co_settle(BlockDriverState *bs);

/**
 * zoned_co_write_header:
 *
 * Make @h the header, in both copies and durable.  After an error, either
 * header may be the one on disk, and the node is not usable any more.
 *
 * Returns: 0 or -errno.
 */
int coroutine_fn zoned_co_write_header(BlockDriverState *bs,
                                       const ZonedHeader *h);

/* Callbacks of the BlockDriver */
extern QemuOptsList zoned_create_opts;
int coroutine_fn zoned_co_create(BlockdevCreateOptions *options, Error **errp);
int coroutine_fn zoned_co_create_opts(BlockDriver *drv, const char *filename,
                                      QemuOpts *opts, Error **errp);
BlockMeasureInfo *zoned_measure(QemuOpts *opts, BlockDriverState *in_bs,
                                Error **errp);
int coroutine_fn zoned_co_truncate(BlockDriverState *bs, int64_t offset,
                                   bool exact, PreallocMode prealloc,
                                   BdrvRequestFlags flags, Error **errp);
int coroutine_fn zoned_co_check(BlockDriverState *bs, BdrvCheckResult *result,
                                BdrvCheckMode fix);

#endif /* BLOCK_ZONED_DRIVER_H */
