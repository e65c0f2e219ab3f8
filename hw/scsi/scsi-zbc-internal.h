/*
 * SCSI disks with zones (ZBC): what its files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_SCSI_SCSI_ZBC_INTERNAL_H
#define HW_SCSI_SCSI_ZBC_INTERNAL_H

#include "qemu/units.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "scsi/constants.h"
#include "scsi/utils.h"
#include "scsi-zbc.h"
#include "sysemu/block-backend.h"

/*
 * Zones asked of the block layer at a time.  Between two times others have
 * their turn, and the lock of the machine changes hands.
 */
#define ZBC_REPORT_CHUNK 1024

/* Most that one write can have if its data must be gathered */
#define ZBC_GATHER_MAX (16 * MiB)

/* Errors that only SCSI knows, beside those of block/zoned.h */
enum {
    ZBC_EGAP = 0x10000,         /* touches a gap zone */
    ZBC_EUNWRITTEN,             /* reads what was not written */
    ZBC_EREADBORDER,            /* reads over a border of zones */
    ZBC_ELBA,                   /* beyond the last LBA */
};

static inline bool zbc_has_gaps(const SCSIZbc *z)
{
    return z->capacity < z->limits.zone_size;
}

static inline int64_t zbc_lba_to_bytes(const SCSIDevice *dev, uint64_t lba)
{
    return lba * dev->blocksize;
}

static inline uint64_t zbc_bytes_to_lba(const SCSIDevice *dev, int64_t bytes)
{
    return bytes / dev->blocksize;
}

/* Up to where a guest may use the disk */
static inline int64_t zbc_disk_length(const SCSIDevice *dev)
{
    return zbc_lba_to_bytes(dev, dev->max_lba + 1);
}

static inline int64_t zbc_zone_end(const BlockZoneDescriptor *d)
{
    return d->start + d->length;
}

static inline int64_t zbc_cap_end(const BlockZoneDescriptor *d)
{
    return d->start + d->cap;
}

static inline bool zbc_is_sequential(const BlockZoneDescriptor *d)
{
    return d->type != BLK_ZT_CONV;
}

static inline AioContext *zbc_context(SCSIRequest *req)
{
    return blk_get_aio_context(req->dev->conf.blk);
}

void zbc_complete_sense(SCSIRequest *req, SCSISense sense);

/* Complete a request that failed with @ret, of whatever kind */
void zbc_complete_error(SCSIRequest *req, int ret);

/* Of a request that changes the disk, a real I/O error is werror's matter */
void zbc_complete_io_error(SCSIRequest *req, int ret);

/*
 * What each callback of a request to the block layer begins with.  Returns
 * false if the request has been cancelled, and drops the reference then.
 */
bool zbc_begin_callback(SCSIRequest *req);

extern const SCSIReqOps zbc_report_ops;
extern const SCSIReqOps zbc_mgmt_ops;
extern const SCSIReqOps zbc_verify_ops;

#endif /* HW_SCSI_SCSI_ZBC_INTERNAL_H */
