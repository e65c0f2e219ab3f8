/*
 * Zoned images: how the zone table comes into memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/memalign.h"
#include "zoned-table.h"

/* Table blocks that are read at once */
#define LOAD_BLOCKS 128

typedef struct Loader {
    ZonedTable *t;
    uint8_t *buf;               /* LOAD_BLOCKS blocks with their copies */
    uint64_t limit;             /* what is newer does not count */
    uint64_t newest;            /* the highest generation that was loaded */
    ZonedBlockInfo info;        /* what one of its blocks says */
    uint32_t seen;              /* how many blocks are of it */
    unsigned long *torn;        /* blocks of which a copy is not intact */
    uint8_t *log;               /* its slots */
    ZonedLogInfo records[ZONED_LOG_SLOTS];  /* generation 0: none */
    int record;                 /* the one that counts, or -1 */
    ZonedDamage damage;
    Error **errp;
} Loader;

void zoned_damage_add(ZonedDamage *d, char *message)
{
    if (d->count++ < ZONED_DAMAGE_MESSAGES) {
        d->messages = g_slist_prepend(d->messages, message);
    } else {
        g_free(message);
    }
}

void zoned_damage_clear(ZonedDamage *d)
{
    g_slist_free_full(d->messages, g_free);
    *d = (ZonedDamage) { 0 };
}

/* What was found is passed on to @damage, or is an error if that is NULL */
static int report_damage(Loader *l, ZonedDamage *damage)
{
    if (damage) {
        *damage = l->damage;
        return 0;
    }
    if (!l->damage.count) {
        return 0;
    }
    error_setg(l->errp, "The zone table of the image is damaged: %s; repair it "
               "with 'qemu-img check -r all', which makes the zones concerned "
               "full, so that they can be read",
               (char *)g_slist_last(l->damage.messages)->data);
    zoned_damage_clear(&l->damage);
    return -EINVAL;
}

static uint64_t finished_entry(const ZonedTable *t, uint32_t zone)
{
    if (zone < t->h.g.conventional_zones) {
        return 0;
    }
    return zoned_entry(ZONED_ENTRY_FINISHED,
                       zone_geometry_capacity(&t->h.g, zone));
}

static void load_entry(Loader *l, uint32_t zone, uint64_t entry)
{
    ZonedTable *t = l->t;

    if (!zoned_entry_check(&t->h.g, zone, entry)) {
        zoned_damage_add(&l->damage,
                         g_strdup_printf("zone %" PRIu32 " has the invalid "
                                         "entry 0x%" PRIx64, zone, entry));
        entry = finished_entry(t, zone);
        zoned_table_rewrite(t, zone / ZONED_BLOCK_ENTRIES);
    }
    t->entries[zone] = entry;
}

static void load_entries(Loader *l, uint32_t block, const uint8_t *buf)
{
    ZonedTable *t = l->t;
    uint32_t first = block * ZONED_BLOCK_ENTRIES;
    uint32_t count = MIN(ZONED_BLOCK_ENTRIES, t->nr_zones - first);
    uint32_t k;

    for (k = 0; k < count; k++) {
        uint64_t entry = zoned_block_get(buf, k);

        /* Nothing is written where nothing is, to touch less memory */
        if (t->entries[first + k] != entry) {
            load_entry(l, first + k, entry);
        }
    }
}

static void load_damaged_block(Loader *l, uint32_t block)
{
    ZonedTable *t = l->t;
    uint32_t first = block * ZONED_BLOCK_ENTRIES;
    uint32_t end = MIN(first + ZONED_BLOCK_ENTRIES, t->nr_zones);
    uint32_t conventional = MIN(t->h.g.conventional_zones, end - 1);
    uint32_t zone;

    zoned_damage_add(&l->damage,
                     g_strdup_printf("no copy of table block %" PRIu32 " is "
                                     "intact, with zones %" PRIu32 " to %"
                                     PRIu32, block, MAX(first, conventional),
                                     end - 1));
    for (zone = first; zone < end; zone++) {
        t->entries[zone] = finished_entry(t, zone);
    }
    zoned_table_rewrite(t, block);
}

/*
 * Load a block from the newest of its copies that is intact and not newer
 * than the limit
 */
static void load_block(Loader *l, uint32_t block, const uint8_t *pair)
{
    ZonedTable *t = l->t;
    unsigned int copy = zoned_block_newer(pair);
    ZonedBlockInfo info;
    int i;

    if (buffer_is_zero(pair, ZONED_BLOCK_PAIR_SIZE)) {
        return;
    }
    for (i = 0; i < ZONED_BLOCK_COPIES; i++, copy = !copy) {
        if (!zoned_block_decode(pair + copy * ZONED_BLOCK_SIZE, block,
                                &info)) {
            set_bit(block, l->torn);
        } else if (info.generation <= l->limit) {
            break;
        } else {
            t->leftovers = true;
            zoned_table_rewrite(t, block);
        }
    }
    if (i == ZONED_BLOCK_COPIES) {
        load_damaged_block(l, block);
        return;
    }

    if (copy) {
        set_bit(block, t->copy);
    } else {
        clear_bit(block, t->copy);
    }
    if (info.generation > l->newest) {
        l->newest = info.generation;
        l->info = info;
        l->seen = 0;
    }
    l->seen += info.generation == l->newest;
    load_entries(l, block, pair + copy * ZONED_BLOCK_SIZE);
}

