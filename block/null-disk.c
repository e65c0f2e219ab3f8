/*
 * Zones and memory behind the null block drivers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-block-zoned.h"
#include "qapi/qmp/qdict.h"
#include "qemu/cutils.h"
#include "qemu/madvise.h"
#include "qemu/option.h"
#include "block/zone-emulation.h"
#include "block/zoned-qapi.h"
#include "migration/blocker.h"
#include "null-disk.h"

#define OPT_MEMORY_BACKED       "memory-backed"
#define OPT_MODEL               "zoned.model"
#define OPT_ZONE_SIZE           "zoned.zone-size"
#define OPT_ZONE_CAPACITY       "zoned.zone-capacity"
#define OPT_CONVENTIONAL_ZONES  "zoned.conventional-zones"
#define OPT_MAX_OPEN_ZONES      "zoned.max-open-zones"
#define OPT_MAX_ACTIVE_ZONES    "zoned.max-active-zones"
#define OPT_MAX_APPEND_SIZE     "zoned.max-append-size"
#define OPT_WRITE_GRANULARITY   "zoned.write-granularity"
#define OPT_EXTENSION_SIZE      "zoned.descriptor-extension-size"

struct NullDisk {
    int64_t length;
    int64_t latency_ns;         /* how long a request takes, in real time */
    uint8_t *memory;            /* NULL: data is not kept and reads as zeroes */
    bool zoned;
    ZoneEmulation zones;        /* if zoned */
    GHashTable *extensions;     /* if zoned: start of a zone -> its extension */
    Error *migration_blocker;
};

static QemuOptsList null_disk_opts = {
    .name = "null-disk",
    .head = QTAILQ_HEAD_INITIALIZER(null_disk_opts.head),
    .desc = {
        {
            .name = OPT_MEMORY_BACKED,
            .type = QEMU_OPT_BOOL,
            .help = "keep what is written in memory (default: off)",
        },
        {
            .name = OPT_MODEL,
            .type = QEMU_OPT_STRING,
            .help = "host-managed (default) or host-aware",
        },
        {
            .name = OPT_ZONE_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "size of a zone; makes the disk a zoned one",
        },
        {
            .name = OPT_ZONE_CAPACITY,
            .type = QEMU_OPT_SIZE,
            .help = "writable part of a zone (default: the zone size)",
        },
        {
            .name = OPT_CONVENTIONAL_ZONES,
            .type = QEMU_OPT_NUMBER,
            .help = "zones without a write pointer at the start of the disk "
                    "(default: 0)",
        },
        {
            .name = OPT_MAX_OPEN_ZONES,
            .type = QEMU_OPT_NUMBER,
            .help = "zones that can be open at once (default: 0, no limit)",
        },
        {
            .name = OPT_MAX_ACTIVE_ZONES,
            .type = QEMU_OPT_NUMBER,
            .help = "zones that can be open or closed at once "
                    "(default: 0, no limit)",
        },
        {
            .name = OPT_MAX_APPEND_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "largest zone append, 0 for none (default: the zone "
                    "capacity, at most 2147483136)",
        },
        {
            .name = OPT_WRITE_GRANULARITY,
            .type = QEMU_OPT_SIZE,
            .help = "alignment of writes (default: 512)",
        },
        {
            .name = OPT_EXTENSION_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "size of the extension of a zone's descriptor "
                    "(default: 0, none)",
        },
        { /* end of list */ }
    },
};

static const ZoneGeometryNames null_disk_names = {
    .length = "size",
    .zone_size = OPT_ZONE_SIZE,
    .zone_capacity = OPT_ZONE_CAPACITY,
    .conventional_zones = OPT_CONVENTIONAL_ZONES,
    .max_open_zones = OPT_MAX_OPEN_ZONES,
    .max_active_zones = OPT_MAX_ACTIVE_ZONES,
    .write_granularity = OPT_WRITE_GRANULARITY,
    .extension_size = OPT_EXTENSION_SIZE,
};

