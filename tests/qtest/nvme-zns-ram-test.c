/*
 * QTest testcase for NVMe zoned namespaces with zones of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A namespace with zoned=on on a drive without zones keeps them in memory.
 * Cases are named after the requirements that they prove, or what they show.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "nvme-raw.h"
#include "nvme-zns-recorded.h"

/* The namespace that most cases use, in logical blocks of 512 bytes */
#define BS 512
#define ZS 128          /* zone size */
#define CAP 96          /* zone capacity */
#define NR_ZONES 16
#define ZONE(n) ((uint64_t)(n) * ZS)

#define DRIVE \
    "-blockdev driver=null-co,node-name=disk,memory-backed=on,size=1048576 "
#define ZONED \
    "zoned=on,zoned.zone_size=64K,zoned.zone_capacity=48K," \
    "logical_block_size=512,drive=disk"

#define STATE(name) NVME_ZONE_STATE_##name
#define ACTION(name) NVME_ZONE_ACTION_##name
#define ALL NVME_ZSFLAG_SELECT_ALL
#define ERR(name) (NVME_##name | NVME_DNR)

typedef struct Disk {
    NvmeRaw *m;
    NvmeRawCtrl *c;
    NvmeRawNs *ns;
    uint8_t buf[2 * ZS * BS];
} Disk;

/* A controller with @ctrl_props and a namespace with @props, on @drive */
static Disk *disk_new_on(const char *drive, const char *ctrl_props,
                         const char *props)
{
    Disk *d = g_new0(Disk, 1);

    d->m = nvme_raw_boot("%s -device nvme,serial=raw%s "
                         "-device nvme-ns,nsid=1," ZONED "%s",
                         drive, ctrl_props, props);
    d->c = nvme_raw_ctrl(d->m, 0);
    nvme_raw_enable(d->c, NULL);
    d->ns = nvme_raw_ns(d->c, 1);
    return d;
}

static Disk *disk_new(const char *props)
{
    return disk_new_on(DRIVE, "", props);
}

static void disk_free(Disk *d)
{
    g_free(d->ns);
    nvme_raw_quit(d->m);
    g_free(d);
}

static uint16_t zone_send(Disk *d, unsigned zone, uint8_t action)
{
    return nvme_raw_zone_send(d->ns, ZONE(zone), action, 0);
}

static uint16_t write_at(Disk *d, uint64_t slba, uint32_t nlb)
{
    return nvme_raw_write(d->ns, slba, nlb, d->buf);
}

/* Zone @n is in @state; where that has a write pointer, @written blocks are */
static void assert_zone(Disk *d, unsigned n, uint8_t state, uint64_t written)
{
    NvmeRawZone z = nvme_raw_zone(d->ns, ZONE(n));

    g_assert_cmphex(z.zslba, ==, ZONE(n));
    g_assert_cmphex(z.type, ==, NVME_ZONE_TYPE_SEQ_WRITE);
    g_assert_cmphex(z.state, ==, state);
    if (state != STATE(FULL)) {
        g_assert_cmphex(z.wp, ==, ZONE(n) + written);
    }
}

/*
 * The ordinary life of a zone
 */

static void test_life(void)
{
    Disk *d = disk_new("");
    NvmeRawZone zones[NR_ZONES];
    uint8_t got[2 * BS];
    uint64_t nr, alba;
    unsigned i;

    g_assert_cmphex(nvme_raw_report(d->ns, 0, NVME_ZONE_REPORT_ALL, false,
                                    zones, NR_ZONES, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, NR_ZONES);
    for (i = 0; i < NR_ZONES; i++) {
        g_assert_cmphex(zones[i].zslba, ==, ZONE(i));
        g_assert_cmphex(zones[i].state, ==, STATE(EMPTY));
        g_assert_cmphex(zones[i].cap, ==, CAP);
    }

    memset(d->buf, 0x5a, sizeof(d->buf));
    g_assert_cmphex(write_at(d, ZONE(1), 1), ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 1);
    g_assert_cmphex(nvme_raw_append(d->ns, ZONE(1), 1, d->buf, &alba), ==, 0);
    g_assert_cmphex(alba, ==, ZONE(1) + 1);
    g_assert_cmphex(write_at(d, ZONE(1), 1), ==, ERR(ZONE_INVALID_WRITE));
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 2, got), ==, 0);
    g_assert_cmpmem(got, sizeof(got), d->buf, sizeof(got));
    g_assert_cmphex(zone_send(d, 1, ACTION(OPEN)), ==, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 2);
    g_assert_cmphex(zone_send(d, 1, ACTION(CLOSE)), ==, 0);
    assert_zone(d, 1, STATE(CLOSED), 2);
    g_assert_cmphex(write_at(d, ZONE(1) + 2, CAP - 2), ==, 0);
    assert_zone(d, 1, STATE(FULL), 0);
    g_assert_cmphex(zone_send(d, 1, ACTION(RESET)), ==, 0);
    assert_zone(d, 1, STATE(EMPTY), 0);
    disk_free(d);
}

