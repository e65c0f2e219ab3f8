/*
 * SCSI disks with zones (ZBC): what the disk is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Setting it up, what it tells of itself, and that this does not change in
 * migration.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "hw/block/zoned-drive.h"
#include "scsi-zbc-internal.h"

/* The largest block size that READ CAPACITY can tell: bits 8 to 15 of it */
#define MAX_BLOCK_SIZE 32768

/* libzbc does not count further (ZBC-12) */
#define MAX_BLOCKS_PER_PHYSICAL 8

/*
 * Set-up
 */

static bool settle_block_sizes(BlockConf *conf, const BlockZoneLimits *l,
                               Error **errp)
{
    const uint32_t granularity = l->write_granularity;

    if (granularity < BDRV_SECTOR_SIZE || granularity > MAX_BLOCK_SIZE ||
        !is_power_of_2(granularity)) {
        error_setg(errp, "SCSI cannot serve a write granularity of %" PRIu32
                   " bytes: it must be a power of two from %d to %d",
                   granularity, (int)BDRV_SECTOR_SIZE, MAX_BLOCK_SIZE);
        return false;
    }
    /* Guests may write any number of logical blocks (ZBC-62) */
    return zoned_drive_settle_block_sizes(conf, l, errp);
}

void scsi_zbc_describe_properties(ObjectClass *klass)
{
    zoned_drive_describe_property(klass);
    object_class_property_set_description(klass, "urswrz",
        "let reads cross the write pointer and the border of a sequential "
        "write required zone");
}

bool scsi_zbc_settle(SCSIDevice *dev, SCSIZbc *z, Error **errp)
{
    const BlockZoneLimits *l = blk_zone_limits(dev->conf.blk);
    bool shown;

    dev->conf.supports_zoned = true;
    z->limits = (BlockZoneLimits) { .model = BLK_Z_NONE };
    if (!zoned_drive_is_shown(z->zoned, l, &shown, errp)) {
        return false;
    }
    if (!shown) {
        return true;
    }
    if (!z->urswrz && l->model != BLK_Z_HM) {
        error_setg(errp, "urswrz=off needs a host-managed drive: others do "
                   "not restrict reads");
        return false;
    }
    if (!settle_block_sizes(&dev->conf, l, errp)) {
        return false;
    }
    z->limits = *l;
    z->capacity = l->zone_size;
    if (l->model == BLK_Z_HM) {
        dev->type = TYPE_ZBC;
        /* What was written goes away with the write pointer only (ZBC-13) */
        dev->conf.discard_granularity = 0;
    }
    return true;
}

static bool check_physical_block(const SCSIDevice *dev, const SCSIZbc *z,
                                 Error **errp)
{
    const uint32_t logical = dev->conf.logical_block_size;
    const uint32_t physical = dev->conf.physical_block_size;

    if (physical / logical > MAX_BLOCKS_PER_PHYSICAL) {
        error_setg(errp, "physical_block_size=%" PRIu32 " is too large for a "
                   "zoned drive, it must be at most %d logical blocks of %"
                   PRIu32, physical, MAX_BLOCKS_PER_PHYSICAL, logical);
        return false;
    }
    if (z->limits.zone_size % physical || z->capacity % physical ||
        blk_getlength(dev->conf.blk) % physical) {
        error_setg(errp, "physical_block_size=%" PRIu32 " does not suit the "
                   "zoned drive, its size, the zone size (%" PRId64 ") and "
                   "the zone capacity (%" PRId64 ") must be multiples of it",
                   physical, z->limits.zone_size, z->capacity);
        return false;
    }
    return true;
}

/*
 * Is the zone one that the protocol can express, with those before it?
 * @capacity is that of the sequential zones before it, or -1.
 */
static bool check_zone(const SCSIZbc *z, const BlockZoneDescriptor *d,
                       int64_t *capacity, Error **errp)
{
    if (!zbc_is_sequential(d)) {
        if (d->cap == d->length) {
            return true;
        }
        error_setg(errp, "SCSI cannot show the zoned drive: the conventional "
                   "zone at byte %" PRId64 " cannot be used to its end",
                   d->start);
        return false;
    }
    if (*capacity < 0) {
        *capacity = d->length < z->limits.zone_size && d->cap == d->length
            ? z->limits.zone_size : d->cap;
    }
    if (d->cap == MIN(*capacity, d->length)) {
        return true;
    }
    error_setg(errp, "SCSI cannot show the zoned drive: its zones must have "
               "one capacity, but the zone at byte %" PRId64 " has %" PRId64
               " bytes and those before it have %" PRId64, d->start, d->cap,
               *capacity);
    return false;
}

static bool find_capacity(SCSIDevice *dev, SCSIZbc *z, Error **errp)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor,
                                                  ZBC_REPORT_CHUNK);
    const int64_t length = blk_getlength(dev->conf.blk);
    int64_t capacity = -1;
    int64_t pos = 0;

    while (pos < length) {
        unsigned int n = ZBC_REPORT_CHUNK;
        unsigned int i;
        int ret = blk_zone_report(dev->conf.blk, pos, &n, zones);

        if (ret < 0 || !n) {
            error_setg_errno(errp, ret < 0 ? -ret : EIO,
                             "Cannot read the zones of the zoned drive");
            return false;
        }
        for (i = 0; i < n; i++) {
            if (!check_zone(z, &zones[i], &capacity, errp)) {
                return false;
            }
        }
        pos = zbc_zone_end(&zones[n - 1]);
    }
    if (capacity >= 0) {
        z->capacity = capacity;
    }
    return true;
}

