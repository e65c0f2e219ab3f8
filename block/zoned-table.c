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
    return zoned_entry_to_zone(&t->h.g, zone, entry).state == BLK_ZS_FULL;
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
    return t->modified;
}

void zoned_table_set_dirty(ZonedTable *t, uint32_t zone)
{
    t->nr_changed += !test_and_set_bit(zone, t->changed);
    set_bit(zone / ZONED_BLOCK_ENTRIES, t->dirty);
    t->modified = true;
}

void zoned_table_rewrite(ZonedTable *t, uint32_t block)
{
    set_bit(block, t->dirty);
    t->must_write_table = true;
    t->modified = true;
}

void zoned_table_rewrite_log(ZonedTable *t)
{
    t->must_write_log = true;
    t->modified = true;
}

void zoned_table_set_entry(ZonedTable *t, uint32_t zone, uint64_t entry)
{
    uint64_t *e = &t->entries[zone];

    if ((*e & ENTRY_ON_DISK) != entry) {
        *e = (*e & ~ENTRY_ON_DISK) | entry;
        zoned_table_set_dirty(t, zone);
    }
}

void zoned_table_set_state(ZonedTable *t, uint32_t zone, ZonedEntryState state,
                           int64_t extent)
{
    zoned_table_set_entry(t, zone, zoned_entry_change(t->entries[zone], state,
                                                      extent));
}

void zoned_table_set_flag(ZonedTable *t, uint32_t zone, uint64_t flag)
{
    zoned_table_set_entry(t, zone, zoned_table_entry(t, zone) | flag);
}

bool zoned_table_reset_pending(const ZonedTable *t, uint32_t zone)
{
    return t->entries[zone] & RESET_PENDING;
}

void zoned_table_reset(ZonedTable *t, uint32_t zone)
{
    g_hash_table_remove(t->failed, GUINT_TO_POINTER(zone));
    if (zoned_table_extent(t, zone) ||
        (t->entries[zone] & ZONED_ENTRY_EXTENSION)) {
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
        zoned_table_set_state(t, zone, zoned_entry_state(t->entries[zone]),
                              end - zone_start(t, zone));
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

int coroutine_fn zoned_table_co_wait_reset(ZonedTable *t, uint32_t zone)
{
    int ret;

    while (zoned_table_reset_pending(t, zone) &&
           !zoned_table_has_failed(t, zone)) {
        /*
         * The commit under way may do.  Were we to ask for one after it, that
         * one could wait for us to fill the zone.
         */
        if (t->committing) {
            qemu_co_queue_wait(&t->committed, NULL);
        } else {
            ret = zoned_table_co_commit(t);
            if (ret < 0 && zoned_table_reset_pending(t, zone)) {
                return ret;
            }
        }
    }
    return zoned_table_has_failed(t, zone) ? -EIO : 0;
}

int coroutine_fn zoned_table_co_wait_write(ZonedTable *t, ZonedWrite *w)
{
    while (t->h.g.model == BLK_Z_HA && overlaps_earlier(t, w)) {
        qemu_co_queue_wait(&t->landed, NULL);
    }
    return zoned_table_co_wait_reset(t, w->zone);
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

    if (*e & RESET_PENDING) {
        *e |= RESET_COMMITTING;
    }
    snapshot_set(s, i, zone, *e & ENTRY_ON_DISK);
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
    int64_t extent = w->fresh - zone_start(t, w->zone);
    uint64_t entry;

    if (i < 0 || !is_fresh(w)) {
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

    t->commit_hole = any_failed(t);
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
    return ret < 0 ? ret : any_failed(t);
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
