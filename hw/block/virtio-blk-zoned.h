/*
 * virtio-blk: the device's side of zoned disks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_BLOCK_VIRTIO_BLK_ZONED_H
#define HW_BLOCK_VIRTIO_BLK_ZONED_H

#include "hw/virtio/virtio-blk.h"

/* Of virtio-blk.c: what ends a request that this part has taken over */
void virtio_blk_req_complete(VirtIOBlockReq *req, unsigned char status);
void virtio_blk_free_request(VirtIOBlockReq *req);
void virtio_blk_rw_complete(void *opaque, int ret);
int virtio_blk_handle_rw_error(VirtIOBlockReq *req, int error, bool is_read,
                               bool acct_failed);

/**
 * virtio_blk_is_zoned:
 *
 * Returns: whether the device shows its zones.  The one branch that zoned
 * disks cost a disk that is not.
 */
static inline bool virtio_blk_is_zoned(const VirtIOBlock *s)
{
    return unlikely(s->zoned.model != BLK_Z_NONE);
}

/**
 * virtio_blk_zoned_realize:
 * @s: a device whose backend has its permissions, before the block sizes and
 *     the size of the configuration space are settled
 * @errp: set on failure, with the name of the option to change
 *
 * Decide whether the device is zoned, and settle what follows from that: the
 * features, the logical block size.
 *
 * Returns: whether the device can be had.
 */
bool virtio_blk_zoned_realize(VirtIOBlock *s, Error **errp);

/* Let a migration begin with the geometry, as soon as @s is realized */
void virtio_blk_zoned_announce(VirtIOBlock *s);
void virtio_blk_zoned_withdraw(VirtIOBlock *s);

/**
 * virtio_blk_zoned_get_features:
 * @s: the device
 * @features: what it is about to offer
 * @errp: set if a host-managed disk is on a legacy-only device
 *
 * Returns: what it may offer (VZ-1, VZ-2).
 */
uint64_t virtio_blk_zoned_get_features(VirtIOBlock *s, uint64_t features,
                                       Error **errp);

/**
 * virtio_blk_zoned_validate_features:
 *
 * Returns: 0 if FEATURES_OK may be set, or -errno (VZ-4).
 */
int virtio_blk_zoned_validate_features(VirtIODevice *vdev);

/**
 * virtio_blk_zoned_update_config:
 * @s: the device
 * @cfg: its configuration space, with the zoned part 0
 */
void virtio_blk_zoned_update_config(VirtIOBlock *s,
                                    struct virtio_blk_config *cfg);

/**
 * virtio_blk_zoned_handle_request:
 * @req: a request to a zoned disk
 * @type: all 32 bits of its type
 * @in_iov: its device-writable part, less the status byte
 * @in_num: number of elements of @in_iov
 * @out_iov: its device-readable part behind the header
 * @out_num: number of elements of @out_iov
 *
 * Runs in the backend's AioContext, locked.
 *
 * Returns: whether @req has been taken over, to be completed now or later.
 */
bool virtio_blk_zoned_handle_request(VirtIOBlockReq *req, uint32_t type,
                                     struct iovec *in_iov, unsigned int in_num,
                                     struct iovec *out_iov,
                                     unsigned int out_num);

/**
 * virtio_blk_zoned_rw_failed:
 * @req: a read or write of a zoned disk that failed
 * @ret: -errno
 *
 * Complete @req if it is the guest's own mistake: that is no matter for
 * werror and rerror.  A write that is not at the write pointer because one
 * before it waits for the machine to go on is to wait, too.
 *
 * Returns: whether @req has been taken care of.
 */
bool virtio_blk_zoned_rw_failed(VirtIOBlockReq *req, int ret);

/**
 * virtio_blk_zoned_in_order:
 * @s: the device
 * @rq: requests that will be done again now that the machine goes on
 *
 * Returns: those of a zoned disk in the order of their sectors, so that each
 * write finds the write pointer where the one before leaves it; else @rq.
 */
VirtIOBlockReq *virtio_blk_zoned_in_order(VirtIOBlock *s, VirtIOBlockReq *rq);

/**
 * virtio_blk_zoned_post_load:
 *
 * Returns: 0, or -EINVAL if the incoming guest does not know that the disk
 * is host-managed.
 */
int virtio_blk_zoned_post_load(VirtIODevice *vdev);

/* The geometry, in the migration stream of a zoned device only */
extern const VMStateDescription vmstate_virtio_blk_zoned;

#endif /* HW_BLOCK_VIRTIO_BLK_ZONED_H */
