/*
 * Block driver for zoned images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A zoned disk in an ordinary file.  The format, and why it survives crashes,
 * is described in docs/interop/zoned-image.rst.  What the guest sees is up to
 * the zone model; the zone table (zoned-table.c) says which data there is, and
 * commits (zoned-commit.c) keep it on disk.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-block-core.h"
#include "qapi/qmp/qdict.h"
#include "qemu/memalign.h"
#include "qemu/module.h"
#include "block/zoned-qapi.h"
#include "zoned-commit.h"
#include "zoned-driver.h"

QEMU_BUILD_BUG_ON(ZONED_MAX_FILE != BDRV_MAX_LENGTH);
QEMU_BUILD_BUG_ON(ZONED_MAX_REQUEST != BDRV_REQUEST_MAX_BYTES);

/* The zones that a write of zeroes to a host-aware disk may concern */
#define HA_MAX_ZONES 1024

static int zoned_probe(const uint8_t *buf, int buf_size, const char *filename)
{
    return zoned_header_probe(buf, buf_size) ? 100 : 0;
}

/*
 * Open and close
 */

static int zoned_read_header(BlockDriverState *bs, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    size_t size = ZONED_HEADER_COPIES * ZONED_HEADER_SIZE;
    g_autofree uint8_t *bufs = g_malloc(size);
    int64_t file_length = bdrv_getlength(bs->file->bs);
    int ret;

    if (file_length < 0) {
        error_setg_errno(errp, -file_length, "Cannot tell the length of the "
                         "zoned image");
        return file_length;
    }
    if (file_length < size) {
        error_setg(errp, "Not a zoned image: the file is too short");
        return -EINVAL;
    }
    ret = bdrv_pread(bs->file, 0, size, bufs, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot read the header of the zoned "
                         "image");
        return ret;
    }
    s->header_copy = zoned_header_pick(bufs, &s->header_valid);
    if (s->header_copy < 0) {
        error_setg(errp, zoned_header_probe(bufs, size)
                   ? "Both copies of the zoned image's header are damaged"
                   : "Not a zoned image");
        return -EINVAL;
    }
    memcpy(s->header, bufs + s->header_copy * ZONED_HEADER_SIZE,
           ZONED_HEADER_SIZE);
    return zoned_header_decode(&s->h, s->header, file_length, errp);
}

/* An entry that the zone model does not take: too many zones are active */
static bool zoned_restore_full(BDRVZonedState *s, uint32_t zone,
                               ZonedDamage *damage, Error **errp)
{
    ZonedTable *t = &s->table;

    if (!damage) {
        error_setg(errp, "The zone table of the image is damaged: zone %"
                   PRIu32 " is one more zone with data that is not full than "
                   "max_active_zones (%" PRId64 "); repair it with 'qemu-img "
                   "check -r all', which makes such zones full", zone,
                   s->h.g.max_active_zones);
        return false;
    }
    zoned_damage_add(damage, g_strdup_printf("zone %" PRIu32 " is one more "
                                             "zone with data that is not "
                                             "full than max_active_zones",
                                             zone));
    zoned_table_set_state(t, zone, ZONED_ENTRY_FINISHED,
                          zoned_table_extent(t, zone));
    return zone_model_set_zone(s->zones.model, zone * s->h.g.zone_size,
                               BLK_ZS_FULL, -1) == 0;
}

static bool zoned_restore_zones(BDRVZonedState *s, ZonedDamage *damage,
                                Error **errp)
{
    ZonedTable *t = &s->table;
    uint32_t zone;

    for (zone = s->h.g.conventional_zones; zone < t->nr_zones; zone++) {
        uint64_t entry = t->entries[zone];
        BlockZoneDescriptor d;

        if (!entry) {
            continue;
        }
        d = zoned_entry_to_zone(&s->h.g, zone, entry);
        if (zone_model_restore_zone(s->zones.model, &d) < 0 &&
            !zoned_restore_full(s, zone, damage, errp)) {
            return false;
        }
    }
    return true;
}

static void zoned_unload(BDRVZonedState *s)
{
    if (s->zones.model) {
        zone_emulation_destroy(&s->zones);
        s->zones.model = NULL;
    }
    zoned_table_destroy(&s->table);
    zoned_damage_clear(&s->damage);
    s->usable = false;
    s->settled = false;
}

