/*
 * Zoned drives in the migration of devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a guest has been told of its zones must not change under it: a device
 * sends it, and a destination whose drive has other zones refuses the guest.
 * Which fields are sent is the device's choice, by its VMStateDescription.
 *
 * They are sent twice: with the state of the device, when the guest has been
 * stopped, and when a migration begins, so that it runs on if it is refused.
 */

#ifndef HW_BLOCK_ZONED_MIGRATION_H
#define HW_BLOCK_ZONED_MIGRATION_H

#include "block/zoned.h"
#include "hw/qdev-core.h"
#include "migration/vmstate.h"

typedef struct ZonedGeometry {
    uint8_t model;              /* BlockZoneModel */
    bool urswrz;                /* SCSI: unrestricted reads */
    uint32_t nr_zones;
    uint32_t max_open_zones;
    uint32_t max_active_zones;
    uint32_t max_append_sectors;
    uint32_t write_granularity; /* this and the following in bytes */
    uint64_t zone_size;
    uint64_t capacity;          /* of the zones, where they have one */
    uint64_t length;            /* of the disk */
} ZonedGeometry;

/* In the state of a device */
typedef struct ZonedMigration {
    const char *device;         /* for messages */
    ZonedGeometry ours;
    ZonedGeometry sent;         /* by the source; valid in migration only */
    char *id;                   /* of what is sent first */
    const VMStateDescription *fields;
} ZonedMigration;

/**
 * zoned_migration_init:
 * @m: set to what the limits tell, for the device to adjust
 * @device: its name in messages; not copied
 * @l: the limits that the guest is told
 * @length: of the disk, in bytes
 */
void zoned_migration_init(ZonedMigration *m, const char *device,
                          const BlockZoneLimits *l, int64_t length);

/**
 * zoned_migration_announce:
 * @m: filled
 * @dev: the device, whose address is known
 * @fields: what is to be sent of @m
 *
 * Send it when a migration begins, too, until zoned_migration_withdraw().
 */
void zoned_migration_announce(ZonedMigration *m, DeviceState *dev,
                              const VMStateDescription *fields);

/* Does nothing if @m was not announced */
void zoned_migration_withdraw(ZonedMigration *m);

/* For the VMStateDescription of a ZonedMigration, whose fields are in "sent" */
int zoned_migration_pre_save(void *opaque);
int zoned_migration_pre_load(void *opaque);

/**
 * zoned_migration_post_load:
 *
 * Returns: 0, or -EINVAL with a message if a field that was sent differs.
 */
int zoned_migration_post_load(void *opaque, int version_id);

#endif /* HW_BLOCK_ZONED_MIGRATION_H */
