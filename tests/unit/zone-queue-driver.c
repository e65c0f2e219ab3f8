/*
 * Random requests to the zone queue, on a simulated disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk takes a write to a sequential zone at the write pointer only, and
 * remembers for each block who wrote it.  Time is a counter of events.
 */

#include "qemu/osdep.h"
#include "block/zone-queue.h"
#include "zone-queue-driver.h"

#define BLOCK 4096
#define MAX_ZONES 8
#define MAX_ZONE_BLOCKS 24
#define MAX_TASKS 14

/* How often a request can be carried on, at most, before all have ended */
#define MAX_ROUNDS 10000

typedef struct DiskZone {
    BlockZoneDescriptor d;
    /* When these happened last */
    uint64_t meddled;           /* somebody else changed the zone */
    uint64_t forgotten;         /* the queue had to forget it */
    uint64_t known;             /* it was read as it was then */
    uint64_t resets;            /* how often its data has gone away */
    uint32_t writers[MAX_ZONE_BLOCKS];
} DiskZone;

typedef struct Task {
    ZoneQueueRequest req;
    bool active;
    bool woken;
    bool passed;                /* an unordered write that was let go */
    bool transferred;           /* was part of a transfer, and how it ended */
    uint32_t id;                /* in the order of arrival */
    ZoneQueueStep step;
    int64_t offset;             /* as in @req when it came */
    struct Task *head;          /* whose transfer it became part of */
    int64_t transfer_offset;    /* where its own data is in that */
    int64_t begin, end;         /* of that transfer */
    int transfer_ret;
    uint64_t resets;            /* of its zone, when it ended */
    /* The last zone that was read for it, or for its transfer */
    bool was_read;
    bool has_snapshot;
    int read_ret;
    BlockZoneDescriptor zone;
    uint64_t read_at;
    /* What an operation left behind */
    BlockZoneDescriptor zones[MAX_ZONES];
} Task;

typedef struct Driver {
    ZoneQueueDraw *draw;
    void *opaque;
    ZoneQueue *q;
    ZoneQueueLimits limits;
    uint32_t nr_zones;
    uint64_t now;
    uint32_t last_id;
    DiskZone zones[MAX_ZONES];
    Task tasks[MAX_TASKS];
} Driver;

static uint32_t draw(Driver *d, uint32_t n)
{
    return d->draw(d->opaque, n);
}

/* True once in @n times; never when the input of a fuzzer has run out */
static bool chance(Driver *d, uint32_t n)
{
    return draw(d, n) == n - 1;
}

static void G_GNUC_PRINTF(2, 3) check(bool ok, const char *fmt, ...)
{
    va_list ap;

    if (!ok) {
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
        abort();
    }
}

/*
 * The disk
 */

static bool random_type(const DiskZone *z)
{
    return z->d.type == BLK_ZT_CONV;
}

static bool usable(const DiskZone *z)
{
    return z->d.state != BLK_ZS_RDONLY && z->d.state != BLK_ZS_OFFLINE;
}

static uint32_t zone_of(const Driver *d, int64_t offset)
{
    return offset / d->limits.zone_size;
}

static void set_wp(DiskZone *z, int64_t wp)
{
    z->d.wp = wp;
    if (wp == z->d.start + z->d.cap) {
        z->d.state = BLK_ZS_FULL;
        z->d.wp = z->d.start + z->d.length;
    } else {
        z->d.state = wp == z->d.start ? BLK_ZS_EMPTY : BLK_ZS_IOPEN;
    }
}

