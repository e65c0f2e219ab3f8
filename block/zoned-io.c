/*
 * Zone requests to block nodes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that can be told from a node's limits is checked here, once,
 * before a driver is called.  What depends on a zone's type or state is for
 * the backend to say: it holds them.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "block/block_int.h"
#include "block/write-threshold.h"
#include "block/zoned-int.h"
#include "trace.h"

const BlockZoneLimits *bdrv_zone_limits(const BlockDriverState *bs)
{
    return &bs->bl.zones;
}

static int64_t bdrv_zoned_length(const BlockDriverState *bs)
{
    return bs->total_sectors * BDRV_SECTOR_SIZE;
}

void bdrv_zoned_inherit_limits(BlockDriverState *bs)
{
    if (bs->drv->supports_zoned_children) {
        BdrvChild *child = bdrv_primary_child(bs);

        if (child) {
            bs->bl.zones = child->bs->bl.zones;
        }
    }
}

bool bdrv_zoned_check_limits(BlockDriverState *bs, Error **errp)
{
    if (bdrv_is_zoned(bs) && (bs->open_flags & BDRV_O_COPY_ON_READ)) {
        error_setg(errp, "copy-on-read cannot be used on zoned node '%s'",
                   bdrv_get_node_name(bs));
        return false;
    }
    return true;
}

/* The zoned image that has @bs below it, with filters or raw nodes between */
static BlockDriverState *image_above(BlockDriverState *bs)
{
    BlockDriverState *image = NULL;
    BdrvChild *c;

    if (!bs->drv->is_filter && !bs->drv->supports_zoned_children) {
        return NULL;
    }
    QLIST_FOREACH(c, &bs->parents, next_parent) {
        BlockDriverState *parent = c->klass->parent_is_bds ? c->opaque : NULL;

        if (parent && parent->drv && !image) {
            image = parent->drv->is_format &&
                    parent->drv->bdrv_co_zone_report &&
                    !parent->drv->supports_zoned_children
                ? parent : image_above(parent);
        }
    }
    return image;
}

/* What is in memory of a zoned image goes with the file that it is in */
static bool check_image_stays(BlockDriverState *bs,
                              BlockDriverState *new_child, Error **errp)
{
    BlockDriverState *old_child = bdrv_primary_bs(bs);
    BlockDriverState *image = image_above(bs);

    if (!image || !old_child || !new_child ||
        bdrv_skip_filters(old_child) == bdrv_skip_filters(new_child)) {
        return true;
    }
    error_setg(errp, "Node '%s' is below the zoned image of node '%s' and "
               "cannot be put on node '%s': open the image there with a node "
               "of its own", bdrv_get_node_name(bs), bdrv_get_node_name(image),
               bdrv_get_node_name(new_child));
    return false;
}

bool bdrv_zoned_check_reopen(BlockDriverState *bs, BlockDriverState *new_child,
                             Error **errp)
{
    if (!check_image_stays(bs, new_child, errp)) {
        return false;
    }
    if (!bs->drv->supports_zoned_children || !new_child ||
        QLIST_EMPTY(&bs->parents) ||
        (bs->bl.zones.model == new_child->bl.zones.model &&
         bs->bl.zones.zone_size == new_child->bl.zones.zone_size &&
         bs->bl.zones.extension_size ==
         new_child->bl.zones.extension_size)) {
        return true;
    }
    error_setg(errp, "Node '%s' is in use and cannot be put on node '%s': they "
               "differ in whether they are zoned, in the zone size or in the "
               "size of descriptor extensions",
               bdrv_get_node_name(bs), bdrv_get_node_name(new_child));
    return false;
}

bool bdrv_zoned_check_children(BlockDriverState *bs, Error **errp)
{
    BdrvChild *c;

    if (bs->drv->supports_zoned_children) {
        return true;
    }
    QLIST_FOREACH(c, &bs->children, next) {
        if (bdrv_is_zoned(c->bs)) {
            error_setg(errp, "Node '%s' (driver '%s') cannot use zoned node "
                       "'%s': only raw, throttle and blkdebug nodes can",
                       bdrv_get_node_name(bs), bs->drv->format_name,
                       bdrv_get_node_name(c->bs));
            return false;
        }
    }
    return true;
}

