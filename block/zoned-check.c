/*
 * Check and repair of zoned images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/error-report.h"
#include "zoned-commit.h"
#include "zoned-driver.h"

#define ALL_COPIES ((1U << ZONED_HEADER_COPIES) - 1)

/*
 * A crash may leave a copy of anything that is damaged, or that says what does
 * not count.  The other one is used, and nothing is lost that had been flushed:
 * so this is counted as a leak.  Where a disk has lost what it had confirmed,
 * it looks the same.
 */

/* Returns: 0, or -errno where a repair has failed */
static int coroutine_fn co_check_header(BlockDriverState *bs,
                                        BdrvCheckResult *result,
                                        BdrvCheckMode fix)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    if (s->header_valid == ALL_COPIES) {
        return 0;
    }
    if (!(fix & BDRV_FIX_LEAKS)) {
        error_printf("WARNING: copy %d of the header is damaged, copy %d is "
                     "used\n", !s->header_copy, s->header_copy);
        result->leaks++;
        return 0;
    }
    ret = zoned_co_settle(bs);
    if (ret < 0) {
        return ret;
    }
    s->header_valid = ALL_COPIES;
    error_printf("Repaired: copy %d of the header was damaged, and is that of "
                 "copy %d now\n", !s->header_copy, s->header_copy);
    result->leaks_fixed++;
    return 0;
}

/* Does a copy of a block not say what the table is, and why? */
static char *leftover_message(const ZonedTable *t, uint32_t block, int copy,
                              const uint8_t *pair)
{
    ZonedBlockInfo info;

    if (!zoned_block_decode(pair + copy * ZONED_BLOCK_SIZE, block, &info)) {
        return g_strdup_printf("copy %d of table block %" PRIu32 " is damaged, "
                               "copy %d is used%s", copy, block, !copy,
                               zoned_block_newer(pair) == copy
                               ? ", which is older: the commit that wrote the "
                                 "damaged one does not count" : "");
    }
    if (info.generation > t->stable) {
        return g_strdup_printf("copy %d of table block %" PRIu32 " is of "
                               "commit %" PRIu64 ", of which something is "
                               "missing: it does not count, copy %d is used",
                               copy, block, info.generation, !copy);
    }
    return NULL;
}

static void find_leftover(ZonedTable *t, uint32_t block, const uint8_t *pair,
                          ZonedDamage *found)
{
    int copy = test_bit(block, t->copy);
    g_autofree char *used = leftover_message(t, block, copy, pair);
    char *message;

    if (used) {
        /* No copy counts: this has been found when the table was loaded */
        return;
    }
    message = leftover_message(t, block, !copy, pair);
    if (message) {
        zoned_damage_add(found, message);
        /* The next commit writes over it */
        zoned_table_rewrite(t, block);
    }
}

/* Is a slot of the log not what the last commit or an older one has left? */
static char *log_leftover_message(const ZonedTable *t, int slot,
                                  const uint8_t *buf)
{
    ZonedLogInfo info;

    if (!zoned_log_decode(buf, &info)) {
        return g_strdup_printf("slot %d of the log is damaged: the commit "
                               "that wrote it does not count", slot);
    }
    if (info.generation > t->stable) {
        return g_strdup_printf("slot %d of the log is of commit %" PRIu64
                               ", which had failed: it does not count", slot,
                               info.generation);
    }
    return NULL;
}

static int coroutine_fn co_find_log_leftovers(BlockDriverState *bs,
                                              ZonedDamage *found)
{
    BDRVZonedState *s = bs->opaque;
    g_autofree uint8_t *buf = g_malloc(ZONED_LOG_SIZE);
    int slot, ret;

    for (slot = 0; slot < ZONED_LOG_SLOTS; slot++) {
        char *message;

        ret = bdrv_co_pread(bs->file, zoned_log_slot_offset(slot),
                            ZONED_LOG_SIZE, buf, 0);
        if (ret < 0) {
            return ret;
        }
        message = log_leftover_message(&s->table, slot, buf);
        if (message) {
            zoned_damage_add(found, message);
            zoned_table_rewrite_log(&s->table);
        }
    }
    return 0;
}

