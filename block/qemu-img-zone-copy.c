/*
 * Copying into a zoned disk, for qemu-img convert and dd
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each zone is written from its start on, once, and then left behind.  Where
 * both disks have descriptor extensions of one size, they are copied.  A hole
 * costs nothing if the zone reads as zeroes above its write pointer and no
 * data follows in the zone; else zeroes are written.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/memalign.h"
#include "block/block_int.h"
#include "block/qemu-img-zoned.h"
#include "block/zoned-io.h"

struct ZoneCopy {
    BlockBackend *target;
    BlockBackend *source;       /* whose write pointers are kept, or NULL */
    BlockZoneLimits limits;
    int64_t length;

    BlockZoneDescriptor zone;   /* as it was when entered; length 0: none */
    int64_t end;                /* in the zone: where the copy has come to */
    uint8_t *unit;              /* what @end lies in, up to @end */
    uint8_t *extension;         /* on its way; NULL if none is copied */
    bool extended;              /* the zone has got one */

    /* Starts of zones that are partly written; kept if zones can run out */
    GArray *partial;
    char *error;                /* why the copy failed */
};

/* Say why the copy fails, unless that is known already */
static int G_GNUC_PRINTF(3, 4) copy_fail(ZoneCopy *c, int ret,
                                         const char *fmt, ...)
{
    va_list ap;

    if (!c->error) {
        va_start(ap, fmt);
        c->error = g_strdup_vprintf(fmt, ap);
        va_end(ap);
    }
    return ret;
}

static int64_t copy_zone_number(const ZoneCopy *c)
{
    return c->zone.start / c->limits.zone_size;
}

static bool copy_zone_is_sequential(const ZoneCopy *c)
{
    return c->zone.type != BLK_ZT_CONV;
}

static int64_t copy_zone_cap_end(const ZoneCopy *c)
{
    return c->zone.start + c->zone.cap;
}

/* The length of the zone that starts at @start */
static int64_t copy_zone_length(const ZoneCopy *c, int64_t start)
{
    return MIN(c->limits.zone_size, c->length - start);
}

static int copy_report(ZoneCopy *c, BlockBackend *blk, int64_t start,
                       BlockZoneDescriptor *zone)
{
    int ret = blk_zone_report_one(blk, start, zone);

    if (ret < 0) {
        return copy_fail(c, ret, "cannot report the zone at offset %" PRId64
                         ": %s", start, strerror(-ret));
    }
    return 0;
}

/*
 * Make a zone that was left partly written full, so that it is no longer
 * active.  What it reads as does not change.
 */
static int copy_finish_a_zone(ZoneCopy *c)
{
    int64_t start;

    if (!c->partial || !c->partial->len) {
        return -EOVERFLOW;
    }
    start = g_array_index(c->partial, int64_t, c->partial->len - 1);
    g_array_set_size(c->partial, c->partial->len - 1);
    return blk_zone_mgmt(c->target, BLK_ZO_FINISH, start,
                         copy_zone_length(c, start));
}

/* Write whole units at @offset, or zeroes if @buf is NULL */
static int copy_emit(ZoneCopy *c, int64_t offset, int64_t bytes,
                     const uint8_t *buf)
{
    int ret;

    do {
        if (buf) {
            ret = blk_pwrite(c->target, offset, bytes, buf, 0);
        } else {
            ret = blk_pwrite_zeroes(c->target, offset, bytes,
                                    BDRV_REQ_MAY_UNMAP);
        }
    } while (ret == -EOVERFLOW && copy_finish_a_zone(c) == 0);

    switch (ret) {
    case -EROFS:
    case -ENXIO:
        return copy_fail(c, ret, "zone %" PRId64 " at offset %" PRId64
                         " is %s", copy_zone_number(c), c->zone.start,
                         ret == -EROFS ? "read-only" : "offline");
    case -EOVERFLOW:
    case -ETOOMANYREFS:
        return copy_fail(c, ret, "zone %" PRId64 " at offset %" PRId64
                         " cannot be written: too many zones of the target "
                         "are %s", copy_zone_number(c), c->zone.start,
                         ret == -EOVERFLOW ? "active" : "open");
    default:
        return ret;
    }
}

/* Give the zone, which is empty, the descriptor extension of the source's */
static int copy_extension(ZoneCopy *c)
{
    BlockZoneDescriptor src;
    int ret;

    c->extended = false;
    if (!c->extension || c->zone.start >= blk_getlength(c->source)) {
        return 0;
    }
    ret = copy_report(c, c->source, c->zone.start, &src);
    if (ret < 0 || !src.has_extension) {
        return ret;
    }
    ret = blk_zone_get_extension(c->source, src.start, c->extension);
    if (ret == 0) {
        do {
            ret = blk_zone_set_extension(c->target, c->zone.start,
                                         c->extension);
        } while (ret == -EOVERFLOW && copy_finish_a_zone(c) == 0);
    }
    if (ret < 0) {
        return copy_fail(c, ret, "cannot copy the descriptor extension of "
                         "zone %" PRId64 " at offset %" PRId64 ": %s",
                         copy_zone_number(c), c->zone.start, strerror(-ret));
    }
    c->extended = true;
    return 0;
}

