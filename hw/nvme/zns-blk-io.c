/*
 * NVMe zoned namespaces on a zoned block node: writes and zone management
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers ZNS-n are those of docs/devel/zoned-conformance-nvme.rst.
 */

#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/memalign.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "sysemu/block-backend.h"
#include "sysemu/dma.h"
#include "trace.h"
#include "zns-blk.h"

/* Zones asked of the block layer at a time */
#define REPORT_CHUNK 64

/*
 * Accounting
 */

static BlockAcctStats *stats(const NvmeZnsBlkRequest *z)
{
    return blk_get_stats(z->blk);
}

static uint16_t invalid(NvmeZnsBlkRequest *z, enum BlockAcctType type,
                        uint16_t status)
{
    block_acct_invalid(stats(z), type);
    return status | NVME_DNR;
}

/* The status of a write that has ended with @ret, and was accounted as @type */
static uint16_t write_done(NvmeZnsBlkRequest *z, enum BlockAcctType type,
                           int ret)
{
    uint16_t status = NVME_SUCCESS;

    if (ret < 0) {
        status = nvme_zns_blk_status(ret);
    }
    trace_nvme_zns_blk_write_done(nvme_cid(z->req), ret, status);
    if (status) {
        return invalid(z, type, status);
    }
    if (ret < 0) {
        block_acct_failed(stats(z), &z->req->acct);
        return NVME_WRITE_FAULT;
    }
    block_acct_done(stats(z), &z->req->acct);
    return NVME_SUCCESS;
}

/*
 * The guest's data, all of it at once: a write must not go out in pieces
 */

typedef struct WriteData {
    QEMUIOVector qiov;
    void *bounce;               /* NULL if guest memory is used as it is */
} WriteData;

static void unmap_sg(NvmeZnsBlkRequest *z, WriteData *d)
{
    int i;

    for (i = 0; i < d->qiov.niov; i++) {
        dma_memory_unmap(z->req->sg.qsg.as, d->qiov.iov[i].iov_base,
                         d->qiov.iov[i].iov_len, DMA_DIRECTION_TO_DEVICE,
                         d->qiov.iov[i].iov_len);
    }
    qemu_iovec_reset(&d->qiov);
}

/* Returns false if not all of the memory can be used as it is */
static bool map_sg(NvmeZnsBlkRequest *z, WriteData *d)
{
    QEMUSGList *sg = &z->req->sg.qsg;
    int i;

    for (i = 0; i < sg->nsg; i++) {
        dma_addr_t len = sg->sg[i].len;
        void *mem = dma_memory_map(sg->as, sg->sg[i].base, &len,
                                   DMA_DIRECTION_TO_DEVICE,
                                   MEMTXATTRS_UNSPECIFIED);

        if (mem) {
            qemu_iovec_add(&d->qiov, mem, len);
        }
        if (!mem || len != sg->sg[i].len) {
            unmap_sg(z, d);
            return false;
        }
    }
    return true;
}

static uint16_t data_bounce(NvmeZnsBlkRequest *z, WriteData *d, size_t bytes)
{
    uint16_t status;

    d->bounce = blk_try_blockalign(z->blk, bytes);
    if (!d->bounce) {
        return NVME_INTERNAL_DEV_ERROR;
    }
    status = nvme_bounce_data(z->n, d->bounce, bytes,
                              NVME_TX_DIRECTION_TO_DEVICE, z->req);
    qemu_iovec_add(&d->qiov, d->bounce, bytes);
    return status;
}

static void data_release(NvmeZnsBlkRequest *z, WriteData *d)
{
    if (d->bounce) {
        qemu_vfree(d->bounce);
    } else if (z->req->sg.flags & NVME_SG_DMA) {
        unmap_sg(z, d);
    }
    qemu_iovec_destroy(&d->qiov);
}

/*
 * Get hold of @bytes of the guest's data.  An append is always copied: it may
 * be done again, elsewhere, and must not change meanwhile.
 */
static uint16_t data_get(NvmeZnsBlkRequest *z, WriteData *d, size_t bytes,
                         bool copy)
{
    NvmeSg *sg = &z->req->sg;
    uint16_t status = nvme_map_dptr(z->n, sg, bytes, &z->req->cmd);

    if (status) {
        return status;
    }
    d->bounce = NULL;
    qemu_iovec_init(&d->qiov, 1);
    if (!copy) {
        if (!(sg->flags & NVME_SG_DMA)) {
            qemu_iovec_concat(&d->qiov, &sg->iov, 0, sg->iov.size);
            return NVME_SUCCESS;
        }
        if (map_sg(z, d)) {
            return NVME_SUCCESS;
        }
    }
    status = data_bounce(z, d, bytes);
    if (status) {
        data_release(z, d);
    }
    return status;
}

