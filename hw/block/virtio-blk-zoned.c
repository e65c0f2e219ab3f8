/*
 * virtio-blk: the device's side of zoned disks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device keeps no state of zones, only the limits it has shown the guest:
 * zones live in the backend and outlast a reset of the device.  The numbers
 * VZ-n are those of docs/devel/zoned-conformance.rst.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/units.h"
#include "block/virtio-zoned.h"
#include "block/zoned-io.h"
#include "hw/block/zoned-drive.h"
#include "hw/virtio/virtio-access.h"
#include "migration/vmstate.h"
#include "sysemu/block-backend.h"
#include "sysemu/dma.h"
#include "trace.h"
#include "virtio-blk-zoned.h"
#include "virtio-zoned-dev.h"

bool virtio_blk_zoned_realize(VirtIOBlock *s, Error **errp)
{
    VirtIOBlkConf *conf = &s->conf;
    const BlockZoneLimits *l = blk_zone_limits(conf->conf.blk);
    const char *name = bdrv_get_device_or_node_name(blk_bs(conf->conf.blk));
    bool shown;

    s->zoned = (BlockZoneLimits) { .model = BLK_Z_NONE };

    if (!zoned_drive_is_shown(conf->zoned, l, &shown, errp)) {
        return false;
    }
    if (!shown) {
        return true;
    }
    if (!virtio_zoned_check_limits(l, errp) ||
        !zoned_drive_settle_block_sizes(&conf->conf, l, errp)) {
        return false;
    }

    s->zoned = *l;
    zoned_migration_init(&s->zoned_migration, "virtio-blk", l,
                         blk_getlength(conf->conf.blk));
    s->zoned_migration.ours.max_append_sectors =
        virtio_zoned_max_append_sectors(l);
    virtio_add_feature(&s->host_features, VIRTIO_BLK_F_ZONED);
    /* Either would move data behind the write pointers' back (G-6) */
    virtio_clear_feature(&s->host_features, VIRTIO_BLK_F_DISCARD);
    virtio_clear_feature(&s->host_features, VIRTIO_BLK_F_WRITE_ZEROES);
    virtio_zoned_warn_of_guests(l, name);
    return true;
}

uint64_t virtio_blk_zoned_get_features(VirtIOBlock *s, uint64_t features,
                                       Error **errp)
{
    return virtio_zoned_dev_get_features(features, s->zoned.model, errp);
}

int virtio_blk_zoned_validate_features(VirtIODevice *vdev)
{
    VirtIOBlock *s = VIRTIO_BLK(vdev);

    return virtio_zoned_dev_validate_features(vdev, s->zoned.model);
}

void virtio_blk_zoned_update_config(VirtIOBlock *s,
                                    struct virtio_blk_config *cfg)
{
    if (virtio_blk_is_zoned(s) && virtio_zoned_dev_shows(VIRTIO_DEVICE(s))) {
        cfg->zoned = virtio_zoned_config(&s->zoned);
    }
}

/* How a request is accounted; BLOCK_ACCT_NONE if it is not */
static enum BlockAcctType acct_type(uint32_t type)
{
    switch (type & ~VIRTIO_BLK_T_BARRIER) {
    case VIRTIO_BLK_T_IN:
        return BLOCK_ACCT_READ;
    case VIRTIO_BLK_T_OUT:
        return BLOCK_ACCT_WRITE;
    case VIRTIO_BLK_T_ZONE_APPEND:
        return BLOCK_ACCT_ZONE_APPEND;
    case VIRTIO_BLK_T_ZONE_OPEN:
        return block_zone_acct_type(BLK_ZO_OPEN);
    case VIRTIO_BLK_T_ZONE_CLOSE:
        return block_zone_acct_type(BLK_ZO_CLOSE);
    case VIRTIO_BLK_T_ZONE_FINISH:
        return block_zone_acct_type(BLK_ZO_FINISH);
    case VIRTIO_BLK_T_ZONE_RESET:
    case VIRTIO_BLK_T_ZONE_RESET_ALL:
        return block_zone_acct_type(BLK_ZO_RESET);
    default:
        return BLOCK_ACCT_NONE;
    }
}

static void acct_invalid(VirtIOBlock *s, enum BlockAcctType type)
{
    if (type != BLOCK_ACCT_NONE) {
        block_acct_invalid(blk_get_stats(s->blk), type);
    }
}

/*
 * With an understated length the status byte lies outside what the virtqueue
 * marks as written, and would be lost to migration.
 */
