/*
 * Zone emulation: the zone model for coroutines
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/range.h"
#include "block/block_int.h"
#include "block/zone-emulation.h"
#include "block/zoned-int.h"

/* An operation on the zones of a range, waiting for them or under way */
struct ZoneEmulationOp {
    int64_t offset;
    int64_t len;
    QTAILQ_ENTRY(ZoneEmulationOp) next;
};

bool zone_emulation_init(ZoneEmulation *e, BlockDriverState *bs,
                         const ZoneGeometry *geometry,
                         int64_t max_append_bytes, Error **errp)
{
    e->bs = bs;
    e->model = zone_model_new(geometry);
    if (!e->model) {
        error_setg(errp, "Not enough memory for the state of the zones");
        return false;
    }
    e->max_append_bytes = max_append_bytes;
    QTAILQ_INIT(&e->ops);
    qemu_co_queue_init(&e->waiting);
    return true;
}

void zone_emulation_destroy(ZoneEmulation *e)
{
    assert(QTAILQ_EMPTY(&e->ops));
    zone_model_free(e->model);
}

void zone_emulation_limits(const ZoneEmulation *e, BlockZoneLimits *limits)
{
    const ZoneGeometry *g = zone_model_geometry(e->model);

    *limits = (BlockZoneLimits) {
        .model = g->model,
        .zone_size = g->zone_size,
        .nr_zones = zone_model_nr_zones(e->model),
        .max_open_zones = g->max_open_zones,
        .max_active_zones = g->max_active_zones,
        .max_append_bytes = e->max_append_bytes,
        .write_granularity = g->write_granularity,
        .extension_size = g->extension_size,
    };
}

int zone_emulation_report(ZoneEmulation *e, int64_t offset,
                          unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    *nr_zones = zone_model_report(e->model, offset, *nr_zones, zones);
    return 0;
}

/*
 * Wait until nothing that came before @self and touches the range is pending.
 */
static void coroutine_fn zone_emulation_wait_ops(ZoneEmulation *e,
                                                 int64_t offset, int64_t bytes,
                                                 const ZoneEmulationOp *self)
{
    ZoneEmulationOp *op = QTAILQ_FIRST(&e->ops);

    while (op && op != self) {
        if (ranges_overlap(op->offset, op->len, offset, bytes)) {
            qemu_co_queue_wait(&e->waiting, NULL);
            op = QTAILQ_FIRST(&e->ops);
        } else {
            op = QTAILQ_NEXT(op, next);
        }
    }
}

/*
 * Have a write wait for the operations before it.  It takes its place among
 * them meanwhile: one that comes later, maybe on another zone of the write,
 * must not overtake it.
 */
static void coroutine_fn zone_emulation_queue_write(ZoneEmulation *e,
                                                    int64_t offset,
                                                    int64_t bytes)
{
    ZoneEmulationOp self = { .offset = offset, .len = bytes };

    QTAILQ_INSERT_TAIL(&e->ops, &self, next);
    zone_emulation_wait_ops(e, offset, bytes, &self);
    QTAILQ_REMOVE(&e->ops, &self, next);
    qemu_co_queue_restart_all(&e->waiting);
}

int coroutine_fn zone_emulation_co_begin_write(ZoneEmulation *e,
                                               int64_t offset, int64_t bytes)
{
    if (unlikely(!QTAILQ_EMPTY(&e->ops))) {
        zone_emulation_queue_write(e, offset, bytes);
    }
    return zone_model_begin_write(e->model, offset, bytes);
}

int coroutine_fn zone_emulation_co_begin_append(ZoneEmulation *e,
                                                int64_t *offset,
                                                int64_t bytes)
{
    if (unlikely(!QTAILQ_EMPTY(&e->ops))) {
        zone_emulation_queue_write(e, *offset, 1);
    }
    return zone_model_begin_append(e->model, offset, bytes);
}

void coroutine_fn zone_emulation_end_write(ZoneEmulation *e, int64_t offset,
                                           int64_t bytes, int ret)
{
    zone_model_end_write(e->model, offset, bytes, ret);
    if (!QTAILQ_EMPTY(&e->ops)) {
        qemu_co_queue_restart_all(&e->waiting);
    }
}

/* Wait for the operations before @op; writes and operations now wait for it */
static void coroutine_fn zone_emulation_begin_op(ZoneEmulation *e,
                                                 ZoneEmulationOp *op)
{
    QTAILQ_INSERT_TAIL(&e->ops, op, next);
    zone_emulation_wait_ops(e, op->offset, op->len, op);
}

static void coroutine_fn zone_emulation_wait_writes(ZoneEmulation *e,
                                                    int64_t offset,
                                                    int64_t len)
{
    while (zone_model_in_flight(e->model, offset, len)) {
        qemu_co_queue_wait(&e->waiting, NULL);
    }
}

static void coroutine_fn zone_emulation_end_op(ZoneEmulation *e,
                                               ZoneEmulationOp *op)
{
    QTAILQ_REMOVE(&e->ops, op, next);
    qemu_co_queue_restart_all(&e->waiting);
}

/* An operation on the zone that starts at @offset, of which no part is free */
static ZoneEmulationOp one_zone(const ZoneEmulation *e, int64_t offset)
{
    return (ZoneEmulationOp) {
        .offset = offset,
        /* The last one may be shorter, but there is nothing behind it */
        .len = zone_model_geometry(e->model)->zone_size,
    };
}

/* Zones behind one another that an operation has put offline */
typedef struct OfflineRun {
    ZoneEmulation *e;
    ZoneModelChangedFn *changed;
    void *opaque;
    int64_t start, end;
    uint32_t nr_zones;
} OfflineRun;