/*
 * Write, Write Zeroes and Zone Append
 */

/* Of a write that ends behind the capacity of @zone.  The order is ZNS-81. */
static int too_long_error(const BlockZoneDescriptor *zone, int64_t offset)
{
    switch (zone->state) {
    case BLK_ZS_FULL:
        return -EFBIG;
    case BLK_ZS_RDONLY:
        return -EROFS;
    case BLK_ZS_OFFLINE:
        return -ENXIO;
    default:
        return offset == zone->wp ? -ERANGE : -ESPIPE;
    }
}

/*
 * The block layer may do a long write of zeroes in pieces, so that one that
 * ends behind the capacity must be found in advance (ZNS-32).
 */
static int coroutine_fn co_check_zeroes(NvmeZnsBlkRequest *z, int64_t offset,
                                        int64_t bytes)
{
    const int64_t cap = nvme_l2b(z->ns, z->ns->zone_capacity);
    BlockZoneDescriptor zone;
    int ret;

    if (offset % z->ns->zone_limits.zone_size + bytes <= cap) {
        return 0;
    }
    ret = blk_co_zone_report_one(z->blk, offset, &zone);
    if (ret == 0 && offset + bytes > zone.start + zone.cap) {
        ret = too_long_error(&zone, offset);
    }
    return ret;
}

static uint16_t coroutine_fn co_write_zeroes(NvmeZnsBlkRequest *z,
                                             int64_t offset, int64_t bytes,
                                             BdrvRequestFlags flags)
{
    int ret = co_check_zeroes(z, offset, bytes);

    if (z->cancelled) {
        return nvme_zns_blk_cancelled();
    }
    block_acct_start(stats(z), &z->req->acct, 0, BLOCK_ACCT_WRITE);
    if (ret == 0) {
        ret = blk_co_pwrite_zeroes(z->blk, offset, bytes, flags);
    }
    return write_done(z, BLOCK_ACCT_WRITE, ret);
}

static uint16_t check_append(const NvmeZnsBlkRequest *z, uint64_t slba,
                             int64_t bytes)
{
    if (slba % z->ns->zone_size || nvme_zns_blk_exceeds(bytes, z->n->zasl)) {
        return NVME_INVALID_FIELD;
    }
    return NVME_SUCCESS;
}

static uint16_t coroutine_fn co_append(NvmeZnsBlkRequest *z, int64_t offset,
                                       QEMUIOVector *qiov,
                                       BdrvRequestFlags flags)
{
    uint64_t alba;
    int ret;

    block_acct_start(stats(z), &z->req->acct, qiov->size,
                     BLOCK_ACCT_ZONE_APPEND);
    ret = blk_co_zone_append(z->blk, &offset, qiov, flags);
    if (ret == 0) {
        alba = offset / z->ns->lbasz;
        z->req->cqe.result = cpu_to_le32(alba);
        z->req->cqe.dw1 = cpu_to_le32(alba >> 32);
    }
    return write_done(z, BLOCK_ACCT_ZONE_APPEND, ret);
}

static uint16_t coroutine_fn co_plain_write(NvmeZnsBlkRequest *z,
                                            int64_t offset, QEMUIOVector *qiov,
                                            BdrvRequestFlags flags)
{
    int ret;

    block_acct_start(stats(z), &z->req->acct, qiov->size, BLOCK_ACCT_WRITE);
    ret = blk_co_pwritev(z->blk, offset, qiov->size, qiov, flags);
    return write_done(z, BLOCK_ACCT_WRITE, ret);
}

