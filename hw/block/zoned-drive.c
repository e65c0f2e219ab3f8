/*
 * Zoned drives: what devices that show them have in common
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "hw/block/zoned-drive.h"

void zoned_drive_describe_property(ObjectClass *klass)
{
    object_class_property_set_description(klass, "zoned",
        "show the zones of the drive: auto, if it has any; on, it must have "
        "some; off, show none (host-aware drives only)");
}

bool zoned_drive_is_shown(OnOffAuto zoned, const BlockZoneLimits *l,
                          bool *shown, Error **errp)
{
    *shown = l->model != BLK_Z_NONE && zoned != ON_OFF_AUTO_OFF;
    if (l->model == BLK_Z_NONE && zoned == ON_OFF_AUTO_ON) {
        error_setg(errp, "zoned=on needs a zoned drive");
        return false;
    }
    if (l->model == BLK_Z_HM && zoned == ON_OFF_AUTO_OFF) {
        error_setg(errp, "zoned=off is not possible with a host-managed "
                   "drive: a guest must know its zones to write to it");
        return false;
    }
    return true;
}

bool zoned_drive_settle_block_sizes(BlockConf *conf, const BlockZoneLimits *l,
                                    Error **errp)
{
    if (!block_zone_settle_block_size(l, "logical_block_size",
                                      &conf->logical_block_size, errp)) {
        return false;
    }
    if (!conf->physical_block_size &&
        l->write_granularity > BDRV_SECTOR_SIZE) {
        conf->physical_block_size = l->write_granularity;
    }
    return true;
}