static void mark_status(VirtIOBlockReq *req, uint8_t status)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(req->dev);
    VirtQueueElement *elem = &req->elem;
    const unsigned int last = elem->in_num - 1;
    const size_t at = (char *)req->in - (char *)elem->in_sg[last].iov_base;

    dma_memory_write(vdev->dma_as, elem->in_addr[last] + at, &status,
                     sizeof(status), MEMTXATTRS_UNSPECIFIED);
}

/* May be called again, then with the same @status */
static void settle_in_len(VirtIOBlockReq *req, const VirtioZonedRequest *zr,
                          uint8_t status)
{
    const size_t full = req->in_len;

    req->in_len = virtio_zoned_in_len(zr);
    if (req->in_len != full) {
        mark_status(req, status);
    }
}

static void complete(VirtIOBlockReq *req, const VirtioZonedRequest *zr,
                     uint8_t status)
{
    settle_in_len(req, zr, status);
    virtio_blk_req_complete(req, status);
    virtio_blk_free_request(req);
}

/* Complete a request that the block layer has not seen */
static void answer(VirtIOBlockReq *req, const VirtioZonedRequest *zr,
                   uint8_t status)
{
    acct_invalid(req->dev, acct_type(zr->type));
    complete(req, zr, status);
}

/* A zoned request, or a read or write that needs a closer look */
typedef struct ZonedCall {
    VirtIOBlockReq *req;
    VirtioZonedDisk disk;
    VirtioZonedRequest zr;
} ZonedCall;

static void start(VirtIOBlock *s, CoroutineEntry *entry, ZonedCall *call)
{
    /* Until the entry has begun */
    blk_inc_in_flight(s->blk);
    aio_co_enter(blk_get_aio_context(s->blk),
                 qemu_coroutine_create(entry, call));
}

/*
 * A real I/O error of an append is a matter for werror, like that of a write;
 * except that it cannot be ignored, as the guest must be told a position.
 * Returns whether the policy has taken care of the request.
 */
static bool append_failed(ZonedCall *call, int ret)
{
    VirtIOBlockReq *req = call->req;

    settle_in_len(req, &call->zr, VIRTIO_BLK_S_IOERR);
    return virtio_blk_handle_rw_error(req, -ret, false, true);
}

static void zone_request_done(ZonedCall *call, int ret)
{
    VirtIOBlockReq *req = call->req;
    VirtIOBlock *s = req->dev;
    const uint8_t status = virtio_zoned_status(ret);

    trace_virtio_blk_zone_complete(VIRTIO_DEVICE(s), req, ret, status);

    if (call->zr.type == VIRTIO_BLK_T_ZONE_APPEND &&
        status == VIRTIO_BLK_S_IOERR && append_failed(call, ret)) {
        return;
    }
    if (acct_type(call->zr.type) != BLOCK_ACCT_NONE) {
        blk_zone_acct_end(s->blk, &req->acct, ret);
    }
    complete(req, &call->zr, status);
}

static void coroutine_fn zone_request_entry(void *opaque)
{
    g_autofree ZonedCall *call = opaque;
    BlockBackend *blk = call->disk.blk;
    AioContext *ctx = blk_get_aio_context(blk);
    int ret;

    blk_dec_in_flight(blk);
    blk_co_begin_steps(blk);
    ret = virtio_zoned_co_request(&call->disk, &call->zr);
    aio_context_acquire(ctx);
    zone_request_done(call, ret);
    aio_context_release(ctx);
    blk_end_steps(blk);
}

static bool is_write(const VirtioZonedRequest *zr)
{
    return zr->type & VIRTIO_BLK_T_OUT;
}

/* The rest of a read or write that proved harmless */
static void coroutine_fn co_suspect_rw(ZonedCall *call)
{
    VirtIOBlockReq *req = call->req;
    VirtIOBlock *s = req->dev;
    BlockBackend *blk = call->disk.blk;
    const int64_t offset = req->sector_num << BDRV_SECTOR_BITS;
    QEMUIOVector *qiov = &req->qiov;
    int ret;

    block_acct_start(blk_get_stats(blk), &req->acct, qiov->size,
                     acct_type(call->zr.type));
    if (is_write(&call->zr)) {
        trace_virtio_blk_handle_write(VIRTIO_DEVICE(s), req, req->sector_num,
                                      qiov->size / BDRV_SECTOR_SIZE);
        ret = blk_co_pwritev(blk, offset, qiov->size, qiov, call->disk.flags);
    } else {
        trace_virtio_blk_handle_read(VIRTIO_DEVICE(s), req, req->sector_num,
                                     qiov->size / BDRV_SECTOR_SIZE);
        ret = blk_co_preadv(blk, offset, qiov->size, qiov, call->disk.flags);
    }
    virtio_blk_rw_complete(req, ret);
}

