/*
 * Zoned virtio-blk: what all devices of this kind share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers VZ-n are those of docs/devel/zoned-conformance.rst.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "standard-headers/linux/virtio_blk.h"
#include "virtio-zoned-dev.h"

bool virtio_zoned_dev_negotiated(VirtIODevice *vdev)
{
    return virtio_vdev_has_feature(vdev, VIRTIO_F_VERSION_1) &&
           virtio_vdev_has_feature(vdev, VIRTIO_BLK_F_ZONED);
}

uint64_t virtio_zoned_dev_get_features(uint64_t features, BlockZoneModel model,
                                       Error **errp)
{
    if (virtio_has_feature(features, VIRTIO_F_VERSION_1)) {
        return features;
    }
    if (model == BLK_Z_HM) {
        error_setg(errp, "a host-managed zoned drive needs a modern virtio "
                   "device (disable-modern=off, force-legacy=off)");
        return 0;
    }
    virtio_clear_feature(&features, VIRTIO_BLK_F_ZONED);
    return features;
}

int virtio_zoned_dev_validate_features(VirtIODevice *vdev,
                                       BlockZoneModel model)
{
    return model == BLK_Z_HM && !virtio_zoned_dev_negotiated(vdev) ? -EINVAL
                                                                   : 0;
}

bool virtio_zoned_dev_shows(VirtIODevice *vdev)
{
    const uint8_t over = VIRTIO_CONFIG_S_FEATURES_OK |
                         VIRTIO_CONFIG_S_DRIVER_OK;

    /*
     * Until it is over, a driver may look before it decides (VZ-18); after
     * that the fields are there only for one that wants them (VZ-3).
     */
    return !(vdev->status & over) || virtio_zoned_dev_negotiated(vdev);
}

int virtio_zoned_dev_post_load(VirtIODevice *vdev, BlockZoneModel model)
{
    if (model == BLK_Z_HM && !virtio_zoned_dev_negotiated(vdev) &&
        vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
        error_report("virtio-blk: the drive is host-managed, but the guest "
                     "uses it as one that is not zoned");
        return -EINVAL;
    }
    return 0;
}