bool bdrv_zoned_check_job(BlockDriverState *bs, const char *job,
                          Error **errp)
{
    if (bdrv_is_zoned(bs)) {
        error_setg(errp, "Block job '%s' cannot use zoned node '%s': mirror "
                   "and backup copy a zoned disk to an equal one, and "
                   "qemu-img copies it to any while no guest uses it", job,
                   bdrv_get_node_name(bs));
        return false;
    }
    return true;
}

/* @bs if it is zoned, or a zoned node somewhere above it, or NULL */
static BlockDriverState *zoned_here_or_above(BlockDriverState *bs)
{
    BlockDriverState *zoned = bdrv_is_zoned(bs) ? bs : NULL;
    BdrvChild *c;

    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->klass->parent_is_bds && !zoned) {
            zoned = zoned_here_or_above(c->opaque);
        }
    }
    return zoned;
}

bool bdrv_zoned_check_snapshot(BlockDriverState *bs, Error **errp)
{
    BlockDriverState *zoned = zoned_here_or_above(bs);

    if (zoned) {
        error_setg(errp, "Node '%s' is zoned, and snapshots do not keep zones: "
                   "use a backup to an equal zoned node",
                   bdrv_get_device_or_node_name(zoned));
    }
    return !zoned;
}

int bdrv_zoned_check_write(BlockDriverState *bs, int64_t offset, int64_t bytes,
                           BdrvRequestFlags flags)
{
    const BlockZoneLimits *zl = &bs->bl.zones;

    if (!bytes) {
        return 0;
    }
    if (!QEMU_IS_ALIGNED(offset | bytes, zl->write_granularity) ||
        offset + bytes > bdrv_zoned_length(bs)) {
        return -EINVAL;
    }
    /*
     * A long write of zeroes goes to the driver in pieces: without this, some
     * of them would be done when the zone's end is found to be in the way.
     */
    if ((flags & BDRV_REQ_ZERO_WRITE) && zl->model == BLK_Z_HM &&
        offset / zl->zone_size != (offset + bytes - 1) / zl->zone_size) {
        return -ERANGE;
    }
    return 0;
}

int coroutine_fn bdrv_co_zone_report(BlockDriverState *bs, int64_t offset,
                                     unsigned int *nr_zones,
                                     BlockZoneDescriptor *zones)
{
    int ret;
    IO_CODE();

    trace_bdrv_co_zone_report(bs, offset, *nr_zones);
    if (!bdrv_is_inserted(bs)) {
        return -ENOMEDIUM;
    }
    if (!bdrv_is_zoned(bs)) {
        return -ENOTSUP;
    }
    if (offset < 0 || offset >= bdrv_zoned_length(bs)) {
        return -EINVAL;
    }
    if (!*nr_zones) {
        return 0;
    }

    bdrv_inc_in_flight(bs);
    bdrv_debug_event(bs, BLKDBG_ZONE_REPORT);
    ret = bs->drv->bdrv_co_zone_report(bs, offset, nr_zones, zones);
    bdrv_dec_in_flight(bs);
    return ret;
}

/* Length of the zone that begins at @start, which is inside the disk */
static int64_t bdrv_zone_length(const BlockDriverState *bs, int64_t start)
{
    return MIN(bs->bl.zones.zone_size, bdrv_zoned_length(bs) - start);
}

static bool bdrv_zone_starts_at(const BlockDriverState *bs, int64_t offset)
{
    return offset >= 0 && offset < bdrv_zoned_length(bs) &&
           offset % bs->bl.zones.zone_size == 0;
}

