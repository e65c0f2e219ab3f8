/*
 * QTest testcase for zoned SCSI disks (ZBC) on zoned images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What null disks cannot do: restarts, migration, zones that are read-only or
 * offline.  docs/devel/zoned-conformance-scsi.rst lists the requirements.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qapi/qmp/qdict.h"
#include "scsi/constants.h"
#include "scsi-zbc-disk.h"


static Disk *boot_image(const char *path)
{
    g_autofree char *node = image_node(path);

    return disk_new(node, "");
}

/*
 * Restarts
 */

static void test_restart(void)
{
    char *path = image_new(HM);
    Disk *d = boot_image(path);

    make(d, SEQ, CLOSED, 16);
    make(d, SEQ + 1, FULL, 8);
    make(d, SEQ + 2, EOPEN, 8);
    make(d, SEQ + 3, EOPEN, 0);
    make(d, SEQ + 4, IOPEN, 24);
    make(d, SEQ + 5, FULL, ZS);
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ + 5)), ==, 0);
    disk_free(d);

    d = boot_image(path);
    assert_zone(d, SEQ, CLOSED, 16);
    assert_zone(d, SEQ + 1, FULL, 0);
    assert_zone(d, SEQ + 2, CLOSED, 8);
    assert_zone(d, SEQ + 3, EMPTY, 0);
    assert_zone(d, SEQ + 4, CLOSED, 24);
    assert_zone(d, SEQ + 5, EMPTY, 0);
    assert_data(d, ZONE(SEQ), 16, 0x5a);
    assert_data(d, ZONE(SEQ + 4), 24, 0x5a);
    assert_data(d, ZONE(SEQ + 5), ZS, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ) + 16, 8), ==, 0);
    assert_zone(d, SEQ, IOPEN, 24);
    disk_free(d);
    image_free(path);
}

/*
 * Faulty zones
 */

enum { BAD_RO = SEQ + 1, BAD_OFF = SEQ + 3 };

static Disk *faulty_new(const char *zones, const char *props, char **path)
{
    g_autofree char *node = NULL;
    Disk *d;

    *path = image_new(zones);
    d = boot_image(*path);
    make(d, BAD_RO, CLOSED, 16);
    make(d, BAD_OFF, CLOSED, 16);
    disk_free(d);
    image_set_state(*path, BAD_RO, COND_RDONLY);
    image_set_state(*path, BAD_OFF, COND_OFFLINE);
    node = image_node(*path);
    return disk_new(node, props);
}

static void faulty_free(Disk *d, char *path)
{
    disk_free(d);
    image_free(path);
}

static void assert_only(Disk *d, uint8_t option, unsigned int zone,
                        uint8_t cond)
{
    Report r = report(d, 0, option, 64);

    g_assert_cmpuint(r.nr, ==, 1);
    g_assert_cmpuint(r.zones[0].start, ==, ZONE(zone));
    g_assert_cmpint(r.zones[0].cond, ==, cond);
    g_assert_cmpint(r.zones[0].type, ==, 2);
}

static void test_faulty_report(void)
{
    char *path;
    Disk *d = faulty_new(HM, "", &path);
    Report r = report(d, 0, 0, 64);

    g_assert_cmpuint(r.nr, ==, NR_ZONES);
    g_assert_cmpint(r.zones[BAD_RO].cond, ==, COND_RDONLY);
    g_assert_cmpint(r.zones[BAD_OFF].cond, ==, COND_OFFLINE);
    assert_only(d, 6, BAD_RO, COND_RDONLY);
    assert_only(d, 7, BAD_OFF, COND_OFFLINE);
    assert_nr(d, 1, NR_ZONES - NR_CONV - 2);
    assert_nr(d, 4, 0);
    assert_nr(d, 0x3f, NR_CONV);
    faulty_free(d, path);
}

static void test_faulty_gaps(void)
{
    char *path;
    Disk *d = faulty_new(GAPS, "", &path);

    assert_only(d, 6, BAD_RO, COND_RDONLY);
    assert_only(d, 7, BAD_OFF, COND_OFFLINE);
    assert_nr(d, 0x3e, NR_ZONES);
    faulty_free(d, path);
}

static void test_faulty_mgmt(void)
{
    static const uint8_t actions[] = { CLOSE, FINISH, OPEN, RESET };
    char *path;
    Disk *d = faulty_new(HM, ",werror=stop,rerror=stop", &path);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        ASSERT_UNCHANGED(d, mgmt(d, actions[i], ZONE(BAD_RO)), RDONLY);
        ASSERT_UNCHANGED(d, mgmt(d, actions[i], ZONE(BAD_OFF)), OFFLINE);
        /* Nor those before them */
        ASSERT_UNCHANGED(d, mgmt_ex(d, actions[i], ZONE(SEQ), false, 2),
                         RDONLY);
        ASSERT_UNCHANGED(d, mgmt_ex(d, actions[i], ZONE(BAD_OFF - 1), false,
                                    2), OFFLINE);
    }
    faulty_free(d, path);
}

