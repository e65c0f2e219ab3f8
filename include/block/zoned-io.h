/*
 * Zone requests to block nodes and block backends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Types and the error contract are in block/zoned.h.  All requests are checked
 * in one place, block/zoned-io.c, before a driver is called.
 */

#ifndef BLOCK_ZONED_IO_H
#define BLOCK_ZONED_IO_H

#include "block/block-common.h"
#include "block/zoned.h"

/*
 * Node level.  The coroutine functions run in the node's AioContext.
 */

/**
 * bdrv_zone_limits:
 *
 * Returns: the zone limits of @bs, never NULL.  Cheap enough for every
 * request: one load.
 */
const BlockZoneLimits *bdrv_zone_limits(const BlockDriverState *bs);

/**
 * bdrv_co_zone_report:
 * @bs: the node
 * @offset: any byte of the first zone to report
 * @nr_zones: in: room in @zones; out: zones reported, less than the room only
 *            where the disk ends (0 only if the room was 0)
 * @zones: filled with consecutive zones in ascending order
 *
 * Returns: 0; -EINVAL if @offset is outside the disk; -ENOTSUP if @bs is not
 * zoned; -ENOMEDIUM; or another -errno of the backend.
 */
int coroutine_fn bdrv_co_zone_report(BlockDriverState *bs, int64_t offset,
                                     unsigned int *nr_zones,
                                     BlockZoneDescriptor *zones);

/**
 * bdrv_co_zone_mgmt:
 * @child: needs BLK_PERM_WRITE
 * @op: what to do
 * @offset: start of the first zone
 * @len: a whole number of zones, or up to the end of the disk
 *
 * Change the state of every zone in the range, or of none.  The whole of a
 * disk of more than one zone means all zones, and those that the operation
 * does not concern are skipped (see zone_model_mgmt()).
 *
 * Waits for the writes that are in flight in the zones of the range.
 *
 * Returns: 0; -EINVAL, -EPERM, -EROFS, -ENXIO, -ETOOMANYREFS or -EOVERFLOW by
 * the error contract; -ENOTSUP if the node is not zoned; -EPERM if it is
 * read-only; -ENOMEDIUM; or an I/O error.
 */
int coroutine_fn bdrv_co_zone_mgmt(BdrvChild *child, BlockZoneOp op,
                                   int64_t offset, int64_t len);

/**
 * bdrv_co_zone_append:
 * @child: needs BLK_PERM_WRITE
 * @offset: in: start of a zone; out, on success: where the data went
 * @qiov: the data, all of it; a multiple of the write granularity and at most
 *        max_append_bytes.  Nothing to append is accepted and leaves @offset
 * @flags: BDRV_REQ_FUA, BDRV_REQ_REGISTERED_BUF or 0
 *
 * Write @qiov at the write pointer of the zone.
 *
 * Returns: 0; -EINVAL, -ERANGE, -EFBIG, -EROFS, -ENXIO, -ETOOMANYREFS or
 * -EOVERFLOW by the error contract; -ENOTSUP if the node takes no appends;
 * -EPERM if it is read-only; -ENOMEDIUM; or an I/O error.
 */
int coroutine_fn bdrv_co_zone_append(BdrvChild *child, int64_t *offset,
                                     QEMUIOVector *qiov,
                                     BdrvRequestFlags flags);

/**
 * bdrv_co_zone_set_extension:
 * @child: needs BLK_PERM_WRITE
 * @offset: start of an empty zone
 * @buf: the extension of its descriptor, extension_size bytes
 *
 * The zone becomes closed, with its write pointer at its start, and keeps the
 * extension until it is empty or offline.
 *
 * Waits for operations on the zone; writes to it wait meanwhile.
 *
 * Returns: 0; -EINVAL if @offset is not the start of a sequential zone; -EPERM
 * if the zone is not empty; -EROFS, -ENXIO or -EOVERFLOW by the error contract;
 * -ENOTSUP if the node has no extensions; -EPERM if it is read-only;
 * -ENOMEDIUM; or an I/O error.  After an error, the zone is as before.
 */
