/*
 * The filter that tells a block job of changes to zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "block/block_int.h"
#include "zoned-copy.h"

typedef struct ZonedWatch {
    const ZonedWatcher *watcher;        /* NULL: nobody wants to know */
    void *opaque;
} ZonedWatch;

static void coroutine_fn watch_before(BlockDriverState *bs,
                                      ZonedChange *change,
                                      ZonedChangeKind kind,
                                      int64_t offset, int64_t bytes)
{
    ZonedWatch *w = bs->opaque;

    *change = (ZonedChange) {
        .kind = kind,
        .offset = offset,
        .end = offset + bytes,
    };
    if (w->watcher) {
        w->watcher->before(w->opaque, change);
    }
}

static void coroutine_fn watch_after(BlockDriverState *bs,
                                     ZonedChange *change)
{
    ZonedWatch *w = bs->opaque;

    if (w->watcher) {
        w->watcher->after(w->opaque, change);
    }
}

static int coroutine_fn watch_co_preadv(BlockDriverState *bs, int64_t offset,
                                        int64_t bytes, QEMUIOVector *qiov,
                                        BdrvRequestFlags flags)
{
    return bdrv_co_preadv(bs->backing, offset, bytes, qiov, flags);
}

static int coroutine_fn watch_co_pwritev(BlockDriverState *bs, int64_t offset,
                                         int64_t bytes, QEMUIOVector *qiov,
                                         BdrvRequestFlags flags)
{
    ZonedChange change;
    int ret;

    watch_before(bs, &change, ZONED_CHANGE_WRITE, offset, bytes);
    ret = bdrv_co_pwritev(bs->backing, offset, bytes, qiov, flags);
    watch_after(bs, &change);
    return ret;
}

static int coroutine_fn watch_co_pwrite_zeroes(BlockDriverState *bs,
                                               int64_t offset, int64_t bytes,
                                               BdrvRequestFlags flags)
{
    ZonedChange change;
    int ret;

    watch_before(bs, &change, ZONED_CHANGE_WRITE, offset, bytes);
    ret = bdrv_co_pwrite_zeroes(bs->backing, offset, bytes, flags);
    watch_after(bs, &change);
    return ret;
}

static int coroutine_fn watch_co_flush(BlockDriverState *bs)
{
    /* There is none while the filter comes or goes */
    return bs->backing ? bdrv_co_flush(bs->backing->bs) : 0;
}

static int coroutine_fn watch_co_zone_report(BlockDriverState *bs,
                                             int64_t offset,
                                             unsigned int *nr_zones,
                                             BlockZoneDescriptor *zones)
{
    return bdrv_co_zone_report(bs->backing->bs, offset, nr_zones, zones);
}

static int coroutine_fn watch_co_zone_mgmt(BlockDriverState *bs,
                                           BlockZoneOp op, int64_t offset,
                                           int64_t len)
{
    bool loss = op == BLK_ZO_RESET || op == BLK_ZO_OFFLINE;
    ZonedChange change;
    int ret;

    watch_before(bs, &change, loss ? ZONED_CHANGE_LOSS : ZONED_CHANGE_STATE,
                 offset, len);
    ret = bdrv_co_zone_mgmt(bs->backing, op, offset, len);
    watch_after(bs, &change);
    return ret;
}

static int coroutine_fn watch_co_zone_append(BlockDriverState *bs,
                                             int64_t *offset,
                                             QEMUIOVector *qiov,
                                             BdrvRequestFlags flags)
{
    ZonedChange change;
    int ret;

    watch_before(bs, &change, ZONED_CHANGE_WRITE, *offset, qiov->size);
    ret = bdrv_co_zone_append(bs->backing, offset, qiov, flags);
    watch_after(bs, &change);
    return ret;
}

static int coroutine_fn watch_co_zone_set_extension(BlockDriverState *bs,
                                                    int64_t offset,
                                                    const void *buf)
{
    ZonedChange change;
    int ret;

    watch_before(bs, &change, ZONED_CHANGE_STATE, offset, 1);
    ret = bdrv_co_zone_set_extension(bs->backing, offset, buf);
    watch_after(bs, &change);
    return ret;
}