static void coroutine_fn suspect_rw_entry(void *opaque)
{
    g_autofree ZonedCall *call = opaque;
    VirtIOBlockReq *req = call->req;
    BlockBackend *blk = call->disk.blk;
    AioContext *ctx = blk_get_aio_context(blk);
    const int64_t offset = req->sector_num << BDRV_SECTOR_BITS;
    int ret;

    blk_dec_in_flight(blk);
    blk_co_begin_steps(blk);
    ret = virtio_zoned_co_check_rw(blk, offset, req->qiov.size,
                                   is_write(&call->zr));
    if (!ret && (offset | req->qiov.size) &
                (req->dev->conf.conf.logical_block_size - 1)) {
        ret = -EIO;
    }
    trace_virtio_blk_zone_suspect(VIRTIO_DEVICE(req->dev), req,
                                  call->zr.type, req->sector_num,
                                  req->qiov.size, ret);
    if (!ret) {
        co_suspect_rw(call);
    } else {
        aio_context_acquire(ctx);
        answer(req, &call->zr, virtio_zoned_status(ret));
        aio_context_release(ctx);
    }
    blk_end_steps(blk);
}

static void start_zone_request(const ZonedCall *call)
{
    VirtIOBlockReq *req = call->req;
    const VirtioZonedRequest *zr = &call->zr;
    const bool is_append = zr->type == VIRTIO_BLK_T_ZONE_APPEND;

    trace_virtio_blk_zone_request(VIRTIO_DEVICE(req->dev), req, zr->type,
                                  zr->sector);
    block_acct_start(blk_get_stats(req->dev->blk), &req->acct,
                     is_append ? iov_size(zr->out_iov, zr->out_num) : 0,
                     acct_type(zr->type));
    start(req->dev, zone_request_entry, g_memdup2(call, sizeof(*call)));
}

static void start_suspect_rw(const ZonedCall *call)
{
    VirtIOBlockReq *req = call->req;
    const VirtioZonedRequest *zr = &call->zr;

    req->sector_num = zr->sector;
    qemu_iovec_init_external(&req->qiov,
                             is_write(zr) ? zr->out_iov : zr->in_iov,
                             is_write(zr) ? zr->out_num : zr->in_num);
    start(req->dev, suspect_rw_entry, g_memdup2(call, sizeof(*call)));
}

bool virtio_blk_zoned_handle_request(VirtIOBlockReq *req, uint32_t type,
                                     struct iovec *in_iov, unsigned int in_num,
                                     struct iovec *out_iov,
                                     unsigned int out_num)
{
    VirtIOBlock *s = req->dev;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    const ZonedCall call = {
        .req = req,
        .disk = {
            .blk = s->blk,
            .limits = &s->zoned,
            .writable = blk_is_writable(s->blk),
            .negotiated = virtio_zoned_dev_negotiated(vdev),
            .flags = blk_ram_registrar_ok(&s->blk_ram_registrar) ?
                     BDRV_REQ_REGISTERED_BUF : 0,
        },
        .zr = {
            .type = type,
            .sector = virtio_ldq_p(vdev, &req->out.sector),
            .in_iov = in_iov,
            .in_num = in_num,
            .out_iov = out_iov,
            .out_num = out_num,
        },
    };
    uint8_t status;

    switch (virtio_zoned_classify(&call.disk, &call.zr, &status)) {
    case VIRTIO_ZONED_ANSWERED:
        trace_virtio_blk_zone_complete(vdev, req, 0, status);
        answer(req, &call.zr, status);
        return true;
    case VIRTIO_ZONED_REQUEST:
        start_zone_request(&call);
        return true;
    case VIRTIO_ZONED_SUSPECT:
        start_suspect_rw(&call);
        return true;
    default:
        return false;
    }
}

/* Have @req done again, with those that wait for the machine to go on */
static void put_back(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->dev;

    iov_discard_undo(&req->inhdr_undo);
    iov_discard_undo(&req->outhdr_undo);
    req->next = s->rq;
    s->rq = req;
}

