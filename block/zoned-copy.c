/*
 * Copying the zones of a disk that is in use to an equal one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A zone of the target is written from its start on, in the order of its
 * data: how far the copy has come is told by the target's own write pointer.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/memalign.h"
#include "block/block_int.h"
#include "block/zoned-int.h"
#include "migration/blocker.h"
#include "sysemu/block-backend.h"
#include "zoned-copy.h"

/* Zones looked at in one go */
#define REPORT_ZONES 64

bool bdrv_zoned_job_wanted(BlockDriverState *source, BlockDriverState *target)
{
    return bdrv_is_zoned(source) && bdrv_is_zoned(target);
}

/*
 * What can be copied
 */

static bool check_equal(BlockDriverState *source, BlockDriverState *target,
                        const char *what, int64_t ours, int64_t theirs,
                        Error **errp)
{
    if (theirs != ours) {
        error_setg(errp, "Zoned node '%s' is not equal to '%s': its %s is %"
                   PRId64 ", not %" PRId64,
                   bdrv_get_device_or_node_name(target),
                   bdrv_get_device_or_node_name(source), what, theirs, ours);
    }
    return theirs == ours;
}

static bool check_nodes(BlockDriverState *source, BlockDriverState *target,
                        Error **errp)
{
    const BlockZoneLimits *s = bdrv_zone_limits(source);
    const BlockZoneLimits *t = bdrv_zone_limits(target);

#define EQUAL(what, field) \
    check_equal(source, target, what, s->field, t->field, errp)
    return check_equal(source, target, "size", bdrv_getlength(source),
                       bdrv_getlength(target), errp) &&
           EQUAL("model", model) &&
           EQUAL("zone size", zone_size) &&
           EQUAL("write granularity", write_granularity) &&
           EQUAL("limit of open zones", max_open_zones) &&
           EQUAL("limit of active zones", max_active_zones) &&
           EQUAL("size of descriptor extensions", extension_size);
#undef EQUAL
}

bool zoned_copy_check(BlockDriverState *source, BlockDriverState *target,
                      const ZonedJobOptions *o, const char *job,
                      Error **errp)
{
    if (bdrv_skip_filters(source) == bdrv_skip_filters(target)) {
        error_setg(errp, "Source and target of a block job cannot be the same "
                   "node");
        return false;
    }
    if (o->sync != MIRROR_SYNC_MODE_FULL) {
        error_setg(errp, "Sync mode '%s' cannot be used on zoned nodes, which "
                   "are copied as a whole: use 'full'",
                   MirrorSyncMode_str(o->sync));
        return false;
    }
    if (o->unusable) {
        error_setg(errp, "Option '%s' cannot be used on zoned nodes, which "
                   "are copied zone by zone: leave it out", o->unusable);
        return false;
    }
    if (o->on_source_error == BLOCKDEV_ON_ERROR_IGNORE ||
        o->on_target_error == BLOCKDEV_ON_ERROR_IGNORE) {
        error_setg(errp, "Errors cannot be ignored on zoned nodes, whose zones "
                   "have no gaps: use 'report', 'stop' or 'enospc'");
        return false;
    }
    if (bdrv_zone_limits(source)->model != BLK_Z_HM) {
        error_setg(errp, "Block job '%s' cannot copy node '%s', which is not "
                   "host-managed", job, bdrv_get_device_or_node_name(source));
        return false;
    }
    return check_nodes(source, target, errp);
}

/*
 * Set-up
 */

unsigned long zoned_copy_nr_chunks(const ZonedCopy *c)
{
    return c->limits.nr_zones * zoned_copy_chunks_per_zone(c);
}

static bool copy_block_migration(ZonedCopy *c, BlockJob *job, Error **errp)
{
    error_setg(&c->migration_blocker, "Block job '%s' is copying zoned node "
               "'%s': wait until it is completed, or cancel it",
               job->job.id ?: job_type_str(&job->job),
               bdrv_get_device_or_node_name(c->source));
    if (migrate_add_blocker_internal(c->migration_blocker, errp) < 0) {
        error_free(c->migration_blocker);
        c->migration_blocker = NULL;
        return false;
    }
    return true;
}

