/*
 * Zone emulation: the zone model for coroutines
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a block driver with emulated zones calls.  It adds to the zone model
 * (block/zone-model.h) that an operation on a zone waits for the writes in
 * flight in this zone, and that writes to this zone which come later wait for
 * the operation; nothing waits for another zone.
 *
 * All functions run in the AioContext of the node, with its lock held.
 */

#ifndef BLOCK_ZONE_EMULATION_H
#define BLOCK_ZONE_EMULATION_H

#include "qemu/coroutine.h"
#include "qemu/typedefs.h"
#include "qemu/queue.h"
#include "block/zone-model.h"

typedef struct ZoneEmulationOp ZoneEmulationOp;

typedef struct ZoneEmulation {
    BlockDriverState *bs;                   /* whose zones these are */
    ZoneModel *model;
    int64_t max_append_bytes;
    QTAILQ_HEAD(, ZoneEmulationOp) ops;     /* oldest first */
    CoQueue waiting;
} ZoneEmulation;

/**
 * zone_emulation_init:
 * @e: the emulation
 * @bs: the node whose zones these are
 * @geometry: as zone_geometry_check() accepts it
 * @max_append_bytes: largest append, 0 for none; at most the zone capacity
 *
 * Returns: whether there was memory for it.
 */
bool zone_emulation_init(ZoneEmulation *e, BlockDriverState *bs,
                         const ZoneGeometry *geometry,
                         int64_t max_append_bytes, Error **errp);
void zone_emulation_destroy(ZoneEmulation *e);

void zone_emulation_limits(const ZoneEmulation *e, BlockZoneLimits *limits);

/* As BlockDriver.bdrv_co_zone_report() */
int zone_emulation_report(ZoneEmulation *e, int64_t offset,
                          unsigned int *nr_zones, BlockZoneDescriptor *zones);

/*
 * Admit a write or an append: zone_model_begin_write() and
 * zone_model_begin_append() once no operation on the zone is pending.  After
 * success, zone_emulation_end_write() has to follow.
 */
int coroutine_fn zone_emulation_co_begin_write(ZoneEmulation *e,
                                               int64_t offset, int64_t bytes);
int coroutine_fn zone_emulation_co_begin_append(ZoneEmulation *e,
                                                int64_t *offset,
                                                int64_t bytes);
void coroutine_fn zone_emulation_end_write(ZoneEmulation *e, int64_t offset,
                                           int64_t bytes, int ret);

/* zone_model_mgmt() once nothing is in flight in the zones concerned */
int coroutine_fn zone_emulation_co_mgmt(ZoneEmulation *e, BlockZoneOp op,
                                        int64_t offset, int64_t len,
                                        ZoneModelChangedFn *changed,
                                        void *opaque);

/**
 * zone_emulation_co_set_state:
 * @e: the emulation
 * @offset: start of a sequential zone
 * @state: BLK_ZS_EMPTY, BLK_ZS_FULL, BLK_ZS_RDONLY or BLK_ZS_OFFLINE
 * @changed: called if the zone was in another state, with the operation that
 *           has the same effect, and BLK_ZO_OFFLINE for read-only ones
 * @opaque: passed to @changed
 *
 * Force a zone into a state once nothing is in flight in it.
 *
 * Returns: 0, or -EINVAL for another zone or state.
 */
int coroutine_fn zone_emulation_co_set_state(ZoneEmulation *e, int64_t offset,
                                             BlockZoneState state,
                                             ZoneModelChangedFn *changed,
                                             void *opaque);

/*
 * Stores or loads the extension of the zone that starts at @offset, while
 * nothing else happens to this zone.  Returns: 0 or -errno.
 */
typedef int coroutine_fn ZoneExtensionFn(void *opaque, int64_t offset);

/**
 * zone_emulation_co_set_extension:
 * @e: the emulation
 * @offset: start of a zone
 * @store: called once the zone is known to take an extension
 * @opaque: passed to @store
 *
 * Returns: as zone_model_set_extension(), or what @store has returned.
 */
int coroutine_fn zone_emulation_co_set_extension(ZoneEmulation *e,
                                                 int64_t offset,
                                                 ZoneExtensionFn *store,
                                                 void *opaque);

/**
 * zone_emulation_co_get_extension:
 * @e: the emulation
 * @offset: start of a zone
 * @load: called if the zone has an extension
 * @opaque: passed to @load
 *
 * Returns: 1 if the zone has an extension and @load has returned 0; 0 if it
 * has none; or what @load has returned.
 */
int coroutine_fn zone_emulation_co_get_extension(ZoneEmulation *e,
                                                 int64_t offset,
                                                 ZoneExtensionFn *load,
                                                 void *opaque);

/**
 * zone_emulation_co_lock:
 *
 * Wait until no write and no operation is under way on any zone, and keep
 * them waiting until zone_emulation_unlock().
 */
ZoneEmulationOp *coroutine_fn zone_emulation_co_lock(ZoneEmulation *e);

/* @model replaces the one that @e had, unless it is NULL */
void coroutine_fn zone_emulation_unlock(ZoneEmulation *e, ZoneEmulationOp *op,
                                        ZoneModel *model);

#endif /* BLOCK_ZONE_EMULATION_H */
