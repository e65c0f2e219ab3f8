/*
 * qemu-img bench on zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/timer.h"
#include "block/block.h"
#include "block/qemu-img-zoned.h"
#include "block/qemu-io-zoned.h"
#include "block/zoned-io.h"

/* Zones asked for at a time before the run */
#define REPORT_CHUNK 1024

typedef struct ZoneBench ZoneBench;

typedef struct ZoneBenchZone {
    uint32_t capacity;      /* in requests */
    uint32_t left;          /* requests that still fit */
} ZoneBenchZone;

typedef struct ZoneBenchRequest {
    ZoneBench *bench;
    int64_t offset;         /* an append writes to it until it is done */
    QEMUIOVector qiov;
} ZoneBenchRequest;

struct ZoneBench {
    BlockBackend *blk;
    const ZoneBenchOptions *opts;
    int64_t length;
    int64_t zone_size;

    ZoneBenchZone *zones;
    uint32_t nr_zones;
    uint32_t current;       /* zone of the next request */
    uint64_t random_state;

    uint8_t *buf;
    size_t buf_size;
    ZoneBenchRequest *requests;
    ZoneBenchRequest **idle;
    int nr_idle;

    int unsent;
    int nr_resets;
    bool resetting;
    bool resuming;          /* bench_resumed() will be called */
    int ret;                /* of the first request that failed */
    int64_t ret_offset;     /* where that went */
};

static void bench_next_zone(ZoneBench *b)
{
    if (b->opts->random) {
        b->random_state ^= b->random_state << 13;
        b->random_state ^= b->random_state >> 7;
        b->random_state ^= b->random_state << 17;
        b->current = ((b->random_state >> 32) * b->nr_zones) >> 32;
    } else if (++b->current == b->nr_zones) {
        b->current = 0;
    }
    __builtin_prefetch(&b->zones[b->current]);
}

static int64_t bench_zone_start(const ZoneBench *b, uint32_t zone)
{
    return b->opts->offset + zone * b->zone_size;
}

static int64_t bench_zone_length(const ZoneBench *b, int64_t start)
{
    return MIN(b->zone_size, b->length - start);
}

static void bench_submit(ZoneBench *b);

static void bench_done(ZoneBench *b, int64_t offset, int ret)
{
    if (ret < 0 && b->ret == 0) {
        b->ret = ret;
        b->ret_offset = offset;
    }
}

static void bench_resumed(void *opaque)
{
    ZoneBench *b = opaque;

    b->resuming = false;
    bench_submit(b);
}

/*
 * Send more, now that something is done.  Callbacks run in coroutines.  What
 * one of them sends goes out when its coroutine has ended, and each request
 * that goes out can have further callbacks run.  So of several requests the
 * last could be overtaken by what these callbacks send: only a single one may
 * be sent from here.
 */
static void bench_resume(ZoneBench *b)
{
    if (b->nr_idle == 1 && !b->resetting) {
        bench_submit(b);
    } else if (!b->resuming) {
        b->resuming = true;
        aio_bh_schedule_oneshot(qemu_get_aio_context(), bench_resumed, b);
    }
}

static void bench_request_done(void *opaque, int ret)
{
    ZoneBenchRequest *req = opaque;
    ZoneBench *b = req->bench;

    bench_done(b, req->offset, ret);
    b->idle[b->nr_idle++] = req;
    bench_resume(b);
}

static void bench_reset_done(void *opaque, int ret)
{
    ZoneBench *b = opaque;
    ZoneBenchZone *zone = &b->zones[b->current];

    bench_done(b, bench_zone_start(b, b->current), ret);
    zone->left = zone->capacity;
    b->resetting = false;
    bench_resume(b);
}

/* Nothing is sent meanwhile, which costs little once per full zone */
static void bench_reset(ZoneBench *b)
{
    int64_t start = bench_zone_start(b, b->current);

    b->resetting = true;
    b->nr_resets++;
    blk_aio_zone_mgmt(b->blk, BLK_ZO_RESET, start,
                      bench_zone_length(b, start), bench_reset_done, b);
}

static void bench_send(ZoneBench *b)
{
    ZoneBenchRequest *req = b->idle[--b->nr_idle];
    ZoneBenchZone *zone = &b->zones[b->current];
    uint32_t done = zone->capacity - zone->left;

    req->offset = bench_zone_start(b, b->current);
    zone->left--;
    b->unsent--;
    bench_next_zone(b);

    if (b->opts->append) {
        blk_aio_zone_append(b->blk, &req->offset, &req->qiov, 0,
                            bench_request_done, req);
    } else {
        blk_aio_pwritev(b->blk, req->offset + done * b->opts->bufsize,
                        &req->qiov, 0, bench_request_done, req);
    }
}