static int bdrv_zone_check_mgmt(BlockDriverState *bs, int64_t offset,
                                int64_t len)
{
    int64_t left = bdrv_zoned_length(bs) - offset;

    if (!bdrv_zone_starts_at(bs, offset) || len <= 0 || len > left) {
        return -EINVAL;
    }
    return len % bs->bl.zones.zone_size && len != left ? -EINVAL : 0;
}

static int bdrv_zone_check_append(BlockDriverState *bs, int64_t offset,
                                  size_t bytes)
{
    const BlockZoneLimits *zl = &bs->bl.zones;

    if (!bdrv_zone_starts_at(bs, offset) ||
        bytes > MIN(zl->max_append_bytes, BDRV_REQUEST_MAX_BYTES) ||
        !QEMU_IS_ALIGNED(bytes, zl->write_granularity)) {
        return -EINVAL;
    }
    return 0;
}

/*
 * What goes before and after the driver's part of a change of zones.  To a
 * reader of dirty bitmaps it is what a discard is.
 */
static int coroutine_fn bdrv_co_zone_change_begin(BdrvChild *child,
                                                  BdrvTrackedRequest *req,
                                                  int64_t offset, int64_t len)
{
    BlockDriverState *bs = child->bs;
    int ret;

    bdrv_inc_in_flight(bs);
    tracked_request_begin(req, bs, offset, len, BDRV_TRACKED_DISCARD);
    ret = bdrv_co_write_begin(child, offset, len, req, 0);
    if (ret == 0) {
        bdrv_bsc_invalidate_range(bs, offset, len);
    } else {
        tracked_request_end(req);
        bdrv_dec_in_flight(bs);
    }
    return ret;
}

static void coroutine_fn bdrv_co_zone_change_end(BdrvChild *child,
                                                 BdrvTrackedRequest *req,
                                                 int ret)
{
    bdrv_co_write_end(child, req->offset, req->bytes, req, ret);
    tracked_request_end(req);
    bdrv_dec_in_flight(child->bs);
}

static BlkdebugEvent bdrv_zone_op_event(BlockZoneOp op)
{
    switch (op) {
    case BLK_ZO_OPEN:
        return BLKDBG_ZONE_OPEN;
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        return BLKDBG_ZONE_CLOSE;
    case BLK_ZO_FINISH:
        return BLKDBG_ZONE_FINISH;
    case BLK_ZO_RESET:
        return BLKDBG_ZONE_RESET;
    case BLK_ZO_OFFLINE:
        return BLKDBG_ZONE_OFFLINE;
    }
    g_assert_not_reached();
}

int coroutine_fn bdrv_co_zone_mgmt(BdrvChild *child, BlockZoneOp op,
                                   int64_t offset, int64_t len)
{
    BlockDriverState *bs = child->bs;
    BdrvTrackedRequest req;
    int ret;
    IO_CODE();

    trace_bdrv_co_zone_mgmt(bs, op, offset, len);
    if (!bdrv_is_inserted(bs)) {
        return -ENOMEDIUM;
    }
    if (!bdrv_is_zoned(bs)) {
        return -ENOTSUP;
    }
    if (bdrv_has_readonly_bitmaps(bs)) {
        return -EPERM;
    }
    ret = bdrv_zone_check_mgmt(bs, offset, len);
    if (ret < 0) {
        return ret;
    }

    ret = bdrv_co_zone_change_begin(child, &req, offset, len);
    if (ret == 0) {
        bdrv_debug_event(bs, bdrv_zone_op_event(op));
        ret = bs->drv->bdrv_co_zone_mgmt(bs, op, offset, len);
        bdrv_co_zone_change_end(child, &req, ret);
    }
    return ret;
}

static int coroutine_fn bdrv_driver_zone_append(BlockDriverState *bs,
                                                int64_t *offset,
                                                QEMUIOVector *qiov,
                                                BdrvRequestFlags flags)
{
    bool emulate_fua = flags & ~bs->supported_write_flags & BDRV_REQ_FUA;
    int ret;

    ret = bs->drv->bdrv_co_zone_append(bs, offset, qiov,
                                       flags & bs->supported_write_flags);
    if (ret == 0 && emulate_fua) {
        ret = bdrv_co_flush(bs);
    }
    return ret;
}

