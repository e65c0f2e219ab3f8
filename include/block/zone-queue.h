/*
 * Zone queue: the order of writes to the zones of a host's disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel may carry out two writes to one zone in either order, and has no
 * append.  This queue decides what goes to the disk when: one transfer at a
 * time for each sequential zone, at the write pointer, with the requests that
 * continue it joined; a zone operation when nothing else is under way in its
 * zones.  Nothing is ordered between zones.  For this it remembers each
 * zone's write pointer, and asks for the zone to be read where it does not
 * know it, before it refuses a request, and after an error.
 *
 * The queue moves no data and knows nothing of the block layer, of coroutines
 * or of locks: the caller serializes its calls.  All offsets and lengths are
 * in bytes; errors are those of block/zoned.h.
 *
 * The life of a request
 * ---------------------
 * zone_queue_add() puts a request into the queue.  This function, and each of
 * those that carry on from there, returns what the caller has to do next for
 * this one request, and the caller answers with the function named here:
 *
 *   ZONE_QUEUE_WAIT      wait until the queue has called the ZoneQueueWakeFn
 *                        for this request; then zone_queue_resume()
 *   ZONE_QUEUE_READ      read the descriptor of the zone that starts at
 *                        step_offset from the disk; then zone_queue_read()
 *   ZONE_QUEUE_TRANSFER  write step_bytes at step_offset: the data of all
 *                        parts (zone_queue_next_part()), one behind the
 *                        other, in one request; then zone_queue_transferred()
 *   ZONE_QUEUE_OPERATE   carry out the operation, and report what is known of
 *                        its zones by zone_queue_set_zone() or
 *                        zone_queue_forget(); then zone_queue_operated()
 *   ZONE_QUEUE_DONE      the request has ended and is the caller's again: its
 *                        result is in @ret, the place of an append in @offset
 *
 * In between, other requests can be added and carried on at will.
 *
 * So a coroutine calls zone_queue_add() and loops over a switch statement
 * until it sees ZONE_QUEUE_DONE.  It need not know whether its data was
 * written by itself, or by another request that it was joined with.
 */

#ifndef BLOCK_ZONE_QUEUE_H
#define BLOCK_ZONE_QUEUE_H

#include "qemu/queue.h"
#include "block/zoned.h"

typedef struct ZoneQueue ZoneQueue;
typedef struct ZoneQueueRequest ZoneQueueRequest;

/* What the disk looks like, and how large a joined transfer may become */
typedef struct ZoneQueueLimits {
    int64_t length;             /* of the whole disk */
    int64_t zone_size;          /* of every zone but a shorter last one */
    int64_t write_granularity;  /* alignment of writes to sequential zones */
    int64_t max_transfer;       /* of joined requests, bytes; 0: no limit */
    uint32_t max_iov;           /* of joined requests, segments; 0: no limit */
} ZoneQueueLimits;

typedef enum ZoneQueueKind {
    ZONE_QUEUE_WRITE,
    ZONE_QUEUE_APPEND,
    ZONE_QUEUE_OPERATION,
} ZoneQueueKind;

typedef enum ZoneQueueStep {
    ZONE_QUEUE_WAIT,
    ZONE_QUEUE_READ,
    ZONE_QUEUE_TRANSFER,
    ZONE_QUEUE_OPERATE,
    ZONE_QUEUE_DONE,
} ZoneQueueStep;

/*
 * A request; it lives where the caller puts it, from zone_queue_add() until
 * ZONE_QUEUE_DONE is returned for it, and the queue allocates nothing for it.
 * The caller may embed it in a structure of its own.
 */
struct ZoneQueueRequest {
    /* Set by the caller before zone_queue_add(); all else is 0 then */
    ZoneQueueKind kind;
    /*
     * Where to write; for an append the start of the zone and, after success,
     * where the data went; for an operation the start of its first zone
     */
    int64_t offset;
    int64_t bytes;              /* of an operation: of all of its zones */
    uint32_t niov;              /* segments of the data; 0 counts as 1 */