int coroutine_fn bdrv_co_zone_set_extension(BdrvChild *child, int64_t offset,
                                            const void *buf);

/**
 * bdrv_co_zone_get_extension:
 * @bs: the node
 * @offset: start of a zone
 * @buf: filled with the extension of its descriptor, extension_size bytes;
 *       with zeroes if the zone has none
 *
 * Returns: 0; -EINVAL if @offset is not the start of a zone; -ENOTSUP if the
 * node has no extensions; -ENOMEDIUM; or an I/O error.
 */
int coroutine_fn bdrv_co_zone_get_extension(BlockDriverState *bs,
                                            int64_t offset, void *buf);

/**
 * bdrv_co_zone_set_state:
 * @bs: the node; needs no permission, as the zone may change by itself
 * @offset: start of a sequential zone
 * @state: BLK_ZS_EMPTY, BLK_ZS_FULL, BLK_ZS_RDONLY or BLK_ZS_OFFLINE
 *
 * Force an emulated zone into a state, from any other one: to inject a fault,
 * or to take it back.  Empty, the zone has lost what it held.  In the other
 * states that stays where it is, but for the extension of an offline zone.
 *
 * Waits for operations on the zone and for the writes that are in flight in
 * it.
 *
 * Returns: 0; -EINVAL for another zone or state; -ENOTSUP if the node is not
 * zoned, or its zones are not emulated; -EPERM if it is read-only or
 * inactive; -EBUSY if the zone would be empty or full, and is protected by
 * bdrv_zoned_protect(); -ENOMEDIUM; or an I/O error.
 */
int coroutine_fn bdrv_co_zone_set_state(BlockDriverState *bs, int64_t offset,
                                        BlockZoneState state);
int generated_co_wrapper bdrv_zone_set_state(BlockDriverState *bs,
                                             int64_t offset,
                                             BlockZoneState state);

/*
 * BlockBackend level: as the functions above, throttled where they write.
 * The AIO form calls @cb with 0 or -errno; what it writes back must stay valid
 * until then.  The blocking form runs the event loop meanwhile.
 */

/* Returns: the zone limits of the root node; of an empty backend, not zoned */
const BlockZoneLimits *blk_zone_limits(BlockBackend *blk);
bool blk_is_zoned(BlockBackend *blk);

/**
 * blk_zoned_check_plain:
 *
 * Refuse a host-managed node to a device or an export that would show it as a
 * disk without zones: whoever writes to it would destroy what is on it.
 *
 * Returns: true unless the root node of @blk is host-managed.
 */
bool blk_zoned_check_plain(BlockBackend *blk, Error **errp);

/**
 * block_zone_settle_block_size:
 * @l: the limits of a zoned disk
 * @option: name of the option for the logical block size
 * @size: its value in bytes, or 0 if it is not set; set on success
 * @errp: set on failure
 *
 * The logical block size of a zoned disk is its write granularity: guests
 * align their writes to the logical block size and to no more.
 *
 * Returns: whether @size was that, or not set.
 */
bool block_zone_settle_block_size(const BlockZoneLimits *l, const char *option,
                                  uint32_t *size, Error **errp);

/* Warn of a zone size that Linux guests do not take; @name is the disk's */
void block_zone_warn_of_size(const BlockZoneLimits *l, const char *name);

/*
 * Accounting of zone management, for front ends: once for each request of the
 * guest, whatever it takes of the functions below.
 */
enum BlockAcctType block_zone_acct_type(BlockZoneOp op);
void blk_zone_acct_start(BlockBackend *blk, BlockAcctCookie *cookie,
                         BlockZoneOp op);

/**
 * blk_zone_acct_end:
 * @cookie: of a zone request that has ended; blk_zone_acct_start() or
 *          block_acct_start() has begun it
 * @ret: how it ended, 0 or -errno
 *
 * Count the request as done, failed or, if this is the requester's own mistake
 * or the node cannot do it, invalid.
 */
void blk_zone_acct_end(BlockBackend *blk, BlockAcctCookie *cookie, int ret);