/*
 * What old command lines identify themselves as
 */

static const struct {
    const char *drive, *ctrl, *ns;
} recorded_disks[] = {
    { "size=536870912", "", "" },
    { "size=1073741824", ",mdts=5,zoned.zasl=3,zoned.auto_transition=off",
      ",uuid=00112233-4455-6677-8899-aabbccddeeff,logical_block_size=4096,"
      "physical_block_size=4096,zoned.zone_size=64M,"
      "zoned.zone_capacity=48M,zoned.cross_read=on,zoned.max_open=16,"
      "zoned.max_active=32,zoned.descr_ext_size=128" },
    { "size=1073741824", ",max_ioqpairs=4",
      ",shared=off,eui64=5,ms=8,mset=1,pi=1,zoned.zone_size=32M,"
      "zoned.max_active=8,logical_block_size=512" },
    { "size=100000000", "",
      ",zoned.zone_size=1M,zoned.zrwas=64K,zoned.zrwafg=16K,zoned.numzrwa=4,"
      "logical_block_size=4096,physical_block_size=4096" },
};

enum { RECORDED_LOG = 0xff };

/* CNS or RECORDED_LOG, and CSI */
static const struct {
    uint8_t cns, csi;
} recorded_pages[] = {
    { NVME_ID_CNS_NS, 0 },
    { NVME_ID_CNS_CTRL, 0 },
    { NVME_ID_CNS_NS_DESCR_LIST, 0 },
    { NVME_ID_CNS_CS_NS, NVME_CSI_NVM },
    { NVME_ID_CNS_CS_NS, NVME_CSI_ZONED },
    { NVME_ID_CNS_CS_CTRL, NVME_CSI_NVM },
    { NVME_ID_CNS_CS_CTRL, NVME_CSI_ZONED },
    { NVME_ID_CNS_CS_NS_ACTIVE_LIST, NVME_CSI_ZONED },
    { NVME_ID_CNS_IO_COMMAND_SET, 0 },
    { RECORDED_LOG, NVME_CSI_NVM },
    { RECORDED_LOG, NVME_CSI_ZONED },
};

/* A page as text: its rows of 16 bytes that are not zero */
static char *record(NvmeRawCtrl *c, size_t disk, uint8_t cns, uint8_t csi)
{
    GString *s = g_string_new("");
    uint8_t page[NVME_IDENTIFY_DATA_SIZE];
    uint16_t status;
    size_t i, j;

    status = cns == RECORDED_LOG ?
        nvme_raw_log(c, NVME_LOG_CMD_EFFECTS, csi, 0, page, sizeof(page)) :
        nvme_raw_identify(c, cns, csi, cns == NVME_ID_CNS_CTRL ||
                          cns == NVME_ID_CNS_CS_CTRL ||
                          cns == NVME_ID_CNS_CS_NS_ACTIVE_LIST ||
                          cns == NVME_ID_CNS_IO_COMMAND_SET ? 0 : 1, page);
    g_string_append_printf(s, "%zu %02x %02x: %04x", disk, cns, csi, status);
    if (status) {
        return g_string_free(s, false);
    }
    if (cns == NVME_ID_CNS_CTRL) {
        NvmeIdCtrl *id = (NvmeIdCtrl *)page;

        memset(id->fr, 0, sizeof(id->fr));  /* the version of QEMU */
    }
    for (i = 0; i < sizeof(page); i += 16) {
        if (!buffer_is_zero(page + i, 16)) {
            g_string_append_printf(s, " %03zx=", i);
            for (j = 0; j < 16; j++) {
                g_string_append_printf(s, "%02x", page[i + j]);
            }
        }
    }
    return g_string_free(s, false);
}

/*
 * tests/qtest/nvme-zns-recorded.h holds what the base without patches
 * answers; it is what this prints with RECORD set, quoted.
 */
