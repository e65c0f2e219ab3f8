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

/* What a server of requests to a zoned disk knows of it */
typedef struct VirtioZonedDisk {
    BlockBackend *blk;
    const BlockZoneLimits *limits;      /* as shown to the guest */
    bool writable;
    bool negotiated;            /* whether the driver knows of the zones */
    BdrvRequestFlags flags;     /* for writes: BDRV_REQ_REGISTERED_BUF or 0 */
} VirtioZonedDisk;

/* A request to a zoned disk, taken out of its header and descriptors */
typedef struct VirtioZonedRequest {
    uint32_t type;              /* all 32 bits of the header's */
    uint64_t sector;
    struct iovec *in_iov;       /* device-writable part, less the status byte */
    unsigned int in_num;
    struct iovec *out_iov;      /* device-readable part behind the header */
    unsigned int out_num;
    /* Bytes at the start of the device-writable part that hold the answer */
    size_t answered;
} VirtioZonedRequest;

/*
 * What is to be done with a request.  A SUSPECT one is PLAIN once
 * virtio_zoned_co_check_rw() has returned 0.
 */
typedef enum VirtioZonedVerdict {
    VIRTIO_ZONED_OTHER,         /* not a matter of zones, as a flush */
    VIRTIO_ZONED_PLAIN,         /* a read or write as on any disk */
    VIRTIO_ZONED_ANSWERED,      /* it ends with a status byte at once */
    VIRTIO_ZONED_REQUEST,       /* it is for virtio_zoned_co_request() */
    VIRTIO_ZONED_SUSPECT,       /* a read or write to be looked at */
} VirtioZonedVerdict;

/**
 * virtio_zoned_classify:
 * @disk: the disk
 * @req: any request to it
 * @status: set to the status byte if the request is ANSWERED
 *
 * Judge a request by all that needs no look at the zones.  A read or write is
 * SUSPECT only if it lies inside the disk.
 *
 * Returns: what is to be done with @req.
 */
VirtioZonedVerdict virtio_zoned_classify(const VirtioZonedDisk *disk,
                                         const VirtioZonedRequest *req,
                                         uint8_t *status);

/**
 * virtio_zoned_warn_of_guests:
 * @l: limits that virtio_zoned_check_limits() accepts
 * @name: what to call the disk
 *
 * Warn of what the protocol allows and Linux guests do not take.
 */
void virtio_zoned_warn_of_guests(const BlockZoneLimits *l, const char *name);

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
 * virtio_zoned_co_request:
 * @disk: the disk
 * @req: a request for which virtio_zoned_classify() returned
 *       VIRTIO_ZONED_REQUEST; on return @answered is set
 *
 * Carry out @req.  Memory is constant whatever the guest asks for: a report
 * is streamed into the guest's buffer in chunks.  Without a write cache, what
 * an operation did to write pointers is durable on return.  Runs in the
 * AioContext of the backend, with its lock held, between blk_co_begin_steps()
 * and blk_end_steps().
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