static int zoned_load_zones(BlockDriverState *bs, ZonedDamage *damage,
                            Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    int ret = zoned_table_load(&s->table, bs, &s->h, damage, errp);

    if (ret < 0) {
        return ret;
    }
    if (!zoned_restore_zones(s, damage, errp)) {
        return -EINVAL;
    }
    s->usable = s->damage.count == 0;
    return 0;
}

static int zoned_load(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    ret = zoned_read_header(bs, errp);
    if (ret < 0) {
        return ret;
    }
    bs->total_sectors = s->h.g.length / BDRV_SECTOR_SIZE;
    if (!zone_emulation_init(&s->zones, bs, &s->h.g, s->h.max_append_bytes,
                             errp)) {
        return -ENOMEM;
    }
    if (flags & BDRV_O_INACTIVE) {
        /* Good for a look only: another process may be changing the zones */
        zoned_load_zones(bs, NULL, NULL);
        return 0;
    }
    return zoned_load_zones(bs, flags & BDRV_O_CHECK ? &s->damage : NULL,
                            errp);
}

static int zoned_open(BlockDriverState *bs, QDict *options, int flags,
                      Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    ret = bdrv_open_file_child(NULL, options, "file", bs, errp);
    if (ret < 0) {
        return ret;
    }
    qemu_co_mutex_init(&s->settle_lock);
    s->header = qemu_blockalign0(bs->file->bs, ZONED_HEADER_SIZE);
    bs->supported_zero_flags = BDRV_REQ_MAY_UNMAP &
                               bs->file->bs->supported_zero_flags;

    ret = zoned_load(bs, flags, errp);
    if (ret < 0) {
        zoned_unload(s);
        qemu_vfree(s->header);
    }
    return ret;
}

static void zoned_close(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;

    zoned_unload(s);
    qemu_vfree(s->header);
}

/* Filters may come and go.  What is in memory is of this image only. */
static bool zoned_check_new_file(BDRVReopenState *state, Error **errp)
{
    BlockDriverState *bs = state->bs;
    const char *name = qdict_get_try_str(state->options, "file");
    /* A name that is none is refused by our caller */
    BlockDriverState *new = name ? bdrv_lookup_bs(NULL, name, NULL) : NULL;

    if (!new ||
        bdrv_skip_filters(new) == bdrv_skip_filters(bs->file->bs)) {
        return true;
    }
    error_setg(errp, "The zoned image of node '%s' is on node '%s' and cannot "
               "be replaced by '%s': open that one with a node of its own",
               bdrv_get_node_name(bs), bdrv_get_node_name(bs->file->bs), name);
    return false;
}

static int zoned_reopen_prepare(BDRVReopenState *state,
                                BlockReopenQueue *queue, Error **errp)
{
    int ret;

    if (!zoned_check_new_file(state, errp)) {
        return -EINVAL;
    }
    if (!(state->flags & BDRV_O_RDWR)) {
        ret = bdrv_flush(state->bs);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot write the zone table");
            return ret;
        }
    }
    return 0;
}

/* A child that has come by a reopen may have unwritten data in a cache, too */
static void zoned_reopen_commit(BDRVReopenState *state)
{
    BDRVZonedState *s = state->bs->opaque;

    s->settled = false;
}

static int zoned_inactivate(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;
    int ret = bdrv_flush(bs);

    if (ret == 0) {
        s->usable = false;
    }
    return ret;
}

static void coroutine_fn zoned_co_invalidate_cache(BlockDriverState *bs,
                                                   Error **errp)
{
    BDRVZonedState *s = bs->opaque;

    zoned_unload(s);
    if (zoned_load(bs, bs->open_flags & ~BDRV_O_INACTIVE, errp) < 0) {
        zoned_unload(s);
        return;
    }
    zone_emulation_limits(&s->zones, &bs->bl.zones);
}

