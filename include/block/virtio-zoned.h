/*
 * Zoned requests of virtio-blk over a BlockBackend
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The translation between VIRTIO_BLK_F_ZONED (VIRTIO 1.3, "Block Device") and
 * the block layer's zones, for everything that speaks virtio-blk: it knows
 * neither devices nor virtqueues.  Nothing here keeps state between requests.
 * All integers of the protocol are little-endian, since the feature exists on
 * modern interfaces only.
 */

#ifndef BLOCK_VIRTIO_ZONED_H
#define BLOCK_VIRTIO_ZONED_H

#include "block/block.h"
#include "block/zoned.h"
#include "standard-headers/linux/virtio_blk.h"

/* What a server of zoned requests knows of its disk */
typedef struct VirtioZonedDisk {
    BlockBackend *blk;
    /* As in the configuration space; 0 means that appends are unsupported */
    uint32_t max_append_sectors;
    bool writable;
    BdrvRequestFlags flags;     /* for appends: BDRV_REQ_REGISTERED_BUF or 0 */
} VirtioZonedDisk;

/* A zoned request, taken out of its header and descriptors */
typedef struct VirtioZonedRequest {
    uint32_t type;              /* VIRTIO_BLK_T_ZONE_* */
    uint64_t sector;
    struct iovec *in_iov;       /* device-writable part, less the status byte */
    unsigned int in_num;
    struct iovec *out_iov;      /* device-readable part behind the header */
    unsigned int out_num;
    /* Bytes at the start of the device-writable part that hold the answer */
    size_t answered;
} VirtioZonedRequest;

/**
 * virtio_zoned_is_request:
 * @type: all 32 bits of a request header's type
 *
 * Returns: whether @type is one of the zoned requests.  The numbers have
 * neighbours that are not, and carry no flag bits: never mask @type.
 */
bool virtio_zoned_is_request(uint32_t type);

/**
 * virtio_zoned_max_append_sectors:
 *
 * Returns: the value of max_append_sectors for a disk with the limits @l: a
 * multiple of the write granularity, and small enough for a guest that
 * computes the limit in bytes with 32 bits (VZ-12, L-3).
 */
uint32_t virtio_zoned_max_append_sectors(const BlockZoneLimits *l);

/**
 * virtio_zoned_check_limits:
 * @l: the limits of a zoned node
 * @errp: set on failure
 *
 * Returns: whether the protocol can express @l.
 */
bool virtio_zoned_check_limits(const BlockZoneLimits *l, Error **errp);

/**
 * virtio_zoned_config:
 * @l: limits that virtio_zoned_check_limits() accepts
 *
 * Returns: the zoned part of the configuration space (VZ-5 to VZ-16).
 */
struct virtio_blk_zoned_characteristics
virtio_zoned_config(const BlockZoneLimits *l);

/**
 * virtio_zoned_status:
 * @ret: 0 or the -errno of a request to a zoned node
 *
 * Returns: the request's status byte (VZ-22 to VZ-27).  The errors of
 * block/zoned.h that are the requester's own mistakes, and -ENOTSUP, have
 * their own; all others are VIRTIO_BLK_S_IOERR.
 */
uint8_t virtio_zoned_status(int ret);

/**
 * virtio_zoned_check_request:
 *
 * Answer what needs no look at the zones: a read-only disk (VZ-50), a disk
 * without appends (VZ-37), a sector outside the disk, a buffer of a wrong size.
 *
 * Returns: VIRTIO_BLK_S_OK if @req is to go to virtio_zoned_co_request(), or
 * the status byte that ends it.
 */
uint8_t virtio_zoned_check_request(const VirtioZonedDisk *disk,
                                   const VirtioZonedRequest *req);

/**
 * virtio_zoned_co_request:
 * @disk: the disk
 * @req: a request that virtio_zoned_check_request() let through; on return
 *       @answered is set
 *
 * Carry out @req.  Memory is constant whatever the guest asks for: a report
 * is streamed into the guest's buffer in chunks.  Runs in the AioContext of
 * the backend, with its lock held; each request to the block layer counts in
 * the backend's in-flight counter and nothing else is waited for between.
 *
 * Returns: 0 or -errno, to be translated by virtio_zoned_status().
 */
int coroutine_fn virtio_zoned_co_request(const VirtioZonedDisk *disk,
                                         VirtioZonedRequest *req);

/**
 * virtio_zoned_in_len:
 * @req: a request about to be completed
 *
 * Zero the device-writable part behind the answer, so that it holds no byte
 * the device did not write (VZ-57).
 *
 * Returns: the used length, including the status byte if there is no hole in
 * front of it.  It is understated if the guest's buffer is much longer than
 * the answer, since zeroing it all would let the guest hold up the event loop.
 */
size_t virtio_zoned_in_len(const VirtioZonedRequest *req);

/**
 * virtio_zoned_rw_is_suspect:
 * @l: the limits of a zoned disk
 * @sector: first sector of a read or write, unchecked
 * @bytes: its length, unchecked
 * @is_write: whether it writes
 *
 * Returns: whether virtio_zoned_co_check_rw() may object.  A pure computation,
 * for every read and write to a zoned disk; well-behaved guests never get past
 * it.
 */
bool virtio_zoned_rw_is_suspect(const BlockZoneLimits *l, uint64_t sector,
                                size_t bytes, bool is_write);

/**
 * virtio_zoned_co_check_rw:
 * @blk: a backend whose root is zoned
 * @offset: in bytes, of a read or write that lies inside the disk
 * @bytes: its length
 * @is_write: whether it writes
 *
 * What virtio-blk forbids and the block layer does not: reads across the
 * border of a sequential write required zone (VZ-40); and what it reports in
 * another way: the write granularity (VZ-22).
 *
 * Returns: 0 if the request may go on; -ERANGE, -ESPIPE, -EFBIG, -EROFS or
 * -ENXIO by the error contract; or the -errno of the zone report.
 */
int coroutine_fn virtio_zoned_co_check_rw(BlockBackend *blk, int64_t offset,
                                          int64_t bytes, bool is_write);

#endif /* BLOCK_VIRTIO_ZONED_H */
