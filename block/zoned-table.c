/*
 * Zoned images: the zone table at run time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/memalign.h"
#include "block/aio_task.h"
#include "zoned-table.h"

/*
 * Bits of entries in memory that are 0 on disk.  A zone with RESET_PENDING was
 * reset, which the table on disk may not say: its old data must stay as it is,
 * and so no write is issued.  RESET_COMMITTING: the commit under way says it.
 */
#define RESET_PENDING       (UINT64_C(1) << 56)
#define RESET_COMMITTING    (UINT64_C(1) << 57)
#define ENTRY_ON_DISK       (~(RESET_PENDING | RESET_COMMITTING))

/* Table blocks that are written at once */
#define COMMIT_TASKS 16

/*
 * Entries
 */

static int64_t zone_start(const ZonedTable *t, uint32_t zone)
{
    return zone * t->h.g.zone_size;
}

static bool zone_is_full(const ZonedTable *t, uint32_t zone, uint64_t entry)
{
    int64_t wp;

    return zoned_entry_to_zone(&t->h.g, zone, entry, &wp) == BLK_ZS_FULL;
}

uint64_t zoned_table_entry(const ZonedTable *t, uint32_t zone)
{
    return t->entries[zone] & ENTRY_ON_DISK;
}

int64_t zoned_table_extent(const ZonedTable *t, uint32_t zone)
{
    return zoned_entry_extent(t->entries[zone]);
}

bool zoned_table_is_dirty(const ZonedTable *t)
{
    return !bitmap_empty(t->dirty, t->nr_blocks);
}

void zoned_table_set_dirty(ZonedTable *t, uint32_t zone)
{
    set_bit(zone / ZONED_BLOCK_ENTRIES, t->dirty);
}

void zoned_table_set_entry(ZonedTable *t, uint32_t zone, uint64_t entry)
{
    uint64_t *e = &t->entries[zone];

    if ((*e & ENTRY_ON_DISK) != entry) {
        *e = (*e & ~ENTRY_ON_DISK) | entry;
        zoned_table_set_dirty(t, zone);
    }
}

void zoned_table_set_extent(ZonedTable *t, uint32_t zone, int64_t extent)
{
    zoned_table_set_entry(t, zone,
                          zoned_entry(zoned_entry_state(t->entries[zone]),
                                      extent));
}

bool zoned_table_reset_pending(const ZonedTable *t, uint32_t zone)
{
    return t->entries[zone] & RESET_PENDING;
}

void zoned_table_reset(ZonedTable *t, uint32_t zone)
{
    g_hash_table_remove(t->failed, GUINT_TO_POINTER(zone));
    if (zoned_table_extent(t, zone)) {
        t->entries[zone] |= RESET_PENDING;
    }
    /* A commit under way may hold what the zone was before */
    t->entries[zone] &= ~RESET_COMMITTING;
    zoned_table_set_entry(t, zone, 0);
}

/*
 * Failed writes
 */

static ZonedWriteList *failed_list(const ZonedTable *t, uint32_t zone)
{
    return g_hash_table_lookup(t->failed, GUINT_TO_POINTER(zone));
}

bool zoned_table_has_failed(const ZonedTable *t, uint32_t zone)
{
    return failed_list(t, zone);
}

/* Returns: -errno of one of them, or 0 if there are none */
static int any_failed(const ZonedTable *t)
{
    GHashTableIter iter;
    gpointer list;

    g_hash_table_iter_init(&iter, t->failed);
    return g_hash_table_iter_next(&iter, NULL, &list)
        ? QTAILQ_FIRST((ZonedWriteList *)list)->failed : 0;
}

/* Ranges that touch become one: they are few, however many writes fail */
static bool failed_merge(ZonedWriteList *list, const ZonedWrite *w)
{
    ZonedWrite *f;

    QTAILQ_FOREACH(f, list, next) {
        if (w->fresh <= f->end && f->fresh <= w->end) {
            f->fresh = MIN(f->fresh, w->fresh);
            f->end = MAX(f->end, w->end);
            return true;
        }
    }
    return false;
}

static void failed_add(ZonedTable *t, const ZonedWrite *w, int ret)
{
    ZonedWriteList *list = failed_list(t, w->zone);
    ZonedWrite *failed;

    if (!list) {
        list = g_new(ZonedWriteList, 1);
        QTAILQ_INIT(list);
        g_hash_table_insert(t->failed, GUINT_TO_POINTER(w->zone), list);
    }
    if (!failed_merge(list, w)) {
        failed = g_memdup2(w, sizeof(*w));
        failed->failed = ret;
        QTAILQ_INSERT_TAIL(list, failed, next);
    }
    zoned_table_set_dirty(t, w->zone);
}