static void make_disk(Driver *d)
{
    int64_t blocks = 2 + draw(d, MAX_ZONE_BLOCKS - 1);
    int64_t cap = 1 + draw(d, blocks);
    uint32_t conventional, i;

    d->nr_zones = 1 + draw(d, MAX_ZONES);
    conventional = draw(d, MIN(4, d->nr_zones));
    d->limits = (ZoneQueueLimits) {
        .zone_size = blocks * BLOCK,
        .length = (d->nr_zones * blocks - draw(d, blocks)) * BLOCK,
        .write_granularity = BLOCK,
        .max_transfer = draw(d, 2 * blocks) * BLOCK,
        .max_iov = draw(d, 9),
    };
    for (i = 0; i < d->nr_zones; i++) {
        DiskZone *z = &d->zones[i];
        int64_t start = i * d->limits.zone_size;
        int64_t length = MIN(d->limits.zone_size, d->limits.length - start);

        z->d = (BlockZoneDescriptor) {
            .start = start,
            .length = length,
            .cap = i < conventional ? length : MIN(length, cap * BLOCK),
            .type = i < conventional ? BLK_ZT_CONV : BLK_ZT_SWR,
            .wp = -1,
        };
        if (i >= conventional) {
            set_wp(z, start + draw(d, z->d.cap / BLOCK + 1) * BLOCK);
        }
    }
}

/* Write one block if it may be written, and say so */
static bool write_block(Driver *d, int64_t offset, uint32_t id)
{
    DiskZone *z = &d->zones[zone_of(d, offset)];

    if (!usable(z)) {
        return false;
    }
    if (!random_type(z)) {
        if (z->d.state == BLK_ZS_FULL || offset != z->d.wp) {
            return false;
        }
        set_wp(z, offset + BLOCK);
    }
    z->writers[(offset - z->d.start) / BLOCK] = id;
    return true;
}

/* Change a zone behind the queue's back */
static void meddle(Driver *d)
{
    DiskZone *z = &d->zones[draw(d, d->nr_zones)];

    z->meddled = ++d->now;
    switch (draw(d, 5)) {
    case 0:
        z->d.state = BLK_ZS_RDONLY;
        z->d.wp = -1;
        break;
    case 1:
        z->d.state = BLK_ZS_OFFLINE;
        z->d.wp = -1;
        break;
    default:
        z->resets++;
        z->d.state = BLK_ZS_NOT_WP;
        if (!random_type(z)) {
            set_wp(z, z->d.start +
                   draw(d, z->d.cap / BLOCK + 1) * BLOCK);
        }
    }
}

static void forget(Driver *d)
{
    uint32_t first = draw(d, d->nr_zones);
    uint32_t last = first + draw(d, d->nr_zones - first);
    uint32_t i;

    ++d->now;
    if (first == 0 && last == d->nr_zones - 1) {
        zone_queue_forget_all(d->q);
    } else {
        zone_queue_forget(d->q, d->zones[first].d.start + draw(d, BLOCK),
                          (last - first) * d->limits.zone_size + 1);
    }
    for (i = first; i <= last; i++) {
        d->zones[i].forgotten = d->now;
    }
}

/*
 * What must hold between requests
 */

static uint32_t first_zone(const Driver *d, const Task *t)
{
    return zone_of(d, t->offset);
}

static uint32_t last_zone(const Driver *d, const Task *t)
{
    return t->req.kind == ZONE_QUEUE_APPEND
           ? zone_of(d, t->offset)
           : zone_of(d, t->offset + t->req.bytes - 1);
}

/*
 * The last zone that a request must own.  A write that starts in a sequential
 * zone is refused if it leaves it, and may or may not own the others.
 */
static uint32_t last_owned(const Driver *d, const Task *t)
{
    return t->req.kind == ZONE_QUEUE_WRITE &&
           !random_type(&d->zones[first_zone(d, t)])
           ? first_zone(d, t) : last_zone(d, t);
}

static bool conflict(const Driver *d, const Task *a, uint32_t a_last,
                     const Task *b, uint32_t b_last)
{
    /* A joined request is woken when it has ended */
    bool ended = !b->active || b->passed || (b->head && b->woken);

    return a != b && !ended && !(b->head && b->head == a->head) &&
           first_zone(d, a) <= b_last && first_zone(d, b) <= a_last;
}

static bool is_random_write(const Driver *d, const Task *t)
{
    uint32_t i;

    for (i = first_zone(d, t); i <= last_zone(d, t); i++) {
        if (!random_type(&d->zones[i])) {
            return false;
        }
    }
    return t->req.kind == ZONE_QUEUE_WRITE;
}