/* All zones: these are skipped */
static void test_faulty_mgmt_all(void)
{
    char *path;
    Disk *d = faulty_new(HM, "", &path);

    make(d, SEQ, CLOSED, 8);
    g_assert_cmphex(mgmt_all(d, OPEN), ==, 0);
    assert_only(d, 3, SEQ, EOPEN);
    g_assert_cmphex(mgmt_all(d, CLOSE), ==, 0);
    assert_only(d, 4, SEQ, CLOSED);
    g_assert_cmphex(mgmt_all(d, FINISH), ==, 0);
    assert_only(d, 5, SEQ, FULL);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    assert_nr(d, 1, NR_ZONES - NR_CONV - 2);
    assert_only(d, 6, BAD_RO, COND_RDONLY);
    assert_only(d, 7, BAD_OFF, COND_OFFLINE);
    faulty_free(d, path);
}

static void test_faulty_io(void)
{
    char *path;
    Disk *d = faulty_new(HM, ",werror=stop,rerror=stop", &path);

    ASSERT_UNCHANGED(d, do_write(d, ZONE(BAD_RO) + 16, 8), RDONLY);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(BAD_OFF) + 16, 8), OFFLINE);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(BAD_RO), ZS + 8), RDONLY);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(BAD_OFF), ZS + 8), OFFLINE);
    assert_data(d, ZONE(BAD_RO), 16, 0x5a);
    ASSERT_UNCHANGED(d, do_read(d, ZONE(BAD_OFF), 8), OFFLINE);
    ASSERT_UNCHANGED(d, do_read(d, ZONE(BAD_OFF) - 8, 16), OFFLINE);
    g_assert_cmphex(do_read(d, ZONE(BAD_OFF) - 8, 8), ==, 0);
    faulty_free(d, path);
}

/*
 * Migration
 */

static void stream_save(const char *stream, const char *path)
{
    g_autofree char *uri = g_strdup_printf("exec:cat > %s", stream);
    Disk *d = boot_image(path);

    make(d, SEQ, IOPEN, 8);
    qtest_qmp_assert_success(d->qts, "{'execute': 'migrate', 'arguments': "
                             "{'uri': %s}}", uri);
    zoned_migrate_wait(d->qts);
    disk_free(d);
}

/* @message: why the stream is refused, NULL if it is not */
static void stream_load(const char *stream, const char *node,
                        const char *props, const char *message)
{
    g_autofree char *uri = g_strdup_printf("exec:cat %s", stream);
    g_autofree char *log = g_strdup_printf("%s.log", stream);
    g_autofree char *said = NULL;
    const gint64 start = g_get_monotonic_time();
    QTestState *qts = qtest_initf(
        "-nodefaults -blockdev node-name=zbd,%s "
        "-device virtio-scsi-pci,id=hba,addr=4 "
        "-device scsi-hd,id=hd,drive=zbd%s -incoming defer 2>%s", node, props,
        log);

    qtest_qmp_assert_success(qts, "{'execute': 'migrate-incoming', "
                             "'arguments': {'uri': %s}}", uri);
    if (message) {
        qtest_set_expected_status(qts, EXIT_FAILURE);
        while (qtest_probe_child(qts)) {
            g_usleep(1000);
            g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
        }
    } else {
        qtest_qmp_eventwait(qts, "RESUME");
    }
    qtest_quit(qts);
    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    unlink(log);
    if (message && !strstr(said, message)) {
        g_error("'%s' is not in '%s'", message, said);
    }
}

/* The destination has the same image, or one with other zones */
static void test_migrate(void)
{
    static const struct {
        const char *zones, *props, *message;
    } rows[] = {
        { HA, "", "model is 1 there and 2 here" },
        { HM ",size=720896", "", "size is 688128 there and 720896 here" },
        { HM ",zoned.zone-size=128K", "",
          "zone size is 65536 there and 131072 here" },
        { GAPS, "", "zone capacity is 65536 there and 49152 here" },
        { HM_UNLIMITED, "", "limit of open zones is 3 there" },
        { HM ",zoned.write-granularity=4096", "",
          "write granularity is 512 there and 4096 here" },
        { HM, ",urswrz=off", "urswrz is 1 there and 0 here" },
    };
    char *path = image_new(HM);
    g_autofree char *stream = g_strdup_printf("%s.stream", path);
    g_autofree char *node = image_node(path);
    Disk *d;
    size_t i;

    stream_save(stream, path);
    stream_load(stream, node, "", NULL);
    d = boot_image(path);
    assert_zone(d, SEQ, CLOSED, 8);
    assert_data(d, ZONE(SEQ), 8, 0x5a);
    disk_free(d);
    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        char *other = image_new(rows[i].zones);
        g_autofree char *other_node = image_node(other);

        stream_load(stream, other_node, rows[i].props, rows[i].message);
        image_free(other);
    }
    /* Zones do not come to where there are none, nor go */
    stream_load(stream, PLAIN, "", "");
    unlink(stream);
    image_free(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/scsi/zbc-image/restart", test_restart);
    qtest_add_func("/scsi/zbc-image/faulty/report", test_faulty_report);
    qtest_add_func("/scsi/zbc-image/faulty/gaps", test_faulty_gaps);
    qtest_add_func("/scsi/zbc-image/faulty/mgmt", test_faulty_mgmt);
    qtest_add_func("/scsi/zbc-image/faulty/mgmt-all", test_faulty_mgmt_all);
    qtest_add_func("/scsi/zbc-image/faulty/io", test_faulty_io);
    qtest_add_func("/scsi/zbc-image/migrate", test_migrate);
    return g_test_run();
}