static bool copy_open_target(ZonedCopy *c, BlockJob *job, Error **errp)
{
    c->target = blk_new(bdrv_get_aio_context(c->source), BLK_PERM_WRITE,
                        BLK_PERM_WRITE_UNCHANGED);
    if (blk_insert_bs(c->target, c->target_bs, errp) < 0) {
        return false;
    }
    blk_set_allow_aio_context_change(c->target, true);
    /* A change that waits for its zone to be copied is drained, too */
    blk_set_disable_request_queuing(c->target, true);
    return block_job_add_bdrv(job, "source", c->source, 0, BLK_PERM_ALL,
                              errp) == 0 &&
           block_job_add_bdrv(job, "target", c->target_bs, 0, BLK_PERM_ALL,
                              errp) == 0;
}

bool zoned_copy_create(ZonedCopy *c, BlockJob *job, BlockDriverState *filter,
                       BlockDriverState *source, BlockDriverState *target,
                       Error **errp)
{
    c->filter = filter;
    c->source = source;
    c->target_bs = target;
    bdrv_ref(source);
    bdrv_ref(target);
    bdrv_zoned_protect(source);
    bdrv_zoned_protect(target);
    c->limits = *bdrv_zone_limits(source);
    c->length = bdrv_getlength(source);
    c->conventional = bitmap_try_new(c->limits.nr_zones);
    c->buf = qemu_try_blockalign(source, ZONED_COPY_CHUNK);
    c->extension = g_malloc(c->limits.extension_size);
    if (!c->conventional || !c->buf) {
        error_setg(errp, "Not enough memory for %" PRIu32 " zones",
                   c->limits.nr_zones);
        return false;
    }
    return copy_open_target(c, job, errp) &&
           copy_block_migration(c, job, errp);
}

void zoned_copy_destroy(ZonedCopy *c)
{
    if (!c->source) {
        return;
    }
    if (c->migration_blocker) {
        migrate_del_blocker(c->migration_blocker);
        error_free(c->migration_blocker);
    }
    blk_unref(c->target);
    bdrv_zoned_unprotect(c->source);
    bdrv_zoned_unprotect(c->target_bs);
    bdrv_unref(c->source);
    bdrv_unref(c->target_bs);
    g_free(c->conventional);
    qemu_vfree(c->buf);
    g_free(c->extension);
    memset(c, 0, sizeof(*c));
}

/*
 * A look at all zones of both disks
 */

typedef struct Look {
    ZonedCopy *c;
    ZonedCopyVisit *visit;
    void *opaque;
    Error **errp;
    bool ok;
    bool done;
} Look;

static bool zone_is_usable(const BlockZoneDescriptor *d)
{
    return d->state != BLK_ZS_RDONLY && d->state != BLK_ZS_OFFLINE;
}

static bool look_check_usable(BlockDriverState *bs, uint32_t zone,
                              const BlockZoneDescriptor *d, Error **errp)
{
    if (zone_is_usable(d)) {
        return true;
    }
    error_setg(errp, "Zone %" PRIu32 " of node '%s' is %s, and cannot be "
               "copied", zone, bdrv_get_device_or_node_name(bs),
               d->state == BLK_ZS_RDONLY ? "read-only" : "offline");
    return false;
}

static bool look_check_zone(ZonedCopy *c, uint32_t zone,
                            const BlockZoneDescriptor *s,
                            const BlockZoneDescriptor *t, Error **errp)
{
    g_autofree char *type = g_strdup_printf("type of zone %" PRIu32, zone);
    g_autofree char *cap = g_strdup_printf("capacity of zone %" PRIu32, zone);

    return look_check_usable(c->source, zone, s, errp) &&
           look_check_usable(c->target_bs, zone, t, errp) &&
           check_equal(c->source, c->target_bs, type, s->type, t->type,
                       errp) &&
           check_equal(c->source, c->target_bs, cap, s->cap, t->cap, errp);
}

static int coroutine_fn look_report(BlockDriverState *bs, int64_t offset,
                                    unsigned int *n,
                                    BlockZoneDescriptor *zones, Error **errp)
{
    int ret;

    *n = REPORT_ZONES;
    ret = bdrv_co_zone_report(bs, offset, n, zones);
    if (ret == 0 && !*n) {
        ret = -EIO;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot report the zones of node '%s'",
                         bdrv_get_device_or_node_name(bs));
    }
    return ret;
}