/* @t, and nobody else, does something in its zones; all earlier have ended */
static void check_owner(Driver *d, const Task *t)
{
    int i;

    for (i = 0; i < MAX_TASKS; i++) {
        const Task *other = &d->tasks[i];

        if (conflict(d, t, last_owned(d, t), other, last_owned(d, other))) {
            check(other->step == ZONE_QUEUE_WAIT,
                  "%u and %u are served at a time", t->id, other->id);
            check(other->id > t->id, "%u has overtaken %u", t->id, other->id);
        }
    }
}

/* A request waits only for an earlier one to its zones */
static void check_waiting(Driver *d)
{
    int i, j;

    for (i = 0; i < MAX_TASKS; i++) {
        Task *t = &d->tasks[i];

        if (!t->active || t->step != ZONE_QUEUE_WAIT || t->woken || t->head) {
            continue;
        }
        for (j = 0; j < MAX_TASKS; j++) {
            const Task *other = &d->tasks[j];

            if (other->id < t->id &&
                conflict(d, t, last_zone(d, t), other, last_zone(d, other))) {
                break;
            }
        }
        check(j < MAX_TASKS, "%u waits for nobody", t->id);
    }
}

static void check_sequential_transfer(Driver *d, const Task *t)
{
    DiskZone *z = &d->zones[zone_of(d, t->req.step_offset)];
    ZoneQueueRequest *part = NULL;

    while ((part = zone_queue_next_part(&t->req, part))) {
        check_owner(d, container_of(part, Task, req));
    }
    check(z->known > z->forgotten, "%u is served without a look", t->id);
    check(t->begin >= z->d.start && t->end <= z->d.start + z->d.cap,
          "%u leaves the zone", t->id);
    if (z->known > z->meddled) {
        check(z->d.wp == t->begin, "%u is not at the write pointer", t->id);
    }
}

/* A transfer has been asked for */
static void start_transfer(Driver *d, Task *t)
{
    ZoneQueueRequest *part = NULL;
    int64_t bytes = 0;
    uint32_t niov = 0, parts = 0, id = 0;

    t->begin = t->req.step_offset;
    t->end = t->begin + t->req.step_bytes;
    while ((part = zone_queue_next_part(&t->req, part))) {
        Task *p = container_of(part, Task, req);

        check((p == t) == !parts, "%u is not the first part", t->id);
        check(p->id > id && !p->head, "%u joined out of order", p->id);
        check(part->kind == ZONE_QUEUE_APPEND ||
              p->offset == t->begin + bytes, "%u is elsewhere", p->id);
        id = p->id;
        p->head = t;
        p->transfer_offset = t->begin + bytes;
        p->begin = t->begin;
        p->end = t->end;
        bytes += part->bytes;
        niov += part->niov;
        parts++;
    }
    check(bytes == t->req.step_bytes && niov == t->req.step_niov &&
          parts == t->req.step_parts, "%u does not add up", t->id);
    check(parts == 1 ||
          ((!d->limits.max_transfer || bytes <= d->limits.max_transfer) &&
           (!d->limits.max_iov || niov <= d->limits.max_iov)),
          "%u joined too much", t->id);

    if (is_random_write(d, t)) {
        check(parts == 1 && t->begin == t->offset, "%u was moved", t->id);
        t->passed = true;
    } else {
        check_sequential_transfer(d, t);
    }
}

/*
 * What a request must end with
 */

static bool is_guest_error(int ret)
{
    return ret == -EINVAL || ret == -ERANGE || ret == -ESPIPE ||
           ret == -EFBIG || ret == -EROFS || ret == -ENXIO || ret == -EPERM;
}

static int host_error(int ret)
{
    return is_guest_error(ret) ? -EIO : ret;
}