int64_t zoned_table_failed_tail(const ZonedTable *t, uint32_t zone)
{
    ZonedWriteList *list = failed_list(t, zone);
    const ZonedWrite *w;

    if (list) {
        QTAILQ_FOREACH(w, list, next) {
            if (zoned_table_is_last(t, w)) {
                return w->fresh;
            }
        }
    }
    return -1;
}

void zoned_table_forget_failed(ZonedTable *t, uint32_t zone, int64_t fresh)
{
    ZonedWriteList *list = failed_list(t, zone);
    ZonedWrite *w, *next;

    if (!list) {
        return;
    }
    QTAILQ_FOREACH_SAFE(w, list, next, next) {
        if (w->fresh >= fresh) {
            QTAILQ_REMOVE(list, w, next);
            g_free(w);
        }
    }
    if (QTAILQ_EMPTY(list)) {
        g_hash_table_remove(t->failed, GUINT_TO_POINTER(zone));
    }
}

/*
 * Writes
 */

static bool is_fresh(const ZonedWrite *w)
{
    return w->fresh < w->end;
}

/* Cut a range off before, or behind, what nobody may see of @list */
static int64_t clip_by_list(const ZonedWriteList *list, int64_t offset,
                            int64_t bytes, bool *data)
{
    const ZonedWrite *w;

    QTAILQ_FOREACH(w, list, next) {
        if (w->fresh >= offset + bytes || w->end <= offset || !is_fresh(w)) {
            continue;
        }
        if (w->fresh <= offset) {
            *data = false;
            return MIN(bytes, w->end - offset);
        }
        bytes = w->fresh - offset;
    }
    return bytes;
}

int64_t zoned_table_clip(const ZonedTable *t, uint32_t zone, int64_t offset,
                         int64_t bytes, bool *data)
{
    int64_t start = zone_start(t, zone);
    int64_t extent_end = start + zoned_table_extent(t, zone);
    const ZonedWriteList *failed = failed_list(t, zone);

    *data = offset < extent_end;
    bytes = MIN(bytes, (*data ? extent_end : start + t->h.g.zone_size) -
                       offset);
    if (*data) {
        bytes = clip_by_list(&t->writes, offset, bytes, data);
    }
    if (*data && failed) {
        bytes = clip_by_list(failed, offset, bytes, data);
    }
    return bytes;
}

void coroutine_fn zoned_table_co_wait_gate(ZonedTable *t)
{
    while (t->gate) {
        qemu_co_queue_wait(&t->gated, NULL);
    }
}

void zoned_table_begin_write(ZonedTable *t, ZonedWrite *w, int64_t offset,
                             int64_t end)
{
    uint32_t zone = offset / t->h.g.zone_size;
    int64_t extent_end = zone_start(t, zone) + zoned_table_extent(t, zone);

    *w = (ZonedWrite) {
        .zone = zone,
        .fresh = MIN(extent_end, end),
        .offset = offset,
        .end = end,
        .number = t->nr_writes++,
    };
    QTAILQ_INSERT_TAIL(&t->writes, w, next);
    if (end > extent_end) {
        zoned_table_set_extent(t, zone, end - zone_start(t, zone));
    }
}

/* Two host-aware writes of which one fills what the other writes */
static bool overlaps_earlier(const ZonedTable *t, const ZonedWrite *w)
{
    const ZonedWrite *other;

    for (other = QTAILQ_FIRST(&t->writes); other != w;
         other = QTAILQ_NEXT(other, next)) {
        if (MIN(w->fresh, w->offset) < other->end &&
            MIN(other->fresh, other->offset) < w->end) {
            return true;
        }
    }
    return false;
}

int coroutine_fn zoned_table_co_wait_write(ZonedTable *t, ZonedWrite *w)
{
    int ret;

    while (t->h.g.model == BLK_Z_HA && overlaps_earlier(t, w)) {
        qemu_co_queue_wait(&t->landed, NULL);
    }
    while (zoned_table_reset_pending(t, w->zone) &&
           !zoned_table_has_failed(t, w->zone)) {
        /*
         * The commit under way may do.  Were we to ask for one after it, that
         * one could wait for us to fill the zone.
         */
        if (t->committing) {
            qemu_co_queue_wait(&t->committed, NULL);
        } else {
            ret = zoned_table_co_commit(t);
            if (ret < 0 && zoned_table_reset_pending(t, w->zone)) {
                return ret;
            }
        }
    }
    return zoned_table_has_failed(t, w->zone) ? -EIO : 0;
}

