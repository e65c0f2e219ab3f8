/*
 * Zoned drives in the migration of devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "hw/block/zoned-migration.h"
#include "migration/qemu-file.h"
#include "migration/register.h"

void zoned_migration_init(ZonedMigration *m, const char *device,
                          const BlockZoneLimits *l, int64_t length)
{
    m->device = device;
    m->ours = (ZonedGeometry) {
        .model = l->model,
        .nr_zones = l->nr_zones,
        .max_open_zones = l->max_open_zones,
        .max_active_zones = l->max_active_zones,
        .write_granularity = l->write_granularity,
        .zone_size = l->zone_size,
        .length = length,
    };
}

int zoned_migration_pre_save(void *opaque)
{
    ZonedMigration *m = opaque;

    m->sent = m->ours;
    return 0;
}

/* What is not sent does not differ */
int zoned_migration_pre_load(void *opaque)
{
    ZonedMigration *m = opaque;

    m->sent = m->ours;
    return 0;
}

static bool same(const ZonedMigration *m, const char *what, uint64_t sent,
                 uint64_t ours)
{
    if (sent != ours) {
        error_report("%s: zoned drive differs from that of the source: %s is %"
                     PRIu64 " there and %" PRIu64 " here", m->device, what,
                     sent, ours);
    }
    return sent == ours;
}

int zoned_migration_post_load(void *opaque, int version_id)
{
    const ZonedMigration *m = opaque;
    const ZonedGeometry *sent = &m->sent, *ours = &m->ours;

    if (same(m, "model", sent->model, ours->model) &&
        same(m, "size", sent->length, ours->length) &&
        same(m, "zone size", sent->zone_size, ours->zone_size) &&
        same(m, "number of zones", sent->nr_zones, ours->nr_zones) &&
        same(m, "zone capacity", sent->capacity, ours->capacity) &&
        same(m, "limit of open zones", sent->max_open_zones,
             ours->max_open_zones) &&
        same(m, "limit of active zones", sent->max_active_zones,
             ours->max_active_zones) &&
        same(m, "limit of appends, in sectors,", sent->max_append_sectors,
             ours->max_append_sectors) &&
        same(m, "write granularity", sent->write_granularity,
             ours->write_granularity) &&
        same(m, "urswrz", sent->urswrz, ours->urswrz)) {
        return 0;
    }
    return -EINVAL;
}

static int announce_save(QEMUFile *f, void *opaque)
{
    ZonedMigration *m = opaque;
    int ret = vmstate_save_state(f, m->fields, m, NULL);

    /* The destination is to see it before more of the guest is sent */
    qemu_fflush(f);
    return ret;
}

static int announce_load(QEMUFile *f, void *opaque, int version_id)
{
    ZonedMigration *m = opaque;

    return vmstate_load_state(f, m->fields, m, m->fields->version_id);
}

static const SaveVMHandlers announce_handlers = {
    .save_setup = announce_save,
    .load_state = announce_load,
};

void zoned_migration_announce(ZonedMigration *m, DeviceState *dev,
                              const VMStateDescription *fields)
{
    g_autofree char *path = qdev_get_dev_path(dev);

    m->fields = fields;
    m->id = g_strdup_printf("%s%szones", path ?: "", path ? "/" : "");
    register_savevm_live(m->id, path ? 0 : VMSTATE_INSTANCE_ID_ANY, 1,
                         &announce_handlers, m);
}

void zoned_migration_withdraw(ZonedMigration *m)
{
    if (m->id) {
        unregister_savevm(NULL, m->id, m);
        g_free(m->id);
        m->id = NULL;
    }
}
