/*
 * QTest testcase for zoned SCSI disks (ZBC)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Linux never would send.  Cases are
 * named after the requirements that they prove;
 * docs/devel/zoned-conformance-scsi.rst lists those.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#include "scsi/constants.h"
#include "standard-headers/linux/virtio_scsi.h"
#include "scsi-disk-recorded.h"
#include "scsi-zbc-disk.h"

/*
 * A disk without zones is as it was
 */

static char *hex(const uint8_t *buf, size_t len)
{
    GString *s = g_string_new("");
    size_t i;

    for (i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x", buf[i]);
    }
    return g_string_free(s, false);
}

/* What is recorded: commands with the bytes that they read or write */
static const struct {
    uint8_t cdb[16];
    uint16_t len, out;
} recorded_cdbs[] = {
#define STD(n) { { INQUIRY, 0, 0, 0, n }, n }
#define VPD(page) { { INQUIRY, 1, page, 0, 255 }, 255 }
#define SENSE6(page) { { MODE_SENSE, 0, page, 0, 255 }, 255 }
#define SENSE10(page) { { MODE_SENSE_10, 0, page, 0, 0, 0, 0, 1, 0 }, 256 }
    STD(5), STD(36), STD(96), STD(255),
    VPD(0x00), VPD(0x80), VPD(0x83), VPD(0x89), VPD(0xb0), VPD(0xb1),
    VPD(0xb2), VPD(0xb6),
    SENSE6(0x00), SENSE6(0x01), SENSE6(0x04), SENSE6(0x05), SENSE6(0x08),
    SENSE6(0x0a), SENSE6(0x3f), SENSE6(0x48), SENSE6(0x7f), SENSE6(0xff),
    SENSE10(0x08), SENSE10(0x3f),
    { { READ_CAPACITY_10 }, 8 },
    { { SERVICE_ACTION_IN_16, 0x10, [13] = 32 }, 32 },
    { { SERVICE_ACTION_IN_16, 0x11, [13] = 32 }, 32 },
    { { SYNCHRONIZE_CACHE }, 0 },
    { { SYNCHRONIZE_CACHE_16 }, 0 },
    { { ZBC_OUT, 4, [14] = 1 }, 0 },
    { { ZBC_IN, 0, [13] = 128 }, 128 },
    { { MAINTENANCE_IN, 0x0c, [9] = 255 }, 255 },
    { { READ_10, [8] = 1 }, 512 },
    { { READ_6, [4] = 1 }, 512 },
    { { READ_16, [9] = 0, [13] = 0 }, 0 },
    { { VERIFY_10, [8] = 1 }, 0 },
    { { VERIFY_16, [2] = 0xff, [13] = 1 }, 0 },
    { { SEEK_10, 0, 0xff }, 0 },
    { { FORMAT_UNIT }, 0 },
    { { 0x4d, 0, 0x14, 1, [8] = 64 }, 64 },
    { { TEST_UNIT_READY }, 0 },
    { { REQUEST_SENSE, [4] = 18 }, 18 },
    { { REPORT_LUNS, [9] = 64 }, 64 },
    { { START_STOP, [4] = 1 }, 0 },
    { { REASSIGN_BLOCKS }, 0 },
    { { PRE_FETCH, [8] = 1 }, 0 },
    { { READ_10, 0, 1, [8] = 1 }, 512 },
    { { READ_16, [2] = 0x80, [13] = 1 }, 512 },
    { { WRITE_6, [4] = 1 }, 0, 512 },
    { { WRITE_10, 0, [5] = 1, [8] = 1 }, 0, 512 },
    { { WRITE_10, 0, 1, [8] = 1 }, 0, 512 },
    { { WRITE_16, [9] = 2, [13] = 1 }, 0, 512 },
    { { WRITE_16, [2] = 0xff, [13] = 1 }, 0, 512 },
    { { WRITE_VERIFY_16, [9] = 3, [13] = 1 }, 0, 512 },
    { { WRITE_SAME_10, [5] = 4, [8] = 2 }, 0, 512 },
    { { WRITE_SAME_16, 8, [9] = 4, [13] = 2 }, 0, 512 },
    { { WRITE_SAME_16, 8, [9] = 4, [2] = 1, [13] = 2 }, 0, 512 },
    { { UNMAP, [8] = 8 }, 0, 8 },
    { { UNMAP, [8] = 24 }, 0, 24 },
    { { MODE_SELECT, 0x10, [4] = 12 }, 0, 12 },
    { { VARLENGTH_CDB }, 0 },
    { { READ_10, [5] = 1, [8] = 1 }, 512 },
};

/* A node that the base has, too */
#define BASE_NODE "driver=null-co,read-zeroes=on,size=688128"

static const struct {
    const char *node, *props;
} recorded_disks[] = {
    { BASE_NODE, "" },
    { BASE_NODE, ",serial=abc,dpofua=on,removable=on,wwn=0x5000c50012345678,"
      "rotation_rate=7200,discard_granularity=0" },
    { "driver=null-co,read-zeroes=on,size=8388608,read-only=on",
      ",logical_block_size=4096,physical_block_size=4096,max_io_size=1048576" },
    { BASE_NODE, ",physical_block_size=4096,scsi_version=6,vendor=V,product=P,"
      "ver=1,discard_granularity=8192,opt_io_size=65536,min_io_size=4096" },
};

static char *record(Disk *d, size_t disk, size_t i)
{
    uint8_t out[4096], buf[512];
    size_t len = recorded_cdbs[i].len;
    size_t out_len = recorded_cdbs[i].out;
    uint32_t sense;
    g_autofree char *cdb = hex(recorded_cdbs[i].cdb, 16);
    g_autofree char *data = NULL;

    if (len == 512) {
        len = d->bs;
    }
    if (len > sizeof(buf)) {
        len = 0;
    }
    if (out_len == 512) {
        out_len = d->bs;
    }
    memset(buf, 0, sizeof(buf));
    memset(out, 0, sizeof(out));
    out[d->bs - 1] = 0x5a;
    sense = cmd(d, recorded_cdbs[i].cdb, out, out_len, buf, len);
    /* Of the data all but zeroes at the end */
    len = sense ? 0 : MIN(len, sizeof(buf));
    while (len && !buf[len - 1]) {
        len--;
    }
    data = hex(buf, len);
    return g_strdup_printf("%zu %s: %05x %u %s", disk, cdb, sense, d->resid,
                           data);
}

/*
 * tests/qtest/scsi-disk-recorded.h holds what the base without patches
 * answers; it is what this prints with RECORD set, quoted.
 */
static void test_plain(void)
{
    bool print = getenv("RECORD");
    size_t i, j, n = 0;

    for (i = 0; i < ARRAY_SIZE(recorded_disks); i++) {
        Disk *d = disk_new(recorded_disks[i].node, recorded_disks[i].props);

        if (strstr(recorded_disks[i].props, "logical_block_size=4096")) {
            d->bs = 4096;
        }
        for (j = 0; j < ARRAY_SIZE(recorded_cdbs); j++) {
            g_autofree char *line = record(d, i, j);

            if (print) {
                fprintf(stderr, "    \"%s\",\n", line);
            } else {
                g_assert_cmpuint(n, <, ARRAY_SIZE(recorded));
                g_assert_cmpstr(line, ==, recorded[n++]);
            }
        }
        disk_free(d);
    }
    g_assert_true(print || n == ARRAY_SIZE(recorded));
}

/*
 * Identity and inquiry
 */

/* A device with @props cannot be had; the error says @message */
static void assert_refused(const char *node, const char *props,
                           const char *message)
{
    QTestState *qts = qtest_initf("-nodefaults -blockdev node-name=zbd,%s "
                                  "-device virtio-scsi-pci", node);
    g_autofree char *out = qtest_hmp(qts, "device_add "
                                     "scsi-hd,drive=zbd,id=hd%s", props);

    if (!strstr(out, message)) {
        g_error("'%s' is not in '%s'", message, out);
    }
    qtest_quit(qts);
}

static bool lists_page(Disk *d, uint8_t page)
{
    uint8_t buf[64];
    int i;

    g_assert_cmphex(inquiry(d, 0, buf, sizeof(buf)), ==, 0);
    for (i = 0; i < buf[3]; i++) {
        if (buf[4 + i] == page) {
            return true;
        }
    }
    return false;
}

static void test_zbc1(void)
{
    static const int pages[] = { -1, 0, 0x83, 0xb0, 0xb1, 0xb6 };
    Disk *d = disk_new(HM, "");
    uint8_t buf[64];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(pages); i++) {
        g_assert_cmphex(inquiry(d, pages[i], buf, sizeof(buf)), ==, 0);
        g_assert_cmphex(buf[0], ==, TYPE_ZBC);
    }
    disk_free(d);
}

static void test_zbc2(void)
{
    static const struct {
        const char *node, *props;
        uint8_t type, zoned;
    } rows[] = {
        { HM, "", TYPE_ZBC, 0 },
        { HA, "", TYPE_DISK, 0x10 },
        { HA, ",zoned=off", TYPE_DISK, 0 },
        { PLAIN, "", TYPE_DISK, 0 },
    };
    uint8_t buf[64];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        Disk *d = disk_new(rows[i].node, rows[i].props);

        g_assert_cmphex(inquiry(d, 0xb1, buf, sizeof(buf)), ==, 0);
        g_assert_cmphex(buf[0], ==, rows[i].type);
        g_assert_cmphex(buf[8], ==, rows[i].zoned);
        disk_free(d);
    }
}

static void test_zbc3(void)
{
    const char *const zoned[] = { HM, HA };
    uint8_t buf[64];
    Disk *d;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(zoned); i++) {
        d = disk_new(zoned[i], "");
        g_assert_true(lists_page(d, 0xb1));
        g_assert_true(lists_page(d, 0xb6));
        disk_free(d);
    }
    d = disk_new(HA, ",zoned=off");
    g_assert_false(lists_page(d, 0xb6));
    g_assert_cmphex(inquiry(d, 0xb6, buf, sizeof(buf)), ==, BAD_FIELD);
    disk_free(d);
}

static void test_zbc4(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t buf[64];

    g_assert_cmphex(inquiry(d, 0xb1, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(lduw_be_p(&buf[2]), ==, 0x3c);
    disk_free(d);
}

static void assert_b6(const char *node, const char *props, uint8_t byte4,
                      uint32_t max_open)
{
    Disk *d = disk_new(node, props);
    uint8_t buf[96];
    int i;

    g_assert_cmphex(inquiry(d, 0xb6, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(buf[1], ==, 0xb6);
    g_assert_cmphex(lduw_be_p(&buf[2]), ==, 0x3c);
    g_assert_cmphex(buf[4], ==, byte4);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[8]), ==, UINT32_MAX);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[12]), ==, UINT32_MAX);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[16]), ==, max_open);
    for (i = 20; i < 64; i++) {
        g_assert_cmphex(buf[i], ==, 0);
    }
    disk_free(d);
}

static void test_zbc5(void)
{
    assert_b6(HM, "", 0x01, MAX_OPEN);
    assert_b6(HM, ",urswrz=off", 0x00, MAX_OPEN);
}

static void test_zbc6(void)
{
    assert_b6(HM_UNLIMITED, "", 0x01, UINT32_MAX);
    assert_b6(HM_UNLIMITED ",zoned.max-active-zones=5", "", 0x01, 5);
}

static void test_zbc7(void)
{
    assert_b6(HA, "", 0x11, UINT32_MAX);
}

static void test_zbc8(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t buf[64];

    g_assert_false(lists_page(d, 0x89));
    g_assert_cmphex(inquiry(d, 0x89, buf, sizeof(buf)), ==, BAD_FIELD);
    disk_free(d);
}

static void test_zbc9(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t buf[96];

    g_assert_cmphex(inquiry(d, -1, buf, sizeof(buf)), ==, 0);
    g_assert_cmpuint(d->resid, <=, sizeof(buf) - 36);
    g_assert_cmpuint(buf[2], >=, 4);
    g_assert_cmpuint(buf[4], >=, 31);
    disk_free(d);
}

