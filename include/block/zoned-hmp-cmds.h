/*
 * HMP commands for zoned storage
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef BLOCK_ZONED_HMP_CMDS_H
#define BLOCK_ZONED_HMP_CMDS_H

#include "qemu/coroutine.h"
#include "qapi/qapi-types-block-zoned.h"

/* The line of 'info block' about zones; none if @info is NULL */
void hmp_print_zoned(Monitor *mon, const BlockdevZonedInfo *info);

/* The line of 'info blockstats' about zones; none if @stats is NULL */
void hmp_print_zoned_stats(Monitor *mon, const char *device,
                           const BlockdevZonedStats *stats);

void coroutine_fn hmp_info_block_zones(Monitor *mon, const QDict *qdict);

#endif /* BLOCK_ZONED_HMP_CMDS_H */
