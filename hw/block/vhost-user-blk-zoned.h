/*
 * vhost-user-blk: zoned disks of a backend
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device passes the zones on.  What it does itself is what a device must
 * not leave to its backend: a guest sees the zones only if it has asked for
 * them, and they are the same for as long as it runs.
 */

#ifndef HW_BLOCK_VHOST_USER_BLK_ZONED_H
#define HW_BLOCK_VHOST_USER_BLK_ZONED_H

#include "hw/virtio/vhost-user-blk.h"

/**
 * vhost_user_blk_is_zoned:
 *
 * Returns: whether the backend offered zones when the device was realized.
 */
static inline bool vhost_user_blk_is_zoned(VHostUserBlk *s)
{
    return s->parent_obj.config_len >
           offsetof(struct virtio_blk_config, zoned);
}

/**
 * vhost_user_blk_zoned_realize:
 * @s: a device that has just connected while it is being realized, and has not
 *     read the configuration space of its backend yet
 *
 * Decide whether the device is zoned.  Only then is its configuration space
 * large enough for the zones: another backend must not be asked for them.
 */
void vhost_user_blk_zoned_realize(VHostUserBlk *s);

/**
 * vhost_user_blk_zoned_reconnect:
 * @s: a realized device that has connected again
 * @errp: set on failure
 *
 * Returns: 0 if its backend has the disk that the guest knows, -EINVAL if it
 * does not, or the -errno of the question.
 */
int vhost_user_blk_zoned_reconnect(VHostUserBlk *s, Error **errp);

/**
 * vhost_user_blk_zoned_get_features:
 * @s: the device
 * @features: what it is about to offer
 * @errp: set if a host-managed disk is on a legacy-only device
 *
 * Returns: what it may offer.
 */
uint64_t vhost_user_blk_zoned_get_features(VHostUserBlk *s, uint64_t features,
                                           Error **errp);

/* Returns: 0 if FEATURES_OK may be set, or -errno */
int vhost_user_blk_zoned_validate_features(VirtIODevice *vdev);

/* Hide the zones in @config, of config_len bytes, where they must not show */
void vhost_user_blk_zoned_update_config(VHostUserBlk *s, uint8_t *config);

/**
 * vhost_user_blk_zoned_post_load:
 *
 * Returns: 0, or -EINVAL if the guest comes from a disk with other zones than
 * those of the backend.
 */
int vhost_user_blk_zoned_post_load(VirtIODevice *vdev);

#endif /* HW_BLOCK_VHOST_USER_BLK_ZONED_H */