static void test_zbc10(void)
{
    const char *const zoned[] = { HM, HA };
    uint8_t cdb[16] = { SERVICE_ACTION_IN_16, 0x10, [13] = 32 };
    uint8_t buf[32];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(zoned); i++) {
        Disk *d = disk_new(zoned[i], "");

        g_assert_cmphex(cmd_in(d, cdb, buf, sizeof(buf)), ==, 0);
        g_assert_cmphex(ldq_be_p(buf), ==, CAPACITY - 1);
        g_assert_cmphex((uint32_t)ldl_be_p(&buf[8]), ==, 512);
        g_assert_cmphex(buf[12], ==, 0x10);
        disk_free(d);
    }
}

static void test_zbc11(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t cdb[16] = { READ_CAPACITY_10 };
    uint8_t buf[8];

    g_assert_cmphex(cmd_in(d, cdb, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex((uint32_t)ldl_be_p(buf), ==, CAPACITY - 1);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[4]), ==, 512);
    disk_free(d);
}

/* 512n, 512e and 4Kn */
static void test_zbc12(void)
{
    uint8_t cdb[16] = { SERVICE_ACTION_IN_16, 0x10, [13] = 32 };
    uint8_t buf[32];
    Disk *d = disk_new(HM, ",physical_block_size=4096");

    g_assert_cmphex(cmd_in(d, cdb, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[8]), ==, 512);
    g_assert_cmphex(buf[13], ==, 3);
    disk_free(d);

    d = disk_boot(HM_4K, "", 4096, "");
    g_assert_cmphex(cmd_in(d, cdb, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(ldq_be_p(buf), ==, CAPACITY - 1);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[8]), ==, 4096);
    g_assert_cmphex(buf[13], ==, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 3), ==, 0);
    assert_zone(d, SEQ, IOPEN, 3);
    assert_data(d, ZONE(SEQ), 3, 0x5a);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 1), ==, UNALIGNED);
    g_assert_cmphex(do_write(d, ZONE(SEQ) + 3, ZS), ==, WRITE_BORDER);
    g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ)), ==, 0);
    assert_zone(d, SEQ, FULL, 0);
    disk_free(d);

    assert_refused(HM, ",physical_block_size=8192", "physical_block_size");
    assert_refused(HM, ",logical_block_size=4096", "write granularity");
}

static void test_zbc13(void)
{
    Disk *d = disk_new(HM, ",discard_granularity=4096");
    uint8_t cdb[16] = { SERVICE_ACTION_IN_16, 0x10, [13] = 32 };
    uint8_t buf[64];

    g_assert_false(lists_page(d, 0xb2));
    g_assert_cmphex(inquiry(d, 0xb2, buf, sizeof(buf)), ==, BAD_FIELD);
    g_assert_cmphex(inquiry(d, 0xb0, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[20]), ==, 0);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[24]), ==, 0);
    g_assert_cmphex((uint32_t)ldl_be_p(&buf[28]), ==, 0);
    g_assert_cmphex(cmd_in(d, cdb, buf, 32), ==, 0);
    g_assert_cmphex(buf[14] & 0x80, ==, 0);
    disk_free(d);
}

static void test_zbc14(void)
{
    static const uint8_t pages[] = { 0x01, 0x04, 0x05, 0x08, 0x3f, 0x48 };
    Disk *d = disk_new(HM, ",dpofua=on");
    Disk *p = disk_new(PLAIN, ",dpofua=on");
    uint8_t a[255], b[255];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(pages); i++) {
        uint8_t cdb[16] = { MODE_SENSE, 0, pages[i], 0, 255 };

        g_assert_cmphex(cmd_in(d, cdb, a, sizeof(a)), ==, 0);
        g_assert_cmphex(cmd_in(p, cdb, b, sizeof(b)), ==, 0);
        g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
        g_assert_cmphex(a[2], ==, 0x10);
    }
    disk_free(p);
    disk_free(d);
}

/* The block size is that of the zones: it cannot be changed */
static void test_mode_select(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t cdb[16] = { MODE_SELECT, 0x10, [4] = 12 };
    uint8_t list[12] = { [3] = 8, [10] = 0x10 };

    g_assert_cmphex(cmd(d, cdb, list, sizeof(list), NULL, 0), ==, BAD_PARAM);
    list[10] = 2;
    g_assert_cmphex(cmd(d, cdb, list, sizeof(list), NULL, 0), ==, 0);
    assert_zone(d, SEQ, EMPTY, 0);
    disk_free(d);
}

/*
 * REPORT ZONES
 */

static void test_zbc15(void)
{
    Disk *d = disk_new(HM, "");
    Report r = report(d, 0, 0, 64);
    uint64_t pos = 0;
    int i;

    g_assert_cmpuint(r.nr, ==, NR_ZONES);
    for (i = 0; i < NR_ZONES; i++) {
        g_assert_cmpuint(r.zones[i].start, ==, pos);
        pos += r.zones[i].len;
    }
    g_assert_cmpuint(pos, ==, CAPACITY);
    /* From within a zone */
    r = report(d, ZONE(4) + 17, 0, 64);
    g_assert_cmpuint(r.nr, ==, NR_ZONES - 4);
    g_assert_cmpuint(r.zones[0].start, ==, ZONE(4));
    disk_free(d);
}

static void test_zbc16(void)
{
    const uint64_t lbas[] = { CAPACITY, CAPACITY + 1, UINT64_MAX,
                              UINT64_MAX / 512 };
    Disk *d = disk_new(HM, "");
    uint8_t buf[128];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(lbas); i++) {
        g_assert_cmphex(report_raw(d, lbas[i], 0, 128, buf), ==, BAD_LBA);
    }
    disk_free(d);
}

static void test_zbc17(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t buf[128];
    int i;

    for (i = 0; i < 0x40; i++) {
        bool valid = i <= 8 || i == 0x10 || i == 0x11 || i >= 0x3e;

        g_assert_cmphex(report_raw(d, 0, i, 128, buf), ==,
                        valid ? 0 : BAD_FIELD);
        g_assert_cmphex(report_raw(d, 0, i | PARTIAL, 128, buf), ==,
                        valid ? 0 : BAD_FIELD);
    }
    disk_free(d);
}

static void test_zbc18(void)
{
    Disk *d = disk_new(HM, "");
    static const struct {
        uint8_t option, cond, zone;
    } rows[] = {
        { 2, IOPEN, SEQ }, { 3, EOPEN, SEQ + 1 }, { 4, CLOSED, SEQ + 2 },
        { 5, FULL, SEQ + 3 },
    };
    size_t i;

    for (i = 2; i <= 7; i++) {
        assert_nr(d, i, 0);
    }
    make(d, SEQ + 1, EOPEN, 0);
    make(d, SEQ + 2, CLOSED, 8);
    make(d, SEQ + 3, FULL, 0);
    make(d, SEQ, IOPEN, 8);
    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        Report r = report(d, 0, rows[i].option, 64);

        g_assert_cmpuint(r.nr, ==, 1);
        g_assert_cmpuint(r.zones[0].cond, ==, rows[i].cond);
        g_assert_cmpuint(r.zones[0].start, ==, ZONE(rows[i].zone));
        /* None from behind it */
        r = report(d, ZONE(rows[i].zone + 1), rows[i].option, 64);
        g_assert_cmpuint(r.nr, ==, 0);
    }
    assert_nr(d, 1, NR_ZONES - NR_CONV - 4);
    assert_nr(d, 6, 0);
    assert_nr(d, 7, 0);
    assert_nr(d, 0x10, 0);
    assert_nr(d, 0x11, 0);
    assert_nr(d, 0x3f, NR_CONV);
    disk_free(d);
}

static void test_zbc19(void)
{
    Disk *d = disk_new(HM, "");

    assert_nr(d, 0x08, 0);
    assert_nr(d, 0x3e, NR_ZONES);
    disk_free(d);
}

static void test_zbc20(void)
{
    Disk *d = disk_new(HM, "");
    static const uint32_t lens[] = { 64, 100, 128, 129, 64 * 8, 64 * 12 };
    uint8_t buf[64 * 12];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(lens); i++) {
        g_assert_cmphex(report_raw(d, 0, 0, lens[i], buf), ==, 0);
        g_assert_cmpuint((uint32_t)ldl_be_p(buf), ==, NR_ZONES * 64);
        g_assert_cmphex(report_raw(d, ZONE(3) + 5, 1, lens[i], buf), ==, 0);
        g_assert_cmpuint((uint32_t)ldl_be_p(buf), ==, (NR_ZONES - 3) * 64);
    }
    disk_free(d);
}

static void test_zbc21(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t buf[64 * 14];
    uint32_t len;

    for (len = 4; len <= sizeof(buf); len += 4) {
        uint32_t whole = len < 64 ? 0 : MIN(len / 64 - 1, NR_ZONES);

        g_assert_cmphex(report_raw(d, 0, PARTIAL, len, buf), ==, 0);
        g_assert_cmpuint((uint32_t)ldl_be_p(buf), ==, whole * 64);
        g_assert_cmphex(report_raw(d, 0, PARTIAL | 1, len, buf), ==, 0);
        g_assert_cmpuint((uint32_t)ldl_be_p(buf), ==,
                         MIN(whole, NR_ZONES - NR_CONV) * 64);
    }
    disk_free(d);
}

/* A reply that is cut is the start of the whole one */
static void test_zbc22(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t whole[64 * 12], buf[64 * 12];
    uint32_t len;

    g_assert_cmphex(report_raw(d, 0, 0, 0, NULL), ==, 0);
    g_assert_cmphex(report_raw(d, 0, 0, sizeof(whole), whole), ==, 0);
    for (len = 1; len < sizeof(whole); len += 13) {
        g_assert_cmphex(report_raw(d, 0, 0, len, buf), ==, 0);
        g_assert_cmpuint(d->resid, ==, 0);
        whole[4] = len > 4 ? buf[4] : whole[4];
        g_assert_cmpmem(whole, len, buf, len);
    }
    disk_free(d);
}

static void test_zbc23(void)
{
    static const uint8_t options[] = { 0, 1, 5, 0x3f, PARTIAL };
    Disk *d = disk_new(HM, "");
    size_t i;

    for (i = 0; i < ARRAY_SIZE(options); i++) {
        g_assert_cmpuint(report(d, 0, options[i], 1).max_lba, ==,
                         CAPACITY - 1);
        g_assert_cmpuint(report(d, ZONE(5), options[i], 0).max_lba, ==,
                         CAPACITY - 1);
    }
    disk_free(d);
}

static void test_zbc24(void)
{
    Disk *d = disk_new(HM, "");
    Report r = report(d, CAPACITY - 1, 0, 64);

    g_assert_cmpuint(r.nr, ==, 1);
    g_assert_cmpuint(r.zones[0].start, ==, ZONE(NR_ZONES - 1));
    g_assert_cmpuint(r.zones[0].len, ==, LAST);
    disk_free(d);
}

static void test_zbc25(void)
{
    Disk *d = disk_new(HM, "");

    /* Mixed types and a short zone; mixed types; a short zone; none of it */
    g_assert_cmpuint(report(d, 0, 0, 64).same, ==, 0);
    g_assert_cmpuint(report(d, 0, 0, 5).same, ==, 3);
    g_assert_cmpuint(report(d, ZONE(SEQ), 0, 64).same, ==, 2);
    g_assert_cmpuint(report(d, ZONE(SEQ), 0, 4).same, ==, 1);
    g_assert_cmpuint(report(d, 0, 0x3f, 4).same, ==, 1);
    g_assert_cmpuint(report(d, 0, 5, 4).same, ==, 0);
    disk_free(d);
}

static void test_zbc26(void)
{
    Disk *d = disk_new(HM, "");
    Report r;

    make(d, SEQ, IOPEN, 8);
    make(d, SEQ + 1, EOPEN, 8);
    make(d, SEQ + 2, CLOSED, 8);
    r = report(d, 0, 0, 64);
    g_assert_cmpint(r.zones[0].type, ==, 1);
    g_assert_cmpint(r.zones[0].cond, ==, NOT_WP);
    g_assert_cmphex(r.zones[0].wp, ==, UINT64_MAX);
    g_assert_cmpint(r.zones[SEQ].type, ==, 2);
    g_assert_cmpuint(r.zones[SEQ].wp, ==, ZONE(SEQ) + 8);
    g_assert_cmpuint(r.zones[SEQ + 1].wp, ==, ZONE(SEQ + 1) + 8);
    g_assert_cmpuint(r.zones[SEQ + 2].wp, ==, ZONE(SEQ + 2) + 8);
    g_assert_cmpuint(r.zones[SEQ + 3].wp, ==, ZONE(SEQ + 3));
    g_assert_cmpint(r.zones[SEQ + 3].cond, ==, EMPTY);
    disk_free(d);
}

