/*
 * Zoned images: the zone table at run time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What each zone holds now, and which writes are under way.  zoned-commit.h has
 * what brings it to the disk.
 *
 * All functions run in the AioContext of the node, with its lock held.
 */

#ifndef BLOCK_ZONED_TABLE_H
#define BLOCK_ZONED_TABLE_H

#include "qemu/coroutine.h"
#include "qemu/queue.h"
#include "block/block_int.h"
#include "zoned-log.h"

/*
 * A write to one sequential zone that has begun and not ended, or one that
 * failed and left something behind.  From @fresh to @end there was nothing
 * before it: this is what nobody may see until the write has landed.
 */
typedef struct ZonedWrite {
    uint32_t zone;
    int64_t fresh;              /* @end if it only overwrites */
    int64_t offset;             /* of the data */
    int64_t end;
    int failed;                 /* -errno of a write that has failed */
    uint64_t number;            /* in the order of admission */
    bool passed;                /* data behind it has landed meanwhile */
    QTAILQ_ENTRY(ZonedWrite) next;
} ZonedWrite;

typedef QTAILQ_HEAD(, ZonedWrite) ZonedWriteList;

/* Does @w write where there was nothing? */
static inline bool zoned_write_is_fresh(const ZonedWrite *w)
{
    return w->fresh < w->end;
}

/*
 * Bits of entries in memory that are 0 on disk.  A zone with
 * ZONED_RESET_PENDING was reset, which the table on disk may not say: its old
 * data must stay as it is, and so no write is issued.
 * ZONED_RESET_COMMITTING: the commit under way says it.
 */
#define ZONED_RESET_PENDING     (UINT64_C(1) << 56)
#define ZONED_RESET_COMMITTING  (UINT64_C(1) << 57)
#define ZONED_ENTRY_ON_DISK \
    (~(ZONED_RESET_PENDING | ZONED_RESET_COMMITTING))

typedef struct ZonedTable {
    BlockDriverState *bs;       /* the table is in the child bs->file */
    ZonedHeader h;
    uint32_t nr_zones;
    uint32_t nr_blocks;
    uint64_t *entries;          /* for each zone, with two bits of our own */
    unsigned long *changed;     /* for each zone: not so in the table on disk */
    uint32_t nr_changed;
    unsigned long *dirty;       /* for each block: has such zones, or others */
    unsigned long *copy;        /* for each block: the copy that counts */
    uint64_t newest;            /* the highest generation that was used */
    uint64_t stable;            /* that of the last commit that succeeded */
    uint64_t stable_table;      /* likewise, that wrote the table */

    bool modified;              /* there is something to commit */
    bool must_write_table;      /* the log will not do for it */
    bool must_write_log;        /* nor the table */
    bool leftovers;             /* of commits that did not end, found at load */
    unsigned int log_slot;      /* where the next record of the log goes */
    uint32_t log_limit;         /* of entries; ZONED_LOG_ENTRIES but in tests */

    ZonedWriteList writes;      /* under way, oldest first */
    GHashTable *failed;         /* zone -> ZonedWriteList, not an empty one */
    uint64_t nr_writes;         /* so many have been admitted */
    unsigned int nr_failing;    /* so many wait for those behind them */
    CoQueue landed;             /* who waits for writes to end */

    bool committing;
    uint64_t commits_begun;
    uint64_t commits_ended;
    int commit_ret;             /* of the last one that ended */
    int commit_hole;            /* -errno of a failed write that it ends at */
    int unreported;             /* -errno of one that no flush has told */
    CoQueue committed;          /* who waits for a commit to end */
    bool gate;                  /* new writes wait for a snapshot */
    CoQueue gated;
} ZonedTable;

/* What is wrong with a table, for those who want to know all of it */
#define ZONED_DAMAGE_MESSAGES 1000

typedef struct ZonedDamage {
    unsigned int count;
    GSList *messages;           /* the last one first; not all of very many */
} ZonedDamage;

/* @message is taken over */
void zoned_damage_add(ZonedDamage *d, char *message);
void zoned_damage_clear(ZonedDamage *d);

/**
 * zoned_table_load:
 * @t: zeroed
 * @bs: the node; its child bs->file has the image
 * @h: the header, checked
 * @damage: if not NULL, damage is added here and does not stop us: the zones
 *          concerned are taken for full ones with data everywhere, and are
 *          written with the next commit
 *
 * Returns: 0; -EINVAL if something is damaged and @damage is NULL; -ENOMEM;
 * or an I/O error.
 */
int zoned_table_load(ZonedTable *t, BlockDriverState *bs, const ZonedHeader *h,
                     ZonedDamage *damage, Error **errp);
void zoned_table_destroy(ZonedTable *t);

/**
 * zoned_table_set_length:
 * @t: with no writes and no commit under way, and locked
 * @length: of the disk; the zones that come or go are empty, the table blocks
 *          that come are full of zeroes
 *
 * Returns: 0 or -ENOMEM.
 */
int zoned_table_set_length(ZonedTable *t, int64_t length);

