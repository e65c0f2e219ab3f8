/*
 * Zoned requests of virtio-blk over a BlockBackend
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers VZ-n and G-n are those of docs/devel/zoned-conformance.rst.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/units.h"
#include "block/virtio-zoned.h"
#include "block/zoned-io.h"
#include "sysemu/block-backend.h"
#include "trace.h"

/* Zones asked of the block layer at a time */
#define REPORT_CHUNK 64

/* Chunks of a report between two turns of the event loop */
#define REPORT_CHUNKS_PER_TURN 64

/* Most that is zeroed behind an answer */
#define ZERO_MAX (1 * MiB)

/* An append's answer: append_sector at the start, the status byte at the end */
#define APPEND_ANSWER_SIZE sizeof(uint64_t)

QEMU_BUILD_BUG_ON(sizeof(struct virtio_blk_zone_descriptor) != 64);
QEMU_BUILD_BUG_ON(sizeof(struct virtio_blk_zone_report) != 64);
QEMU_BUILD_BUG_ON(sizeof(struct virtio_blk_config) != 96);
QEMU_BUILD_BUG_ON(offsetof(struct virtio_blk_config, zoned) != 72);

/*
 * The numbers of zoned requests have neighbours that are none, and carry no
 * flag bits: @type is all 32 bits of a header's.
 */
static bool is_zone_request(uint32_t type)
{
    switch (type) {
    case VIRTIO_BLK_T_ZONE_APPEND:
    case VIRTIO_BLK_T_ZONE_REPORT:
    case VIRTIO_BLK_T_ZONE_OPEN:
    case VIRTIO_BLK_T_ZONE_CLOSE:
    case VIRTIO_BLK_T_ZONE_FINISH:
    case VIRTIO_BLK_T_ZONE_RESET:
    case VIRTIO_BLK_T_ZONE_RESET_ALL:
        return true;
    default:
        return false;
    }
}

uint32_t virtio_zoned_max_append_sectors(const BlockZoneLimits *l)
{
    int64_t max = MIN(l->max_append_bytes, l->zone_size);

    max = MIN(max, BDRV_REQUEST_MAX_BYTES);
    QEMU_BUILD_BUG_ON(BDRV_REQUEST_MAX_SECTORS >= 1 << 23);
    return QEMU_ALIGN_DOWN(max, l->write_granularity) >> BDRV_SECTOR_BITS;
}

bool virtio_zoned_check_limits(const BlockZoneLimits *l, Error **errp)
{
    const int64_t max = (int64_t)UINT32_MAX << BDRV_SECTOR_BITS;

    if (l->zone_size > max || l->zone_size & (BDRV_SECTOR_SIZE - 1)) {
        error_setg(errp, "virtio-blk cannot tell a zone size of %" PRId64
                   " bytes: it must be a multiple of %llu, at most %" PRId64,
                   l->zone_size, BDRV_SECTOR_SIZE, max);
        return false;
    }
    if (l->write_granularity < BDRV_SECTOR_SIZE ||
        !is_power_of_2(l->write_granularity)) {
        error_setg(errp, "virtio-blk cannot serve a write granularity of %"
                   PRIu32 " bytes: it must be a power of two, at least %llu",
                   l->write_granularity, BDRV_SECTOR_SIZE);
        return false;
    }
    return true;
}

void virtio_zoned_warn_of_guests(const BlockZoneLimits *l, const char *name)
{
    if (l->model != BLK_Z_HM) {
        return;
    }
    block_zone_warn_of_size(l, name);
    if (!virtio_zoned_max_append_sectors(l)) {
        warn_report("zoned drive '%s': Linux guests do not take a drive "
                    "without zone appends", name);
    }
}

struct virtio_blk_zoned_characteristics
virtio_zoned_config(const BlockZoneLimits *l)
{
    return (struct virtio_blk_zoned_characteristics) {
        .zone_sectors = cpu_to_le32(l->zone_size >> BDRV_SECTOR_BITS),
        .max_open_zones = cpu_to_le32(l->max_open_zones),
        .max_active_zones = cpu_to_le32(l->max_active_zones),
        .max_append_sectors =
            cpu_to_le32(virtio_zoned_max_append_sectors(l)),
        .write_granularity = cpu_to_le32(l->write_granularity),
        .model = l->model == BLK_Z_HM ? VIRTIO_BLK_Z_HM : VIRTIO_BLK_Z_HA,
    };
}