/* Many zones, in one command and in pieces */
static void test_zbc27(void)
{
    enum { NR = 20000 };
    Disk *d = disk_new("driver=null-co,size=83886080,zoned.zone-size=4K", "");
    g_autofree uint8_t *buf = g_malloc(64 * (NR + 1));
    g_autofree uint8_t *piece = g_malloc(64 * 1001);
    unsigned int i, n;

    g_assert_cmphex(report_raw(d, 0, 0, 64 * (NR + 1), buf), ==, 0);
    g_assert_cmpuint((uint32_t)ldl_be_p(buf), ==, 64 * 20480);
    for (i = 0; i < NR; i++) {
        g_assert_cmpuint(ldq_be_p(&buf[64 + 64 * i + 16]), ==, i * 8);
    }
    for (i = 0; i < 20480; i += n) {
        g_assert_cmphex(report_raw(d, i * 8, PARTIAL, 64 * 1001, piece), ==, 0);
        n = ldl_be_p(piece) / 64;
        g_assert_cmpuint(n, ==, MIN(1000, 20480 - i));
        if (i + n <= NR) {
            g_assert_cmpmem(piece + 64, 64 * n, buf + 64 + 64 * i, 64 * n);
        }
    }
    disk_free(d);
}

static void test_zbc28(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, IOPEN, 8);
    make(d, SEQ + 1, FULL, 8);
    ASSERT_UNCHANGED(d, report(d, 0, 0, 64).nr, NR_ZONES);
    disk_free(d);
}

/*
 * Operations on zones
 */

static const uint8_t actions[] = { CLOSE, FINISH, OPEN, RESET };

static void assert_mgmt_refused(const char *node, uint64_t lba, uint32_t sense)
{
    Disk *d = disk_new(node, "");
    size_t i;

    make(d, SEQ, IOPEN, 8);
    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        ASSERT_UNCHANGED(d, mgmt(d, actions[i], lba), sense);
    }
    disk_free(d);
}

static void test_zbc29(void)
{
    assert_mgmt_refused(HM, ZONE(SEQ) + 1, BAD_FIELD);
    assert_mgmt_refused(HM, CAPACITY - 1, BAD_FIELD);
}

static void test_zbc30(void)
{
    assert_mgmt_refused(HM, 0, BAD_FIELD);
    assert_mgmt_refused(HM, ZONE(1), BAD_FIELD);
}

static void test_zbc31(void)
{
    assert_mgmt_refused(HM, CAPACITY, BAD_LBA);
    assert_mgmt_refused(HM, UINT64_MAX, BAD_LBA);
    assert_mgmt_refused(HM, ZONE(1ull << 48), BAD_LBA);
}

/* What a backend says of a zone, here for all of them */
static void test_zbc32(void)
{
    static const struct {
        int error;
        uint32_t sense;
    } rows[] = {
        { EROFS, RDONLY }, { ENXIO, OFFLINE }, { EOVERFLOW, NO_OPEN },
    };
    size_t i, j;

    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *node = g_strdup_printf(
            HM_FAULTY ",inject-error.0.event=none,inject-error.0.errno=%d,"
            "inject-error.0.iotype=write", rows[i].error);
        Disk *d = disk_new(node, ",werror=stop,rerror=stop");

        g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, rows[i].sense);
        disk_free(d);
        for (j = 0; j < ARRAY_SIZE(actions); j++) {
            g_autofree char *all = g_strdup_printf(
                HM_FAULTY ",inject-error.0.event=none,inject-error.0.errno=%d",
                rows[i].error);

            d = disk_new(all, ",werror=stop,rerror=stop");
            g_assert_cmphex(mgmt(d, actions[j], ZONE(SEQ)), ==,
                            rows[i].sense);
            disk_free(d);
        }
    }
}

static void test_zbc33(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t cdb[16] = { ZBC_IN, 0, [13] = 128 };
    uint8_t buf[128];
    int i;

    for (i = 0; i < 32; i++) {
        if (i < CLOSE || i > RESET) {
            ASSERT_UNCHANGED(d, mgmt_all(d, i), BAD_FIELD);
        }
        if (i) {
            cdb[1] = i;
            g_assert_cmphex(cmd_in(d, cdb, buf, sizeof(buf)), ==, BAD_FIELD);
        }
    }
    disk_free(d);
}

static void test_zbc34(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    for (i = 0; i < MAX_OPEN; i++) {
        make(d, SEQ + i, EOPEN, 8);
    }
    ASSERT_UNCHANGED(d, mgmt(d, OPEN, ZONE(SEQ + MAX_OPEN)), NO_OPEN);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ + MAX_OPEN), 8), NO_OPEN);
    disk_free(d);
}

static void test_zbc35(void)
{
    static const uint64_t ids[] = { 0, 1, ZONE(SEQ) + 1, CAPACITY,
                                    UINT64_MAX };
    Disk *d = disk_new(HM, "");
    size_t i, j;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        for (j = 0; j < ARRAY_SIZE(ids); j++) {
            g_assert_cmphex(mgmt_ex(d, actions[i], ids[j], true, 0xffff), ==,
                            0);
        }
    }
    /* It has been done */
    make(d, SEQ, IOPEN, 8);
    g_assert_cmphex(mgmt_ex(d, RESET, UINT64_MAX, true, 7), ==, 0);
    assert_zone(d, SEQ, EMPTY, 0);
    disk_free(d);
}

/* All zones of a disk with one: those that the operation does not concern */
static void test_all_single(void)
{
    Disk *d = disk_new("driver=null-co,memory-backed=on,size=65536,"
                       "zoned.zone-size=64K", "");

    g_assert_cmphex(mgmt_all(d, OPEN), ==, 0);
    assert_zone(d, 0, EMPTY, 0);
    g_assert_cmphex(mgmt_all(d, FINISH), ==, 0);
    assert_zone(d, 0, EMPTY, 0);
    make(d, 0, CLOSED, 8);
    g_assert_cmphex(mgmt_all(d, OPEN), ==, 0);
    assert_zone(d, 0, EOPEN, 8);
    g_assert_cmphex(mgmt_all(d, CLOSE), ==, 0);
    assert_zone(d, 0, CLOSED, 8);
    g_assert_cmphex(mgmt_all(d, FINISH), ==, 0);
    assert_zone(d, 0, FULL, 0);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    assert_zone(d, 0, EMPTY, 0);
    disk_free(d);
}

static void test_zbc36(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    for (i = 0; i < 2; i++) {
        g_assert_cmphex(mgmt_ex(d, OPEN, ZONE(SEQ + i), false, i), ==, 0);
        assert_zone(d, SEQ + i, EOPEN, 0);
        assert_zone(d, SEQ + i + 1, EMPTY, 0);
    }
    disk_free(d);
}

static void test_zbc37(void)
{
    Disk *d = disk_new(HM, "");

    ASSERT_UNCHANGED(d, mgmt_ex(d, FINISH, 0, false, 3), BAD_FIELD);
    ASSERT_UNCHANGED(d, mgmt_ex(d, FINISH, ZONE(SEQ), false, NR_ZONES - 1),
                     BAD_FIELD);
    ASSERT_UNCHANGED(d, mgmt_ex(d, FINISH, ZONE(SEQ), false, 0xffff),
                     BAD_FIELD);
    ASSERT_UNCHANGED(d, mgmt_ex(d, OPEN, ZONE(SEQ), false, MAX_OPEN + 1),
                     NO_OPEN);
    make(d, SEQ + 1, FULL, 0);
    g_assert_cmphex(mgmt_ex(d, OPEN, ZONE(SEQ), false, MAX_OPEN + 1), ==, 0);
    assert_zone(d, SEQ, EOPEN, 0);
    assert_zone(d, SEQ + 1, FULL, 0);
    assert_zone(d, SEQ + 2, EOPEN, 0);
    assert_zone(d, SEQ + 3, EOPEN, 0);
    assert_zone(d, SEQ + 4, EMPTY, 0);
    g_assert_cmphex(mgmt_ex(d, CLOSE, ZONE(SEQ), false, 5), ==, 0);
    assert_nr(d, 3, 0);
    g_assert_cmphex(mgmt_ex(d, FINISH, ZONE(SEQ), false, NR_ZONES - 2), ==, 0);
    assert_nr(d, 5, NR_ZONES - 2);
    g_assert_cmphex(mgmt_ex(d, RESET, ZONE(SEQ), false, NR_ZONES - 2), ==, 0);
    assert_nr(d, 1, NR_ZONES - 2);
    disk_free(d);
}

/* The table of section 4: from, with or without data, to */
static const struct {
    uint8_t from, written;
    uint8_t to[5];              /* by action: -, CLOSE, FINISH, OPEN, RESET */
    uint8_t to_all[5];
} transitions[] = {
    { EMPTY, 0, { 0, EMPTY, FULL, EOPEN, EMPTY },
      { 0, EMPTY, EMPTY, EMPTY, EMPTY } },
    { IOPEN, 8, { 0, CLOSED, FULL, EOPEN, EMPTY },
      { 0, CLOSED, FULL, IOPEN, EMPTY } },
    { EOPEN, 8, { 0, CLOSED, FULL, EOPEN, EMPTY },
      { 0, CLOSED, FULL, EOPEN, EMPTY } },
    { EOPEN, 0, { 0, EMPTY, FULL, EOPEN, EMPTY },
      { 0, EMPTY, FULL, EOPEN, EMPTY } },
    { CLOSED, 8, { 0, CLOSED, FULL, EOPEN, EMPTY },
      { 0, CLOSED, FULL, EOPEN, EMPTY } },
    { FULL, 8, { 0, FULL, FULL, FULL, EMPTY },
      { 0, FULL, FULL, FULL, EMPTY } },
};

static void assert_transitions(const char *node, uint8_t action, bool all)
{
    Disk *d = disk_new(node, "");
    size_t i;

    for (i = 0; i < ARRAY_SIZE(transitions); i++) {
        uint8_t to = all ? transitions[i].to_all[action]
                         : transitions[i].to[action];

        make(d, SEQ, transitions[i].from, transitions[i].written);
        g_assert_cmphex(all ? mgmt_all(d, action)
                            : mgmt(d, action, ZONE(SEQ)), ==, 0);
        assert_zone(d, SEQ, to, to == EMPTY ? 0 : transitions[i].written);
        g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0);
    }
    disk_free(d);
}

static void test_zbc38(void)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        assert_transitions(HM, actions[i], false);
        assert_transitions(HA, actions[i], false);
    }
}

static void test_zbc39(void)
{
    assert_transitions(HM, OPEN, true);
}

static void test_zbc40(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, CLOSED, 8);
    make(d, SEQ + 1, CLOSED, 8);
    make(d, SEQ + 2, CLOSED, 8);
    make(d, SEQ + 3, CLOSED, 8);
    ASSERT_UNCHANGED(d, mgmt_all(d, OPEN), NO_OPEN);
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0);
    make(d, SEQ, EOPEN, 0);
    ASSERT_UNCHANGED(d, mgmt_all(d, OPEN), NO_OPEN);
    g_assert_cmphex(mgmt(d, CLOSE, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt_all(d, OPEN), ==, 0);
    assert_nr(d, 3, MAX_OPEN);
    disk_free(d);
}

static void test_zbc41(void)
{
    assert_transitions(HM, CLOSE, true);
}

static void test_zbc42(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    assert_transitions(HM, FINISH, true);
    for (i = 0; i < MAX_OPEN + 2; i++) {
        make(d, SEQ + i, CLOSED, 8);
    }
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ + i)), ==, 0);
        assert_zone(d, SEQ + i, EOPEN, 8);
    }
    g_assert_cmphex(mgmt_all(d, FINISH), ==, 0);
    assert_nr(d, 5, MAX_OPEN + 2);
    disk_free(d);
}

static void test_zbc43(void)
{
    assert_transitions(HM, RESET, true);
    assert_transitions(HA, RESET, true);
}

