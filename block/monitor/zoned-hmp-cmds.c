/*
 * HMP commands for zoned storage
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-zoned.h"
#include "qapi/qmp/qdict.h"
#include "qemu/cutils.h"
#include "block/zoned-hmp-cmds.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"

void hmp_print_zoned(Monitor *mon, const BlockdevZonedInfo *info)
{
    g_autofree char *size = NULL;

    if (!info) {
        return;
    }
    size = size_to_str(info->zone_size);
    monitor_printf(mon, "    Zones:            %s, %" PRIu32 " of %s",
                   BlockdevZoneModel_str(info->model), info->zones, size);
    if (info->has_states) {
        monitor_printf(mon, " (%" PRIu32 " open, %" PRIu32 " closed, %" PRIu32
                       " full, %" PRIu32 " read-only, %" PRIu32 " offline)",
                       info->states->implicitly_open +
                       info->states->explicitly_open, info->states->closed,
                       info->states->full, info->states->read_only,
                       info->states->offline);
    }
    monitor_printf(mon, "\n");
}

static void print_op_stats(Monitor *mon, const char *name,
                           const BlockdevZoneOpStats *s)
{
    monitor_printf(mon, " %s=%" PRIu64 "/%" PRIu64 "/%" PRIu64, name, s->done,
                   s->failed, s->invalid);
}

void hmp_print_zoned_stats(Monitor *mon, const char *device,
                           const BlockdevZonedStats *stats)
{
    if (!stats) {
        return;
    }
    monitor_printf(mon, "%s: zones, done/failed/invalid:", device);
    print_op_stats(mon, "open", stats->open);
    print_op_stats(mon, "close", stats->close);
    print_op_stats(mon, "finish", stats->finish);
    print_op_stats(mon, "reset", stats->reset);
    print_op_stats(mon, "offline", stats->offline);
    print_op_stats(mon, "set-extension", stats->set_extension);
    print_op_stats(mon, "append", stats->append);
    monitor_printf(mon, "\n");
}

void coroutine_fn hmp_info_block_zones(Monitor *mon, const QDict *qdict)
{
    const bool has_max = qdict_haskey(qdict, "max");
    g_autoptr(BlockdevZoneReport) report = NULL;
    BlockdevZoneList *z;
    Error *err = NULL;

    /* A number below 0 becomes one that is too large for any disk */
    report = qmp_query_block_zones(qdict_get_str(qdict, "node"), true,
                                   qdict_get_try_int(qdict, "start", 0),
                                   has_max,
                                   has_max ? qdict_get_int(qdict, "max") : 0,
                                   &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "%-20s%-16s%-16s%-20s%s\n", "Start", "Size",
                   "Capacity", "Write pointer", "State");
    for (z = report->zones; z; z = z->next) {
        const BlockdevZone *zone = z->value;
        g_autofree char *wp = zone->has_write_pointer
            ? g_strdup_printf("0x%" PRIx64, zone->write_pointer)
            : g_strdup("-");

        monitor_printf(mon, "0x%-18" PRIx64 "0x%-14" PRIx64 "0x%-14" PRIx64
                       "%-20s%s", zone->start, zone->length, zone->capacity,
                       wp, BlockdevZoneState_str(zone->state));
        if (zone->type != BLOCKDEV_ZONE_TYPE_SEQUENTIAL_WRITE_REQUIRED &&
            zone->state != BLOCKDEV_ZONE_STATE_CONVENTIONAL) {
            monitor_printf(mon, ", %s", BlockdevZoneType_str(zone->type));
        }
        monitor_printf(mon, "%s%s\n",
                       zone->non_sequential ? ", written out of order" : "",
                       zone->descriptor_extension ? ", has an extension" : "");
    }
    if (report->has_next) {
        monitor_printf(mon, "The next zone is at 0x%" PRIx64 "\n",
                       report->next);
    }
}