/*
 * Has an append that failed with @ret left the zone as it was?  A drive may
 * lose the zone while the data is on its way.
 */
static bool bdrv_zone_append_was_refused(int ret)
{
    return ret != -EROFS && ret != -ENXIO &&
           block_zone_errno_is_guest_error(ret);
}

int coroutine_fn bdrv_co_zone_append(BdrvChild *child, int64_t *offset,
                                     QEMUIOVector *qiov,
                                     BdrvRequestFlags flags)
{
    BlockDriverState *bs = child->bs;
    int64_t start = *offset;
    int64_t zone_len;
    BdrvTrackedRequest req;
    int ret;
    IO_CODE();

    trace_bdrv_co_zone_append(bs, start, qiov->size, flags);
    if (!bdrv_is_inserted(bs)) {
        return -ENOMEDIUM;
    }
    if (!bdrv_is_zoned(bs) || !bs->bl.zones.max_append_bytes) {
        return -ENOTSUP;
    }
    if (bdrv_has_readonly_bitmaps(bs)) {
        return -EPERM;
    }
    ret = bdrv_zone_check_append(bs, start, qiov->size);
    if (ret < 0) {
        return ret;
    }

    /* Where the data goes is known only afterwards: track the whole zone */
    zone_len = bdrv_zone_length(bs, start);
    bdrv_inc_in_flight(bs);
    tracked_request_begin(&req, bs, start, zone_len, BDRV_TRACKED_WRITE);
    /* Nothing of it is known to be beyond the write threshold */
    ret = bdrv_co_write_begin(child, start, 0, &req, flags);
    if (ret == 0) {
        bdrv_bsc_invalidate_range(bs, start, zone_len);
        bdrv_debug_event(bs, BLKDBG_ZONE_APPEND);
        ret = bdrv_driver_zone_append(bs, offset, qiov, flags);
        if (ret == 0) {
            bdrv_write_threshold_check_write(bs, *offset, qiov->size);
            bdrv_co_write_end(child, *offset, qiov->size, &req, ret);
        } else if (!bdrv_zone_append_was_refused(ret)) {
            /* Nobody has said where the data was to go */
            bdrv_co_write_end(child, start, zone_len, &req, ret);
        }
    }
    tracked_request_end(&req);
    bdrv_dec_in_flight(bs);
    return ret;
}

static int bdrv_zone_check_extension(BlockDriverState *bs, int64_t offset)
{
    if (!bdrv_is_inserted(bs)) {
        return -ENOMEDIUM;
    }
    if (!bs->bl.zones.extension_size) {
        return -ENOTSUP;
    }
    return bdrv_zone_starts_at(bs, offset) ? 0 : -EINVAL;
}

int coroutine_fn bdrv_co_zone_set_extension(BdrvChild *child, int64_t offset,
                                            const void *buf)
{
    BlockDriverState *bs = child->bs;
    BdrvTrackedRequest req;
    int ret;
    IO_CODE();

    trace_bdrv_co_zone_set_extension(bs, offset);
    ret = bdrv_zone_check_extension(bs, offset);
    if (ret < 0) {
        return ret;
    }
    if (bdrv_has_readonly_bitmaps(bs)) {
        return -EPERM;
    }

    ret = bdrv_co_zone_change_begin(child, &req, offset,
                                    bdrv_zone_length(bs, offset));
    if (ret == 0) {
        bdrv_debug_event(bs, BLKDBG_ZONE_SET_EXTENSION);
        ret = bs->drv->bdrv_co_zone_set_extension(bs, offset, buf);
        bdrv_co_zone_change_end(child, &req, ret);
    }
    return ret;
}