static int expect_refusal(const Driver *d, const Task *t)
{
    const BlockZoneDescriptor *z = &t->zone;
    bool append = t->req.kind == ZONE_QUEUE_APPEND;
    bool sequential = z->type == BLK_ZT_SWR;
    int64_t offset = append ? z->wp : t->offset;

    if (t->read_ret < 0) {
        return host_error(t->read_ret);
    }
    if (sequential && z->start > t->offset) {
        return -ERANGE;
    }
    if (sequential ? (t->offset | t->req.bytes) % BLOCK : append) {
        return -EINVAL;
    }
    if (z->state == BLK_ZS_RDONLY) {
        return -EROFS;
    }
    if (z->state == BLK_ZS_OFFLINE) {
        return -ENXIO;
    }
    if (z->state == BLK_ZS_FULL) {
        return -EFBIG;
    }
    if (offset + t->req.bytes > z->start + z->cap) {
        return -ERANGE;
    }
    return !append && sequential && offset != z->wp ? -ESPIPE : 0;
}

static int expect_failure(const Task *t)
{
    const BlockZoneDescriptor *z = &t->zone;
    int64_t wp = MIN(z->wp, z->start + z->cap);
    int ret = t->transfer_ret;

    if (t->read_ret < 0 || ret == -ETOOMANYREFS || ret == -EOVERFLOW) {
        return host_error(ret);
    }
    if (z->state == BLK_ZS_RDONLY) {
        return -EROFS;
    }
    if (z->state == BLK_ZS_OFFLINE) {
        return -ENXIO;
    }
    if (z->type == BLK_ZT_SWR && (wp < t->begin || wp > t->end)) {
        if (z->state == BLK_ZS_FULL) {
            return -EFBIG;
        }
        if (t->req.kind == ZONE_QUEUE_WRITE) {
            return -ESPIPE;
        }
    }
    return host_error(ret);
}

/* The data of a request that has succeeded is where its result says */
static void check_data(Driver *d, const Task *t)
{
    const DiskZone *z = &d->zones[first_zone(d, t)];
    int64_t i, offset = t->req.offset - z->d.start;

    if (z->d.type == BLK_ZT_SWR && t->req.kind != ZONE_QUEUE_OPERATION &&
        t->resets == z->resets) {
        for (i = 0; i < t->req.bytes / BLOCK; i++) {
            check(z->writers[offset / BLOCK + i] == t->id,
                  "%u: the data is elsewhere", t->id);
        }
    }
}

static void check_done(Driver *d, Task *t)
{
    int64_t in_first = d->zones[first_zone(d, t)].d.start +
                       d->limits.zone_size - t->offset;
    int expected = 0;

    if (t->req.kind == ZONE_QUEUE_OPERATION) {
        expected = t->transfer_ret;
    } else if (t->transferred) {
        expected = t->transfer_ret < 0 ? expect_failure(t) : 0;
    } else {
        check(!t->head && t->was_read, "%u is refused unseen", t->id);
        expected = expect_refusal(d, t);
        check(expected < 0 || t->req.bytes > in_first,
              "%u is refused without reason", t->id);
        /* Of several zones, another one may be read for another request */
        if (t->req.bytes > in_first &&
            (t->req.ret == -EROFS || t->req.ret == -ENXIO)) {
            expected = t->req.ret;
        }
    }
    check(t->req.ret == expected, "%u: result %d, not %d", t->id, t->req.ret,
          expected);
    check(t->req.offset == (t->transferred && t->transfer_ret == 0
                            ? t->transfer_offset : t->offset),
          "%u: result is elsewhere", t->id);
    if (expected == 0) {
        check_data(d, t);
    }
    t->active = false;
}

/*
 * Events
 */

static void take_step(Driver *d, Task *t, ZoneQueueStep step)
{
    t->step = step;
    t->woken = false;
    switch (step) {
    case ZONE_QUEUE_WAIT:
        break;
    case ZONE_QUEUE_READ:
        t->has_snapshot = false;
        if (!t->passed && !t->head) {
            check_owner(d, t);
        }
        break;
    case ZONE_QUEUE_TRANSFER:
        start_transfer(d, t);
        break;
    case ZONE_QUEUE_OPERATE:
        t->has_snapshot = false;
        check_owner(d, t);
        break;
    case ZONE_QUEUE_DONE:
        check_done(d, t);
        break;
    }
}