/*
 * Go on at @c->end, within the zone's capacity, with @buf, or with zeroes if
 * it is NULL.  What does not fill a unit waits in @c->unit.
 */
static int copy_put(ZoneCopy *c, int64_t bytes, const uint8_t *buf)
{
    int64_t unit_size = c->limits.write_granularity;

    assert(bytes >= 0 && bytes <= copy_zone_cap_end(c) - c->end);
    while (bytes) {
        int64_t in_unit = c->end % unit_size;
        int64_t n;
        int ret = 0;

        if (in_unit || bytes < unit_size) {
            n = MIN(bytes, unit_size - in_unit);
            if (buf) {
                memcpy(c->unit + in_unit, buf, n);
            } else {
                memset(c->unit + in_unit, 0, n);
            }
            if (in_unit + n == unit_size) {
                ret = copy_emit(c, c->end - in_unit, unit_size, c->unit);
            }
        } else {
            n = QEMU_ALIGN_DOWN(bytes, unit_size);
            ret = copy_emit(c, c->end, n, buf);
        }
        if (ret < 0) {
            return ret;
        }
        c->end += n;
        bytes -= n;
        buf = buf ? buf + n : NULL;
    }
    return 0;
}

/* Write what waits, followed by zeroes */
static int copy_flush_unit(ZoneCopy *c)
{
    return copy_put(c, ROUND_UP(c->end, c->limits.write_granularity) - c->end,
                    NULL);
}

/*
 * Go on at @offset.  A sequential zone gets zeroes up to there; in a
 * conventional one, only the unit that @offset lies in.
 */
static int copy_advance(ZoneCopy *c, int64_t offset)
{
    int64_t unit = QEMU_ALIGN_DOWN(offset, c->limits.write_granularity);
    int ret;

    if (!copy_zone_is_sequential(c) && unit > c->end) {
        ret = copy_flush_unit(c);
        if (ret < 0) {
            return ret;
        }
        c->end = unit;
    }
    return copy_put(c, offset - c->end, NULL);
}

/* Bring the zone to the write pointer that it has in the source */
static int copy_follow_source(ZoneCopy *c)
{
    BlockZoneDescriptor src;
    int ret;

    ret = copy_report(c, c->source, c->zone.start, &src);
    if (ret < 0) {
        return ret;
    }
    if (src.state == BLK_ZS_FULL && c->end < copy_zone_cap_end(c)) {
        ret = blk_zone_mgmt(c->target, BLK_ZO_FINISH, c->zone.start,
                            c->zone.length);
        if (ret < 0) {
            return copy_fail(c, ret, "cannot finish zone %" PRId64
                             " at offset %" PRId64 ": %s", copy_zone_number(c),
                             c->zone.start, strerror(-ret));
        }
        c->end = copy_zone_cap_end(c);
    } else if (zone_state_is_active(src.state) && src.wp > c->end) {
        return copy_advance(c, MIN(src.wp, copy_zone_cap_end(c)));
    }
    return 0;
}

static int copy_leave_zone(ZoneCopy *c)
{
    int ret;

    if (!c->zone.length) {
        return 0;
    }
    ret = copy_flush_unit(c);
    if (ret == 0 && copy_zone_is_sequential(c) && c->source) {
        ret = copy_follow_source(c);
    }
    if (ret == 0) {
        ret = copy_flush_unit(c);
    }
    if (ret < 0) {
        return ret;
    }
    if (c->partial && copy_zone_is_sequential(c) &&
        (c->end > c->zone.start || c->extended) &&
        c->end < copy_zone_cap_end(c)) {
        g_array_append_val(c->partial, c->zone.start);
    }
    return 0;
}

