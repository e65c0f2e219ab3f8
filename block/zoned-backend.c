/*
 * Zone requests to block backends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "block/block_int.h"
#include "block/zoned-int.h"
#include "sysemu/block-backend.h"
#include "sysemu/replay.h"
#include "trace.h"

static const BlockZoneLimits not_zoned = { .model = BLK_Z_NONE };

const BlockZoneLimits *blk_zone_limits(BlockBackend *blk)
{
    BlockDriverState *bs = blk_bs(blk);

    return bs ? bdrv_zone_limits(bs) : &not_zoned;
}

bool blk_is_zoned(BlockBackend *blk)
{
    return blk_zone_limits(blk)->model != BLK_Z_NONE;
}

bool blk_zoned_check_plain(BlockBackend *blk, Error **errp)
{
    if (blk_zone_limits(blk)->model != BLK_Z_HM) {
        return true;
    }
    error_setg(errp, "Host-managed zoned node '%s' needs a device or an export "
               "that supports zones, such as virtio-blk",
               bdrv_get_node_name(blk_bs(blk)));
    return false;
}

bool block_zone_settle_block_size(const BlockZoneLimits *l,
                                  const char *option, uint32_t *size,
                                  Error **errp)
{
    if (!*size) {
        *size = l->write_granularity;
    }
    if (*size != l->write_granularity) {
        error_setg(errp, "%s=%" PRIu32 " does not suit the zoned drive, it "
                   "must be the write granularity, %" PRIu32,
                   option, *size, l->write_granularity);
        return false;
    }
    return true;
}

void block_zone_warn_of_size(const BlockZoneLimits *l, const char *name)
{
    if (!is_power_of_2(l->zone_size)) {
        warn_report("zoned drive '%s': Linux guests do not take a zone size "
                    "that is no power of two (%" PRId64 " bytes)",
                    name, l->zone_size);
    }
}

enum BlockAcctType block_zone_acct_type(BlockZoneOp op)
{
    switch (op) {
    case BLK_ZO_OPEN:
        return BLOCK_ACCT_ZONE_OPEN;
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        return BLOCK_ACCT_ZONE_CLOSE;
    case BLK_ZO_FINISH:
        return BLOCK_ACCT_ZONE_FINISH;
    case BLK_ZO_RESET:
        return BLOCK_ACCT_ZONE_RESET;
    case BLK_ZO_OFFLINE:
        return BLOCK_ACCT_ZONE_OFFLINE;
    }
    g_assert_not_reached();
}

void blk_zone_acct_start(BlockBackend *blk, BlockAcctCookie *cookie,
                         BlockZoneOp op)
{
    block_acct_start(blk_get_stats(blk), cookie, 0, block_zone_acct_type(op));
}

void blk_zone_acct_end(BlockBackend *blk, BlockAcctCookie *cookie, int ret)
{
    BlockAcctStats *stats = blk_get_stats(blk);

    if (ret >= 0) {
        block_acct_done(stats, cookie);
    } else if (ret == -ENOTSUP || block_zone_errno_is_guest_error(ret)) {
        block_acct_invalid(stats, cookie->type);
    } else {
        block_acct_failed(stats, cookie);
    }
}

void coroutine_fn blk_co_begin_steps(BlockBackend *blk)
{
    blk_inc_in_flight(blk);
    blk_wait_while_drained(blk);
    blk_inc_steps(blk);
    blk_dec_in_flight(blk);
}

void blk_end_steps(BlockBackend *blk)
{
    blk_dec_steps(blk);
}

void coroutine_fn blk_co_take_turn(void)
{
    aio_co_schedule(qemu_get_current_aio_context(), qemu_coroutine_self());
    qemu_coroutine_yield();
}

static void end_steps_bh(void *opaque)
{
    blk_dec_steps(opaque);
}

void blk_continue_steps(BlockBackend *blk)
{
    blk_inc_steps(blk);
    /* A coroutine that the callback enters begins when the callback returns */
    aio_bh_schedule_oneshot(blk_get_aio_context(blk), end_steps_bh, blk);
}

/*
 * The requests themselves, between one pair of blk_inc_in_flight() and
 * blk_dec_in_flight().  The graph may change while they wait to begin.
 */

static int coroutine_fn blk_co_do_zone_report(BlockBackend *blk,
                                              int64_t offset,
                                              unsigned int *nr_zones,
                                              BlockZoneDescriptor *zones)
{
    blk_wait_while_drained(blk);
    trace_blk_co_zone_report(blk, blk_bs(blk), offset, *nr_zones);
    if (!blk_is_available(blk)) {
        return -ENOMEDIUM;
    }
    return bdrv_co_zone_report(blk_bs(blk), offset, nr_zones, zones);
}

