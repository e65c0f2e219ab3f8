/*
 * Zoned disks of the host, for block/file-posix.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The zone queue decides what is written when; here it is done: data goes
 * through the aio engine of the node, and all that asks the kernel about zones
 * or changes them runs in a worker thread.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "block/block_int.h"
#include "block/raw-aio.h"
#include "block/thread-pool.h"
#include "block/zone-queue.h"
#include "block/zoned-int.h"
#include "file-posix-zoned.h"
#include "host-zones.h"
#include "trace.h"

/* As many descriptors as are kept in memory at a time */
#define CHUNK_ZONES 4096

struct RawZones {
    HostZones hz;
    const int *fd;
    ZoneQueue *queue;
    /* For each zone: was seen to be so, and management knows */
    unsigned long *read_only;
    unsigned long *offline;
};

/* A write, append or operation, on the stack of its coroutine */
typedef struct RawZoneRequest {
    ZoneQueueRequest q;
    QEMUIOVector *qiov;         /* NULL for an operation */
    BlockZoneOp op;
    Coroutine *co;
} RawZoneRequest;

static RawZoneRequest *raw_request(ZoneQueueRequest *q)
{
    return container_of(q, RawZoneRequest, q);
}

/*
 * Not aio_co_wake(): whoever wakes others runs behind them then, and what its
 * caller sends when it has ended would be overtaken by what theirs send.
 */
static void raw_zoned_wake(void *opaque, ZoneQueueRequest *q)
{
    aio_co_schedule(qemu_get_current_aio_context(), raw_request(q)->co);
}

/*
 * Zones that are lost.  The kernel tells nobody: it is seen when a zone is read
 * for another reason, such as a request that has failed.
 */

static bool remember(unsigned long *map, uint32_t zone, bool is_so)
{
    const bool was_so = test_bit(zone, map);

    if (is_so != was_so) {
        change_bit(zone, map);
    }
    return is_so && !was_so;
}

/* A zone was read.  @bs is NULL at open, when there is nobody to tell. */
static void note_zone(BlockDriverState *bs, RawZones *zones,
                      const BlockZoneDescriptor *d)
{
    const uint32_t zone = d->start / zones->hz.limits.zone_size;
    bool is_new = remember(zones->read_only, zone,
                           d->state == BLK_ZS_RDONLY);

    is_new |= remember(zones->offline, zone, d->state == BLK_ZS_OFFLINE);
    if (is_new && bs) {
        bdrv_zoned_lost(bs, d->start, d->start + d->length, 1, d->state);
    }
}

/*
 * Opening
 */

static bool check_driver(const BlockDriver *drv, Error **errp)
{
    if (!drv->bdrv_co_zone_report) {
        error_setg(errp, "Driver '%s' does not support zoned disks: use "
                   "host_device", drv->format_name);
        return false;
    }
    return true;
}

static bool check_cache(const HostZones *hz, int flags, Error **errp)
{
    if (hz->limits.model == BLK_Z_HM && !(flags & BDRV_O_NOCACHE)) {
        error_setg(errp, "A host-managed zoned disk needs cache.direct=on "
                   "(cache=none), because the host's page cache would write "
                   "out of order");
        return false;
    }
    return true;
}

/* Tell the queue what all zones are, in chunks; before there are requests */
static int load_zones(RawZones *zones)
{
    const HostZones *hz = &zones->hz;
    unsigned int room = MIN(hz->limits.nr_zones, CHUNK_ZONES);
    g_autofree BlockZoneDescriptor *d = g_try_new(BlockZoneDescriptor, room);
    int64_t offset = 0;

    if (!d) {
        return -ENOMEM;
    }
    while (offset < hz->length) {
        unsigned int i, n = room;
        int ret = host_zones_report(*zones->fd, hz, offset, &n, d);

        if (ret < 0) {
            return ret;
        }
        for (i = 0; i < n; i++) {
            note_zone(NULL, zones, &d[i]);
            zone_queue_set_zone(zones->queue, NULL, &d[i]);
        }
        offset = d[n - 1].start + d[n - 1].length;
    }
    return 0;
}