bool virtio_blk_zoned_rw_failed(VirtIOBlockReq *req, int ret)
{
    VirtIOBlock *s = req->dev;
    VirtioZonedRequest zr = {
        .in_iov = req->elem.in_sg,
        .in_num = req->elem.in_num,
    };

    if (!virtio_blk_is_zoned(s) || !block_zone_errno_is_guest_error(ret)) {
        return false;
    }
    if (ret == -ESPIPE && s->rq) {
        /* What was to be in front of it may be among them */
        put_back(req);
        return true;
    }
    acct_invalid(s, req->acct.type);
    /* Cut off the status byte once more */
    iov_discard_undo(&req->inhdr_undo);
    iov_discard_back_undoable(zr.in_iov, &zr.in_num, sizeof(*req->in),
                              &req->inhdr_undo);
    complete(req, &zr, virtio_zoned_dev_negotiated(VIRTIO_DEVICE(s)) ?
                       virtio_zoned_status(ret) : VIRTIO_BLK_S_IOERR);
    return true;
}

typedef struct OrderedRequest {
    uint64_t sector;
    VirtIOBlockReq *req;
} OrderedRequest;

static int compare_sectors(const void *a, const void *b)
{
    const uint64_t x = ((const OrderedRequest *)a)->sector;
    const uint64_t y = ((const OrderedRequest *)b)->sector;

    return x < y ? -1 : x > y;
}

static unsigned int count_requests(const VirtIOBlockReq *req)
{
    unsigned int n = 0;

    for (; req; req = req->next) {
        n++;
    }
    return n;
}

VirtIOBlockReq *virtio_blk_zoned_in_order(VirtIOBlock *s, VirtIOBlockReq *rq)
{
    unsigned int i = virtio_blk_is_zoned(s) ? count_requests(rq) : 0;
    g_autofree OrderedRequest *all = i > 1 ? g_new(OrderedRequest, i) : NULL;
    VirtIOBlockReq *req, *next = NULL;
    const unsigned int n = i;

    if (!all) {
        return rq;
    }
    for (i = 0, req = rq; req; i++, req = req->next) {
        struct virtio_blk_outhdr out = { 0 };

        /* Those that have come with a migration were not looked at yet */
        iov_to_buf(req->elem.out_sg, req->elem.out_num, 0, &out, sizeof(out));
        all[i].sector = virtio_ldq_p(VIRTIO_DEVICE(s), &out.sector);
        all[i].req = req;
    }
    qsort(all, n, sizeof(*all), compare_sectors);
    while (i > 0) {
        all[--i].req->next = next;
        next = all[i].req;
    }
    return next;
}

static const VMStateDescription vmstate_zoned_geometry_fields = {
    .name = "virtio-blk-zoned/geometry/fields",
    .pre_save = zoned_migration_pre_save,
    .pre_load = zoned_migration_pre_load,
    .post_load = zoned_migration_post_load,
    .fields = (VMStateField[]) {
        VMSTATE_UINT8(sent.model, ZonedMigration),
        VMSTATE_UINT32(sent.nr_zones, ZonedMigration),
        VMSTATE_UINT32(sent.max_open_zones, ZonedMigration),
        VMSTATE_UINT32(sent.max_active_zones, ZonedMigration),
        VMSTATE_UINT32(sent.max_append_sectors, ZonedMigration),
        VMSTATE_UINT32(sent.write_granularity, ZonedMigration),
        VMSTATE_UINT64(sent.zone_size, ZonedMigration),
        VMSTATE_UINT64(sent.length, ZonedMigration),
        VMSTATE_END_OF_LIST()
    },
};

void virtio_blk_zoned_announce(VirtIOBlock *s)
{
    if (virtio_blk_is_zoned(s)) {
        zoned_migration_announce(&s->zoned_migration, DEVICE(s),
                                 &vmstate_zoned_geometry_fields);
    }
}

void virtio_blk_zoned_withdraw(VirtIOBlock *s)
{
    zoned_migration_withdraw(&s->zoned_migration);
}

static bool geometry_needed(void *opaque)
{
    VirtIOBlock *s = opaque;

    return virtio_blk_is_zoned(s);
}

static const VMStateDescription vmstate_zoned_geometry = {
    .name = "virtio-blk-zoned/geometry",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = geometry_needed,
    .fields = (VMStateField[]) {
        VMSTATE_STRUCT(zoned_migration, VirtIOBlock, 1,
                       vmstate_zoned_geometry_fields, ZonedMigration),
        VMSTATE_END_OF_LIST()
    },
};

/*
 * Empty where the device is not zoned, so that the stream is as it was.  The
 * name must not begin with another description's name and a slash.
 */
const VMStateDescription vmstate_virtio_blk_zoned = {
    .name = "virtio-blk-zoned",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (VMStateField[]) {
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * []) {
        &vmstate_zoned_geometry,
        NULL
    },
};

int virtio_blk_zoned_post_load(VirtIODevice *vdev)
{
    VirtIOBlock *s = VIRTIO_BLK(vdev);

    return virtio_zoned_dev_post_load(vdev, s->zoned.model);
}
