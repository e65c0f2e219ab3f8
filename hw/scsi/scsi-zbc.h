/*
 * SCSI disks with zones (ZBC)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What scsi-disk.c calls for a zoned disk.  No state of zones is kept here,
 * only the limits that the guest has been told: zones live in the backend and
 * outlast resets.  The numbers ZBC-n are those of
 * docs/devel/zoned-conformance-scsi.rst.
 */

#ifndef HW_SCSI_SCSI_ZBC_H
#define HW_SCSI_SCSI_ZBC_H

#include "block/zoned.h"
#include "hw/block/zoned-migration.h"
#include "hw/scsi/emulation.h"
#include "hw/scsi/scsi.h"

typedef struct SCSIZbc {
    /* Properties */
    OnOffAuto zoned;
    bool urswrz;                /* unrestricted reads in sequential zones */

    BlockZoneLimits limits;     /* as shown to the guest */
    /*
     * Writable bytes of each sequential zone that is long enough; less than
     * limits.zone_size if gap zones follow (ZBC-103)
     */
    int64_t capacity;
    ZonedMigration migration;
} SCSIZbc;

/* Of scsi-disk.c: the zoned side of a device */
SCSIZbc *scsi_disk_zbc(SCSIDevice *dev);

/**
 * scsi_zbc_is_zoned:
 *
 * Returns: whether the device shows its zones.  The one branch that zoned
 * disks cost a disk that is not.
 */
static inline bool scsi_zbc_is_zoned(const SCSIZbc *z)
{
    return unlikely(z->limits.model != BLK_Z_NONE);
}

static inline bool scsi_zbc_is_host_managed(const SCSIZbc *z)
{
    return unlikely(z->limits.model == BLK_Z_HM);
}

/* For -device X,help: what the properties for zones of @klass are */
void scsi_zbc_describe_properties(ObjectClass *klass);

/**
 * scsi_zbc_settle:
 * @dev: a device with a drive, before its block sizes are settled
 * @z: its zoned side, with the properties set
 * @errp: set on failure, with the name of the option to change
 *
 * Decide whether the device is zoned, and settle what follows from that: the
 * type of the device and its block sizes.
 *
 * Returns: whether the device can be had.
 */
bool scsi_zbc_settle(SCSIDevice *dev, SCSIZbc *z, Error **errp);

/**
 * scsi_zbc_realize:
 * @dev: a device whose backend has its permissions
 * @z: its zoned side, settled
 * @errp: set if the protocol cannot express the drive's zones
 *
 * Reads all zones of the drive, once, while the device is set up.
 *
 * Returns: whether the device can be had.
 */
bool scsi_zbc_realize(SCSIDevice *dev, SCSIZbc *z, Error **errp);

/* Let a migration begin with the geometry, as soon as @dev is realized */
void scsi_zbc_announce(SCSIDevice *dev, SCSIZbc *z);
void scsi_zbc_withdraw(SCSIZbc *z);

/**
 * scsi_zbc_vpd_page:
 * @dev: a zoned device
 * @outbuf: zeroed, at least 64 bytes, with the first 4 filled in
 *
 * Fills in the page of zoned block device characteristics, B6h (ZBC-5).
 *
 * Returns: the length of the page, with its header.
 */
int scsi_zbc_vpd_page(SCSIDevice *dev, uint8_t *outbuf);

/* Make block limits (B0h) those of a zoned disk (ZBC-13, ZBC-87) */
void scsi_zbc_block_limits(SCSIDevice *dev, SCSIBlockLimits *bl);

/**
 * scsi_zbc_reqops:
 * @dev: a zoned device
 * @opcode: of a command
 * @plain: what a disk without zones does with it
 *
 * Returns: what a zoned disk does with it.
 */
const SCSIReqOps *scsi_zbc_reqops(SCSIDevice *dev, uint8_t opcode,
                                  const SCSIReqOps *plain);

/**
 * scsi_zbc_write_buffer_size:
 * @dev: any device
 * @bytes: of data that a write command has
 * @plain: size of the buffer on a disk without zones
 *
 * A write moves the write pointer once (ZBC-90), also if the HBA has no
 * scatter/gather list: then its data is gathered first.
 *
 * Returns: the size of the buffer to gather it in.
 */
size_t scsi_zbc_write_buffer_size(SCSIDevice *dev, uint32_t bytes,
                                  size_t plain);

/**
 * scsi_zbc_check_rw:
 * @req: a read, write or verify of a zoned disk, inside the disk
 * @offset: of its range, in bytes
 * @bytes: length of its range
 * @is_write: whether it writes
 * @done: called with @opaque, and 0 or what scsi_zbc_sense() translates; not
 *        before this function has returned.  @req->aiocb is NULL then, and
 *        the AioContext of the backend is locked
 *
 * Apply the rules of ZBC that the block layer does not know.  Costs a few
 * comparisons unless the request looks suspicious.  Makes sure that no more
 * data moves than the CDB says, if the HBA has a larger buffer.
 *
 * Returns: false if there is nothing to object; true if @done will be called.
 */
bool scsi_zbc_check_rw(SCSIRequest *req, int64_t offset, int64_t bytes,
                       bool is_write, BlockCompletionFunc *done, void *opaque);

/**
 * scsi_zbc_can_write:
 * @req: a write to a zoned disk
 * @bytes: what its CDB asks for
 *
 * Returns: whether all the data can be had at once: the HBA has a buffer that
 * is large enough, or it has none and not too much is to be gathered.
 */
bool scsi_zbc_can_write(SCSIRequest *req, uint32_t bytes);

/**
 * scsi_zbc_sense:
 * @ret: result of a request to a zoned disk
 * @sense: set if it returns true
 *
 * Returns: whether @ret is the guest's own mistake, no matter for rerror and
 * werror.
 */
bool scsi_zbc_sense(int ret, SCSISense *sense);

/* The geometry, which must not change under a guest */
extern const VMStateDescription vmstate_scsi_zbc;

#endif /* HW_SCSI_SCSI_ZBC_H */