static bool coroutine_fn look_at_all(Look *look)
{
    ZonedCopy *c = look->c;
    BlockZoneDescriptor s[REPORT_ZONES], t[REPORT_ZONES];
    uint32_t zone = 0;

    while (zone < c->limits.nr_zones) {
        int64_t offset = zone * c->limits.zone_size;
        unsigned int i, ns, nt;

        if (look_report(c->source, offset, &ns, s, look->errp) < 0 ||
            look_report(c->target_bs, offset, &nt, t, look->errp) < 0) {
            return false;
        }
        for (i = 0; i < MIN(ns, nt); i++, zone++) {
            if (!look_check_zone(c, zone, &s[i], &t[i], look->errp)) {
                return false;
            }
            if (s[i].type == BLK_ZT_CONV) {
                set_bit(zone, c->conventional);
            }
            look->visit(look->opaque, zone, &s[i]);
        }
    }
    /* Last, as it often follows from the capacity */
    return check_equal(c->source, c->target_bs, "largest append",
                       c->limits.max_append_bytes,
                       bdrv_zone_limits(c->target_bs)->max_append_bytes,
                       look->errp);
}

static void coroutine_fn look_entry(void *opaque)
{
    Look *look = opaque;

    look->ok = look_at_all(look);
    look->done = true;
    aio_wait_kick();
}

bool zoned_copy_look(ZonedCopy *c, ZonedCopyVisit *visit, void *opaque,
                     Error **errp)
{
    Look look = {
        .c = c,
        .visit = visit,
        .opaque = opaque,
        .errp = errp,
    };

    bdrv_coroutine_enter(c->source,
                         qemu_coroutine_create(look_entry, &look));
    BDRV_POLL_WHILE(c->source, !look.done);
    return look.ok;
}

/*
 * Copying
 */

static int copy_failed(ZonedCopy *c, bool source, uint32_t zone, int ret)
{
    if (ret < 0) {
        c->source_failed = source;
        c->lost = false;
        c->failed_zone = zone;
    }
    return ret;
}

void zoned_copy_set_error(const ZonedCopy *c, int ret, Error **errp)
{
    BlockDriverState *bs = c->source_failed ? c->source : c->target_bs;
    const char *node = bdrv_get_device_or_node_name(bs);

    if (c->lost) {
        error_setg(errp, "Zone %" PRIu32 " of node '%s' is %s, and cannot be "
                   "copied%s", c->failed_zone, node,
                   ret == -EROFS ? "read-only" : "offline",
                   c->source_failed ? "" : " to");
        return;
    }
    error_setg_errno(errp, -ret, "Zone %" PRIu32 " could not be %s node '%s'",
                     c->failed_zone, c->source_failed ? "read from"
                                                      : "copied to", node);
}

static int coroutine_fn copy_report(ZonedCopy *c, BlockDriverState *bs,
                                    uint32_t zone, bool read_only_ok,
                                    BlockZoneDescriptor *d)
{
    unsigned int n = 1;
    int ret = bdrv_co_zone_report(bs, zone * c->limits.zone_size, &n, d);

    if (ret == 0 && n != 1) {
        ret = -EIO;
    }
    copy_failed(c, bs == c->source, zone, ret);
    if (ret == 0 && !zone_is_usable(d) &&
        !(read_only_ok && d->state == BLK_ZS_RDONLY)) {
        ret = d->state == BLK_ZS_RDONLY ? -EROFS : -ENXIO;
        copy_failed(c, bs == c->source, zone, ret);
        c->lost = true;
    }
    return ret;
}

int coroutine_fn zoned_copy_report_target(ZonedCopy *c, uint32_t zone,
                                          BlockZoneDescriptor *d)
{
    return copy_report(c, c->target_bs, zone, false, d);
}

int coroutine_fn zoned_copy_report_source(ZonedCopy *c, uint32_t zone,
                                          bool read_only_ok,
                                          BlockZoneDescriptor *d)
{
    return copy_report(c, c->source, zone, read_only_ok, d);
}

int coroutine_fn zoned_copy_begin(ZonedCopy *c)
{
    int ret;

    if (c->begun) {
        return 0;
    }
    ret = blk_co_zone_mgmt_all(c->target, BLK_ZO_RESET);
    if (ret == 0) {
        /* Once for all zones, before each of them would wait for it */
        ret = blk_co_flush(c->target);
    }
    c->begun = ret == 0;
    return copy_failed(c, false, 0, ret);
}

int coroutine_fn zoned_copy_mgmt(ZonedCopy *c, BlockZoneOp op, uint32_t zone)
{
    int64_t start = zone * c->limits.zone_size;
    int ret = blk_co_zone_mgmt(c->target, op, start,
                               MIN(c->limits.zone_size, c->length - start));

    return copy_failed(c, false, zone, ret);
}

int coroutine_fn zoned_copy_flush(ZonedCopy *c)
{
    return copy_failed(c, false, 0, blk_co_flush(c->target));
}

