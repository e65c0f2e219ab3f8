/*
 * Zoned disks in exports that speak virtio-blk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What vhost-user-blk and VDUSE exports share.  VirtioBlkHandler.zoned is NULL
 * for a node that is not zoned, and then nothing here does anything.
 */

#ifndef VIRTIO_BLK_ZONED_HANDLER_H
#define VIRTIO_BLK_ZONED_HANDLER_H

#include "standard-headers/linux/virtio_blk.h"
#include "virtio-blk-handler.h"

/**
 * virtio_blk_zoned_init:
 * @handler: the handler of an export whose BlockBackend has its root; all
 *           members but @zoned are set
 * @block_size_set: whether handler->logical_block_size is the user's choice
 * @errp: set on failure, with the name of the option to change
 *
 * Set handler->zoned if the node is zoned, and settle what follows from that:
 * the logical block size, and that the node keeps its size.
 *
 * Returns: whether the export can be had.
 */
bool virtio_blk_zoned_init(VirtioBlkHandler *handler, bool block_size_set,
                           Error **errp);

/* Free what virtio_blk_zoned_init() has set */
void virtio_blk_zoned_cleanup(VirtioBlkHandler *handler);

/**
 * virtio_blk_zoned_features:
 * @handler: the handler
 * @features: what the export would offer if its node were not zoned
 *
 * Returns: the features to offer.
 */
uint64_t virtio_blk_zoned_features(const VirtioBlkHandler *handler,
                                   uint64_t features);

/* Complete a configuration space that is filled as for any disk */
void virtio_blk_zoned_init_config(const VirtioBlkHandler *handler,
                                  struct virtio_blk_config *config);

/* Returns: the size of the configuration space, in bytes */
size_t virtio_blk_zoned_config_size(const VirtioBlkHandler *handler);

/**
 * virtio_blk_zoned_set_features:
 * @handler: the handler
 * @features: what the driver has negotiated
 * @wce: the write cache as its configuration space has it, which counts if
 *       VIRTIO_BLK_F_CONFIG_WCE is among the @features
 *
 * To be called before there are requests, in the AioContext of the export.  A
 * driver that takes a host-managed disk for a plain one is not refused here,
 * which is up to the front end (VZ-4); its reads and writes fail.
 */
void virtio_blk_zoned_set_features(VirtioBlkHandler *handler,
                                   uint64_t features, bool wce);

/**
 * virtio_blk_zoned_process_req:
 * @handler: the handler of a zoned node
 * @in_iov: device-writable part of the request
 * @out_iov: device-readable part of the request
 * @in_num: number of elements of @in_iov
 * @out_num: number of elements of @out_iov
 * @resubmitted: whether another process may have begun with this request, and
 *               ended before it could complete it
 * @in_len: set to the used length if the request has been taken
 *
 * A request without room for a header or a status byte is returned without an
 * answer: nothing of what the driver sends is logged.
 *
 * Returns: whether the request has been taken.  If not, it is one that is the
 * same for any disk, its iovecs are as they were, and it is well-formed.
 */
bool coroutine_fn virtio_blk_zoned_process_req(VirtioBlkHandler *handler,
                                               struct iovec *in_iov,
                                               struct iovec *out_iov,
                                               unsigned int in_num,
                                               unsigned int out_num,
                                               bool resubmitted,
                                               int *in_len);

#endif /* VIRTIO_BLK_ZONED_HANDLER_H */
