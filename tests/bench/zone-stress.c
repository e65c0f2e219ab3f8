/*
 * Random requests to a zoned node, many at a time, with everything checked
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * usage: zone-stress [-d DEPTH] [-t SECONDS] [-s SEED] [-i] NODE-OPTIONS
 *
 * NODE-OPTIONS are those of the tools' --image-opts.  What the disk held is
 * lost.  -i: the requests are sent and end in an iothread.
 *
 * What is asked of one zone has to be answered as if it were done one by one
 * in the order of submission.  So a model knows in advance what each request
 * must return, where each append must go, and what each block must hold in the
 * end.  No two requests write the same data.
 *
 * On a disk with limits on open or active zones, this is not so for requests
 * that can lack them: whether they do depends on what comes first in other
 * zones.  There a zone is used by one request at a time, or by several
 * appends, and a request that lacks a zone must have changed nothing.  Now and
 * then all others are held up, so that what must happen is known.  It goes on
 * until each limit was met.
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include "qapi/error.h"
#include "qapi/qmp/qdict.h"
#include "qemu/cutils.h"
#include "qemu/keyval.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "block/block.h"
#include "block/qdict.h"
#include "block/zoned-io.h"
#include "sysemu/block-backend.h"
#include "../unit/iothread.h"

/* The unit of the model, and of all requests but a few malformed ones */
#define BLOCK (4 * KiB)
#define MAX_BLOCKS 16
#define REPORT_ZONES 8

/* One request in this many is wrong on purpose */
#define WRONG_ONE_IN 16

/* With limits, one request in this many holds up all others */
#define ALONE_ONE_IN 100

/*
 * What a block holds is told by its tag, which is 0 as long as nothing is
 * written there.
 */
typedef struct Block {
    uint64_t tag;
    bool done;                  /* the request that writes it has ended */
} Block;

typedef struct Zone {
    int64_t start;
    int64_t length;
    int64_t cap;
    bool conventional;
    Block *blocks;

    /* As they are once all that was submitted is done */
    BlockZoneState state;
    int64_t written;            /* bytes up to the write pointer */

    unsigned resets;            /* submitted */
    unsigned mgmt_in_flight;
    int64_t done;               /* bytes up to where writes have ended */

    /* With limits: */
    CoRwlock lock;              /* shared by appends */
    int64_t appending;          /* bytes of appends that have not ended */
} Zone;

typedef struct Stress {
    BlockBackend *blk;
    GRand *rand;
    Zone *zones;
    uint32_t nr_zones;
    uint32_t max_blocks;        /* in a request */
    uint64_t next_id;
    int64_t deadline_ns;
    unsigned workers;           /* that run; accessed with atomic operations */

    BlockZoneLimits limits;
    bool limited;               /* in open or active zones */
    /* With limits: */
    CoRwlock alone;             /* shared by most requests */
    bool is_alone;              /* one has it for itself */
    BlockZoneDescriptor *all_zones;

    unsigned in_flight;
    unsigned max_in_flight;
    uint64_t writes;
    uint64_t appends;
    uint64_t reads;
    uint64_t mgmts;
    uint64_t reports;
    uint64_t refused;
    uint64_t lacks_open;        /* of those refused */
    uint64_t lacks_active;
} Stress;

typedef struct Worker {
    Stress *s;
    uint8_t *buf;
    uint8_t *scattered;
    Block seen[MAX_BLOCKS];
} Worker;

static const char *const op_names[] = {
    [BLK_ZO_OPEN] = "open",
    [BLK_ZO_CLOSE] = "close",
    [BLK_ZO_FINISH] = "finish",
    [BLK_ZO_RESET] = "reset",
};