/*
 * A user that is told of no write cache never flushes, so what a change of
 * zones that ended with @ret has done must outlast a crash.
 */
static int coroutine_fn blk_co_settle_zones(BlockBackend *blk, int ret)
{
    if (ret == 0 && !blk_enable_write_cache(blk) &&
        bdrv_co_flush(blk_bs(blk)) < 0) {
        return -EIO;
    }
    return ret;
}

/* Likewise for an operation; zones that are open do not outlast a crash */
static int coroutine_fn blk_co_settle_op(BlockBackend *blk, BlockZoneOp op,
                                         int ret)
{
    return op == BLK_ZO_FINISH || op == BLK_ZO_RESET || op == BLK_ZO_OFFLINE
        ? blk_co_settle_zones(blk, ret) : ret;
}

/* To be called when nothing is left to wait for */
static int coroutine_fn blk_co_zone_mgmt_now(BlockBackend *blk, BlockZoneOp op,
                                             int64_t offset, int64_t len)
{
    int ret;

    trace_blk_co_zone_mgmt(blk, blk_bs(blk), op, offset, len);
    if (!blk_is_available(blk)) {
        return -ENOMEDIUM;
    }
    ret = bdrv_co_zone_mgmt(blk_root_child(blk), op, offset, len);
    return blk_co_settle_op(blk, op, ret);
}

static int coroutine_fn blk_co_do_zone_mgmt(BlockBackend *blk, BlockZoneOp op,
                                            int64_t offset, int64_t len)
{
    blk_wait_while_drained(blk);
    return blk_co_zone_mgmt_now(blk, op, offset, len);
}

/* To bdrv_co_zone_mgmt(), the whole of a disk of one zone is that zone */
static int coroutine_fn blk_co_do_zone_mgmt_all(BlockBackend *blk,
                                                BlockZoneOp op)
{
    const int64_t length = blk_getlength(blk);

    if (length < 0) {
        return length;
    }
    if (blk_zone_limits(blk)->nr_zones == 1) {
        BlockZoneDescriptor zone;
        unsigned int nr = 1;
        int ret = blk_co_do_zone_report(blk, 0, &nr, &zone);

        if (ret < 0 || !nr || !block_zone_op_concerns(op, zone.state)) {
            return blk_co_settle_op(blk, op, ret);
        }
        return blk_co_zone_mgmt_now(blk, op, 0, length);
    }
    return blk_co_do_zone_mgmt(blk, op, 0, length);
}

static int coroutine_fn blk_co_do_zone_append(BlockBackend *blk,
                                              int64_t *offset,
                                              QEMUIOVector *qiov,
                                              BdrvRequestFlags flags)
{
    BlockDriverState *bs;
    int ret;

    blk_wait_while_drained(blk);

    bs = blk_bs(blk);
    trace_blk_co_zone_append(blk, bs, *offset, qiov->size, flags);
    if (!blk_is_available(blk)) {
        return -ENOMEDIUM;
    }

    bdrv_inc_in_flight(bs);
    blk_co_throttle_write(blk, qiov->size);
    if (!blk_enable_write_cache(blk)) {
        flags |= BDRV_REQ_FUA;
    }
    ret = bdrv_co_zone_append(blk_root_child(blk), offset, qiov, flags);
    bdrv_dec_in_flight(bs);
    return ret;
}

static int coroutine_fn blk_co_do_zone_set_extension(BlockBackend *blk,
                                                     int64_t offset,
                                                     const void *buf)
{
    int ret;

    blk_wait_while_drained(blk);
    trace_blk_co_zone_set_extension(blk, blk_bs(blk), offset);
    if (!blk_is_available(blk)) {
        return -ENOMEDIUM;
    }
    ret = bdrv_co_zone_set_extension(blk_root_child(blk), offset, buf);
    return blk_co_settle_zones(blk, ret);
}

static int coroutine_fn blk_co_do_zone_get_extension(BlockBackend *blk,
                                                     int64_t offset, void *buf)
{
    blk_wait_while_drained(blk);
    trace_blk_co_zone_get_extension(blk, blk_bs(blk), offset);
    if (!blk_is_available(blk)) {
        return -ENOMEDIUM;
    }
    return bdrv_co_zone_get_extension(blk_bs(blk), offset, buf);
}