static int coroutine_fn co_find_leftovers(BlockDriverState *bs,
                                          ZonedDamage *found)
{
    BDRVZonedState *s = bs->opaque;
    ZonedTable *t = &s->table;
    g_autofree uint8_t *pair = g_malloc(ZONED_BLOCK_PAIR_SIZE);
    uint32_t block;
    int ret;

    for (block = 0; block < t->nr_blocks; block++) {
        int64_t offset = zoned_header_block_offset(&s->h, block, 0);

        ret = bdrv_co_pread(bs->file, offset, ZONED_BLOCK_PAIR_SIZE, pair, 0);
        if (ret < 0) {
            return ret;
        }
        find_leftover(t, block, pair, found);
    }
    return co_find_log_leftovers(bs, found);
}

/* @repaired: what was done about it, or NULL */
static void print_damage(const ZonedDamage *damage, const char *severity,
                         const char *repaired)
{
    GSList *messages = g_slist_reverse(g_slist_copy(damage->messages));
    const GSList *m;

    for (m = messages; m; m = m->next) {
        error_printf("%s: %s%s%s\n", repaired ? "Repaired" : severity,
                     (const char *)m->data, repaired ? ": " : "",
                     repaired ?: "");
    }
    g_slist_free(messages);
    if (damage->count > ZONED_DAMAGE_MESSAGES) {
        error_printf("... and %u more\n",
                     damage->count - ZONED_DAMAGE_MESSAGES);
    }
}

static int coroutine_fn co_repair_table(BlockDriverState *bs)
{
    BDRVZonedState *s = bs->opaque;
    ZonedDamage rest = { 0 };
    int ret = zoned_co_settle(bs);
    int i;

    /*
     * When it was loaded, all that is damaged became full.  A commit writes one
     * of two copies of a block, or one of two slots of the log.
     */
    for (i = 0; i < 2 * (ZONED_BLOCK_COPIES + ZONED_LOG_SLOTS); i++) {
        if (ret == 0) {
            ret = zoned_table_co_commit(&s->table);
        }
        if (ret == 0) {
            ret = co_find_leftovers(bs, &rest);
        }
        if (ret < 0 || !rest.count) {
            break;
        }
        zoned_damage_clear(&rest);
    }
    zoned_damage_clear(&rest);
    return ret;
}

static int coroutine_fn co_check_table(BlockDriverState *bs,
                                       BdrvCheckResult *result,
                                       BdrvCheckMode fix)
{
    BDRVZonedState *s = bs->opaque;
    ZonedDamage leftovers = { 0 };
    /* A commit brings both to the disk */
    bool repair = fix & (s->damage.count ? BDRV_FIX_ERRORS : BDRV_FIX_LEAKS);
    int ret = co_find_leftovers(bs, &leftovers);

    repair = repair && (s->damage.count || leftovers.count);
    if (ret == 0 && repair) {
        ret = co_repair_table(bs);
    }
    if (ret < 0) {
        zoned_damage_clear(&leftovers);
        return ret;
    }
    print_damage(&s->damage, "ERROR",
                 repair ? "made full, can be read and reset" : NULL);
    print_damage(&leftovers, "WARNING", repair ? "written anew" : NULL);
    if (repair) {
        result->corruptions_fixed += s->damage.count;
        result->leaks_fixed += leftovers.count;
        zoned_damage_clear(&s->damage);
        s->usable = true;
    } else {
        result->corruptions += s->damage.count;
        result->leaks += leftovers.count;
    }
    zoned_damage_clear(&leftovers);
    return 0;
}

int coroutine_fn zoned_co_check(BlockDriverState *bs, BdrvCheckResult *result,
                                BdrvCheckMode fix)
{
    BDRVZonedState *s = bs->opaque;
    int ret;

    result->image_end_offset = zoned_header_file_length(&s->h);
    /* A repair of the header would write over what a commit has left */
    ret = co_check_table(bs, result, fix);
    if (ret == 0) {
        ret = co_check_header(bs, result, fix);
    }
    if (ret < 0) {
        error_printf("ERROR: the check or the repair has failed: %s\n",
                     strerror(-ret));
        result->check_errors++;
    }
    return ret;
}
