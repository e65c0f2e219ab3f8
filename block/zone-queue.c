/*
 * Zone queue: the order of writes to the zones of a host's disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The contract is in block/zone-queue.h.  A request is in one of three places:
 *
 *  - in the queue of its zone: most writes and appends.  The first in a
 *    queue is served, and stays there until it and the parts that were
 *    joined with it have ended;
 *  - among the ranges: operations, and writes that reach over the border of a
 *    zone not known to be sequential.  A range is served once it owns all of
 *    its zones;
 *  - nowhere: writes to zones that can be written at random, while the data
 *    is under way, and requests that have ended.
 *
 * Each request has a ticket, the order of arrival, and waits only for lower
 * tickets: so nothing waits in a circle, and nothing waits for ever.  The first
 * in a zone's queue waits for the ranges over its zone with a lower ticket.  A
 * range waits for overlapping ranges with a lower ticket, and for zones whose
 * first request has a lower ticket.  As later requests never get in front,
 * the number of these is counted once, and goes down to 0.
 *
 * A zone's entry in the cache changes only while whoever changes it owns the
 * zone, or becomes UNKNOWN, which it may at any time.
 */

#include "qemu/osdep.h"
#include "block/zone-queue.h"

/* Values of Zone.code; above 0 it is the write pointer of the zone, plus 1 */
enum {
    UNKNOWN = 0,                /* so that memory of zeroes is a fresh cache */
    RANDOM = -1,                /* can be written at random */
    RANDOM_RDONLY = -2,
    RANDOM_OFFLINE = -3,
    RDONLY = -4,
    OFFLINE = -5,
};

typedef struct Zone {
    int64_t code;
    int64_t cap_end;            /* if there is a write pointer */
} Zone;

QEMU_BUILD_BUG_ON(sizeof(Zone) > 16);

/* What a request is about to do; these are values of its @phase */
enum {
    PHASE_QUEUED,               /* waits for its turn, or to be joined */
    PHASE_TURN,                 /* woken, since its turn has come */
    PHASE_READ,                 /* has a zone read, to decide */
    PHASE_TRANSFER,
    PHASE_JOINED,               /* part of the transfer of another */
    PHASE_REREAD,               /* has a zone read, as its transfer failed */
    PHASE_OPERATE,
    PHASE_DONE,
};

/* Where a request is; these are values of its @place */
enum {
    PLACE_NOWHERE,
    PLACE_ZONE,
    PLACE_RANGES,
};

struct ZoneQueue {
    ZoneQueueLimits limits;
    ZoneQueueWakeFn *wake;
    void *opaque;
    uint64_t tickets;           /* given out so far */
    GHashTable *busy;           /* index of a zone -> first in its queue */
    QTAILQ_HEAD(, ZoneQueueRequest) ranges;     /* in the order of tickets */
    Zone *zones;
};

/*
 * Geometry
 */

static uint32_t zone_index(const ZoneQueue *q, int64_t offset)
{
    return offset / q->limits.zone_size;
}

static int64_t zone_start(const ZoneQueue *q, uint32_t i)
{
    return i * q->limits.zone_size;
}

static int64_t zone_length(const ZoneQueue *q, uint32_t i)
{
    return MIN(q->limits.zone_size, q->limits.length - zone_start(q, i));
}

static bool is_zone_start(const ZoneQueue *q, int64_t offset)
{
    return offset >= 0 && offset < q->limits.length &&
           offset % q->limits.zone_size == 0;
}

static bool range_inside(const ZoneQueue *q, int64_t offset, int64_t bytes)
{
    return offset >= 0 && bytes >= 0 && offset <= q->limits.length &&
           bytes <= q->limits.length - offset;
}

static bool covers(const ZoneQueueRequest *range, uint32_t i)
{
    return range->first <= i && i <= range->last;
}

