/*
 * blkdebug on zoned nodes: zones that change their state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-block-core.h"
#include "qemu/lockable.h"
#include "blkdebug-zoned.h"
#include "block/zoned-int.h"
#include "block/zoned-qapi.h"

struct BlkdebugZoneRule {
    BlkdebugEvent event;
    int state;                  /* of blkdebug; 0: any */
    uint64_t iotypes;           /* mask */
    bool once;
    bool armed;                 /* the event has come */
    int64_t zone;
    BlockZoneState zone_state;
    QTAILQ_ENTRY(BlkdebugZoneRule) next;
};

QemuOptsList blkdebug_set_zone_state_opts = {
    .name = "set-zone-state",
    .head = QTAILQ_HEAD_INITIALIZER(blkdebug_set_zone_state_opts.head),
    .desc = {
        {
            .name = "event",
            .type = QEMU_OPT_STRING,
        },
        {
            .name = "state",
            .type = QEMU_OPT_NUMBER,
        },
        {
            .name = "iotype",
            .type = QEMU_OPT_STRING,
        },
        {
            .name = "once",
            .type = QEMU_OPT_BOOL,
        },
        {
            .name = "zone",
            .type = QEMU_OPT_SIZE,
        },
        {
            .name = "zone-state",
            .type = QEMU_OPT_STRING,
        },
        { /* end of list */ }
    },
};

static BlkdebugIOType zone_op_iotype(BlockZoneOp op)
{
    switch (op) {
    case BLK_ZO_OPEN:
        return BLKDEBUG_IO_TYPE_ZONE_OPEN;
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        return BLKDEBUG_IO_TYPE_ZONE_CLOSE;
    case BLK_ZO_FINISH:
        return BLKDEBUG_IO_TYPE_ZONE_FINISH;
    case BLK_ZO_RESET:
        return BLKDEBUG_IO_TYPE_ZONE_RESET;
    case BLK_ZO_OFFLINE:
        return BLKDEBUG_IO_TYPE_ZONE_OFFLINE;
    }
    g_assert_not_reached();
}

uint64_t blkdebug_zone_op_iotypes(BlockZoneOp op)
{
    return (1ull << BLKDEBUG_IO_TYPE_ZONE_MGMT) | (1ull << zone_op_iotype(op));
}

void blkdebug_zoned_init(BlkdebugZoned *z)
{
    QTAILQ_INIT(&z->rules);
}

static void remove_rule(BlkdebugZoned *z, BlkdebugZoneRule *rule)
{
    QTAILQ_REMOVE(&z->rules, rule, next);
    g_free(rule);
}

void blkdebug_zoned_destroy(BlkdebugZoned *z)
{
    BlkdebugZoneRule *rule, *next;

    QTAILQ_FOREACH_SAFE(rule, &z->rules, next, next) {
        remove_rule(z, rule);
    }
}

/* The value of an option that names one of an enumeration, or -1 */
static int parse_name(QemuOpts *opts, const char *name,
                      const QEnumLookup *lookup, Error **errp)
{
    const char *text = qemu_opt_get(opts, name);
    int value;

    if (!text) {
        error_setg(errp, "set-zone-state needs the option '%s'", name);
        return -1;
    }
    value = qapi_enum_parse(lookup, text, -1, errp);
    if (value < 0) {
        error_prepend(errp, "set-zone-state: %s: ", name);
    }
    return value;
}

static bool parse_rule(BlkdebugZoneRule *rule, QemuOpts *opts, Error **errp)
{
    int event = parse_name(opts, "event", &BlkdebugEvent_lookup, errp);
    int fault, iotype;

    if (event < 0) {
        return false;
    }
    fault = parse_name(opts, "zone-state", &BlockdevZoneFault_lookup, errp);
    if (fault < 0) {
        return false;
    }
    if (!qemu_opt_get(opts, "zone")) {
        error_setg(errp, "set-zone-state needs the option 'zone'");
        return false;
    }
    if (qemu_opt_get(opts, "iotype")) {
        iotype = parse_name(opts, "iotype", &BlkdebugIOType_lookup, errp);
        if (iotype < 0) {
            return false;
        }
        rule->iotypes = 1ull << iotype;
    }
    rule->event = event;
    rule->state = qemu_opt_get_number(opts, "state", 0);
    rule->once = qemu_opt_get_bool(opts, "once", false);
    rule->zone = zone_geometry_clamp(qemu_opt_get_size(opts, "zone", 0));
    rule->zone_state = block_zone_fault_from_qapi(fault);
    return true;
}