static int load_read(Loader *l, int64_t offset, int64_t bytes, uint8_t *buf)
{
    int ret = bdrv_pread(l->t->bs->file, offset, bytes, buf, 0);

    if (ret < 0) {
        error_setg_errno(l->errp, -ret, "Cannot read the zone table");
    }
    return ret;
}

/* Load the table from commits up to @limit */
static int load_table(Loader *l, uint64_t limit)
{
    ZonedTable *t = l->t;
    uint32_t block, k, count;
    int ret;

    l->limit = limit;
    l->newest = 0;
    l->seen = 0;
    for (block = 0; block < t->nr_blocks; block += count) {
        count = MIN(LOAD_BLOCKS, t->nr_blocks - block);
        ret = load_read(l, zoned_header_block_offset(&t->h, block, 0),
                        (int64_t)count * ZONED_BLOCK_PAIR_SIZE, l->buf);
        if (ret < 0) {
            return ret;
        }
        for (k = 0; k < count; k++) {
            load_block(l, block + k, l->buf + k * ZONED_BLOCK_PAIR_SIZE);
        }
    }
    return 0;
}

/*
 * The log
 */

static int load_log(Loader *l)
{
    unsigned int i;
    int ret = load_read(l, ZONED_LOG_OFFSET, ZONED_LOG_END - ZONED_LOG_OFFSET,
                        l->log);

    for (i = 0; i < ZONED_LOG_SLOTS && ret >= 0; i++) {
        if (!zoned_log_decode(l->log + i * ZONED_LOG_SIZE, &l->records[i])) {
            l->records[i].generation = 0;
            /* A slot that a crash has torn is the next to be written */
            l->t->log_slot = i;
        }
    }
    return ret;
}

/* Returns: the record of a commit, or -1 */
static int find_record(const Loader *l, uint64_t generation)
{
    int i;

    for (i = 0; i < ZONED_LOG_SLOTS; i++) {
        if (generation && l->records[i].generation == generation) {
            return i;
        }
    }
    return -1;
}

static void find_log_leftovers(Loader *l)
{
    ZonedTable *t = l->t;
    unsigned int i;

    for (i = 0; i < ZONED_LOG_SLOTS; i++) {
        if (l->records[i].generation > t->stable) {
            t->leftovers = true;
            t->log_slot = i;
            zoned_table_rewrite_log(t);
        }
    }
}

/*
 * Which commit is the last one?
 *
 * Returns: the newest commit of the table that goes with it
 */
static uint64_t find_last(Loader *l)
{
    ZonedTable *t = l->t;
    uint64_t newest_record = MAX(l->records[0].generation,
                                 l->records[1].generation);

    t->newest = MAX(l->newest, newest_record);
    t->stable = t->newest;
    if (l->newest > newest_record && l->seen != l->info.count) {
        /*
         * Not all blocks of the newest one have arrived.  Then none of them
         * counts, nor does what a commit before it left that had failed.
         */
        t->stable = l->info.stable;
    }
    find_log_leftovers(l);
    l->record = find_record(l, t->stable);
    return l->record < 0 ? t->stable : l->records[l->record].table;
}

static void load_torn_blocks(Loader *l)
{
    ZonedTable *t = l->t;
    uint32_t block;

    for (block = find_first_bit(l->torn, t->nr_blocks); block < t->nr_blocks;
         block = find_next_bit(l->torn, t->nr_blocks, block + 1)) {
        load_damaged_block(l, block);
    }
}

static void load_record(Loader *l)
{
    ZonedTable *t = l->t;
    const uint8_t *buf = l->log + l->record * ZONED_LOG_SIZE;
    uint64_t zone, entry, next = 0;
    uint32_t i;

    for (i = 0; i < l->records[l->record].count; i++, next = zone + 1) {
        entry = zoned_log_get(buf, i, &zone);
        if (zone < next || zone >= t->nr_zones) {
            zoned_table_rewrite(t, 0);
            zoned_damage_add(&l->damage,
                             g_strdup_printf("the log has zone %" PRIu64 " in "
                                             "the wrong place", zone));
            return;
        }
        load_entry(l, zone, entry);
        t->nr_changed += !test_and_set_bit(zone, t->changed);
        set_bit(zone / ZONED_BLOCK_ENTRIES, t->dirty);
    }
    t->log_slot = !l->record;
}