/* A finished or reset zone does not show what it held in an earlier life */
static void test_zbc45(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, IOPEN, 16);
    assert_data(d, ZONE(SEQ), 16, 0x5a);
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0);
    assert_data(d, ZONE(SEQ), 16, 0);
    make(d, SEQ, FULL, 4);
    assert_data(d, ZONE(SEQ), 4, 0x5a);
    assert_data(d, ZONE(SEQ) + 4, 12, 0);
    disk_free(d);
}

static void test_zbc47(void)
{
    Disk *d = disk_new(HM, "");

    ASSERT_UNCHANGED(d, mgmt(d, SEQUENTIALIZE, ZONE(SEQ)), BAD_FIELD);
    disk_free(d);
}

static void test_zbc48(void)
{
    Disk *d = disk_new(HM ",read-only=on", "");
    size_t i;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        ASSERT_UNCHANGED(d, mgmt(d, actions[i], ZONE(SEQ)), PROTECTED);
        ASSERT_UNCHANGED(d, mgmt_all(d, actions[i]), PROTECTED);
    }
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ), 8), PROTECTED);
    g_assert_cmphex(do_read(d, ZONE(SEQ), 8), ==, 0);
    disk_free(d);
}

/*
 * Open zones
 */

static void test_zbc49(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    for (i = SEQ; i < NR_ZONES; i++) {
        g_assert_cmphex(do_write(d, ZONE(i), 8), ==, 0);
        g_assert_cmpuint(report(d, 0, 2, 64).nr + report(d, 0, 3, 64).nr, <=,
                         MAX_OPEN);
    }
    disk_free(d);
}

static void test_zbc50(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    for (i = 0; i < MAX_OPEN; i++) {
        make(d, SEQ + i, IOPEN, 8);
    }
    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ + MAX_OPEN)), ==, 0);
    assert_nr(d, 4, 1);
    assert_nr(d, 2, MAX_OPEN - 1);
    g_assert_cmphex(do_write(d, ZONE(SEQ + MAX_OPEN + 1), 8), ==, 0);
    assert_nr(d, 4, 2);
    assert_nr(d, 2, MAX_OPEN - 1);
    disk_free(d);
}

static void test_zbc51(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    make(d, SEQ + MAX_OPEN, CLOSED, 8);
    for (i = 0; i < MAX_OPEN; i++) {
        make(d, SEQ + i, EOPEN, 0);
    }
    for (i = 0; i < 2; i++) {
        uint64_t lba = ZONE(SEQ + MAX_OPEN + i);

        ASSERT_UNCHANGED(d, mgmt(d, OPEN, lba), NO_OPEN);
        ASSERT_UNCHANGED(d, do_write(d, lba + (i ? 0 : 8), 8), NO_OPEN);
    }
    disk_free(d);
}

static void test_zbc52(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    for (i = 0; i < MAX_OPEN - 1; i++) {
        make(d, SEQ + i, EOPEN, 0);
    }
    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ + i)), ==, 0);
    g_assert_cmphex(mgmt(d, CLOSE, ZONE(SEQ + i)), ==, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ + i), 8), ==, 0);
    disk_free(d);
}

/* The contract leaves it to the device whether FINISH fails; it does not */
static void test_zbc53(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    make(d, SEQ + MAX_OPEN, CLOSED, 8);
    for (i = 0; i < MAX_OPEN; i++) {
        make(d, SEQ + i, EOPEN, 0);
    }
    for (i = 0; i < 2; i++) {
        g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ + MAX_OPEN + i)), ==, 0);
        assert_zone(d, SEQ + MAX_OPEN + i, FULL, 0);
    }
    assert_nr(d, 3, MAX_OPEN);
    disk_free(d);
}

static void test_zbc54(void)
{
    Disk *d = disk_new(HM, "");
    int i;

    make(d, SEQ, EOPEN, 0);
    make(d, SEQ + 1, EOPEN, 0);
    make(d, SEQ + 2, IOPEN, 8);
    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ + 2)), ==, 0);
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmpint(get_zone(d, SEQ + i).cond, ==, EOPEN);
    }
    disk_free(d);
}

static void test_zbc55(void)
{
    Disk *d = disk_new(HM, "");
    int i, way;

    for (i = 0; i < MAX_OPEN - 1; i++) {
        make(d, SEQ + i, EOPEN, 0);
    }
    for (way = 0; way < 4; way++) {
        make(d, SEQ + i, EOPEN, 0);
        g_assert_cmphex(mgmt(d, OPEN, ZONE(NR_ZONES - 1)), ==, NO_OPEN);
        if (way == 0) {
            g_assert_cmphex(do_write(d, ZONE(SEQ + i), ZS), ==, 0);
        } else {
            g_assert_cmphex(mgmt(d, (uint8_t[]) { 0, FINISH, CLOSE, RESET }
                                    [way], ZONE(SEQ + i)), ==, 0);
        }
        g_assert_cmphex(mgmt(d, OPEN, ZONE(NR_ZONES - 1)), ==, 0);
        g_assert_cmphex(mgmt(d, RESET, ZONE(NR_ZONES - 1)), ==, 0);
        g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ + i)), ==, 0);
    }
    disk_free(d);
}

static void assert_no_limit(const char *node)
{
    Disk *d = disk_new(node, "");
    int i;

    for (i = SEQ; i < NR_ZONES; i++) {
        g_assert_cmphex(mgmt(d, OPEN, ZONE(i)), ==, 0);
    }
    assert_nr(d, 3, NR_ZONES - SEQ);
    disk_free(d);
}

static void test_zbc56(void)
{
    assert_no_limit(HA);
}

static void test_zbc57(void)
{
    assert_no_limit(HM_UNLIMITED);
    assert_no_limit(HM ",zoned.max-open-zones=9");
}

/*
 * Writes
 */

static const uint8_t writes[] = {
    WRITE_10, WRITE_12, WRITE_16, WRITE_VERIFY_10, WRITE_VERIFY_12,
    WRITE_VERIFY_16,
};

static void test_zbc58(void)
{
    Disk *d = disk_new(HM, "");
    static const uint8_t conds[] = { EMPTY, IOPEN, EOPEN, CLOSED };
    size_t i, j;

    for (i = 0; i < ARRAY_SIZE(conds); i++) {
        unsigned int wp = conds[i] == EMPTY ? 0 : 16;

        make(d, SEQ, conds[i], wp);
        for (j = 0; j < ARRAY_SIZE(writes); j++) {
            ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(SEQ) + wp + 8, 8,
                                         1), UNALIGNED);
            if (wp) {
                ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(SEQ), 8, 1),
                                 UNALIGNED);
                ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(SEQ) + 8, 16,
                                             1), UNALIGNED);
            }
        }
        g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0);
    }
    disk_free(d);
}

static void test_zbc59(void)
{
    Disk *d = disk_new(HM, "");
    size_t j;

    for (j = 0; j < ARRAY_SIZE(writes); j++) {
        ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(SEQ), ZS + 1, 1),
                         WRITE_BORDER);
    }
    make(d, SEQ, IOPEN, ZS - 8);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + ZS - 8, 9), WRITE_BORDER);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + ZS - 8, 3 * ZS), WRITE_BORDER);
    disk_free(d);
}

static void test_zbc60(void)
{
    Disk *d = disk_new(HM, "");
    size_t j;

    make(d, SEQ, FULL, 8);
    for (j = 0; j < ARRAY_SIZE(writes); j++) {
        ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(SEQ), 8, 1),
                         BAD_FIELD);
        ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(SEQ) + 8, 8, 1),
                         BAD_FIELD);
    }
    disk_free(d);
}

static void test_zbc61(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, FULL, 8);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + 8, ZS), WRITE_BORDER);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ + 1) + 8, ZS), WRITE_BORDER);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(NR_ZONES - 1) + 8, ZS), BAD_LBA);
    disk_free(d);
}

static void test_zbc62(void)
{
    Disk *d = disk_new(HM, ",physical_block_size=4096");

    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ), 7), UNALIGNED);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ), 9), UNALIGNED);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + 1, 7), UNALIGNED);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    make(d, SEQ + 1, FULL, 8);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ + 1) + 8, 7), BAD_FIELD);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + 8, ZS + 1), WRITE_BORDER);
    /* Conventional zones take anything */
    g_assert_cmphex(do_write(d, 3, 3), ==, 0);
    g_assert_cmphex(do_write(d, ZONE(1) - 3, 7), ==, 0);
    assert_data(d, ZONE(1) - 3, 7, 0x5a);
    disk_free(d);

    d = disk_new(HA, ",physical_block_size=4096");
    g_assert_cmphex(do_write(d, ZONE(SEQ), 7), ==, 0);
    assert_zone(d, SEQ, IOPEN, 7);
    disk_free(d);
}

static void test_zbc63(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, IOPEN, 8);
    ASSERT_UNCHANGED(d, write_op(d, WRITE_16, ZONE(SEQ), 8, 0x11), UNALIGNED);
    assert_data(d, ZONE(SEQ), 8, 0x5a);
    ASSERT_UNCHANGED(d, write_op(d, WRITE_16, ZONE(SEQ) + 16, 8, 0x11),
                     UNALIGNED);
    assert_data(d, ZONE(SEQ) + 8, 16, 0);
    ASSERT_UNCHANGED(d, write_op(d, WRITE_16, ZONE(SEQ) - 8, 16, 0x11),
                     WRITE_BORDER);
    assert_data(d, ZONE(SEQ) - 8, 8, 0);
    disk_free(d);
}

/* An I/O error leaves the write pointer where it was */
static void test_zbc63_io_error(void)
{
    Disk *d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                       "inject-error.0.errno=5,inject-error.0.once=on,"
                       "inject-error.0.iotype=write", ",werror=report");

    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ), 8), 0xb0006);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    disk_free(d);
}

static void test_zbc64(void)
{
    Disk *d = disk_new(HM, "");
    size_t j;

    for (j = 0; j < ARRAY_SIZE(writes); j++) {
        g_assert_cmphex(write_op(d, writes[j], ZONE(SEQ) + 8 * j, 8, j + 1),
                        ==, 0);
        assert_zone(d, SEQ, IOPEN, 8 * (j + 1));
        assert_data(d, ZONE(SEQ) + 8 * j, 8, j + 1);
    }
    make(d, SEQ + 1, EOPEN, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ + 1), 8), ==, 0);
    assert_zone(d, SEQ + 1, EOPEN, 8);
    make(d, SEQ + 2, CLOSED, 8);
    g_assert_cmphex(do_write(d, ZONE(SEQ + 2) + 8, 8), ==, 0);
    assert_zone(d, SEQ + 2, IOPEN, 16);
    g_assert_cmphex(do_write(d, ZONE(SEQ + 2) + 16, ZS - 16), ==, 0);
    assert_zone(d, SEQ + 2, FULL, 0);
    g_assert_cmphex(do_write(d, ZONE(NR_ZONES - 1), LAST), ==, 0);
    assert_zone(d, NR_ZONES - 1, FULL, 0);
    disk_free(d);
}

static void test_zbc65(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ + 1, FULL, 0);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ), 0), 0);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + 8, 0), 0);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ + 1), 0), 0);
    ASSERT_UNCHANGED(d, do_write(d, CAPACITY + 1, 0), BAD_LBA);
    disk_free(d);
}

static void test_zbc66(void)
{
    Disk *d = disk_new(HM, "");
    size_t j;

    for (j = 0; j < ARRAY_SIZE(writes); j++) {
        ASSERT_UNCHANGED(d, write_op(d, writes[j], CAPACITY, 1, 1), BAD_LBA);
        ASSERT_UNCHANGED(d, write_op(d, writes[j], ZONE(NR_ZONES - 1),
                                     LAST + 1, 1), BAD_LBA);
    }
    ASSERT_UNCHANGED(d, do_write(d, UINT64_MAX, 1), BAD_LBA);
    ASSERT_UNCHANGED(d, do_write(d, UINT64_MAX / 512 + 1, 8), BAD_LBA);
    disk_free(d);
}

static void test_zbc67(void)
{
    Disk *d = disk_new(HM, "");

    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) - 8, 16), WRITE_BORDER);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(1) - 8, 2 * ZS), WRITE_BORDER);
    g_assert_cmphex(do_write(d, ZONE(1) - 8, 16), ==, 0);
    assert_data(d, ZONE(1) - 8, 16, 0x5a);
    disk_free(d);
}