static G_NORETURN void G_GNUC_PRINTF(1, 2) wrong(const char *fmt, ...)
{
    va_list ap;

    fputs("zone-stress: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static const char *result_str(int ret)
{
    return ret < 0 ? strerror(-ret) : "success";
}

static uint32_t below(Stress *s, uint32_t end)
{
    return g_rand_int_range(s->rand, 0, end);
}

static bool one_in(Stress *s, uint32_t n)
{
    return below(s, n) == 0;
}

static void begin(Stress *s)
{
    s->in_flight++;
    s->max_in_flight = MAX(s->max_in_flight, s->in_flight);
}

static void end(Stress *s, int ret)
{
    s->in_flight--;
    s->refused += ret < 0;
    s->lacks_open += ret == -ETOOMANYREFS;
    s->lacks_active += ret == -EOVERFLOW;
}

/* With limits: who may use a zone at the same time */

static void coroutine_fn lock_zone(Stress *s, Zone *z, bool shared)
{
    if (!s->limited) {
        return;
    }
    qemu_co_rwlock_rdlock(&s->alone);
    if (shared) {
        qemu_co_rwlock_rdlock(&z->lock);
    } else {
        qemu_co_rwlock_wrlock(&z->lock);
    }
}

static void coroutine_fn unlock_zone(Stress *s, Zone *z)
{
    if (s->limited) {
        qemu_co_rwlock_unlock(&z->lock);
        qemu_co_rwlock_unlock(&s->alone);
    }
}

/* With limits: which zones there are */
typedef struct Count {
    uint32_t open;              /* at most: the disk closes some by itself */
    uint32_t explicit;
    uint32_t active;
} Count;

static Count count_others(const Stress *s, const Zone *z)
{
    Count n = { 0 };
    uint32_t i;

    for (i = 0; i < s->nr_zones; i++) {
        const Zone *other = &s->zones[i];

        if (other != z) {
            n.explicit += other->state == BLK_ZS_EOPEN;
            n.open += other->state == BLK_ZS_EOPEN ||
                      other->state == BLK_ZS_IOPEN;
            n.active += zone_state_is_active(other->state);
        }
    }
    return n;
}

/* What a request that opens @z must end with, if nothing else is under way */
static int expect_lack(const Stress *s, const Zone *z)
{
    const BlockZoneLimits *l = &s->limits;
    Count n = count_others(s, z);

    if (l->max_active_zones && !zone_state_is_active(z->state) &&
        n.active >= l->max_active_zones) {
        return -EOVERFLOW;
    }
    if (l->max_open_zones && n.explicit >= l->max_open_zones) {
        return -ETOOMANYREFS;
    }
    return 0;
}

/*
 * With limits: a request that opens @z, which was to succeed if there is room
 * for one more zone, has ended with @ret.  Is this right?
 */
static bool lack_is_right(const Stress *s, const Zone *z, int ret)
{
    const BlockZoneLimits *l = &s->limits;
    bool is_open = z->state == BLK_ZS_EOPEN || z->state == BLK_ZS_IOPEN;

    if (s->is_alone && !z->conventional && !is_open) {
        int must = expect_lack(s, z);

        /* To reopen a zone, null_blk wants room for an active one, too */
        if (must < 0 || !l->max_open_zones ||
            count_others(s, z).open < l->max_open_zones) {
            return ret == must;
        }
    }
    switch (ret) {
    case 0:
        return true;
    case -ETOOMANYREFS:
        /* The disk may have closed a zone that is open implicitly */
        return l->max_open_zones && !z->conventional &&
               z->state != BLK_ZS_EOPEN;
    case -EOVERFLOW:
        return l->max_active_zones && !z->conventional &&
               !zone_state_is_active(z->state);
    }
    return false;
}

/* What blocks hold */

static void fill_block(uint8_t *buf, uint64_t tag)
{
    size_t i;

    for (i = 0; i < BLOCK; i += sizeof(tag)) {
        stq_le_p(buf + i, tag + i);
    }
}

static void check_block(const Zone *z, size_t i, uint64_t tag,
                        const uint8_t *buf)
{
    size_t j;

    for (j = 0; j < BLOCK; j += sizeof(tag)) {
        if (ldq_le_p(buf + j) != tag + j) {
            wrong("byte %" PRId64 " holds 0x%" PRIx64 " instead of 0x%" PRIx64,
                  z->start + (int64_t)(i * BLOCK + j), ldq_le_p(buf + j),
                  tag + j);
        }
    }
}

/* Make data that nobody else writes; returns the tag of its first block */
static uint64_t make_data(Worker *w, uint32_t nr_blocks)
{
    uint64_t tag = w->s->next_id * BLOCK;
    uint32_t i;

    w->s->next_id += nr_blocks;
    for (i = 0; i < nr_blocks; i++) {
        fill_block(w->buf + i * BLOCK, tag + i * BLOCK);
    }
    return tag;
}

static void claim_blocks(Zone *z, int64_t offset, uint32_t nr_blocks,
                         uint64_t tag)
{
    Block *b = &z->blocks[offset / BLOCK];
    uint32_t i;

    for (i = 0; i < nr_blocks; i++) {
        b[i] = (Block) { .tag = tag + i * BLOCK };
    }
}

/* Those that a reset has taken meanwhile are somebody else's */
static void blocks_done(Zone *z, int64_t offset, uint32_t nr_blocks,
                        uint64_t tag)
{
    Block *b = &z->blocks[offset / BLOCK];
    uint32_t i;

    for (i = 0; i < nr_blocks; i++) {
        if (b[i].tag == tag + i * BLOCK) {
            b[i].done = true;
        }
    }
}

/* They were not written after all */
static void unclaim_blocks(Zone *z, int64_t offset, uint32_t nr_blocks)
{
    memset(&z->blocks[offset / BLOCK], 0, nr_blocks * sizeof(Block));
}

/* The model: what a request must return */

static int expect_write(const Zone *z, int64_t offset, int64_t bytes)
{
    if (z->conventional) {
        return 0;
    }
    if (z->state == BLK_ZS_FULL) {
        return -EFBIG;
    }
    if (offset + bytes > z->cap) {
        return -ERANGE;
    }
    return offset == z->written ? 0 : -ESPIPE;
}

static int expect_append(const Zone *z, int64_t bytes)
{
    return z->conventional ? -EINVAL : expect_write(z, z->written, bytes);
}

/* The state that @op moves the zone to, or why it does not */
static int expect_op(const Zone *z, BlockZoneOp op)
{
    if (z->conventional) {
        return -EINVAL;
    }
    switch (op) {
    case BLK_ZO_OPEN:
        return z->state == BLK_ZS_FULL ? -EPERM : BLK_ZS_EOPEN;
    case BLK_ZO_CLOSE:
        if (!zone_state_is_active(z->state)) {
            return -EPERM;
        }
        return z->written ? BLK_ZS_CLOSED : BLK_ZS_EMPTY;
    case BLK_ZO_FINISH:
        return BLK_ZS_FULL;
    case BLK_ZO_RESET:
        return BLK_ZS_EMPTY;
    case BLK_ZO_OFFLINE:
    case BLK_ZO_CLOSE_ACTIVE:
        /* They are not sent: no zone is read-only, and this is no NVMe */
        break;
    }
    g_assert_not_reached();
}

/* Data was written up to z->written */
static void model_open(Zone *z)
{
    if (z->written == z->cap) {
        z->state = BLK_ZS_FULL;
    } else if (z->state != BLK_ZS_EOPEN) {
        z->state = BLK_ZS_IOPEN;
    }
}

static void model_write(Zone *z, int64_t bytes)
{
    if (z->conventional) {
        return;
    }
    z->written += bytes;
    model_open(z);
}

static void model_op(Zone *z, BlockZoneOp op)
{
    z->state = expect_op(z, op);
    if (op == BLK_ZO_RESET) {
        memset(z->blocks, 0, z->cap / BLOCK * sizeof(Block));
        z->written = 0;
        z->done = 0;
        z->resets++;
    }
}

/* Requests */

static void coroutine_fn do_read(Worker *w, Zone *z)
{
    Stress *s = w->s;
    QEMUIOVector qiov;
    uint32_t nr = 1 + below(s, s->max_blocks);
    uint32_t end_block = z->cap / BLOCK;
    uint32_t first, i;
    const Block *b;
    int ret;

    nr = MIN(nr, end_block);
    first = below(s, end_block - nr + 1);
    b = &z->blocks[first];
    memcpy(w->seen, b, nr * sizeof(Block));
    qemu_iovec_init_buf(&qiov, w->buf, nr * BLOCK);

    begin(s);
    ret = blk_co_preadv(s->blk, z->start + first * BLOCK, nr * BLOCK, &qiov,
                        0);
    end(s, ret);
    s->reads++;
    if (ret < 0) {
        wrong("read: %s", result_str(ret));
    }
    for (i = 0; i < nr; i++) {
        /* Unless it was written anew meanwhile */
        if (w->seen[i].done && w->seen[i].tag == b[i].tag) {
            check_block(z, first + i, b[i].tag, w->buf + i * BLOCK);
        }
    }
}

/* Is somebody writing there?  A second one would make it anybody's guess */
static bool is_busy(const Zone *z, int64_t offset, uint32_t nr_blocks)
{
    const Block *b = &z->blocks[offset / BLOCK];
    uint32_t i;

    for (i = 0; i < nr_blocks; i++) {
        if (b[i].tag && !b[i].done) {
            return true;
        }
    }
    return false;
}

/*
 * Where to write; sometimes not at the write pointer.  Returns false if
 * nothing of that size can be written now.
 */
static bool pick_offset(Stress *s, Zone *z, uint32_t *nr_blocks,
                        int64_t *offset)
{
    uint32_t end_block = z->cap / BLOCK;

    *nr_blocks = MIN(*nr_blocks, end_block);
    if (z->conventional || one_in(s, WRONG_ONE_IN)) {
        *offset = below(s, end_block - *nr_blocks + 1) * BLOCK;
        return !z->conventional || !is_busy(z, *offset, *nr_blocks);
    }
    *offset = z->written;
    /* Most of the time fill a zone exactly */
    if (*offset < z->cap && !one_in(s, WRONG_ONE_IN)) {
        *nr_blocks = MIN(*nr_blocks, (z->cap - *offset) / BLOCK);
    }
    return *offset + *nr_blocks * BLOCK <= z->length;
}

/* The data in more than one piece, as a guest's is */
static void scatter(Worker *w, QEMUIOVector *qiov, uint32_t nr_blocks)
{
    uint32_t half = nr_blocks / 2;

    qemu_iovec_init(qiov, 2);
    if (half) {
        qemu_iovec_add(qiov, w->scattered + MAX_BLOCKS * BLOCK, half * BLOCK);
    }
    qemu_iovec_add(qiov, w->scattered, (nr_blocks - half) * BLOCK);
    qemu_iovec_from_buf(qiov, 0, w->buf, nr_blocks * BLOCK);
}

/*
 * With limits: a request that was to open @z, whose state was @state before,
 * has ended with @ret.  If it rightly lacked a zone, it has changed nothing.
 * Returns: what it was to end with.
 */
static int take_back_if_lacking(const Stress *s, Zone *z,
                                BlockZoneState state, int ret)
{
    BlockZoneState after = z->state;

    z->state = state;
    if (!lack_is_right(s, z, ret)) {
        return ret < 0 ? 0 : expect_lack(s, z);
    }
    if (ret == 0) {
        z->state = after;
    }
    return ret;
}

static void coroutine_fn do_write(Worker *w, Zone *z, bool append)
{
    Stress *s = w->s;
    uint32_t nr = 1 + below(s, s->max_blocks);
    BdrvRequestFlags flags = one_in(s, 64) ? BDRV_REQ_FUA : 0;
    unsigned resets = z->resets;
    BlockZoneState state = z->state;
    QEMUIOVector qiov;
    int64_t offset, pos;
    uint64_t tag;
    int expected, ret;

    if (!pick_offset(s, z, &nr, &offset)) {
        return;
    }
    if (append) {
        offset = z->written;
    }
    expected = append ? expect_append(z, nr * BLOCK)
                      : expect_write(z, offset, nr * BLOCK);
    tag = make_data(w, nr);
    scatter(w, &qiov, nr);
    if (expected == 0) {
        claim_blocks(z, offset, nr, tag);
        model_write(z, nr * BLOCK);
    }

    begin(s);
    if (append) {
        pos = z->start;
        ret = blk_co_zone_append(s->blk, &pos, &qiov, flags);
        s->appends++;
    } else {
        pos = z->start + offset;
        ret = blk_co_pwritev(s->blk, pos, nr * BLOCK, &qiov, flags);
        s->writes++;
    }
    end(s, ret);
    qemu_iovec_destroy(&qiov);

    ret = MIN(ret, 0);
    if (expected == 0 && s->limited) {
        expected = take_back_if_lacking(s, z, state, ret);
        if (expected < 0) {
            unclaim_blocks(z, offset, nr);
            z->written -= nr * BLOCK;
        }
    }
    if (ret != expected) {
        wrong("%s of %u bytes at %" PRId64 ": %s instead of %s",
              append ? "append" : "write", (unsigned)(nr * BLOCK),
              z->start + offset, result_str(ret), result_str(expected));
    }
    if (expected < 0) {
        return;
    }
    if (pos != z->start + offset) {
        wrong("append went to %" PRId64 " instead of %" PRId64, pos,
              z->start + offset);
    }
    blocks_done(z, offset, nr, tag);
    if (resets == z->resets) {
        z->done = MAX(z->done, offset + nr * BLOCK);
    }
}

/*
 * With limits: an append, while other appends to the zone may be under way.
 * Where it goes is known when it has ended, and it goes behind all others that
 * have ended and in front of what is left for those that have not.
 */
static void coroutine_fn do_shared_append(Worker *w, Zone *z)
{
    Stress *s = w->s;
    uint32_t nr = 1 + below(s, s->max_blocks);
    int64_t bytes = nr * BLOCK;
    int64_t pos = z->start, offset;
    QEMUIOVector qiov;
    uint64_t tag;
    uint32_t i;
    int ret;

    if (z->conventional || z->state == BLK_ZS_FULL ||
        z->written + z->appending + bytes > z->cap) {
        return;
    }
    z->appending += bytes;
    tag = make_data(w, nr);
    scatter(w, &qiov, nr);
    begin(s);
    ret = blk_co_zone_append(s->blk, &pos, &qiov, 0);
    end(s, ret);
    s->appends++;
    qemu_iovec_destroy(&qiov);

    z->appending -= bytes;
    if (ret < 0) {
        if (!lack_is_right(s, z, ret)) {
            wrong("append to zone %" PRId64 ": %s", z->start, result_str(ret));
        }
        return;
    }
    z->written += bytes;
    offset = pos - z->start;
    if (offset < 0 || offset % BLOCK ||
        offset + bytes > z->written + z->appending) {
        wrong("append went to %" PRId64 ", not into %" PRId64 " bytes of zone %"
              PRId64, pos, z->written + z->appending, z->start);
    }
    for (i = 0; i < nr; i++) {
        if (z->blocks[offset / BLOCK + i].tag) {
            wrong("append went to %" PRId64 ", where another one went", pos);
        }
    }
    claim_blocks(z, offset, nr, tag);
    blocks_done(z, offset, nr, tag);
    model_open(z);
}

/* With limits: is there no room to open all of these zones? */
static bool several_can_lack(const Stress *s, uint32_t first, uint32_t nr,
                             int ret)
{
    const BlockZoneLimits *l = &s->limits;
    Count n = count_others(s, NULL);
    uint32_t i, opened = 0, activated = 0;

    for (i = first; i < first + nr; i++) {
        BlockZoneState state = s->zones[i].state;

        if (nr < s->nr_zones || block_zone_op_concerns(BLK_ZO_OPEN, state)) {
            opened += state != BLK_ZS_EOPEN && state != BLK_ZS_IOPEN;
            activated += !zone_state_is_active(state);
        }
    }
    return (ret == -EOVERFLOW && l->max_active_zones &&
            n.active + activated > l->max_active_zones) ||
           (ret == -ETOOMANYREFS && l->max_open_zones &&
            n.open + opened > l->max_open_zones);
}

static void coroutine_fn do_mgmt(Stress *s, uint32_t first, uint32_t nr,
                                 BlockZoneOp op)
{
    bool all = nr == s->nr_zones && nr > 1;
    g_autofree BlockZoneState *states = g_new(BlockZoneState, nr);
    Zone *last = &s->zones[first + nr - 1];
    int64_t offset = s->zones[first].start;
    int64_t len = last->start + last->length - offset;
    int expected = 0, ret;
    uint32_t i;

    for (i = first; i < first + nr && expected >= 0; i++) {
        if (!all || block_zone_op_concerns(op, s->zones[i].state)) {
            expected = expect_op(&s->zones[i], op);
        }
    }
    expected = MIN(expected, 0);
    for (i = first; i < first + nr; i++) {
        Zone *z = &s->zones[i];

        states[i - first] = z->state;
        z->mgmt_in_flight++;
        if (!expected && (!all || block_zone_op_concerns(op, z->state))) {
            model_op(z, op);
        }
    }

    begin(s);
    ret = blk_co_zone_mgmt(s->blk, op, offset, len);
    end(s, ret);
    s->mgmts++;
    if (nr == 1 && s->limited && !expected &&
        (op == BLK_ZO_OPEN || op == BLK_ZO_FINISH)) {
        expected = take_back_if_lacking(s, last, states[0], ret);
    } else if (s->limited && !expected && op == BLK_ZO_OPEN && ret < 0) {
        for (i = 0; i < nr; i++) {
            s->zones[first + i].state = states[i];
        }
        if (several_can_lack(s, first, nr, ret)) {
            expected = ret;
        }
    }
    if (ret != expected) {
        wrong("%s of %u zones from %" PRId64 ": %s instead of %s",
              op_names[op], nr, offset, result_str(ret), result_str(expected));
    }
    for (i = first; i < first + nr; i++) {
        s->zones[i].mgmt_in_flight--;
    }
}

/*
 * Resets more often than the others, for zones to write to; but not where too
 * many zones are to be in use
 */
static BlockZoneOp random_op(Stress *s)
{
    return MIN(below(s, s->limited ? 5 : 8), (uint32_t)BLK_ZO_RESET);
}

static void coroutine_fn random_mgmt(Stress *s, uint32_t i)
{
    BlockZoneOp op = random_op(s);
    uint32_t nr = one_in(s, 4) ? 1 + below(s, 4) : 1;

    if (s->limited) {
        lock_zone(s, &s->zones[i], false);
        do_mgmt(s, i, 1, op);
        unlock_zone(s, &s->zones[i]);
    } else if (one_in(s, 200)) {
        do_mgmt(s, 0, s->nr_zones, op);
    } else {
        do_mgmt(s, i, MIN(nr, s->nr_zones - i), op);
    }
}

static bool geometry_is(const Zone *z, const BlockZoneDescriptor *d)
{
    return d->start == z->start && d->length == z->length &&
           d->cap == z->cap &&
           z->conventional == (d->type == BLK_ZT_CONV);
}

/*
 * The write pointer of a zone in a report must be neither below what had ended
 * before it nor above what was submitted up to now.
 */
static void check_moving(const Zone *z, int64_t done,
                         const BlockZoneDescriptor *d)
{
    if (z->conventional) {
        return;
    }
    if (d->wp < z->start + done ||
        (z->state != BLK_ZS_FULL &&
         d->wp > z->start + z->written + z->appending)) {
        wrong("write pointer of zone %" PRId64 " at %" PRId64 ", done were %"
              PRId64 ", submitted %" PRId64, z->start, d->wp,
              z->start + done, z->start + z->written + z->appending);
    }
}

static void coroutine_fn do_report(Stress *s, uint32_t first)
{
    BlockZoneDescriptor d[REPORT_ZONES];
    unsigned resets[REPORT_ZONES];
    bool stable[REPORT_ZONES];
    int64_t done[REPORT_ZONES];
    unsigned room = 1 + below(s, REPORT_ZONES);
    unsigned i, n = room;
    int ret;

    for (i = 0; i < room && first + i < s->nr_zones; i++) {
        stable[i] = s->zones[first + i].mgmt_in_flight == 0;
        resets[i] = s->zones[first + i].resets;
        done[i] = s->zones[first + i].done;
    }
    begin(s);
    ret = blk_co_zone_report(s->blk, s->zones[first].start, &n, d);
    end(s, ret);
    s->reports++;
    if (ret < 0) {
        wrong("report: %s", result_str(ret));
    }
    if (n != MIN(room, s->nr_zones - first)) {
        wrong("report of %u zones from %" PRId64 ": %u zones", room,
              s->zones[first].start, n);
    }
    for (i = 0; i < n; i++) {
        const Zone *z = &s->zones[first + i];

        if (!geometry_is(z, &d[i])) {
            wrong("zone %" PRId64 " has changed its geometry", z->start);
        }
        if (stable[i] && resets[i] == z->resets) {
            check_moving(z, done[i], &d[i]);
        }
    }
}

static void coroutine_fn do_flush(Stress *s)
{
    int ret;

    begin(s);
    ret = blk_co_flush(s->blk);
    end(s, ret);
    if (ret < 0) {
        wrong("flush: %s", result_str(ret));
    }
}

static void check_state(const Zone *z, const BlockZoneDescriptor *d)
{
    int64_t wp = z->conventional ? -1
        : z->start + (z->state == BLK_ZS_FULL ? z->length : z->written);

    if (!geometry_is(z, d) || d->state != z->state || d->wp != wp) {
        wrong("zone %" PRId64 " is in state %d with write pointer %" PRId64
              " instead of %d with %" PRId64, z->start, d->state, d->wp,
              z->state, wp);
    }
}

/* Nothing is under way: all zones must be as they should be */
static void check_states(Stress *s, const BlockZoneDescriptor *d)
{
    const BlockZoneLimits *l = &s->limits;
    Count n;
    uint32_t i;

    for (i = 0; i < s->nr_zones; i++) {
        Zone *z = &s->zones[i];

        /* To open another one, a disk may close an implicitly open one */
        if (l->max_open_zones && z->state == BLK_ZS_IOPEN &&
            d[i].state == BLK_ZS_CLOSED) {
            z->state = BLK_ZS_CLOSED;
        }
        check_state(z, &d[i]);
    }
    n = count_others(s, NULL);
    if ((l->max_open_zones && n.open > l->max_open_zones) ||
        (l->max_active_zones && n.active > l->max_active_zones)) {
        wrong("%u zones are open and %u active", n.open, n.active);
    }
}

static void coroutine_fn report_and_check(Stress *s)
{
    unsigned n = s->nr_zones;
    int ret = blk_co_zone_report(s->blk, 0, &n, s->all_zones);

    if (ret < 0 || n != s->nr_zones) {
        wrong("report of all zones: %s, %u zones", result_str(ret), n);
    }
    check_states(s, s->all_zones);
}

/* With limits: an operation on several zones, all of them or none */
static void coroutine_fn do_several(Stress *s, uint32_t i)
{
    uint32_t nr = one_in(s, 4) ? s->nr_zones
                               : MIN(2 + below(s, 3), s->nr_zones - i);
    BlockZoneOp op = random_op(s);

    /* Finished zones stay so if there is no room for the next one */
    if (op != BLK_ZO_FINISH) {
        do_mgmt(s, nr == s->nr_zones ? 0 : i, nr, op);
    }
}

/* With limits: one request, when nothing but reads is under way */
static void coroutine_fn do_alone(Worker *w, uint32_t i)
{
    Stress *s = w->s;
    Zone *z = &s->zones[i];

    qemu_co_rwlock_wrlock(&s->alone);
    s->is_alone = true;
    report_and_check(s);
    switch (below(s, 4)) {
    case 0:
        do_several(s, i);
        break;
    case 1:
        do_mgmt(s, i, 1, BLK_ZO_OPEN);
        break;
    case 2:
        do_write(w, z, false);
        break;
    case 3:
        do_write(w, z, true);
        break;
    }
    report_and_check(s);
    s->is_alone = false;
    qemu_co_rwlock_unlock(&s->alone);
}

static void coroutine_fn do_any(Worker *w)
{
    Stress *s = w->s;
    uint32_t i = below(s, s->nr_zones);
    Zone *z = &s->zones[i];
    uint32_t what = below(s, 100);
    bool shared;

    if (s->limited && one_in(s, ALONE_ONE_IN)) {
        do_alone(w, i);
    } else if (what < 38) {
        shared = s->limited && !one_in(s, WRONG_ONE_IN);
        lock_zone(s, z, shared);
        if (shared) {
            do_shared_append(w, z);
        } else {
            do_write(w, z, true);
        }
        unlock_zone(s, z);
    } else if (what < 76) {
        lock_zone(s, z, false);
        do_write(w, z, false);
        unlock_zone(s, z);
    } else if (what < 88) {
        do_read(w, z);
    } else if (what < 94) {
        do_report(s, i);
    } else if (what < 99) {
        random_mgmt(s, i);
    } else {
        do_flush(s);
    }
}

/* Has the disk refused requests for all the reasons that its limits are? */
static bool met_limits(const Stress *s)
{
    return (!s->limits.max_open_zones || s->lacks_open) &&
           (!s->limits.max_active_zones || s->lacks_active);
}

static void coroutine_fn worker_entry(void *opaque)
{
    Worker *w = opaque;
    Stress *s = w->s;

    while (get_clock() < s->deadline_ns || !met_limits(s)) {
        do_any(w);
    }
    qatomic_dec(&s->workers);
    aio_wait_kick();
}

/* Let the node be used by the thread of @ctx only */
static void move_to(Stress *s, AioContext *ctx)
{
    AioContext *old = blk_get_aio_context(s->blk);

    aio_context_acquire(old);
    blk_set_aio_context(s->blk, ctx, &error_abort);
    aio_context_release(old);
}

static void run(Stress *s, unsigned depth)
{
    Worker *workers = g_new0(Worker, depth);
    unsigned i;

    s->workers = depth;
    for (i = 0; i < depth; i++) {
        workers[i].s = s;
        workers[i].buf = blk_blockalign(s->blk, MAX_BLOCKS * BLOCK);
        workers[i].scattered = blk_blockalign(s->blk, 2 * MAX_BLOCKS * BLOCK);
        bdrv_coroutine_enter(blk_bs(s->blk),
                             qemu_coroutine_create(worker_entry, &workers[i]));
    }
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&s->workers));
    for (i = 0; i < depth; i++) {
        qemu_vfree(workers[i].buf);
        qemu_vfree(workers[i].scattered);
    }
    g_free(workers);
}