/**
 * blk_co_begin_steps:
 *
 * Begin a request of a guest that takes several requests to @blk: to drained
 * sections these are one, until blk_end_steps().  Without this, the next of
 * them would wait for the end of a drained section, and go on when whoever
 * began the section, as to reset the device, takes all requests for ended.
 *
 * Waits for the end of a drained section.  To be called in the AioContext of
 * @blk.
 */
void coroutine_fn blk_co_begin_steps(BlockBackend *blk);
void blk_end_steps(BlockBackend *blk);

/* Between two steps: let others run */
void coroutine_fn blk_co_take_turn(void);

/**
 * blk_continue_steps:
 *
 * The same for requests that begin in the callback of another one, to be called
 * in that callback: what begins until it returns belongs to the request that
 * has ended.
 */
void blk_continue_steps(BlockBackend *blk);

int coroutine_fn blk_co_zone_report(BlockBackend *blk, int64_t offset,
                                    unsigned int *nr_zones,
                                    BlockZoneDescriptor *zones);

/* The zone that holds the byte at @offset; -EIO if there is none */
int coroutine_fn blk_co_zone_report_one(BlockBackend *blk, int64_t offset,
                                        BlockZoneDescriptor *zone);

/*
 * Without a write cache, a reset, a finish, an offline and the setting of an
 * extension are flushed; -EIO if that fails.
 */
int coroutine_fn blk_co_zone_mgmt(BlockBackend *blk, BlockZoneOp op,
                                  int64_t offset, int64_t len);

/*
 * On all zones of a disk, of one zone, too: those that the operation does not
 * concern are skipped
 */
int coroutine_fn blk_co_zone_mgmt_all(BlockBackend *blk, BlockZoneOp op);

int coroutine_fn blk_co_zone_append(BlockBackend *blk, int64_t *offset,
                                    QEMUIOVector *qiov,
                                    BdrvRequestFlags flags);
int coroutine_fn blk_co_zone_set_extension(BlockBackend *blk, int64_t offset,
                                           const void *buf);
int coroutine_fn blk_co_zone_get_extension(BlockBackend *blk, int64_t offset,
                                           void *buf);

BlockAIOCB *blk_aio_zone_report(BlockBackend *blk, int64_t offset,
                                unsigned int *nr_zones,
                                BlockZoneDescriptor *zones,
                                BlockCompletionFunc *cb, void *opaque);
BlockAIOCB *blk_aio_zone_mgmt(BlockBackend *blk, BlockZoneOp op,
                              int64_t offset, int64_t len,
                              BlockCompletionFunc *cb, void *opaque);
BlockAIOCB *blk_aio_zone_mgmt_all(BlockBackend *blk, BlockZoneOp op,
                                  BlockCompletionFunc *cb, void *opaque);
BlockAIOCB *blk_aio_zone_append(BlockBackend *blk, int64_t *offset,
                                QEMUIOVector *qiov, BdrvRequestFlags flags,
                                BlockCompletionFunc *cb, void *opaque);
BlockAIOCB *blk_aio_zone_set_extension(BlockBackend *blk, int64_t offset,
                                       const void *buf,
                                       BlockCompletionFunc *cb, void *opaque);
BlockAIOCB *blk_aio_zone_get_extension(BlockBackend *blk, int64_t offset,
                                       void *buf, BlockCompletionFunc *cb,
                                       void *opaque);

int generated_co_wrapper
blk_zone_report(BlockBackend *blk, int64_t offset, unsigned int *nr_zones,
                BlockZoneDescriptor *zones);
int generated_co_wrapper
blk_zone_report_one(BlockBackend *blk, int64_t offset,
                    BlockZoneDescriptor *zone);
int generated_co_wrapper
blk_zone_mgmt(BlockBackend *blk, BlockZoneOp op, int64_t offset, int64_t len);
int generated_co_wrapper
blk_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov,
                BdrvRequestFlags flags);
int generated_co_wrapper
blk_zone_set_extension(BlockBackend *blk, int64_t offset, const void *buf);
int generated_co_wrapper
blk_zone_get_extension(BlockBackend *blk, int64_t offset, void *buf);

#endif /* BLOCK_ZONED_IO_H */