static bool overlap(const ZoneQueueRequest *a, const ZoneQueueRequest *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/*
 * The cache
 */

static bool zone_has_wp(const Zone *z)
{
    return z->code > 0;
}

static int64_t zone_wp(const Zone *z)
{
    return z->code - 1;
}

static void zone_set_wp(Zone *z, int64_t wp)
{
    z->code = wp + 1;
}

static bool zone_is_full(const Zone *z)
{
    return zone_has_wp(z) && zone_wp(z) == z->cap_end;
}

static bool zone_is_sequential(const Zone *z)
{
    return zone_has_wp(z) || z->code == RDONLY || z->code == OFFLINE;
}

/* Returns: whether @d can be what a zone that starts at @start is */
static bool zone_from_descriptor(const BlockZoneDescriptor *d, int64_t start,
                                 int64_t length, Zone *z)
{
    bool random = d->type == BLK_ZT_CONV || d->type == BLK_ZT_SWP;
    int64_t wp;

    if (d->start != start || d->cap < 0 || d->cap > length ||
        (!random && d->type != BLK_ZT_SWR)) {
        return false;
    }
    z->cap_end = start + d->cap;

    switch (d->state) {
    case BLK_ZS_RDONLY:
        z->code = random ? RANDOM_RDONLY : RDONLY;
        return true;
    case BLK_ZS_OFFLINE:
        z->code = random ? RANDOM_OFFLINE : OFFLINE;
        return true;
    case BLK_ZS_NOT_WP:
        z->code = RANDOM;
        return random;
    case BLK_ZS_FULL:
        wp = z->cap_end;
        break;
    case BLK_ZS_EMPTY:
        wp = start;
        break;
    case BLK_ZS_IOPEN:
    case BLK_ZS_EOPEN:
    case BLK_ZS_CLOSED:
        wp = d->wp;
        break;
    default:
        return false;
    }
    if (random) {
        z->code = RANDOM;
        return true;
    }
    if (wp < start || wp > z->cap_end) {
        return false;
    }
    zone_set_wp(z, wp);
    return true;
}

/* Returns: @ret, or -EIO if it says that the zone @i cannot be like @d */
static int parse_zone(const ZoneQueue *q, uint32_t i, int ret,
                      const BlockZoneDescriptor *d, Zone *z)
{
    if (ret < 0) {
        return ret;
    }
    return zone_from_descriptor(d, zone_start(q, i), zone_length(q, i), z)
           ? 0 : -EIO;
}

static void forget_zones(ZoneQueue *q, uint32_t first, uint32_t last)
{
    int64_t i;

    for (i = first; i <= last; i++) {
        /* Memory that was never written to should not come into being */
        if (q->zones[i].code != UNKNOWN) {
            q->zones[i].code = UNKNOWN;
        }
    }
}

/*
 * Decisions
 */

/* Returns: 0, or -errno that the contract has for a request to such a zone */
static int check_write(const ZoneQueue *q, const ZoneQueueRequest *req,
                       const Zone *z)
{
    bool append = req->kind == ZONE_QUEUE_APPEND;
    int64_t offset;

    if (zone_is_sequential(z)
        ? (req->bytes | req->offset) % q->limits.write_granularity
        : append) {
        return -EINVAL;
    }

    switch (z->code) {
    case RDONLY:
    case RANDOM_RDONLY:
        return -EROFS;
    case OFFLINE:
    case RANDOM_OFFLINE:
        return -ENXIO;
    case RANDOM:
        return 0;
    }

    if (zone_is_full(z)) {
        return -EFBIG;
    }
    offset = append ? zone_wp(z) : req->offset;
    if (req->bytes > z->cap_end - offset) {
        return -ERANGE;
    }
    return offset == zone_wp(z) ? 0 : -ESPIPE;
}

/* An error that came from the host must not look like one of the requester */
static int host_error(int ret)
{
    switch (ret) {
    case -ETOOMANYREFS:
    case -EOVERFLOW:
        return ret;
    default:
        return block_zone_errno_is_guest_error(ret) ? -EIO : ret;
    }
}

/*
 * Why a transfer failed with @ret; @z is the zone afterwards, @begin and @end
 * are those of the whole transfer that @part belonged to
 */
static int transfer_error(const ZoneQueueRequest *part, const Zone *z,
                          int64_t begin, int64_t end, int ret)
{
    if (ret == -ETOOMANYREFS || ret == -EOVERFLOW) {
        return ret;
    }
    switch (z->code) {
    case RDONLY:
    case RANDOM_RDONLY:
        return -EROFS;
    case OFFLINE:
    case RANDOM_OFFLINE:
        return -ENXIO;
    }
    /* Moved by the disk alone, it would be where the data was to go */
    if (zone_has_wp(z) && (zone_wp(z) < begin || zone_wp(z) > end)) {
        if (zone_is_full(z)) {
            return -EFBIG;
        }
        if (part->kind == ZONE_QUEUE_WRITE) {
            return -ESPIPE;
        }
    }
    return host_error(ret);
}

/*
 * Places and turns
 */

static ZoneQueueRequest *first_in_zone(const ZoneQueue *q, uint32_t i)
{
    return g_hash_table_lookup(q->busy, GUINT_TO_POINTER(i));
}

/* Call @fn for the first request of each busy zone from @first to @last */
static void for_each_busy(const ZoneQueue *q, uint32_t first, uint32_t last,
                          void (*fn)(const ZoneQueue *q, ZoneQueueRequest *req,
                                     void *opaque), void *opaque)
{
    ZoneQueueRequest *req;
    GHashTableIter iter;
    uint32_t i;

    if (last - first < g_hash_table_size(q->busy)) {
        for (i = 0; i <= last - first; i++) {
            req = first_in_zone(q, first + i);
            if (req) {
                fn(q, req, opaque);
            }
        }
        return;
    }
    g_hash_table_iter_init(&iter, q->busy);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&req)) {
        if (first <= req->first && req->first <= last) {
            fn(q, req, opaque);
        }
    }
}

