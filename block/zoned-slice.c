/*
 * A node that is a run of zones of its child
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/block_int.h"
#include "block/zoned-int.h"

/* Zones looked at in one go; bounds the memory of an operation on all zones */
#define SLICE_BATCH 64

bool bdrv_zoned_check_slice(BlockDriverState *bs, int64_t offset, int64_t len,
                            bool probed, Error **errp)
{
    int64_t zone_size = bs->bl.zones.zone_size;

    if (!bdrv_is_zoned(bs)) {
        return true;
    }
    if (probed) {
        error_setg(errp, "The format of zoned node '%s' cannot be guessed: "
                   "add the option 'format=raw'", bdrv_get_node_name(bs));
        return false;
    }
    if (offset % zone_size) {
        error_setg(errp, "Option 'offset' must be a multiple of %" PRId64
                   ", the zone size of node '%s'", zone_size,
                   bdrv_get_node_name(bs));
        return false;
    }
    if (!len || (len % zone_size && offset + len != bdrv_getlength(bs))) {
        error_setg(errp, "Option 'size' must be greater than 0 and a multiple "
                   "of %" PRId64 ", the zone size of node '%s'", zone_size,
                   bdrv_get_node_name(bs));
        return false;
    }
    return true;
}

void bdrv_zoned_slice_limits(BlockDriverState *bs, int64_t len, bool probed)
{
    BlockZoneLimits *zl = &bs->bl.zones;

    if (!bdrv_is_zoned(bs)) {
        return;
    }
    zl->nr_zones = DIV_ROUND_UP(len, zl->zone_size);
    if (probed) {
        zl->max_append_bytes = 0;
    }
}

int coroutine_fn bdrv_co_zone_report_slice(BdrvChild *child, int64_t start,
                                           int64_t len, int64_t offset,
                                           unsigned int *nr_zones,
                                           BlockZoneDescriptor *zones)
{
    int64_t zone_size = child->bs->bl.zones.zone_size;
    int64_t left = DIV_ROUND_UP(len, zone_size) - offset / zone_size;
    unsigned int i;
    int ret;

    *nr_zones = MIN(*nr_zones, left);
    ret = bdrv_co_zone_report(child->bs, start + offset, nr_zones, zones);
    if (ret < 0) {
        return ret;
    }
    for (i = 0; i < *nr_zones; i++) {
        zones[i].start -= start;
        if (zones[i].wp >= 0) {
            zones[i].wp -= start;
        }
    }
    return 0;
}

/*
 * Carry @op out on those zones of the slice that it concerns.  To the child
 * the slice is not all zones, so that it would insist on every one of them.
 */
static int coroutine_fn
bdrv_co_zone_mgmt_slice_all(BdrvChild *child, int64_t start, int64_t len,
                            BlockZoneOp op)
{
    g_autofree BlockZoneDescriptor *zones =
        g_new(BlockZoneDescriptor, SLICE_BATCH);
    int64_t pos = start;

    while (pos < start + len) {
        unsigned int nr_zones = SLICE_BATCH;
        unsigned int i;
        int ret;

        ret = bdrv_co_zone_report(child->bs, pos, &nr_zones, zones);
        for (i = 0; !ret && i < nr_zones && zones[i].start < start + len;
             i++) {
            if (block_zone_op_concerns(op, zones[i].state)) {
                ret = bdrv_co_zone_mgmt(child, op, zones[i].start,
                                        zones[i].length);
            }
            pos = zones[i].start + zones[i].length;
        }
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

int coroutine_fn bdrv_co_zone_mgmt_slice(BdrvChild *child, int64_t start,
                                         int64_t len, BlockZoneOp op,
                                         int64_t offset, int64_t bytes)
{
    bool all = bytes == len && len > child->bs->bl.zones.zone_size;

    if (all && len != bdrv_getlength(child->bs)) {
        return bdrv_co_zone_mgmt_slice_all(child, start, len, op);
    }
    return bdrv_co_zone_mgmt(child, op, start + offset, bytes);
}

int coroutine_fn bdrv_co_zone_append_slice(BdrvChild *child, int64_t start,
                                           int64_t *offset, QEMUIOVector *qiov,
                                           BdrvRequestFlags flags)
{
    int64_t pos = start + *offset;
    int ret;

    ret = bdrv_co_zone_append(child, &pos, qiov, flags);
    if (ret == 0) {
        *offset = pos - start;
    }
    return ret;
}

int coroutine_fn bdrv_co_zone_set_extension_slice(BdrvChild *child,
                                                  int64_t start,
                                                  int64_t offset,
                                                  const void *buf)
{
    return bdrv_co_zone_set_extension(child, start + offset, buf);
}

int coroutine_fn bdrv_co_zone_get_extension_slice(BdrvChild *child,
                                                  int64_t start,
                                                  int64_t offset, void *buf)
{
    return bdrv_co_zone_get_extension(child->bs, start + offset, buf);
}

int coroutine_fn bdrv_co_zone_set_state_slice(BdrvChild *child, int64_t start,
                                              int64_t offset,
                                              BlockZoneState state)
{
    return bdrv_co_zone_set_state(child->bs, start + offset, state);
}