    /* Result: 0 or -errno, when ZONE_QUEUE_DONE has been returned */
    int ret;

    /* Valid during ZONE_QUEUE_READ and ZONE_QUEUE_TRANSFER */
    int64_t step_offset;
    int64_t step_bytes;         /* ZONE_QUEUE_TRANSFER only */

    /* Valid during ZONE_QUEUE_TRANSFER: segments of all parts together */
    uint32_t step_niov;
    uint32_t step_parts;        /* this request and those joined; 1 or more */

    /* All below is the queue's own */
    uint64_t ticket;            /* order of arrival */
    uint32_t first, last;       /* zones touched */
    int64_t begin;              /* where its transfer starts */
    int transfer_ret;           /* how that failed */
    uint8_t phase;
    uint8_t place;
    bool fresh;                 /* its zones were read for its sake */
    bool stale;                 /* they were forgotten while being read */
    /* In the queue of a zone */
    ZoneQueueRequest *next;
    ZoneQueueRequest *tail;     /* of the first in a queue: the last in it */
    ZoneQueueRequest *last_part;
    /* Among the requests that own a range of zones, or wait for it */
    QTAILQ_ENTRY(ZoneQueueRequest) next_range;
    uint32_t blockers;          /* zones and ranges that it waits for */
};

/*
 * Called for a request that waits, when zone_queue_resume() is to be called
 * for it: once for each time that ZONE_QUEUE_WAIT was returned.  Must not call
 * the queue itself, but have it done later.
 */
typedef void ZoneQueueWakeFn(void *opaque, ZoneQueueRequest *req);

/**
 * zone_queue_new:
 * @limits: @length, @zone_size and @write_granularity are positive
 * @wake: called for requests that need no longer wait
 * @opaque: passed to @wake
 *
 * No zone is known at first.  Takes 16 bytes a zone, of which the system
 * provides only those that are used.
 *
 * Returns: the queue, or NULL if there is no memory for the zones.
 */
ZoneQueue *zone_queue_new(const ZoneQueueLimits *limits, ZoneQueueWakeFn *wake,
                          void *opaque);

/* All requests must have ended; @q may be NULL */
void zone_queue_free(ZoneQueue *q);

/**
 * zone_queue_add:
 * @q: the queue
 * @req: a new request
 *
 * Requests to one sequential zone are served in the order in which they are
 * added.  An operation waits for all requests to its zones that were added
 * before it, and those that are added later wait for the operation.
 *
 * Of requests behind one another in a zone's queue, appends and writes that
 * continue one another are joined into one transfer, as far as the limits and
 * the zone's capacity allow.  A single request is never split, even if it is
 * beyond the limits.
 *
 * Writes to conventional and sequential-write-preferred zones, also to several
 * of them at once, wait for nothing, and nothing waits for them.
 *
 * A write or append of 0 bytes ends at once and changes nothing.
 *
 * A request ends with one of these errors:
 *
 *   -EINVAL   outside the disk; an append or operation that does not start
 *             with a zone; an operation not on whole zones; misaligned in a
 *             sequential zone; an append to a zone that takes none
 *   -EROFS, -ENXIO, -EFBIG, -ERANGE, -ESPIPE
 *             by the error contract, if it was refused.  This is always by
 *             what the disk said after the request's turn had come
 *   -ETOOMANYREFS, -EOVERFLOW
 *             as the transfer failed with them
 *   -EROFS, -ENXIO
 *             the transfer failed, and this is what the zone is now
 *   -ESPIPE, -EFBIG
 *             the transfer failed, and somebody else has moved the write
 *             pointer or filled the zone.  -ESPIPE is for writes only
 *   others    as a transfer or the reading of a zone failed with it; -EIO in
 *             place of errors that would blame the requester without reason
 *
 * An operation ends with what was passed to zone_queue_operated(), unchanged.
 * If a transfer fails, all parts of it do, whatever has reached the disk.
 *
 * Returns: the next step.
 */