int coroutine_fn zoned_co_write_header(BlockDriverState *bs,
                                       const ZonedHeader *h)
{
    BDRVZonedState *s = bs->opaque;
    ZonedHeader new = *h;
    int i, ret;

    new.generation++;
    zoned_header_encode(&new, s->header);
    /* The older copy first: the other one stays until this one is durable */
    for (i = 1; i <= ZONED_HEADER_COPIES; i++) {
        int copy = (s->header_copy + i) % ZONED_HEADER_COPIES;

        ret = bdrv_co_pwrite(bs->file, copy * ZONED_HEADER_SIZE,
                             ZONED_HEADER_SIZE, s->header, 0);
        if (ret >= 0) {
            ret = bdrv_co_flush(bs->file->bs);
        }
        if (ret < 0) {
            s->usable = false;
            return ret;
        }
    }
    s->header_valid = (1 << ZONED_HEADER_COPIES) - 1;
    s->h = new;
    s->table.h = new;
    return 0;
}

int coroutine_fn zoned_co_settle(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;
    int copy = (s->header_copy + 1) % ZONED_HEADER_COPIES;
    int ret = 0;

    if (s->settled) {
        return 0;
    }
    qemu_co_mutex_lock(&s->settle_lock);
    if (!s->settled) {
        /* A node to which nothing was written would not be flushed */
        ret = bdrv_co_pwrite(bs->file, copy * ZONED_HEADER_SIZE,
                             ZONED_HEADER_SIZE, s->header, 0);
        if (ret >= 0) {
            ret = bdrv_co_flush(bs->file->bs);
        }
        /* Not before a damaged table is repaired */
        if (ret == 0 && s->usable && s->table.leftovers) {
            ret = zoned_table_co_bury(&s->table);
        }
        s->settled = ret == 0;
    }
    qemu_co_mutex_unlock(&s->settle_lock);
    return zoned_child_error(ret);
}

/*
 * What the node is
 */

static int64_t zoned_getlength(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;

    return s->h.g.length;
}

static void zoned_refresh_limits(BlockDriverState *bs, Error **errp)
{
    BDRVZonedState *s = bs->opaque;

    if (s->zones.model) {
        zone_emulation_limits(&s->zones, &bs->bl.zones);
    }
    bs->bl.request_alignment = s->h.g.write_granularity;
    /* A write must come in one piece; the child may take it in several */
    bs->bl.max_transfer = 0;
    bs->bl.max_pwrite_zeroes = 0;
    if (s->h.g.model == BLK_Z_HA) {
        /* Each zone of a request takes some memory */
        bs->bl.max_pwrite_zeroes =
            MIN(s->h.g.zone_size, INT32_MAX / HA_MAX_ZONES & -4096) *
            HA_MAX_ZONES;
    }
}

static int zoned_probe_blocksizes(BlockDriverState *bs, BlockSizes *bsz)
{
    BDRVZonedState *s = bs->opaque;

    bsz->log = s->h.g.write_granularity;
    bsz->phys = s->h.g.write_granularity;
    return 0;
}

/* Creation makes everything read as zeroes */
static int zoned_has_zero_init(BlockDriverState *bs)
{
    return bdrv_has_zero_init_1(bs);
}

static BlockdevZoneCounts *zoned_query_zone_counts(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;

    return s->usable ? zone_model_query_counts(s->zones.model) : NULL;
}

static ImageInfoSpecific *zoned_get_specific_info(BlockDriverState *bs,
                                                  Error **errp)
{
    BDRVZonedState *s = bs->opaque;
    ImageInfoSpecific *info = g_new(ImageInfoSpecific, 1);
    ImageInfoSpecificZoned *z = g_new(ImageInfoSpecificZoned, 1);

    *z = (ImageInfoSpecificZoned) {
        .zone_model = block_zone_model_to_qapi(s->h.g.model),
        .zone_size = s->h.g.zone_size,
        .zone_capacity = s->h.g.zone_capacity,
        .zones = zone_geometry_nr_zones(&s->h.g),
        .conventional_zones = s->h.g.conventional_zones,
        .max_open_zones = s->h.g.max_open_zones,
        .max_active_zones = s->h.g.max_active_zones,
        .max_append_size = s->h.max_append_bytes,
        .logical_block_size = s->h.g.write_granularity,
        .descriptor_extension_size = s->h.g.extension_size,
        .max_size = zoned_header_max_length(&s->h),
        .has_states = s->usable,
        .states = zoned_query_zone_counts(bs),
    };
    *info = (ImageInfoSpecific) {
        .type = IMAGE_INFO_SPECIFIC_KIND_ZONED,
        .u.zoned.data = z,
    };
    return info;
}

