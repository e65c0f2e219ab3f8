/*
 * Host zoned devices: what the Linux kernel says of a disk and its zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * These functions call the kernel and block until it answers.  They are for
 * the opening of a node and for worker threads; they keep no state, and know
 * nothing of block nodes.  All offsets and lengths are in bytes.  On a system
 * without the means for zoned disks, or built with headers that lack them, a
 * zoned disk is refused where it can be recognized.
 */

#ifndef BLOCK_HOST_ZONES_H
#define BLOCK_HOST_ZONES_H

#include "block/zoned.h"

struct blk_zone;

/* What a host device is; @limits.model is BLK_Z_NONE if it is not zoned */
typedef struct HostZones {
    BlockZoneLimits limits;
    int64_t length;             /* of the disk, or of the partition */
    int64_t max_transfer;       /* largest request that is not split; 0: any */
    uint32_t max_segments;      /* segments of such a request; 0: any */
} HostZones;

/**
 * host_zones_probe:
 * @fd: a block device
 * @hz: filled in
 * @errp: set on failure
 *
 * Find out whether a disk is zoned, and what its zones are.
 *
 * Returns: false if this cannot be told, so that the disk must not be used.
 */
bool host_zones_probe(int fd, HostZones *hz, Error **errp);

/**
 * host_zones_length:
 * @fd: a block device
 *
 * Does not block.
 *
 * Returns: the length of the device now; 0 if it is gone.
 */
int64_t host_zones_length(int fd);

/**
 * host_zones_probe_sysfs:
 * @device: directory of the device, as /sys/dev/block/8:0
 * @length: of the device
 * @hz: filled in, if @known
 * @known: set to whether the directory tells anything at all
 * @errp: set on failure
 *
 * The part of host_zones_probe() that reads sysfs.  A partition, which must
 * consist of whole zones, is taken for a disk of these zones.
 *
 * Returns: false if there is something, but it makes no sense.
 */
bool host_zones_probe_sysfs(const char *device, int64_t length, HostZones *hz,
                            bool *known, Error **errp);

/**
 * host_zones_describe:
 * @hz: what the disk is
 * @start: where the zone must begin
 * @zone: the zone as the kernel tells it
 * @has_capacity: whether it tells the capacity
 * @d: filled in
 *
 * A zone in a condition that has no name here can be neither read nor
 * written as far as anybody knows: it is offline.
 *
 * Returns: false if the zone cannot be right: another zone, one of an unknown
 * type, a capacity or a write pointer outside of the zone.
 */
bool host_zones_describe(const HostZones *hz, int64_t start,
                         const struct blk_zone *zone, bool has_capacity,
                         BlockZoneDescriptor *d);

/**
 * host_zones_report:
 * @fd: a zoned disk
 * @hz: what it is
 * @offset: any byte of the first zone
 * @nr_zones: in: room in @zones; out: zones filled in, less than the room only
 *            where the disk ends
 * @zones: filled with consecutive zones
 *
 * Needs 256 KiB of memory at most, whatever @nr_zones is.
 *
 * Returns: 0; -EINVAL if @offset is outside the disk; -ENOMEM; -EIO, also if
 * the report makes no sense; or another -errno of the kernel.
 */
int host_zones_report(int fd, const HostZones *hz, int64_t offset,
                      unsigned int *nr_zones, BlockZoneDescriptor *zones);

/**
 * host_zones_mgmt:
 * @fd: a zoned disk, open for writing
 * @hz: what it is
 * @op: what to do
 * @offset: start of the first zone
 * @len: a whole number of zones, or up to the end of the disk
 *
 * Carry out an operation as bdrv_co_zone_mgmt() promises: the zones are read
 * first, and if one of them cannot make the transition, none does.  If the
 * disk fails in between, zones that were opened are closed again; other
 * operations may have been carried out on some of the zones.
 *
 * The caller keeps writes off these zones.
 *
 * Returns: 0; -EINVAL, -EPERM, -EROFS, -ENXIO, -ETOOMANYREFS or -EOVERFLOW by
 * the error contract; -ENOTSUP if the kernel knows no such operation; -ENOMEM;
 * or another -errno, which is not one of the contract.
 */
int host_zones_mgmt(int fd, const HostZones *hz, BlockZoneOp op,
                    int64_t offset, int64_t len);

#endif /* BLOCK_HOST_ZONES_H */
