/*
 * Zoned storage: what management sees of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-zoned.h"
#include "block/block_int.h"
#include "block/zone-model.h"
#include "block/zoned-io.h"
#include "block/zoned-qapi.h"
#include "sysemu/block-backend.h"

#define REPORT_DEFAULT 256
#define REPORT_MAX 4096

BlockdevZoneModel block_zone_model_to_qapi(BlockZoneModel model)
{
    return model == BLK_Z_HA ? BLOCKDEV_ZONE_MODEL_HOST_AWARE
                             : BLOCKDEV_ZONE_MODEL_HOST_MANAGED;
}

BlockdevZoneType block_zone_type_to_qapi(BlockZoneType type)
{
    switch (type) {
    case BLK_ZT_CONV:
        return BLOCKDEV_ZONE_TYPE_CONVENTIONAL;
    case BLK_ZT_SWR:
        return BLOCKDEV_ZONE_TYPE_SEQUENTIAL_WRITE_REQUIRED;
    case BLK_ZT_SWP:
        return BLOCKDEV_ZONE_TYPE_SEQUENTIAL_WRITE_PREFERRED;
    }
    g_assert_not_reached();
}

BlockdevZoneState block_zone_state_to_qapi(BlockZoneState state)
{
    switch (state) {
    case BLK_ZS_NOT_WP:
        return BLOCKDEV_ZONE_STATE_CONVENTIONAL;
    case BLK_ZS_EMPTY:
        return BLOCKDEV_ZONE_STATE_EMPTY;
    case BLK_ZS_IOPEN:
        return BLOCKDEV_ZONE_STATE_IMPLICITLY_OPEN;
    case BLK_ZS_EOPEN:
        return BLOCKDEV_ZONE_STATE_EXPLICITLY_OPEN;
    case BLK_ZS_CLOSED:
        return BLOCKDEV_ZONE_STATE_CLOSED;
    case BLK_ZS_RDONLY:
        return BLOCKDEV_ZONE_STATE_READ_ONLY;
    case BLK_ZS_FULL:
        return BLOCKDEV_ZONE_STATE_FULL;
    case BLK_ZS_OFFLINE:
        return BLOCKDEV_ZONE_STATE_OFFLINE;
    }
    g_assert_not_reached();
}

BlockZoneState block_zone_fault_from_qapi(BlockdevZoneFault fault)
{
    static const BlockZoneState states[] = {
        [BLOCKDEV_ZONE_FAULT_EMPTY] = BLK_ZS_EMPTY,
        [BLOCKDEV_ZONE_FAULT_FULL] = BLK_ZS_FULL,
        [BLOCKDEV_ZONE_FAULT_READ_ONLY] = BLK_ZS_RDONLY,
        [BLOCKDEV_ZONE_FAULT_OFFLINE] = BLK_ZS_OFFLINE,
    };

    return states[fault];
}

BlockdevZoneCounts *zone_model_query_counts(const ZoneModel *model)
{
    BlockdevZoneCounts *c = g_new(BlockdevZoneCounts, 1);

    *c = (BlockdevZoneCounts) {
        .conventional = zone_model_count(model, BLK_ZS_NOT_WP),
        .empty = zone_model_count(model, BLK_ZS_EMPTY),
        .implicitly_open = zone_model_count(model, BLK_ZS_IOPEN),
        .explicitly_open = zone_model_count(model, BLK_ZS_EOPEN),
        .closed = zone_model_count(model, BLK_ZS_CLOSED),
        .full = zone_model_count(model, BLK_ZS_FULL),
        .read_only = zone_model_count(model, BLK_ZS_RDONLY),
        .offline = zone_model_count(model, BLK_ZS_OFFLINE),
    };
    return c;
}

/* The node that a filter passes all zones of on, or @bs itself */
static BlockDriverState *skip_filters(BlockDriverState *bs)
{
    BlockDriverState *child;

    while (bs->drv && bs->drv->supports_zoned_children &&
           (child = bdrv_primary_bs(bs)) &&
           bdrv_zone_limits(child)->nr_zones == bdrv_zone_limits(bs)->nr_zones) {
        bs = child;
    }
    return bs;
}

BlockdevZonedInfo *bdrv_query_zoned(BlockDriverState *bs)
{
    const BlockZoneLimits *l = bdrv_zone_limits(bs);
    BlockDriverState *holder;
    BlockdevZonedInfo *info;

    if (l->model == BLK_Z_NONE) {
        return NULL;
    }
    info = g_new(BlockdevZonedInfo, 1);
    *info = (BlockdevZonedInfo) {
        .model = block_zone_model_to_qapi(l->model),
        .zone_size = l->zone_size,
        .zones = l->nr_zones,
        .max_open_zones = l->max_open_zones,
        .max_active_zones = l->max_active_zones,
        .max_append_size = l->max_append_bytes,
        .write_granularity = l->write_granularity,
        .descriptor_extension_size = l->extension_size,
    };
    holder = skip_filters(bs);
    if (holder->drv && holder->drv->bdrv_query_zone_counts) {
        info->states = holder->drv->bdrv_query_zone_counts(holder);
        info->has_states = info->states;
    }
    return info;
}

static BlockdevZoneOpStats *op_stats(const BlockAcctStats *stats,
                                     enum BlockAcctType type)
{
    BlockdevZoneOpStats *s = g_new(BlockdevZoneOpStats, 1);

    *s = (BlockdevZoneOpStats) {
        .done = stats->nr_ops[type],
        .failed = stats->failed_ops[type],
        .invalid = stats->invalid_ops[type],
        .total_time_ns = stats->total_time_ns[type],
    };
    return s;
}