static int64_t null_disk_opt_size(QemuOpts *opts, const char *name,
                                  int64_t defval)
{
    return zone_geometry_clamp(qemu_opt_get_size(opts, name, defval));
}

static int64_t null_disk_opt_number(QemuOpts *opts, const char *name)
{
    return zone_geometry_clamp(qemu_opt_get_number(opts, name, 0));
}

static bool null_disk_parse_geometry(QemuOpts *opts, ZoneGeometry *g,
                                     int64_t *max_append, Error **errp)
{
    Error *local_err = NULL;
    int64_t append_limit;

    g->model = qapi_enum_parse(&BlockdevZoneModel_lookup,
                               qemu_opt_get(opts, OPT_MODEL),
                               BLOCKDEV_ZONE_MODEL_HOST_MANAGED, &local_err)
        == BLOCKDEV_ZONE_MODEL_HOST_AWARE ? BLK_Z_HA : BLK_Z_HM;
    if (local_err) {
        error_propagate_prepend(errp, local_err, "%s: ", OPT_MODEL);
        return false;
    }
    g->zone_size = null_disk_opt_size(opts, OPT_ZONE_SIZE, 0);
    g->zone_capacity = null_disk_opt_size(opts, OPT_ZONE_CAPACITY,
                                          g->zone_size);
    g->conventional_zones = null_disk_opt_number(opts, OPT_CONVENTIONAL_ZONES);
    g->max_open_zones = null_disk_opt_number(opts, OPT_MAX_OPEN_ZONES);
    g->max_active_zones = null_disk_opt_number(opts, OPT_MAX_ACTIVE_ZONES);
    g->write_granularity = null_disk_opt_size(opts, OPT_WRITE_GRANULARITY,
                                              BDRV_SECTOR_SIZE);
    g->extension_size = null_disk_opt_size(opts, OPT_EXTENSION_SIZE, 0);
    if (!zone_geometry_check(g, &null_disk_names, errp)) {
        return false;
    }

    append_limit = QEMU_ALIGN_DOWN(MIN(g->zone_capacity,
                                       BDRV_REQUEST_MAX_BYTES),
                                   g->write_granularity);
    *max_append = null_disk_opt_size(opts, OPT_MAX_APPEND_SIZE, append_limit);
    if (*max_append > append_limit || *max_append % g->write_granularity) {
        error_setg(errp, "%s must be a multiple of %" PRId64 " from 0 to %"
                   PRId64, OPT_MAX_APPEND_SIZE, g->write_granularity,
                   append_limit);
        return false;
    }
    return true;
}

static bool null_disk_wants_zones(const QDict *options)
{
    const QDictEntry *e;

    for (e = qdict_first(options); e; e = qdict_next(options, e)) {
        if (strstart(qdict_entry_key(e), "zoned.", NULL)) {
            return true;
        }
    }
    return false;
}

static bool null_disk_init_zones(NullDisk *disk, BlockDriverState *bs,
                                 QemuOpts *opts, Error **errp)
{
    ZoneGeometry g = { .length = zone_geometry_clamp(disk->length) };
    int64_t max_append;

    if (!qemu_opt_find(opts, OPT_ZONE_SIZE)) {
        error_setg(errp, "Parameter '%s' is missing", OPT_ZONE_SIZE);
        return false;
    }
    if (!null_disk_parse_geometry(opts, &g, &max_append, errp)) {
        return false;
    }
    disk->zoned = zone_emulation_init(&disk->zones, bs, &g, max_append,
                                      errp);
    if (disk->zoned) {
        disk->extensions = g_hash_table_new_full(g_int64_hash, g_int64_equal,
                                                 NULL, g_free);
    }
    return disk->zoned;
}

