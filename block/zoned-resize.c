/*
 * Resizing of zoned images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "zoned-commit.h"
#include "zoned-driver.h"

/* The conventional zones stay, and as many others as the limits speak of */
static bool check_min_length(const ZoneGeometry *g, Error **errp)
{
    int64_t limit = MAX(g->max_open_zones, g->max_active_zones);
    int64_t nr_sequential = MAX(limit, 1);
    int64_t nr_before_last = g->conventional_zones + nr_sequential - 1;
    int64_t min = MAX(nr_before_last * g->zone_size + g->write_granularity,
                      g->zone_size);

    if (g->length < min) {
        error_setg(errp, "size must be at least %" PRId64 ", not %" PRId64
                   ", for %" PRId64 " conventional and %" PRId64
                   " sequential zones%s", min, g->length,
                   g->conventional_zones, nr_sequential,
                   !limit ? "" : g->max_active_zones
                   ? ", as many as can be active"
                   : ", as many as can be open");
        return false;
    }
    return true;
}

static bool check_length(BDRVZonedState *s, const ZonedHeader *h, Error **errp)
{
    if (h->g.length > zoned_header_max_length(&s->h)) {
        error_setg(errp, "size must be at most %" PRId64 ", not %" PRId64
                   ": the zone table of this image has no room for more",
                   zoned_header_max_length(&s->h), h->g.length);
        return false;
    }
    if (s->h.generation + 1 >= ZONED_MAX_GENERATION) {
        error_setg(errp, "The header of the image cannot be changed any more");
        return false;
    }
    return check_min_length(&h->g, errp) &&
           zone_geometry_check(&h->g, &zoned_image_names, errp);
}

/* Only zones without data may go */
static bool check_shrink(BDRVZonedState *s, int64_t length, Error **errp)
{
    uint32_t zone;

    for (zone = length / s->h.g.zone_size; zone < s->table.nr_zones; zone++) {
        BlockZoneDescriptor d;

        zone_model_report(s->zones.model, zone * s->h.g.zone_size, 1, &d);
        if (d.state != BLK_ZS_EMPTY) {
            error_setg(errp, "Cannot shrink over zone %" PRIu32 " at %" PRId64
                       ", which is %s", zone, d.start,
                       d.state == BLK_ZS_RDONLY ? "read-only" :
                       d.state == BLK_ZS_OFFLINE ? "offline" :
                       "not empty: reset it first");
            return false;
        }
    }
    return true;
}

static ZoneModel *resized_model(const ZoneModel *old, const ZoneGeometry *g)
{
    ZoneModel *new = zone_model_new(g);
    int64_t end = MIN(zone_model_geometry(old)->length, g->length);
    BlockZoneDescriptor d;
    int64_t offset;

    for (offset = g->conventional_zones * g->zone_size; new && offset < end;
         offset += g->zone_size) {
        zone_model_report(old, offset, 1, &d);
        if (d.state != BLK_ZS_EMPTY &&
            zone_model_restore_zone(new, &d) < 0) {
            zone_model_free(new);
            new = NULL;
        }
    }
    return new;
}

/* The last zone may be smaller than others: it stays full when it grows */
static void keep_last_full(BDRVZonedState *s)
{
    uint32_t last = s->table.nr_zones - 1;
    int64_t extent = zoned_table_extent(&s->table, last);

    if (last >= s->h.g.conventional_zones &&
        extent == zone_geometry_capacity(&s->h.g, last) &&
        zoned_entry_state(zoned_table_entry(&s->table, last)) ==
        ZONED_ENTRY_BY_EXTENT) {
        zoned_table_set_state(&s->table, last, ZONED_ENTRY_FINISHED, extent);
    }
}

/* Not as holes: a commit must not need space */
static int coroutine_fn co_write_zeroes(BlockDriverState *bs, int64_t start,
                                        int64_t end)
{
    g_autofree uint8_t *buf = g_malloc0(ZONED_DATA_ALIGN);
    int ret = 0;

    while (start < end && ret >= 0) {
        int64_t n = MIN(end - start, ZONED_DATA_ALIGN);

        ret = bdrv_co_pwrite(bs->file, start, n, buf, 0);
        start += n;
    }
    return ret;
}

