/*
 * A disk in memory that tells of each write, and can lose it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A block node for tests of crash safety.  Writes, writes of zeroes, discards
 * and flushes are told of when they start and when they end, and end when and
 * as the test wants.  Reads can be held up.  Single-threaded, in the main
 * AioContext.
 */

#ifndef TESTS_UNIT_CRASH_DISK_H
#define TESTS_UNIT_CRASH_DISK_H

#include "block/block.h"
#include "block/block_int.h"

/* The unit of torn writes */
#define CRASH_SECTOR 512

typedef enum CrashKind {
    CRASH_WRITE,
    CRASH_ZEROES,
    CRASH_DISCARD,
    CRASH_FLUSH,
} CrashKind;

/* A request.  Whoever keeps it from the event on frees it. */
typedef struct CrashOp {
    CrashKind kind;
    bool fua;
    bool ended;
    int ret;                    /* once it ended */
    int64_t offset;
    int64_t bytes;              /* after a failure: what was done of it */
    uint8_t *data;              /* of a write */
    uint64_t seq;               /* in the order in which requests ended */
    size_t started_at;          /* for the user: positions in a log */
    size_t ended_at;
    Coroutine *co;              /* waiting for the end */
} CrashOp;

/* A request starts, or has ended (op->ended) */
typedef void CrashEventFn(void *opaque, CrashOp *op);

typedef struct CrashDisk {
    uint8_t *memory;
    int64_t length;
    bool deferred;              /* requests wait for crash_disk_complete() */
    bool discard_garbles;       /* a discard leaves garbage, not zeroes */
    const char *overlap;        /* set if requests in flight overlapped */
    CrashEventFn *event;        /* may be NULL; then requests are freed */
    void *opaque;
    GPtrArray *pending;         /* of CrashOp, the oldest first */
    uint64_t seq;
    bool hold_reads;            /* until crash_disk_release_reads() */
    GQueue held_reads;          /* of Coroutine */
    GHashTable *undo;           /* page number -> its old content, or NULL */
} CrashDisk;

/**
 * crash_disk_new:
 *
 * Returns: an empty disk of @length bytes that completes requests at once.
 */
CrashDisk *crash_disk_new(int64_t length);
void crash_disk_free(CrashDisk *d);

/* A node named @name on the disk; to be unreferenced before the disk goes */
BlockDriverState *crash_disk_node(CrashDisk *d, const char *name);

/**
 * crash_disk_complete:
 * @i: index into d->pending
 * @ret: 0 or -errno
 * @bytes: how much of a failed write is done nevertheless
 *
 * End a request, and run on whoever waits for it.
 */
void crash_disk_complete(CrashDisk *d, unsigned int i, int ret, int64_t bytes);

/* Let the reads go on that were held up, and hold up no more of them */
void crash_disk_release_reads(CrashDisk *d);

/* Do a request on one sector, counted from the request's start */
void crash_disk_apply(CrashDisk *d, const CrashOp *op, int64_t sector);

/* Put requests into @ops when they have ended; with NULL, not any more */
void crash_disk_record(CrashDisk *d, GPtrArray *ops);

/* Remember what the disk holds, and bring it back */
void crash_disk_mark(CrashDisk *d);
void crash_disk_rewind(CrashDisk *d);

void crash_op_free(CrashOp *op);

#endif /* TESTS_UNIT_CRASH_DISK_H */
