/*
 * Zoned images: commits of the zone table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/memalign.h"
#include "block/aio_task.h"
#include "zoned-commit.h"

/* Table blocks that are written at once */
#define COMMIT_TASKS 16

static bool zone_is_full(const ZonedTable *t, uint32_t zone, uint64_t entry)
{
    return zoned_entry_to_zone(&t->h.g, zone, entry).state == BLK_ZS_FULL;
}

/* What a commit writes: blocks of the table, or a record of the log */
typedef struct Snapshot {
    bool write;                 /* anything at all */
    bool log;
    uint32_t count;             /* of blocks, or of entries in the record */
    uint32_t *numbers;          /* of the blocks or zones, ascending */
    uint8_t *buf;               /* the blocks or the record */
} Snapshot;

/*
 * Is @w in the way of a flush?  Something behind it was acknowledged, or could
 * have been; that is to be below the write pointer after a crash, too.
 *
 * Where a reset is pending, no write of the zone was issued yet.
 */
static bool must_land(const ZonedTable *t, const ZonedWrite *w, uint64_t limit)
{
    return w->number < limit && zoned_write_is_fresh(w) &&
           !zoned_table_reset_pending(t, w->zone) &&
           !zoned_table_is_last(t, w);
}

/*
 * Is @w in the way of a snapshot?  Without it, a zone that the model counts as
 * full would be an active one after a crash, and there may be no room for it.
 */
static bool must_fill(const ZonedTable *t, const ZonedWrite *w)
{
    return t->h.g.max_active_zones && zoned_write_is_fresh(w) &&
           !zoned_table_reset_pending(t, w->zone) &&
           zone_is_full(t, w->zone, zoned_table_entry(t, w->zone));
}

static bool any_must_land(const ZonedTable *t, uint64_t limit)
{
    const ZonedWrite *w;

    QTAILQ_FOREACH(w, &t->writes, next) {
        if (must_land(t, w, limit)) {
            return true;
        }
    }
    return false;
}

static bool any_must_fill(const ZonedTable *t)
{
    const ZonedWrite *w;

    QTAILQ_FOREACH(w, &t->writes, next) {
        if (must_fill(t, w)) {
            return true;
        }
    }
    return false;
}

static void coroutine_fn co_wait_filled(ZonedTable *t)
{
    while (any_must_fill(t)) {
        /* More and more writes that fill zones must not hold us up for ever */
        t->gate = true;
        qemu_co_queue_wait(&t->landed, NULL);
    }
}

void coroutine_fn zoned_table_co_wait_gate(ZonedTable *t)
{
    while (t->gate) {
        qemu_co_queue_wait(&t->gated, NULL);
    }
}

static void open_gate(ZonedTable *t)
{
    t->gate = false;
    qemu_co_queue_restart_all(&t->gated);
}

