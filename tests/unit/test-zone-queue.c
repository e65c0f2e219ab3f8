/*
 * Zone queue tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ZONE_QUEUE_SEED sets the seed of the random events and ZONE_QUEUE_EVENTS
 * their number.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "block/zone-queue.h"
#include "zone-queue-driver.h"
#include "zoned-random.h"

#define RANDOM_EVENTS 2000000
#define EVENTS_A_DISK 2000

/* Sizes of the disk that most tests use: no power of two, a short capacity */
#define BLOCK 4096
#define ZONE_SIZE (96 * KiB)
#define CAPACITY (64 * KiB)
#define NR_ZONES 8
#define START(zone) ((int64_t)(zone) * ZONE_SIZE)

#define MAX_WOKEN 64

typedef struct Fixture {
    ZoneQueue *q;
    ZoneQueueRequest *woken[MAX_WOKEN];     /* the oldest first */
    int nr_woken;
} Fixture;

static void wake(void *opaque, ZoneQueueRequest *req)
{
    Fixture *f = opaque;

    g_assert_cmpint(f->nr_woken, <, MAX_WOKEN);
    f->woken[f->nr_woken++] = req;
}

static void set_up_with(Fixture *f, ZoneQueueLimits limits)
{
    *f = (Fixture) { 0 };
    f->q = zone_queue_new(&limits, wake, f);
    g_assert_nonnull(f->q);
}

static const ZoneQueueLimits usual = {
    .length = START(NR_ZONES),
    .zone_size = ZONE_SIZE,
    .write_granularity = BLOCK,
};

static void set_up(Fixture *f)
{
    set_up_with(f, usual);
}

static void tear_down(Fixture *f)
{
    g_assert_cmpint(f->nr_woken, ==, 0);
    zone_queue_free(f->q);
}

static ZoneQueueRequest request(ZoneQueueKind kind, int64_t offset,
                                int64_t bytes)
{
    return (ZoneQueueRequest) {
        .kind = kind, .offset = offset, .bytes = bytes, .niov = 1, .ret = 1,
    };
}

static ZoneQueueRequest write_at(int64_t offset, int64_t bytes)
{
    return request(ZONE_QUEUE_WRITE, offset, bytes);
}

static ZoneQueueRequest append_to(int zone, int64_t bytes)
{
    return request(ZONE_QUEUE_APPEND, START(zone), bytes);
}

static ZoneQueueRequest operation(int first, int last)
{
    return request(ZONE_QUEUE_OPERATION, START(first), START(last - first + 1));
}

/* A zone with @state; @into is where its write pointer is, if it has one */
static BlockZoneDescriptor zone_in(int i, BlockZoneType type,
                                   BlockZoneState state, int64_t into)
{
    return (BlockZoneDescriptor) {
        .start = START(i),
        .length = ZONE_SIZE,
        .cap = type == BLK_ZT_SWR ? CAPACITY : ZONE_SIZE,
        .wp = into < 0 ? -1 : START(i) + into,
        .type = type,
        .state = state,
    };
}

/* A sequential zone with the write pointer at @into */
static BlockZoneDescriptor zone(int i, int64_t into)
{
    return into == 0 ? zone_in(i, BLK_ZT_SWR, BLK_ZS_EMPTY, 0)
           : into == CAPACITY ? zone_in(i, BLK_ZT_SWR, BLK_ZS_FULL, ZONE_SIZE)
           : zone_in(i, BLK_ZT_SWR, BLK_ZS_IOPEN, into);
}

static BlockZoneDescriptor conventional(int i)
{
    return zone_in(i, BLK_ZT_CONV, BLK_ZS_NOT_WP, -1);
}

static void know(Fixture *f, BlockZoneDescriptor d)
{
    zone_queue_set_zone(f->q, NULL, &d);
}

static void know_all_empty(Fixture *f)
{
    for (int i = 0; i < NR_ZONES; i++) {
        know(f, zone(i, 0));
    }
}

static void assert_add(Fixture *f, ZoneQueueRequest *req, ZoneQueueStep step)
{
    g_assert_cmpint(zone_queue_add(f->q, req), ==, step);
}

static void assert_transfer(const ZoneQueueRequest *req, int64_t offset,
                            int64_t bytes, uint32_t parts)
{
    g_assert_cmpint(req->step_offset, ==, offset);
    g_assert_cmpint(req->step_bytes, ==, bytes);
    g_assert_cmpuint(req->step_parts, ==, parts);
}

static void add_transfer(Fixture *f, ZoneQueueRequest *req, int64_t offset)
{
    assert_add(f, req, ZONE_QUEUE_TRANSFER);
    assert_transfer(req, offset, req->bytes, 1);
}

static ZoneQueueStep tell(Fixture *f, ZoneQueueRequest *req,
                          BlockZoneDescriptor d)
{
    g_assert_cmpint(req->step_offset, ==, d.start);
    return zone_queue_read(f->q, req, 0, &d);
}

/* The oldest of those that were woken is @req, and goes on with @step */
static void assert_woken(Fixture *f, ZoneQueueRequest *req, ZoneQueueStep step)
{
    g_assert_cmpint(f->nr_woken, >, 0);
    g_assert_true(f->woken[0] == req);
    f->nr_woken--;
    memmove(f->woken, f->woken + 1, f->nr_woken * sizeof(f->woken[0]));
    g_assert_cmpint(zone_queue_resume(f->q, req), ==, step);
}

static void assert_result(const ZoneQueueRequest *req, int ret, int64_t offset)
{
    g_assert_cmpint(req->ret, ==, ret);
    g_assert_cmpint(req->offset, ==, offset);
}

static void transferred(Fixture *f, ZoneQueueRequest *req, int64_t offset)
{
    g_assert_cmpint(zone_queue_transferred(f->q, req, 0), ==,
                    ZONE_QUEUE_DONE);
    assert_result(req, 0, offset);
}

static void fail(Fixture *f, ZoneQueueRequest *req, int ret)
{
    g_assert_cmpint(zone_queue_transferred(f->q, req, ret), ==,
                    ZONE_QUEUE_READ);
}

static void operated(Fixture *f, ZoneQueueRequest *req)
{
    g_assert_cmpint(zone_queue_operated(f->q, req, 0), ==, ZONE_QUEUE_DONE);
    g_assert_cmpint(req->ret, ==, 0);
}

/*
 * Decisions
 */

/* What the zone can be that a request is for */
static const struct {
    BlockZoneType type;
    BlockZoneState state;
    int64_t into;
} states[] = {
    { BLK_ZT_SWR, BLK_ZS_EMPTY, 0 },
    { BLK_ZT_SWR, BLK_ZS_IOPEN, 2 * BLOCK },
    { BLK_ZT_SWR, BLK_ZS_EOPEN, 2 * BLOCK },
    { BLK_ZT_SWR, BLK_ZS_CLOSED, 3 * BLOCK },
    { BLK_ZT_SWR, BLK_ZS_IOPEN, CAPACITY - BLOCK },
    { BLK_ZT_SWR, BLK_ZS_FULL, ZONE_SIZE },
    { BLK_ZT_SWR, BLK_ZS_RDONLY, -1 },
    { BLK_ZT_SWR, BLK_ZS_OFFLINE, -1 },
    { BLK_ZT_CONV, BLK_ZS_NOT_WP, -1 },
    { BLK_ZT_CONV, BLK_ZS_RDONLY, -1 },
    { BLK_ZT_CONV, BLK_ZS_OFFLINE, -1 },
    { BLK_ZT_SWP, BLK_ZS_EMPTY, 0 },
    { BLK_ZT_SWP, BLK_ZS_CLOSED, 2 * BLOCK },
    { BLK_ZT_SWP, BLK_ZS_FULL, ZONE_SIZE },
    { BLK_ZT_SWP, BLK_ZS_OFFLINE, -1 },
};
#define NR_STATES ARRAY_SIZE(states)