static void give_turn(const ZoneQueue *q, ZoneQueueRequest *req)
{
    req->phase = PHASE_TURN;
    q->wake(q->opaque, req);
}

static void unblock(const ZoneQueue *q, ZoneQueueRequest *range)
{
    if (--range->blockers == 0) {
        give_turn(q, range);
    }
}

/* Returns: whether a range that came before @req, first in its zone, is left */
static bool blocked_by_range(const ZoneQueue *q, const ZoneQueueRequest *req)
{
    const ZoneQueueRequest *range;

    QTAILQ_FOREACH(range, &q->ranges, next_range) {
        if (range->ticket > req->ticket) {
            break;
        }
        if (covers(range, req->first)) {
            return true;
        }
    }
    return false;
}

/* Take requests up to @last out of the zone's queue, and go on behind them */
static void leave_zone(ZoneQueue *q, ZoneQueueRequest *req,
                       ZoneQueueRequest *last)
{
    ZoneQueueRequest *next = last->next;
    ZoneQueueRequest *range;
    uint32_t i = req->first;

    if (next) {
        next->tail = req->tail;
        g_hash_table_insert(q->busy, GUINT_TO_POINTER(i), next);
    } else {
        g_hash_table_remove(q->busy, GUINT_TO_POINTER(i));
    }

    /* All ranges over the zone came after @req, which was served */
    QTAILQ_FOREACH(range, &q->ranges, next_range) {
        if (covers(range, i) && !(next && next->ticket < range->ticket)) {
            unblock(q, range);
        }
    }
    if (next && !blocked_by_range(q, next)) {
        give_turn(q, next);
    }
}

static void wake_if_unblocked(const ZoneQueue *q, ZoneQueueRequest *req,
                              void *opaque)
{
    if (req->phase == PHASE_QUEUED && !blocked_by_range(q, req)) {
        give_turn(q, req);
    }
}

static void leave_ranges(ZoneQueue *q, ZoneQueueRequest *req)
{
    ZoneQueueRequest *later = req;

    while ((later = QTAILQ_NEXT(later, next_range))) {
        if (overlap(req, later)) {
            unblock(q, later);
        }
    }
    QTAILQ_REMOVE(&q->ranges, req, next_range);
    for_each_busy(q, req->first, req->last, wake_if_unblocked, NULL);
}

static void leave(ZoneQueue *q, ZoneQueueRequest *req)
{
    switch (req->place) {
    case PLACE_ZONE:
        leave_zone(q, req, req);
        break;
    case PLACE_RANGES:
        leave_ranges(q, req);
        break;
    }
    req->place = PLACE_NOWHERE;
}