int coroutine_fn blk_co_zone_report(BlockBackend *blk, int64_t offset,
                                    unsigned int *nr_zones,
                                    BlockZoneDescriptor *zones)
{
    int ret;
    IO_OR_GS_CODE();

    blk_inc_in_flight(blk);
    ret = blk_co_do_zone_report(blk, offset, nr_zones, zones);
    blk_dec_in_flight(blk);
    return ret;
}

int coroutine_fn blk_co_zone_report_one(BlockBackend *blk, int64_t offset,
                                        BlockZoneDescriptor *zone)
{
    unsigned int nr = 1;
    int ret = blk_co_zone_report(blk, offset, &nr, zone);

    return ret == 0 && !nr ? -EIO : ret;
}

int coroutine_fn blk_co_zone_mgmt(BlockBackend *blk, BlockZoneOp op,
                                  int64_t offset, int64_t len)
{
    int ret;
    IO_OR_GS_CODE();

    blk_inc_in_flight(blk);
    ret = blk_co_do_zone_mgmt(blk, op, offset, len);
    blk_dec_in_flight(blk);
    return ret;
}

int coroutine_fn blk_co_zone_mgmt_all(BlockBackend *blk, BlockZoneOp op)
{
    int ret;
    IO_OR_GS_CODE();

    blk_inc_in_flight(blk);
    ret = blk_co_do_zone_mgmt_all(blk, op);
    blk_dec_in_flight(blk);
    return ret;
}

int coroutine_fn blk_co_zone_append(BlockBackend *blk, int64_t *offset,
                                    QEMUIOVector *qiov,
                                    BdrvRequestFlags flags)
{
    int ret;
    IO_OR_GS_CODE();

    blk_inc_in_flight(blk);
    ret = blk_co_do_zone_append(blk, offset, qiov, flags);
    blk_dec_in_flight(blk);
    return ret;
}

int coroutine_fn blk_co_zone_set_extension(BlockBackend *blk, int64_t offset,
                                           const void *buf)
{
    int ret;
    IO_OR_GS_CODE();

    blk_inc_in_flight(blk);
    ret = blk_co_do_zone_set_extension(blk, offset, buf);
    blk_dec_in_flight(blk);
    return ret;
}

int coroutine_fn blk_co_zone_get_extension(BlockBackend *blk, int64_t offset,
                                           void *buf)
{
    int ret;
    IO_OR_GS_CODE();

    blk_inc_in_flight(blk);
    ret = blk_co_do_zone_get_extension(blk, offset, buf);
    blk_dec_in_flight(blk);
    return ret;
}

typedef struct BlkZoneAIOCB {
    BlockAIOCB common;
    BlockBackend *blk;
    int64_t offset;
    union {
        struct {
            unsigned int *nr_zones;
            BlockZoneDescriptor *zones;
        } report;
        struct {
            BlockZoneOp op;
            int64_t len;
        } mgmt;
        struct {
            int64_t *offset;
            QEMUIOVector *qiov;
            BdrvRequestFlags flags;
        } append;
        const void *set_extension;
        void *get_extension;
    };
    int ret;
    bool done;
    bool has_returned;
} BlkZoneAIOCB;

static AioContext *blk_zone_aiocb_get_aio_context(BlockAIOCB *acb_)
{
    BlkZoneAIOCB *acb = container_of(acb_, BlkZoneAIOCB, common);

    return blk_get_aio_context(acb->blk);
}

static const AIOCBInfo blk_zone_aiocb_info = {
    .aiocb_size         = sizeof(BlkZoneAIOCB),
    .get_aio_context    = blk_zone_aiocb_get_aio_context,
};

static void blk_zone_aio_complete(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    acb->common.cb(acb->common.opaque, acb->ret);
    blk_dec_in_flight(acb->blk);
    qemu_aio_unref(acb);
}

/* The callback is never called before the function that got it has returned */
static void blk_zone_aio_done(BlkZoneAIOCB *acb, int ret)
{
    acb->ret = ret;
    acb->done = true;
    if (acb->has_returned) {
        blk_zone_aio_complete(acb);
    }
}

static BlkZoneAIOCB *blk_zone_aio_new(BlockBackend *blk, int64_t offset,
                                      BlockCompletionFunc *cb, void *opaque)
{
    BlkZoneAIOCB *acb;

    blk_inc_in_flight(blk);
    acb = blk_aio_get(&blk_zone_aiocb_info, blk, cb, opaque);
    acb->blk = blk;
    acb->offset = offset;
    acb->done = false;
    acb->has_returned = false;
    return acb;
}