static void test_zbc69(void)
{
    Disk *d = disk_new(HA, "");

    /* Above the write pointer, below it, at it */
    g_assert_cmphex(do_write(d, ZONE(SEQ) + 16, 8), ==, 0);
    assert_zone(d, SEQ, IOPEN, 24);
    g_assert_true(get_zone(d, SEQ).non_seq);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    assert_zone(d, SEQ, IOPEN, 24);
    g_assert_cmphex(do_write(d, ZONE(SEQ) + 24, 8), ==, 0);
    assert_zone(d, SEQ, IOPEN, 32);
    assert_nr(d, 0x11, 1);
    /* Across zones, out of a conventional one, and into a full one */
    g_assert_cmphex(do_write(d, ZONE(4) - 8, 16), ==, 0);
    assert_zone(d, 3, FULL, 0);
    assert_zone(d, 4, IOPEN, 8);
    g_assert_false(get_zone(d, 4).non_seq);
    g_assert_true(get_zone(d, 3).non_seq);
    g_assert_cmphex(do_write(d, ZONE(SEQ) - 8, 16), ==, 0);
    g_assert_cmphex(do_write(d, ZONE(3), 8), ==, 0);
    assert_zone(d, 3, FULL, 0);
    assert_data(d, ZONE(3), 8, 0x5a);
    /* A reset forgets */
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0);
    g_assert_false(get_zone(d, SEQ).non_seq);
    g_assert_cmpint(get_zone(d, SEQ).type, ==, 3);
    disk_free(d);
}

/*
 * Reads
 */

static const uint8_t reads[] = { READ_10, READ_12, READ_16 };

static uint32_t verify(Disk *d, uint8_t opcode, uint64_t lba, uint32_t n)
{
    uint8_t cdb[16];

    rw_cdb(cdb, opcode, lba, n);
    return cmd_in(d, cdb, NULL, 0);
}

/* All ways to read a range must end in the same way */
static void assert_read(Disk *d, uint64_t lba, uint32_t n, uint32_t sense)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(reads); i++) {
        ASSERT_UNCHANGED(d, read_op(d, reads[i], lba, n), sense);
    }
    g_assert_cmphex(verify(d, VERIFY_10, lba, n), ==, sense);
    g_assert_cmphex(verify(d, VERIFY_12, lba, n), ==, sense);
    g_assert_cmphex(verify(d, VERIFY_16, lba, n), ==, sense);
}

static void test_zbc70(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, IOPEN, 8);
    assert_read(d, ZONE(SEQ), 16, 0);
    assert_read(d, ZONE(SEQ) + 16, 8, 0);
    assert_read(d, ZONE(SEQ), 3 * ZS, 0);
    assert_data(d, ZONE(SEQ), 8, 0x5a);
    assert_data(d, ZONE(SEQ) + 8, 2 * ZS, 0);
    disk_free(d);
}

static void test_zbc71(void)
{
    Disk *d = disk_new(HM, ",urswrz=off");

    make(d, SEQ, IOPEN, 8);
    make(d, SEQ + 1, EOPEN, 8);
    make(d, SEQ + 2, CLOSED, 8);
    assert_read(d, ZONE(SEQ), 8, 0);
    assert_read(d, ZONE(SEQ), 9, READ_UNWRITTEN);
    assert_read(d, ZONE(SEQ) + 8, 1, READ_UNWRITTEN);
    assert_read(d, ZONE(SEQ) + 9, 1, READ_UNWRITTEN);
    assert_read(d, ZONE(SEQ + 1), 9, READ_UNWRITTEN);
    assert_read(d, ZONE(SEQ + 2), 9, READ_UNWRITTEN);
    assert_read(d, ZONE(SEQ + 3), 1, READ_UNWRITTEN);
    disk_free(d);
}

static void test_zbc72(void)
{
    Disk *d = disk_new(HM, ",urswrz=off");

    make(d, SEQ, FULL, 8);
    make(d, SEQ + 1, FULL, 8);
    assert_read(d, ZONE(SEQ + 1) - 8, 16, READ_BORDER);
    assert_read(d, ZONE(SEQ + 2) - 8, 16, READ_BORDER);
    assert_read(d, ZONE(SEQ + 4) - 8, 16, READ_BORDER);
    disk_free(d);
}

static void test_zbc73(void)
{
    Disk *d = disk_new(HM, ",urswrz=off");

    make(d, SEQ, FULL, 8);
    make(d, NR_ZONES - 1, FULL, 8);
    assert_read(d, ZONE(SEQ), ZS, 0);
    assert_read(d, ZONE(NR_ZONES - 1), LAST, 0);
    disk_free(d);
}

static void test_zbc74(void)
{
    Disk *d = disk_new(HM, "");

    assert_read(d, ZONE(SEQ) - 8, 16, READ_BORDER);
    assert_read(d, 0, CAPACITY, READ_BORDER);
    disk_free(d);
    d = disk_new(HM, ",urswrz=off");
    make(d, SEQ, FULL, 8);
    assert_read(d, ZONE(SEQ) - 8, 16, READ_BORDER);
    disk_free(d);
}

static void test_zbc75(void)
{
    Disk *d = disk_new(HM, ",urswrz=off");

    assert_read(d, ZONE(1) - 8, 16, 0);
    assert_read(d, 0, 2 * ZS, 0);
    disk_free(d);
    d = disk_new(HA, "");
    assert_read(d, 0, CAPACITY, 0);
    disk_free(d);
}

static void test_zbc76(void)
{
    Disk *d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                       "inject-error.0.errno=6,inject-error.0.iotype=read",
                       ",rerror=stop");

    g_assert_cmphex(do_read(d, ZONE(SEQ), 8), ==, OFFLINE);
    g_assert_cmphex(do_read(d, ZONE(SEQ), 8), ==, OFFLINE);
    disk_free(d);
}

/*
 * Other commands
 */

static int flushes(Disk *d, const char *counter)
{
    QDict *rsp = qtest_qmp(d->qts, "{'execute': 'query-blockstats'}");
    QDict *device = qobject_to(QDict, qlist_entry_obj(
        qlist_first(qdict_get_qlist(rsp, "return"))));
    int n = qdict_get_int(qdict_get_qdict(device, "stats"), counter);

    qobject_unref(rsp);
    return n;
}

static void test_zbc78(void)
{
    uint8_t sync10[16] = { SYNCHRONIZE_CACHE };
    uint8_t sync16[16] = { SYNCHRONIZE_CACHE_16, 0, [13] = 8 };
    Disk *d = disk_new(HM, "");

    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    g_assert_cmphex(cmd_in(d, sync10, NULL, 0), ==, 0);
    g_assert_cmphex(cmd_in(d, sync16, NULL, 0), ==, 0);
    g_assert_cmphex(do_read(d, ZONE(SEQ), 8), ==, 0);
    g_assert_cmpint(flushes(d, "flush_operations"), ==, 2);
    disk_free(d);
}

static void test_zbc78_error(void)
{
    uint8_t sync16[16] = { SYNCHRONIZE_CACHE_16 };
    Disk *d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                       "inject-error.0.errno=5,inject-error.0.once=on,"
                       "inject-error.0.iotype=flush", ",werror=report");

    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    g_assert_cmphex(cmd_in(d, sync16, NULL, 0), ==, 0xb0006);
    g_assert_cmphex(cmd_in(d, sync16, NULL, 0), ==, 0);
    g_assert_cmpint(flushes(d, "flush_operations"), ==, 1);
    g_assert_cmpint(flushes(d, "failed_flush_operations"), ==, 1);
    disk_free(d);
}

static void test_zbc79(void)
{
    Disk *d = disk_new(HM, "");

    g_assert_cmphex(write_op(d, WRITE_10, ZONE(SEQ), 8, 1), ==, 0);
    g_assert_cmphex(write_op(d, WRITE_12, ZONE(SEQ) + 8, 8, 1), ==, 0);
    g_assert_cmphex(read_op(d, READ_10, ZONE(SEQ), 16), ==, 0);
    g_assert_cmphex(read_op(d, READ_12, ZONE(SEQ), 16), ==, 0);
    disk_free(d);
}

static void test_zbc80(void)
{
    Disk *d = disk_new(HM, "");

    ASSERT_UNCHANGED(d, read_op(d, READ_6, ZONE(SEQ), 1), BAD_OPCODE);
    ASSERT_UNCHANGED(d, write_op(d, WRITE_6, ZONE(SEQ), 1, 1), BAD_OPCODE);
    disk_free(d);
    d = disk_new(HA, "");
    g_assert_cmphex(write_op(d, WRITE_6, ZONE(SEQ), 1, 1), ==, 0);
    assert_zone(d, SEQ, IOPEN, 1);
    disk_free(d);
}

static void test_zbc81(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t data[512] = { 0 };
    uint8_t cdb[16];
    int i;

    for (i = 0; i < 4; i++) {
        rw_cdb(cdb, WRITE_16, ZONE(SEQ) + i, 1);
        cdb[1] = i << 3;
        g_assert_cmphex(cmd(d, cdb, data, 512, NULL, 0), ==, 0);
        rw_cdb(cdb, READ_16, ZONE(SEQ) + i, 1);
        cdb[1] = i << 3;
        g_assert_cmphex(cmd_in(d, cdb, data, 512), ==, 0);
    }
    assert_zone(d, SEQ, IOPEN, 4);
    disk_free(d);
}

static uint32_t unmap(Disk *d, uint64_t lba, uint32_t n)
{
    uint8_t cdb[16] = { UNMAP, [8] = 24 };
    uint8_t list[24] = { 0, 22, 0, 16 };

    stq_be_p(&list[8], lba);
    stl_be_p(&list[16], n);
    return cmd(d, cdb, list, sizeof(list), NULL, 0);
}

static void test_zbc82(void)
{
    Disk *d = disk_new(HM, "");

    make(d, SEQ, IOPEN, 16);
    ASSERT_UNCHANGED(d, unmap(d, ZONE(SEQ), 8), BAD_OPCODE);
    assert_data(d, ZONE(SEQ), 16, 0x5a);
    disk_free(d);
    d = disk_new(HA, "");
    make(d, SEQ, IOPEN, 16);
    ASSERT_UNCHANGED(d, unmap(d, ZONE(SEQ), 8), 0);
    disk_free(d);
}

static void test_zbc83(void)
{
    uint8_t ops[] = { WRITE_SAME_10, WRITE_SAME_16 };
    Disk *d = disk_new(HM, "");
    uint8_t data[512] = { 0 };
    uint8_t cdb[16];
    size_t i;
    int flags;

    make(d, SEQ, IOPEN, 16);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        for (flags = 0; flags < 0x20; flags += 8) {
            rw_cdb(cdb, ops[i], ZONE(SEQ) + 16, 8);
            cdb[1] = flags;
            ASSERT_UNCHANGED(d, cmd(d, cdb, data, 512, NULL, 0), BAD_OPCODE);
        }
    }
    disk_free(d);
}

static void test_zbc85(void)
{
    uint8_t cdb[16] = { FORMAT_UNIT };
    Disk *d = disk_new(HM, "");

    ASSERT_UNCHANGED(d, cmd_in(d, cdb, NULL, 0), BAD_OPCODE);
    disk_free(d);
}

static void test_zbc84(void)
{
    uint8_t ops[] = { COMPARE_AND_WRITE, 0x8b, 0x9c };
    Disk *d = disk_new(HM, "");
    size_t i;

    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        uint8_t cdb[16] = { ops[i] };

        ASSERT_UNCHANGED(d, cmd_in(d, cdb, NULL, 0), BAD_OPCODE);
    }
    disk_free(d);
}

static void test_zbc87(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t buf[64];

    g_assert_cmphex(inquiry(d, 0xb0, buf, sizeof(buf)), ==, 0);
    g_assert_cmpuint((uint32_t)ldl_be_p(&buf[8]), ==, ZS);
    disk_free(d);
}