static bool null_disk_init_memory(NullDisk *disk, Error **errp)
{
    if (disk->length <= 0) {
        error_setg(errp, "%s needs a size greater than 0", OPT_MEMORY_BACKED);
        return false;
    }
    disk->memory = qemu_anon_ram_alloc(disk->length, NULL, false, true);
    if (!disk->memory) {
        error_setg(errp, "Cannot set aside %" PRId64 " bytes of address space "
                   "for %s", disk->length, OPT_MEMORY_BACKED);
        return false;
    }
    /* A huge page would take more memory than what is written */
    qemu_madvise(disk->memory, disk->length, QEMU_MADV_NOHUGEPAGE);
    return true;
}

static bool null_disk_block_migration(NullDisk *disk, BlockDriverState *bs,
                                      Error **errp)
{
    error_setg(&disk->migration_blocker, "Node '%s' (driver '%s') holds %s "
               "in the memory of this QEMU and cannot be migrated",
               bdrv_get_device_or_node_name(bs), bs->drv->format_name,
               disk->zoned ? "zones" : "data");
    if (migrate_add_blocker(disk->migration_blocker, errp) < 0) {
        error_free(disk->migration_blocker);
        disk->migration_blocker = NULL;
        return false;
    }
    return true;
}

int null_disk_open(BlockDriverState *bs, QDict *options, int64_t length,
                   int64_t latency_ns, NullDisk **disk, Error **errp)
{
    QemuOpts *opts = qemu_opts_create(&null_disk_opts, NULL, 0, &error_abort);
    NullDisk *d = g_new0(NullDisk, 1);
    bool zoned = null_disk_wants_zones(options);
    bool memory_backed;
    bool ok = false;

    *disk = NULL;
    if (!qemu_opts_absorb_qdict(opts, options, errp)) {
        goto out;
    }
    memory_backed = qemu_opt_get_bool(opts, OPT_MEMORY_BACKED, false);
    if (!memory_backed && !zoned) {
        ok = true;
        goto out;
    }

    d->length = length;
    d->latency_ns = latency_ns;
    ok = (!zoned || null_disk_init_zones(d, bs, opts, errp)) &&
         (!memory_backed || null_disk_init_memory(d, errp)) &&
         null_disk_block_migration(d, bs, errp);
    if (ok) {
        *disk = g_steal_pointer(&d);
    }
out:
    null_disk_close(d);
    qemu_opts_del(opts);
    return ok ? 0 : -EINVAL;
}

void null_disk_close(NullDisk *disk)
{
    if (!disk) {
        return;
    }
    if (disk->migration_blocker) {
        migrate_del_blocker(disk->migration_blocker);
        error_free(disk->migration_blocker);
    }
    if (disk->memory) {
        qemu_anon_ram_free(disk->memory, disk->length);
    }
    if (disk->zoned) {
        zone_emulation_destroy(&disk->zones);
        g_hash_table_destroy(disk->extensions);
    }
    g_free(disk);
}

bool null_disk_has_memory(const NullDisk *disk)
{
    return disk && disk->memory;
}

void null_disk_refresh_limits(NullDisk *disk, BlockLimits *bl)
{
    if (disk && disk->zoned) {
        zone_emulation_limits(&disk->zones, &bl->zones);
        bl->request_alignment = bl->zones.write_granularity;
    }
}

static void coroutine_fn null_disk_co_sleep(const NullDisk *disk)
{
    if (disk->latency_ns) {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, disk->latency_ns);
    }
}

int coroutine_fn null_disk_co_preadv(NullDisk *disk, int64_t offset,
                                     int64_t bytes, QEMUIOVector *qiov)
{
    if (disk->zoned) {
        int ret = zone_model_check_read(disk->zones.model, offset, bytes);

        if (ret < 0) {
            return ret;
        }
    }
    if (disk->memory) {
        qemu_iovec_from_buf(qiov, 0, disk->memory + offset, bytes);
    } else {
        qemu_iovec_memset(qiov, 0, 0, bytes);
    }
    null_disk_co_sleep(disk);
    return 0;
}