/* Before and after */

static void report_all(Stress *s, BlockZoneDescriptor *d)
{
    unsigned n = s->nr_zones;
    int ret = blk_zone_report(s->blk, 0, &n, d);

    if (ret < 0 || n != s->nr_zones) {
        wrong("report of all zones: %s, %u zones", result_str(ret), n);
    }
}

static void open_disk(Stress *s, const char *options)
{
    g_autofree BlockZoneDescriptor *d = NULL;
    const BlockZoneLimits *limits = &s->limits;
    QDict *dict = keyval_parse(options, NULL, NULL, &error_fatal);
    uint32_t i;
    int ret;

    qdict_flatten(dict);
    s->blk = blk_new_open(NULL, NULL, dict, BDRV_O_RDWR, &error_fatal);
    s->limits = *blk_zone_limits(s->blk);
    if (limits->model != BLK_Z_HM || !limits->max_append_bytes ||
        BLOCK % limits->write_granularity) {
        wrong("needs a host-managed disk that takes appends");
    }
    s->limited = limits->max_open_zones || limits->max_active_zones;
    qemu_co_rwlock_init(&s->alone);
    s->max_blocks = MIN(MAX_BLOCKS, limits->max_append_bytes / BLOCK);
    s->nr_zones = limits->nr_zones;
    s->zones = g_new0(Zone, s->nr_zones);
    d = g_new(BlockZoneDescriptor, s->nr_zones);

    ret = blk_zone_mgmt(s->blk, BLK_ZO_RESET, 0, blk_getlength(s->blk));
    if (ret < 0) {
        wrong("reset of all zones: %s", result_str(ret));
    }
    report_all(s, d);
    for (i = 0; i < s->nr_zones; i++) {
        s->zones[i] = (Zone) {
            .start = d[i].start,
            .length = d[i].length,
            .cap = d[i].cap,
            .conventional = d[i].type == BLK_ZT_CONV,
            .state = d[i].state,
            .blocks = g_new0(Block, d[i].cap / BLOCK),
        };
        qemu_co_rwlock_init(&s->zones[i].lock);
    }
    s->all_zones = g_steal_pointer(&d);
}