/* Zones outlast resets of the device */
static void test_zbc88(void)
{
    const uint8_t test_unit_ready[6] = { 0 };
    Disk *d = disk_new(HM, "");

    make(d, SEQ, IOPEN, 8);
    make(d, SEQ + 1, FULL, 8);
    disk_stop(d);
    disk_start(d);
    g_assert_cmphex(cmd_in(d, test_unit_ready, NULL, 0), ==, 0x62900);
    assert_zone(d, SEQ, IOPEN, 8);
    assert_zone(d, SEQ + 1, FULL, 0);
    assert_data(d, ZONE(SEQ), 8, 0x5a);
    disk_free(d);
}

/* Many writes in flight to one zone, each at the write pointer of the last */
static void queue_writes(Disk *d, const uint64_t *lbas, unsigned int nr,
                         uint32_t blocks)
{
    unsigned int desc = 0, i;

    for (i = 0; i < nr; i++) {
        uint8_t cdb[16];
        unsigned int first = desc;

        rw_cdb(cdb, WRITE_16, lbas[i], blocks);
        qtest_memset(d->qts, d->mem + MEM_DATA + i * blocks * 512, i + 1,
                     blocks * 512);
        desc = queue_cmd(d, i, desc, cdb,
                         d->mem + MEM_DATA + i * blocks * 512, blocks * 512,
                         0);
        qtest_writew(d->qts, d->vq[REQUEST_QUEUE]->avail + 4 +
                     2 * ((d->used_idx + i) % d->vq[REQUEST_QUEUE]->size),
                     first);
    }
    /* One kick for all */
    qtest_writew(d->qts, d->vq[REQUEST_QUEUE]->avail + 2, d->used_idx + nr);
    d->vdev->bus->virtqueue_kick(d->vdev, d->vq[REQUEST_QUEUE]);
    disk_wait(d, nr);
}

static void test_zbc90(void)
{
    Disk *d = disk_new("driver=null-co,memory-backed=on,size=688128,"
                       "latency-ns=2000000,zoned.zone-size=64K", "");
    uint64_t lbas[32];
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(lbas); i++) {
        lbas[i] = ZONE(SEQ) + 4 * i;
    }
    queue_writes(d, lbas, ARRAY_SIZE(lbas), 4);
    for (i = 0; i < ARRAY_SIZE(lbas); i++) {
        g_assert_cmphex(slot_result(d, i), ==, 0);
        assert_data(d, lbas[i], 4, i + 1);
    }
    assert_zone(d, SEQ, FULL, 0);

    /* Of two writes to one place, one is refused */
    lbas[0] = lbas[1] = ZONE(SEQ + 1);
    queue_writes(d, lbas, 2, 4);
    g_assert_cmphex(slot_result(d, 0), ==, 0);
    g_assert_cmphex(slot_result(d, 1), ==, UNALIGNED);
    assert_zone(d, SEQ + 1, IOPEN, 4);
    disk_free(d);
}

/*
 * Gap zones
 */

static void test_zbc103(void)
{
    Disk *d = disk_new(GAPS, "");
    uint8_t buf[64];
    Report r;
    int i;

    g_assert_cmphex(inquiry(d, 0xb6, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(buf[23], ==, 8);
    g_assert_cmphex(ldq_be_p(&buf[24]), ==, ZS);

    r = report(d, 0, 0, 64);
    g_assert_cmpuint(r.granularity, ==, ZS);
    /* All sequential zones but the short last one have a gap */
    g_assert_cmpuint(r.nr, ==, NR_ZONES + NR_ZONES - NR_CONV - 1);
    for (i = NR_CONV; i < r.nr; i++) {
        bool gap = (i - NR_CONV) % 2;
        bool last = i == r.nr - 1;

        g_assert_cmpint(r.zones[i].type, ==, gap ? 5 : 2);
        g_assert_cmpint(r.zones[i].cond, ==, gap ? NOT_WP : EMPTY);
        g_assert_cmpuint(r.zones[i].len, ==,
                         last ? LAST : gap ? ZS - CAP : CAP);
        g_assert_cmpuint(r.zones[i].start, ==,
                         ZONE(NR_CONV + (i - NR_CONV) / 2) + (gap ? CAP : 0));
    }
    g_assert_cmphex(do_write(d, ZONE(SEQ), CAP), ==, 0);
    assert_zone(d, SEQ, FULL, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ + 1), CAP + 1), ==, WRITE_BORDER);
    /* Conventional zones are whole */
    g_assert_cmphex(do_write(d, ZONE(1) - 8, 16), ==, 0);
    disk_free(d);
}

static void test_zbc104(void)
{
    Disk *d = disk_new(GAPS, "");
    Report r;
    size_t i;

    assert_nr(d, 0x3e, NR_ZONES);
    assert_nr(d, 0x3f, NR_CONV + NR_ZONES - NR_CONV - 1);
    r = report(d, ZONE(SEQ) + CAP + 1, 0, 64);
    g_assert_cmpint(r.zones[0].type, ==, 5);
    g_assert_cmpuint(r.zones[0].start, ==, ZONE(SEQ) + CAP);
    r = report(d, ZONE(SEQ) + CAP, PARTIAL, 1);
    g_assert_cmpuint(r.nr, ==, 1);
    g_assert_cmpint(r.zones[0].type, ==, 5);

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        ASSERT_UNCHANGED(d, mgmt(d, actions[i], ZONE(SEQ) + CAP), BAD_FIELD);
    }
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + CAP, 8), GAP);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + CAP + 8, 8), GAP);
    assert_read(d, ZONE(SEQ) + CAP, 8, GAP);
    assert_read(d, ZONE(SEQ) + CAP - 8, 16, GAP);
    assert_read(d, ZONE(SEQ), ZS, GAP);
    assert_read(d, ZONE(SEQ), CAP, 0);
    disk_free(d);
}

static void test_zbc105(void)
{
    Disk *d = disk_new(HM, "");
    uint8_t cdb[16] = { VARLENGTH_CDB };

    g_assert_cmphex(cmd_in(d, cdb, NULL, 0), ==, BAD_OPCODE);
    disk_free(d);
}

/*
 * Beyond the numbers
 */

/* No mistake of the guest stops the VM */
static void test_werror(void)
{
    Disk *d = disk_new(HM, ",werror=stop,rerror=stop");
    QDict *resp;

    g_assert_cmphex(do_write(d, ZONE(SEQ) + 8, 8), ==, UNALIGNED);
    g_assert_cmphex(do_write(d, ZONE(SEQ), ZS + 8), ==, WRITE_BORDER);
    g_assert_cmphex(do_read(d, ZONE(SEQ) - 8, 16), ==, READ_BORDER);
    g_assert_cmphex(mgmt(d, RESET, 1), ==, BAD_FIELD);
    resp = qtest_qmp(d->qts, "{'execute': 'query-status'}");
    g_assert_true(qdict_get_bool(qdict_get_qdict(resp, "return"), "running"));
    qobject_unref(resp);
    disk_free(d);
}

/* What fails with an I/O error waits for the VM to go on, and is done then */
/* Returns the sense that the command then ends with */
static uint32_t stopped_until_cont(Disk *d, const uint8_t *cdb, size_t out_len,
                                   size_t in_len)
{
    queue_cmd(d, 0, 0, cdb, d->mem + MEM_DATA, out_len, in_len);
    qvirtqueue_kick(d->qts, d->vdev, d->vq[REQUEST_QUEUE], 0);
    qtest_qmp_eventwait(d->qts, "STOP");
    qobject_unref(qtest_qmp(d->qts, "{'execute': 'cont'}"));
    disk_wait(d, 1);
    return slot_result(d, 0);
}

static void test_retry_mgmt(void)
{
    Disk *d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                       "inject-error.0.errno=5,inject-error.0.once=on,"
                       "inject-error.0.iotype=zone-mgmt", ",werror=stop");
    uint8_t cdb[16] = { ZBC_OUT, FINISH };

    stq_be_p(&cdb[2], ZONE(SEQ));
    g_assert_cmphex(stopped_until_cont(d, cdb, 0, 0), ==, 0);
    assert_zone(d, SEQ, FULL, 0);
    disk_free(d);

    d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                 "inject-error.0.errno=5,inject-error.0.once=on,"
                 "inject-error.0.iotype=zone-mgmt", ",werror=report");
    ASSERT_UNCHANGED(d, mgmt(d, FINISH, ZONE(SEQ)), 0xb0006);
    g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ)), ==, 0);
    disk_free(d);
}

/* Without a write cache, what an operation has done is durable */
static void test_zbc89(void)
{
    const char *node = HM_FAULTY ",inject-error.0.event=none,"
        "inject-error.0.errno=5,inject-error.0.iotype=flush";
    Disk *d = disk_new(node, ",write-cache=off");

    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt(d, CLOSE, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ)), ==, 0xb0006);
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0xb0006);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0xb0006);
    g_assert_cmphex(mgmt_ex(d, RESET, ZONE(SEQ), false, 3), ==, 0xb0006);
    disk_free(d);

    d = disk_new(node, ",write-cache=on");
    g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    g_assert_cmphex(mgmt_ex(d, RESET, ZONE(SEQ), false, 3), ==, 0);
    disk_free(d);
}

/* Operations are counted apart from one another, and by how they ended */
static void test_zone_stats(void)
{
    Disk *d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                       "inject-error.0.errno=5,inject-error.0.once=on,"
                       "inject-error.0.iotype=zone-finish", ",werror=report");

    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt(d, OPEN, ZONE(0)), ==, BAD_FIELD);
    g_assert_cmphex(mgmt(d, OPEN, CAPACITY), ==, BAD_LBA);
    g_assert_cmphex(mgmt(d, CLOSE, ZONE(SEQ)), ==, 0);
    /* No mistake here, though the block layer has refused it */
    g_assert_cmphex(mgmt(d, CLOSE, ZONE(SEQ)), ==, 0);
    g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ)), ==, 0xb0006);
    g_assert_cmphex(mgmt(d, FINISH, ZONE(SEQ)), ==, 0);
    /* Several zones are one command */
    g_assert_cmphex(mgmt_ex(d, OPEN, ZONE(SEQ + 1), false, 3), ==, 0);
    g_assert_cmphex(mgmt_ex(d, OPEN, ZONE(SEQ + 1), false, 4), ==, NO_OPEN);
    g_assert_cmphex(mgmt(d, RESET, ZONE(SEQ) + 1), ==, BAD_FIELD);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    g_assert_cmphex(mgmt_ex(d, RESET, ZONE(SEQ), false, 2), ==, 0);
    zoned_assert_stats(d->qts, "open", 2, 0, 3);
    zoned_assert_stats(d->qts, "close", 2, 0, 0);
    zoned_assert_stats(d->qts, "finish", 1, 1, 0);
    zoned_assert_stats(d->qts, "reset", 2, 0, 1);
    zoned_assert_stats(d->qts, "append", 0, 0, 0);
    disk_free(d);
}

/* Zones turn read-only and offline, and come back, while the guest looks on */
static void test_lost_zones(void)
{
    static const uint8_t ops[] = { OPEN, CLOSE, FINISH, RESET };
    Disk *d = disk_new(HM, ",werror=stop,rerror=stop");
    size_t i;

    g_assert_cmphex(write_op(d, WRITE_16, ZONE(SEQ), 8, 0x42), ==, 0);
    zoned_set_state(d->qts, "zbd", ZONE(SEQ) * 512, "read-only");
    zoned_assert_lost(d->qts, ZONE(SEQ) * 512, 65536, 1, "read-only");
    g_assert_cmpint(get_zone(d, SEQ).cond, ==, COND_RDONLY);
    assert_data(d, ZONE(SEQ), 8, 0x42);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + 8, 8), RDONLY);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        ASSERT_UNCHANGED(d, mgmt(d, ops[i], ZONE(SEQ)), RDONLY);
    }
    ASSERT_UNCHANGED(d, mgmt_all(d, RESET), 0);

    zoned_set_state(d->qts, "zbd", ZONE(SEQ) * 512, "offline");
    qtest_clock_step(d->qts, 1000000000);
    zoned_assert_lost(d->qts, ZONE(SEQ) * 512, 65536, 1, "offline");
    g_assert_cmpint(get_zone(d, SEQ).cond, ==, COND_OFFLINE);
    ASSERT_UNCHANGED(d, do_read(d, ZONE(SEQ), 8), OFFLINE);
    ASSERT_UNCHANGED(d, do_write(d, ZONE(SEQ) + 8, 8), OFFLINE);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        ASSERT_UNCHANGED(d, mgmt(d, ops[i], ZONE(SEQ)), OFFLINE);
    }

    zoned_set_state(d->qts, "zbd", ZONE(SEQ) * 512, "full");
    assert_zone(d, SEQ, FULL, 0);
    zoned_set_state(d->qts, "zbd", ZONE(SEQ) * 512, "empty");
    assert_zone(d, SEQ, EMPTY, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    disk_free(d);
}