static bool start_queue(RawZones *zones, Error **errp)
{
    const HostZones *hz = &zones->hz;
    ZoneQueueLimits limits = {
        .length = hz->length,
        .zone_size = hz->limits.zone_size,
        .write_granularity = hz->limits.write_granularity,
        .max_transfer = MIN_NON_ZERO(hz->max_transfer, BDRV_REQUEST_MAX_BYTES),
        .max_iov = MIN_NON_ZERO(hz->max_segments, IOV_MAX),
    };
    int ret;

    zones->queue = zone_queue_new(&limits, raw_zoned_wake, NULL);
    zones->read_only = bitmap_try_new(hz->limits.nr_zones);
    zones->offline = bitmap_try_new(hz->limits.nr_zones);
    if (!zones->queue || !zones->read_only || !zones->offline) {
        error_setg(errp, "Not enough memory for the state of %" PRIu32
                   " zones", hz->limits.nr_zones);
        return false;
    }
    ret = load_zones(zones);
    if (ret == -EACCES || ret == -EPERM) {
        error_setg_errno(errp, -ret, "Could not read the zones of the disk; "
                         "older kernels demand CAP_SYS_ADMIN for it");
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the zones of the disk");
    }
    return ret == 0;
}

static RawZones *new_zones(const HostZones *hz, const int *fd, Error **errp)
{
    RawZones *zones = g_new0(RawZones, 1);

    zones->hz = *hz;
    zones->fd = fd;
    if (!start_queue(zones, errp)) {
        raw_zoned_close(zones);
        return NULL;
    }
    return zones;
}

bool raw_zoned_open(BlockDriverState *bs, const int *fd, RawZones **zones,
                    Error **errp)
{
    HostZones hz;

    *zones = NULL;
    if (!host_zones_probe(*fd, &hz, errp)) {
        goto fail;
    }
    if (hz.limits.model == BLK_Z_NONE) {
        return true;
    }
    if (!check_driver(bs->drv, errp) ||
        !check_cache(&hz, bs->open_flags, errp)) {
        goto fail;
    }
    trace_raw_zoned_open(bs, hz.limits.model, hz.limits.zone_size,
                         hz.limits.nr_zones);
    *zones = new_zones(&hz, fd, errp);
    if (*zones) {
        return true;
    }
fail:
    error_prepend(errp, "Could not open '%s': ", bs->filename);
    return false;
}

void raw_zoned_close(RawZones *zones)
{
    if (zones) {
        zone_queue_free(zones->queue);
        g_free(zones->read_only);
        g_free(zones->offline);
        g_free(zones);
    }
}

bool raw_zoned_check_reopen(const RawZones *zones, int flags, Error **errp)
{
    return !zones || check_cache(&zones->hz, flags, errp);
}

void raw_zoned_forget(RawZones *zones)
{
    if (zones) {
        zone_queue_forget_all(zones->queue);
    }
}

void raw_zoned_refresh_limits(BlockDriverState *bs, const RawZones *zones)
{
    bs->bl.zones = zones->hz.limits;
}

void raw_zoned_block_sizes(const RawZones *zones, BlockSizes *sizes)
{
    sizes->log = MAX(sizes->log, zones->hz.limits.write_granularity);
    sizes->phys = MAX(sizes->phys, sizes->log);
}

/*
 * Worker threads
 */

typedef struct RawZoneWork {
    const HostZones *hz;
    int fd;
    BlockZoneOp op;
    int64_t offset;
    int64_t len;
    unsigned int nr_zones;
    BlockZoneDescriptor *zones;
} RawZoneWork;

static int report_worker(void *opaque)
{
    RawZoneWork *w = opaque;

    return host_zones_report(w->fd, w->hz, w->offset, &w->nr_zones, w->zones);
}

static int mgmt_worker(void *opaque)
{
    RawZoneWork *w = opaque;

    return host_zones_mgmt(w->fd, w->hz, w->op, w->offset, w->len);
}

static int coroutine_fn submit_work(BlockDriverState *bs,
                                    const RawZones *zones,
                                    ThreadPoolFunc *func, RawZoneWork *w)
{
    ThreadPool *pool = aio_get_thread_pool(bdrv_get_aio_context(bs));

    w->hz = &zones->hz;
    w->fd = *zones->fd;
    if (w->fd < 0) {
        return -EIO;
    }
    return thread_pool_submit_co(pool, func, w);
}