static void add(Driver *d, Task *t)
{
    uint32_t first = draw(d, d->nr_zones);
    const DiskZone *z = &d->zones[first];
    int64_t max = d->limits.length - z->d.start;
    int64_t into = 0;

    *t = (Task) { .active = true, .id = ++d->last_id };
    t->req.niov = 1 + draw(d, 3);
    t->req.bytes = (1 + draw(d, chance(d, 10) ? 30 : 5)) * BLOCK;
    t->req.offset = z->d.start;
    switch (draw(d, 8)) {
    case 0:
        t->req.kind = ZONE_QUEUE_OPERATION;
        t->req.bytes = chance(d, 4)
                       ? (1 + draw(d, d->nr_zones)) * d->limits.zone_size
                       : d->limits.zone_size;
        t->req.bytes = MIN(t->req.bytes, max);
        break;
    case 1:
    case 2:
    case 3:
        t->req.kind = ZONE_QUEUE_APPEND;
        if (chance(d, 20)) {
            t->req.bytes -= 512;
        }
        break;
    default:
        t->req.kind = ZONE_QUEUE_WRITE;
        if (z->d.wp >= 0 && z->d.wp - z->d.start < z->d.length) {
            into = z->d.wp - z->d.start;
        }
        /* Near the write pointer, or anywhere */
        into += draw(d, 4) * BLOCK;
        if (chance(d, 5) || into >= z->d.length) {
            into = draw(d, z->d.length / BLOCK) * BLOCK;
        }
        if (z->d.type == BLK_ZT_SWR && chance(d, 20)) {
            into += 512;
        }
        t->req.offset += into;
        t->req.bytes = MIN(t->req.bytes, max - into);
    }
    t->offset = t->req.offset;
    take_step(d, t, zone_queue_add(d->q, &t->req));
}

static void carry_on_read(Driver *d, Task *t)
{
    DiskZone *z = &d->zones[zone_of(d, t->req.step_offset)];
    ZoneQueueRequest *part = NULL;

    check(t->req.step_offset == z->d.start, "%u reads no zone", t->id);
    if (!t->has_snapshot) {
        t->has_snapshot = true;
        t->was_read = true;
        t->zone = z->d;
        t->read_at = ++d->now;
        t->read_ret = chance(d, 30) ? (chance(d, 2) ? -ENXIO : -EIO) : 0;
        return;
    }
    if (t->read_ret == 0 && t->read_at > z->known) {
        z->known = t->read_at;
    }
    while (t->head && (part = zone_queue_next_part(&t->req, part))) {
        Task *p = container_of(part, Task, req);

        p->zone = t->zone;
        p->read_ret = t->read_ret;
    }
    take_step(d, t, zone_queue_read(d->q, &t->req, t->read_ret, &t->zone));
}

/* Returns: how the transfer of @t ends, after as much data as that allows */
static int transfer(Driver *d, Task *t)
{
    static const int errors[] = { -EIO, -ENXIO, -ETOOMANYREFS, -ENOSPC };
    ZoneQueueRequest *part = NULL;
    bool fail = chance(d, 10);
    int64_t left = fail ? draw(d, t->req.step_bytes / BLOCK) : INT64_MAX;
    int64_t i;

    while ((part = zone_queue_next_part(&t->req, part))) {
        Task *p = container_of(part, Task, req);

        for (i = 0; i < part->bytes / BLOCK; i++) {
            if (left-- == 0) {
                return errors[draw(d, ARRAY_SIZE(errors))];
            }
            if (!write_block(d, p->transfer_offset + i * BLOCK, p->id)) {
                return -EIO;
            }
        }
    }
    return 0;
}