static void test_recorded(void)
{
    bool print = getenv("RECORD");
    size_t i, j, n = 0;

    for (i = 0; i < ARRAY_SIZE(recorded_disks); i++) {
        NvmeRaw *m = nvme_raw_boot("-blockdev driver=null-co,node-name=disk,%s "
                                   "-device nvme,serial=raw%s "
                                   "-device nvme-ns,drive=disk,zoned=on%s",
                                   recorded_disks[i].drive,
                                   recorded_disks[i].ctrl,
                                   recorded_disks[i].ns);
        NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);

        nvme_raw_enable(c, NULL);
        for (j = 0; j < ARRAY_SIZE(recorded_pages); j++) {
            g_autofree char *line = record(c, i, recorded_pages[j].cns,
                                           recorded_pages[j].csi);

            if (print) {
                fprintf(stderr, "    \"%s\",\n", line);
            } else {
                g_assert_cmpuint(n, <, ARRAY_SIZE(recorded));
                g_assert_cmpstr(line, ==, recorded[n++]);
            }
        }
        nvme_raw_quit(m);
    }
    g_assert_true(print || n == ARRAY_SIZE(recorded));
}

/*
 * Options that cannot be, and options that once ended QEMU
 */

/* A drive of 1 MiB, and a namespace with @props, which are refused */
static void assert_refused(const char *props, const char *message)
{
    g_autofree char *err = nvme_raw_refused(DRIVE "-device nvme,serial=raw "
                                            "-device nvme-ns,nsid=1,drive=disk,"
                                            "zoned=on,zoned.zone_size=64K,%s",
                                            props);

    g_assert_nonnull(err);
    if (!strstr(err, message)) {
        g_error("'%s' is not in '%s'", message, err);
    }
}

/* The size of the window counts in blocks, of whatever size these are */
static void test_zrwa_default_block_size(void)
{
    NvmeRaw *m = nvme_raw_boot(DRIVE "-device nvme,serial=raw "
                               "-device nvme-ns,nsid=1,drive=disk,zoned=on,"
                               "zoned.zone_size=64K,zoned.zrwas=8K");
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    g_autofree NvmeIdNsZoned *id = g_new0(NvmeIdNsZoned, 1);

    nvme_raw_enable(c, NULL);
    g_assert_cmphex(nvme_raw_identify(c, NVME_ID_CNS_CS_NS, NVME_CSI_ZONED, 1,
                                      id), ==, 0);
    g_assert_cmpuint(le16_to_cpu(id->zrwas), ==, 16);
    g_assert_cmpuint(le16_to_cpu(id->zrwafg), ==, 1);
    nvme_raw_quit(m);
}

static void test_zns93(void)
{
    assert_refused("zoned.zrwas=8K,zoned.zrwafg=0", "zoned.zrwafg");
    assert_refused("logical_block_size=4096,physical_block_size=4096,"
                   "zoned.zrwas=8K,zoned.zrwafg=512", "zoned.zrwafg");
    assert_refused("zoned.zrwas=8K,zoned.zrwafg=1023", "zoned.zrwafg");
    assert_refused("zoned.zrwas=32M", "zoned.zrwas");
    assert_refused("zoned.zone_capacity=60K,zoned.zrwas=16K,zoned.zrwafg=8K",
                   "zoned.zrwafg");
}

/* More than 4 GiB of descriptor extensions: each zone has its own */
static void test_zns87(void)
{
    const uint32_t size = 255 * 64;
    const uint64_t n = (1ull << 32) / size;     /* its extension crosses 4 GiB */
    NvmeRaw *m = nvme_raw_boot("-blockdev driver=null-co,node-name=disk,"
                               "size=%" PRIu64 " -device nvme,serial=raw "
                               "-device nvme-ns,nsid=1,drive=disk,zoned=on,"
                               "zoned.zone_size=512,logical_block_size=512,"
                               "zoned.descr_ext_size=16320",
                               (n + 2) * 512);
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    const size_t len = 64 + 64 + size;
    g_autofree NvmeRawNs *ns = NULL;
    g_autofree uint8_t *ext = g_malloc(size), *got = g_malloc(len);
    uint64_t i;

    nvme_raw_enable(c, NULL);
    ns = nvme_raw_ns(c, 1);
    for (i = n - 1; i <= n + 1; i++) {
        memset(ext, i, size);
        g_assert_cmphex(nvme_raw_set_ext(ns, i, ext, size), ==, 0);
    }
    for (i = n - 1; i <= n + 1; i++) {
        memset(ext, i, size);
        g_assert_cmphex(nvme_raw_recv(ns, i, NVME_ZONE_REPORT_EXTENDED, 0, true,
                                      got, len), ==, 0);
        g_assert_cmpmem(got + 128, size, ext, size);
    }
    g_assert_cmphex(nvme_raw_recv(ns, 0, NVME_ZONE_REPORT_EXTENDED, 0, true,
                                  got, len), ==, 0);
    g_assert_true(buffer_is_zero(got + 128, size));
    nvme_raw_quit(m);
}