/*
 * Reads
 */

/*
 * How many of @bytes from @offset on, at least one, are alike: data of the
 * child, or zeroes
 */
static int64_t zoned_clip(BDRVZonedState *s, int64_t offset, int64_t bytes,
                          bool *data)
{
    uint32_t zone = offset / s->h.g.zone_size;
    int64_t conventional = s->h.g.conventional_zones * s->h.g.zone_size;

    if (offset < conventional) {
        *data = true;
        return MIN(bytes, conventional - offset);
    }
    return zoned_table_clip(&s->table, zone, offset, bytes, data);
}

static int coroutine_fn zoned_co_preadv_part(BlockDriverState *bs,
                                             int64_t offset, int64_t bytes,
                                             QEMUIOVector *qiov,
                                             size_t qiov_offset,
                                             BdrvRequestFlags flags)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    if (!s->usable) {
        return -EIO;
    }
    ret = zone_model_check_read(s->zones.model, offset, bytes);
    if (ret < 0) {
        return ret;
    }
    while (bytes > 0) {
        bool data;
        int64_t n;

        if (bytes > zoned_table_length(&s->table) - offset) {
            /* The disk has shrunk meanwhile, or is about to */
            return -EIO;
        }
        n = zoned_clip(s, offset, bytes, &data);
        if (data) {
            ret = bdrv_co_preadv_part(bs->file, s->h.data_offset + offset, n,
                                      qiov, qiov_offset, 0);
            if (ret < 0) {
                return zoned_child_error(ret);
            }
        } else {
            qemu_iovec_memset(qiov, qiov_offset, 0, n);
        }
        offset += n;
        qiov_offset += n;
        bytes -= n;
    }
    return 0;
}

static int coroutine_fn zoned_co_block_status(BlockDriverState *bs,
                                              bool want_zero, int64_t offset,
                                              int64_t bytes, int64_t *pnum,
                                              int64_t *map,
                                              BlockDriverState **file)
{
    BDRVZonedState *s = bs->opaque;
    int64_t length = zoned_table_length(&s->table);
    bool data;

    if (!s->usable || offset >= length) {
        return -EIO;
    }
    *pnum = zoned_clip(s, offset, MIN(bytes, length - offset), &data);
    if (!data) {
        return BDRV_BLOCK_ZERO;
    }
    *map = s->h.data_offset + offset;
    *file = bs->file->bs;
    return BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_RECURSE;
}

/*
 * Writes
 */

/* What is to be written; @qiov is NULL for zeroes */
typedef struct ZonedData {
    QEMUIOVector *qiov;
    size_t qiov_offset;
    BdrvRequestFlags flags;
} ZonedData;

static int coroutine_fn zoned_co_write_child(BlockDriverState *bs,
                                             int64_t offset, int64_t bytes,
                                             const ZonedData *data,
                                             int64_t skip)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    if (!bytes) {
        return 0;
    }
    if (!data->qiov) {
        ret = bdrv_co_pwrite_zeroes(bs->file, s->h.data_offset + offset,
                                    bytes, data->flags);
    } else {
        ret = bdrv_co_pwritev_part(bs->file, s->h.data_offset + offset, bytes,
                                   data->qiov, data->qiov_offset + skip, 0);
    }
    return zoned_child_error(ret);
}

static int coroutine_fn zoned_co_zero_child(BlockDriverState *bs,
                                            int64_t offset, int64_t end)
{
    ZonedData zeroes = { .flags = BDRV_REQ_MAY_UNMAP };

    return zoned_co_write_child(bs, offset, end - offset, &zeroes, 0);
}

/* Write one zone's share of a write that has been admitted */
static int coroutine_fn zoned_co_write_share(BlockDriverState *bs,
                                             ZonedWrite *w,
                                             const ZonedData *data,
                                             int64_t skip)
{
    BDRVZonedState *s = bs->opaque;
    int ret = zoned_table_co_wait_write(&s->table, w);

    if (ret == 0 && w->fresh < w->offset) {
        /* What a host-aware write skips reads as zeroes from now on */
        ret = zoned_co_zero_child(bs, w->fresh, w->offset);
    }
    if (ret >= 0) {
        ret = zoned_co_write_child(bs, w->offset, w->end - w->offset, data,
                                   skip);
    }
    return MIN(ret, 0);
}

