/*
 * vhost-user-blk: zoned disks of a backend
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "hw/virtio/virtio-blk-common.h"
#include "vhost-user-blk-zoned.h"
#include "virtio-zoned-dev.h"

/* A modern device only: what the backend says is in little endian */
static BlockZoneModel model(VHostUserBlk *s)
{
    if (!vhost_user_blk_is_zoned(s)) {
        return BLK_Z_NONE;
    }
    switch (s->blkcfg.zoned.model) {
    case VIRTIO_BLK_Z_HM:
        return BLK_Z_HM;
    case VIRTIO_BLK_Z_HA:
        return BLK_Z_HA;
    default:
        return BLK_Z_NONE;
    }
}

static bool backend_is_zoned(VHostUserBlk *s)
{
    return virtio_has_feature(s->dev.features, VIRTIO_BLK_F_ZONED);
}

void vhost_user_blk_zoned_realize(VHostUserBlk *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    size_t size;

    virtio_clear_feature(&vdev->host_features, VIRTIO_BLK_F_ZONED);
    if (backend_is_zoned(s)) {
        virtio_add_feature(&vdev->host_features, VIRTIO_BLK_F_ZONED);
    }
    size = virtio_get_config_size(&virtio_blk_cfg_size_params,
                                  vdev->host_features);
    if (size != vdev->config_len) {
        g_free(vdev->config);
        vdev->config = g_malloc0(size);
        vdev->config_len = size;
    }
}

/* Sets @errp unless both are equal */
static bool same(const char *what, uint64_t theirs, uint64_t ours,
                 Error **errp)
{
    if (theirs != ours) {
        error_setg(errp, "vhost-user-blk: the guest knows another zoned disk "
                   "than the backend has: %s is %" PRIu64 " for the guest and "
                   "%" PRIu64 " in the backend", what, ours, theirs);
    }
    return theirs == ours;
}

static bool same_disk(const struct virtio_blk_config *theirs,
                      const struct virtio_blk_config *ours, Error **errp)
{
    const struct virtio_blk_zoned_characteristics t = theirs->zoned;
    const struct virtio_blk_zoned_characteristics o = ours->zoned;

    return same("model", t.model, o.model, errp) &&
           same("capacity, in sectors,", le64_to_cpu(theirs->capacity),
                le64_to_cpu(ours->capacity), errp) &&
           same("zone size, in sectors,", le32_to_cpu(t.zone_sectors),
                le32_to_cpu(o.zone_sectors), errp) &&
           same("limit of open zones", le32_to_cpu(t.max_open_zones),
                le32_to_cpu(o.max_open_zones), errp) &&
           same("limit of active zones", le32_to_cpu(t.max_active_zones),
                le32_to_cpu(o.max_active_zones), errp) &&
           same("limit of appends, in sectors,",
                le32_to_cpu(t.max_append_sectors),
                le32_to_cpu(o.max_append_sectors), errp) &&
           same("write granularity", le32_to_cpu(t.write_granularity),
                le32_to_cpu(o.write_granularity), errp);
}

/* A backend that was started again does not know what the guest has chosen */
static int restore_write_cache(VHostUserBlk *s,
                               const struct virtio_blk_config *theirs,
                               Error **errp)
{
    int ret;

    if (theirs->wce == s->blkcfg.wce) {
        return 0;
    }
    ret = vhost_dev_set_config(&s->dev, &s->blkcfg.wce,
                               offsetof(struct virtio_blk_config, wce),
                               sizeof(s->blkcfg.wce),
                               VHOST_SET_CONFIG_TYPE_MASTER);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "vhost-user-blk: the backend does not "
                         "set its write cache as the guest has it");
    }
    return ret;
}

int vhost_user_blk_zoned_reconnect(VHostUserBlk *s, Error **errp)
{
    struct virtio_blk_config theirs;
    int ret;

    if (backend_is_zoned(s) != vhost_user_blk_is_zoned(s)) {
        error_setg(errp, "vhost-user-blk: the guest knows a disk %s zones, and "
                   "that of the backend has %s",
                   vhost_user_blk_is_zoned(s) ? "with" : "without",
                   vhost_user_blk_is_zoned(s) ? "none" : "some");
        return -EINVAL;
    }
    if (!vhost_user_blk_is_zoned(s)) {
        return 0;
    }
    ret = vhost_dev_get_config(&s->dev, (uint8_t *)&theirs, sizeof(theirs),
                               errp);
    if (ret < 0) {
        return ret;
    }
    if (!same_disk(&theirs, &s->blkcfg, errp)) {
        return -EINVAL;
    }
    return restore_write_cache(s, &theirs, errp);
}

uint64_t vhost_user_blk_zoned_get_features(VHostUserBlk *s, uint64_t features,
                                           Error **errp)
{
    return virtio_zoned_dev_get_features(features, model(s), errp);
}

int vhost_user_blk_zoned_validate_features(VirtIODevice *vdev)
{
    return virtio_zoned_dev_validate_features(vdev,
                                              model(VHOST_USER_BLK(vdev)));
}

void vhost_user_blk_zoned_update_config(VHostUserBlk *s, uint8_t *config)
{
    if (vhost_user_blk_is_zoned(s) &&
        !virtio_zoned_dev_shows(VIRTIO_DEVICE(s))) {
        struct virtio_blk_config *cfg = (struct virtio_blk_config *)config;

        memset(&cfg->zoned, 0, sizeof(cfg->zoned));
    }
}

int vhost_user_blk_zoned_post_load(VirtIODevice *vdev)
{
    VHostUserBlk *s = VHOST_USER_BLK(vdev);
    const struct virtio_blk_config *theirs;
    Error *local_err = NULL;

    if (!vhost_user_blk_is_zoned(s)) {
        return 0;
    }
    /* The stream has the configuration space as the guest last read it */
    theirs = (const struct virtio_blk_config *)vdev->config;
    if (theirs->zoned.model != VIRTIO_BLK_Z_NONE &&
        !same_disk(&s->blkcfg, theirs, &local_err)) {
        error_report_err(local_err);
        return -EINVAL;
    }
    return virtio_zoned_dev_post_load(vdev, model(s));
}