int coroutine_fn raw_zoned_co_report(BlockDriverState *bs, RawZones *zones,
                                     int64_t offset, unsigned int *nr_zones,
                                     BlockZoneDescriptor *descriptors)
{
    RawZoneWork w = {
        .offset = offset,
        .nr_zones = *nr_zones,
        .zones = descriptors,
    };
    int ret = submit_work(bs, zones, report_worker, &w);
    unsigned int i;

    if (ret < 0) {
        return ret;
    }
    *nr_zones = w.nr_zones;
    for (i = 0; i < w.nr_zones; i++) {
        note_zone(bs, zones, &descriptors[i]);
    }
    return 0;
}

/*
 * Reads wait for nothing
 */

/* The kernel reports a read from an offline zone as a plain I/O error */
static bool coroutine_fn touches_offline_zone(BlockDriverState *bs,
                                              RawZones *zones, int64_t offset,
                                              int64_t bytes)
{
    int64_t end = offset + bytes;
    BlockZoneDescriptor d[16];

    while (offset < end) {
        unsigned int i, n = ARRAY_SIZE(d);

        if (raw_zoned_co_report(bs, zones, offset, &n, d) < 0 || !n) {
            return false;
        }
        for (i = 0; i < n && d[i].start < end; i++) {
            if (d[i].state == BLK_ZS_OFFLINE) {
                return true;
            }
        }
        offset = d[n - 1].start + d[n - 1].length;
    }
    return false;
}

/*
 * What is behind the end of a disk reads as zeroes, and a disk that has gone
 * away ends at 0.  To ask for its length does not block.
 */
static bool is_cut_off(const RawZones *zones, int64_t end,
                       QEMUIOVector *qiov)
{
    uint8_t last = 0;

    qemu_iovec_to_buf(qiov, qiov->size - 1, &last, sizeof(last));
    return last == 0 && host_zones_length(*zones->fd) < end;
}

int coroutine_fn raw_zoned_co_preadv(BlockDriverState *bs, RawZones *zones,
                                     int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov)
{
    int ret = raw_co_prw(bs, offset, bytes, qiov, QEMU_AIO_READ);

    if (ret < 0) {
        if (touches_offline_zone(bs, zones, offset, bytes)) {
            return -ENXIO;
        }
        if (block_zone_errno_is_guest_error(ret)) {
            return -EIO;
        }
        return ret;
    }
    return bytes && is_cut_off(zones, offset + bytes, qiov) ? -EIO : 0;
}

/*
 * Writes, appends and operations: the steps that the queue asks for
 */

static ZoneQueueStep coroutine_fn do_read(BlockDriverState *bs,
                                          RawZones *zones,
                                          ZoneQueueRequest *q)
{
    BlockZoneDescriptor d;
    unsigned int n = 1;
    int ret = raw_zoned_co_report(bs, zones, q->step_offset, &n, &d);

    trace_raw_zoned_read(bs, q->step_offset, ret, ret < 0 ? -1 : d.state,
                         ret < 0 ? -1 : d.wp);
    return zone_queue_read(zones->queue, q, ret, &d);
}

static int coroutine_fn transfer_joined(BlockDriverState *bs,
                                        ZoneQueueRequest *q)
{
    ZoneQueueRequest *part = NULL;
    QEMUIOVector qiov;
    int ret;

    qemu_iovec_init(&qiov, q->step_niov);
    while ((part = zone_queue_next_part(q, part))) {
        qemu_iovec_concat(&qiov, raw_request(part)->qiov, 0, part->bytes);
    }
    ret = raw_co_prw(bs, q->step_offset, q->step_bytes, &qiov,
                     QEMU_AIO_WRITE);
    qemu_iovec_destroy(&qiov);
    return ret;
}

static ZoneQueueStep coroutine_fn do_transfer(BlockDriverState *bs,
                                              RawZones *zones,
                                              ZoneQueueRequest *q)
{
    int ret;

    if (q->step_parts == 1) {
        ret = raw_co_prw(bs, q->step_offset, q->step_bytes,
                         raw_request(q)->qiov, QEMU_AIO_WRITE);
    } else {
        ret = transfer_joined(bs, q);
    }
    trace_raw_zoned_transfer(bs, q->step_offset, q->step_bytes, q->step_parts,
                             ret);
    /*
     * How an aio engine tells that only a part was written.  A disk does not
     * run out of space, and no VM should be stopped until there is more.
     */
    if (ret == -ENOSPC) {
        ret = -EIO;
    }
    return zone_queue_transferred(zones->queue, q, ret);
}