static ZoneQueueStep finish(ZoneQueue *q, ZoneQueueRequest *req, int ret)
{
    req->ret = ret;
    req->phase = PHASE_DONE;
    leave(q, req);
    return ZONE_QUEUE_DONE;
}

/*
 * Steps
 */

static ZoneQueueStep read_zone(ZoneQueue *q, ZoneQueueRequest *req,
                               uint8_t phase, uint32_t i)
{
    req->phase = phase;
    req->stale = false;
    req->step_offset = zone_start(q, i);
    return ZONE_QUEUE_READ;
}

static uint32_t request_niov(const ZoneQueueRequest *req)
{
    return MAX(req->niov, 1);
}

/* Make @req a transfer of its own to @offset */
static void start_transfer(ZoneQueueRequest *req, int64_t offset)
{
    req->phase = PHASE_TRANSFER;
    req->last_part = req;
    req->begin = offset;
    req->step_offset = offset;
    req->step_bytes = req->bytes;
    req->step_niov = request_niov(req);
    req->step_parts = 1;
}

/* Returns: the ticket of the first range that waits for @req's zone, if any */
static uint64_t joining_ends_at(const ZoneQueue *q,
                                const ZoneQueueRequest *req)
{
    const ZoneQueueRequest *range;

    QTAILQ_FOREACH(range, &q->ranges, next_range) {
        if (covers(range, req->first)) {
            return range->ticket;
        }
    }
    return UINT64_MAX;
}

/* Returns: whether @next can be joined with the transfer of @req */
static bool continues(const ZoneQueue *q, const ZoneQueueRequest *req,
                      const ZoneQueueRequest *next, int64_t cap_end)
{
    const ZoneQueueLimits *l = &q->limits;
    int64_t end = req->step_offset + req->step_bytes;
    int64_t max_transfer = l->max_transfer ? l->max_transfer : INT64_MAX;
    uint32_t max_iov = l->max_iov ? l->max_iov : UINT32_MAX;

    return (next->kind == ZONE_QUEUE_APPEND || next->offset == end) &&
           next->bytes % l->write_granularity == 0 &&
           next->bytes <= cap_end - end &&
           req->step_bytes <= max_transfer &&
           next->bytes <= max_transfer - req->step_bytes &&
           req->step_niov <= max_iov &&
           request_niov(next) <= max_iov - req->step_niov;
}

static void join(const ZoneQueue *q, ZoneQueueRequest *req, int64_t cap_end)
{
    uint64_t ticket = joining_ends_at(q, req);
    ZoneQueueRequest *next;

    for (next = req->next; next; next = next->next) {
        if (next->ticket > ticket || !continues(q, req, next, cap_end)) {
            break;
        }
        next->phase = PHASE_JOINED;
        req->last_part = next;
        req->step_bytes += next->bytes;
        req->step_niov += request_niov(next);
        req->step_parts++;
    }
}

/* A write for which nothing has to wait any longer */
static ZoneQueueStep transfer_unordered(ZoneQueue *q, ZoneQueueRequest *req)
{
    start_transfer(req, req->offset);
    leave(q, req);
    return ZONE_QUEUE_TRANSFER;
}

/* The turn of @req in its zone has come, or its zone was read */
static ZoneQueueStep serve_in_zone(ZoneQueue *q, ZoneQueueRequest *req)
{
    Zone *z = &q->zones[req->first];
    int ret;

    if (z->code == UNKNOWN) {
        return read_zone(q, req, PHASE_READ, req->first);
    }
    ret = check_write(q, req, z);
    if (ret == 0 && req->last != req->first) {
        /* Was sequential when it came here, or else it were a range */
        ret = -ERANGE;
    }
    if (ret < 0) {
        return req->fresh ? finish(q, req, ret)
                          : read_zone(q, req, PHASE_READ, req->first);
    }
    if (!zone_has_wp(z)) {
        return transfer_unordered(q, req);
    }
    start_transfer(req, zone_wp(z));
    join(q, req, z->cap_end);
    return ZONE_QUEUE_TRANSFER;
}

