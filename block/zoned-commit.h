/*
 * Zoned images: commits of the zone table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What brings the table to the disk, in blocks of its own or by the log.
 * docs/interop/zoned-image.rst tells why this survives a crash at any point.
 *
 * All functions run in the AioContext of the node, with its lock held.
 */

#ifndef BLOCK_ZONED_COMMIT_H
#define BLOCK_ZONED_COMMIT_H

#include "zoned-table.h"

/*
 * Wait where a write must not be admitted now.  Operations on zones wait here,
 * too, so that they come after the writes that came before them.
 */
void coroutine_fn zoned_table_co_wait_gate(ZonedTable *t);

/**
 * zoned_table_co_commit:
 *
 * Bring to disk what the zones are now, by a commit that starts after the
 * call and may be shared with others.  A zone's extent on disk ends before
 * what is under way.
 *
 * Returns: 0 or -errno.
 */
int coroutine_fn zoned_table_co_commit(ZonedTable *t);

/**
 * zoned_table_co_flush:
 *
 * A commit, after all writes that are before acknowledged ones have landed.
 *
 * Returns: 0 or -errno; also an error if a write that failed could not be
 * undone, and is in the way of acknowledged ones.
 */
int coroutine_fn zoned_table_co_flush(ZonedTable *t);

/* Keep commits away, without waiting for writes */
void coroutine_fn zoned_table_co_lock(ZonedTable *t);
void coroutine_fn zoned_table_co_unlock(ZonedTable *t);

/* A commit by who has locked them, with no writes under way */
int coroutine_fn zoned_table_co_commit_locked(ZonedTable *t);

/**
 * zoned_table_co_bury:
 * @t: as it was loaded, with nothing changed since
 *
 * Write over what commits that did not end have left: were it to count after
 * another crash, it would not go with the changes that are about to come.
 *
 * Returns: 0 or -errno.
 */
int coroutine_fn zoned_table_co_bury(ZonedTable *t);

#endif /* BLOCK_ZONED_COMMIT_H */
