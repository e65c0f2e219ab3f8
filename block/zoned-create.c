/*
 * Creation of zoned images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-block-core.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qobject-input-visitor.h"
#include "qemu/option.h"
#include "qemu/units.h"
#include "block/qdict.h"
#include "sysemu/block-backend.h"
#include "zoned-driver.h"

#define OPT_ZONE_MODEL          "zone_model"
#define OPT_ZONE_SIZE           "zone_size"
#define OPT_ZONE_CAPACITY       "zone_capacity"
#define OPT_CONVENTIONAL_ZONES  "conventional_zones"
#define OPT_MAX_OPEN_ZONES      "max_open_zones"
#define OPT_MAX_ACTIVE_ZONES    "max_active_zones"
#define OPT_MAX_APPEND_SIZE     "max_append_size"
#define OPT_LOGICAL_BLOCK_SIZE  "logical_block_size"
#define OPT_EXTENSION_SIZE      "descriptor_extension_size"

#define DEFAULT_ZONE_SIZE (256 * MiB)
#define DEFAULT_MIN_ZONES 16
#define DEFAULT_MAX_ZONES (1 << 20)

QemuOptsList zoned_create_opts = {
    .name = "zoned-create-opts",
    .head = QTAILQ_HEAD_INITIALIZER(zoned_create_opts.head),
    .desc = {
        {
            .name = BLOCK_OPT_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "Virtual disk size",
        },
        {
            .name = OPT_ZONE_MODEL,
            .type = QEMU_OPT_STRING,
            .help = "host-managed (default) or host-aware",
        },
        {
            .name = OPT_ZONE_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "Size of a zone (default: 256M, or as much less as it "
                    "takes for 16 zones)",
        },
        {
            .name = OPT_ZONE_CAPACITY,
            .type = QEMU_OPT_SIZE,
            .help = "Writable part of a zone (default: zone_size)",
        },
        {
            .name = OPT_CONVENTIONAL_ZONES,
            .type = QEMU_OPT_NUMBER,
            .help = "Zones without a write pointer at the start of the disk "
                    "(default: 0)",
        },
        {
            .name = OPT_MAX_OPEN_ZONES,
            .type = QEMU_OPT_NUMBER,
            .help = "Zones that can be open at once (default: 0, no limit)",
        },
        {
            .name = OPT_MAX_ACTIVE_ZONES,
            .type = QEMU_OPT_NUMBER,
            .help = "Zones that can be open or closed at once (default: 0, "
                    "no limit)",
        },
        {
            .name = OPT_MAX_APPEND_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "Largest zone append, 0 for none (default: "
                    "zone_capacity, at most 2147483136)",
        },
        {
            .name = OPT_LOGICAL_BLOCK_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "Alignment of writes, 512 (default) or 4096",
        },
        {
            .name = OPT_EXTENSION_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "Size of the extension of a zone's descriptor (default: "
                    "0, none)",
        },
        {
            .name = BLOCK_OPT_PREALLOC,
            .type = QEMU_OPT_STRING,
            .help = "Preallocation mode (allowed values: off, falloc, full)",
        },
        { /* end of list */ }
    },
};

static int64_t default_zone_size(int64_t length, int64_t block_size)
{
    int64_t size = DEFAULT_ZONE_SIZE;

    while (size > block_size && length / size < DEFAULT_MIN_ZONES) {
        size /= 2;
    }
    while (length / size > DEFAULT_MAX_ZONES) {
        size *= 2;
    }
    return size;
}

/* Check the options, and lay out what they ask for */
static bool header_from_options(const BlockdevCreateOptionsZoned *opts,
                                ZonedHeader *h, Error **errp)
{
    ZoneGeometry *g = &h->g;
    int64_t block_size = opts->has_logical_block_size
        ? zone_geometry_clamp(opts->logical_block_size) : BDRV_SECTOR_SIZE;

    if (block_size != 512 && block_size != 4096) {
        error_setg(errp, "%s must be 512 or 4096, not %" PRId64,
                   OPT_LOGICAL_BLOCK_SIZE, block_size);
        return false;
    }
    *h = (ZonedHeader) { .generation = 1 };
    *g = (ZoneGeometry) {
        .model = opts->has_zone_model &&
                 opts->zone_model == BLOCKDEV_ZONE_MODEL_HOST_AWARE
            ? BLK_Z_HA : BLK_Z_HM,
        .length = zone_geometry_clamp(opts->size),
        .conventional_zones = opts->conventional_zones,
        .max_open_zones = opts->max_open_zones,
        .max_active_zones = opts->max_active_zones,
        .write_granularity = block_size,
        .extension_size = zone_geometry_clamp(opts->descriptor_extension_size),
    };
    g->zone_size = opts->has_zone_size
        ? zone_geometry_clamp(opts->zone_size)
        : default_zone_size(g->length, block_size);
    g->zone_capacity = opts->has_zone_capacity
        ? zone_geometry_clamp(opts->zone_capacity) : g->zone_size;
    if (!zone_geometry_check(g, &zoned_image_names, errp)) {
        return false;
    }
    h->max_append_bytes = opts->has_max_append_size
        ? zone_geometry_clamp(opts->max_append_size)
        : zoned_max_append_limit(g);
    return zoned_max_append_check(g, h->max_append_bytes, errp) &&
           zoned_header_layout(h, errp);
}