static bool all_random(const ZoneQueue *q, const ZoneQueueRequest *req)
{
    uint32_t i;

    for (i = req->first; i < req->last; i++) {
        if (q->zones[i].code != RANDOM) {
            return false;
        }
    }
    return q->zones[i].code == RANDOM;
}

/* As serve_in_zone(), for a write to several zones that it owns */
static ZoneQueueStep serve_range(ZoneQueue *q, ZoneQueueRequest *req)
{
    const Zone *z;
    uint32_t i;
    int ret;

    if (!req->fresh && !all_random(q, req)) {
        forget_zones(q, req->first, req->last);
        req->fresh = true;
    }
    for (i = req->first; i <= req->last; i++) {
        z = &q->zones[i];
        if (z->code == UNKNOWN) {
            return read_zone(q, req, PHASE_READ, i);
        }
        ret = check_write(q, req, z);
        if (zone_is_sequential(z) && (ret == 0 || i > req->first)) {
            ret = -ERANGE;
        }
        if (ret < 0) {
            return finish(q, req, ret);
        }
    }
    return transfer_unordered(q, req);
}

static ZoneQueueStep serve(ZoneQueue *q, ZoneQueueRequest *req)
{
    if (req->kind == ZONE_QUEUE_OPERATION) {
        req->phase = PHASE_OPERATE;
        req->stale = false;
        return ZONE_QUEUE_OPERATE;
    }
    return req->place == PLACE_ZONE ? serve_in_zone(q, req)
                                    : serve_range(q, req);
}

/* A transfer is over, and the results of its parts are set */
static ZoneQueueStep finish_parts(ZoneQueue *q, ZoneQueueRequest *req)
{
    ZoneQueueRequest *part = NULL;

    while ((part = zone_queue_next_part(req, part))) {
        part->phase = PHASE_DONE;
        part->place = PLACE_NOWHERE;
        /* What they send next can then be joined with what is served next */
        if (part != req) {
            q->wake(q->opaque, part);
        }
    }
    leave_zone(q, req, req->last_part);
    return ZONE_QUEUE_DONE;
}

static ZoneQueueStep transfer_succeeded(ZoneQueue *q, ZoneQueueRequest *req)
{
    Zone *z = &q->zones[req->first];
    ZoneQueueRequest *part = NULL;
    int64_t offset = req->begin;

    /* Otherwise it was forgotten meanwhile */
    if (zone_has_wp(z)) {
        zone_set_wp(z, offset + req->step_bytes);
    }
    while ((part = zone_queue_next_part(req, part))) {
        part->ret = 0;
        part->offset = offset;
        offset += part->bytes;
    }
    return finish_parts(q, req);
}

/* The zone of a failed transfer was read with @ret, and is @now */
static ZoneQueueStep transfer_failed(ZoneQueue *q, ZoneQueueRequest *req,
                                     int ret, const Zone *now)
{
    int64_t begin = req->begin;
    int64_t end = begin + req->step_bytes;
    ZoneQueueRequest *part = NULL;

    if (ret == 0 && !req->stale) {
        q->zones[req->first] = *now;
    }
    while ((part = zone_queue_next_part(req, part))) {
        part->ret = ret < 0 ? host_error(req->transfer_ret)
                    : transfer_error(part, now, begin, end,
                                     req->transfer_ret);
    }
    return finish_parts(q, req);
}

/* As transfer_failed(), for one of the zones of an unordered transfer */
static ZoneQueueStep unordered_failed(ZoneQueue *q, ZoneQueueRequest *req,
                                      uint32_t i, int ret, const Zone *now)
{
    if (ret < 0 || now->code != RANDOM) {
        /* It is somebody else's zone now, or nobody's */
        forget_zones(q, i, i);
    }
    if (ret == 0 && now->code != RANDOM) {
        return finish(q, req, transfer_error(req, now, req->offset,
                                             req->offset + req->bytes,
                                             req->transfer_ret));
    }
    if (i < req->last) {
        return read_zone(q, req, PHASE_REREAD, i + 1);
    }
    return finish(q, req, host_error(req->transfer_ret));
}