static int load_last_commit(Loader *l)
{
    uint64_t limit;
    int ret = load_log(l);

    if (ret >= 0) {
        ret = load_table(l, UINT64_MAX);
    }
    if (ret < 0) {
        return ret;
    }
    limit = find_last(l);
    if (limit < l->newest) {
        zoned_damage_clear(&l->damage);
        ret = load_table(l, limit);
        if (ret < 0) {
            return ret;
        }
    }
    l->t->stable_table = l->newest;
    if (l->record < 0) {
        return 0;
    }
    if (l->newest != limit || (limit && l->seen != l->info.count)) {
        /* The record goes with a commit of the table that has lost a block */
        load_torn_blocks(l);
    }
    load_record(l);
    return 0;
}

static int load_blocks(ZonedTable *t, ZonedDamage *damage, Error **errp)
{
    Loader l = { .t = t, .errp = errp };
    int ret = -ENOMEM;

    l.buf = qemu_try_blockalign(t->bs->file->bs,
                                LOAD_BLOCKS * ZONED_BLOCK_PAIR_SIZE);
    l.log = qemu_try_blockalign(t->bs->file->bs,
                                ZONED_LOG_END - ZONED_LOG_OFFSET);
    l.torn = bitmap_try_new(t->nr_blocks);
    if (!l.buf || !l.log || !l.torn) {
        error_setg(errp, "Not enough memory to load the zone table");
    } else {
        ret = load_last_commit(&l);
    }
    if (ret < 0) {
        zoned_damage_clear(&l.damage);
    } else {
        ret = report_damage(&l, damage);
    }
    g_free(l.torn);
    qemu_vfree(l.log);
    qemu_vfree(l.buf);
    return MIN(ret, 0);
}

static bool table_alloc(ZonedTable *t)
{
    t->entries = g_try_new0(uint64_t, t->nr_zones);
    t->changed = bitmap_try_new(t->nr_zones);
    t->dirty = bitmap_try_new(t->nr_blocks);
    t->copy = bitmap_try_new(t->nr_blocks);
    return t->entries && t->changed && t->dirty && t->copy;
}

static void table_free(ZonedTable *t)
{
    g_free(t->entries);
    g_free(t->changed);
    g_free(t->dirty);
    g_free(t->copy);
}

static void failed_free(gpointer opaque)
{
    ZonedWriteList *list = opaque;
    ZonedWrite *w, *next;

    QTAILQ_FOREACH_SAFE(w, list, next, next) {
        g_free(w);
    }
    g_free(list);
}

int zoned_table_load(ZonedTable *t, BlockDriverState *bs, const ZonedHeader *h,
                     ZonedDamage *damage, Error **errp)
{
    int ret;

    t->bs = bs;
    t->h = *h;
    t->nr_zones = zone_geometry_nr_zones(&h->g);
    t->nr_blocks = zoned_header_nr_blocks(h);
    t->log_limit = ZONED_LOG_ENTRIES;
    QTAILQ_INIT(&t->writes);
    t->failed = g_hash_table_new_full(NULL, NULL, NULL, failed_free);
    qemu_co_queue_init(&t->landed);
    qemu_co_queue_init(&t->committed);
    qemu_co_queue_init(&t->gated);
    if (!table_alloc(t)) {
        error_setg(errp, "Not enough memory for the zone table");
        ret = -ENOMEM;
    } else {
        ret = load_blocks(t, damage, errp);
    }
    if (ret < 0) {
        zoned_table_destroy(t);
    }
    return ret;
}

int zoned_table_set_length(ZonedTable *t, int64_t length)
{
    ZonedHeader h = t->h;
    ZonedTable new;

    h.g.length = length;
    new = (ZonedTable) {
        .nr_zones = zone_geometry_nr_zones(&h.g),
        .nr_blocks = zoned_header_nr_blocks(&h),
    };
    if (!table_alloc(&new)) {
        table_free(&new);
        return -ENOMEM;
    }
    memcpy(new.entries, t->entries,
           MIN(new.nr_zones, t->nr_zones) * sizeof(new.entries[0]));
    bitmap_copy(new.changed, t->changed, MIN(new.nr_zones, t->nr_zones));
    bitmap_copy(new.dirty, t->dirty, MIN(new.nr_blocks, t->nr_blocks));
    bitmap_copy(new.copy, t->copy, MIN(new.nr_blocks, t->nr_blocks));
    table_free(t);
    t->h.g.length = length;
    t->nr_zones = new.nr_zones;
    t->nr_blocks = new.nr_blocks;
    t->entries = new.entries;
    t->changed = new.changed;
    t->dirty = new.dirty;
    t->copy = new.copy;
    return 0;
}

void zoned_table_destroy(ZonedTable *t)
{
    g_clear_pointer(&t->failed, g_hash_table_destroy);
    table_free(t);
    memset(t, 0, sizeof(*t));
}
