/*
 * Zoned virtio-blk: what all devices of this kind share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For devices that serve their requests themselves, and for those that have
 * a vhost-user backend.
 */

#ifndef HW_BLOCK_VIRTIO_ZONED_DEV_H
#define HW_BLOCK_VIRTIO_ZONED_DEV_H

#include "block/zoned.h"
#include "hw/virtio/virtio.h"

/**
 * virtio_zoned_dev_negotiated:
 *
 * Returns: whether the driver knows of the zones.  A legacy driver may write
 * any feature bit, but has not negotiated this one.
 */
bool virtio_zoned_dev_negotiated(VirtIODevice *vdev);

/**
 * virtio_zoned_dev_get_features:
 * @features: what a device is about to offer
 * @model: of its disk; BLK_Z_NONE if it shows no zones
 * @errp: set if a host-managed disk is on a legacy-only device
 *
 * Returns: what it may offer (VZ-1, VZ-2).
 */
uint64_t virtio_zoned_dev_get_features(uint64_t features, BlockZoneModel model,
                                       Error **errp);

/**
 * virtio_zoned_dev_validate_features:
 * @vdev: a device to which a driver writes FEATURES_OK
 * @model: of its disk; BLK_Z_NONE if it shows no zones
 *
 * Returns: 0 if FEATURES_OK may be set, or -EINVAL (VZ-4).
 */
int virtio_zoned_dev_validate_features(VirtIODevice *vdev,
                                       BlockZoneModel model);

/**
 * virtio_zoned_dev_shows:
 *
 * Returns: whether the zoned part of the configuration space shows now (VZ-3,
 * VZ-18).
 */
bool virtio_zoned_dev_shows(VirtIODevice *vdev);

/**
 * virtio_zoned_dev_post_load:
 * @vdev: a device that has been loaded from a migration stream
 * @model: of its disk; BLK_Z_NONE if it shows no zones
 *
 * Returns: 0, or -EINVAL if the incoming guest does not know that the disk
 * is host-managed.
 */
int virtio_zoned_dev_post_load(VirtIODevice *vdev, BlockZoneModel model);

#endif /* HW_BLOCK_VIRTIO_ZONED_DEV_H */