/* Tell the queue what the zones of an operation are now */
static int coroutine_fn refresh_zones(BlockDriverState *bs, RawZones *zones,
                                      ZoneQueueRequest *q)
{
    int64_t offset = q->offset, end = q->offset + q->bytes;
    unsigned int room = MIN((end - offset - 1) / zones->hz.limits.zone_size + 1,
                            CHUNK_ZONES);
    g_autofree BlockZoneDescriptor *d = g_try_new(BlockZoneDescriptor, room);

    if (!d) {
        return -ENOMEM;
    }
    while (offset < end) {
        unsigned int i, n = room;
        int ret = raw_zoned_co_report(bs, zones, offset, &n, d);

        if (ret < 0) {
            return ret;
        }
        /* Those behind the range, in the last chunk, are ignored */
        for (i = 0; i < n; i++) {
            zone_queue_set_zone(zones->queue, q, &d[i]);
        }
        offset = d[n - 1].start + d[n - 1].length;
    }
    return 0;
}

static ZoneQueueStep coroutine_fn do_operate(BlockDriverState *bs,
                                             RawZones *zones,
                                             ZoneQueueRequest *q)
{
    RawZoneWork w = {
        .op = raw_request(q)->op,
        .offset = q->offset,
        .len = q->bytes,
    };
    int ret = submit_work(bs, zones, mgmt_worker, &w);

    trace_raw_zoned_mgmt(bs, w.op, w.offset, w.len, ret);
    if (refresh_zones(bs, zones, q) < 0) {
        zone_queue_forget(zones->queue, q->offset, q->bytes);
    }
    return zone_queue_operated(zones->queue, q, ret);
}

static int coroutine_fn run_request(BlockDriverState *bs, RawZones *zones,
                                    RawZoneRequest *req)
{
    ZoneQueueStep step;

    req->co = qemu_coroutine_self();
    step = zone_queue_add(zones->queue, &req->q);
    for (;;) {
        switch (step) {
        case ZONE_QUEUE_WAIT:
            qemu_coroutine_yield();
            step = zone_queue_resume(zones->queue, &req->q);
            break;
        case ZONE_QUEUE_READ:
            step = do_read(bs, zones, &req->q);
            break;
        case ZONE_QUEUE_TRANSFER:
            step = do_transfer(bs, zones, &req->q);
            break;
        case ZONE_QUEUE_OPERATE:
            step = do_operate(bs, zones, &req->q);
            break;
        case ZONE_QUEUE_DONE:
            return req->q.ret;
        }
    }
}

int coroutine_fn raw_zoned_co_pwritev(BlockDriverState *bs, RawZones *zones,
                                      int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov)
{
    RawZoneRequest req = {
        .q.kind = ZONE_QUEUE_WRITE,
        .q.offset = offset,
        .q.bytes = bytes,
        .q.niov = qiov->niov,
        .qiov = qiov,
    };

    return run_request(bs, zones, &req);
}

int coroutine_fn raw_zoned_co_append(BlockDriverState *bs, RawZones *zones,
                                     int64_t *offset, QEMUIOVector *qiov)
{
    RawZoneRequest req = {
        .q.kind = ZONE_QUEUE_APPEND,
        .q.offset = *offset,
        .q.bytes = qiov->size,
        .q.niov = qiov->niov,
        .qiov = qiov,
    };
    int ret = run_request(bs, zones, &req);

    if (ret == 0) {
        *offset = req.q.offset;
    }
    return ret;
}

int coroutine_fn raw_zoned_co_mgmt(BlockDriverState *bs, RawZones *zones,
                                   BlockZoneOp op, int64_t offset, int64_t len)
{
    RawZoneRequest req = {
        .q.kind = ZONE_QUEUE_OPERATION,
        .q.offset = offset,
        .q.bytes = len,
        .op = op,
    };

    return run_request(bs, zones, &req);
}