/* Make the zone that holds @offset the current one */
static int copy_enter_zone(ZoneCopy *c, int64_t offset)
{
    int64_t start = QEMU_ALIGN_DOWN(offset, c->limits.zone_size);
    int64_t next;

    if (c->zone.length && c->zone.start == start) {
        return 0;
    }
    /* To follow the source is to look at every zone */
    for (next = c->source ? c->zone.start + c->zone.length : start;
         next <= start;
         next += c->limits.zone_size) {
        int ret = copy_leave_zone(c);

        if (ret == 0) {
            ret = copy_report(c, c->target, next, &c->zone);
        }
        if (ret < 0) {
            return ret;
        }
        c->end = c->zone.start;
        ret = copy_extension(c);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

int zone_copy_write(ZoneCopy *c, int64_t offset, int64_t bytes,
                    const uint8_t *buf)
{
    while (bytes) {
        int64_t n, writable;
        int ret = copy_enter_zone(c, offset);

        if (ret < 0) {
            return ret;
        }
        n = MIN(bytes, c->zone.start + c->zone.length - offset);
        writable = MIN(n, MAX(copy_zone_cap_end(c) - offset, 0));
        if (!buffer_is_zero(buf + writable, n - writable)) {
            return copy_fail(c, -ERANGE, "zone %" PRId64 " at offset %" PRId64
                             " of the target has a capacity of %" PRId64
                             " bytes, and there is data from offset %" PRId64
                             " on", copy_zone_number(c), c->zone.start,
                             c->zone.cap, offset + writable);
        }
        if (writable) {
            ret = copy_advance(c, offset);
            if (ret == 0) {
                ret = copy_put(c, writable, buf);
            }
            if (ret < 0) {
                return ret;
            }
        }
        offset += n;
        bytes -= n;
        buf += n;
    }
    return 0;
}

/* How much from @offset on reads as zeroes, or does not, as *@zero tells */
static int64_t copy_target_status(ZoneCopy *c, int64_t offset, int64_t bytes,
                                  bool *zero)
{
    int64_t n;
    int ret = bdrv_block_status_above(blk_bs(c->target), NULL, offset, bytes,
                                      &n, NULL, NULL);

    *zero = ret >= 0 && n > 0 && (ret & BDRV_BLOCK_ZERO);
    return ret >= 0 && n > 0 ? n : bytes;
}

int zone_copy_zeroes(ZoneCopy *c, int64_t offset, int64_t bytes)
{
    while (bytes) {
        bool zero;
        int64_t n = copy_target_status(c, offset, bytes, &zero);

        if (!zero) {
            int64_t writable;
            int ret = copy_enter_zone(c, offset);

            if (ret < 0) {
                return ret;
            }
            n = MIN(n, c->zone.start + c->zone.length - offset);
            writable = MIN(n, copy_zone_cap_end(c) - offset);
            if (writable > 0) {
                ret = copy_advance(c, offset);
                if (ret == 0) {
                    ret = copy_put(c, writable, NULL);
                }
                if (ret < 0) {
                    return ret;
                }
            }
        }
        offset += n;
        bytes -= n;
    }
    return 0;
}

int zone_copy_end(ZoneCopy *c)
{
    int ret = 0;

    if (c->source) {
        ret = copy_enter_zone(c, MIN(c->length, blk_getlength(c->source)) - 1);
    }
    if (ret == 0) {
        ret = copy_leave_zone(c);
    }
    if (ret == 0) {
        ret = blk_flush(c->target);
    }
    return ret;
}

const char *zone_copy_strerror(const ZoneCopy *c, int ret)
{
    return c && c->error ? c->error : strerror(-ret);
}

bool zone_copy_check_options(BlockBackend *target, bool in_order,
                             bool compressed, Error **errp)
{
    if (!blk_is_zoned(target)) {
        return true;
    }
    if (!in_order) {
        error_setg(errp, "-W cannot be used: the zones of the target are "
                   "written in order");
        return false;
    }
    if (compressed) {
        error_setg(errp, "-c cannot be used: the target is zoned, and zones "
                   "are not compressed");
        return false;
    }
    return true;
}

/* Whether zones of @source can become zones of the target one by one */
static bool copy_can_follow(const ZoneCopy *c, BlockBackend *source)
{
    return source && blk_is_zoned(source) &&
           blk_zone_limits(source)->zone_size == c->limits.zone_size &&
           blk_getlength(source) > 0;
}

ZoneCopy *zone_copy_begin(BlockBackend *target, BlockBackend *source,
                          Error **errp)
{
    ZoneCopy *c = g_new0(ZoneCopy, 1);
    int ret;

    c->target = target;
    c->limits = *blk_zone_limits(target);
    c->length = blk_getlength(target);
    c->source = copy_can_follow(c, source) ? source : NULL;
    c->unit = blk_blockalign(target, c->limits.write_granularity);
    if (c->source && c->limits.extension_size &&
        blk_zone_limits(source)->extension_size == c->limits.extension_size) {
        c->extension = g_malloc(c->limits.extension_size);
    }
    if (c->limits.max_active_zones) {
        c->partial = g_array_new(false, false, sizeof(int64_t));
    }

    ret = c->length < 0 ? c->length :
          blk_zone_mgmt(target, BLK_ZO_RESET, 0, c->length);
    if (ret == 0) {
        /* Once for all zones, before each of them would wait for it */
        ret = blk_flush(target);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not reset the zones of the target");
        zone_copy_free(c);
        return NULL;
    }
    return c;
}

void zone_copy_free(ZoneCopy *c)
{
    if (!c) {
        return;
    }
    if (c->partial) {
        g_array_free(c->partial, true);
    }
    qemu_vfree(c->unit);
    g_free(c->extension);
    g_free(c->error);
    g_free(c);
}