static BlockAIOCB *blk_zone_aio_start(BlkZoneAIOCB *acb, CoroutineEntry *entry)
{
    bdrv_coroutine_enter(blk_bs(acb->blk), qemu_coroutine_create(entry, acb));

    acb->has_returned = true;
    if (acb->done) {
        replay_bh_schedule_oneshot_event(blk_get_aio_context(acb->blk),
                                         blk_zone_aio_complete, acb);
    }
    return &acb->common;
}

static void coroutine_fn blk_aio_zone_report_entry(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    blk_zone_aio_done(acb, blk_co_do_zone_report(acb->blk, acb->offset,
                                                 acb->report.nr_zones,
                                                 acb->report.zones));
}

static void coroutine_fn blk_aio_zone_mgmt_entry(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    blk_zone_aio_done(acb, blk_co_do_zone_mgmt(acb->blk, acb->mgmt.op,
                                               acb->offset, acb->mgmt.len));
}

static void coroutine_fn blk_aio_zone_mgmt_all_entry(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    blk_zone_aio_done(acb, blk_co_do_zone_mgmt_all(acb->blk, acb->mgmt.op));
}

static void coroutine_fn blk_aio_zone_append_entry(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    blk_zone_aio_done(acb, blk_co_do_zone_append(acb->blk, acb->append.offset,
                                                 acb->append.qiov,
                                                 acb->append.flags));
}

static void coroutine_fn blk_aio_zone_set_extension_entry(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    blk_zone_aio_done(acb, blk_co_do_zone_set_extension(acb->blk, acb->offset,
                                                        acb->set_extension));
}

static void coroutine_fn blk_aio_zone_get_extension_entry(void *opaque)
{
    BlkZoneAIOCB *acb = opaque;

    blk_zone_aio_done(acb, blk_co_do_zone_get_extension(acb->blk, acb->offset,
                                                        acb->get_extension));
}

BlockAIOCB *blk_aio_zone_report(BlockBackend *blk, int64_t offset,
                                unsigned int *nr_zones,
                                BlockZoneDescriptor *zones,
                                BlockCompletionFunc *cb, void *opaque)
{
    BlkZoneAIOCB *acb = blk_zone_aio_new(blk, offset, cb, opaque);
    IO_CODE();

    acb->report.nr_zones = nr_zones;
    acb->report.zones = zones;
    return blk_zone_aio_start(acb, blk_aio_zone_report_entry);
}

BlockAIOCB *blk_aio_zone_mgmt(BlockBackend *blk, BlockZoneOp op,
                              int64_t offset, int64_t len,
                              BlockCompletionFunc *cb, void *opaque)
{
    BlkZoneAIOCB *acb = blk_zone_aio_new(blk, offset, cb, opaque);
    IO_CODE();

    acb->mgmt.op = op;
    acb->mgmt.len = len;
    return blk_zone_aio_start(acb, blk_aio_zone_mgmt_entry);
}

BlockAIOCB *blk_aio_zone_mgmt_all(BlockBackend *blk, BlockZoneOp op,
                                  BlockCompletionFunc *cb, void *opaque)
{
    BlkZoneAIOCB *acb = blk_zone_aio_new(blk, 0, cb, opaque);
    IO_CODE();

    acb->mgmt.op = op;
    return blk_zone_aio_start(acb, blk_aio_zone_mgmt_all_entry);
}

BlockAIOCB *blk_aio_zone_append(BlockBackend *blk, int64_t *offset,
                                QEMUIOVector *qiov, BdrvRequestFlags flags,
                                BlockCompletionFunc *cb, void *opaque)
{
    BlkZoneAIOCB *acb = blk_zone_aio_new(blk, *offset, cb, opaque);
    IO_CODE();

    acb->append.offset = offset;
    acb->append.qiov = qiov;
    acb->append.flags = flags;
    return blk_zone_aio_start(acb, blk_aio_zone_append_entry);
}

BlockAIOCB *blk_aio_zone_set_extension(BlockBackend *blk, int64_t offset,
                                       const void *buf,
                                       BlockCompletionFunc *cb, void *opaque)
{
    BlkZoneAIOCB *acb = blk_zone_aio_new(blk, offset, cb, opaque);
    IO_CODE();

    acb->set_extension = buf;
    return blk_zone_aio_start(acb, blk_aio_zone_set_extension_entry);
}

BlockAIOCB *blk_aio_zone_get_extension(BlockBackend *blk, int64_t offset,
                                       void *buf, BlockCompletionFunc *cb,
                                       void *opaque)
{
    BlkZoneAIOCB *acb = blk_zone_aio_new(blk, offset, cb, opaque);
    IO_CODE();

    acb->get_extension = buf;
    return blk_zone_aio_start(acb, blk_aio_zone_get_extension_entry);
}