uint16_t coroutine_fn nvme_zns_blk_co_write(NvmeZnsBlkRequest *z)
{
    const NvmeRwCmd *rw = (NvmeRwCmd *)&z->req->cmd;
    const bool append = rw->opcode == NVME_CMD_ZONE_APPEND;
    const enum BlockAcctType type = append ? BLOCK_ACCT_ZONE_APPEND
                                           : BLOCK_ACCT_WRITE;
    const uint64_t slba = le64_to_cpu(rw->slba);
    const int64_t offset = nvme_l2b(z->ns, slba);
    const int64_t bytes = nvme_l2b(z->ns, le16_to_cpu(rw->nlb) + 1);
    BdrvRequestFlags flags = 0;
    WriteData data;
    uint16_t status;

    trace_nvme_zns_blk_write(nvme_cid(z->req), rw->opcode, offset, bytes);
    if (le16_to_cpu(rw->control) & NVME_RW_FUA) {
        flags |= BDRV_REQ_FUA;
    }
    if (rw->opcode == NVME_CMD_WRITE_ZEROES) {
        return co_write_zeroes(z, offset, bytes, flags);
    }
    status = append ? check_append(z, slba, bytes) : NVME_SUCCESS;
    if (!status) {
        status = data_get(z, &data, bytes, append);
    }
    if (status) {
        return invalid(z, type, status);
    }
    status = append ? co_append(z, offset, &data.qiov, flags)
                    : co_plain_write(z, offset, &data.qiov, flags);
    data_release(z, &data);
    return status;
}

/*
 * Dataset Management: to deallocate is a hint, and data of a zone goes away
 * with its write pointer only.  Offline zones are told (ZNS-78).
 */

static uint16_t coroutine_fn co_check_online(NvmeZnsBlkRequest *z,
                                             int64_t offset, int64_t end)
{
    BlockZoneDescriptor zones[REPORT_CHUNK];

    while (offset < end) {
        unsigned int nr = REPORT_CHUNK;
        unsigned int i;
        int ret;

        if (z->cancelled) {
            return nvme_zns_blk_cancelled();
        }
        ret = blk_co_zone_report(z->blk, offset, &nr, zones);
        if (ret < 0 || !nr) {
            return NVME_INTERNAL_DEV_ERROR;
        }
        for (i = 0; i < nr && zones[i].start < end; i++) {
            if (zones[i].state == BLK_ZS_OFFLINE) {
                return NVME_ZONE_OFFLINE | NVME_DNR;
            }
        }
        offset = zones[nr - 1].start + zones[nr - 1].length;
        blk_co_take_turn();
    }
    return NVME_SUCCESS;
}

uint16_t coroutine_fn nvme_zns_blk_co_deallocate(NvmeZnsBlkRequest *z)
{
    const NvmeDsmCmd *dsm = (NvmeDsmCmd *)&z->req->cmd;
    const unsigned int nr = (le32_to_cpu(dsm->nr) & 0xff) + 1;
    const uint64_t nsze = le64_to_cpu(z->ns->id_ns.nsze);
    NvmeDsmRange ranges[256];
    unsigned int i;
    uint16_t status;

    status = nvme_map_dptr(z->n, &z->req->sg, nr * sizeof(ranges[0]),
                           &z->req->cmd);
    if (!status) {
        status = nvme_bounce_data(z->n, ranges, nr * sizeof(ranges[0]),
                                  NVME_TX_DIRECTION_TO_DEVICE, z->req);
    }
    for (i = 0; !status && i < nr; i++) {
        uint64_t slba = le64_to_cpu(ranges[i].slba);
        uint32_t nlb = le32_to_cpu(ranges[i].nlb);

        /* Ranges that are too long or outside are passed over */
        if (nlb <= z->n->dmrsl && slba < nsze && nlb <= nsze - slba) {
            status = co_check_online(z, nvme_l2b(z->ns, slba),
                                     nvme_l2b(z->ns, slba + nlb));
        }
    }
    return status;
}

/*
 * Zone Management Send
 */

static bool parse_action(uint8_t action, BlockZoneOp *op)
{
    switch (action) {
    case NVME_ZONE_ACTION_CLOSE:
        *op = BLK_ZO_CLOSE_ACTIVE;
        return true;
    case NVME_ZONE_ACTION_FINISH:
        *op = BLK_ZO_FINISH;
        return true;
    case NVME_ZONE_ACTION_OPEN:
        *op = BLK_ZO_OPEN;
        return true;
    case NVME_ZONE_ACTION_RESET:
        *op = BLK_ZO_RESET;
        return true;
    case NVME_ZONE_ACTION_OFFLINE:
        *op = BLK_ZO_OFFLINE;
        return true;
    default:
        return false;
    }
}

/*
 * To an operation, read-only and offline are states like others (ZNS-28).
 * Ends the accounting of the request.
 */