static void bench_submit(ZoneBench *b)
{
    while (b->nr_idle > 0 && b->ret == 0 && b->unsent > 0 && !b->resetting) {
        if (b->zones[b->current].left == 0) {
            bench_reset(b);
        } else {
            bench_send(b);
        }
    }
}

static bool bench_busy(const ZoneBench *b)
{
    return b->resetting || b->resuming || b->nr_idle < b->opts->depth ||
           (b->ret == 0 && b->unsent > 0);
}

static int bench_check(BlockBackend *blk, const ZoneBenchOptions *opts,
                       Error **errp)
{
    const BlockZoneLimits *limits = blk_zone_limits(blk);
    uint32_t nr_zones = MAX(opts->nr_zones, 1);
    uint32_t first;

    if (!blk_is_zoned(blk)) {
        error_setg(errp, "The image is not zoned");
        return -ENOTSUP;
    }
    if (opts->offset % limits->zone_size ||
        opts->offset / limits->zone_size >= limits->nr_zones) {
        error_setg(errp, "The offset (-o) must be the start of a zone, a "
                   "multiple of %" PRId64 " below %" PRId64, limits->zone_size,
                   limits->zone_size * limits->nr_zones);
        return -EINVAL;
    }
    first = opts->offset / limits->zone_size;
    if (nr_zones > limits->nr_zones - first) {
        error_setg(errp, "--zones must be at most %" PRIu32
                   ", what there is from the offset on",
                   limits->nr_zones - first);
        return -EINVAL;
    }
    if (limits->max_active_zones && nr_zones > limits->max_active_zones) {
        error_setg(errp, "--zones must be at most %" PRIu32
                   ", what can be active", limits->max_active_zones);
        return -EINVAL;
    }
    if (opts->bufsize == 0 || opts->bufsize % limits->write_granularity) {
        error_setg(errp, "The buffer size (-s) must be a multiple of %" PRIu32,
                   limits->write_granularity);
        return -EINVAL;
    }
    if (opts->append && !limits->max_append_bytes) {
        error_setg(errp, "The image takes no zone appends");
        return -ENOTSUP;
    }
    if (opts->append && opts->bufsize > limits->max_append_bytes) {
        error_setg(errp, "The buffer size (-s) must be at most %" PRId64
                   ", the longest append", limits->max_append_bytes);
        return -EINVAL;
    }
    if (opts->depth < 1) {
        error_setg(errp, "The queue depth (-d) must be at least 1");
        return -EINVAL;
    }
    return 0;
}

/* Note how much fits into @zone: nothing if it is to be reset first */
static int bench_check_zone(ZoneBench *b, ZoneBenchZone *zone,
                            const BlockZoneDescriptor *desc, Error **errp)
{
    if (desc->state == BLK_ZS_NOT_WP || desc->state == BLK_ZS_RDONLY ||
        desc->state == BLK_ZS_OFFLINE) {
        error_setg(errp, "The zone at offset %" PRId64 " is %s",
                   desc->start,
                   desc->state == BLK_ZS_NOT_WP ? "conventional" :
                   desc->state == BLK_ZS_RDONLY ? "read-only" : "offline");
        return -EINVAL;
    }
    if (b->opts->bufsize > desc->cap) {
        error_setg(errp, "The buffer size (-s) must be at most %" PRId64
                   ", the capacity of the zone at offset %" PRId64,
                   desc->cap, desc->start);
        return -EINVAL;
    }
    zone->capacity = MIN(desc->cap / b->opts->bufsize, UINT32_MAX);
    zone->left = desc->state == BLK_ZS_EMPTY ? zone->capacity : 0;
    return 0;
}

/*
 * Over a million zones, the time that goes into cache misses of the bench
 * would be taken for that of the disk: huge pages and a prefetch avoid most.
 */
static int bench_alloc_zones(ZoneBench *b, Error **errp)
{
    size_t size = b->nr_zones * sizeof(b->zones[0]);

    b->zones = qemu_anon_ram_alloc(size, NULL, false, false);
    if (!b->zones) {
        error_setg(errp, "Not enough memory for %" PRIu32 " zones",
                   b->nr_zones);
        return -ENOMEM;
    }
    qemu_madvise(b->zones, size, QEMU_MADV_HUGEPAGE);
    return 0;
}