/* Will the zone model take a failed write back? */
static bool zoned_goes_back(BDRVZonedState *s, const ZonedWrite *w)
{
    return s->h.g.model == BLK_Z_HM && zoned_table_is_last(&s->table, w);
}

/*
 * The data of @w has not landed, and something was admitted behind it: what
 * was there before must not show
 */
static int coroutine_fn zoned_co_hide(BlockDriverState *bs, ZonedWrite *w)
{
    BDRVZonedState *s = bs->opaque;

    if (zoned_table_reset_pending(&s->table, w->zone)) {
        return -EIO;
    }
    return zoned_co_zero_child(bs, w->fresh, w->end);
}

/*
 * End a share whose write has returned @ret.
 *
 * Returns: whether the zone model has to take it back.
 */
static bool coroutine_fn zoned_co_end_share(BlockDriverState *bs,
                                            ZonedWrite *w, int ret)
{
    BDRVZonedState *s = bs->opaque;
    bool goes_back;

    if (ret < 0 && s->h.g.model == BLK_Z_HM) {
        /* What fails together, as on a full disk, is taken back together */
        zoned_table_co_wait_behind(&s->table, w);
    }
    if (ret < 0 && !zoned_goes_back(s, w) && zoned_co_hide(bs, w) >= 0) {
        ret = zoned_goes_back(s, w) ? ret : 0;
    }
    goes_back = ret < 0 && zoned_goes_back(s, w);
    if (!goes_back) {
        zoned_table_pass_failing(&s->table, w);
    }
    zoned_table_end_write(&s->table, w, goes_back ? 0 : ret);
    return goes_back;
}

static void zoned_descriptor(BDRVZonedState *s, uint32_t zone,
                             BlockZoneDescriptor *d)
{
    zone_model_report(s->zones.model, zone * s->h.g.zone_size, 1, d);
}

/* The zone model has moved a write pointer back to @wp */
static void zoned_follow_back(BDRVZonedState *s, uint32_t zone, int64_t wp)
{
    int64_t extent = wp - zone * s->h.g.zone_size;
    BlockZoneDescriptor d;

    zoned_descriptor(s, zone, &d);
    /* Full it stays where there is no room for one more active zone */
    zoned_table_set_state(&s->table, zone,
                          d.state == BLK_ZS_FULL ? ZONED_ENTRY_FINISHED
                                                 : ZONED_ENTRY_BY_EXTENT,
                          extent);
}

/*
 * Give back what failed writes have left at the end of a zone, as soon as
 * nothing is under way there
 */
static void zoned_trim_failed(BDRVZonedState *s, uint32_t zone)
{
    BlockZoneDescriptor d;
    int64_t wp;

    if (!zoned_table_has_failed(&s->table, zone)) {
        return;
    }
    zoned_descriptor(s, zone, &d);
    if (zone_model_in_flight(s->zones.model, d.start, d.length)) {
        return;
    }
    while ((wp = zoned_table_failed_tail(&s->table, zone)) >= 0) {
        if (zone_state_is_active(d.state)) {
            BlockZoneState state = d.state;

            if (state == BLK_ZS_CLOSED && wp == d.start && !d.has_extension) {
                state = BLK_ZS_EMPTY;
            }
            if (zone_model_set_zone(s->zones.model, d.start, state, wp) < 0) {
                return;
            }
        }
        zoned_table_forget_failed(&s->table, zone, wp);
        zoned_follow_back(s, zone, wp);
    }
}

/* A write in one sequential zone that the zone model has admitted */
static int coroutine_fn zoned_co_write_zone(BlockDriverState *bs,
                                            int64_t offset, int64_t bytes,
                                            const ZonedData *data)
{
    BDRVZonedState *s = bs->opaque;
    ZonedWrite w;
    bool goes_back;
    int ret;

    zoned_table_begin_write(&s->table, &w, offset, offset + bytes);
    ret = zoned_co_write_share(bs, &w, data, 0);
    goes_back = zoned_co_end_share(bs, &w, ret);
    zone_emulation_end_write(&s->zones, offset, bytes, ret);
    if (goes_back) {
        zoned_follow_back(s, w.zone, offset);
    }
    zoned_trim_failed(s, w.zone);
    return ret;
}

