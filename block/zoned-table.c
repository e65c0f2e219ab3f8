/*
 * Zoned images: the zone table at run time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "zoned-commit.h"
#include "zoned-table.h"

/*
 * Entries
 */

uint64_t zoned_table_entry(const ZonedTable *t, uint32_t zone)
{
    return t->entries[zone] & ZONED_ENTRY_ON_DISK;
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

    if ((*e & ZONED_ENTRY_ON_DISK) != entry) {
        *e = (*e & ~ZONED_ENTRY_ON_DISK) | entry;
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
    return t->entries[zone] & ZONED_RESET_PENDING;
}

void zoned_table_reset(ZonedTable *t, uint32_t zone)
{
    g_hash_table_remove(t->failed, GUINT_TO_POINTER(zone));
    if (zoned_table_extent(t, zone) ||
        (t->entries[zone] & ZONED_ENTRY_EXTENSION)) {
        t->entries[zone] |= ZONED_RESET_PENDING;
    }
    /* A commit under way may hold what the zone was before */
    t->entries[zone] &= ~ZONED_RESET_COMMITTING;
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

int zoned_table_any_failed(const ZonedTable *t)
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

/* Cut a range off before, or behind, what nobody may see of @list */
static int64_t clip_by_list(const ZonedWriteList *list, int64_t offset,
                            int64_t bytes, bool *data)
{
    const ZonedWrite *w;

    QTAILQ_FOREACH(w, list, next) {
        if (w->fresh >= offset + bytes || w->end <= offset ||
            !zoned_write_is_fresh(w)) {
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
    int64_t start = zoned_table_start(t, zone);
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

void zoned_table_begin_write(ZonedTable *t, ZonedWrite *w, int64_t offset,
                             int64_t end)
{
    uint32_t zone = offset / t->h.g.zone_size;
    int64_t start = zoned_table_start(t, zone);
    int64_t extent_end = start + zoned_table_extent(t, zone);

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
                              end - start);
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
    return zoned_table_start(t, w->zone) +
           zoned_table_extent(t, w->zone) == w->end;
}

static bool is_behind(const ZonedWrite *other, const ZonedWrite *w)
{
    return other->zone == w->zone && other->offset >= w->end;
}

static bool any_behind(const ZonedTable *t, const ZonedWrite *w)
{
    const ZonedWrite *other;

    QTAILQ_FOREACH(other, &t->writes, next) {
        if (is_behind(other, w)) {
            return true;
        }
    }
    return false;
}

void coroutine_fn zoned_table_co_wait_behind(ZonedTable *t, ZonedWrite *w)
{
    t->nr_failing++;
    while (!w->passed && any_behind(t, w)) {
        qemu_co_queue_wait(&t->landed, NULL);
    }
    t->nr_failing--;
}

void zoned_table_pass_failing(ZonedTable *t, const ZonedWrite *w)
{
    ZonedWrite *other;

    if (!t->nr_failing) {
        return;
    }
    QTAILQ_FOREACH(other, &t->writes, next) {
        if (is_behind(w, other)) {
            other->passed = true;
        }
    }
}

void zoned_table_end_write(ZonedTable *t, ZonedWrite *w, int ret)
{
    QTAILQ_REMOVE(&t->writes, w, next);
    if (ret < 0 && zoned_write_is_fresh(w)) {
        failed_add(t, w, ret);
    }
    if (!qemu_co_queue_empty(&t->landed)) {
        qemu_co_queue_restart_all(&t->landed);
    }
}