static uint8_t *snapshot_block(const Snapshot *s, uint32_t i)
{
    return s->buf + (size_t)i * ZONED_BLOCK_SIZE;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Returns: the place of the entry of @zone, or of its block, or -1 */
static int64_t snapshot_find(const Snapshot *s, uint32_t zone)
{
    uint32_t number = s->log ? zone : zone / ZONED_BLOCK_ENTRIES;
    uint32_t *found = s->count ? bsearch(&number, s->numbers, s->count,
                                         sizeof(number), compare_numbers)
                               : NULL;

    return found ? found - s->numbers : -1;
}

static uint64_t snapshot_get(const Snapshot *s, uint32_t i, uint32_t zone)
{
    uint64_t same_zone;

    return s->log ? zoned_log_get(s->buf, i, &same_zone)
                  : zoned_block_get(snapshot_block(s, i),
                                    zone % ZONED_BLOCK_ENTRIES);
}

static void snapshot_set(Snapshot *s, uint32_t i, uint32_t zone,
                         uint64_t entry)
{
    if (s->log) {
        zoned_log_set(s->buf, i, zone, entry);
    } else {
        zoned_block_set(snapshot_block(s, i), zone % ZONED_BLOCK_ENTRIES,
                        entry);
    }
}

static void snapshot_zone(ZonedTable *t, Snapshot *s, uint32_t i,
                          uint32_t zone)
{
    uint64_t *e = &t->entries[zone];

    if (*e & ZONED_RESET_PENDING) {
        *e |= ZONED_RESET_COMMITTING;
    }
    snapshot_set(s, i, zone, *e & ZONED_ENTRY_ON_DISK);
}

/* The zones of a block: from *@first, less than the number returned */
static uint32_t block_zones(const ZonedTable *t, uint32_t block,
                            uint32_t *first)
{
    *first = block * ZONED_BLOCK_ENTRIES;
    return MIN(*first + ZONED_BLOCK_ENTRIES, t->nr_zones);
}

/* The extent of a zone on disk ends before what has not landed */
static void snapshot_cap(ZonedTable *t, Snapshot *s, const ZonedWrite *w)
{
    int64_t i = snapshot_find(s, w->zone);
    int64_t extent = w->fresh - zoned_table_start(t, w->zone);
    uint64_t entry;

    if (i < 0 || !zoned_write_is_fresh(w)) {
        return;
    }
    entry = snapshot_get(s, i, w->zone);
    if (extent < zoned_entry_extent(entry)) {
        /* A full zone is not active, and there may be no room for one more */
        bool finish = w->failed && zone_is_full(t, w->zone, entry);

        snapshot_set(s, i, w->zone,
                     zoned_entry_change(entry,
                                        finish ? ZONED_ENTRY_FINISHED
                                               : zoned_entry_state(entry),
                                        extent));
        zoned_table_set_dirty(t, w->zone);
    }
}

static void snapshot_free(Snapshot *s)
{
    g_free(s->numbers);
    qemu_vfree(s->buf);
}

/*
 * The log is for zones in several blocks of the table: one write instead of
 * many.  A commit of the table empties it.
 */
static bool log_will_do(const ZonedTable *t, uint32_t nr_dirty)
{
    return !t->must_write_table && t->nr_changed <= t->log_limit &&
           (t->must_write_log || nr_dirty > 1);
}

static bool snapshot_alloc(ZonedTable *t, Snapshot *s)
{
    uint32_t nr_dirty = bitmap_count_one(t->dirty, t->nr_blocks);
    size_t size;

    *s = (Snapshot) { .write = true, .log = log_will_do(t, nr_dirty) };
    s->count = s->log ? t->nr_changed : nr_dirty;
    size = s->log ? ZONED_LOG_SIZE : (size_t)nr_dirty * ZONED_BLOCK_SIZE;
    s->buf = qemu_try_blockalign0(t->bs->file->bs, size);
    s->numbers = g_try_new(uint32_t, s->count);
    if (!s->buf || (s->count && !s->numbers)) {
        snapshot_free(s);
        return false;
    }
    return true;
}

/* The zones of @block of which the table says something else */
static void snapshot_log_block(ZonedTable *t, Snapshot *s, uint32_t block,
                               uint32_t *i)
{
    uint32_t first, end = block_zones(t, block, &first);
    uint32_t zone;

    for (zone = find_next_bit(t->changed, end, first); zone < end;
         zone = find_next_bit(t->changed, end, zone + 1)) {
        s->numbers[*i] = zone;
        snapshot_zone(t, s, (*i)++, zone);
    }
}

static void snapshot_table_block(ZonedTable *t, Snapshot *s, uint32_t block,
                                 uint32_t *i)
{
    uint32_t first, end = block_zones(t, block, &first);
    uint32_t zone;

    s->numbers[*i] = block;
    for (zone = first; zone < end; zone++) {
        snapshot_zone(t, s, *i, zone);
    }
    (*i)++;
    bitmap_clear(t->changed, first, end - first);
}

static void snapshot_cap_all(ZonedTable *t, Snapshot *s)
{
    const ZonedWrite *w;
    GHashTableIter iter;
    gpointer list;

    QTAILQ_FOREACH(w, &t->writes, next) {
        snapshot_cap(t, s, w);
    }
    g_hash_table_iter_init(&iter, t->failed);
    while (g_hash_table_iter_next(&iter, NULL, &list)) {
        QTAILQ_FOREACH(w, (ZonedWriteList *)list, next) {
            snapshot_cap(t, s, w);
        }
    }
}

/* The zones as they are at this instant, without what has not landed */
static int snapshot_take(ZonedTable *t, Snapshot *s)
{
    uint32_t b, i = 0;

    *s = (Snapshot) { 0 };
    if (!t->modified) {
        return 0;
    }
    if (!snapshot_alloc(t, s)) {
        return -ENOMEM;
    }
    for (b = find_first_bit(t->dirty, t->nr_blocks); b < t->nr_blocks;
         b = find_next_bit(t->dirty, t->nr_blocks, b + 1)) {
        if (s->log) {
            snapshot_log_block(t, s, b, &i);
        } else {
            snapshot_table_block(t, s, b, &i);
        }
    }
    /* What is asked for beyond it is up to the next one */
    t->modified = !s->log && t->must_write_log;
    if (!s->log) {
        t->must_write_table = false;
        t->nr_changed = 0;
        bitmap_zero(t->dirty, t->nr_blocks);
    }
    snapshot_cap_all(t, s);
    return 0;
}

typedef struct BlockTask {
    AioTask task;
    ZonedTable *t;
    uint32_t block;
    uint8_t *buf;
} BlockTask;

static int coroutine_fn co_write_block(ZonedTable *t, uint32_t block,
                                       uint8_t *buf)
{
    int64_t offset = zoned_header_block_offset(&t->h, block,
                                               !test_bit(block, t->copy));

    return bdrv_co_pwrite(t->bs->file, offset, ZONED_BLOCK_SIZE, buf, 0);
}

static int coroutine_fn co_block_task(AioTask *task)
{
    BlockTask *b = container_of(task, BlockTask, task);

    return co_write_block(b->t, b->block, b->buf);
}

static int coroutine_fn co_write_blocks(ZonedTable *t, Snapshot *s)
{
    ZonedBlockInfo info = {
        .generation = t->newest,
        .stable = t->stable,
        .count = s->count,
    };
    AioTaskPool *pool;
    uint32_t i;
    int ret;

    for (i = 0; i < s->count; i++) {
        zoned_block_encode(snapshot_block(s, i), s->numbers[i], &info);
    }
    if (s->count == 1) {
        return co_write_block(t, s->numbers[0], s->buf);
    }
    pool = aio_task_pool_new(COMMIT_TASKS);
    for (i = 0; i < s->count && aio_task_pool_status(pool) == 0; i++) {
        BlockTask *b = g_new(BlockTask, 1);

        *b = (BlockTask) {
            .task.func = co_block_task,
            .t = t,
            .block = s->numbers[i],
            .buf = snapshot_block(s, i),
        };
        aio_task_pool_start_task(pool, &b->task);
    }
    aio_task_pool_wait_all(pool);
    ret = aio_task_pool_status(pool);
    aio_task_pool_free(pool);
    return ret;
}

static int coroutine_fn co_write_record(ZonedTable *t, Snapshot *s)
{
    ZonedLogInfo info = {
        .generation = t->newest,
        .table = t->stable_table,
        .count = s->count,
    };

    zoned_log_encode(s->buf, &info);
    return bdrv_co_pwrite(t->bs->file, zoned_log_slot_offset(t->log_slot),
                          ZONED_LOG_SIZE, s->buf, 0);
}

static int coroutine_fn co_write_snapshot(ZonedTable *t, Snapshot *s)
{
    int ret;

    if (t->newest + 1 >= ZONED_MAX_GENERATION) {
        /* To a guest, most other errors would mean a mistake of its own */
        return -EIO;
    }
    t->newest++;
    ret = s->log ? co_write_record(t, s) : co_write_blocks(t, s);
    if (ret >= 0) {
        ret = bdrv_co_flush(t->bs->file->bs);
    }
    return MIN(ret, 0);
}

/* Call a function for each zone whose reset the commit of @s says */
static void coroutine_fn
co_foreach_reset(ZonedTable *t, const Snapshot *s,
                 void coroutine_fn (*fn)(ZonedTable *t, uint32_t zone,
                                         void *opaque),
                 void *opaque)
{
    uint32_t i, zone;

    for (i = 0; i < s->count; i++) {
        uint32_t first = s->numbers[i], end = first + 1;

        if (!s->log) {
            end = block_zones(t, s->numbers[i], &first);
        }
        for (zone = first; zone < end; zone++) {
            if (t->entries[zone] & ZONED_RESET_COMMITTING) {
                fn(t, zone, opaque);
            }
        }
    }
}

/* A range of the disk to be discarded */
typedef struct DiscardRange {
    int64_t start;
    int64_t end;
} DiscardRange;

static void coroutine_fn co_discard(ZonedTable *t, const DiscardRange *r)
{
    if (r->end > r->start) {
        /* Only to save space: what it leaves there shows nowhere */
        bdrv_co_pdiscard(t->bs->file, t->h.data_offset + r->start,
                         r->end - r->start);
    }
}

static void coroutine_fn co_discard_zone(ZonedTable *t, uint32_t zone,
                                         void *opaque)
{
    DiscardRange *r = opaque;
    int64_t start = zoned_table_start(t, zone);

    if (start != r->end) {
        co_discard(t, r);
        r->start = start;
    }
    r->end = start + MIN(t->h.g.zone_size, t->h.g.length - start);
}

static void coroutine_fn co_release_zone(ZonedTable *t, uint32_t zone,
                                         void *opaque)
{
    t->entries[zone] &= ~(ZONED_RESET_PENDING | ZONED_RESET_COMMITTING);
}

static void coroutine_fn co_abandon_zone(ZonedTable *t, uint32_t zone,
                                         void *opaque)
{
    t->entries[zone] &= ~ZONED_RESET_COMMITTING;
}

/* What is on disk is @s now */
static void coroutine_fn co_finish_snapshot(ZonedTable *t, const Snapshot *s)
{
    DiscardRange r = { 0, 0 };
    uint32_t i;

    t->stable = t->newest;
    if (s->log) {
        t->log_slot = !t->log_slot;
        t->must_write_log = false;
    } else {
        t->stable_table = t->newest;
        for (i = 0; i < s->count; i++) {
            change_bit(s->numbers[i], t->copy);
        }
    }
    /* Nothing is written to these zones meanwhile */
    co_foreach_reset(t, s, co_discard_zone, &r);
    co_discard(t, &r);
    co_foreach_reset(t, s, co_release_zone, NULL);
}

/*
 * It may be, or not.  A commit of the table that comes next writes all of its
 * blocks once more.
 */
static void coroutine_fn co_abandon_snapshot(ZonedTable *t, const Snapshot *s)
{
    uint32_t i;

    t->modified = true;
    for (i = 0; i < s->count && !s->log; i++) {
        /* The zones in it that have changed are not known any more */
        zoned_table_rewrite(t, s->numbers[i]);
    }
    co_foreach_reset(t, s, co_abandon_zone, NULL);
}

int coroutine_fn zoned_table_co_commit_locked(ZonedTable *t)
{
    Snapshot s;
    int ret;

    t->commit_hole = zoned_table_any_failed(t);
    ret = snapshot_take(t, &s);
    open_gate(t);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_flush(t->bs->file->bs);
    if (ret == 0 && s.write) {
        ret = co_write_snapshot(t, &s);
    }
    if (ret == 0 && s.write) {
        co_finish_snapshot(t, &s);
    } else if (ret < 0) {
        if (s.write) {
            co_abandon_snapshot(t, &s);
        }
        ret = zoned_child_error(ret);
        t->unreported = ret;
    }
    snapshot_free(&s);
    return ret;
}

void coroutine_fn zoned_table_co_lock(ZonedTable *t)
{
    while (t->committing) {
        qemu_co_queue_wait(&t->committed, NULL);
    }
    t->committing = true;
}

void coroutine_fn zoned_table_co_unlock(ZonedTable *t)
{
    t->committing = false;
    qemu_co_queue_restart_all(&t->committed);
}

int coroutine_fn zoned_table_co_commit(ZonedTable *t)
{
    /* The first one that starts after now */
    uint64_t ours = t->commits_begun + 1;

    while (t->commits_ended < ours) {
        if (t->committing) {
            qemu_co_queue_wait(&t->committed, NULL);
            continue;
        }
        t->committing = true;
        t->commits_begun++;
        co_wait_filled(t);
        t->commit_ret = zoned_table_co_commit_locked(t);
        t->commits_ended++;
        zoned_table_co_unlock(t);
    }
    return t->commit_ret;
}

int coroutine_fn zoned_table_co_flush(ZonedTable *t)
{
    uint64_t limit = t->nr_writes;
    int ret;

    while (any_must_land(t, limit)) {
        qemu_co_queue_wait(&t->landed, NULL);
    }
    ret = zoned_table_co_commit(t);
    if (ret == 0) {
        /* The child may tell only once that it has lost data */
        ret = t->unreported;
    }
    t->unreported = 0;
    if (ret == 0) {
        /* A reset since then may have done away with it, and is not on disk */
        ret = t->commit_hole;
    }
    return ret < 0 ? ret : zoned_table_any_failed(t);
}

int coroutine_fn zoned_table_co_bury(ZonedTable *t)
{
    int ret = 0;

    while (ret == 0 && (t->must_write_table || t->must_write_log)) {
        ret = zoned_table_co_commit(t);
    }
    t->leftovers = ret < 0;
    return ret;
}