static uint16_t mgmt_done(NvmeZnsBlkRequest *z, int ret)
{
    uint16_t status = NVME_SUCCESS;

    blk_zone_acct_end(z->blk, &z->req->acct, ret);
    if (ret == -EROFS || ret == -ENXIO) {
        ret = -EPERM;
    }
    if (ret < 0) {
        status = nvme_zns_blk_status(ret);
        if (!status) {
            status = NVME_INTERNAL_DEV_ERROR;
        }
    }
    trace_nvme_zns_blk_mgmt_done(nvme_cid(z->req), ret, status);
    return status;
}

static uint16_t coroutine_fn co_set_extension(NvmeZnsBlkRequest *z,
                                              int64_t offset)
{
    const size_t size = z->ns->params.zd_extension_size;
    g_autofree void *buf = g_malloc(size);
    uint16_t status;

    status = nvme_map_dptr(z->n, &z->req->sg, size, &z->req->cmd);
    if (!status) {
        status = nvme_bounce_data(z->n, buf, size, NVME_TX_DIRECTION_TO_DEVICE,
                                  z->req);
    }
    if (status) {
        block_acct_invalid(stats(z), BLOCK_ACCT_ZONE_SET_EXTENSION);
        return status;
    }
    block_acct_start(stats(z), &z->req->acct, size,
                     BLOCK_ACCT_ZONE_SET_EXTENSION);
    return mgmt_done(z, blk_co_zone_set_extension(z->blk, offset, buf));
}

/* What can be told from the command alone */
static uint16_t check_send(const NvmeZnsBlkRequest *z,
                           const NvmeZoneSendCmd *cmd, BlockZoneOp *op)
{
    const bool all = cmd->zsflags & NVME_ZSFLAG_SELECT_ALL;
    const uint64_t slba = le64_to_cpu(cmd->slba);

    if (cmd->zsa == NVME_ZONE_ACTION_SET_ZD_EXT) {
        if (all || !z->ns->params.zd_extension_size) {
            return NVME_INVALID_FIELD;
        }
    } else if (!parse_action(cmd->zsa, op)) {
        return NVME_INVALID_FIELD;
    }
    if (!all && slba >= le64_to_cpu(z->ns->id_ns.nsze)) {
        return NVME_LBA_RANGE;
    }
    if (!all && slba % z->ns->zone_size) {
        return NVME_INVALID_FIELD;
    }
    if (cmd->zsa == NVME_ZONE_ACTION_OPEN &&
        cmd->zsflags & NVME_ZSFLAG_ZRWA_ALLOC) {
        return NVME_INVALID_ZONE_OP;
    }
    return NVME_SUCCESS;
}

/* BLOCK_ACCT_NONE where a command asks for no operation at all */
static enum BlockAcctType send_acct_type(const NvmeZoneSendCmd *cmd)
{
    BlockZoneOp op;

    if (cmd->zsa == NVME_ZONE_ACTION_SET_ZD_EXT) {
        return BLOCK_ACCT_ZONE_SET_EXTENSION;
    }
    return parse_action(cmd->zsa, &op) ? block_zone_acct_type(op)
                                       : BLOCK_ACCT_NONE;
}

uint16_t coroutine_fn nvme_zns_blk_co_mgmt_send(NvmeZnsBlkRequest *z)
{
    const NvmeZoneSendCmd *cmd = (NvmeZoneSendCmd *)&z->req->cmd;
    int64_t offset;
    BlockZoneOp op = BLK_ZO_CLOSE;
    uint16_t status;

    status = check_send(z, cmd, &op);
    trace_nvme_zns_blk_mgmt(nvme_cid(z->req), cmd->zsa, cmd->zsflags,
                            le64_to_cpu(cmd->slba), status);
    if (status) {
        return invalid(z, send_acct_type(cmd), status);
    }
    if (cmd->zsa != NVME_ZONE_ACTION_SET_ZD_EXT) {
        blk_zone_acct_start(z->blk, &z->req->acct, op);
    }
    if (cmd->zsflags & NVME_ZSFLAG_SELECT_ALL) {
        return mgmt_done(z, blk_co_zone_mgmt_all(z->blk, op));
    }
    offset = nvme_l2b(z->ns, le64_to_cpu(cmd->slba));
    if (cmd->zsa == NVME_ZONE_ACTION_SET_ZD_EXT) {
        return co_set_extension(z, offset);
    }
    return mgmt_done(z, blk_co_zone_mgmt(z->blk, op, offset,
                                         z->ns->zone_limits.zone_size));
}