/*
 * Entry
 */

static ZoneQueueStep enter_zone(ZoneQueue *q, ZoneQueueRequest *req)
{
    ZoneQueueRequest *first = first_in_zone(q, req->first);

    req->place = PLACE_ZONE;
    req->phase = PHASE_QUEUED;
    req->next = NULL;
    if (first) {
        first->tail->next = req;
        first->tail = req;
        return ZONE_QUEUE_WAIT;
    }
    req->tail = req;
    g_hash_table_insert(q->busy, GUINT_TO_POINTER(req->first), req);
    return blocked_by_range(q, req) ? ZONE_QUEUE_WAIT : serve(q, req);
}

static void count_blocker(const ZoneQueue *q, ZoneQueueRequest *busy,
                          void *opaque)
{
    ZoneQueueRequest *req = opaque;

    req->blockers++;
}

static ZoneQueueStep enter_ranges(ZoneQueue *q, ZoneQueueRequest *req)
{
    const ZoneQueueRequest *range;

    req->place = PLACE_RANGES;
    req->phase = PHASE_QUEUED;
    req->blockers = 0;
    for_each_busy(q, req->first, req->last, count_blocker, req);
    QTAILQ_FOREACH(range, &q->ranges, next_range) {
        req->blockers += overlap(range, req);
    }
    QTAILQ_INSERT_TAIL(&q->ranges, req, next_range);
    return req->blockers ? ZONE_QUEUE_WAIT : serve(q, req);
}

/* Returns: 0, or -EINVAL for what is wrong whatever the zones are */
static int check_request(const ZoneQueue *q, const ZoneQueueRequest *req)
{
    int64_t end;

    switch (req->kind) {
    case ZONE_QUEUE_WRITE:
        return range_inside(q, req->offset, req->bytes) ? 0 : -EINVAL;
    case ZONE_QUEUE_APPEND:
        return is_zone_start(q, req->offset) && req->bytes >= 0 ? 0 : -EINVAL;
    case ZONE_QUEUE_OPERATION:
        if (!is_zone_start(q, req->offset) || req->bytes == 0 ||
            !range_inside(q, req->offset, req->bytes)) {
            return -EINVAL;
        }
        end = req->offset + req->bytes;
        return end == q->limits.length || is_zone_start(q, end) ? 0 : -EINVAL;
    }
    return -EINVAL;
}

ZoneQueueStep zone_queue_add(ZoneQueue *q, ZoneQueueRequest *req)
{
    int ret = check_request(q, req);

    req->place = PLACE_NOWHERE;
    if (ret < 0 || req->bytes == 0) {
        return finish(q, req, ret);
    }

    req->fresh = false;
    req->ticket = ++q->tickets;
    req->first = zone_index(q, req->offset);
    req->last = req->kind == ZONE_QUEUE_APPEND ? req->first
                : zone_index(q, req->offset + req->bytes - 1);

    if (req->kind == ZONE_QUEUE_WRITE && all_random(q, req)) {
        return transfer_unordered(q, req);
    }
    if (req->kind == ZONE_QUEUE_OPERATION ||
        (req->first != req->last &&
         !zone_is_sequential(&q->zones[req->first]))) {
        return enter_ranges(q, req);
    }
    return enter_zone(q, req);
}

ZoneQueueStep zone_queue_resume(ZoneQueue *q, ZoneQueueRequest *req)
{
    switch (req->phase) {
    case PHASE_DONE:
        return ZONE_QUEUE_DONE;
    case PHASE_TURN:
        return serve(q, req);
    default:
        return ZONE_QUEUE_WAIT;
    }
}

ZoneQueueStep zone_queue_read(ZoneQueue *q, ZoneQueueRequest *req, int ret,
                              const BlockZoneDescriptor *zone)
{
    uint32_t i = zone_index(q, req->step_offset);
    Zone now;

    ret = parse_zone(q, i, ret, zone, &now);
    if (req->phase == PHASE_REREAD) {
        return req->place == PLACE_ZONE
               ? transfer_failed(q, req, ret, &now)
               : unordered_failed(q, req, i, ret, &now);
    }

    assert(req->phase == PHASE_READ);
    if (ret < 0) {
        forget_zones(q, i, i);
        return finish(q, req, host_error(ret));
    }
    if (!req->stale) {
        q->zones[i] = now;
        req->fresh = true;
    }
    return serve(q, req);
}