/*
 * The length of the disk whose zones are in the table.  While the disk shrinks,
 * this is the new one before anything else is.
 */
static inline int64_t zoned_table_length(const ZonedTable *t)
{
    return t->h.g.length;
}

/* Where a zone begins, in bytes */
static inline int64_t zoned_table_start(const ZonedTable *t, uint32_t zone)
{
    return zone * t->h.g.zone_size;
}

/* The entry of a zone as it would be on disk */
uint64_t zoned_table_entry(const ZonedTable *t, uint32_t zone);
void zoned_table_set_entry(ZonedTable *t, uint32_t zone, uint64_t entry);
/* As zoned_table_set_entry(), with the flags that the entry has */
void zoned_table_set_state(ZonedTable *t, uint32_t zone, ZonedEntryState state,
                           int64_t extent);
void zoned_table_set_flag(ZonedTable *t, uint32_t zone, uint64_t flag);

/*
 * A zone was reset: it takes no write and no extension until this is on disk,
 * and its space is given back then
 */
void zoned_table_reset(ZonedTable *t, uint32_t zone);

/* The bytes of @zone that hold data, from its start on */
int64_t zoned_table_extent(const ZonedTable *t, uint32_t zone);

/**
 * zoned_table_clip:
 * @t: the table
 * @zone: a sequential zone
 * @offset: of a byte in it
 * @bytes: how many are asked for
 * @data: set to whether they hold data; they read as zeroes otherwise
 *
 * Returns: how many of @bytes are like the first one.
 */
int64_t zoned_table_clip(const ZonedTable *t, uint32_t zone, int64_t offset,
                         int64_t bytes, bool *data);

/*
 * An error of a request to the child.  To the guest it is an I/O error, and not
 * a mistake of its own, of which this node alone can tell.
 */
static inline int zoned_child_error(int ret)
{
    return block_zone_errno_is_guest_error(ret) ? -EIO : ret;
}

/**
 * zoned_table_begin_write:
 * @w: filled in
 * @offset: of a write that the zone model has just admitted
 * @end: of its data; in the same zone, a sequential one
 *
 * The zone's extent grows over the write.
 */
void zoned_table_begin_write(ZonedTable *t, ZonedWrite *w, int64_t offset,
                             int64_t end);

/**
 * zoned_table_co_wait_write:
 *
 * Wait until the data of @w may move: a reset must be on disk before what
 * comes after it, and host-aware writes must not overtake each other.
 *
 * Returns: 0 or -errno; -EIO if the zone has a failed write.
 */
int coroutine_fn zoned_table_co_wait_write(ZonedTable *t, ZonedWrite *w);

/**
 * zoned_table_co_wait_reset:
 *
 * Wait until a reset of @zone is on disk, so that what it has replaced may be
 * overwritten.
 *
 * Returns: 0 or -errno; -EIO if the zone has a failed write.
 */
int coroutine_fn zoned_table_co_wait_reset(ZonedTable *t, uint32_t zone);

/**
 * zoned_table_co_wait_behind:
 *
 * @w, to a zone that takes writes in sequence, has failed.  Wait until nothing
 * is left behind it, so that it can be taken back, or nothing will help.
 */
void coroutine_fn zoned_table_co_wait_behind(ZonedTable *t, ZonedWrite *w);

/* @w stays: failed writes before it cannot be taken back any more */
void zoned_table_pass_failing(ZonedTable *t, const ZonedWrite *w);

/* Is anything admitted behind @w? */
bool zoned_table_is_last(const ZonedTable *t, const ZonedWrite *w);

/* Is the reset of a zone not on disk yet? */
bool zoned_table_reset_pending(const ZonedTable *t, uint32_t zone);

/**
 * zoned_table_end_write:
 * @ret: 0, or -errno where the range of @w must not be seen, and is below the
 *       extent of its zone: this is remembered until the zone is reset
 */
void zoned_table_end_write(ZonedTable *t, ZonedWrite *w, int ret);

/* Has @zone a failed write that is to be remembered? */
bool zoned_table_has_failed(const ZonedTable *t, uint32_t zone);

/* Returns: -errno of any one of the failed writes, or 0 if there are none */
int zoned_table_any_failed(const ZonedTable *t);

/**
 * zoned_table_failed_tail:
 *
 * Returns: where the extent of @zone, that has no writes under way, can be
 * moved back to by forgetting a failed write; or -1.
 */
int64_t zoned_table_failed_tail(const ZonedTable *t, uint32_t zone);
void zoned_table_forget_failed(ZonedTable *t, uint32_t zone, int64_t fresh);

/* Does the next commit have to write anything? */
bool zoned_table_is_dirty(const ZonedTable *t);

/* Write the entry of @zone with the next commit */
void zoned_table_set_dirty(ZonedTable *t, uint32_t zone);

/* Write the table, and not the log, with the next commit: @block at least */
void zoned_table_rewrite(ZonedTable *t, uint32_t block);

/* Write a damaged slot of the log anew, with the next commit if it may */
void zoned_table_rewrite_log(ZonedTable *t);

#endif /* BLOCK_ZONED_TABLE_H */