/* The part of @bytes from @offset on that is in the zone of @offset */
static int64_t zoned_share(BDRVZonedState *s, int64_t offset, int64_t bytes)
{
    return MIN(bytes, s->h.g.zone_size - offset % s->h.g.zone_size);
}

/* A write to @zone was admitted, maybe out of sequence */
static void zoned_note_non_seq(BDRVZonedState *s, uint32_t zone)
{
    BlockZoneDescriptor d;

    if (zoned_table_entry(&s->table, zone) & ZONED_ENTRY_NON_SEQ) {
        return;
    }
    zoned_descriptor(s, zone, &d);
    if (d.non_seq) {
        zoned_table_set_flag(&s->table, zone, ZONED_ENTRY_NON_SEQ);
    }
}

/*
 * A write to any zones of a host-aware disk.  All its shares are registered
 * before the first one is written: reads and other writes have to know them.
 */
static int coroutine_fn zoned_co_write_zones(BlockDriverState *bs,
                                             int64_t offset, int64_t bytes,
                                             const ZonedData *data)
{
    BDRVZonedState *s = bs->opaque;
    int64_t end = offset + bytes;
    int64_t conventional = s->h.g.conventional_zones * s->h.g.zone_size;
    int64_t first = MAX(offset, MIN(conventional, end));
    size_t max = (end - 1) / s->h.g.zone_size - offset / s->h.g.zone_size + 1;
    g_autofree ZonedWrite *w = g_try_new(ZonedWrite, max);
    size_t i, n = 0;
    int64_t pos;
    int ret;

    if (!w) {
        zone_emulation_end_write(&s->zones, offset, bytes, -ENOMEM);
        return -ENOMEM;
    }
    for (pos = first; pos < end; n++) {
        int64_t share = zoned_share(s, pos, end - pos);

        zoned_table_begin_write(&s->table, &w[n], pos, pos + share);
        zoned_note_non_seq(s, w[n].zone);
        pos += share;
    }
    ret = zoned_co_write_child(bs, offset, first - offset, data, 0);
    ret = MIN(ret, 0);
    for (i = 0; i < n; i++) {
        if (ret == 0) {
            ret = zoned_co_write_share(bs, &w[i], data, w[i].offset - offset);
        }
        zoned_co_end_share(bs, &w[i], ret);
    }
    zone_emulation_end_write(&s->zones, offset, bytes, ret);
    for (i = 0; i < n; i++) {
        zoned_trim_failed(s, w[i].zone);
    }
    return ret;
}

static int coroutine_fn zoned_co_prepare_change(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;

    if (!s->usable) {
        return -EIO;
    }
    return s->settled ? 0 : zoned_co_settle(bs);
}

static int coroutine_fn zoned_co_write(BlockDriverState *bs, int64_t offset,
                                       int64_t bytes, const ZonedData *data)
{
    BDRVZonedState *s = bs->opaque;
    int ret = zoned_co_prepare_change(bs);

    if (ret < 0 || !bytes) {
        return ret;
    }
    zoned_table_co_wait_gate(&s->table);
    ret = zone_emulation_co_begin_write(&s->zones, offset, bytes);
    if (ret < 0) {
        return ret;
    }
    if (s->h.g.model == BLK_Z_HA) {
        return zoned_co_write_zones(bs, offset, bytes, data);
    }
    if (offset >= s->h.g.conventional_zones * s->h.g.zone_size) {
        return zoned_co_write_zone(bs, offset, bytes, data);
    }
    ret = zoned_co_write_child(bs, offset, bytes, data, 0);
    zone_emulation_end_write(&s->zones, offset, bytes, ret);
    return ret;
}

static int coroutine_fn zoned_co_pwritev_part(BlockDriverState *bs,
                                              int64_t offset, int64_t bytes,
                                              QEMUIOVector *qiov,
                                              size_t qiov_offset,
                                              BdrvRequestFlags flags)
{
    ZonedData data = { .qiov = qiov, .qiov_offset = qiov_offset };

    return zoned_co_write(bs, offset, bytes, &data);
}

static int coroutine_fn zoned_co_pwrite_zeroes(BlockDriverState *bs,
                                               int64_t offset, int64_t bytes,
                                               BdrvRequestFlags flags)
{
    ZonedData data = { .flags = flags & BDRV_REQ_MAY_UNMAP };

    return zoned_co_write(bs, offset, bytes, &data);
}