static void null_disk_store(NullDisk *disk, int64_t offset, QEMUIOVector *qiov,
                            int64_t bytes)
{
    if (disk->memory) {
        qemu_iovec_to_buf(qiov, 0, disk->memory + offset, bytes);
    }
}

int coroutine_fn null_disk_co_pwritev(NullDisk *disk, int64_t offset,
                                      int64_t bytes, QEMUIOVector *qiov)
{
    if (disk->zoned) {
        int ret = zone_emulation_co_begin_write(&disk->zones, offset, bytes);

        if (ret < 0) {
            return ret;
        }
    }
    null_disk_store(disk, offset, qiov, bytes);
    null_disk_co_sleep(disk);
    if (disk->zoned) {
        zone_emulation_end_write(&disk->zones, offset, bytes, 0);
    }
    return 0;
}

typedef struct NullDiskAIOCB {
    BlockAIOCB common;
    NullDisk *disk;
    bool is_write;
    int64_t offset;
    int64_t bytes;
    QEMUIOVector *qiov;
} NullDiskAIOCB;

static const AIOCBInfo null_disk_aiocb_info = {
    .aiocb_size = sizeof(NullDiskAIOCB),
};

static void coroutine_fn null_disk_aio_entry(void *opaque)
{
    NullDiskAIOCB *acb = opaque;
    int ret;

    if (acb->is_write) {
        ret = null_disk_co_pwritev(acb->disk, acb->offset, acb->bytes,
                                   acb->qiov);
    } else {
        ret = null_disk_co_preadv(acb->disk, acb->offset, acb->bytes,
                                  acb->qiov);
    }
    acb->common.cb(acb->common.opaque, ret);
    qemu_aio_unref(acb);
}

BlockAIOCB *null_disk_aio_rw(NullDisk *disk, BlockDriverState *bs,
                             bool is_write, int64_t offset, int64_t bytes,
                             QEMUIOVector *qiov, BlockCompletionFunc *cb,
                             void *opaque)
{
    NullDiskAIOCB *acb = qemu_aio_get(&null_disk_aiocb_info, bs, cb, opaque);

    acb->disk = disk;
    acb->is_write = is_write;
    acb->offset = offset;
    acb->bytes = bytes;
    acb->qiov = qiov;
    /* Not entered here: @cb must not run before this has returned */
    aio_co_schedule(bdrv_get_aio_context(bs),
                    qemu_coroutine_create(null_disk_aio_entry, acb));
    return &acb->common;
}

int coroutine_fn null_disk_co_zone_report(NullDisk *disk, int64_t offset,
                                          unsigned int *nr_zones,
                                          BlockZoneDescriptor *zones)
{
    null_disk_co_sleep(disk);
    return zone_emulation_report(&disk->zones, offset, nr_zones, zones);
}

/* Fill whole pages with zeroes by giving them back, where the host can */
static bool null_disk_drop_pages(uint8_t *start, int64_t len)
{
#ifdef CONFIG_LINUX
    return len > 0 && qemu_madvise(start, len, QEMU_MADV_DONTNEED) == 0;
#else
    return false;
#endif
}

/* Give back the memory of a zone's data */
static void null_disk_drop_data(NullDisk *disk,
                                const BlockZoneDescriptor *zone)
{
    int64_t page_size = qemu_real_host_page_size();
    int64_t end = zone->start + zone->length;
    int64_t first_page = ROUND_UP(zone->start, page_size);
    int64_t last_page = QEMU_ALIGN_DOWN(end, page_size);

    if (!null_disk_drop_pages(disk->memory + first_page,
                              last_page - first_page)) {
        memset(disk->memory + zone->start, 0, zone->length);
        return;
    }
    memset(disk->memory + zone->start, 0, first_page - zone->start);
    memset(disk->memory + last_page, 0, end - last_page);
}

