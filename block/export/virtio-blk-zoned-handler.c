/*
 * Zoned disks in exports that speak virtio-blk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The translation is that of block/virtio-zoned.c; here is what an export does
 * around it.  The numbers VZ-n and G-n are those of
 * docs/devel/zoned-conformance.rst.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "block/block.h"
#include "block/virtio-zoned.h"
#include "block/zoned-io.h"
#include "standard-headers/linux/virtio_config.h"
#include "virtio-blk-zoned-handler.h"

/* What is compared at a time with a write that is already there */
#define COMPARE_CHUNK (64 * 1024)

struct VirtioBlkZoned {
    BlockZoneLimits limits;     /* as shown to the driver */
    bool negotiated;            /* the driver knows of the zones */
    bool write_cache;           /* as the user has set it */
};

static bool settle_block_size(VirtioBlkHandler *handler,
                              const BlockZoneLimits *l, bool block_size_set,
                              Error **errp)
{
    uint32_t size = block_size_set ? handler->logical_block_size : 0;

    if (!block_zone_settle_block_size(l, "logical-block-size", &size, errp)) {
        return false;
    }
    handler->logical_block_size = size;
    return true;
}

/* The driver is told once how many zones there are */
static bool keep_size(BlockBackend *blk, Error **errp)
{
    uint64_t perm, shared_perm;

    blk_get_perm(blk, &perm, &shared_perm);
    return blk_set_perm(blk, perm, shared_perm & ~BLK_PERM_RESIZE, errp) == 0;
}

bool virtio_blk_zoned_init(VirtioBlkHandler *handler, bool block_size_set,
                           Error **errp)
{
    BlockBackend *blk = handler->blk;
    const BlockZoneLimits *l = blk_zone_limits(blk);

    handler->zoned = NULL;
    if (!blk_is_zoned(blk)) {
        return true;
    }
    if (!virtio_zoned_check_limits(l, errp) ||
        !settle_block_size(handler, l, block_size_set, errp) ||
        !keep_size(blk, errp)) {
        return false;
    }
    virtio_zoned_warn_of_guests(l, bdrv_get_node_name(blk_bs(blk)));
    handler->zoned = g_new0(VirtioBlkZoned, 1);
    handler->zoned->limits = *l;
    handler->zoned->write_cache = blk_enable_write_cache(blk);
    return true;
}

void virtio_blk_zoned_cleanup(VirtioBlkHandler *handler)
{
    g_free(handler->zoned);
    handler->zoned = NULL;
}

uint64_t virtio_blk_zoned_features(const VirtioBlkHandler *handler,
                                   uint64_t features)
{
    if (!handler->zoned) {
        return features;
    }
    /* DISCARD and WRITE_ZEROES: G-6.  SIZE_MAX: exports have none (VZ-13). */
    return (features & ~(1ull << VIRTIO_BLK_F_DISCARD |
                         1ull << VIRTIO_BLK_F_WRITE_ZEROES |
                         1ull << VIRTIO_BLK_F_SIZE_MAX)) |
           1ull << VIRTIO_BLK_F_ZONED;
}

void virtio_blk_zoned_init_config(const VirtioBlkHandler *handler,
                                  struct virtio_blk_config *config)
{
    if (!handler->zoned) {
        return;
    }
    config->zoned = virtio_zoned_config(&handler->zoned->limits);
    /* Else no driver would flush, and write pointers were lost in a crash */
    config->wce = blk_enable_write_cache(handler->blk);
    config->max_discard_sectors = 0;
    config->max_discard_seg = 0;
    config->discard_sector_alignment = 0;
    config->max_write_zeroes_sectors = 0;
    config->max_write_zeroes_seg = 0;
}

size_t virtio_blk_zoned_config_size(const VirtioBlkHandler *handler)
{
    return handler->zoned ? sizeof(struct virtio_blk_config) :
           offsetof(struct virtio_blk_config, max_secure_erase_sectors);
}