static bool check_preallocation(PreallocMode prealloc, Error **errp)
{
    if (prealloc == PREALLOC_MODE_METADATA) {
        error_setg(errp, "%s must be off, falloc or full, not metadata",
                   BLOCK_OPT_PREALLOC);
        return false;
    }
    return true;
}

/*
 * Zeroes for the table, where all zones are empty then, and for what can be
 * read without having been written.  The file may have been in use before.
 */
static int coroutine_fn co_write_zeroes(BlockBackend *blk,
                                        const ZonedHeader *h,
                                        PreallocMode prealloc)
{
    int64_t end = h->data_offset + h->g.conventional_zones * h->g.zone_size;
    BdrvRequestFlags flags = prealloc == PREALLOC_MODE_OFF
        ? BDRV_REQ_MAY_UNMAP : 0;
    int64_t pos, n;
    int ret = 0;

    for (pos = 0; pos < end && ret >= 0; pos += n) {
        n = MIN(end - pos, BDRV_REQUEST_MAX_BYTES & -ZONED_FILE_ALIGN);
        ret = blk_co_pwrite_zeroes(blk, pos, n, flags);
    }
    return ret;
}

/*
 * The log and the table blocks in use must not be holes: where there is no
 * space left, a reset could not be committed, and so not give space back
 */
static int coroutine_fn co_fill_table(BlockBackend *blk, const ZonedHeader *h)
{
    g_autofree uint8_t *buf = g_malloc0(ZONED_DATA_ALIGN);
    int64_t pos = ZONED_LOG_OFFSET;
    int64_t end = zoned_header_block_offset(h, zoned_header_nr_blocks(h), 0);
    int ret = 0;

    while (pos < end && ret >= 0) {
        int64_t n = MIN(end - pos, ZONED_DATA_ALIGN);

        ret = blk_co_pwrite(blk, pos, n, buf, 0);
        pos += n;
    }
    return ret;
}

static int coroutine_fn co_write_image(BlockBackend *blk, const ZonedHeader *h,
                                       PreallocMode prealloc, Error **errp)
{
    g_autofree uint8_t *buf = g_malloc0(ZONED_HEADER_SIZE);
    int i, ret;

    /* Where the file can be cut off, this makes all of it read as zeroes */
    ret = blk_co_truncate(blk, 0, false, PREALLOC_MODE_OFF, 0, errp);
    if (ret < 0) {
        return ret;
    }
    ret = blk_co_truncate(blk, zoned_header_file_length(h), false, prealloc, 0,
                          errp);
    if (ret < 0) {
        return ret;
    }
    ret = co_write_zeroes(blk, h, prealloc);
    if (ret >= 0) {
        ret = co_fill_table(blk, h);
    }
    /* No header before the rest is durable */
    if (ret >= 0) {
        ret = blk_co_flush(blk);
    }
    zoned_header_encode(h, buf);
    for (i = ZONED_HEADER_COPIES - 1; i >= 0 && ret >= 0; i--) {
        ret = blk_co_pwrite(blk, i * ZONED_HEADER_SIZE, ZONED_HEADER_SIZE, buf,
                            0);
    }
    if (ret >= 0) {
        ret = blk_co_flush(blk);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot write the zoned image");
    }
    return MIN(ret, 0);
}

int coroutine_fn zoned_co_create(BlockdevCreateOptions *options, Error **errp)
{
    BlockdevCreateOptionsZoned *opts = &options->u.zoned;
    PreallocMode prealloc = opts->preallocation;
    BlockDriverState *bs;
    BlockBackend *blk;
    ZonedHeader h;
    int ret;

    assert(options->driver == BLOCKDEV_DRIVER_ZONED);
    if (!header_from_options(opts, &h, errp) ||
        !check_preallocation(prealloc, errp)) {
        return -EINVAL;
    }
    bs = bdrv_open_blockdev_ref(opts->file, errp);
    if (!bs) {
        return -EIO;
    }
    blk = blk_new_with_bs(bs, BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_ALL,
                          errp);
    if (blk) {
        blk_set_allow_write_beyond_eof(blk, true);
        ret = co_write_image(blk, &h, prealloc, errp);
    } else {
        ret = -EPERM;
    }
    blk_unref(blk);
    bdrv_unref(bs);
    return ret;
}