/* Make the file longer, and the table blocks that come into use empty */
static int coroutine_fn co_grow_file(BlockDriverState *bs,
                                     const ZonedHeader *new,
                                     PreallocMode prealloc, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    int64_t start = zoned_header_block_offset(&s->h, s->table.nr_blocks, 0);
    int64_t end = zoned_header_block_offset(new, zoned_header_nr_blocks(new),
                                            0);
    int64_t length = bdrv_getlength(bs->file->bs);
    int ret;

    if (length < 0) {
        error_setg_errno(errp, -length, "Cannot tell the length of the file");
        return length;
    }
    if (length < zoned_header_file_length(new)) {
        ret = bdrv_co_truncate(bs->file, zoned_header_file_length(new), false,
                               prealloc, 0, errp);
        if (ret < 0) {
            return ret;
        }
    }
    keep_last_full(s);
    ret = 0;
    if (end > start) {
        ret = co_write_zeroes(bs, start, end);
    }
    if (ret >= 0) {
        ret = zoned_table_co_commit_locked(&s->table);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot write the zone table");
    }
    return ret;
}

/*
 * Let all zones that go be empty in the table on disk, too; and let the last
 * commit be one of which no block goes.
 */
static int coroutine_fn co_prepare_shrink(BlockDriverState *bs, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    int i, ret = 0;

    for (i = 0; i < 2 && ret == 0; i++) {
        zoned_table_rewrite(&s->table, 0);
        ret = zoned_table_co_commit_locked(&s->table);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot write the zone table");
    }
    return ret;
}

static int coroutine_fn co_resize_locked(BlockDriverState *bs,
                                         const ZonedHeader *new,
                                         PreallocMode prealloc,
                                         ZoneModel **model, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    if (new->g.length > s->h.g.length) {
        ret = co_grow_file(bs, new, prealloc, errp);
    } else {
        ret = check_shrink(s, new->g.length, errp)
            ? co_prepare_shrink(bs, errp) : -EINVAL;
    }
    if (ret < 0) {
        return ret;
    }
    *model = resized_model(s->zones.model, &new->g);
    if (!*model) {
        error_setg(errp, "Not enough memory for the state of the zones");
        return -ENOMEM;
    }
    ret = zoned_table_set_length(&s->table, new->g.length);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Not enough memory for the zone table");
        return ret;
    }
    ret = zoned_co_write_header(bs, new);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot write the header; the image must "
                         "be opened anew");
    }
    return ret;
}

static int coroutine_fn co_resize(BlockDriverState *bs, const ZonedHeader *new,
                                  PreallocMode prealloc, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    bool shrink = new->g.length < s->h.g.length;
    ZoneEmulationOp *lock = zone_emulation_co_lock(&s->zones);
    ZoneModel *model = NULL;
    int ret;

    zoned_table_co_lock(&s->table);
    ret = co_resize_locked(bs, new, prealloc, &model, errp);
    zoned_table_co_unlock(&s->table);
    if (ret < 0) {
        zone_model_free(model);
        model = NULL;
    }
    zone_emulation_unlock(&s->zones, lock, model);
    if (ret == 0) {
        zone_emulation_limits(&s->zones, &bs->bl.zones);
    }
    if (ret == 0 && shrink) {
        /* Only to save space */
        bdrv_co_truncate(bs->file, zoned_header_file_length(&s->h), false,
                         PREALLOC_MODE_OFF, 0, NULL);
    }
    return ret;
}

int coroutine_fn zoned_co_truncate(BlockDriverState *bs, int64_t offset,
                                   bool exact, PreallocMode prealloc,
                                   BdrvRequestFlags flags, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    ZonedHeader new = s->h;
    int ret;

    new.g.length = offset;
    if (prealloc == PREALLOC_MODE_METADATA ||
        (prealloc != PREALLOC_MODE_OFF && offset < s->h.g.length)) {
        error_setg(errp, "preallocation must be off, falloc or full where a "
                   "zoned image grows, and off where it shrinks");
        return -ENOTSUP;
    }
    if (!s->usable) {
        error_setg(errp, "The zoned image cannot be used");
        return -EIO;
    }
    if (!check_length(s, &new, errp)) {
        return -EINVAL;
    }
    if (offset == s->h.g.length) {
        return 0;
    }
    ret = zoned_co_settle(bs);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot write the header");
        return ret;
    }
    return co_resize(bs, &new, prealloc, errp);
}