BlockdevZonedStats *blk_query_zoned_stats(BlockBackend *blk)
{
    const BlockAcctStats *stats = blk_get_stats(blk);
    BlockdevZonedStats *z;

    if (!blk_is_zoned(blk)) {
        return NULL;
    }
    z = g_new(BlockdevZonedStats, 1);
    *z = (BlockdevZonedStats) {
        .open = op_stats(stats, BLOCK_ACCT_ZONE_OPEN),
        .close = op_stats(stats, BLOCK_ACCT_ZONE_CLOSE),
        .finish = op_stats(stats, BLOCK_ACCT_ZONE_FINISH),
        .reset = op_stats(stats, BLOCK_ACCT_ZONE_RESET),
        .offline = op_stats(stats, BLOCK_ACCT_ZONE_OFFLINE),
        .set_extension = op_stats(stats, BLOCK_ACCT_ZONE_SET_EXTENSION),
        .append = op_stats(stats, BLOCK_ACCT_ZONE_APPEND),
    };
    return z;
}

static BlockdevZone *zone_to_qapi(const BlockZoneDescriptor *d)
{
    BlockdevZone *zone = g_new(BlockdevZone, 1);

    *zone = (BlockdevZone) {
        .start = d->start,
        .length = d->length,
        .capacity = d->cap,
        .has_write_pointer = d->wp >= 0,
        .write_pointer = MAX(d->wp, 0),
        .type = block_zone_type_to_qapi(d->type),
        .state = block_zone_state_to_qapi(d->state),
        .non_sequential = d->non_seq,
        .descriptor_extension = d->has_extension,
    };
    return zone;
}

BlockdevZoneReport *coroutine_fn
qmp_query_block_zones(const char *node_name, bool has_start, uint64_t start,
                      bool has_max, uint32_t max, Error **errp)
{
    g_autofree BlockZoneDescriptor *zones = NULL;
    BlockdevZoneReport *report;
    BlockdevZoneList **tail;
    BlockDriverState *bs;
    AioContext *old_ctx;
    unsigned int i, n = has_max ? max : REPORT_DEFAULT;
    int64_t length, end;
    int ret;

    bs = bdrv_lookup_bs(NULL, node_name, errp);
    if (!bs) {
        return NULL;
    }
    if (!bdrv_is_zoned(bs)) {
        error_setg(errp, "Node '%s' is not zoned", node_name);
        return NULL;
    }
    if (n < 1 || n > REPORT_MAX) {
        error_setg(errp, "Parameter 'max' must be from 1 to %d", REPORT_MAX);
        return NULL;
    }
    if (!has_start) {
        start = 0;
    }

    zones = g_new(BlockZoneDescriptor, n);
    bdrv_ref(bs);
    old_ctx = bdrv_co_enter(bs);
    bdrv_inc_in_flight(bs);
    length = bdrv_getlength(bs);
    ret = length < 0 ? length :
          start >= length ? -EINVAL : bdrv_co_zone_report(bs, start, &n, zones);
    bdrv_dec_in_flight(bs);
    bdrv_co_leave(bs, old_ctx);
    bdrv_co_lock(bs);
    bdrv_unref(bs);
    bdrv_co_unlock(bs);

    if (length >= 0 && start >= length) {
        error_setg(errp, "Parameter 'start' must be below %" PRId64
                   ", the size of the node", length);
        return NULL;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "The zones of node '%s' could not be "
                         "reported", node_name);
        return NULL;
    }

    report = g_new0(BlockdevZoneReport, 1);
    tail = &report->zones;
    for (i = 0; i < n; i++) {
        QAPI_LIST_APPEND(tail, zone_to_qapi(&zones[i]));
    }
    end = n ? zones[n - 1].start + zones[n - 1].length : length;
    report->has_next = end < length;
    report->next = report->has_next ? end : 0;
    return report;
}

void coroutine_fn qmp_x_block_zone_set_state(const char *node_name,
                                             uint64_t start,
                                             BlockdevZoneFault state,
                                             Error **errp)
{
    BlockDriverState *bs = bdrv_lookup_bs(NULL, node_name, errp);
    AioContext *old_ctx;
    int ret;

    if (!bs) {
        return;
    }
    bdrv_ref(bs);
    old_ctx = bdrv_co_enter(bs);
    ret = start > INT64_MAX ? -EINVAL
        : bdrv_co_zone_set_state(bs, start, block_zone_fault_from_qapi(state));
    bdrv_co_leave(bs, old_ctx);
    bdrv_co_lock(bs);
    bdrv_unref(bs);
    bdrv_co_unlock(bs);

    switch (ret) {
    case 0:
        break;
    case -ENOTSUP:
        error_setg(errp, "Node '%s' has no emulated zones: those of a zoned "
                   "image or a null disk can be set", node_name);
        break;
    case -EINVAL:
        error_setg(errp, "Parameter 'start' must be where a sequential zone "
                   "of node '%s' begins", node_name);
        break;
    case -EPERM:
        error_setg(errp, "Node '%s' is read-only, or not active while the "
                   "guest is migrated", node_name);
        break;
    case -EBUSY:
        error_setg(errp, "Node '%s' is copied by a block job, which would not "
                   "see that a zone becomes %s: a zone can be made read-only "
                   "or offline meanwhile", node_name,
                   BlockdevZoneFault_str(state));
        break;
    default:
        error_setg_errno(errp, -ret, "The state of the zone of node '%s' "
                         "could not be set", node_name);
        break;
    }
}