static int coroutine_fn zoned_co_zone_append(BlockDriverState *bs,
                                             int64_t *offset,
                                             QEMUIOVector *qiov,
                                             BdrvRequestFlags flags)
{
    BDRVZonedState *s = bs->opaque;
    ZonedData data = { .qiov = qiov };
    int64_t pos = *offset;
    int ret = zoned_co_prepare_change(bs);

    if (ret < 0) {
        return ret;
    }
    zoned_table_co_wait_gate(&s->table);
    ret = zone_emulation_co_begin_append(&s->zones, &pos, qiov->size);
    if (ret == 0 && qiov->size) {
        ret = zoned_co_write_zone(bs, pos, qiov->size, &data);
    }
    if (ret == 0) {
        *offset = pos;
    }
    return ret;
}

/*
 * Operations
 */

static int coroutine_fn zoned_co_zone_report(BlockDriverState *bs,
                                             int64_t offset,
                                             unsigned int *nr_zones,
                                             BlockZoneDescriptor *zones)
{
    BDRVZonedState *s = bs->opaque;

    return s->usable ? zone_emulation_report(&s->zones, offset, nr_zones,
                                             zones) : -EIO;
}

static void zoned_changed(void *opaque, BlockZoneOp op,
                          const BlockZoneDescriptor *d)
{
    BDRVZonedState *s = opaque;
    ZonedTable *t = &s->table;
    uint32_t zone = d->start / s->h.g.zone_size;

    if (d->state == BLK_ZS_EMPTY && op == BLK_ZO_RESET) {
        zoned_table_reset(t, zone);
    } else if (d->state == BLK_ZS_FULL) {
        zoned_table_set_state(t, zone, ZONED_ENTRY_FINISHED,
                              zoned_table_extent(t, zone));
    } else if (d->state == BLK_ZS_RDONLY) {
        zoned_table_set_state(t, zone, ZONED_ENTRY_RDONLY,
                              zoned_table_extent(t, zone));
    } else if (d->state == BLK_ZS_OFFLINE) {
        /* It has no extension any more */
        zoned_table_set_entry(t, zone, zoned_entry(ZONED_ENTRY_OFFLINE,
                                                   zoned_table_extent(t,
                                                                      zone)));
    }
}

static int coroutine_fn zoned_co_zone_mgmt(BlockDriverState *bs,
                                           BlockZoneOp op, int64_t offset,
                                           int64_t len)
{
    BDRVZonedState *s = bs->opaque;
    int ret = zoned_co_prepare_change(bs);

    if (ret < 0) {
        return ret;
    }
    /* Not for its own sake: it must not overtake the writes that wait there */
    zoned_table_co_wait_gate(&s->table);
    return zone_emulation_co_mgmt(&s->zones, op, offset, len, zoned_changed,
                                  s);
}

static int coroutine_fn zoned_co_zone_set_state(BlockDriverState *bs,
                                                int64_t offset,
                                                BlockZoneState state)
{
    BDRVZonedState *s = bs->opaque;
    int ret = zoned_co_prepare_change(bs);

    if (ret < 0) {
        return ret;
    }
    zoned_table_co_wait_gate(&s->table);
    return zone_emulation_co_set_state(&s->zones, offset, state, zoned_changed,
                                       s);
}

/* A request for an extension; @set or @get */
typedef struct ZonedExtension {
    BlockDriverState *bs;
    const void *set;
    void *get;
} ZonedExtension;

static int coroutine_fn zoned_co_store_extension(void *opaque, int64_t offset)
{
    ZonedExtension *x = opaque;
    BDRVZonedState *s = x->bs->opaque;
    uint32_t zone = offset / s->h.g.zone_size;
    int ret;

    /* The table on disk may still have what was there before a reset */
    ret = zoned_table_co_wait_reset(&s->table, zone);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_pwrite(x->bs->file,
                         zoned_header_extension_offset(&s->h, zone),
                         s->h.g.extension_size, x->set, 0);
    if (ret < 0) {
        return zoned_child_error(ret);
    }
    /* Not before it has landed: a commit may be about to begin */
    zoned_table_set_flag(&s->table, zone, ZONED_ENTRY_EXTENSION);
    return 0;
}