static void tell_run(OfflineRun *run)
{
    if (run->nr_zones) {
        bdrv_zoned_lost(run->e->bs, run->start, run->end, run->nr_zones,
                        BLK_ZS_OFFLINE);
    }
    run->nr_zones = 0;
}

static void add_to_run(void *opaque, BlockZoneOp op,
                       const BlockZoneDescriptor *zone)
{
    OfflineRun *run = opaque;

    if (run->changed) {
        run->changed(run->opaque, op, zone);
    }
    if (run->nr_zones && run->end != zone->start) {
        tell_run(run);
    }
    if (!run->nr_zones) {
        run->start = zone->start;
    }
    run->end = zone->start + zone->length;
    run->nr_zones++;
}

/* No other operation makes zones read-only or offline */
static int put_offline(ZoneEmulation *e, int64_t offset, int64_t len,
                       ZoneModelChangedFn *changed, void *opaque)
{
    OfflineRun run = { .e = e, .changed = changed, .opaque = opaque };
    int ret = zone_model_mgmt(e->model, BLK_ZO_OFFLINE, offset, len,
                              add_to_run, &run);

    tell_run(&run);
    return ret;
}

int coroutine_fn zone_emulation_co_mgmt(ZoneEmulation *e, BlockZoneOp op,
                                        int64_t offset, int64_t len,
                                        ZoneModelChangedFn *changed,
                                        void *opaque)
{
    ZoneEmulationOp self = { .offset = offset, .len = len };
    int ret;

    zone_emulation_begin_op(e, &self);
    zone_emulation_wait_writes(e, offset, len);
    ret = op == BLK_ZO_OFFLINE
        ? put_offline(e, offset, len, changed, opaque)
        : zone_model_mgmt(e->model, op, offset, len, changed, opaque);
    zone_emulation_end_op(e, &self);
    return ret;
}

/* The operation whose effect a forced change of state has; -1: there is none */
static int forcing_op(BlockZoneState state)
{
    switch (state) {
    case BLK_ZS_EMPTY:
        return BLK_ZO_RESET;
    case BLK_ZS_FULL:
        return BLK_ZO_FINISH;
    case BLK_ZS_RDONLY:
    case BLK_ZS_OFFLINE:
        return BLK_ZO_OFFLINE;
    default:
        return -1;
    }
}

/* With nothing in flight in the zone */
static int force_state(ZoneEmulation *e, int64_t offset, BlockZoneState state,
                       ZoneModelChangedFn *changed, void *opaque)
{
    BlockZoneDescriptor old, new;
    int op = forcing_op(state);
    int ret;

    if (op < 0 || !zone_model_report(e->model, offset, 1, &old)) {
        return -EINVAL;
    }
    ret = zone_model_set_zone(e->model, offset, state, offset);
    if (ret < 0 || old.state == state) {
        return ret;
    }
    zone_model_report(e->model, offset, 1, &new);
    if (changed) {
        changed(opaque, op, &new);
    }
    if (op == BLK_ZO_OFFLINE) {
        bdrv_zoned_lost(e->bs, new.start, new.start + new.length, 1, state);
    }
    return 0;
}

int coroutine_fn zone_emulation_co_set_state(ZoneEmulation *e, int64_t offset,
                                             BlockZoneState state,
                                             ZoneModelChangedFn *changed,
                                             void *opaque)
{
    ZoneEmulationOp self = one_zone(e, offset);
    int ret;

    zone_emulation_begin_op(e, &self);
    zone_emulation_wait_writes(e, offset, 1);
    ret = force_state(e, offset, state, changed, opaque);
    zone_emulation_end_op(e, &self);
    return ret;
}

int coroutine_fn zone_emulation_co_set_extension(ZoneEmulation *e,
                                                 int64_t offset,
                                                 ZoneExtensionFn *store,
                                                 void *opaque)
{
    ZoneEmulationOp self = one_zone(e, offset);
    int ret;

    zone_emulation_begin_op(e, &self);
    zone_emulation_wait_writes(e, offset, 1);
    /* At once: the resource could be gone when the extension is stored */
    ret = zone_model_set_extension(e->model, offset);
    if (ret == 0) {
        ret = store(opaque, offset);
        if (ret < 0) {
            zone_model_set_zone(e->model, offset, BLK_ZS_EMPTY, offset);
        }
    }
    zone_emulation_end_op(e, &self);
    return ret;
}

int coroutine_fn zone_emulation_co_get_extension(ZoneEmulation *e,
                                                 int64_t offset,
                                                 ZoneExtensionFn *load,
                                                 void *opaque)
{
    ZoneEmulationOp self = one_zone(e, offset);
    BlockZoneDescriptor d = { 0 };
    int ret = 0;

    zone_emulation_begin_op(e, &self);
    zone_model_report(e->model, offset, 1, &d);
    if (d.has_extension) {
        ret = load(opaque, offset);
    }
    zone_emulation_end_op(e, &self);
    return ret < 0 ? ret : d.has_extension;
}

ZoneEmulationOp *coroutine_fn zone_emulation_co_lock(ZoneEmulation *e)
{
    int64_t length = zone_model_geometry(e->model)->length;
    ZoneEmulationOp *op = g_new(ZoneEmulationOp, 1);

    *op = (ZoneEmulationOp) { .len = INT64_MAX };
    zone_emulation_begin_op(e, op);
    zone_emulation_wait_writes(e, 0, length);
    return op;
}

void coroutine_fn zone_emulation_unlock(ZoneEmulation *e, ZoneEmulationOp *op,
                                        ZoneModel *model)
{
    if (model) {
        zone_model_free(e->model);
        e->model = model;
    }
    zone_emulation_end_op(e, op);
    g_free(op);
}
