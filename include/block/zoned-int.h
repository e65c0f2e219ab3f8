/*
 * Zoned storage: what the block layer itself calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hooks that base files call at open, on graph changes and on writes.  None
 * of them does anything on a node that is not zoned.
 */

#ifndef BLOCK_ZONED_INT_H
#define BLOCK_ZONED_INT_H

#include "block/zoned-io.h"

/**
 * bdrv_zoned_inherit_limits:
 *
 * Give @bs the zone limits of its primary child if its driver passes zones
 * on (BlockDriver.supports_zoned_children).  The driver may then narrow them
 * in its bdrv_refresh_limits().
 */
void bdrv_zoned_inherit_limits(BlockDriverState *bs);

/* Refuse what cannot be combined with a zoned node, once its limits are known */
bool bdrv_zoned_check_limits(BlockDriverState *bs, Error **errp);

/**
 * bdrv_zoned_check_children:
 *
 * Refuse a graph in which a driver that knows nothing of zones would write to
 * a zoned child.  Permissions are refreshed on every change of the graph, by
 * whatever way it comes: that is where this is called.
 */
bool bdrv_zoned_check_children(BlockDriverState *bs, Error **errp);

/**
 * bdrv_zoned_check_reopen:
 * @bs: a node that is to get another child by a reopen
 * @new_child: that child, or NULL
 * @errp: set on failure
 *
 * Refuse to turn a node that is in use into a zoned one, or from a zoned one
 * into something else: its users were told what it is when they began to use
 * it.  Refuse also to take a filter below a zoned image to another file.
 *
 * Returns: whether the reopen may go on.
 */
bool bdrv_zoned_check_reopen(BlockDriverState *bs, BlockDriverState *new_child,
                             Error **errp);

/*
 * Refuse a zoned node @bs as a part of the block job named @job, which knows
 * nothing of zones
 */
bool bdrv_zoned_check_job(BlockDriverState *bs, const char *job,
                          Error **errp);

/**
 * bdrv_zoned_check_snapshot:
 *
 * Refuse an internal snapshot of @bs if it is zoned, or has a zoned node above
 * it: what is in memory of the zones would not go back with the data.
 */
bool bdrv_zoned_check_snapshot(BlockDriverState *bs, Error **errp);

/**
 * bdrv_zoned_check_write:
 *
 * Check a write to a zoned node before it can be padded or split.
 *
 * Returns: 0; -EINVAL if it is misaligned or leaves the disk; -ERANGE if it
 * writes zeroes across a zone border of a host-managed node.
 */
int bdrv_zoned_check_write(BlockDriverState *bs, int64_t offset, int64_t bytes,
                           BdrvRequestFlags flags);

/*
 * What block/block-backend.c lends to block/zoned-backend.c.  To be called
 * between one pair of blk_inc_in_flight() and blk_dec_in_flight().
 */
void coroutine_fn blk_wait_while_drained(BlockBackend *blk);
void coroutine_fn blk_co_throttle_write(BlockBackend *blk, int64_t bytes);
BdrvChild *blk_root_child(BlockBackend *blk);

/*
 * Also lent: what blk_wait_while_drained() does not hold up, from one to the
 * other, counts in flight
 */
void blk_inc_steps(BlockBackend *blk);
void blk_dec_steps(BlockBackend *blk);

/* Does bdrv_co_zone_set_state() work on the zones of @bs? */
bool bdrv_zoned_is_emulated(BlockDriverState *bs);

/*
 * Until bdrv_zoned_unprotect(), bdrv_co_zone_set_state() makes no zone of @bs
 * empty or full, by whatever node it is called for.  A job that copies zones
 * could not tell such a zone from what it has copied.  To be called in a
 * drained section of @bs.
 */
void bdrv_zoned_protect(BlockDriverState *bs);
void bdrv_zoned_unprotect(BlockDriverState *bs);

/**
 * bdrv_zoned_lost:
 * @bs: the node that holds the zones
 * @start: of the first zone
 * @end: of the last one, which lies behind the first one without a gap
 * @nr_zones: how many they are
 * @state: BLK_ZS_RDONLY or BLK_ZS_OFFLINE
 *
 * Tell management that zones are lost.  May be called in any thread, and as
 * often as a guest likes: what it costs and what is sent are bounded.
 */
void bdrv_zoned_lost(BlockDriverState *bs, int64_t start, int64_t end,
                     uint32_t nr_zones, BlockZoneState state);

/**
 * bdrv_zoned_check_slice:
 * @bs: any node
 * @offset: first byte of the slice
 * @len: its length
 * @probed: whether the format was guessed from the content of a disk that
 *          will be written to
 *
 * Returns: whether a raw node may stand on this slice of @bs.  On a zoned node
 * it has to hold whole zones, and be asked for: zone appends could not be
 * kept from writing another format's header where probing looks for it.
 */
bool bdrv_zoned_check_slice(BlockDriverState *bs, int64_t offset, int64_t len,
                            bool probed, Error **errp);

/*
 * Narrow the limits that @bs took over from its child to @len bytes of it,
 * without appends if it is @probed
 */
void bdrv_zoned_slice_limits(BlockDriverState *bs, int64_t len, bool probed);

/*
 * The zone requests of a node that is @len bytes of @child from @start on.
 * Returns are those of the bdrv_co_zone_*() functions.
 */
int coroutine_fn bdrv_co_zone_report_slice(BdrvChild *child, int64_t start,
                                           int64_t len, int64_t offset,
                                           unsigned int *nr_zones,
                                           BlockZoneDescriptor *zones);
int coroutine_fn bdrv_co_zone_mgmt_slice(BdrvChild *child, int64_t start,
                                         int64_t len, BlockZoneOp op,
                                         int64_t offset, int64_t bytes);
int coroutine_fn bdrv_co_zone_append_slice(BdrvChild *child, int64_t start,
                                           int64_t *offset, QEMUIOVector *qiov,
                                           BdrvRequestFlags flags);
int coroutine_fn bdrv_co_zone_set_extension_slice(BdrvChild *child,
                                                  int64_t start,
                                                  int64_t offset,
                                                  const void *buf);
int coroutine_fn bdrv_co_zone_get_extension_slice(BdrvChild *child,
                                                  int64_t start,
                                                  int64_t offset, void *buf);
int coroutine_fn bdrv_co_zone_set_state_slice(BdrvChild *child, int64_t start,
                                              int64_t offset,
                                              BlockZoneState state);

#endif /* BLOCK_ZONED_INT_H */