/*
 * Reports
 */

static void test_zns57(void)
{
    Disk *d = disk_new("");
    uint64_t nr = 99;

    g_assert_cmphex(write_at(d, 0, 1), ==, 0);
    g_assert_cmphex(nvme_raw_report(d->ns, 0, 9, false, NULL, 0, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 0);
    g_assert_cmphex(nvme_raw_report(d->ns, 0, 8, false, NULL, 0, &nr),
                    ==, ERR(INVALID_FIELD));
    g_assert_cmphex(nvme_raw_report(d->ns, 0, 10, false, NULL, 0, &nr),
                    ==, ERR(INVALID_FIELD));
    disk_free(d);
}

/* A report of @dwords, 0's based, for which there is room only for one zone */
static uint16_t recv_dwords(Disk *d, uint32_t dwords, uint64_t *nr)
{
    NvmeRawCmd cmd = {
        .opcode = NVME_CMD_ZONE_MGMT_RECV,
        .nsid = 1,
        .cdw10 = ZONE(NR_ZONES - 1),
        .cdw12 = dwords,
    };
    uint8_t buf[128] = { 0 };
    NvmeRawCpl cpl = nvme_raw_in(d->c, 1, cmd, buf, sizeof(buf));

    *nr = ldq_le_p(buf);
    return cpl.status;
}

static void test_zns62(void)
{
    Disk *d = disk_new("");
    uint64_t nr;

    g_assert_cmphex(recv_dwords(d, 31, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    /* 512 KiB are the limit, by the default of mdts */
    g_assert_cmphex(recv_dwords(d, 512 * KiB / 4, &nr),
                    ==, ERR(INVALID_FIELD));
    /* 4 GiB and 128 bytes less; in dwords, 30 bits are 4 GiB */
    g_assert_cmphex(recv_dwords(d, (1u << 30) + 31, &nr),
                    ==, ERR(INVALID_FIELD));
    g_assert_cmphex(recv_dwords(d, UINT32_MAX, &nr), ==, ERR(INVALID_FIELD));
    disk_free(d);
}

/* Memory for a report is what the zones take, not what the guest asks for */
static void test_zns62_no_limit(void)
{
    Disk *d = disk_new_on(DRIVE, ",mdts=0", "");
    NvmeRawZone zones[2];
    uint64_t nr;

    g_assert_cmphex(recv_dwords(d, (1u << 30) - 1, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    g_assert_cmphex(recv_dwords(d, UINT32_MAX, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    g_assert_cmphex(nvme_raw_report(d->ns, ZONE(NR_ZONES - 2), 0, true, zones,
                                    2, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 2);
    g_assert_cmphex(zones[1].zslba, ==, ZONE(NR_ZONES - 1));
    disk_free(d);
}

/* A zone whose metadata are 2 GiB or more is reset as any other */
static void test_reset_large_metadata(void)
{
    NvmeRaw *m = nvme_raw_boot("-blockdev driver=null-co,node-name=disk,"
                               "size=38654705664 -device nvme,serial=raw "
                               "-device nvme-ns,nsid=1,drive=disk,zoned=on,"
                               "zoned.zone_size=16G,ms=64,"
                               "logical_block_size=512");
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    g_autofree NvmeRawNs *ns = NULL;
    NvmeRawZone z;
    uint8_t buf[512] = { 0 };

    nvme_raw_enable(c, NULL);
    ns = nvme_raw_ns(c, 1);
    g_assert_cmphex(nvme_raw_write(ns, 0, 1, buf), ==, 0);
    g_assert_cmphex(nvme_raw_zone_send(ns, 0, ACTION(RESET), 0), ==, 0);
    z = nvme_raw_zone(ns, 0);
    g_assert_cmphex(z.state, ==, STATE(EMPTY));
    nvme_raw_quit(m);
}

static const struct {
    const char *name;
    void (*fn)(void);
} tests[] = {
    { "life", test_life },
    { "recorded", test_recorded },
    { "zrwa-default-block-size", test_zrwa_default_block_size },
    { "ZNS-93", test_zns93 },
    { "ZNS-87", test_zns87 },
    { "ZNS-57", test_zns57 },
    { "ZNS-62", test_zns62 },
    { "ZNS-62/no-limit", test_zns62_no_limit },
    { "reset-large-metadata", test_reset_large_metadata },
};

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/nvme/zns/ram/%s",
                                                tests[i].name);

        qtest_add_func(path, tests[i].fn);
    }
    return g_test_run();
}