/* The requests, and what each of @states has for them: an errno or 0 */
static const struct {
    ZoneQueueKind kind;
    int64_t into, bytes;
    int expected[NR_STATES];
} decisions[] = {
#define OFF (-ENXIO)
#define RO (-EROFS)
#define INV (-EINVAL)
    /*                        empty    2       2       3       end     full */
    { ZONE_QUEUE_WRITE, 0, BLOCK,
      { 0, -ESPIPE, -ESPIPE, -ESPIPE, -ESPIPE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 0, CAPACITY,
      { 0, -ESPIPE, -ESPIPE, -ESPIPE, -ESPIPE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 0, CAPACITY + BLOCK,
      { -ERANGE, -ERANGE, -ERANGE, -ERANGE, -ERANGE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 2 * BLOCK, BLOCK,
      { -ESPIPE, 0, 0, -ESPIPE, -ESPIPE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 2 * BLOCK, CAPACITY - BLOCK,
      { -ERANGE, -ERANGE, -ERANGE, -ERANGE, -ERANGE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 3 * BLOCK, BLOCK,
      { -ESPIPE, -ESPIPE, -ESPIPE, 0, -ESPIPE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, CAPACITY - BLOCK, BLOCK,
      { -ESPIPE, -ESPIPE, -ESPIPE, -ESPIPE, 0, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, CAPACITY, BLOCK,
      { -ERANGE, -ERANGE, -ERANGE, -ERANGE, -ERANGE, -EFBIG, RO, OFF,
        0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 2 * BLOCK, 512,
      { INV, INV, INV, INV, INV, INV, INV, INV, 0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_WRITE, 2 * BLOCK + 512, BLOCK,
      { INV, INV, INV, INV, INV, INV, INV, INV, 0, RO, OFF, 0, 0, 0, OFF } },
    { ZONE_QUEUE_APPEND, 0, BLOCK,
      { 0, 0, 0, 0, 0, -EFBIG, RO, OFF, INV, INV, INV, INV, INV, INV, INV } },
    { ZONE_QUEUE_APPEND, 0, 2 * BLOCK,
      { 0, 0, 0, 0, -ERANGE, -EFBIG, RO, OFF,
        INV, INV, INV, INV, INV, INV, INV } },
    { ZONE_QUEUE_APPEND, 0, CAPACITY,
      { 0, -ERANGE, -ERANGE, -ERANGE, -ERANGE, -EFBIG, RO, OFF,
        INV, INV, INV, INV, INV, INV, INV } },
    { ZONE_QUEUE_APPEND, 0, INT64_MAX & -BLOCK,
      { -ERANGE, -ERANGE, -ERANGE, -ERANGE, -ERANGE, -EFBIG, RO, OFF,
        INV, INV, INV, INV, INV, INV, INV } },
    { ZONE_QUEUE_APPEND, 0, BLOCK + 512,
      { INV, INV, INV, INV, INV, INV, INV, INV,
        INV, INV, INV, INV, INV, INV, INV } },
#undef OFF
#undef RO
#undef INV
};

static BlockZoneDescriptor zone_of_state(int i)
{
    return zone_in(1, states[i].type, states[i].state, states[i].into);
}

/* A request goes to the disk, in the zone as the queue knows it */
static void assert_admitted(Fixture *f, ZoneQueueRequest *req, int state)
{
    int64_t offset = req->kind == ZONE_QUEUE_APPEND
                     ? START(1) + states[state].into : req->offset;

    assert_transfer(req, offset, req->bytes, 1);
    transferred(f, req, offset);
}

static void decide(int row, int known, int actual)
{
    int64_t offset = START(1) + decisions[row].into;
    ZoneQueueRequest req = request(decisions[row].kind, offset,
                                   decisions[row].bytes);
    int expected = decisions[row].expected[actual];
    ZoneQueueStep step;
    Fixture f;

    set_up(&f);
    if (known >= 0) {
        know(&f, zone_of_state(known));
    }
    step = zone_queue_add(f.q, &req);
    if (known >= 0 && decisions[row].expected[known] == 0) {
        g_assert_cmpint(step, ==, ZONE_QUEUE_TRANSFER);
        assert_admitted(&f, &req, known);
    } else {
        /* Nothing is refused before the disk has been asked, once */
        g_assert_cmpint(step, ==, ZONE_QUEUE_READ);
        step = tell(&f, &req, zone_of_state(actual));
        if (expected == 0) {
            g_assert_cmpint(step, ==, ZONE_QUEUE_TRANSFER);
            assert_admitted(&f, &req, actual);
        } else {
            g_assert_cmpint(step, ==, ZONE_QUEUE_DONE);
            assert_result(&req, expected, offset);
        }
    }
    tear_down(&f);
}

/* Each request, for each state that is known, and each state on the disk */
static void test_decisions(void)
{
    for (int row = 0; row < ARRAY_SIZE(decisions); row++) {
        for (int known = -1; known < (int)NR_STATES; known++) {
            for (int actual = 0; actual < NR_STATES; actual++) {
                decide(row, known, actual);
            }
        }
    }
}

static void test_malformed(void)
{
    static const struct {
        ZoneQueueKind kind;
        int64_t offset, bytes;
    } rows[] = {
        { ZONE_QUEUE_WRITE, -BLOCK, BLOCK },
        { ZONE_QUEUE_WRITE, 0, -BLOCK },
        { ZONE_QUEUE_WRITE, START(NR_ZONES), BLOCK },
        { ZONE_QUEUE_WRITE, START(NR_ZONES) - BLOCK, 2 * BLOCK },
        { ZONE_QUEUE_WRITE, BLOCK, INT64_MAX },
        { ZONE_QUEUE_WRITE, INT64_MAX, 1 },
        { ZONE_QUEUE_APPEND, BLOCK, BLOCK },
        { ZONE_QUEUE_APPEND, BLOCK, 0 },
        { ZONE_QUEUE_APPEND, 0, -BLOCK },
        { ZONE_QUEUE_APPEND, -ZONE_SIZE, BLOCK },
        { ZONE_QUEUE_APPEND, START(NR_ZONES), BLOCK },
        { ZONE_QUEUE_APPEND, START(NR_ZONES), 0 },
        { ZONE_QUEUE_OPERATION, 0, 0 },
        { ZONE_QUEUE_OPERATION, 0, BLOCK },
        { ZONE_QUEUE_OPERATION, BLOCK, ZONE_SIZE },
        { ZONE_QUEUE_OPERATION, 0, -ZONE_SIZE },
        { ZONE_QUEUE_OPERATION, -ZONE_SIZE, ZONE_SIZE },
        { ZONE_QUEUE_OPERATION, START(1), START(NR_ZONES) },
        { ZONE_QUEUE_OPERATION, START(NR_ZONES), ZONE_SIZE },
        { ZONE_QUEUE_OPERATION, START(1), INT64_MAX },
        { 17, 0, BLOCK },
    };
    Fixture f;

    set_up(&f);
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        ZoneQueueRequest req = request(rows[i].kind, rows[i].offset,
                                       rows[i].bytes);

        assert_add(&f, &req, ZONE_QUEUE_DONE);
        assert_result(&req, -EINVAL, rows[i].offset);
    }
    tear_down(&f);
}

static void test_nothing_to_write(void)
{
    ZoneQueueRequest first = append_to(1, BLOCK);
    ZoneQueueRequest reqs[] = {
        write_at(START(1), 0), write_at(START(NR_ZONES), 0), append_to(1, 0),
    };
    Fixture f;

    set_up(&f);
    know(&f, zone(1, 0));
    add_transfer(&f, &first, START(1));
    for (int i = 0; i < ARRAY_SIZE(reqs); i++) {
        int64_t offset = reqs[i].offset;

        assert_add(&f, &reqs[i], ZONE_QUEUE_DONE);
        assert_result(&reqs[i], 0, offset);
    }
    transferred(&f, &first, START(1));
    tear_down(&f);
}

/* Of a zone that cannot be read, and of one that cannot be right */
static void test_read_fails(void)
{
    static const int errors[][2] = {
        { -EIO, -EIO }, { -ENOMEM, -ENOMEM }, { -ETIMEDOUT, -ETIMEDOUT },
        { -EINVAL, -EIO }, { -ENXIO, -EIO }, { -EPERM, -EIO },
    };
    BlockZoneDescriptor wrong[] = {
        zone(2, 0), zone(1, -BLOCK), zone(1, CAPACITY + BLOCK), zone(1, 0),
        zone(1, 0), zone(1, 0), zone(1, 0), zone(1, 0),
        zone_in(1, BLK_ZT_SWR, BLK_ZS_NOT_WP, -1),
    };
    Fixture f;

    wrong[3].cap = -1;
    wrong[4].cap = ZONE_SIZE + BLOCK;
    wrong[5].type = 0;
    wrong[6].type = 9;
    wrong[7].state = 9;

    set_up(&f);
    for (int i = 0; i < ARRAY_SIZE(errors); i++) {
        ZoneQueueRequest req = write_at(START(1), BLOCK);

        assert_add(&f, &req, ZONE_QUEUE_READ);
        g_assert_cmpint(zone_queue_read(f.q, &req, errors[i][0], NULL), ==,
                        ZONE_QUEUE_DONE);
        assert_result(&req, errors[i][1], START(1));
    }
    for (int i = 0; i < ARRAY_SIZE(wrong); i++) {
        ZoneQueueRequest req = append_to(1, BLOCK);

        assert_add(&f, &req, ZONE_QUEUE_READ);
        g_assert_cmpint(zone_queue_read(f.q, &req, 0, &wrong[i]), ==,
                        ZONE_QUEUE_DONE);
        assert_result(&req, -EIO, START(1));
    }
    tear_down(&f);
}

/* A zone is read once, and then not before something goes wrong */
static void test_read_once(void)
{
    ZoneQueueRequest req;
    Fixture f;

    set_up(&f);
    for (int i = 0; i < CAPACITY / BLOCK; i++) {
        int64_t offset = START(1) + i * BLOCK;

        req = i % 2 ? append_to(1, BLOCK) : write_at(offset, BLOCK);
        if (i == 0) {
            assert_add(&f, &req, ZONE_QUEUE_READ);
            g_assert_cmpint(tell(&f, &req, zone(1, 0)), ==,
                            ZONE_QUEUE_TRANSFER);
            assert_transfer(&req, offset, BLOCK, 1);
        } else {
            add_transfer(&f, &req, offset);
        }
        transferred(&f, &req, offset);
    }
    /* Now the zone is full */
    req = append_to(1, BLOCK);
    assert_add(&f, &req, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &req, zone(1, CAPACITY)), ==, ZONE_QUEUE_DONE);
    assert_result(&req, -EFBIG, START(1));
    tear_down(&f);
}

/*
 * Order
 */

/* Each waits for the one before: none continues another */
static void test_fifo(void)
{
    ZoneQueueRequest reqs[4];
    Fixture f;

    set_up(&f);
    know(&f, zone(1, 0));
    for (int i = 0; i < 4; i++) {
        reqs[i] = write_at(START(1), BLOCK);
        assert_add(&f, &reqs[i],
                   i ? ZONE_QUEUE_WAIT : ZONE_QUEUE_TRANSFER);
    }
    g_assert_cmpint(zone_queue_resume(f.q, &reqs[1]), ==, ZONE_QUEUE_WAIT);
    transferred(&f, &reqs[0], START(1));
    for (int i = 1; i < 4; i++) {
        g_assert_cmpint(f.nr_woken, ==, 1);
        assert_woken(&f, &reqs[i], ZONE_QUEUE_READ);
        g_assert_cmpint(tell(&f, &reqs[i], zone(1, BLOCK)), ==,
                        ZONE_QUEUE_DONE);
        assert_result(&reqs[i], -ESPIPE, START(1));
    }
    tear_down(&f);
}

/* A zone where nothing gets on holds up nobody else */
static void test_independent(void)
{
    ZoneQueueRequest stuck = append_to(1, BLOCK), behind = append_to(1, BLOCK);
    ZoneQueueRequest unread = append_to(2, BLOCK), op = operation(3, 3);
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    zone_queue_forget(f.q, START(2), 1);
    know(&f, conventional(7));
    add_transfer(&f, &stuck, START(1));
    assert_add(&f, &behind, ZONE_QUEUE_WAIT);
    assert_add(&f, &unread, ZONE_QUEUE_READ);
    assert_add(&f, &op, ZONE_QUEUE_OPERATE);
    for (int i = 0; i < NR_ZONES; i++) {
        ZoneQueueRequest req = write_at(START(i), BLOCK), one = operation(i, i);

        if (i >= 1 && i <= 3) {
            continue;
        }
        add_transfer(&f, &req, START(i));
        transferred(&f, &req, START(i));
        assert_add(&f, &one, ZONE_QUEUE_OPERATE);
        operated(&f, &one);
    }
    operated(&f, &op);
    g_assert_cmpint(zone_queue_read(f.q, &unread, -EIO, NULL), ==,
                    ZONE_QUEUE_DONE);
    transferred(&f, &stuck, START(1));
    assert_woken(&f, &behind, ZONE_QUEUE_TRANSFER);
    transferred(&f, &behind, START(1) + BLOCK);
    tear_down(&f);
}

/* Conventional and host-aware zones: anything anywhere, at once */
static void test_unordered(void)
{
    static const BlockZoneType types[] = { BLK_ZT_CONV, BLK_ZT_SWP };
    ZoneQueueRequest first, reqs[3];
    Fixture f;

    for (int t = 0; t < 2; t++) {
        BlockZoneState state = t ? BLK_ZS_EMPTY : BLK_ZS_NOT_WP;

        set_up(&f);
        first = write_at(START(2), BLOCK);
        assert_add(&f, &first, ZONE_QUEUE_READ);
        for (int i = 0; i < 3; i++) {
            reqs[i] = write_at(START(2) + BLOCK * i, 2 * BLOCK);
            assert_add(&f, &reqs[i], ZONE_QUEUE_WAIT);
        }
        g_assert_cmpint(tell(&f, &first, zone_in(2, types[t], state,
                                                 t ? 0 : -1)),
                        ==, ZONE_QUEUE_TRANSFER);
        assert_transfer(&first, START(2), BLOCK, 1);
        for (int i = 0; i < 3; i++) {
            /* All at once */
            assert_woken(&f, &reqs[i], ZONE_QUEUE_TRANSFER);
            assert_transfer(&reqs[i], reqs[i].offset, 2 * BLOCK, 1);
        }
        transferred(&f, &reqs[1], START(2) + BLOCK);
        transferred(&f, &reqs[0], START(2));
        transferred(&f, &first, START(2));
        transferred(&f, &reqs[2], START(2) + 2 * BLOCK);
        tear_down(&f);
    }
}

/* A write over several zones */
static void test_across_zones(void)
{
    ZoneQueueRequest req = write_at(START(1) + BLOCK, START(3));
    ZoneQueueRequest before = append_to(3, BLOCK), after = append_to(3, BLOCK);
    Fixture f;

    set_up(&f);
    /* All are unknown: each is read, once all of them are free */
    assert_add(&f, &before, ZONE_QUEUE_READ);
    assert_add(&f, &req, ZONE_QUEUE_WAIT);
    assert_add(&f, &after, ZONE_QUEUE_WAIT);
    g_assert_cmpint(tell(&f, &before, conventional(3)), ==, ZONE_QUEUE_DONE);
    g_assert_cmpint(before.ret, ==, -EINVAL);
    assert_woken(&f, &req, ZONE_QUEUE_READ);
    for (int i = 1; i < 4; i++) {
        g_assert_cmpint(tell(&f, &req, conventional(i)), ==,
                        ZONE_QUEUE_READ);
    }
    g_assert_cmpint(tell(&f, &req, conventional(4)), ==,
                    ZONE_QUEUE_TRANSFER);
    assert_transfer(&req, START(1) + BLOCK, START(3), 1);
    /* It holds up nobody any longer */
    assert_woken(&f, &after, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &after, conventional(3)), ==, ZONE_QUEUE_DONE);
    transferred(&f, &req, START(1) + BLOCK);

    /* Now they are known */
    req = write_at(START(2) - BLOCK, 2 * BLOCK);
    add_transfer(&f, &req, START(2) - BLOCK);
    transferred(&f, &req, START(2) - BLOCK);
    tear_down(&f);
}

static void test_across_zones_refused(void)
{
    static const struct {
        int state[2];           /* of both zones, indexes of @states */
        int expected;
    } rows[] = {
        { { 0, 0 }, -ERANGE }, { { 0, 8 }, -ERANGE }, { { 5, 8 }, -EFBIG },
        { { 6, 0 }, -EROFS }, { { 7, 0 }, -ENXIO }, { { 8, 0 }, -ERANGE },
        { { 8, 5 }, -ERANGE }, { { 8, 6 }, -ERANGE }, { { 8, 7 }, -ERANGE },
        { { 8, 9 }, -EROFS }, { { 8, 10 }, -ENXIO }, { { 9, 8 }, -EROFS },
        { { 10, 0 }, -ENXIO }, { { 11, 14 }, -ENXIO }, { { 12, 0 }, -ERANGE },
        { { 8, 8 }, 0 }, { { 8, 12 }, 0 }, { { 11, 13 }, 0 },
    };
    Fixture f;

    for (int row = 0; row < ARRAY_SIZE(rows); row++) {
        for (int known = 0; known < 4; known++) {
            ZoneQueueRequest req = write_at(START(2) - BLOCK, 2 * BLOCK);
            BlockZoneDescriptor d[2];
            ZoneQueueStep step;

            set_up(&f);
            for (int i = 0; i < 2; i++) {
                d[i] = zone_of_state(rows[row].state[i]);
                if (i == 1) {
                    d[i].start += ZONE_SIZE;
                    d[i].wp += d[i].wp >= 0 ? ZONE_SIZE : 0;
                }
                if (known & (1 << i)) {
                    know(&f, d[i]);
                }
            }
            step = zone_queue_add(f.q, &req);
            for (int i = 0; i < 2 && step == ZONE_QUEUE_READ; i++) {
                step = tell(&f, &req, d[i]);
            }
            if (rows[row].expected == 0) {
                g_assert_cmpint(step, ==, ZONE_QUEUE_TRANSFER);
                transferred(&f, &req, START(2) - BLOCK);
            } else {
                g_assert_cmpint(step, ==, ZONE_QUEUE_DONE);
                assert_result(&req, rows[row].expected, START(2) - BLOCK);
            }
            tear_down(&f);
        }
    }
}

/*
 * Joining
 */

/*
 * Behind a transfer under way, @n requests are added, whose writes are at
 * START(1) + @into, or are appends if that is -1.  @expected of them are to
 * be one transfer.
 */
static void join(ZoneQueueLimits limits, int64_t into, int n,
                 const int64_t writes[][2], const uint32_t *niov,
                 int expected)
{
    ZoneQueueRequest first = append_to(1, BLOCK), reqs[8], *part = NULL;
    int64_t offset = START(1) + into + BLOCK, bytes = 0;
    Fixture f;

    set_up_with(&f, limits);
    know(&f, zone(1, into));
    add_transfer(&f, &first, START(1) + into);
    for (int i = 0; i < n; i++) {
        reqs[i] = writes[i][0] < 0 ? append_to(1, writes[i][1])
                  : write_at(START(1) + writes[i][0], writes[i][1]);
        reqs[i].niov = niov ? niov[i] : 1;
        bytes += i < expected ? writes[i][1] : 0;
        assert_add(&f, &reqs[i], ZONE_QUEUE_WAIT);
    }
    transferred(&f, &first, START(1) + into);
    g_assert_cmpint(f.nr_woken, ==, 1);
    assert_woken(&f, &reqs[0], ZONE_QUEUE_TRANSFER);
    assert_transfer(&reqs[0], offset, bytes, expected);
    for (int i = 0; i < expected; i++) {
        part = zone_queue_next_part(&reqs[0], part);
        g_assert_true(part == &reqs[i]);
        g_assert_cmpint(f.nr_woken, ==, 0);
    }
    g_assert_null(zone_queue_next_part(&reqs[0], part));

    transferred(&f, &reqs[0], offset);
    offset += reqs[0].bytes;
    for (int i = 1; i < expected; i++) {
        assert_woken(&f, &reqs[i], ZONE_QUEUE_DONE);
        assert_result(&reqs[i], 0, offset);
        offset += reqs[i].bytes;
    }
    if (expected < n) {
        /* Served next, on its own: its zone is read, or it is written */
        ZoneQueueStep step;

        g_assert_true(f.woken[0] == &reqs[expected]);
        memmove(f.woken, f.woken + 1, --f.nr_woken * sizeof(f.woken[0]));
        step = zone_queue_resume(f.q, &reqs[expected]);
        g_assert_true(step == ZONE_QUEUE_READ || step == ZONE_QUEUE_TRANSFER);
        if (step == ZONE_QUEUE_TRANSFER) {
            fail(&f, &reqs[expected], -EIO);
        }
        g_assert_cmpint(zone_queue_read(f.q, &reqs[expected], -EIO, NULL), ==,
                        ZONE_QUEUE_DONE);
    }
    for (int i = expected + 1; i < n && f.nr_woken; i++) {
        ZoneQueueRequest *req = f.woken[0];

        memmove(f.woken, f.woken + 1, --f.nr_woken * sizeof(f.woken[0]));
        if (zone_queue_resume(f.q, req) == ZONE_QUEUE_READ) {
            zone_queue_read(f.q, req, -EIO, NULL);
        }
    }
    tear_down(&f);
}

static void test_join(void)
{
    static const int64_t appends[][2] = {
        { -1, BLOCK }, { -1, 2 * BLOCK }, { -1, BLOCK }, { -1, 4 * BLOCK },
    };
    static const int64_t mixed[][2] = {
        { BLOCK, BLOCK }, { -1, BLOCK }, { 3 * BLOCK, 2 * BLOCK },
        { -1, BLOCK }, { 6 * BLOCK, BLOCK },
    };
    static const int64_t gap[][2] = {
        { BLOCK, BLOCK }, { 2 * BLOCK, BLOCK }, { 4 * BLOCK, BLOCK },
        { 3 * BLOCK, BLOCK },
    };
    static const int64_t twice[][2] = {
        { BLOCK, BLOCK }, { BLOCK, BLOCK }, { 2 * BLOCK, BLOCK },
    };
    static const int64_t misaligned[][2] = {
        { -1, BLOCK }, { -1, 512 }, { -1, BLOCK },
    };

    join(usual, 0, 4, appends, NULL, 4);
    join(usual, 0, 5, mixed, NULL, 5);
    join(usual, 0, 4, gap, NULL, 2);
    join(usual, 0, 3, twice, NULL, 1);
    join(usual, 0, 3, misaligned, NULL, 1);
}

static void test_join_limits(void)
{
    static const int64_t appends[][2] = {
        { -1, 2 * BLOCK }, { -1, 2 * BLOCK }, { -1, BLOCK }, { -1, BLOCK },
    };
    static const int64_t all[][2] = {
        { -1, BLOCK }, { -1, INT64_MAX & -BLOCK }, { -1, BLOCK },
    };
    static const uint32_t niov[] = { 3, 2, 0, 7 };
    static const uint32_t huge[] = { 1, UINT32_MAX, 1, 1 };
    static const struct {
        int64_t blocks;
        int expected;
    } transfers[] = {
        { 0, 4 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 2 }, { 5, 3 }, { 6, 4 },
        { 7, 4 },
    }, room[] = {
        { 7, 4 }, { 6, 3 }, { 5, 2 }, { 4, 1 }, { 3, 1 },
    }, iov[] = {
        { 0, 4 }, { 1, 1 }, { 3, 1 }, { 4, 1 }, { 5, 2 }, { 6, 3 }, { 12, 3 },
        { 13, 4 },
    };
    ZoneQueueLimits limits;

    for (int i = 0; i < ARRAY_SIZE(transfers); i++) {
        limits = usual;
        limits.max_transfer = transfers[i].blocks * BLOCK;
        join(limits, 0, 4, appends, NULL, transfers[i].expected);
    }
    for (int i = 0; i < ARRAY_SIZE(iov); i++) {
        limits = usual;
        limits.max_iov = iov[i].blocks;
        join(limits, 0, 4, appends, niov, iov[i].expected);
    }
    for (int i = 0; i < ARRAY_SIZE(room); i++) {
        join(usual, CAPACITY - room[i].blocks * BLOCK, 4, appends, NULL,
             room[i].expected);
    }
    join(usual, 0, 3, all, NULL, 1);
    join(usual, 0, 4, appends, huge, 1);
}

/* What comes while a transfer is under way is no part of it */
static void test_join_late(void)
{
    ZoneQueueRequest first = append_to(1, BLOCK), late = append_to(1, BLOCK);
    Fixture f;

    set_up(&f);
    assert_add(&f, &first, ZONE_QUEUE_READ);
    assert_add(&f, &late, ZONE_QUEUE_WAIT);
    g_assert_cmpint(tell(&f, &first, zone(1, 0)), ==, ZONE_QUEUE_TRANSFER);
    /* That was not under way yet */
    assert_transfer(&first, START(1), 2 * BLOCK, 2);
    {
        ZoneQueueRequest later = append_to(1, BLOCK);

        assert_add(&f, &later, ZONE_QUEUE_WAIT);
        assert_transfer(&first, START(1), 2 * BLOCK, 2);
        transferred(&f, &first, START(1));
        assert_woken(&f, &late, ZONE_QUEUE_DONE);
        assert_result(&late, 0, START(1) + BLOCK);
        assert_woken(&f, &later, ZONE_QUEUE_TRANSFER);
        transferred(&f, &later, START(1) + 2 * BLOCK);
    }
    tear_down(&f);
}

/*
 * Failures
 */

static void test_failures(void)
{
    /*
     * A transfer of two blocks at block 2 has failed, and this is the zone
     * afterwards: what a write and an append in it end with
     */
    static const struct {
        int ret;
        BlockZoneState state;
        int64_t into;
        int write, append;
    } rows[] = {
        { -EIO, BLK_ZS_IOPEN, 2 * BLOCK, -EIO, -EIO },
        { -EIO, BLK_ZS_IOPEN, 3 * BLOCK, -EIO, -EIO },
        { -EIO, BLK_ZS_CLOSED, 4 * BLOCK, -EIO, -EIO },
        { -ENOSPC, BLK_ZS_IOPEN, 2 * BLOCK, -ENOSPC, -ENOSPC },
        { -ENXIO, BLK_ZS_IOPEN, 2 * BLOCK, -EIO, -EIO },
        { -EINVAL, BLK_ZS_IOPEN, 2 * BLOCK, -EIO, -EIO },
        { -EROFS, BLK_ZS_IOPEN, 2 * BLOCK, -EIO, -EIO },
        { -EIO, BLK_ZS_EMPTY, 0, -ESPIPE, -EIO },
        { -EIO, BLK_ZS_IOPEN, BLOCK, -ESPIPE, -EIO },
        { -EIO, BLK_ZS_EOPEN, 5 * BLOCK, -ESPIPE, -EIO },
        { -EIO, BLK_ZS_FULL, ZONE_SIZE, -EFBIG, -EFBIG },
        { -EIO, BLK_ZS_RDONLY, -1, -EROFS, -EROFS },
        { -EIO, BLK_ZS_OFFLINE, -1, -ENXIO, -ENXIO },
        { -ETOOMANYREFS, BLK_ZS_CLOSED, 2 * BLOCK, -ETOOMANYREFS,
          -ETOOMANYREFS },
        { -EOVERFLOW, BLK_ZS_IOPEN, 5 * BLOCK, -EOVERFLOW, -EOVERFLOW },
    };
    ZoneQueueRequest reqs[4];
    Fixture f;

    for (int i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        /* Once with a zone that cannot be read */
        bool unread = i % 2;
        int ret = rows[i / 2].ret, write = rows[i / 2].write;
        int append = rows[i / 2].append;

        if (unread) {
            write = ret == -ENXIO || ret == -EINVAL || ret == -EROFS
                    ? -EIO : ret;
            append = write;
        }

        set_up(&f);
        reqs[0] = write_at(START(1) + 2 * BLOCK, BLOCK);
        reqs[1] = append_to(1, BLOCK);
        /* Behind the transfer */
        reqs[2] = append_to(1, 3 * BLOCK);
        assert_add(&f, &reqs[0], ZONE_QUEUE_READ);
        assert_add(&f, &reqs[1], ZONE_QUEUE_WAIT);
        g_assert_cmpint(tell(&f, &reqs[0], zone(1, 2 * BLOCK)), ==,
                        ZONE_QUEUE_TRANSFER);
        assert_transfer(&reqs[0], START(1) + 2 * BLOCK, 2 * BLOCK, 2);
        assert_add(&f, &reqs[2], ZONE_QUEUE_WAIT);

        fail(&f, &reqs[0], ret);
        /* Nobody knows anything before the zone is read */
        g_assert_cmpint(f.nr_woken, ==, 0);
        if (unread) {
            g_assert_cmpint(zone_queue_read(f.q, &reqs[0], -EIO, NULL), ==,
                            ZONE_QUEUE_DONE);
        } else {
            g_assert_cmpint(tell(&f, &reqs[0],
                                 zone_in(1, BLK_ZT_SWR, rows[i / 2].state,
                                         rows[i / 2].into)),
                            ==, ZONE_QUEUE_DONE);
        }
        assert_result(&reqs[0], write, START(1) + 2 * BLOCK);

        assert_woken(&f, &reqs[1], ZONE_QUEUE_DONE);
        assert_result(&reqs[1], append, START(1));

        /* Those behind see the zone as it is */
        if (unread || rows[i / 2].into < 0 ||
            rows[i / 2].state == BLK_ZS_FULL) {
            assert_woken(&f, &reqs[2], ZONE_QUEUE_READ);
            zone_queue_read(f.q, &reqs[2], -EIO, NULL);
        } else {
            assert_woken(&f, &reqs[2], ZONE_QUEUE_TRANSFER);
            assert_transfer(&reqs[2], START(1) + rows[i / 2].into, 3 * BLOCK,
                            1);
            transferred(&f, &reqs[2], START(1) + rows[i / 2].into);
        }
        tear_down(&f);
    }
}

/* A write that continued what has failed is not at the write pointer now */
static void test_failure_write_behind(void)
{
    ZoneQueueRequest first = write_at(START(1), BLOCK);
    ZoneQueueRequest next = write_at(START(1) + BLOCK, BLOCK);
    ZoneQueueRequest last = append_to(1, BLOCK);
    Fixture f;

    set_up(&f);
    know(&f, zone(1, 0));
    add_transfer(&f, &first, START(1));
    assert_add(&f, &next, ZONE_QUEUE_WAIT);
    assert_add(&f, &last, ZONE_QUEUE_WAIT);
    fail(&f, &first, -EIO);
    g_assert_cmpint(tell(&f, &first, zone(1, 0)), ==, ZONE_QUEUE_DONE);
    assert_result(&first, -EIO, START(1));
    assert_woken(&f, &next, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &next, zone(1, 0)), ==, ZONE_QUEUE_DONE);
    assert_result(&next, -ESPIPE, START(1) + BLOCK);
    assert_woken(&f, &last, ZONE_QUEUE_TRANSFER);
    transferred(&f, &last, START(1));
    tear_down(&f);
}

/* The last block of a zone has failed: full may well be what it did itself */
static void test_failure_at_end(void)
{
    ZoneQueueRequest req = append_to(1, BLOCK);
    Fixture f;

    set_up(&f);
    know(&f, zone(1, CAPACITY - BLOCK));
    add_transfer(&f, &req, START(1) + CAPACITY - BLOCK);
    fail(&f, &req, -EIO);
    g_assert_cmpint(tell(&f, &req, zone(1, CAPACITY)), ==, ZONE_QUEUE_DONE);
    assert_result(&req, -EIO, START(1));
    tear_down(&f);
}

static void test_failure_unordered(void)
{
    static const struct {
        int ret;
        BlockZoneState state[2];
        int expected;
    } rows[] = {
        { -EIO, { BLK_ZS_NOT_WP, BLK_ZS_NOT_WP }, -EIO },
        { -EINVAL, { BLK_ZS_NOT_WP, BLK_ZS_NOT_WP }, -EIO },
        { -EIO, { BLK_ZS_RDONLY, BLK_ZS_OFFLINE }, -EROFS },
        { -EIO, { BLK_ZS_NOT_WP, BLK_ZS_OFFLINE }, -ENXIO },
        { -EOVERFLOW, { BLK_ZS_NOT_WP, BLK_ZS_OFFLINE }, -EOVERFLOW },
    };
    Fixture f;

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        ZoneQueueRequest req = write_at(START(1), START(2));
        ZoneQueueRequest other = write_at(START(1), BLOCK);
        ZoneQueueStep step;
        int zones = 0;

        set_up(&f);
        know(&f, conventional(1));
        know(&f, conventional(2));
        add_transfer(&f, &req, START(1));
        fail(&f, &req, rows[i].ret);
        add_transfer(&f, &other, START(1));
        do {
            step = tell(&f, &req, zone_in(1 + zones, BLK_ZT_CONV,
                                          rows[i].state[zones], -1));
            zones++;
        } while (step == ZONE_QUEUE_READ && zones < 2);
        g_assert_cmpint(step, ==, ZONE_QUEUE_DONE);
        assert_result(&req, rows[i].expected, START(1));
        transferred(&f, &other, START(1));

        /* What is not as it was is read again */
        req = write_at(START(1), BLOCK);
        if (rows[i].state[0] == BLK_ZS_NOT_WP) {
            add_transfer(&f, &req, START(1));
            transferred(&f, &req, START(1));
        } else {
            assert_add(&f, &req, ZONE_QUEUE_READ);
            zone_queue_read(f.q, &req, -EIO, NULL);
        }
        tear_down(&f);
    }
}

/*
 * Operations
 */

/* Between requests to a zone, for one zone, a range, and all */
static void test_operation_order(void)
{
    static const int ranges[][2] = {
        { 2, 2 }, { 1, 3 }, { 2, 7 }, { 0, 2 }, { 0, NR_ZONES - 1 },
    };
    Fixture f;

    for (int i = 0; i < ARRAY_SIZE(ranges); i++) {
        ZoneQueueRequest before[2] = { append_to(2, BLOCK),
                                       append_to(2, BLOCK) };
        ZoneQueueRequest op = operation(ranges[i][0], ranges[i][1]);
        ZoneQueueRequest after[2] = { append_to(2, BLOCK),
                                      append_to(2, BLOCK) };
        BlockZoneDescriptor reset = zone(2, 0);

        set_up(&f);
        know_all_empty(&f);
        add_transfer(&f, &before[0], START(2));
        assert_add(&f, &before[1], ZONE_QUEUE_WAIT);
        assert_add(&f, &op, ZONE_QUEUE_WAIT);
        assert_add(&f, &after[0], ZONE_QUEUE_WAIT);
        assert_add(&f, &after[1], ZONE_QUEUE_WAIT);

        transferred(&f, &before[0], START(2));
        assert_woken(&f, &before[1], ZONE_QUEUE_TRANSFER);
        /* Never joined across the operation */
        assert_transfer(&before[1], START(2) + BLOCK, BLOCK, 1);
        g_assert_cmpint(f.nr_woken, ==, 0);
        transferred(&f, &before[1], START(2) + BLOCK);

        g_assert_cmpint(f.nr_woken, ==, 1);
        assert_woken(&f, &op, ZONE_QUEUE_OPERATE);
        zone_queue_set_zone(f.q, &op, &reset);
        g_assert_cmpint(f.nr_woken, ==, 0);
        operated(&f, &op);

        g_assert_cmpint(f.nr_woken, ==, 1);
        assert_woken(&f, &after[0], ZONE_QUEUE_TRANSFER);
        assert_transfer(&after[0], START(2), 2 * BLOCK, 2);
        transferred(&f, &after[0], START(2));
        assert_woken(&f, &after[1], ZONE_QUEUE_DONE);
        assert_result(&after[1], 0, START(2) + BLOCK);
        tear_down(&f);
    }
}

/* An operation on many zones waits for each busy one, and for no other */
static void test_operation_on_all(void)
{
    ZoneQueueRequest reqs[NR_ZONES], later[NR_ZONES];
    ZoneQueueRequest op = operation(0, NR_ZONES - 1);
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    for (int i = 0; i < NR_ZONES; i += 2) {
        reqs[i] = append_to(i, BLOCK);
        add_transfer(&f, &reqs[i], START(i));
    }
    assert_add(&f, &op, ZONE_QUEUE_WAIT);
    for (int i = 0; i < NR_ZONES; i++) {
        later[i] = append_to(i, BLOCK);
        assert_add(&f, &later[i], ZONE_QUEUE_WAIT);
    }
    for (int i = 0; i < NR_ZONES; i += 2) {
        g_assert_cmpint(f.nr_woken, ==, 0);
        transferred(&f, &reqs[i], START(i));
    }
    assert_woken(&f, &op, ZONE_QUEUE_OPERATE);
    operated(&f, &op);
    g_assert_cmpint(f.nr_woken, ==, NR_ZONES);
    while (f.nr_woken) {
        ZoneQueueRequest *req = f.woken[0];
        int i = req->offset / ZONE_SIZE;

        assert_woken(&f, &later[i], ZONE_QUEUE_TRANSFER);
        transferred(&f, &later[i], START(i) + (i % 2 ? 0 : BLOCK));
    }
    tear_down(&f);
}

/* Overlapping operations take turns in the order in which they came */
static void test_operations_overlap(void)
{
    ZoneQueueRequest ops[] = {
        operation(0, 2), operation(2, 4), operation(4, 6), operation(0, 0),
        operation(0, NR_ZONES - 1), operation(6, 7),
    };
    ZoneQueueRequest req = append_to(7, BLOCK);
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    assert_add(&f, &ops[0], ZONE_QUEUE_OPERATE);
    assert_add(&f, &ops[1], ZONE_QUEUE_WAIT);
    assert_add(&f, &ops[2], ZONE_QUEUE_WAIT);
    assert_add(&f, &ops[3], ZONE_QUEUE_WAIT);
    assert_add(&f, &ops[4], ZONE_QUEUE_WAIT);
    assert_add(&f, &ops[5], ZONE_QUEUE_WAIT);
    assert_add(&f, &req, ZONE_QUEUE_WAIT);
    operated(&f, &ops[0]);
    g_assert_cmpint(f.nr_woken, ==, 2);
    assert_woken(&f, &ops[1], ZONE_QUEUE_OPERATE);
    assert_woken(&f, &ops[3], ZONE_QUEUE_OPERATE);
    operated(&f, &ops[3]);
    operated(&f, &ops[1]);
    assert_woken(&f, &ops[2], ZONE_QUEUE_OPERATE);
    operated(&f, &ops[2]);
    assert_woken(&f, &ops[4], ZONE_QUEUE_OPERATE);
    operated(&f, &ops[4]);
    assert_woken(&f, &ops[5], ZONE_QUEUE_OPERATE);
    operated(&f, &ops[5]);
    assert_woken(&f, &req, ZONE_QUEUE_TRANSFER);
    transferred(&f, &req, START(7));
    tear_down(&f);
}

/* Requests that keep coming do not hold up an operation, and vice versa */
static void test_no_starvation(void)
{
    ZoneQueueRequest a = append_to(1, BLOCK), b = append_to(2, BLOCK);
    ZoneQueueRequest op = operation(1, 2), more[8], op2 = operation(2, 2);
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    add_transfer(&f, &a, START(1));
    add_transfer(&f, &b, START(2));
    assert_add(&f, &op, ZONE_QUEUE_WAIT);
    transferred(&f, &a, START(1));
    for (int i = 0; i < 8; i++) {
        more[i] = append_to(1, BLOCK);
        assert_add(&f, &more[i], ZONE_QUEUE_WAIT);
    }
    assert_add(&f, &op2, ZONE_QUEUE_WAIT);
    transferred(&f, &b, START(2));
    assert_woken(&f, &op, ZONE_QUEUE_OPERATE);
    operated(&f, &op);
    g_assert_cmpint(f.nr_woken, ==, 2);
    assert_woken(&f, &op2, ZONE_QUEUE_OPERATE);
    assert_woken(&f, &more[0], ZONE_QUEUE_TRANSFER);
    assert_transfer(&more[0], START(1) + BLOCK, 8 * BLOCK, 8);
    operated(&f, &op2);
    transferred(&f, &more[0], START(1) + BLOCK);
    for (int i = 1; i < 8; i++) {
        assert_woken(&f, &more[i], ZONE_QUEUE_DONE);
    }
    tear_down(&f);
}

static void test_operation_result(void)
{
    static const int results[] = { 0, -EPERM, -EINVAL, -EIO, -EOVERFLOW };
    Fixture f;

    set_up(&f);
    for (int i = 0; i < ARRAY_SIZE(results); i++) {
        ZoneQueueRequest op = operation(1, 3);

        assert_add(&f, &op, ZONE_QUEUE_OPERATE);
        g_assert_cmpint(zone_queue_operated(f.q, &op, results[i]), ==,
                        ZONE_QUEUE_DONE);
        assert_result(&op, results[i], START(1));
    }
    tear_down(&f);
}

/*
 * What is known of the zones
 */

static void assert_unknown(Fixture *f, int i)
{
    ZoneQueueRequest req = append_to(i, BLOCK);

    assert_add(f, &req, ZONE_QUEUE_READ);
    zone_queue_read(f->q, &req, -EIO, NULL);
}

static void assert_known(Fixture *f, int i, int64_t into)
{
    ZoneQueueRequest req = append_to(i, BLOCK);

    add_transfer(f, &req, START(i) + into);
    transferred(f, &req, START(i) + into);
}

static void test_forget(void)
{
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    zone_queue_forget(f.q, -1, BLOCK);
    zone_queue_forget(f.q, 0, 0);
    zone_queue_forget(f.q, START(NR_ZONES), BLOCK);
    zone_queue_forget(f.q, START(2) - 1, ZONE_SIZE + 2);
    zone_queue_forget(f.q, START(7), INT64_MAX);
    for (int i = 0; i < NR_ZONES; i++) {
        if ((i >= 1 && i <= 3) || i == 7) {
            assert_unknown(&f, i);
        } else {
            assert_known(&f, i, 0);
        }
    }
    zone_queue_forget_all(f.q);
    for (int i = 0; i < NR_ZONES; i++) {
        assert_unknown(&f, i);
    }
    tear_down(&f);
}

static void test_forget_while_busy(void)
{
    ZoneQueueRequest read = append_to(1, BLOCK), again = append_to(2, BLOCK);
    ZoneQueueRequest write = append_to(3, BLOCK), failed = append_to(4, BLOCK);
    ZoneQueueRequest op = operation(5, 6);
    BlockZoneDescriptor d = zone(5, 0);
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    know(&f, zone(2, CAPACITY));
    zone_queue_forget(f.q, START(1), 1);

    assert_add(&f, &read, ZONE_QUEUE_READ);
    assert_add(&f, &again, ZONE_QUEUE_READ);
    add_transfer(&f, &write, START(3));
    add_transfer(&f, &failed, START(4));
    fail(&f, &failed, -EIO);
    assert_add(&f, &op, ZONE_QUEUE_OPERATE);
    zone_queue_forget_all(f.q);

    /* What was read before is of no use */
    g_assert_cmpint(tell(&f, &read, zone(1, 0)), ==, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &read, zone(1, BLOCK)), ==, ZONE_QUEUE_TRANSFER);
    transferred(&f, &read, START(1) + BLOCK);
    g_assert_cmpint(tell(&f, &again, zone(2, CAPACITY)), ==, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &again, zone(2, 0)), ==, ZONE_QUEUE_TRANSFER);
    transferred(&f, &again, START(2));
    transferred(&f, &write, START(3));
    g_assert_cmpint(tell(&f, &failed, zone(4, 0)), ==, ZONE_QUEUE_DONE);
    assert_result(&failed, -EIO, START(4));
    zone_queue_set_zone(f.q, &op, &d);
    operated(&f, &op);

    assert_known(&f, 1, 2 * BLOCK);
    assert_known(&f, 2, BLOCK);
    for (int i = 3; i < NR_ZONES; i++) {
        assert_unknown(&f, i);
    }
    tear_down(&f);
}

static void test_set_zone(void)
{
    ZoneQueueRequest op = operation(1, 3), other = append_to(4, BLOCK);
    BlockZoneDescriptor d, wrong = zone(2, 0);
    Fixture f;

    set_up(&f);
    know_all_empty(&f);
    add_transfer(&f, &other, START(4));
    assert_add(&f, &op, ZONE_QUEUE_OPERATE);
    d = zone(1, 2 * BLOCK);
    zone_queue_set_zone(f.q, &op, &d);
    wrong.cap = -1;
    zone_queue_set_zone(f.q, &op, &wrong);
    /* Not its own */
    d = zone(4, 5 * BLOCK);
    zone_queue_set_zone(f.q, &op, &d);
    /* Nobody knows when that was read */
    d = zone(5, 5 * BLOCK);
    zone_queue_set_zone(f.q, NULL, &d);
    d.start = START(NR_ZONES);
    zone_queue_set_zone(f.q, &op, &d);
    d.start = START(1) + BLOCK;
    zone_queue_set_zone(f.q, &op, &d);
    operated(&f, &op);
    transferred(&f, &other, START(4));
    /* The operation is over */
    d = zone(6, 5 * BLOCK);
    zone_queue_set_zone(f.q, &op, &d);

    assert_known(&f, 1, 2 * BLOCK);
    assert_unknown(&f, 2);
    assert_known(&f, 3, 0);
    assert_known(&f, 4, BLOCK);
    assert_known(&f, 5, 0);
    assert_known(&f, 6, 0);
    tear_down(&f);
}

/*
 * Geometry
 */

static void test_short_last_zone(void)
{
    int64_t start = START(NR_ZONES - 1), length = 5 * BLOCK;
    ZoneQueueLimits limits = usual;
    ZoneQueueRequest req = request(ZONE_QUEUE_OPERATION, start, length);
    BlockZoneDescriptor d = zone(NR_ZONES - 1, 0);
    Fixture f;

    limits.length = start + length;
    set_up_with(&f, limits);
    assert_add(&f, &req, ZONE_QUEUE_OPERATE);
    /* A capacity beyond the zone's end cannot be */
    zone_queue_set_zone(f.q, &req, &d);
    operated(&f, &req);
    assert_unknown(&f, NR_ZONES - 1);

    d.length = d.cap = length;
    know(&f, d);
    req = append_to(NR_ZONES - 1, length + BLOCK);
    assert_add(&f, &req, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &req, d), ==, ZONE_QUEUE_DONE);
    assert_result(&req, -ERANGE, start);
    req = append_to(NR_ZONES - 1, length);
    add_transfer(&f, &req, start);
    transferred(&f, &req, start);

    /* Whole zones are asked for up to the end of the disk, not beyond */
    req = operation(NR_ZONES - 1, NR_ZONES - 1);
    assert_add(&f, &req, ZONE_QUEUE_DONE);
    g_assert_cmpint(req.ret, ==, -EINVAL);
    req = request(ZONE_QUEUE_OPERATION, 0, start + length);
    assert_add(&f, &req, ZONE_QUEUE_OPERATE);
    operated(&f, &req);
    tear_down(&f);
}

/* Zones above 4 GiB whose size is not a power of two; at high offsets, too */
static void test_large_zones(void)
{
    int64_t size = 5 * GiB + BLOCK, start = 1000 * size;
    ZoneQueueLimits limits = {
        .length = 1001 * size, .zone_size = size, .write_granularity = BLOCK,
    };
    BlockZoneDescriptor d = {
        .start = start, .length = size, .cap = size, .wp = start + 5 * GiB,
        .type = BLK_ZT_SWR, .state = BLK_ZS_CLOSED,
    };
    ZoneQueueRequest req = request(ZONE_QUEUE_APPEND, start, BLOCK);
    Fixture f;

    set_up_with(&f, limits);
    assert_add(&f, &req, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &req, d), ==, ZONE_QUEUE_TRANSFER);
    assert_transfer(&req, start + 5 * GiB, BLOCK, 1);
    transferred(&f, &req, start + 5 * GiB);
    d.state = BLK_ZS_FULL;
    req = request(ZONE_QUEUE_APPEND, start, BLOCK);
    assert_add(&f, &req, ZONE_QUEUE_READ);
    g_assert_cmpint(tell(&f, &req, d), ==, ZONE_QUEUE_DONE);
    g_assert_cmpint(req.ret, ==, -EFBIG);
    req = request(ZONE_QUEUE_WRITE, start - BLOCK, BLOCK);
    assert_add(&f, &req, ZONE_QUEUE_READ);
    g_assert_cmpint(req.step_offset, ==, start - size);
    zone_queue_read(f.q, &req, -EIO, NULL);
    tear_down(&f);
}