static bool has(uint64_t features, unsigned int bit)
{
    return features & 1ull << bit;
}

/* A driver that cannot flush, nor see that it would have to: VZ-53 */
static bool may_cache_writes(const VirtioBlkZoned *z, uint64_t features,
                              bool wce)
{
    if (has(features, VIRTIO_BLK_F_CONFIG_WCE)) {
        return wce;
    }
    return has(features, VIRTIO_BLK_F_FLUSH) && z->write_cache;
}

void virtio_blk_zoned_set_features(VirtioBlkHandler *handler,
                                   uint64_t features, bool wce)
{
    VirtioBlkZoned *z = handler->zoned;

    if (!z) {
        return;
    }
    z->negotiated = has(features, VIRTIO_F_VERSION_1) &&
                    has(features, VIRTIO_BLK_F_ZONED);
    blk_set_enable_write_cache(handler->blk,
                               may_cache_writes(z, features, wce));
}

/* Returns whether the @bytes at @offset are those at the start of @qiov */
static int coroutine_fn co_same(BlockBackend *blk, int64_t offset,
                                int64_t bytes, QEMUIOVector *qiov, bool *same)
{
    g_autofree uint8_t *there = g_malloc(MIN(bytes, COMPARE_CHUNK));
    g_autofree uint8_t *wanted = g_malloc(MIN(bytes, COMPARE_CHUNK));
    int64_t done = 0;

    *same = true;
    while (*same && done < bytes) {
        const int64_t n = MIN(bytes - done, COMPARE_CHUNK);
        int ret = blk_co_pread(blk, offset + done, n, there, 0);

        if (ret < 0) {
            return ret;
        }
        qemu_iovec_to_buf(qiov, done, wanted, n);
        *same = !memcmp(there, wanted, n);
        done += n;
    }
    return 0;
}

/*
 * A write that failed with -@error, and that another process may have carried
 * out without telling the driver: it did if the data is there, in front of the
 * write pointer.  What of it is missing is written now.
 */
static int coroutine_fn co_resume_write(BlockBackend *blk, int64_t offset,
                                        QEMUIOVector *qiov, int error)
{
    BlockZoneDescriptor zone;
    QEMUIOVector rest;
    int64_t done;
    bool same;
    int ret;

    ret = blk_co_zone_report_one(blk, offset, &zone);
    if (ret < 0 || zone.type != BLK_ZT_SWR || zone.wp < 0) {
        return error;
    }
    done = MIN(MIN(zone.wp, zone.start + zone.cap) - offset, qiov->size);
    if (done <= 0) {
        return error;
    }
    ret = co_same(blk, offset, done, qiov, &same);
    if (ret < 0 || !same) {
        return error;
    }
    if (done == qiov->size) {
        return 0;
    }
    qemu_iovec_init_slice(&rest, qiov, done, qiov->size - done);
    ret = blk_co_pwritev(blk, offset + done, rest.size, &rest, 0);
    qemu_iovec_destroy(&rest);
    return ret;
}

static int coroutine_fn co_rw(const VirtioBlkHandler *handler,
                              VirtioZonedRequest *req, bool resubmitted)
{
    BlockBackend *blk = handler->blk;
    const bool is_write = req->type & VIRTIO_BLK_T_OUT;
    QEMUIOVector qiov;
    int64_t offset;
    int ret;

    qemu_iovec_init_external(&qiov, is_write ? req->out_iov : req->in_iov,
                             is_write ? req->out_num : req->in_num);
    if (!virtio_blk_sect_range_ok(blk, handler->logical_block_size,
                                  req->sector, qiov.size)) {
        return -EIO;
    }
    offset = req->sector << BDRV_SECTOR_BITS;
    if (!is_write) {
        ret = blk_co_preadv(blk, offset, qiov.size, &qiov, 0);
        req->answered = ret < 0 ? 0 : qiov.size;
        return ret;
    }
    ret = blk_co_pwritev(blk, offset, qiov.size, &qiov, 0);
    if (resubmitted && block_zone_errno_is_guest_error(ret)) {
        ret = co_resume_write(blk, offset, &qiov, ret);
    }
    return ret;
}