static int coroutine_fn zoned_co_load_extension(void *opaque, int64_t offset)
{
    ZonedExtension *x = opaque;
    BDRVZonedState *s = x->bs->opaque;
    uint32_t zone = offset / s->h.g.zone_size;
    int ret = bdrv_co_pread(x->bs->file,
                            zoned_header_extension_offset(&s->h, zone),
                            s->h.g.extension_size, x->get, 0);

    return ret < 0 ? zoned_child_error(ret) : 0;
}

static int coroutine_fn zoned_co_zone_set_extension(BlockDriverState *bs,
                                                    int64_t offset,
                                                    const void *buf)
{
    BDRVZonedState *s = bs->opaque;
    ZonedExtension x = { .bs = bs, .set = buf };
    int ret = zoned_co_prepare_change(bs);

    if (ret < 0) {
        return ret;
    }
    zoned_table_co_wait_gate(&s->table);
    return zone_emulation_co_set_extension(&s->zones, offset,
                                           zoned_co_store_extension, &x);
}

static int coroutine_fn zoned_co_zone_get_extension(BlockDriverState *bs,
                                                    int64_t offset, void *buf)
{
    BDRVZonedState *s = bs->opaque;
    ZonedExtension x = { .bs = bs, .get = buf };
    int ret;

    if (!s->usable) {
        return -EIO;
    }
    ret = zone_emulation_co_get_extension(&s->zones, offset,
                                          zoned_co_load_extension, &x);
    if (ret == 0) {
        memset(buf, 0, s->h.g.extension_size);
    }
    return MIN(ret, 0);
}

static int coroutine_fn zoned_co_flush(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    if (!s->usable) {
        return bdrv_co_flush(bs->file->bs);
    }
    if (zoned_table_is_dirty(&s->table)) {
        ret = zoned_co_settle(bs);
        if (ret < 0) {
            return ret;
        }
    }
    return zoned_table_co_flush(&s->table);
}

static BlockDriver bdrv_zoned = {
    .format_name                = "zoned",
    .instance_size              = sizeof(BDRVZonedState),
    .is_format                  = true,

    .bdrv_probe                 = zoned_probe,
    .bdrv_open                  = zoned_open,
    .bdrv_close                 = zoned_close,
    .bdrv_reopen_prepare        = zoned_reopen_prepare,
    .bdrv_reopen_commit         = zoned_reopen_commit,
    .bdrv_inactivate            = zoned_inactivate,
    .bdrv_co_invalidate_cache   = zoned_co_invalidate_cache,
    .bdrv_child_perm            = bdrv_default_perms,

    .create_opts                = &zoned_create_opts,
    .bdrv_co_create             = zoned_co_create,
    .bdrv_co_create_opts        = zoned_co_create_opts,
    .bdrv_measure               = zoned_measure,
    .bdrv_has_zero_init         = zoned_has_zero_init,

    .bdrv_getlength             = zoned_getlength,
    .bdrv_co_truncate           = zoned_co_truncate,
    .bdrv_refresh_limits        = zoned_refresh_limits,
    .bdrv_probe_blocksizes      = zoned_probe_blocksizes,
    .bdrv_get_specific_info     = zoned_get_specific_info,
    .bdrv_query_zone_counts     = zoned_query_zone_counts,
    .bdrv_co_check              = zoned_co_check,

    .bdrv_co_preadv_part        = zoned_co_preadv_part,
    .bdrv_co_block_status       = zoned_co_block_status,
    .bdrv_co_pwritev_part       = zoned_co_pwritev_part,
    .bdrv_co_pwrite_zeroes      = zoned_co_pwrite_zeroes,
    .bdrv_co_flush              = zoned_co_flush,
    .bdrv_co_zone_report        = zoned_co_zone_report,
    .bdrv_co_zone_mgmt          = zoned_co_zone_mgmt,
    .bdrv_co_zone_set_state     = zoned_co_zone_set_state,
    .bdrv_co_zone_append        = zoned_co_zone_append,
    .bdrv_co_zone_set_extension = zoned_co_zone_set_extension,
    .bdrv_co_zone_get_extension = zoned_co_zone_get_extension,
};

static void bdrv_zoned_init(void)
{
    bdrv_register(&bdrv_zoned);
}

block_init(bdrv_zoned_init);