ZoneQueueStep zone_queue_transferred(ZoneQueue *q, ZoneQueueRequest *req,
                                     int ret)
{
    assert(req->phase == PHASE_TRANSFER);
    if (ret < 0) {
        req->transfer_ret = ret;
        if (req->place == PLACE_ZONE) {
            forget_zones(q, req->first, req->first);
        }
        return read_zone(q, req, PHASE_REREAD, req->first);
    }
    return req->place == PLACE_ZONE ? transfer_succeeded(q, req)
                                    : finish(q, req, 0);
}

ZoneQueueStep zone_queue_operated(ZoneQueue *q, ZoneQueueRequest *req,
                                  int ret)
{
    assert(req->phase == PHASE_OPERATE);
    return finish(q, req, ret);
}

ZoneQueueRequest *zone_queue_next_part(const ZoneQueueRequest *req,
                                       const ZoneQueueRequest *part)
{
    if (!part) {
        return (ZoneQueueRequest *)req;
    }
    return part == req->last_part ? NULL : part->next;
}

/*
 * What is known of the zones
 */

void zone_queue_set_zone(ZoneQueue *q, const ZoneQueueRequest *op,
                         const BlockZoneDescriptor *zone)
{
    uint32_t i;
    Zone now;

    if (!is_zone_start(q, zone->start)) {
        return;
    }
    i = zone_index(q, zone->start);
    if (op ? op->phase != PHASE_OPERATE || !covers(op, i)
           : g_hash_table_size(q->busy) || !QTAILQ_EMPTY(&q->ranges)) {
        return;
    }
    if ((op && op->stale) || parse_zone(q, i, 0, zone, &now) < 0) {
        forget_zones(q, i, i);
    } else {
        q->zones[i] = now;
    }
}

static void set_stale(const ZoneQueue *q, ZoneQueueRequest *req, void *opaque)
{
    req->stale = true;
}

void zone_queue_forget(ZoneQueue *q, int64_t offset, int64_t bytes)
{
    ZoneQueueRequest *range;
    uint32_t first, last;

    if (offset < 0 || offset >= q->limits.length || bytes <= 0) {
        return;
    }
    bytes = MIN(bytes, q->limits.length - offset);
    first = zone_index(q, offset);
    last = zone_index(q, offset + bytes - 1);

    forget_zones(q, first, last);
    for_each_busy(q, first, last, set_stale, NULL);
    QTAILQ_FOREACH(range, &q->ranges, next_range) {
        if (range->first <= last && first <= range->last) {
            range->stale = true;
        }
    }
}

void zone_queue_forget_all(ZoneQueue *q)
{
    zone_queue_forget(q, 0, q->limits.length);
}

/*
 * Life
 */

ZoneQueue *zone_queue_new(const ZoneQueueLimits *limits, ZoneQueueWakeFn *wake,
                          void *opaque)
{
    int64_t nr_zones = limits->length / limits->zone_size +
                       !!(limits->length % limits->zone_size);
    Zone *zones = NULL;
    ZoneQueue *q;

    /* Zeroes that the system hands out only where they are used */
    if (nr_zones <= UINT32_MAX) {
        zones = g_try_new0(Zone, nr_zones);
    }
    if (!zones) {
        return NULL;
    }
    q = g_new(ZoneQueue, 1);
    *q = (ZoneQueue) {
        .limits = *limits,
        .wake = wake,
        .opaque = opaque,
        .busy = g_hash_table_new(NULL, NULL),
        .zones = zones,
    };
    QTAILQ_INIT(&q->ranges);
    return q;
}

void zone_queue_free(ZoneQueue *q)
{
    if (!q) {
        return;
    }
    assert(g_hash_table_size(q->busy) == 0 && QTAILQ_EMPTY(&q->ranges));
    g_hash_table_destroy(q->busy);
    g_free(q->zones);
    g_free(q);
}