static int coroutine_fn copy_read(ZonedCopy *c, int64_t offset, int64_t bytes)
{
    return bdrv_co_pread(c->filter->backing, offset, bytes, c->buf, 0);
}

/*
 * Copy as much as is alike, zeroes or data, of what is at most a chunk.
 *
 * Returns: how much that was, or -errno.
 */
static int64_t coroutine_fn copy_data(ZonedCopy *c, int64_t offset,
                                      int64_t bytes)
{
    uint32_t zone = zoned_copy_zone(c, offset);
    int64_t n;
    int status, ret;

    status = bdrv_block_status_above(c->source, NULL, offset, bytes, &n, NULL,
                                     NULL);
    if (status < 0) {
        return copy_failed(c, true, zone, status);
    }
    n = QEMU_ALIGN_DOWN(n, c->limits.write_granularity);
    if (n && status & BDRV_BLOCK_ZERO) {
        ret = blk_co_pwrite_zeroes(c->target, offset, n, BDRV_REQ_MAY_UNMAP);
        return ret < 0 ? copy_failed(c, false, zone, ret) : n;
    }
    n = n ?: bytes;
    ret = copy_read(c, offset, n);
    if (ret < 0) {
        return copy_failed(c, true, zone, ret);
    }
    ret = blk_co_pwrite(c->target, offset, n, c->buf, 0);
    return ret < 0 ? copy_failed(c, false, zone, ret) : n;
}

/* Of a zone that is full: whether nothing but zeroes is left to be copied */
static int coroutine_fn copy_only_zeroes(ZonedCopy *c, int64_t offset,
                                         int64_t end)
{
    int64_t n;
    int ret = bdrv_block_status_above(c->source, NULL, offset, end - offset,
                                      &n, NULL, NULL);

    if (ret < 0) {
        return copy_failed(c, true, zoned_copy_zone(c, offset), ret);
    }
    return (ret & BDRV_BLOCK_ZERO) && n == end - offset;
}

static int coroutine_fn copy_extension(ZonedCopy *c, int64_t offset)
{
    uint32_t zone = zoned_copy_zone(c, offset);
    int ret = bdrv_co_zone_get_extension(c->source, offset, c->extension);

    if (ret < 0) {
        return copy_failed(c, true, zone, ret);
    }
    ret = blk_co_zone_set_extension(c->target, offset, c->extension);
    return copy_failed(c, false, zone, ret);
}

int64_t coroutine_fn zoned_copy_step(ZonedCopy *c,
                                     const BlockZoneDescriptor *src)
{
    uint32_t zone = zoned_copy_zone(c, src->start);
    bool full = src->state == BLK_ZS_FULL;
    int64_t end = full ? src->start + src->cap : src->wp;
    BlockZoneDescriptor dst;
    int ret;

    ret = zoned_copy_report_target(c, zone, &dst);
    if (ret < 0) {
        return ret;
    }
    if (dst.state == BLK_ZS_FULL) {
        /* Otherwise, the disk itself has finished the zone */
        return full ? 0 : copy_failed(c, false, zone, -EFBIG);
    }
    if (src->has_extension && !dst.has_extension) {
        ret = copy_extension(c, src->start);
        if (ret < 0) {
            return ret;
        }
    }
    if (dst.wp >= end) {
        return 0;
    }
    if (full) {
        ret = copy_only_zeroes(c, dst.wp, end);
        if (ret) {
            return ret < 0 ? ret : zoned_copy_mgmt(c, BLK_ZO_FINISH, zone);
        }
    }
    return copy_data(c, dst.wp, MIN(end - dst.wp, ZONED_COPY_CHUNK));
}

int64_t coroutine_fn zoned_copy_chunk_data(ZonedCopy *c, unsigned long chunk)
{
    unsigned long per_zone = zoned_copy_chunks_per_zone(c);
    int64_t zone_start = chunk / per_zone * c->limits.zone_size;
    int64_t zone_end = MIN(zone_start + c->limits.zone_size, c->length);
    int64_t offset = zone_start + chunk % per_zone * ZONED_COPY_CHUNK;
    int64_t end = MIN(offset + ZONED_COPY_CHUNK, zone_end);
    int64_t pos;

    for (pos = offset; pos < end; ) {
        int64_t n = copy_data(c, pos, end - pos);

        if (n < 0) {
            return n;
        }
        pos += n;
    }
    return MAX(end - offset, 0);
}