static int coroutine_fn watch_co_zone_get_extension(BlockDriverState *bs,
                                                    int64_t offset, void *buf)
{
    return bdrv_co_zone_get_extension(bs->backing->bs, offset, buf);
}

/* Zones that become empty or full below a job are refused there */
static int coroutine_fn watch_co_zone_set_state(BlockDriverState *bs,
                                                int64_t offset,
                                                BlockZoneState state)
{
    ZonedChange change;
    int ret;

    watch_before(bs, &change, ZONED_CHANGE_STATE, offset, 1);
    ret = bdrv_co_zone_set_state(bs->backing->bs, offset, state);
    watch_after(bs, &change);
    return ret;
}

static void watch_refresh_filename(BlockDriverState *bs)
{
    if (bs->backing) {
        pstrcpy(bs->exact_filename, sizeof(bs->exact_filename),
                bs->backing->bs->filename);
    }
}

/* A change that comes by another way would not be seen */
static void watch_child_perm(BlockDriverState *bs, BdrvChild *c,
                             BdrvChildRole role,
                             BlockReopenQueue *reopen_queue,
                             uint64_t perm, uint64_t shared,
                             uint64_t *nperm, uint64_t *nshared)
{
    bdrv_default_perms(bs, c, role, reopen_queue, perm, shared, nperm,
                       nshared);
    *nperm |= BLK_PERM_CONSISTENT_READ;
    *nshared &= ~(uint64_t)(BLK_PERM_WRITE | BLK_PERM_RESIZE);
}

static BlockDriver bdrv_zoned_watch = {
    .format_name                = "zoned-copy-top",
    .instance_size              = sizeof(ZonedWatch),
    .is_filter                  = true,
    .filtered_child_is_backing  = true,
    .supports_zoned_children    = true,

    .bdrv_child_perm            = watch_child_perm,
    .bdrv_refresh_filename      = watch_refresh_filename,

    .bdrv_co_preadv             = watch_co_preadv,
    .bdrv_co_pwritev            = watch_co_pwritev,
    .bdrv_co_pwrite_zeroes      = watch_co_pwrite_zeroes,
    .bdrv_co_flush              = watch_co_flush,
    .bdrv_co_zone_report        = watch_co_zone_report,
    .bdrv_co_zone_mgmt          = watch_co_zone_mgmt,
    .bdrv_co_zone_append        = watch_co_zone_append,
    .bdrv_co_zone_set_extension = watch_co_zone_set_extension,
    .bdrv_co_zone_get_extension = watch_co_zone_get_extension,
    .bdrv_co_zone_set_state     = watch_co_zone_set_state,
};

BlockDriverState *zoned_watch_begin(BlockDriverState *bs, const char *name,
                                    Error **errp)
{
    BlockDriverState *filter;
    int ret;

    filter = bdrv_new_open_driver(&bdrv_zoned_watch, name, BDRV_O_RDWR, errp);
    if (!filter) {
        return NULL;
    }
    filter->implicit = !name;
    /* So that it can always be removed */
    filter->never_freeze = true;
    filter->total_sectors = bs->total_sectors;
    filter->supported_write_flags = BDRV_REQ_WRITE_UNCHANGED |
        (BDRV_REQ_FUA & bs->supported_write_flags);
    filter->supported_zero_flags = BDRV_REQ_WRITE_UNCHANGED |
        ((BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK) &
         bs->supported_zero_flags);

    bdrv_drained_begin(bs);
    ret = bdrv_append(filter, bs, errp);
    if (ret == 0) {
        /* Those of the filter are not what that has refreshed */
        bdrv_refresh_limits(filter, NULL, NULL);
    }
    bdrv_drained_end(bs);
    if (ret < 0) {
        bdrv_unref(filter);
        return NULL;
    }
    return filter;
}

void zoned_watch_set(BlockDriverState *filter, const ZonedWatcher *watcher,
                     void *opaque)
{
    ZonedWatch *w = filter->opaque;

    w->watcher = watcher;
    w->opaque = opaque;
}

void zoned_watch_end(BlockDriverState *filter)
{
    bdrv_drop_filter(filter, &error_abort);
    bdrv_unref(filter);
}
