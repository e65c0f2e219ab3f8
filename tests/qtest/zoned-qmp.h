/*
 * Tests of zoned devices: what is done and seen from outside the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ZONED_QMP_H
#define ZONED_QMP_H

#include "libqtest.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"

/* For what does not depend on the speed of the machine */
#define TIMEOUT_US (60 * 1000 * 1000)

/* Have the zone at @start, in bytes, of a node with emulated zones be so */
static inline void zoned_set_state(QTestState *qts, const char *node,
                                   int64_t start, const char *state)
{
    qtest_qmp_assert_success(qts, "{'execute': 'x-block-zone-set-state', "
                             "'arguments': {'node-name': %s, 'start': %"
                             PRId64 ", 'state': %s}}", node, start, state);
}

/* Wait for the event for this many zones of the only zoned device */
static inline void zoned_assert_lost(QTestState *qts, int64_t start,
                                     int64_t length, int nr_zones,
                                     const char *state)
{
    QDict *event = qtest_qmp_eventwait_ref(qts, "BLOCK_ZONES_LOST");
    QDict *data = qdict_get_qdict(event, "data");

    g_assert_true(qdict_haskey(data, "node-name"));
    g_assert_true(qdict_haskey(data, "qom-path"));
    g_assert_cmpint(qdict_get_int(data, "start"), ==, start);
    g_assert_cmpint(qdict_get_int(data, "length"), ==, length);
    g_assert_cmpint(qdict_get_int(data, "zones"), ==, nr_zones);
    g_assert_cmpstr(qdict_get_str(data, "state"), ==, state);
    qobject_unref(event);
}

/* How often the only device with a drive has asked for @op */
static inline void zoned_assert_stats(QTestState *qts, const char *op,
                                      int done, int failed, int invalid)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'query-blockstats'}");
    QDict *device = qobject_to(QDict, qlist_entry_obj(
        qlist_first(qdict_get_qlist(rsp, "return"))));
    QDict *zoned = qdict_get_qdict(qdict_get_qdict(device, "stats"), "zoned");
    QDict *stats = zoned ? qdict_get_qdict(zoned, op) : NULL;

    g_assert_nonnull(stats);
    g_test_message("%s", op);
    g_assert_cmpint(qdict_get_int(stats, "done"), ==, done);
    g_assert_cmpint(qdict_get_int(stats, "failed"), ==, failed);
    g_assert_cmpint(qdict_get_int(stats, "invalid"), ==, invalid);
    qobject_unref(rsp);
}

/* Wait for an outgoing migration to end */
static inline void zoned_migrate_wait(QTestState *qts)
{
    const gint64 start = g_get_monotonic_time();
    bool done = false;

    while (!done) {
        QDict *resp = qtest_qmp(qts, "{'execute': 'query-migrate'}");
        const char *status = qdict_get_try_str(qdict_get_qdict(resp, "return"),
                                               "status");

        g_assert_cmpstr(status, !=, "failed");
        done = g_str_equal(status, "completed");
        qobject_unref(resp);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
    }
}

/* The memory that a process has, in bytes */
static inline uint64_t zoned_rss(const char *pidfile)
{
    g_autofree char *pid = NULL, *path = NULL, *statm = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t size, resident;

    g_file_get_contents(pidfile, &pid, NULL, &error);
    g_assert_no_error(error);
    path = g_strdup_printf("/proc/%d/statm", atoi(pid));
    g_file_get_contents(path, &statm, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(sscanf(statm, "%" SCNu64 " %" SCNu64, &size, &resident), ==,
                    2);
    return resident * qemu_real_host_page_size();
}

#endif /* ZONED_QMP_H */