static void test_retry(void)
{
    Disk *d = disk_new(HM_FAULTY ",inject-error.0.event=none,"
                       "inject-error.0.errno=5,inject-error.0.once=on,"
                       "inject-error.0.iotype=write", ",werror=stop");
    uint8_t cdb[16];

    rw_cdb(cdb, WRITE_16, ZONE(SEQ), 1);
    g_assert_cmphex(stopped_until_cont(d, cdb, 512, 0), ==, 0);
    assert_zone(d, SEQ, IOPEN, 1);
    disk_free(d);
}

/* A read whose look at the zones fails is not exempt from it later */
static void test_retry_check(void)
{
    Disk *d = disk_new(HM_FAULTY ",set-state.0.event=zone_open,"
                       "set-state.0.new_state=2,inject-error.0.state=2,"
                       "inject-error.0.event=zone_report,"
                       "inject-error.0.errno=5,inject-error.0.once=on,"
                       "inject-error.0.iotype=zone-report",
                       ",urswrz=off,rerror=stop");
    uint8_t cdb[16];

    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ)), ==, 0);
    rw_cdb(cdb, READ_16, ZONE(SEQ), 1);
    g_assert_cmphex(stopped_until_cont(d, cdb, 0, 512), ==, READ_UNWRITTEN);
    disk_free(d);
}

/* A buffer longer than the CDB says moves no more data */
static void test_long_buffer(void)
{
    Disk *d = disk_new(HM, "");
    g_autofree uint8_t *data = g_malloc0(16 * 512);
    uint8_t cdb[16];

    rw_cdb(cdb, WRITE_16, ZONE(SEQ), 8);
    g_assert_cmphex(cmd(d, cdb, data, 16 * 512, NULL, 0), ==, 0);
    assert_zone(d, SEQ, IOPEN, 8);
    disk_free(d);
}

static void test_options(void)
{
    Disk *d = disk_new(HA, ",zoned=on");

    disk_free(d);
    assert_refused(HM, ",zoned=off", "zoned=off");
    assert_refused(PLAIN, ",zoned=on", "zoned=on");
    assert_refused(HA, ",urswrz=off", "urswrz=off");
    assert_refused("driver=null-co,size=8388608,zoned.zone-size=1M,"
                   "zoned.write-granularity=65536", "",
                   "write granularity");
}

static void test_iothread(void)
{
    Disk *d;

    d = disk_boot(HM, "", 512, ",iothread=io0 -object iothread,id=io0");
    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, 0);
    g_assert_cmphex(do_write(d, ZONE(SEQ), 8), ==, UNALIGNED);
    g_assert_cmphex(do_write(d, ZONE(SEQ) + 8, ZS), ==, WRITE_BORDER);
    assert_zone(d, SEQ, IOPEN, 8);
    g_assert_cmphex(mgmt_ex(d, FINISH, ZONE(SEQ), false, 5), ==, 0);
    assert_nr(d, 5, 5);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    disk_free(d);
}

/* The device is reset while commands of all kinds are under way */
static void test_reset_in_flight(void)
{
    static const uint8_t cdbs[][16] = {
        { WRITE_16, [8] = 1, [13] = 8 },            /* at the WP */
        { WRITE_16, [8] = 1, [9] = 120, [13] = 16 }, /* over the border */
        { READ_16, [9] = 120, [13] = 16 },
        { ZBC_IN, [13] = 128 },
        { ZBC_OUT, FINISH, [8] = 1 },               /* waits for the write */
        { ZBC_OUT, RESET, [8] = 1, [13] = 3 },
        { ZBC_OUT, RESET, [14] = 1 },
        { VERIFY_16, [13] = 8 },
        { SYNCHRONIZE_CACHE_16 },
    };
    const uint8_t test_unit_ready[6] = { 0 };
    Disk *d = disk_new("driver=null-co,memory-backed=on,size=688128,"
                       "latency-ns=20000000,zoned.zone-size=64K,"
                       "zoned.conventional-zones=1", "");
    QVirtQueue *vq = d->vq[REQUEST_QUEUE];
    unsigned int desc = 0, i;

    for (i = 0; i < ARRAY_SIZE(cdbs); i++) {
        bool out = cdbs[i][0] == WRITE_16;
        bool in = cdbs[i][0] == READ_16 || cdbs[i][0] == ZBC_IN;

        qtest_writew(d->qts, vq->avail + 4 +
                     2 * ((d->used_idx + i) % vq->size), desc);
        desc = queue_cmd(d, i, desc, cdbs[i], d->mem + MEM_DATA,
                         out ? cdbs[i][13] * 512 : 0,
                         in ? MAX(cdbs[i][13] * 512, 128) : 0);
    }
    qtest_writew(d->qts, vq->avail + 2, d->used_idx + i);
    d->vdev->bus->virtqueue_kick(d->vdev, vq);
    disk_stop(d);
    disk_start(d);
    g_assert_cmphex(cmd_in(d, test_unit_ready, NULL, 0), ==, 0x62900);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    g_assert_cmphex(do_write(d, ZONE(1), 8), ==, 0);
    assert_zone(d, 1, IOPEN, 8);
    disk_free(d);
}

/* When the machine is stopped, commands of several steps end first */
static void do_stop_in_flight(const char *hba)
{
    static const uint8_t cdbs[][16] = {
        { READ_16, [9] = 127, [13] = 2 },   /* over a border */
        { ZBC_IN, [12] = 2, [14] = 1 },     /* all zones must be looked at */
        { ZBC_OUT, FINISH, [8] = 1, [13] = 3 },
    };
    static const uint8_t test_unit_ready[16];
    Disk *d = disk_boot("driver=null-co,size=167772160,latency-ns=200000000,"
                        "zoned.zone-size=64K,zoned.conventional-zones=2", "",
                        512, hba);
    QVirtQueue *vq = d->vq[REQUEST_QUEUE];
    unsigned int desc, i;

    for (i = 0; i < ARRAY_SIZE(cdbs); i++) {
        desc = queue_cmd(d, 0, 0, cdbs[i], d->mem + MEM_DATA, 0,
                         cdbs[i][0] == ZBC_OUT ? 0 : 1024);
        qvirtqueue_kick(d->qts, d->vdev, vq, 0);
        /* It is answered at once, after the other one has been begun */
        queue_cmd(d, 1, desc, test_unit_ready, 0, 0, 0);
        qvirtqueue_kick(d->qts, d->vdev, vq, desc);
        disk_wait(d, 1);
        qtest_qmp_assert_success(d->qts, "{'execute': 'stop'}");
        g_assert_cmpuint(qtest_readw(d->qts, vq->used + 2), ==,
                         d->used_idx + 1);
        g_assert_cmphex(slot_result(d, 0), ==, 0);
        qtest_qmp_assert_success(d->qts, "{'execute': 'cont'}");
        disk_wait(d, 1);
    }
    disk_free(d);
}

static void test_stop_in_flight(void)
{
    do_stop_in_flight("");
}

static void test_stop_in_flight_iothread(void)
{
    do_stop_in_flight(",iothread=io0 -object iothread,id=io0");
}

/*
 * Every opcode with random fields.  A command that failed has changed
 * nothing; nothing crashes.  SWEEP is the number of commands.
 */

static void random_cdb(GRand *rand, uint8_t *cdb, uint8_t opcode)
{
    int i;

    for (i = 0; i < 16; i++) {
        cdb[i] = g_rand_boolean(rand) ? 0 : g_rand_int(rand);
    }
    cdb[0] = opcode;
    /* Often somewhere inside the disk, and not too long */
    if (g_rand_int_range(rand, 0, 4)) {
        rw_cdb(cdb, opcode, g_rand_int_range(rand, 0, CAPACITY + 8),
               g_rand_int_range(rand, 0, 40));
        cdb[1] = g_rand_int_range(rand, 0, 8) ? cdb[1] | g_rand_int_range(
                     rand, 0, 8) : g_rand_int(rand);
        cdb[14] = g_rand_boolean(rand) ? 0 : g_rand_int(rand);
    }
}

static void sweep(const char *node, const char *props, uint32_t nr)
{
    Disk *d = disk_new(node, props);
    GRand *rand = g_rand_new_with_seed(nr);
    uint32_t n;
    int failed = 0, good = 0;
    g_autofree uint8_t *before = snapshot(d);

    for (n = 0; n < nr; n++) {
        static const uint8_t favoured[] = {
            ZBC_IN, ZBC_OUT, WRITE_16, READ_16, WRITE_10, VERIFY_16, UNMAP,
            WRITE_SAME_16, MODE_SELECT, INQUIRY,
        };
        uint8_t opcode = g_rand_boolean(rand) ? n
            : favoured[g_rand_int_range(rand, 0, ARRAY_SIZE(favoured))];
        size_t out = 0, in = 0;
        g_autofree uint8_t *after = NULL;
        uint8_t cdb[16];
        uint32_t sense;
        unsigned int desc;

        random_cdb(rand, cdb, opcode);
        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            break;
        case 1:
            in = g_rand_int_range(rand, 1, 65536);
            break;
        default:
            if (opcode == WRITE_16 || opcode == WRITE_10 || opcode == UNMAP ||
                opcode == MODE_SELECT || opcode == WRITE_SAME_16) {
                out = g_rand_int_range(rand, 1, 65536);
            } else {
                in = 65536;
            }
            break;
        }
        desc = queue_cmd(d, 0, 0, cdb, d->mem + MEM_DATA, out, in);
        g_assert_cmpuint(desc, <=, 4);
        qvirtqueue_kick(d->qts, d->vdev, d->vq[REQUEST_QUEUE], 0);
        disk_wait(d, 1);
        sense = slot_result(d, 0);
        good += !sense;
        failed += !!sense;
        after = snapshot(d);
        if (sense) {
            g_assert_cmpmem(before, SNAPSHOT_SIZE, after, SNAPSHOT_SIZE);
        }
        memcpy(before, after, SNAPSHOT_SIZE);
    }
    g_test_message("%d commands were carried out, %d failed", good, failed);
    g_assert_cmpint(good, >, nr / 100);
    g_assert_cmpint(failed, >, nr / 100);
    g_rand_free(rand);
    disk_free(d);
}

static void test_sweep(void)
{
    const char *number = getenv("SWEEP");
    uint32_t nr = number ? atoi(number) : 3000;

    sweep(HM, "", nr / 2);
    sweep(HM, ",urswrz=off", nr / 6);
    sweep(GAPS, "", nr / 6);
    sweep(HA, "", nr / 6);
}

/*
 * Many random commands at a time, with data in the same memory, half of them
 * in one zone, and resets in between.  BATCHES is the number of batches.
 */

#define MAX_BATCH 48