uint8_t virtio_zoned_status(int ret)
{
    static const struct {
        int error;
        uint8_t status;
    } table[] = {
        { 0,            VIRTIO_BLK_S_OK },
        { EINVAL,       VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { ERANGE,       VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { ESPIPE,       VIRTIO_BLK_S_ZONE_UNALIGNED_WP },
        { EFBIG,        VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { EROFS,        VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { ENXIO,        VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { EPERM,        VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { ETOOMANYREFS, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE },
        { EOVERFLOW,    VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE },
        { ENOTSUP,      VIRTIO_BLK_S_UNSUPP },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        if (table[i].error == -ret) {
            return table[i].status;
        }
    }
    return VIRTIO_BLK_S_IOERR;
}

static size_t append_bytes(const VirtioZonedRequest *req)
{
    return iov_size(req->out_iov, req->out_num);
}

/* The order is that of 'Order of checks' in the conformance table */
static VirtioZonedVerdict classify_zone_request(const VirtioZonedDisk *disk,
                                                const VirtioZonedRequest *req,
                                                uint8_t *status)
{
    const uint32_t max_append = virtio_zoned_max_append_sectors(disk->limits);
    const size_t in_size = iov_size(req->in_iov, req->in_num);
    uint64_t capacity;

    if (!disk->writable && req->type != VIRTIO_BLK_T_ZONE_REPORT) {
        *status = VIRTIO_BLK_S_IOERR;
        return VIRTIO_ZONED_ANSWERED;
    }
    if (req->type == VIRTIO_BLK_T_ZONE_APPEND && !max_append) {
        *status = VIRTIO_BLK_S_UNSUPP;
        return VIRTIO_ZONED_ANSWERED;
    }

    *status = VIRTIO_BLK_S_ZONE_INVALID_CMD;
    /* RESET_ALL ignores its sector (VZ-34) */
    blk_get_geometry(disk->blk, &capacity);
    if (req->sector >= capacity &&
        req->type != VIRTIO_BLK_T_ZONE_RESET_ALL) {
        return VIRTIO_ZONED_ANSWERED;
    }

    switch (req->type) {
    case VIRTIO_BLK_T_ZONE_REPORT:
        if (in_size < sizeof(struct virtio_blk_zone_report)) {
            return VIRTIO_ZONED_ANSWERED;
        }
        break;
    case VIRTIO_BLK_T_ZONE_APPEND:
        if (in_size < APPEND_ANSWER_SIZE ||
            append_bytes(req) >> BDRV_SECTOR_BITS > max_append) {
            return VIRTIO_ZONED_ANSWERED;
        }
        break;
    default:
        break;
    }
    return VIRTIO_ZONED_REQUEST;
}

/* A pure computation; well-behaved guests never get past it */
static bool rw_is_suspect(const BlockZoneLimits *l, uint64_t sector,
                          size_t bytes, bool is_write)
{
    uint64_t offset;

    /* Sequential write preferred zones take anything (G-4) */
    if (l->model != BLK_Z_HM || !bytes ||
        bytes & (BDRV_SECTOR_SIZE - 1) ||
        sector > INT64_MAX >> BDRV_SECTOR_BITS) {
        return false;
    }
    offset = sector << BDRV_SECTOR_BITS;
    if (is_write && (offset | bytes) & (l->write_granularity - 1)) {
        return true;
    }
    return offset % l->zone_size + bytes > l->zone_size;
}

static VirtioZonedVerdict classify_rw(const VirtioZonedDisk *disk,
                                      const VirtioZonedRequest *req,
                                      uint8_t *status)
{
    const bool is_write = req->type & VIRTIO_BLK_T_OUT;
    const size_t bytes = is_write ? iov_size(req->out_iov, req->out_num)
                                  : iov_size(req->in_iov, req->in_num);
    uint64_t capacity;

    *status = VIRTIO_BLK_S_IOERR;
    if (is_write && !disk->writable) {
        return VIRTIO_ZONED_ANSWERED;
    }
    if (!disk->negotiated) {
        /* Nobody can use a host-managed disk without knowing it */
        return disk->limits->model == BLK_Z_HM ? VIRTIO_ZONED_ANSWERED
                                               : VIRTIO_ZONED_PLAIN;
    }
    if (!rw_is_suspect(disk->limits, req->sector, bytes, is_write)) {
        return VIRTIO_ZONED_PLAIN;
    }
    /* What does not lie inside the disk fails as on any disk */
    blk_get_geometry(disk->blk, &capacity);
    if (req->sector > capacity ||
        bytes >> BDRV_SECTOR_BITS > capacity - req->sector ||
        bytes > BDRV_REQUEST_MAX_BYTES) {
        return VIRTIO_ZONED_PLAIN;
    }
    return VIRTIO_ZONED_SUSPECT;
}

VirtioZonedVerdict virtio_zoned_classify(const VirtioZonedDisk *disk,
                                         const VirtioZonedRequest *req,
                                         uint8_t *status)
{
    /* Without two bits that may be flags, as for any disk */
    switch (req->type & ~(VIRTIO_BLK_T_OUT | VIRTIO_BLK_T_BARRIER)) {
    case VIRTIO_BLK_T_IN:
        return classify_rw(disk, req, status);
    case VIRTIO_BLK_T_DISCARD & ~VIRTIO_BLK_T_OUT:
    case VIRTIO_BLK_T_WRITE_ZEROES & ~VIRTIO_BLK_T_OUT:
        /* Not offered */
        *status = VIRTIO_BLK_S_UNSUPP;
        return VIRTIO_ZONED_ANSWERED;
    default:
        break;
    }
    if (is_zone_request(req->type) && disk->negotiated) {
        return classify_zone_request(disk, req, status);
    }
    return VIRTIO_ZONED_OTHER;
}

/*
 * Of a write whose length or start breaks the write granularity: another
 * mistake comes first, if there is one (G-10).
 */
static int misaligned_write_error(const BlockZoneDescriptor *zone,
                                  int64_t offset, int64_t bytes)
{
    switch (zone->state) {
    case BLK_ZS_OFFLINE:
        return -ENXIO;
    case BLK_ZS_RDONLY:
        return -EROFS;
    case BLK_ZS_FULL:
        return -EFBIG;
    default:
        break;
    }
    if (bytes > zone->start + zone->cap - offset) {
        return -ERANGE;
    }
    return -ESPIPE;
}

static int coroutine_fn co_append_misaligned(BlockBackend *blk,
                                             int64_t offset, int64_t bytes)
{
    BlockZoneDescriptor zone;
    int ret = blk_co_zone_report_one(blk, offset, &zone);

    if (ret < 0) {
        return ret;
    }
    if (zone.type != BLK_ZT_SWR || zone.start != offset) {
        return -EINVAL;
    }
    return misaligned_write_error(&zone, zone.wp, bytes);
}

static int coroutine_fn co_append(const VirtioZonedDisk *disk,
                                  VirtioZonedRequest *req)
{
    BlockBackend *blk = disk->blk;
    const uint32_t granularity = blk_zone_limits(blk)->write_granularity;
    const int64_t start = req->sector << BDRV_SECTOR_BITS;
    int64_t offset = start;
    uint64_t append_sector;
    QEMUIOVector qiov;
    int ret;

    qemu_iovec_init_external(&qiov, req->out_iov, req->out_num);
    trace_virtio_zoned_append(blk, start, qiov.size);

    if (granularity && qiov.size & (granularity - 1)) {
        return co_append_misaligned(blk, start, qiov.size);
    }

    ret = blk_co_zone_append(blk, &offset, &qiov, disk->flags);
    if (ret < 0) {
        return ret;
    }

    append_sector = cpu_to_le64(offset >> BDRV_SECTOR_BITS);
    req->answered = iov_from_buf(req->in_iov, req->in_num, 0, &append_sector,
                                 sizeof(append_sector));
    return 0;
}

static void put_descriptor(struct virtio_blk_zone_descriptor *d,
                           const BlockZoneDescriptor *zone)
{
    *d = (struct virtio_blk_zone_descriptor) {
        .z_cap = cpu_to_le64(zone->cap >> BDRV_SECTOR_BITS),
        .z_start = cpu_to_le64(zone->start >> BDRV_SECTOR_BITS),
        /* No write pointer shows as all ones (G-12) */
        .z_wp = cpu_to_le64(zone->wp < 0 ? UINT64_MAX
                                         : zone->wp >> BDRV_SECTOR_BITS),
        .z_type = zone->type,
        .z_state = zone->state,
    };
}

static int coroutine_fn co_report(const VirtioZonedDisk *disk,
                                  VirtioZonedRequest *req)
{
    BlockBackend *blk = disk->blk;
    BlockZoneDescriptor zones[REPORT_CHUNK];
    struct virtio_blk_zone_descriptor out[REPORT_CHUNK];
    struct virtio_blk_zone_report header = { 0 };
    const size_t room = (iov_size(req->in_iov, req->in_num) - sizeof(header)) /
                        sizeof(out[0]);
    int64_t offset = req->sector << BDRV_SECTOR_BITS;
    size_t done = 0;
    unsigned int chunks = 0;

    trace_virtio_zoned_report(blk, offset, room);

    while (done < room) {
        unsigned int want = MIN(room - done, REPORT_CHUNK);
        unsigned int got = want;
        unsigned int i;
        int ret;

        ret = blk_co_zone_report(blk, offset, &got, zones);
        if (ret < 0) {
            return ret;
        }
        for (i = 0; i < got; i++) {
            put_descriptor(&out[i], &zones[i]);
        }
        iov_from_buf(req->in_iov, req->in_num,
                     sizeof(header) + done * sizeof(out[0]),
                     out, got * sizeof(out[0]));
        done += got;
        if (got < want) {
            break;
        }
        offset = zones[got - 1].start + zones[got - 1].length;
        if (offset >= blk_getlength(blk)) {
            break;
        }
        if (++chunks % REPORT_CHUNKS_PER_TURN == 0) {
            blk_co_take_turn();
        }
    }

    header.nr_zones = cpu_to_le64(done);
    iov_from_buf(req->in_iov, req->in_num, 0, &header, sizeof(header));
    req->answered = sizeof(header) + done * sizeof(out[0]);
    return 0;
}

static int coroutine_fn co_mgmt(BlockBackend *blk, BlockZoneOp op,
                                int64_t offset)
{
    const int64_t zone_size = blk_zone_limits(blk)->zone_size;
    const int64_t length = blk_getlength(blk);

    trace_virtio_zoned_mgmt(blk, op, offset);

    if (!zone_size) {
        return -ENOTSUP;
    }
    if (length < 0) {
        return length;
    }
    if (offset % zone_size || offset >= length) {
        return -EINVAL;
    }
    return blk_co_zone_mgmt(blk, op, offset,
                            MIN(zone_size, length - offset));
}

static int coroutine_fn co_reset_all(BlockBackend *blk)
{
    trace_virtio_zoned_reset_all(blk);
    return blk_co_zone_mgmt_all(blk, BLK_ZO_RESET);
}

int coroutine_fn virtio_zoned_co_request(const VirtioZonedDisk *disk,
                                         VirtioZonedRequest *req)
{
    BlockBackend *blk = disk->blk;
    const int64_t offset = req->sector << BDRV_SECTOR_BITS;

    req->answered = 0;
    switch (req->type) {
    case VIRTIO_BLK_T_ZONE_APPEND:
        return co_append(disk, req);
    case VIRTIO_BLK_T_ZONE_REPORT:
        return co_report(disk, req);
    case VIRTIO_BLK_T_ZONE_OPEN:
        return co_mgmt(blk, BLK_ZO_OPEN, offset);
    case VIRTIO_BLK_T_ZONE_CLOSE:
        return co_mgmt(blk, BLK_ZO_CLOSE, offset);
    case VIRTIO_BLK_T_ZONE_FINISH:
        return co_mgmt(blk, BLK_ZO_FINISH, offset);
    case VIRTIO_BLK_T_ZONE_RESET:
        return co_mgmt(blk, BLK_ZO_RESET, offset);
    case VIRTIO_BLK_T_ZONE_RESET_ALL:
        return co_reset_all(blk);
    default:
        return -ENOTSUP;
    }
}

size_t virtio_zoned_in_len(const VirtioZonedRequest *req)
{
    const size_t size = iov_size(req->in_iov, req->in_num);
    const size_t end = MIN(size, req->answered + ZERO_MAX);

    iov_memset(req->in_iov, req->in_num, req->answered, 0,
               end - req->answered);
    return end == size ? size + 1 : end;
}

int coroutine_fn virtio_zoned_co_check_rw(BlockBackend *blk, int64_t offset,
                                          int64_t bytes, bool is_write)
{
    BlockZoneDescriptor zones[REPORT_CHUNK];
    const int64_t end = offset + bytes;
    int64_t pos = offset;

    while (pos < end) {
        unsigned int n = REPORT_CHUNK;
        unsigned int i;
        int ret;

        ret = blk_co_zone_report(blk, pos, &n, zones);
        if (ret < 0) {
            return ret;
        }
        if (!n) {
            return -EINVAL;
        }
        for (i = 0; i < n && pos < end; i++) {
            pos = zones[i].start + zones[i].length;
            if (zones[i].type != BLK_ZT_SWR) {
                continue;
            }
            if (zones[i].start > offset || pos < end) {
                return -ERANGE;
            }
            return is_write ? misaligned_write_error(&zones[i], offset, bytes)
                            : 0;
        }
    }
    return 0;
}