typedef struct AddRuleData {
    BlkdebugZoned *z;
    uint64_t default_iotypes;
} AddRuleData;

static int add_rule(void *opaque, QemuOpts *opts, Error **errp)
{
    AddRuleData *d = opaque;
    BlkdebugZoneRule *rule = g_new0(BlkdebugZoneRule, 1);

    rule->iotypes = d->default_iotypes;
    if (!parse_rule(rule, opts, errp)) {
        g_free(rule);
        return -1;
    }
    QTAILQ_INSERT_TAIL(&d->z->rules, rule, next);
    return 0;
}

bool blkdebug_zoned_add_rules(BlkdebugZoned *z, uint64_t default_iotypes,
                              Error **errp)
{
    AddRuleData d = { .z = z, .default_iotypes = default_iotypes };

    return !qemu_opts_foreach(&blkdebug_set_zone_state_opts, add_rule, &d,
                              errp);
}

bool blkdebug_zoned_check(BlkdebugZoned *z, BlockDriverState *bs,
                          Error **errp)
{
    const BlockZoneLimits *l = bdrv_zone_limits(bs->file->bs);
    const int64_t length = bdrv_getlength(bs->file->bs);
    BlkdebugZoneRule *rule;

    if (QTAILQ_EMPTY(&z->rules)) {
        return true;
    }
    if (!bdrv_zoned_is_emulated(bs->file->bs)) {
        error_setg(errp, "set-zone-state needs a child with emulated zones: a "
                   "zoned image or a null disk");
        return false;
    }
    QTAILQ_FOREACH(rule, &z->rules, next) {
        if (rule->zone >= length || rule->zone % l->zone_size) {
            error_setg(errp, "set-zone-state: no zone begins at %" PRId64 ", a "
                       "multiple of the zone size (%" PRId64 ") below %" PRId64
                       " is needed", rule->zone, l->zone_size, length);
            return false;
        }
    }
    return true;
}

void blkdebug_zoned_event(BlkdebugZoned *z, BlkdebugEvent event, int state)
{
    BlkdebugZoneRule *rule;

    QTAILQ_FOREACH(rule, &z->rules, next) {
        if (rule->event == event && (!rule->state || rule->state == state)) {
            rule->armed = true;
        }
    }
}

typedef struct Change {
    int64_t zone;
    BlockZoneState state;
} Change;

/* What the rules want, as they may go while it is carried out */
static GArray *collect(BlkdebugZoned *z, uint64_t iotypes)
{
    GArray *changes = NULL;
    BlkdebugZoneRule *rule, *next;

    QTAILQ_FOREACH_SAFE(rule, &z->rules, next, next) {
        Change change = { .zone = rule->zone, .state = rule->zone_state };

        if (!rule->armed || !(rule->iotypes & iotypes)) {
            continue;
        }
        if (!changes) {
            changes = g_array_new(false, false, sizeof(Change));
        }
        g_array_append_val(changes, change);
        if (rule->once) {
            remove_rule(z, rule);
        }
    }
    return changes;
}

int coroutine_fn blkdebug_zoned_co_apply(BlkdebugZoned *z,
                                         BlockDriverState *bs,
                                         QemuMutex *lock, uint64_t iotypes)
{
    g_autoptr(GArray) changes = NULL;
    guint i;

    WITH_QEMU_LOCK_GUARD(lock) {
        changes = collect(z, iotypes);
    }
    for (i = 0; changes && i < changes->len; i++) {
        Change *c = &g_array_index(changes, Change, i);

        if (bdrv_co_zone_set_state(bs->file->bs, c->zone, c->state) < 0) {
            return -EIO;
        }
    }
    return 0;
}