BlockdevZoneCounts *null_disk_query_zone_counts(NullDisk *disk)
{
    return zone_model_query_counts(disk->zones.model);
}

static void null_disk_zone_changed(void *opaque, BlockZoneOp op,
                                   const BlockZoneDescriptor *zone)
{
    NullDisk *disk = opaque;

    if (op == BLK_ZO_RESET && disk->memory) {
        null_disk_drop_data(disk, zone);
    }
    if (!zone->has_extension) {
        g_hash_table_remove(disk->extensions, &zone->start);
    }
}

int coroutine_fn null_disk_co_zone_mgmt(NullDisk *disk, BlockZoneOp op,
                                        int64_t offset, int64_t len)
{
    null_disk_co_sleep(disk);
    return zone_emulation_co_mgmt(&disk->zones, op, offset, len,
                                  null_disk_zone_changed, disk);
}

int coroutine_fn null_disk_co_zone_set_state(NullDisk *disk, int64_t offset,
                                             BlockZoneState state)
{
    return zone_emulation_co_set_state(&disk->zones, offset, state,
                                       null_disk_zone_changed, disk);
}

int coroutine_fn null_disk_co_zone_append(NullDisk *disk, int64_t *offset,
                                          QEMUIOVector *qiov)
{
    int64_t pos = *offset;
    int ret;

    ret = zone_emulation_co_begin_append(&disk->zones, &pos, qiov->size);
    if (ret < 0) {
        return ret;
    }
    null_disk_store(disk, pos, qiov, qiov->size);
    null_disk_co_sleep(disk);
    zone_emulation_end_write(&disk->zones, pos, qiov->size, 0);
    *offset = pos;
    return 0;
}

/* An extension: the key of the hash table points into it */
typedef struct NullExtension {
    int64_t zone;
    uint8_t data[];
} NullExtension;

/* A request for an extension */
typedef struct NullExtensionRequest {
    NullDisk *disk;
    size_t size;
    const void *set;
    void *get;
} NullExtensionRequest;

static int coroutine_fn null_disk_store_extension(void *opaque, int64_t offset)
{
    NullExtensionRequest *r = opaque;
    NullExtension *e = g_try_malloc(sizeof(*e) + r->size);

    if (!e) {
        return -ENOMEM;
    }
    e->zone = offset;
    memcpy(e->data, r->set, r->size);
    g_hash_table_replace(r->disk->extensions, &e->zone, e);
    return 0;
}

static int coroutine_fn null_disk_load_extension(void *opaque, int64_t offset)
{
    NullExtensionRequest *r = opaque;
    NullExtension *e = g_hash_table_lookup(r->disk->extensions, &offset);

    memcpy(r->get, e->data, r->size);
    return 0;
}

static size_t null_disk_extension_size(NullDisk *disk)
{
    return zone_model_geometry(disk->zones.model)->extension_size;
}

int coroutine_fn null_disk_co_zone_set_extension(NullDisk *disk,
                                                 int64_t offset,
                                                 const void *buf)
{
    NullExtensionRequest r = {
        .disk = disk,
        .size = null_disk_extension_size(disk),
        .set = buf,
    };

    null_disk_co_sleep(disk);
    return zone_emulation_co_set_extension(&disk->zones, offset,
                                           null_disk_store_extension, &r);
}

int coroutine_fn null_disk_co_zone_get_extension(NullDisk *disk,
                                                 int64_t offset, void *buf)
{
    NullExtensionRequest r = {
        .disk = disk,
        .size = null_disk_extension_size(disk),
        .get = buf,
    };
    int ret;

    null_disk_co_sleep(disk);
    ret = zone_emulation_co_get_extension(&disk->zones, offset,
                                          null_disk_load_extension, &r);
    if (ret == 0) {
        memset(buf, 0, r.size);
    }
    return MIN(ret, 0);
}