ZoneQueueStep zone_queue_add(ZoneQueue *q, ZoneQueueRequest *req);

/**
 * zone_queue_resume:
 *
 * To be called after the ZoneQueueWakeFn has been called for @req.
 *
 * Returns: the next step; ZONE_QUEUE_WAIT, without a change, for a request
 * that was not woken by the queue.
 */
ZoneQueueStep zone_queue_resume(ZoneQueue *q, ZoneQueueRequest *req);

/**
 * zone_queue_read:
 * @q: the queue
 * @req: a request after ZONE_QUEUE_READ
 * @ret: 0, or -errno if the zone could not be read
 * @zone: the zone at step_offset; unused if @ret is negative
 *
 * A descriptor that cannot be right (another zone, a write pointer outside
 * the zone) counts as an I/O error.
 *
 * Returns: the next step; it can be ZONE_QUEUE_READ again, for another zone
 * of the request or after zone_queue_forget().
 */
ZoneQueueStep zone_queue_read(ZoneQueue *q, ZoneQueueRequest *req, int ret,
                              const BlockZoneDescriptor *zone);

/**
 * zone_queue_transferred:
 * @q: the queue
 * @req: a request after ZONE_QUEUE_TRANSFER
 * @ret: 0 if all of the data was written, else -errno
 *
 * Returns: the next step, for @req alone.  The requests that were joined with
 * it are woken when their results are known.
 */
ZoneQueueStep zone_queue_transferred(ZoneQueue *q, ZoneQueueRequest *req,
                                     int ret);

/**
 * zone_queue_operated:
 * @q: the queue
 * @req: an operation after ZONE_QUEUE_OPERATE
 * @ret: result of the operation, 0 or -errno
 *
 * What was not told of its zones by zone_queue_set_zone() or
 * zone_queue_forget() is taken to be as before.
 *
 * Returns: ZONE_QUEUE_DONE
 */
ZoneQueueStep zone_queue_operated(ZoneQueue *q, ZoneQueueRequest *req,
                                  int ret);

/**
 * zone_queue_next_part:
 * @req: a request after ZONE_QUEUE_TRANSFER
 * @part: NULL, or one of its parts
 *
 * Returns: the part behind @part in the transfer, @req itself being the first
 * (for NULL); NULL behind the last one.
 */
ZoneQueueRequest *zone_queue_next_part(const ZoneQueueRequest *req,
                                       const ZoneQueueRequest *part);

/**
 * zone_queue_set_zone:
 * @q: the queue
 * @op: an operation after ZONE_QUEUE_OPERATE; or NULL, if no request is in
 *      the queue nor was since @zone was read from the disk
 * @zone: what a zone is now
 *
 * Tell what a zone of @op, or any zone, is.  For an operation, it has to be
 * read from the disk after ZONE_QUEUE_OPERATE was returned.  A zone that is
 * none of @op's is ignored.  One that cannot be right is forgotten.  After
 * zone_queue_forget() for any zone of @op, its zones are forgotten, too.
 */
void zone_queue_set_zone(ZoneQueue *q, const ZoneQueueRequest *op,
                         const BlockZoneDescriptor *zone);

/**
 * zone_queue_forget:
 * @q: the queue
 * @offset: any byte of the first zone
 * @bytes: how many from there on, cut off at the end of the disk
 *
 * Have the zones of a range read from the disk before the next write to them,
 * as somebody else may have changed them.  May be called at any time: what is
 * being read or operated on right now is read again afterwards.  Costs
 * 16 bytes of memory access for each zone of the range.
 */
void zone_queue_forget(ZoneQueue *q, int64_t offset, int64_t bytes);

/* As zone_queue_forget(), for all zones */
void zone_queue_forget_all(ZoneQueue *q);

#endif /* BLOCK_ZONE_QUEUE_H */