static uint8_t rw_status(const VirtioBlkZoned *z, int ret)
{
    if (ret >= 0) {
        return VIRTIO_BLK_S_OK;
    }
    return z->negotiated && block_zone_errno_is_guest_error(ret) ?
           virtio_zoned_status(ret) : VIRTIO_BLK_S_IOERR;
}

/* Returns the status byte, or -1 if the request is the same for any disk */
static int coroutine_fn co_handle(const VirtioBlkHandler *handler,
                                  VirtioZonedRequest *req, bool resubmitted)
{
    const VirtioBlkZoned *z = handler->zoned;
    const VirtioZonedDisk disk = {
        .blk = handler->blk,
        .limits = &z->limits,
        .writable = handler->writable,
        .negotiated = z->negotiated,
    };
    uint8_t status;
    int ret;

    switch (virtio_zoned_classify(&disk, req, &status)) {
    case VIRTIO_ZONED_OTHER:
        return -1;
    case VIRTIO_ZONED_ANSWERED:
        return status;
    case VIRTIO_ZONED_REQUEST:
        ret = virtio_zoned_co_request(&disk, req);
        if (ret == -EPERM && resubmitted &&
            req->type == VIRTIO_BLK_T_ZONE_CLOSE) {
            /* With the process that had it open, it ceased to be open */
            ret = 0;
        }
        return virtio_zoned_status(ret);
    case VIRTIO_ZONED_SUSPECT:
        ret = virtio_zoned_co_check_rw(disk.blk,
                                       req->sector << BDRV_SECTOR_BITS,
                                       req->type & VIRTIO_BLK_T_OUT ?
                                       iov_size(req->out_iov, req->out_num) :
                                       iov_size(req->in_iov, req->in_num),
                                       req->type & VIRTIO_BLK_T_OUT);
        if (ret < 0) {
            return virtio_zoned_status(ret);
        }
        break;
    default:
        break;
    }
    return rw_status(z, co_rw(handler, req, resubmitted));
}

bool coroutine_fn virtio_blk_zoned_process_req(VirtioBlkHandler *handler,
                                               struct iovec *in_iov,
                                               struct iovec *out_iov,
                                               unsigned int in_num,
                                               unsigned int out_num,
                                               bool resubmitted,
                                               int *in_len)
{
    struct virtio_blk_outhdr out;
    VirtioZonedRequest req = { 0 };
    struct iovec *last = in_num ? &in_iov[in_num - 1] : NULL;
    IOVDiscardUndo out_undo, in_undo;
    uint8_t *status_byte;
    int status;

    if (!last || !last->iov_len ||
        iov_to_buf(out_iov, out_num, 0, &out, sizeof(out)) != sizeof(out)) {
        *in_len = 0;
        return true;
    }

    status_byte = (uint8_t *)last->iov_base + last->iov_len - 1;
    iov_discard_front_undoable(&out_iov, &out_num, sizeof(out), &out_undo);
    iov_discard_back_undoable(in_iov, &in_num, 1, &in_undo);
    req.type = le32_to_cpu(out.type);
    req.sector = le64_to_cpu(out.sector);
    req.in_iov = in_iov;
    req.in_num = in_num;
    req.out_iov = out_iov;
    req.out_num = out_num;

    blk_co_begin_steps(handler->blk);
    status = co_handle(handler, &req, resubmitted);
    blk_end_steps(handler->blk);
    if (status < 0) {
        iov_discard_undo(&in_undo);
        iov_discard_undo(&out_undo);
        return false;
    }
    *status_byte = status;
    *in_len = virtio_zoned_in_len(&req);
    return true;
}