static void warn_of_guests(const SCSIDevice *dev, const SCSIZbc *z)
{
    const char *name = bdrv_get_device_or_node_name(blk_bs(dev->conf.blk));

    if (z->limits.model == BLK_Z_HM) {
        block_zone_warn_of_size(&z->limits, name);
    }
    if (!z->urswrz) {
        warn_report("zoned drive '%s': Linux guests do not take a drive with "
                    "urswrz=off", name);
    }
}

/* Active zones are no notion of SCSI: the most that can be open */
static uint32_t max_open(const BlockZoneLimits *l)
{
    uint32_t max = MIN_NON_ZERO(l->max_open_zones, l->max_active_zones);

    return max ? max : UINT32_MAX;
}

static void init_migration(SCSIDevice *dev, SCSIZbc *z)
{
    zoned_migration_init(&z->migration, "scsi-hd", &z->limits,
                         blk_getlength(dev->conf.blk));
    z->migration.ours.max_open_zones = max_open(&z->limits);
    z->migration.ours.capacity = z->capacity;
    z->migration.ours.urswrz = z->urswrz;
}

bool scsi_zbc_realize(SCSIDevice *dev, SCSIZbc *z, Error **errp)
{
    if (!scsi_zbc_is_zoned(z)) {
        return true;
    }
    if (!blk_is_inserted(dev->conf.blk)) {
        error_setg(errp, "A zoned drive needs media");
        return false;
    }
    if (!find_capacity(dev, z, errp) || !check_physical_block(dev, z, errp)) {
        return false;
    }
    if (zbc_has_gaps(z) && z->limits.model != BLK_Z_HM) {
        error_setg(errp, "SCSI cannot show a zone capacity (%" PRId64 ") below "
                   "the zone size on a drive that is not host-managed",
                   z->capacity);
        return false;
    }
    init_migration(dev, z);
    warn_of_guests(dev, z);
    return true;
}

/*
 * Inquiry
 */

/* Scatter/gather lists bring all data of a write at once */
static bool must_gather(const SCSIDevice *dev)
{
    SCSIBus *bus = DO_UPCAST(SCSIBus, qbus, dev->qdev.parent_bus);

    return !bus->info->get_sg_list;
}

void scsi_zbc_block_limits(SCSIDevice *dev, SCSIBlockLimits *bl)
{
    const SCSIZbc *z = scsi_disk_zbc(dev);
    int64_t max = z->limits.zone_size;

    if (must_gather(dev)) {
        max = MIN(max, ZBC_GATHER_MAX);
    }
    max = MIN(zbc_bytes_to_lba(dev, max), UINT32_MAX);
    bl->max_io_sectors = MIN_NON_ZERO(bl->max_io_sectors, max);
    if (scsi_zbc_is_host_managed(z)) {
        bl->unmap_sectors = 0;
        bl->max_unmap_sectors = 0;
        bl->max_unmap_descr = 0;
    }
}

int scsi_zbc_vpd_page(SCSIDevice *dev, uint8_t *outbuf)
{
    const SCSIZbc *z = scsi_disk_zbc(dev);

    outbuf[4] = z->urswrz;
    if (!scsi_zbc_is_host_managed(z)) {
        outbuf[4] |= 1 << 4;
    }
    stl_be_p(&outbuf[8], UINT32_MAX);
    stl_be_p(&outbuf[12], UINT32_MAX);
    stl_be_p(&outbuf[16], scsi_zbc_is_host_managed(z) ? max_open(&z->limits)
                                                      : UINT32_MAX);
    if (zbc_has_gaps(z)) {
        outbuf[23] = 8;
        stq_be_p(&outbuf[24], zbc_bytes_to_lba(dev, z->limits.zone_size));
    }
    return 0x40;
}

/*
 * Migration
 */

static const VMStateDescription vmstate_zbc_geometry = {
    .name = "scsi-zbc/geometry",
    .pre_save = zoned_migration_pre_save,
    .pre_load = zoned_migration_pre_load,
    .post_load = zoned_migration_post_load,
    .fields = (VMStateField[]) {
        VMSTATE_UINT8(sent.model, ZonedMigration),
        VMSTATE_UINT32(sent.nr_zones, ZonedMigration),
        VMSTATE_UINT32(sent.max_open_zones, ZonedMigration),
        VMSTATE_UINT32(sent.write_granularity, ZonedMigration),
        VMSTATE_UINT64(sent.zone_size, ZonedMigration),
        VMSTATE_UINT64(sent.capacity, ZonedMigration),
        VMSTATE_BOOL(sent.urswrz, ZonedMigration),
        VMSTATE_UINT64(sent.length, ZonedMigration),
        VMSTATE_END_OF_LIST()
    },
};

void scsi_zbc_announce(SCSIDevice *dev, SCSIZbc *z)
{
    if (scsi_zbc_is_zoned(z)) {
        zoned_migration_announce(&z->migration, DEVICE(dev),
                                 &vmstate_zbc_geometry);
    }
}

void scsi_zbc_withdraw(SCSIZbc *z)
{
    zoned_migration_withdraw(&z->migration);
}

const VMStateDescription vmstate_scsi_zbc = {
    .name = "scsi-zbc",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (VMStateField[]) {
        VMSTATE_STRUCT(migration, SCSIZbc, 1, vmstate_zbc_geometry,
                       ZonedMigration),
        VMSTATE_END_OF_LIST()
    },
};
