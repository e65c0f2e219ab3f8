/*
 * Zoned storage: telling management of zones that are lost
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest may put any number of zones offline by one command.  So that this
 * fills neither the memory nor the monitor, what is to be told of a node is a
 * small number of ranges, and these are sent at most once a second.
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-block-zoned.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/queue.h"
#include "qemu/timer.h"
#include "qom/object.h"
#include "block/block_int.h"
#include "block/zoned-int.h"
#include "block/zoned-qapi.h"
#include "sysemu/block-backend.h"
#include "sysemu/qtest.h"
#include "trace.h"

/* Events for a node in a second: so many runs of zones, and what is left */
#define MAX_RUNS 14
enum { REST_READ_ONLY, REST_OFFLINE, NR_RESTS };

#define INTERVAL_MS 1000

typedef struct LostRange {
    int64_t start, end;
    uint32_t nr_zones;          /* 0: there is nothing to tell */
    BlockZoneState state;
} LostRange;

typedef struct LostRanges {
    unsigned int nr_runs;
    LostRange runs[MAX_RUNS];   /* without gaps */
    LostRange rests[NR_RESTS];  /* with any */
} LostRanges;

/*
 * What is to be told of a node.  Known by its name: when it is told, in the
 * main loop, the node may be gone.
 */
typedef struct LostZones {
    char node_name[sizeof_field(BlockDriverState, node_name)];
    LostRanges pending;
    QEMUTimer *timer;           /* of the main loop alone */
    QTAILQ_ENTRY(LostZones) next;
} LostZones;

static QemuMutex lock;
static QTAILQ_HEAD(, LostZones) all = QTAILQ_HEAD_INITIALIZER(all);

static bool extend_run(LostRanges *l, const LostRange *r)
{
    LostRange *last = l->nr_runs ? &l->runs[l->nr_runs - 1] : NULL;

    if (!last || last->state != r->state || last->end != r->start) {
        return false;
    }
    last->end = r->end;
    last->nr_zones += r->nr_zones;
    return true;
}

/* A zone may come twice, if its state was forced in between */
static void extend_rest(LostRange *rest, const LostRange *r)
{
    if (!rest->nr_zones) {
        *rest = *r;
        return;
    }
    rest->start = MIN(rest->start, r->start);
    rest->end = MAX(rest->end, r->end);
    rest->nr_zones = MIN((uint64_t)rest->nr_zones + r->nr_zones, UINT32_MAX);
}

static void add_range(LostRanges *l, const LostRange *r)
{
    if (extend_run(l, r)) {
        return;
    }
    if (l->nr_runs < MAX_RUNS) {
        l->runs[l->nr_runs++] = *r;
        return;
    }
    extend_rest(&l->rests[r->state == BLK_ZS_OFFLINE ? REST_OFFLINE
                                                     : REST_READ_ONLY], r);
}

/*
 * In the main loop
 */

/* Is @bs what @blk is put on, with nothing but filters or raw between? */
static bool is_used_by(BlockDriverState *bs, BlockBackend *blk)
{
    BlockDriverState *node = blk_bs(blk);

    while (node && node != bs) {
        node = node->drv && node->drv->supports_zoned_children
            ? bdrv_primary_bs(node) : NULL;
    }
    return node;
}

/* Returns: who uses a node, a device if there is one; or NULL */
static BlockBackend *find_user(BlockDriverState *bs)
{
    BlockBackend *found = NULL, *blk = NULL;

    while (bs && (blk = blk_all_next(blk))) {
        if (is_used_by(bs, blk) && (!found || blk_get_attached_dev(blk))) {
            found = blk;
        }
    }
    return found;
}

static void send_range(const char *node_name, BlockBackend *user,
                       const LostRange *r)
{
    DeviceState *dev = user ? blk_get_attached_dev(user) : NULL;
    const char *device = user ? blk_name(user) : "";
    g_autofree char *path = dev ? object_get_canonical_path(OBJECT(dev))
                                : NULL;

    qapi_event_send_block_zones_lost(node_name, *device, device, path, path,
                                     r->start, r->end - r->start, r->nr_zones,
                                     block_zone_state_to_qapi(r->state));
}

static void send_ranges(const char *node_name, const LostRanges *l)
{
    BlockBackend *user = find_user(bdrv_find_node(node_name));
    unsigned int i;

    for (i = 0; i < l->nr_runs; i++) {
        send_range(node_name, user, &l->runs[i]);
    }
    for (i = 0; i < NR_RESTS; i++) {
        if (l->rests[i].nr_zones) {
            send_range(node_name, user, &l->rests[i]);
        }
    }
}

/* The clock of the tests stands still until they have it go on */
static QEMUClockType clock_type(void)
{
    return qtest_enabled() ? QEMU_CLOCK_VIRTUAL : QEMU_CLOCK_REALTIME;
}

static void send_pending(void *opaque)
{
    LostZones *z = opaque;
    LostRanges ranges;

    WITH_QEMU_LOCK_GUARD(&lock) {
        ranges = z->pending;
        z->pending = (LostRanges) { 0 };
        if (!ranges.nr_runs) {
            QTAILQ_REMOVE(&all, z, next);
        }
    }
    if (!ranges.nr_runs) {
        timer_free(z->timer);
        g_free(z);
        return;
    }
    send_ranges(z->node_name, &ranges);
    if (!z->timer) {
        z->timer = timer_new_ms(clock_type(), send_pending, z);
    }
    timer_mod(z->timer, qemu_clock_get_ms(clock_type()) + INTERVAL_MS);
}

/*
 * In any thread
 */

/* With the lock held */
static LostZones *get_lost_zones(const char *node_name)
{
    LostZones *z;

    QTAILQ_FOREACH(z, &all, next) {
        if (!strcmp(z->node_name, node_name)) {
            return z;
        }
    }
    z = g_new0(LostZones, 1);
    pstrcpy(z->node_name, sizeof(z->node_name), node_name);
    QTAILQ_INSERT_TAIL(&all, z, next);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), send_pending, z);
    return z;
}

void bdrv_zoned_lost(BlockDriverState *bs, int64_t start, int64_t end,
                     uint32_t nr_zones, BlockZoneState state)
{
    const LostRange range = {
        .start = start,
        .end = end,
        .nr_zones = nr_zones,
        .state = state,
    };

    trace_bdrv_zoned_lost(bs, start, end, nr_zones, state);
    QEMU_LOCK_GUARD(&lock);
    add_range(&get_lost_zones(bdrv_get_node_name(bs))->pending, &range);
}

static void zoned_events_init(void)
{
    qemu_mutex_init(&lock);
}

block_init(zoned_events_init);
