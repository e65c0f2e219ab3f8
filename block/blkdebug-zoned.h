/*
 * blkdebug on zoned nodes: zones that change their state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef BLOCK_BLKDEBUG_ZONED_H
#define BLOCK_BLKDEBUG_ZONED_H

#include "block/block_int.h"
#include "qemu/option.h"
#include "qemu/queue.h"

typedef struct BlkdebugZoneRule BlkdebugZoneRule;

/* The rules 'set-zone-state' of a blkdebug node */
typedef struct BlkdebugZoned {
    QTAILQ_HEAD(, BlkdebugZoneRule) rules;
} BlkdebugZoned;

extern QemuOptsList blkdebug_set_zone_state_opts;

/* The I/O types of a zone operation, as a mask of 1 << BLKDEBUG_IO_TYPE_* */
uint64_t blkdebug_zone_op_iotypes(BlockZoneOp op);
#define BLKDEBUG_ZONE_SET_EXTENSION_IOTYPES \
    ((1ull << BLKDEBUG_IO_TYPE_ZONE_MGMT) | \
     (1ull << BLKDEBUG_IO_TYPE_ZONE_SET_EXTENSION))

void blkdebug_zoned_init(BlkdebugZoned *z);
void blkdebug_zoned_destroy(BlkdebugZoned *z);

/**
 * blkdebug_zoned_add_rules:
 * @z: where all rules of blkdebug_set_zone_state_opts are added to
 * @default_iotypes: those of a rule that names none
 * @errp: set on failure
 *
 * Returns: whether all rules make sense.
 */
bool blkdebug_zoned_add_rules(BlkdebugZoned *z, uint64_t default_iotypes,
                              Error **errp);

/* Refuse rules that do not go with @bs, once its child is open */
bool blkdebug_zoned_check(BlkdebugZoned *z, BlockDriverState *bs,
                          Error **errp);

/*
 * An event in the state @state of the node, with its lock held: requests
 * that come from now on find the rules for it
 */
void blkdebug_zoned_event(BlkdebugZoned *z, BlkdebugEvent event, int state);

/**
 * blkdebug_zoned_co_apply:
 * @z: the rules
 * @bs: the blkdebug node
 * @lock: protects @z; not held
 * @iotypes: of a request that is about to be carried out
 *
 * Have the zones change their state that are to do so before this request.
 *
 * Returns: 0, or -EIO if one could not.
 */
int coroutine_fn blkdebug_zoned_co_apply(BlkdebugZoned *z,
                                         BlockDriverState *bs,
                                         QemuMutex *lock, uint64_t iotypes);

#endif /* BLOCK_BLKDEBUG_ZONED_H */