/* Returns how many commands have been sent */
static unsigned int send_batch(Disk *d, GRand *rand)
{
    static const uint8_t opcodes[] = {
        ZBC_IN, ZBC_IN, ZBC_OUT, ZBC_OUT, ZBC_OUT, WRITE_16, WRITE_16, WRITE_16,
        WRITE_10, READ_16, READ_10, VERIFY_16, WRITE_VERIFY_16, WRITE_SAME_16,
        UNMAP, SYNCHRONIZE_CACHE_16, INQUIRY, MODE_SENSE_10, REQUEST_SENSE,
    };
    const unsigned int nr = g_rand_int_range(rand, 1, MAX_BATCH + 1);
    const uint64_t zone = ZONE(g_rand_int_range(rand, 0, NR_ZONES));
    QVirtQueue *vq = d->vq[REQUEST_QUEUE];
    unsigned int desc = 0, i;

    for (i = 0; i < nr; i++) {
        const uint8_t opcode = opcodes[g_rand_int_range(rand, 0,
                                                        ARRAY_SIZE(opcodes))];
        const uint32_t len = g_rand_int_range(rand, 0, 3)
            ? 512 * g_rand_int_range(rand, 1, 17)
            : g_rand_int_range(rand, 1, 65536);
        const bool out = opcode == WRITE_16 || opcode == WRITE_10 ||
                         opcode == WRITE_VERIFY_16 || opcode == UNMAP ||
                         opcode == WRITE_SAME_16;
        uint8_t cdb[16];

        random_cdb(rand, cdb, opcode);
        if (g_rand_boolean(rand)) {
            rw_cdb(cdb, opcode, zone, g_rand_int_range(rand, 0, 17));
        }
        if (opcode == ZBC_OUT || opcode == ZBC_IN) {
            cdb[1] = opcode == ZBC_IN ? 0 : g_rand_int_range(rand, 0, 5);
        }
        qtest_writew(d->qts, vq->avail + 4 +
                     2 * ((d->used_idx + i) % vq->size), desc);
        desc = queue_cmd(d, i, desc, cdb, d->mem + MEM_DATA +
                         512 * g_rand_int_range(rand, 0, 64),
                         out ? len : 0, out ? 0 : len);
    }
    qtest_writew(d->qts, vq->avail + 2, d->used_idx + nr);
    d->vdev->bus->virtqueue_kick(d->vdev, vq);
    return nr;
}

/* Behind the requests and their data */
#define MEM_TMF (MEM_DATA - 1024)

static void send_tmf(Disk *d, uint32_t function, uint16_t *used_idx)
{
    const gint64 start = g_get_monotonic_time();
    struct virtio_scsi_ctrl_tmf_req req = {
        .type = cpu_to_le32(VIRTIO_SCSI_T_TMF),
        .subtype = cpu_to_le32(function),
        .lun = { 1 },
    };
    QVirtQueue *vq = d->vq[0];

    qtest_bufwrite(d->qts, d->mem + MEM_TMF, &req, sizeof(req));
    vq->free_head = 0;
    qvirtqueue_add(d->qts, vq, d->mem + MEM_TMF, sizeof(req), false, true);
    qvirtqueue_add(d->qts, vq, d->mem + MEM_TMF + MEM_RESP, 1, true, false);
    qvirtqueue_kick(d->qts, d->vdev, vq, 0);
    ++*used_idx;
    while (qtest_readw(d->qts, vq->used + 2) != *used_idx) {
        qtest_clock_step(d->qts, 100);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
    }
}

static void take_attentions(Disk *d)
{
    const uint8_t test_unit_ready[6] = { 0 };
    unsigned int i;

    for (i = 0; i < 2; i++) {
        cmd_in(d, test_unit_ready, NULL, 0);
    }
}

static void batches(const char *node, uint32_t nr)
{
    static const uint32_t functions[] = {
        VIRTIO_SCSI_T_TMF_ABORT_TASK, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET,
        VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET, VIRTIO_SCSI_T_TMF_QUERY_TASK,
        VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
    };
    Disk *d = disk_new(node, "");
    GRand *rand = g_rand_new_with_seed(nr);
    uint16_t tmf_idx = 0;
    unsigned int i, n, answered = 0, good = 0;

    for (n = 0; n < nr; n++) {
        const unsigned int sent = send_batch(d, rand);
        const int what = g_rand_int_range(rand, 0, 8);
        Report r;

        if (what == 0) {
            disk_stop(d);
            disk_start(d);
            tmf_idx = 0;
        } else {
            if (what == 1) {
                send_tmf(d, functions[n % ARRAY_SIZE(functions)], &tmf_idx);
            }
            disk_wait(d, sent);
            for (i = 0; i < sent; i++) {
                good += !slot_result(d, i);
            }
            answered += sent;
        }
        take_attentions(d);
        r = report(d, 0, 0, NR_ZONES);
        g_assert_cmpuint(r.nr, ==, NR_ZONES);
        for (i = SEQ; i < NR_ZONES; i++) {
            const Zone *z = &r.zones[i];

            g_assert_cmpuint(z->start, ==, ZONE(i));
            g_assert_true(z->cond == EMPTY || z->cond == FULL ||
                          z->cond == IOPEN || z->cond == EOPEN ||
                          z->cond == CLOSED);
        }
        g_assert_cmpuint(report(d, 0, 2, 0).nr + report(d, 0, 3, 0).nr, <=,
                         MAX_OPEN);
    }
    g_test_message("%u of %u commands were carried out", good, answered);
    g_assert_cmpuint(good, >, answered / 50);
    g_assert_cmphex(mgmt_all(d, RESET), ==, 0);
    assert_nr(d, 1, NR_ZONES - NR_CONV);
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ + i)), ==, 0);
    }
    g_assert_cmphex(mgmt(d, OPEN, ZONE(SEQ + i)), ==, NO_OPEN);
    g_rand_free(rand);
    disk_free(d);
}

static void test_batches(void)
{
    const char *number = getenv("BATCHES");
    uint32_t nr = number ? atoi(number) : 100;

    batches(HM, nr);
    batches(HM ",latency-ns=1000000", nr / 4);
}

static const struct {
    const char *name;
    void (*fn)(void);
    bool image;             /* also on a zoned image */
} tests[] = {
    { "plain", test_plain },
    { "ZBC-1", test_zbc1 },
    { "ZBC-2", test_zbc2 },
    { "ZBC-3", test_zbc3 },
    { "ZBC-4", test_zbc4 },
    { "ZBC-5", test_zbc5 },
    { "ZBC-6", test_zbc6 },
    { "ZBC-7", test_zbc7 },
    { "ZBC-8", test_zbc8 },
    { "ZBC-9", test_zbc9 },
    { "ZBC-10", test_zbc10 },
    { "ZBC-11", test_zbc11 },
    { "ZBC-12", test_zbc12, true },
    { "ZBC-13", test_zbc13 },
    { "ZBC-14", test_zbc14 },
    { "mode-select", test_mode_select },
    { "ZBC-15", test_zbc15 },
    { "ZBC-16", test_zbc16 },
    { "ZBC-17", test_zbc17 },
    { "ZBC-18", test_zbc18, true },
    { "ZBC-19", test_zbc19 },
    { "ZBC-20", test_zbc20, true },
    { "ZBC-21", test_zbc21 },
    { "ZBC-22", test_zbc22 },
    { "ZBC-23", test_zbc23 },
    { "ZBC-24", test_zbc24, true },
    { "ZBC-25", test_zbc25, true },
    { "ZBC-26", test_zbc26, true },
    { "ZBC-27", test_zbc27 },
    { "ZBC-28", test_zbc28, true },
    { "ZBC-29", test_zbc29, true },
    { "ZBC-30", test_zbc30 },
    { "ZBC-31", test_zbc31, true },
    { "ZBC-32", test_zbc32 },
    { "ZBC-33", test_zbc33 },
    { "ZBC-34", test_zbc34, true },
    { "ZBC-35", test_zbc35, true },
    { "ZBC-35/single-zone", test_all_single, true },
    { "ZBC-36", test_zbc36, true },
    { "ZBC-37", test_zbc37, true },
    { "ZBC-38", test_zbc38, true },
    { "ZBC-39", test_zbc39, true },
    { "ZBC-40", test_zbc40, true },
    { "ZBC-41", test_zbc41, true },
    { "ZBC-42", test_zbc42, true },
    { "ZBC-43", test_zbc43, true },
    { "ZBC-45", test_zbc45, true },
    { "ZBC-47", test_zbc47 },
    { "ZBC-48", test_zbc48, true },
    { "ZBC-49", test_zbc49, true },
    { "ZBC-50", test_zbc50, true },
    { "ZBC-51", test_zbc51, true },
    { "ZBC-52", test_zbc52, true },
    { "ZBC-53", test_zbc53, true },
    { "ZBC-54", test_zbc54, true },
    { "ZBC-55", test_zbc55, true },
    { "ZBC-56", test_zbc56, true },
    { "ZBC-57", test_zbc57, true },
    { "ZBC-58", test_zbc58, true },
    { "ZBC-59", test_zbc59, true },
    { "ZBC-60", test_zbc60, true },
    { "ZBC-61", test_zbc61, true },
    { "ZBC-62", test_zbc62, true },
    { "ZBC-63", test_zbc63, true },
    { "ZBC-63/io-error", test_zbc63_io_error },
    { "ZBC-64", test_zbc64, true },
    { "ZBC-65", test_zbc65, true },
    { "ZBC-66", test_zbc66, true },
    { "ZBC-67", test_zbc67, true },
    { "ZBC-69", test_zbc69, true },
    { "ZBC-70", test_zbc70, true },
    { "ZBC-71", test_zbc71, true },
    { "ZBC-72", test_zbc72, true },
    { "ZBC-73", test_zbc73, true },
    { "ZBC-74", test_zbc74, true },
    { "ZBC-75", test_zbc75, true },
    { "ZBC-76", test_zbc76 },
    { "ZBC-78", test_zbc78, true },
    { "ZBC-78/error", test_zbc78_error },
    { "ZBC-79", test_zbc79 },
    { "ZBC-80", test_zbc80, true },
    { "ZBC-81", test_zbc81 },
    { "ZBC-82", test_zbc82, true },
    { "ZBC-83", test_zbc83 },
    { "ZBC-85", test_zbc85 },
    { "ZBC-84", test_zbc84 },
    { "ZBC-87", test_zbc87 },
    { "ZBC-88", test_zbc88, true },
    { "ZBC-89", test_zbc89 },
    { "ZBC-90", test_zbc90 },
    { "ZBC-103", test_zbc103, true },
    { "ZBC-104", test_zbc104, true },
    { "ZBC-105", test_zbc105 },
    { "werror", test_werror },
    { "retry", test_retry },
    { "retry-check", test_retry_check },
    { "retry-mgmt", test_retry_mgmt },
    { "stats", test_zone_stats },
    { "lost-zones", test_lost_zones },
    { "long-buffer", test_long_buffer },
    { "options", test_options },
    { "iothread", test_iothread },
    { "reset-in-flight", test_reset_in_flight },
    { "stop-in-flight", test_stop_in_flight },
    { "stop-in-flight/iothread", test_stop_in_flight_iothread },
    { "batches", test_batches, true },
    { "sweep", test_sweep },
};

static void test_on_image(const void *opaque)
{
    void (*const *fn)(void) = opaque;

    disks_are_images = true;
    (*fn)();
    disks_are_images = false;
}

#define PERF_PLAIN "driver=null-co,size=536870912"
#define PERF_ZONED PERF_PLAIN ",zoned.zone-size=16M"
#define PERF_ROUNDS 100

/* Writes at depth 32, each to another zone, while QEMU is being measured */
static void perf_writes(const void *opaque)
{
    Disk *d = disk_new(opaque, "");
    const unsigned int depth = 32, blocks = 4096 / d->bs;
    const uint64_t zone_blocks = 16 * MiB / d->bs;
    unsigned int round, i;

    for (round = 0; round < PERF_ROUNDS; round++) {
        for (i = 0; i < depth; i++) {
            uint8_t cdb[16];

            rw_cdb(cdb, WRITE_16, i * zone_blocks + round * blocks, blocks);
            queue_cmd(d, i, 3 * i, cdb, d->mem + MEM_DATA, 4096, 0);
        }
        for (i = 0; i < depth; i++) {
            qvirtqueue_kick(d->qts, d->vdev, d->vq[REQUEST_QUEUE], 3 * i);
        }
        disk_wait(d, depth);
        for (i = 0; i < depth; i++) {
            g_assert_cmphex(slot_result(d, i), ==, 0);
        }
    }
    disk_free(d);
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    if (g_test_perf()) {
        qtest_add_data_func("/scsi/zbc/perf/plain", PERF_PLAIN, perf_writes);
        qtest_add_data_func("/scsi/zbc/perf/zoned", PERF_ZONED, perf_writes);
    }
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/scsi/zbc/%s",
                                                tests[i].name);
        g_autofree char *image = g_strdup_printf("/scsi/zbc/image/%s",
                                                 tests[i].name);

        qtest_add_func(path, tests[i].fn);
        if (tests[i].image) {
            qtest_add_data_func(image, &tests[i].fn, test_on_image);
        }
    }
    return g_test_run();
}
