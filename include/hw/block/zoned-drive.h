/*
 * Zoned drives: what devices that show them have in common
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_BLOCK_ZONED_DRIVE_H
#define HW_BLOCK_ZONED_DRIVE_H

#include "block/zoned.h"
#include "hw/block/block.h"
#include "qapi/qapi-types-common.h"

/* For -device X,help: what the property zoned= of @klass, which has it, is */
void zoned_drive_describe_property(ObjectClass *klass);

/**
 * zoned_drive_is_shown:
 * @zoned: the device's property zoned=
 * @l: the limits of its drive
 * @shown: set on success: whether a guest is shown the zones
 * @errp: set on failure
 *
 * Returns: whether the property and the drive go together.
 */
bool zoned_drive_is_shown(OnOffAuto zoned, const BlockZoneLimits *l,
                          bool *shown, Error **errp);

/**
 * zoned_drive_settle_block_sizes:
 * @conf: what the user has set; block sizes that are not set are set
 * @l: the limits of a zoned drive
 * @errp: set on failure
 *
 * Returns: whether the logical block size can be that of the zoned drive.
 */
bool zoned_drive_settle_block_sizes(BlockConf *conf, const BlockZoneLimits *l,
                                    Error **errp);

#endif /* HW_BLOCK_ZONED_DRIVE_H */