static BlockdevCreateOptions *options_from_qdict(QDict *qdict, Error **errp)
{
    static const QDictRenames renames[] = {
        { OPT_ZONE_MODEL, "zone-model" },
        { OPT_ZONE_SIZE, "zone-size" },
        { OPT_ZONE_CAPACITY, "zone-capacity" },
        { OPT_CONVENTIONAL_ZONES, "conventional-zones" },
        { OPT_MAX_OPEN_ZONES, "max-open-zones" },
        { OPT_MAX_ACTIVE_ZONES, "max-active-zones" },
        { OPT_MAX_APPEND_SIZE, "max-append-size" },
        { OPT_LOGICAL_BLOCK_SIZE, "logical-block-size" },
        { OPT_EXTENSION_SIZE, "descriptor-extension-size" },
        { NULL, NULL },
    };
    BlockdevCreateOptions *options = NULL;
    Visitor *v;

    if (!qdict_rename_keys(qdict, renames, errp)) {
        return NULL;
    }
    qdict_put_str(qdict, "driver", "zoned");
    v = qobject_input_visitor_new_flat_confused(qdict, errp);
    if (v) {
        visit_type_BlockdevCreateOptions(v, NULL, &options, errp);
        visit_free(v);
    }
    return options;
}

/* The visitor would name them in its own way, and a type instead of a range */
static bool check_numbers(QemuOpts *opts, Error **errp)
{
    static const char *const names[] = {
        OPT_CONVENTIONAL_ZONES, OPT_MAX_OPEN_ZONES, OPT_MAX_ACTIVE_ZONES,
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (qemu_opt_get_number(opts, names[i], 0) > UINT32_MAX) {
            error_setg(errp, "%s must be from 0 to %" PRIu32, names[i],
                       UINT32_MAX);
            return false;
        }
    }
    return true;
}

/*
 * The options of @opts that are ours, without the node to create the image
 * on.  @length, if not negative, replaces the size.
 */
static BlockdevCreateOptions *options_from_opts(QemuOpts *opts,
                                                int64_t length, bool del,
                                                Error **errp)
{
    BlockdevCreateOptions *options;
    QDict *qdict;

    if (!check_numbers(opts, errp)) {
        return NULL;
    }
    qdict = qemu_opts_to_qdict_filtered(opts, NULL, &zoned_create_opts, del);
    qdict_put_str(qdict, "file", "");
    if (length >= 0) {
        qdict_put_int(qdict, "size", length);
    }
    options = options_from_qdict(qdict, errp);
    qobject_unref(qdict);
    return options;
}

int coroutine_fn zoned_co_create_opts(BlockDriver *drv, const char *filename,
                                      QemuOpts *opts, Error **errp)
{
    BlockdevCreateOptions *options;
    BlockDriverState *bs = NULL;
    ZonedHeader h;
    int ret = -EINVAL;

    /* Complain before a file is replaced; its name is not known yet */
    options = options_from_opts(opts, -1, false, errp);
    if (!options || !header_from_options(&options->u.zoned, &h, errp) ||
        !check_preallocation(options->u.zoned.preallocation, errp)) {
        goto out;
    }
    qapi_free_BlockdevCreateOptions(options);
    options = options_from_opts(opts, -1, true, &error_abort);

    ret = bdrv_create_file(filename, opts, errp);
    if (ret < 0) {
        goto out;
    }
    bs = bdrv_open(filename, NULL, NULL,
                   BDRV_O_RDWR | BDRV_O_RESIZE | BDRV_O_PROTOCOL, errp);
    if (!bs) {
        ret = -EIO;
        goto out;
    }
    g_free(options->u.zoned.file->u.reference);
    options->u.zoned.file->u.reference = g_strdup(bs->node_name);
    ret = zoned_co_create(options, errp);
out:
    qapi_free_BlockdevCreateOptions(options);
    bdrv_unref(bs);
    return ret;
}

BlockMeasureInfo *zoned_measure(QemuOpts *opts, BlockDriverState *in_bs,
                                Error **errp)
{
    BlockdevCreateOptions *options;
    BlockMeasureInfo *info = NULL;
    int64_t length = -1;
    ZonedHeader h;

    if (in_bs) {
        length = bdrv_getlength(in_bs);
        if (length < 0) {
            error_setg_errno(errp, -length, "Cannot tell the size of the "
                             "disk");
            return NULL;
        }
    }
    options = options_from_opts(opts, length, false, errp);
    if (!options) {
        return NULL;
    }
    if (header_from_options(&options->u.zoned, &h, errp) &&
        check_preallocation(options->u.zoned.preallocation, errp)) {
        /* Of this length from the start, even if most of it is a hole */
        info = g_new0(BlockMeasureInfo, 1);
        info->required = zoned_header_file_length(&h);
        info->fully_allocated = info->required;
    }
    qapi_free_BlockdevCreateOptions(options);
    return info;
}