/* Returns: the number of bytes checked */
static int64_t check_data(Stress *s, const Zone *z, uint8_t *buf)
{
    int64_t checked = 0;
    size_t i;
    int ret;

    ret = blk_pread(s->blk, z->start, z->cap, buf, 0);
    if (ret < 0) {
        wrong("read of zone %" PRId64 ": %s", z->start, result_str(ret));
    }
    for (i = 0; i < z->cap / BLOCK; i++) {
        if (z->blocks[i].tag) {
            check_block(z, i, z->blocks[i].tag, buf + i * BLOCK);
            checked += BLOCK;
        }
    }
    return checked;
}

static int64_t check_all(Stress *s)
{
    uint8_t *buf = blk_blockalign(s->blk, s->limits.zone_size);
    int64_t checked = 0;
    uint32_t i;

    report_all(s, s->all_zones);
    check_states(s, s->all_zones);
    for (i = 0; i < s->nr_zones; i++) {
        checked += check_data(s, &s->zones[i], buf);
    }
    qemu_vfree(buf);
    return checked;
}

static void close_disk(Stress *s)
{
    uint32_t i;

    blk_unref(s->blk);
    for (i = 0; i < s->nr_zones; i++) {
        g_free(s->zones[i].blocks);
    }
    g_free(s->zones);
    g_free(s->all_zones);
}