static void carry_on_transfer(Driver *d, Task *t)
{
    ZoneQueueRequest *part = NULL;
    int ret = transfer(d, t);

    ++d->now;
    if (ret < 0 && !t->passed) {
        d->zones[first_zone(d, t)].forgotten = d->now;
    }
    while ((part = zone_queue_next_part(&t->req, part))) {
        Task *p = container_of(part, Task, req);

        p->transferred = true;
        p->transfer_ret = ret;
        p->resets = d->zones[first_zone(d, t)].resets;
    }
    take_step(d, t, zone_queue_transferred(d->q, &t->req, ret));
}

static void operate(Driver *d, Task *t)
{
    bool full = chance(d, 3);
    uint32_t i;

    t->transfer_ret = chance(d, 10) ? -EPERM : 0;
    t->read_at = ++d->now;
    for (i = first_zone(d, t); i <= last_zone(d, t); i++) {
        DiskZone *z = &d->zones[i];

        if (t->transfer_ret == 0 && !random_type(z) && usable(z)) {
            set_wp(z, full ? z->d.start + z->d.cap : z->d.start);
            z->resets++;
        }
        t->zones[i] = z->d;
    }
}

static void carry_on_operate(Driver *d, Task *t)
{
    uint32_t i;

    if (!t->has_snapshot) {
        t->has_snapshot = true;
        operate(d, t);
        return;
    }
    for (i = first_zone(d, t); i <= last_zone(d, t); i++) {
        DiskZone *z = &d->zones[i];

        if (chance(d, 8)) {
            zone_queue_forget(d->q, z->d.start, z->d.length);
            z->forgotten = ++d->now;
        } else {
            zone_queue_set_zone(d->q, &t->req, &t->zones[i]);
            z->known = MAX(z->known, t->read_at);
        }
    }
    take_step(d, t, zone_queue_operated(d->q, &t->req, t->transfer_ret));
}

static void carry_on(Driver *d, Task *t)
{
    if (!t->active) {
        return;
    }
    switch (t->step) {
    case ZONE_QUEUE_WAIT:
        if (t->woken) {
            take_step(d, t, zone_queue_resume(d->q, &t->req));
            check(t->step != ZONE_QUEUE_WAIT, "%u woken too early", t->id);
        } else if (chance(d, 4)) {
            check(zone_queue_resume(d->q, &t->req) == ZONE_QUEUE_WAIT,
                  "%u can go on without being woken", t->id);
        }
        break;
    case ZONE_QUEUE_READ:
        carry_on_read(d, t);
        break;
    case ZONE_QUEUE_TRANSFER:
        carry_on_transfer(d, t);
        break;
    case ZONE_QUEUE_OPERATE:
        carry_on_operate(d, t);
        break;
    case ZONE_QUEUE_DONE:
        break;
    }
}

static void wake(void *opaque, ZoneQueueRequest *req)
{
    Task *t = container_of(req, Task, req);

    check(t->active && t->step == ZONE_QUEUE_WAIT && !t->woken,
          "%u is woken without need", t->id);
    t->woken = true;
}

static void event(Driver *d)
{
    Task *t = &d->tasks[draw(d, MAX_TASKS)];

    if (chance(d, 60)) {
        meddle(d);
    } else if (chance(d, 60)) {
        forget(d);
    } else if (t->active) {
        carry_on(d, t);
    } else {
        add(d, t);
    }
    check_waiting(d);
}

static bool all_done(const Driver *d)
{
    int i;

    for (i = 0; i < MAX_TASKS; i++) {
        if (d->tasks[i].active) {
            return false;
        }
    }
    return true;
}

void zone_queue_driver_run(ZoneQueueDraw *draw_fn, void *opaque,
                           unsigned int nr_steps)
{
    Driver *d = g_new0(Driver, 1);
    int i, round;

    d->draw = draw_fn;
    d->opaque = opaque;
    make_disk(d);
    d->q = zone_queue_new(&d->limits, wake, d);
    check(d->q, "no memory");

    while (nr_steps--) {
        event(d);
    }
    for (round = 0; !all_done(d); round++) {
        check(round < MAX_ROUNDS, "requests are stuck");
        for (i = 0; i < MAX_TASKS; i++) {
            carry_on(d, &d->tasks[i]);
        }
    }

    zone_queue_free(d->q);
    g_free(d);
}