int coroutine_fn bdrv_co_zone_get_extension(BlockDriverState *bs,
                                            int64_t offset, void *buf)
{
    int ret;
    IO_CODE();

    trace_bdrv_co_zone_get_extension(bs, offset);
    ret = bdrv_zone_check_extension(bs, offset);
    if (ret < 0) {
        return ret;
    }

    bdrv_inc_in_flight(bs);
    bdrv_debug_event(bs, BLKDBG_ZONE_REPORT);
    ret = bs->drv->bdrv_co_zone_get_extension(bs, offset, buf);
    bdrv_dec_in_flight(bs);
    return ret;
}

bool bdrv_zoned_is_emulated(BlockDriverState *bs)
{
    while (bs && bs->drv && bs->drv->supports_zoned_children) {
        bs = bdrv_primary_bs(bs);
    }
    return bs && bs->drv && bdrv_is_zoned(bs) &&
           bs->drv->bdrv_co_zone_set_state;
}

/* Nodes that bdrv_zoned_protect() was called for, once for each call */
static GSList *protected_nodes;
static QemuMutex protected_lock;

static void protected_init(void)
{
    qemu_mutex_init(&protected_lock);
}

block_init(protected_init);

void bdrv_zoned_protect(BlockDriverState *bs)
{
    QEMU_LOCK_GUARD(&protected_lock);
    protected_nodes = g_slist_prepend(protected_nodes, bs);
}

void bdrv_zoned_unprotect(BlockDriverState *bs)
{
    QEMU_LOCK_GUARD(&protected_lock);
    protected_nodes = g_slist_remove(protected_nodes, bs);
}

/* Is @bs, or a node above it, one of them? */
static bool bdrv_zoned_is_protected(BlockDriverState *bs)
{
    BdrvChild *c;

    WITH_QEMU_LOCK_GUARD(&protected_lock) {
        if (g_slist_find(protected_nodes, bs)) {
            return true;
        }
    }
    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->klass->parent_is_bds && bdrv_zoned_is_protected(c->opaque)) {
            return true;
        }
    }
    return false;
}

static bool bdrv_zone_can_be_forced(BlockZoneState state)
{
    return state == BLK_ZS_EMPTY || state == BLK_ZS_FULL ||
           state == BLK_ZS_RDONLY || state == BLK_ZS_OFFLINE;
}

/* Lost zones are found by who copies them, as the requests to them fail */
static bool bdrv_zone_state_is_noticed(BlockZoneState state)
{
    return state == BLK_ZS_RDONLY || state == BLK_ZS_OFFLINE;
}

int coroutine_fn bdrv_co_zone_set_state(BlockDriverState *bs, int64_t offset,
                                        BlockZoneState state)
{
    BdrvTrackedRequest req;
    int64_t len;
    int ret;
    IO_CODE();

    trace_bdrv_co_zone_set_state(bs, offset, state);
    if (!bdrv_is_inserted(bs)) {
        return -ENOMEDIUM;
    }
    if (!bdrv_is_zoned(bs) || !bs->drv->bdrv_co_zone_set_state) {
        return -ENOTSUP;
    }
    if (!bdrv_zone_starts_at(bs, offset) || !bdrv_zone_can_be_forced(state)) {
        return -EINVAL;
    }
    if (!bdrv_is_writable(bs) || bdrv_has_readonly_bitmaps(bs)) {
        return -EPERM;
    }

    len = bdrv_zone_length(bs, offset);
    bdrv_inc_in_flight(bs);
    tracked_request_begin(&req, bs, offset, len, BDRV_TRACKED_DISCARD);
    if (!bdrv_zone_state_is_noticed(state) && bdrv_zoned_is_protected(bs)) {
        ret = -EBUSY;
        goto out;
    }
    bdrv_bsc_invalidate_range(bs, offset, len);
    ret = bs->drv->bdrv_co_zone_set_state(bs, offset, state);
    /* An image has something to write now, and what was read may be gone */
    qatomic_inc(&bs->write_gen);
    if (ret == 0) {
        bdrv_set_dirty(bs, offset, len);
    }
out:
    tracked_request_end(&req);
    bdrv_dec_in_flight(bs);
    return ret;
}
