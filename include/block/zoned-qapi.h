/*
 * Zoned storage: what management sees of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef BLOCK_ZONED_QAPI_H
#define BLOCK_ZONED_QAPI_H

#include "block/block.h"
#include "block/zone-model.h"
#include "qapi/qapi-types-block-zoned.h"

BlockdevZoneModel block_zone_model_to_qapi(BlockZoneModel model);
BlockdevZoneType block_zone_type_to_qapi(BlockZoneType type);
BlockdevZoneState block_zone_state_to_qapi(BlockZoneState state);

BlockZoneState block_zone_fault_from_qapi(BlockdevZoneFault fault);

/**
 * zone_model_query_counts:
 *
 * For the BlockDriver callback bdrv_query_zone_counts() of emulated zones.
 *
 * Returns: how many zones are in each state.
 */
BlockdevZoneCounts *zone_model_query_counts(const ZoneModel *model);

/**
 * bdrv_query_zoned:
 * @bs: any node
 *
 * Does not ask the node for its zones: that can take time.
 *
 * Returns: what there is to know about the zones of @bs; NULL if it has none.
 */
BlockdevZonedInfo *bdrv_query_zoned(BlockDriverState *bs);

/* Returns: the accounting of zone requests; NULL if @blk is not zoned */
BlockdevZonedStats *blk_query_zoned_stats(BlockBackend *blk);

#endif /* BLOCK_ZONED_QAPI_H */
