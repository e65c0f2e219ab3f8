/*
 * qemu-img bench on zones
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

#endif /* BLOCK_QEMU_IMG_ZONED_H */