static unsigned number(const char *arg, unsigned min, unsigned max)
{
    unsigned value;

    if (qemu_strtoui(arg, NULL, 10, &value) < 0 || value < min ||
        value > max) {
        wrong("'%s' is not a number from %u to %u", arg, min, max);
    }
    return value;
}

int main(int argc, char **argv)
{
    unsigned depth = 64, seconds = 10, seed = getpid() ^ time(NULL);
    bool in_iothread = false;
    Stress s = { .next_id = 1 };
    IOThread *iothread = NULL;
    int64_t checked;
    int c;

    while ((c = getopt(argc, argv, "d:it:s:")) != -1) {
        switch (c) {
        case 'd':
            depth = number(optarg, 1, 1024);
            break;
        case 'i':
            in_iothread = true;
            break;
        case 't':
            seconds = number(optarg, 1, 3600);
            break;
        case 's':
            seed = number(optarg, 0, UINT_MAX);
            break;
        default:
            return 1;
        }
    }
    if (optind != argc - 1) {
        wrong("usage: zone-stress [-d DEPTH] [-t SECONDS] [-s SEED] [-i] "
              "NODE-OPTIONS");
    }

    module_call_init(MODULE_INIT_QOM);
    bdrv_init();
    qemu_init_main_loop(&error_fatal);

    printf("seed %u\n", seed);
    fflush(stdout);
    s.rand = g_rand_new_with_seed(seed);
    open_disk(&s, argv[optind]);
    s.deadline_ns = get_clock() + seconds * NANOSECONDS_PER_SECOND;
    if (in_iothread) {
        iothread = iothread_new();
        move_to(&s, iothread_get_aio_context(iothread));
    }
    run(&s, depth);
    if (in_iothread) {
        move_to(&s, qemu_get_aio_context());
        iothread_join(iothread);
    }
    checked = check_all(&s);
    printf("up to %u at a time: %" PRIu64 " writes, %" PRIu64 " appends, %"
           PRIu64 " reads, %" PRIu64 " reports, %" PRIu64 " zone operations; %"
           PRIu64 " rightly refused; %" PRId64 " MiB checked in the end\n",
           s.max_in_flight, s.writes, s.appends, s.reads, s.reports, s.mgmts,
           s.refused, checked / MiB);
    if (s.limited) {
        printf("refused for want of zones: open %" PRIu64 ", active %" PRIu64
               "\n", s.lacks_open, s.lacks_active);
    }
    close_disk(&s);
    g_rand_free(s.rand);
    return 0;
}