/* Operations on a million zones, and more zones than can be */
static void test_many_zones(void)
{
    ZoneQueueLimits limits = {
        .length = (1 << 20) * ZONE_SIZE, .zone_size = ZONE_SIZE,
        .write_granularity = 512,
    };
    ZoneQueueRequest ops[32], req = append_to((1 << 20) - 1, BLOCK);
    Fixture f;

    set_up_with(&f, limits);
    assert_add(&f, &req, ZONE_QUEUE_READ);
    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        ops[i] = operation(0, (1 << 20) - 1);
        assert_add(&f, &ops[i], ZONE_QUEUE_WAIT);
    }
    zone_queue_read(f.q, &req, -EIO, NULL);
    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        assert_woken(&f, &ops[i], ZONE_QUEUE_OPERATE);
        operated(&f, &ops[i]);
    }
    tear_down(&f);

    limits.length = INT64_MAX;
    limits.zone_size = 512;
    g_assert_null(zone_queue_new(&limits, wake, NULL));
    zone_queue_free(NULL);
}

/*
 * Random events
 */

static uint32_t draw(void *opaque, uint32_t n)
{
    return zoned_draw(opaque, n);
}

static void test_random(void)
{
    uint64_t seed = zoned_number_from_env("ZONE_QUEUE_SEED",
                                    (uint64_t)g_random_int() << 32 |
                                    g_random_int());
    uint64_t events = zoned_number_from_env("ZONE_QUEUE_EVENTS", RANDOM_EVENTS);
    uint64_t x = seed ?: 1;

    g_test_message("ZONE_QUEUE_SEED=%" PRIu64, seed);
    for (uint64_t i = 0; i < events; i += EVENTS_A_DISK) {
        zone_queue_driver_run(draw, &x, MIN(events - i, EVENTS_A_DISK));
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*fn)(void);
    } tests[] = {
        { "decisions", test_decisions },
        { "malformed", test_malformed },
        { "nothing-to-write", test_nothing_to_write },
        { "read-fails", test_read_fails },
        { "read-once", test_read_once },
        { "fifo", test_fifo },
        { "independent", test_independent },
        { "unordered", test_unordered },
        { "across-zones", test_across_zones },
        { "across-zones-refused", test_across_zones_refused },
        { "join", test_join },
        { "join-limits", test_join_limits },
        { "join-late", test_join_late },
        { "failures", test_failures },
        { "failure-write-behind", test_failure_write_behind },
        { "failure-at-end", test_failure_at_end },
        { "failure-unordered", test_failure_unordered },
        { "operation-order", test_operation_order },
        { "operation-on-all", test_operation_on_all },
        { "operations-overlap", test_operations_overlap },
        { "no-starvation", test_no_starvation },
        { "operation-result", test_operation_result },
        { "forget", test_forget },
        { "forget-while-busy", test_forget_while_busy },
        { "set-zone", test_set_zone },
        { "short-last-zone", test_short_last_zone },
        { "large-zones", test_large_zones },
        { "many-zones", test_many_zones },
        { "random", test_random },
    };

    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/zone-queue/%s",
                                                tests[i].path);

        g_test_add_func(path, tests[i].fn);
    }
    return g_test_run();
}