static int bench_check_zones(ZoneBench *b, Error **errp)
{
    g_autofree BlockZoneDescriptor *descs = g_new(BlockZoneDescriptor,
                                                  REPORT_CHUNK);
    uint32_t zone = 0;
    unsigned int n, i;
    int ret;

    b->length = blk_getlength(b->blk);
    if (b->length < 0) {
        error_setg_errno(errp, -b->length, "Could not get the image's length");
        return b->length;
    }

    ret = bench_alloc_zones(b, errp);
    if (ret < 0) {
        return ret;
    }

    while (zone < b->nr_zones) {
        n = MIN(REPORT_CHUNK, b->nr_zones - zone);
        ret = blk_zone_report(b->blk, bench_zone_start(b, zone), &n, descs);
        if (ret == 0 && n == 0) {
            ret = -EIO;
        }
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not report zones");
            return ret;
        }
        for (i = 0; i < n; i++, zone++) {
            ret = bench_check_zone(b, &b->zones[zone], &descs[i], errp);
            if (ret < 0) {
                return ret;
            }
        }
    }
    return 0;
}

/* Make all zones empty: not before it is known that the bench can run */
static int bench_reset_zones(ZoneBench *b, Error **errp)
{
    uint32_t i;
    int ret;

    for (i = 0; i < b->nr_zones; i++) {
        int64_t start = bench_zone_start(b, i);

        if (b->zones[i].left) {
            continue;
        }
        ret = blk_zone_mgmt(b->blk, BLK_ZO_RESET, start,
                            bench_zone_length(b, start));
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not reset the zone at offset %"
                             PRId64, start);
            return ret;
        }
        b->zones[i].left = b->zones[i].capacity;
    }
    return 0;
}

static int bench_prepare_requests(ZoneBench *b, Error **errp)
{
    const ZoneBenchOptions *opts = b->opts;
    int i;

    if (opts->bufsize <= SIZE_MAX / opts->depth) {
        b->buf_size = opts->bufsize * opts->depth;
        b->buf = blk_try_blockalign(b->blk, b->buf_size);
    }
    b->requests = g_try_new0(ZoneBenchRequest, opts->depth);
    b->idle = g_try_new(ZoneBenchRequest *, opts->depth);
    if (!b->buf || !b->requests || !b->idle) {
        error_setg(errp, "Not enough memory for %d requests of %zu bytes",
                   opts->depth, opts->bufsize);
        return -ENOMEM;
    }

    memset(b->buf, opts->pattern, b->buf_size);
    for (i = 0; i < opts->depth; i++) {
        ZoneBenchRequest *req = &b->requests[i];

        req->bench = b;
        qemu_iovec_init_buf(&req->qiov, b->buf + i * opts->bufsize,
                            opts->bufsize);
        b->idle[b->nr_idle++] = req;
    }
    return 0;
}

static int bench_measure(ZoneBench *b, Error **errp)
{
    const ZoneBenchOptions *opts = b->opts;
    int64_t start_ns;

    printf("Sending %d %s requests, %zu bytes each, %d in parallel, "
           "to %" PRIu32 " zone%s (starting at offset %" PRId64 ")\n",
           opts->count, opts->append ? "zone append" : "write",
           opts->bufsize, opts->depth, b->nr_zones,
           b->nr_zones == 1 ? "" : opts->random ? "s at random" : "s in turn",
           opts->offset);

    start_ns = get_clock();
    bench_submit(b);
    while (bench_busy(b)) {
        main_loop_wait(false);
    }
    if (b->ret < 0) {
        g_autofree char *reason = zone_strerror(b->blk, b->ret_offset,
                                                opts->bufsize, b->ret);

        error_setg(errp, "Failed request: %s", reason);
        return b->ret;
    }

    printf("Run completed in %3.3f seconds.\n",
           (double)(get_clock() - start_ns) / NANOSECONDS_PER_SECOND);
    if (b->nr_resets) {
        printf("Resets of full zones within this time: %d\n", b->nr_resets);
    }
    return 0;
}

int zone_bench_run(BlockBackend *blk, const ZoneBenchOptions *opts,
                   Error **errp)
{
    ZoneBench b = {
        .blk = blk,
        .opts = opts,
        .zone_size = blk_zone_limits(blk)->zone_size,
        .nr_zones = MAX(opts->nr_zones, 1),
        .random_state = 0x9e3779b97f4a7c15,     /* anything but 0 */
        .unsent = opts->count,
    };
    bool registered = false;
    int ret;

    ret = bench_check(blk, opts, errp);
    if (ret == 0) {
        ret = bench_check_zones(&b, errp);
    }
    if (ret == 0) {
        ret = bench_prepare_requests(&b, errp);
    }
    if (ret == 0) {
        registered = blk_register_buf(blk, b.buf, b.buf_size, errp);
        ret = registered ? bench_reset_zones(&b, errp) : -ENOMEM;
    }
    if (ret == 0) {
        ret = bench_measure(&b, errp);
    }

    if (registered) {
        blk_unregister_buf(blk, b.buf, b.buf_size);
    }
    qemu_vfree(b.buf);
    g_free(b.requests);
    g_free(b.idle);
    qemu_anon_ram_free(b.zones, b.nr_zones * sizeof(b.zones[0]));
    return ret;
}
