/*
 * Copying the zones of a disk that is in use to an equal one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the block jobs in zoned-backup.c and zoned-mirror.c share: the filter
 * above the source that tells them of changes, and the copying itself.
 */

#ifndef ZONED_COPY_H
#define ZONED_COPY_H

#include "block/zoned-jobs.h"
#include "qemu/queue.h"
#include "qemu/units.h"

/*
 * The filter
 */

typedef enum ZonedChangeKind {
    ZONED_CHANGE_WRITE,         /* writes data, or appends it */
    ZONED_CHANGE_STATE,         /* changes states, and loses no data */
    ZONED_CHANGE_LOSS,          /* data of sequential zones is lost */
} ZonedChangeKind;

/* A change on its way to the source */
typedef struct ZonedChange {
    ZonedChangeKind kind;
    int64_t offset;             /* of an append: of its zone */
    int64_t end;
    QLIST_ENTRY(ZonedChange) next;
} ZonedChange;

/* Called around each change, in the AioContext of the source */
typedef struct ZonedWatcher {
    void coroutine_fn (*before)(void *opaque, ZonedChange *change);
    /* Whether it has succeeded or not */
    void coroutine_fn (*after)(void *opaque, ZonedChange *change);
} ZonedWatcher;

/**
 * zoned_watch_begin:
 * @bs: a zoned node
 * @name: node name of the filter, or NULL for an implicit one
 * @errp: set on failure
 *
 * Returns: a filter that was inserted above @bs; NULL on failure.
 */
BlockDriverState *zoned_watch_begin(BlockDriverState *bs, const char *name,
                                    Error **errp);

/* From now on, until @watcher is NULL, call its functions with @opaque */
void zoned_watch_set(BlockDriverState *filter, const ZonedWatcher *watcher,
                     void *opaque);

/* Remove the filter */
void zoned_watch_end(BlockDriverState *filter);

/*
 * Copying
 */

/* Copied in one piece.  Conventional zones are divided by it. */
#define ZONED_COPY_CHUNK (1 * MiB)

typedef struct ZonedCopy {
    BlockDriverState *filter;   /* above the source */
    BlockDriverState *source;
    BlockDriverState *target_bs;
    BlockBackend *target;
    BlockZoneLimits limits;     /* of both */
    int64_t length;             /* of both */
    unsigned long *conventional; /* by zone */
    uint8_t *buf;               /* for one chunk */
    uint8_t *extension;
    Error *migration_blocker;
    bool begun;                 /* the target's zones have been reset */
    /* About the last error */
    bool source_failed;
    bool lost;                  /* the zone is read-only or offline */
    uint32_t failed_zone;
} ZonedCopy;

/* Called once for each zone of the source, in order */
typedef void ZonedCopyVisit(void *opaque, uint32_t zone,
                            const BlockZoneDescriptor *d);

/* Refuse nodes and options that no job can work with; @job is its type */
bool zoned_copy_check(BlockDriverState *source, BlockDriverState *target,
                      const ZonedJobOptions *o, const char *job,
                      Error **errp);

/**
 * zoned_copy_create:
 * @c: zeroes
 * @job: a job whose nodes are the filter, the source and the target
 * @filter: above @source
 *
 * Open @c.  zoned_copy_destroy() undoes it after a failure, too.
 */
bool zoned_copy_create(ZonedCopy *c, BlockJob *job, BlockDriverState *filter,
                       BlockDriverState *source, BlockDriverState *target,
                       Error **errp);

/* In a drained section of the filter */
void zoned_copy_destroy(ZonedCopy *c);

/**
 * zoned_copy_look:
 *
 * Visit all zones of the source, while nothing changes them.  Runs the event
 * loop.
 *
 * Returns: whether each zone of both disks can be copied, and to its
 * counterpart.
 */
bool zoned_copy_look(ZonedCopy *c, ZonedCopyVisit *visit, void *opaque,
                     Error **errp);

static inline uint32_t zoned_copy_zone(const ZonedCopy *c, int64_t offset)
{
    return offset / c->limits.zone_size;
}

/* Zones that a change concerns: from the first one up to, not including */
static inline uint32_t zoned_copy_zone_end(const ZonedCopy *c, int64_t end)
{
    return DIV_ROUND_UP(end, c->limits.zone_size);
}

/* Chunks are counted from 0, those of each zone from a new one on */
static inline unsigned long zoned_copy_chunks_per_zone(const ZonedCopy *c)
{
    return DIV_ROUND_UP(c->limits.zone_size, ZONED_COPY_CHUNK);
}

static inline unsigned long zoned_copy_chunk(const ZonedCopy *c,
                                             int64_t offset)
{
    return zoned_copy_zone(c, offset) * zoned_copy_chunks_per_zone(c) +
           offset % c->limits.zone_size / ZONED_COPY_CHUNK;
}

unsigned long zoned_copy_nr_chunks(const ZonedCopy *c);

/*
 * Zone @zone of the target, or of the source.
 *
 * Returns: 0; -EROFS if it is read-only, unless that is all right; -ENXIO if
 * it is offline; or an I/O error.
 */
int coroutine_fn zoned_copy_report_target(ZonedCopy *c, uint32_t zone,
                                          BlockZoneDescriptor *d);
int coroutine_fn zoned_copy_report_source(ZonedCopy *c, uint32_t zone,
                                          bool read_only_ok,
                                          BlockZoneDescriptor *d);

/* Reset all zones of the target, once */
int coroutine_fn zoned_copy_begin(ZonedCopy *c);

/* An operation on one zone of the target */
int coroutine_fn zoned_copy_mgmt(ZonedCopy *c, BlockZoneOp op, uint32_t zone);

/**
 * zoned_copy_step:
 * @src: a sequential zone of the source, as the target's is to become, except
 *       for its being open or closed
 *
 * What the target's zone holds already must be what @src begins with.
 *
 * Returns: number of bytes that were copied, or 0 if nothing is left to do;
 * -EFBIG if the target's zone is full and @src is not; or another -errno.
 */
int64_t coroutine_fn zoned_copy_step(ZonedCopy *c,
                                     const BlockZoneDescriptor *src);

/* Copy a chunk of a conventional zone.  Returns: its length, or -errno. */
int64_t coroutine_fn zoned_copy_chunk_data(ZonedCopy *c, unsigned long chunk);

int coroutine_fn zoned_copy_flush(ZonedCopy *c);

/* What went wrong, by the last error @ret */
void zoned_copy_set_error(const ZonedCopy *c, int ret, Error **errp);

#endif /* ZONED_COPY_H */
