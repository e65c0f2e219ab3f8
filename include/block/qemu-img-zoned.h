/*
 * qemu-img bench, convert, dd and zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef BLOCK_QEMU_IMG_ZONED_H
#define BLOCK_QEMU_IMG_ZONED_H

#include "sysemu/block-backend.h"

typedef struct ZoneBenchOptions {
    bool append;            /* zone appends instead of writes */
    bool random;            /* a random zone for each request, not in turn */
    uint32_t nr_zones;      /* how many zones to spread over; 0 means one */
    int64_t offset;         /* start of the first of them, in bytes */
    int count;              /* requests to send */
    int depth;              /* requests in parallel */
    size_t bufsize;         /* bytes in each request */
    int pattern;            /* byte that fills them */
} ZoneBenchOptions;

/**
 * zone_bench_wanted:
 *
 * Returns: whether the options ask for zones at all.
 */
static inline bool zone_bench_wanted(const ZoneBenchOptions *opts)
{
    return opts->append || opts->random || opts->nr_zones;
}

/**
 * zone_bench_run:
 * @blk: opened for writing; what the zones hold is lost
 * @opts: what to do
 * @errp: set on failure
 *
 * Write or append to zones as fast as @blk takes it and print how long that
 * took.  Zones that are not empty are reset before the time starts.  A zone
 * without room for another request is reset within the measured time, since
 * its next request depends on it.
 *
 * Returns: 0, or -errno.
 */
int zone_bench_run(BlockBackend *blk, const ZoneBenchOptions *opts,
                   Error **errp);

/*
 * Copying into a zoned disk, in order.  The functions can be called within
 * coroutines and outside of them, one at a time.
 */
typedef struct ZoneCopy ZoneCopy;

/**
 * zone_copy_check_options:
 * @target: where the copy goes, zoned or not
 * @in_order: whether writes come in ascending order
 * @compressed: whether they are to be compressed
 * @errp: set on failure
 *
 * Returns: false if @target is zoned and cannot be written to in this way.
 */
bool zone_copy_check_options(BlockBackend *target, bool in_order,
                             bool compressed, Error **errp);

/**
 * zone_copy_begin:
 * @target: a zoned disk, opened for writing; what its sequential zones hold
 *          is lost
 * @source: the whole of what is copied, or NULL if that is not one disk.  If
 *          it is zoned, with zones of the same size, the target's zones end up
 *          with its write pointers, and full where its zones are full
 * @errp: set on failure
 *
 * Reset all zones of @target and begin a copy.
 *
 * Returns: the copy, for zone_copy_free(), or NULL.
 */
ZoneCopy *zone_copy_begin(BlockBackend *target, BlockBackend *source,
                          Error **errp);

/**
 * zone_copy_write:
 * @c: the copy
 * @offset: of the data, in bytes; not below the end of an earlier call's range
 * @bytes: how much, any number
 * @buf: the data
 *
 * Write data to the zones it belongs to.  What was left out before it in its
 * zone is filled with zeroes.  The end of the data may be held back until the
 * next call if it is not aligned to the write granularity.
 *
 * Zones that are left partly written stay so, unless the target runs out of
 * active zones: then some of them are finished.
 *
 * Returns: 0; -ERANGE if there is anything but zeroes beyond the capacity of
 * a zone; or another -errno of the target.
 */
int zone_copy_write(ZoneCopy *c, int64_t offset, int64_t bytes,
                    const uint8_t *buf);

/**
 * zone_copy_zeroes:
 *
 * The same for a range of zeroes.  Nothing is written where the target is
 * known to read as zeroes.
 */
int zone_copy_zeroes(ZoneCopy *c, int64_t offset, int64_t bytes);

/**
 * zone_copy_end:
 *
 * Write what was held back, and flush the target.
 *
 * Returns: 0, or -errno.
 */
int zone_copy_end(ZoneCopy *c);

/**
 * zone_copy_strerror:
 * @c: the copy, or NULL
 * @ret: what one of the functions above returned
 *
 * Returns: why it failed; valid until zone_copy_free().
 */
const char *zone_copy_strerror(const ZoneCopy *c, int ret);

/* @c may be NULL */
void zone_copy_free(ZoneCopy *c);

typedef enum ZonePrintFormat {
    ZONE_PRINT_TABLE,       /* a line for each run of zones that are alike */
    ZONE_PRINT_MAP,         /* a picture with a cell for one or more zones */
    ZONE_PRINT_JSON,        /* an object for each zone */
} ZonePrintFormat;

/**
 * zone_print:
 * @blk: the disk
 * @format: how to show them
 * @offset: in the first zone to show, in bytes
 * @bytes: zones that start behind @offset + @bytes are left out; -1 for none
 * @errp: set on failure
 *
 * Print the zones of a disk to stdout.
 *
 * Returns: 0, or -errno.
 */
int zone_print(BlockBackend *blk, ZonePrintFormat format, int64_t offset,
               int64_t bytes, Error **errp);

#endif /* BLOCK_QEMU_IMG_ZONED_H */