bool zoned_table_is_last(const ZonedTable *t, const ZonedWrite *w)
{
    return zone_start(t, w->zone) + zoned_table_extent(t, w->zone) == w->end;
}

void zoned_table_end_write(ZonedTable *t, ZonedWrite *w, int ret)
{
    QTAILQ_REMOVE(&t->writes, w, next);
    if (ret < 0 && is_fresh(w)) {
        failed_add(t, w, ret);
    }
    if (!qemu_co_queue_empty(&t->landed)) {
        qemu_co_queue_restart_all(&t->landed);
    }
}

/*
 * Commits
 */

/* What a commit writes */
typedef struct Snapshot {
    uint32_t count;
    uint32_t *blocks;           /* their numbers, ascending */
    uint8_t *buf;               /* their content */
} Snapshot;

/*
 * Is @w in the way of a flush?  Something behind it was acknowledged, or could
 * have been; that is to be below the write pointer after a crash, too.
 *
 * Where a reset is pending, no write of the zone was issued yet.
 */
static bool must_land(const ZonedTable *t, const ZonedWrite *w, uint64_t limit)
{
    return w->number < limit && is_fresh(w) &&
           !zoned_table_reset_pending(t, w->zone) &&
           !zoned_table_is_last(t, w);
}

/*
 * Is @w in the way of a snapshot?  Without it, a zone that the model counts as
 * full would be an active one after a crash, and there may be no room for it.
 */
static bool must_fill(const ZonedTable *t, const ZonedWrite *w)
{
    return t->h.g.max_active_zones && is_fresh(w) &&
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

static void open_gate(ZonedTable *t)
{
    t->gate = false;
    qemu_co_queue_restart_all(&t->gated);
}

static uint8_t *snapshot_block(const Snapshot *s, uint32_t i)
{
    return s->buf + (size_t)i * ZONED_BLOCK_SIZE;
}

static void snapshot_entries(ZonedTable *t, Snapshot *s, uint32_t i)
{
    uint32_t first = s->blocks[i] * ZONED_BLOCK_ENTRIES;
    uint32_t count = MIN(ZONED_BLOCK_ENTRIES, t->nr_zones - first);
    uint32_t k;

    for (k = 0; k < count; k++) {
        uint64_t *e = &t->entries[first + k];

        if (*e & RESET_PENDING) {
            *e |= RESET_COMMITTING;
        }
        zoned_block_set(snapshot_block(s, i), k, *e & ENTRY_ON_DISK);
    }
}

static int compare_blocks(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* The extent of a zone on disk ends before what has not landed */
static void snapshot_cap(ZonedTable *t, Snapshot *s, const ZonedWrite *w)
{
    uint32_t block = w->zone / ZONED_BLOCK_ENTRIES;
    uint32_t k = w->zone % ZONED_BLOCK_ENTRIES;
    uint32_t *found = bsearch(&block, s->blocks, s->count, sizeof(block),
                              compare_blocks);
    int64_t extent = w->fresh - zone_start(t, w->zone);
    uint64_t entry;
    uint8_t *buf;

    if (!found || !is_fresh(w)) {
        return;
    }
    buf = snapshot_block(s, found - s->blocks);
    entry = zoned_block_get(buf, k);
    if (extent < zoned_entry_extent(entry)) {
        /* A full zone is not active, and there may be no room for one more */
        bool finish = w->failed && zone_is_full(t, w->zone, entry);

        zoned_block_set(buf, k, zoned_entry(finish ? ZONED_ENTRY_FINISHED
                                                   : zoned_entry_state(entry),
                                            extent));
        zoned_table_set_dirty(t, w->zone);
    }
}

static void snapshot_free(Snapshot *s)
{
    g_free(s->blocks);
    qemu_vfree(s->buf);
}

/* The table as it is at this instant, without what has not landed */
static int snapshot_take(ZonedTable *t, Snapshot *s)
{
    const ZonedWrite *w;
    GHashTableIter iter;
    gpointer list;
    uint32_t b;
    size_t size;

    *s = (Snapshot) { .count = bitmap_count_one(t->dirty, t->nr_blocks) };
    if (!s->count) {
        return 0;
    }
    size = (size_t)s->count * ZONED_BLOCK_SIZE;
    s->buf = qemu_try_blockalign0(t->bs->file->bs, size);
    if (!s->buf) {
        return -ENOMEM;
    }
    s->blocks = g_new(uint32_t, s->count);
    s->count = 0;
    for (b = find_first_bit(t->dirty, t->nr_blocks); b < t->nr_blocks;
         b = find_next_bit(t->dirty, t->nr_blocks, b + 1)) {
        s->blocks[s->count] = b;
        snapshot_entries(t, s, s->count++);
    }
    bitmap_zero(t->dirty, t->nr_blocks);
    QTAILQ_FOREACH(w, &t->writes, next) {
        snapshot_cap(t, s, w);
    }
    g_hash_table_iter_init(&iter, t->failed);
    while (g_hash_table_iter_next(&iter, NULL, &list)) {
        QTAILQ_FOREACH(w, (ZonedWriteList *)list, next) {
            snapshot_cap(t, s, w);
        }
    }
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

static int coroutine_fn co_write_blocks(ZonedTable *t, const Snapshot *s)
{
    AioTaskPool *pool;
    uint32_t i;
    int ret;

    if (s->count == 1) {
        return co_write_block(t, s->blocks[0], s->buf);
    }
    pool = aio_task_pool_new(COMMIT_TASKS);
    for (i = 0; i < s->count && aio_task_pool_status(pool) == 0; i++) {
        BlockTask *b = g_new(BlockTask, 1);

        *b = (BlockTask) {
            .task.func = co_block_task,
            .t = t,
            .block = s->blocks[i],
            .buf = snapshot_block(s, i),
        };
        aio_task_pool_start_task(pool, &b->task);
    }
    aio_task_pool_wait_all(pool);
    ret = aio_task_pool_status(pool);
    aio_task_pool_free(pool);
    return ret;
}

static int coroutine_fn co_write_snapshot(ZonedTable *t, Snapshot *s)
{
    ZonedBlockInfo info = {
        .generation = ++t->newest,
        .stable = t->stable,
        .count = s->count,
    };
    uint32_t i;
    int ret;

    if (info.generation >= ZONED_MAX_GENERATION) {
        /* To a guest, most other errors would mean a mistake of its own */
        t->newest--;
        return -EIO;
    }
    for (i = 0; i < s->count; i++) {
        zoned_block_encode(snapshot_block(s, i), s->blocks[i], &info);
    }
    ret = co_write_blocks(t, s);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_flush(t->bs->file->bs);
    if (ret < 0) {
        return ret;
    }
    t->stable = info.generation;
    return 0;
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
        uint32_t first = s->blocks[i] * ZONED_BLOCK_ENTRIES;
        uint32_t end = MIN(first + ZONED_BLOCK_ENTRIES, t->nr_zones);

        for (zone = first; zone < end; zone++) {
            if (t->entries[zone] & RESET_COMMITTING) {
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
    int64_t start = zone_start(t, zone);

    if (start != r->end) {
        co_discard(t, r);
        r->start = start;
    }
    r->end = start + MIN(t->h.g.zone_size, t->h.g.length - start);
}

static void coroutine_fn co_release_zone(ZonedTable *t, uint32_t zone,
                                         void *opaque)
{
    t->entries[zone] &= ~(RESET_PENDING | RESET_COMMITTING);
}

static void coroutine_fn co_abandon_zone(ZonedTable *t, uint32_t zone,
                                         void *opaque)
{
    t->entries[zone] &= ~RESET_COMMITTING;
}

/* The table on disk is that of @s now */
static void coroutine_fn co_finish_snapshot(ZonedTable *t, const Snapshot *s)
{
    DiscardRange r = { 0, 0 };
    uint32_t i;

    for (i = 0; i < s->count; i++) {
        change_bit(s->blocks[i], t->copy);
    }
    /* Nothing is written to these zones meanwhile */
    co_foreach_reset(t, s, co_discard_zone, &r);
    co_discard(t, &r);
    co_foreach_reset(t, s, co_release_zone, NULL);
}

/* It may be, or not: the next commit writes all of its blocks once more */
static void coroutine_fn co_abandon_snapshot(ZonedTable *t, const Snapshot *s)
{
    uint32_t i;

    for (i = 0; i < s->count; i++) {
        set_bit(s->blocks[i], t->dirty);
    }
    co_foreach_reset(t, s, co_abandon_zone, NULL);
}

int coroutine_fn zoned_table_co_commit_locked(ZonedTable *t)
{
    Snapshot s;
    int ret;

    ret = snapshot_take(t, &s);
    open_gate(t);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_flush(t->bs->file->bs);
    if (ret == 0 && s.count) {
        ret = co_write_snapshot(t, &s);
    }
    if (ret == 0) {
        co_finish_snapshot(t, &s);
    } else {
        co_abandon_snapshot(t, &s);
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
    return ret < 0 ? ret : any_failed(t);
}
