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
    const uint64_t n = (1ull << 32) / size;     /* whose own crosses 4 GiB */
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

/*
 * States and resources
 */

/* Blocks of the whole zone, by what is left of it, fill it exactly */
static void assert_fills(Disk *d, unsigned n)
{
    NvmeRawZone z = nvme_raw_zone(d->ns, ZONE(n));
    uint32_t left = ZONE(n) + CAP - z.wp;

    g_assert_cmphex(z.state, !=, STATE(FULL));
    g_assert_cmphex(z.wp, >=, ZONE(n));
    g_assert_cmphex(z.wp, <, ZONE(n) + CAP);
    if (left > 1) {
        g_assert_cmphex(write_at(d, z.wp, left - 1), ==, 0);
    }
    g_assert_cmphex(write_at(d, ZONE(n) + CAP - 1, 2),
                    ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(write_at(d, ZONE(n) + CAP - 1, 1), ==, 0);
    assert_zone(d, n, STATE(FULL), 0);
    g_assert_cmphex(write_at(d, ZONE(n) + CAP, 1), ==, ERR(ZONE_FULL));
}

/* A write that is in flight until resume() */

#define FAULTY \
    "-blockdev driver=blkdebug,node-name=disk,image.driver=null-co," \
    "image.memory-backed=on,image.size=1048576"

typedef struct Flight {
    uint64_t addr;
    uint16_t cid;
} Flight;

static void hmp_io(Disk *d, const char *command)
{
    g_autofree char *out = qtest_hmp(nvme_raw_qts(d->m), "qemu-io disk \"%s\"",
                                     command);

    g_assert_cmpstr(out, ==, "");
}

/* A barrier: what was submitted before has been looked at */
static void settle(Disk *d)
{
    int i;

    for (i = 0; i < 20; i++) {
        nvme_raw_zone(d->ns, 0);
    }
}

static Flight take_off(Disk *d, uint8_t opcode, uint64_t slba, uint32_t nlb)
{
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, opcode, slba, nlb);
    Flight f = { .addr = nvme_raw_alloc(d->m, nlb * BS) };

    g_assert_cmpuint(nlb * BS, <=, NVME_RAW_PAGE);
    nvme_raw_prps(d->c, &cmd, f.addr, nlb * BS);
    hmp_io(d, "break pwritev A");
    f.cid = nvme_raw_submit(d->c, 1, &cmd);
    settle(d);
    return f;
}

static uint16_t resume(Disk *d, Flight f)
{
    uint16_t status;

    hmp_io(d, "resume A");
    status = nvme_raw_wait(d->c, 1, f.cid).status;
    nvme_raw_free(d->m, f.addr);
    return status;
}

/* Zone @n is in a state that can be, and its blocks are all there */
static void assert_consistent(Disk *d, unsigned n)
{
    NvmeRawZone z = nvme_raw_zone(d->ns, ZONE(n));

    if (z.state == STATE(EMPTY)) {
        g_assert_cmphex(z.wp, ==, ZONE(n));
    }
    if (z.state != STATE(FULL)) {
        assert_fills(d, n);
    }
    g_assert_cmphex(zone_send(d, n, ACTION(RESET)), ==, 0);
    assert_zone(d, n, STATE(EMPTY), 0);
    assert_fills(d, n);
}

static void test_zns39(void)
{
    static const uint8_t actions[] = {
        ACTION(RESET), ACTION(FINISH), ACTION(CLOSE), ACTION(OPEN),
    };
    Disk *d = disk_new_on(FAULTY, "",
                          ",zoned.max_active=3,zoned.max_open=2");
    unsigned i, all;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        for (all = 0; all < 2; all++) {
            NvmeRawCmd cmd = nvme_raw_zone_cmd(d->ns, ZONE(1), actions[i],
                                               all ? ALL : 0);
            Flight f = take_off(d, all ? NVME_CMD_ZONE_APPEND : NVME_CMD_WRITE,
                                ZONE(1), 8);
            uint16_t cid = nvme_raw_submit(d->c, 1, &cmd);

            settle(d);
            g_assert_cmphex(resume(d, f), ==, 0);
            g_assert_cmphex(nvme_raw_wait(d->c, 1, cid).status, ==, 0);
            assert_consistent(d, 1);
            g_assert_cmphex(zone_send(d, 1, ACTION(RESET)), ==, 0);
        }
    }
    /* No resource has been lost */
    for (i = 0; i < 3; i++) {
        g_assert_cmphex(write_at(d, ZONE(i), 1), ==, 0);
    }
    g_assert_cmphex(write_at(d, ZONE(3), 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    disk_free(d);
}

/* A shutdown with a write in flight */
static void test_zns39_shutdown(void)
{
    Disk *d = disk_new("");
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_WRITE, ZONE(1), 8);
    uint64_t addr = nvme_raw_alloc(d->m, NVME_RAW_PAGE);
    int i;

    for (i = 0; i < 16; i++) {
        nvme_raw_prps(d->c, &cmd, addr, NVME_RAW_PAGE);
        nvme_raw_submit(d->c, 1, &cmd);
        nvme_raw_shutdown(d->c);
        nvme_raw_disable(d->c);
        nvme_raw_enable(d->c, NULL);
        assert_consistent(d, 1);
        g_assert_cmphex(zone_send(d, 1, ACTION(RESET)), ==, 0);
    }
    nvme_raw_free(d->m, addr);
    disk_free(d);
}

/* A write of 16 blocks whose second page is not aligned */
static uint16_t write_bad_prp(Disk *d, uint8_t opcode, uint64_t slba)
{
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, opcode, slba, 16);
    uint64_t addr = nvme_raw_alloc(d->m, 4 * NVME_RAW_PAGE);
    uint16_t status;

    nvme_raw_prps(d->c, &cmd, addr, 2 * NVME_RAW_PAGE);
    cmd.prp2 |= 0x10;
    status = nvme_raw_exec(d->c, 1, &cmd).status;
    nvme_raw_free(d->m, addr);
    return status;
}

static void test_zns34(void)
{
    Disk *d = disk_new("");

    g_assert_cmphex(write_bad_prp(d, NVME_CMD_WRITE, ZONE(1)),
                    ==, ERR(INVALID_PRP_OFFSET));
    assert_zone(d, 1, STATE(EMPTY), 0);
    g_assert_cmphex(write_at(d, ZONE(1), 8), ==, 0);
    g_assert_cmphex(write_bad_prp(d, NVME_CMD_ZONE_APPEND, ZONE(1)),
                    ==, ERR(INVALID_PRP_OFFSET));
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 8);
    g_assert_cmphex(write_at(d, ZONE(1) + 8, 8), ==, 0);
    assert_fills(d, 1);
    disk_free(d);
}

/* Protection information that is wrong, in interleaved metadata */
static void test_zns34_pi(void)
{
    Disk *d = disk_new(",ms=8,mset=1,pi=1");
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_WRITE, 0, 4);

    memset(d->buf, 0x11, sizeof(d->buf));
    cmd.cdw12 |= 4u << 26;      /* check the guard */
    g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, d->buf, 4 * (BS + 8)).status,
                    ==, NVME_E2E_GUARD_ERROR);
    assert_zone(d, 0, STATE(EMPTY), 0);
    cmd.cdw12 = 3 | 8u << 26;   /* let the controller insert it */
    g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, d->buf, 4 * BS).status, ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 4);
    disk_free(d);
}

/*
 * A write of 8 blocks whose metadata, in a buffer that an SGL at MPTR describes,
 * are @len bytes
 */
static uint16_t write_mptr_sgl(Disk *d, uint8_t opcode, uint64_t slba,
                               uint32_t len)
{
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, opcode, slba, 8);
    uint64_t addr = nvme_raw_alloc(d->m, 2 * NVME_RAW_PAGE);
    uint64_t sgl[2] = {
        cpu_to_le64(addr + NVME_RAW_PAGE + sizeof(sgl)),
        cpu_to_le64(len),
    };
    uint16_t status;

    cmd.flags = NVME_PSDT_SGL_MPTR_SGL << 6;
    cmd.prp1 = addr;
    cmd.prp2 = 8 * BS;
    cmd.mptr = addr + NVME_RAW_PAGE;
    nvme_raw_put(d->m, cmd.mptr, sgl, sizeof(sgl));
    status = nvme_raw_exec(d->c, 1, &cmd).status;
    nvme_raw_free(d->m, addr);
    return status;
}

/* Metadata that cannot be mapped */
static void test_zns34_metadata(void)
{
    Disk *d = disk_new(",ms=8");

    g_assert_cmphex(write_mptr_sgl(d, NVME_CMD_WRITE, ZONE(1), 8),
                    ==, ERR(MD_SGL_LEN_INVALID));
    assert_zone(d, 1, STATE(EMPTY), 0);
    g_assert_cmphex(write_mptr_sgl(d, NVME_CMD_WRITE, ZONE(1), 64), ==, 0);
    g_assert_cmphex(write_mptr_sgl(d, NVME_CMD_ZONE_APPEND, ZONE(1), 8),
                    ==, ERR(MD_SGL_LEN_INVALID));
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 8);
    g_assert_cmphex(write_mptr_sgl(d, NVME_CMD_ZONE_APPEND, ZONE(1), 64),
                    ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 16);
    disk_free(d);
}

static void test_zns42(void)
{
    Disk *d = disk_new(",zoned.max_active=2,zoned.max_open=1");

    g_assert_cmphex(write_at(d, ZONE(1), 1), ==, 0);
    g_assert_cmphex(zone_send(d, 1, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(write_at(d, ZONE(0), 1), ==, 0);

    /* Active zones would be too many: no open one is closed */
    g_assert_cmphex(write_at(d, ZONE(2), 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 1);
    g_assert_cmphex(zone_send(d, 2, ACTION(OPEN)),
                    ==, ERR(ZONE_TOO_MANY_ACTIVE));
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 1);
    assert_zone(d, 1, STATE(CLOSED), 1);
    assert_zone(d, 2, STATE(EMPTY), 0);

    /* One that can be opened makes the controller close the other one */
    g_assert_cmphex(zone_send(d, 1, ACTION(OPEN)), ==, 0);
    assert_zone(d, 0, STATE(CLOSED), 1);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 1);
    /* But not an explicitly opened one */
    g_assert_cmphex(write_at(d, ZONE(0) + 1, 1), ==, ERR(ZONE_TOO_MANY_OPEN));
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 1);
    disk_free(d);
}

static uint16_t send_all(Disk *d, uint8_t action)
{
    return nvme_raw_zone_send(d->ns, UINT64_MAX, action, ALL);
}

static void write_and_close(Disk *d, unsigned first, unsigned last)
{
    unsigned i;

    for (i = first; i <= last; i++) {
        g_assert_cmphex(write_at(d, ZONE(i), 1), ==, 0);
        g_assert_cmphex(zone_send(d, i, ACTION(CLOSE)), ==, 0);
    }
}

static void test_zns51(void)
{
    Disk *d = disk_new(",zoned.max_active=6,zoned.max_open=3");
    unsigned i;

    write_and_close(d, 0, 3);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, ERR(ZONE_TOO_MANY_OPEN));
    for (i = 0; i < 4; i++) {
        assert_zone(d, i, STATE(CLOSED), 1);
    }
    /* An explicitly opened zone takes the room of one */
    g_assert_cmphex(zone_send(d, 3, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(zone_send(d, 4, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, ERR(ZONE_TOO_MANY_OPEN));
    for (i = 0; i < 3; i++) {
        assert_zone(d, i, STATE(CLOSED), 1);
    }
    /* An implicitly opened zone does not: the controller closes it */
    g_assert_cmphex(zone_send(d, 4, ACTION(RESET)), ==, 0);
    g_assert_cmphex(write_at(d, ZONE(4), 1), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    for (i = 0; i < 3; i++) {
        assert_zone(d, i, STATE(EXPLICITLY_OPEN), 1);
    }
    assert_zone(d, 4, STATE(CLOSED), 1);
    g_assert_cmphex(send_all(d, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    disk_free(d);
}

static void test_zns51_no_auto_transition(void)
{
    Disk *d = disk_new_on(DRIVE, ",zoned.auto_transition=off",
                          ",zoned.max_active=6,zoned.max_open=3");
    unsigned i;

    write_and_close(d, 0, 2);
    g_assert_cmphex(write_at(d, ZONE(4), 1), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, ERR(ZONE_TOO_MANY_OPEN));
    for (i = 0; i < 3; i++) {
        assert_zone(d, i, STATE(CLOSED), 1);
    }
    assert_zone(d, 4, STATE(IMPLICITLY_OPEN), 1);
    g_assert_cmphex(zone_send(d, 4, ACTION(RESET)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    for (i = 0; i < 3; i++) {
        assert_zone(d, i, STATE(EXPLICITLY_OPEN), 1);
    }
    disk_free(d);
}

static void assert_ext(Disk *d, unsigned n, bool valid, uint8_t byte)
{
    uint8_t got[64 + 64 + 64], want[64];

    memset(want, byte, sizeof(want));
    g_assert_cmphex(nvme_raw_recv(d->ns, ZONE(n), NVME_ZONE_REPORT_EXTENDED, 0,
                                  true, got, sizeof(got)), ==, 0);
    g_assert_cmphex(!!(got[64 + 2] & NVME_ZA_ZD_EXT_VALID), ==, valid);
    if (valid) {
        g_assert_cmpmem(got + 128, 64, want, 64);
    }
}

static void test_zns84(void)
{
    Disk *d = disk_new(",zoned.descr_ext_size=64,zoned.max_active=1");
    NvmeRawCmd cmd = nvme_raw_zone_cmd(d->ns, 0, ACTION(SET_ZD_EXT), 0);
    uint8_t ext[64];

    memset(ext, 0xaa, sizeof(ext));
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, ext, 64), ==, 0);
    assert_zone(d, 0, STATE(CLOSED), 0);
    assert_ext(d, 0, true, 0xaa);

    memset(ext, 0xbb, sizeof(ext));
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, ext, 64),
                    ==, ERR(ZONE_INVAL_TRANSITION));
    assert_ext(d, 0, true, 0xaa);
    /* Nor does one that has no data */
    cmd.prp1 = 0xffffffffffff0000;
    g_assert_cmphex(nvme_raw_exec(d->c, 1, &cmd).status, !=, 0);
    assert_ext(d, 0, true, 0xaa);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(1), ext, 64),
                    ==, ERR(ZONE_TOO_MANY_ACTIVE));
    assert_zone(d, 1, STATE(EMPTY), 0);
    assert_ext(d, 1, false, 0);
    disk_free(d);
}

/*
 * What each command does in each state; this is the state machine, without
 * the states that zones in memory never get to
 */

enum {
    OP_WRITE, OP_WRITE_ELSEWHERE, OP_FILL, OP_APPEND, OP_READ, OP_OPEN,
    OP_CLOSE, OP_FINISH, OP_RESET, OP_OFFLINE, OP_SET_EXT, NR_OPS
};

/* @written: blocks, of which there are some unless the zone is empty */
static uint16_t model(int op, uint8_t *state, uint64_t *written)
{
    bool empty = *state == STATE(EMPTY);
    bool full = *state == STATE(FULL);
    bool open = *state == STATE(IMPLICITLY_OPEN) ||
                *state == STATE(EXPLICITLY_OPEN);

    switch (op) {
    case OP_WRITE_ELSEWHERE:
        return full ? ERR(ZONE_FULL) : ERR(ZONE_INVALID_WRITE);
    case OP_WRITE:
    case OP_APPEND:
    case OP_FILL:
        if (full) {
            return ERR(ZONE_FULL);
        }
        *written = op == OP_FILL ? CAP : *written + 1;
        if (*written == CAP) {
            *state = STATE(FULL);
        } else if (!open) {
            *state = STATE(IMPLICITLY_OPEN);
        }
        return 0;
    case OP_OPEN:
        if (full) {
            return ERR(ZONE_INVAL_TRANSITION);
        }
        *state = STATE(EXPLICITLY_OPEN);
        return 0;
    case OP_CLOSE:
        if (full || empty) {
            return ERR(ZONE_INVAL_TRANSITION);
        }
        *state = STATE(CLOSED);
        return 0;
    case OP_FINISH:
        *state = STATE(FULL);
        return 0;
    case OP_RESET:
        *state = STATE(EMPTY);
        *written = 0;
        return 0;
    case OP_OFFLINE:
        return ERR(ZONE_INVAL_TRANSITION);
    case OP_SET_EXT:
        if (!empty) {
            return ERR(ZONE_INVAL_TRANSITION);
        }
        *state = STATE(CLOSED);
        return 0;
    default:
        return 0;
    }
}

static uint16_t do_op(Disk *d, int op, unsigned n, uint64_t written)
{
    uint64_t wp = ZONE(n) + written;

    switch (op) {
    case OP_WRITE:
        return write_at(d, wp, 1);
    case OP_WRITE_ELSEWHERE:
        return write_at(d, wp + 1, 1);
    case OP_FILL:
        return write_at(d, wp, written < CAP ? CAP - written : 1);
    case OP_APPEND:
        return nvme_raw_append(d->ns, ZONE(n), 1, d->buf, NULL);
    case OP_READ:
        return nvme_raw_read(d->ns, ZONE(n), 1, d->buf);
    case OP_OPEN:
        return zone_send(d, n, ACTION(OPEN));
    case OP_CLOSE:
        return zone_send(d, n, ACTION(CLOSE));
    case OP_FINISH:
        return zone_send(d, n, ACTION(FINISH));
    case OP_RESET:
        return zone_send(d, n, ACTION(RESET));
    case OP_OFFLINE:
        return zone_send(d, n, ACTION(OFFLINE));
    default:
        return nvme_raw_set_ext(d->ns, ZONE(n), d->buf, 64);
    }
}

/* Each way of two commands to a state, and each command there */
static void test_zns28(void)
{
    Disk *d = disk_new(",zoned.descr_ext_size=64,zoned.max_active=1");
    int first, second, op;

    for (first = 0; first < NR_OPS; first++) {
        for (second = 0; second < NR_OPS; second++) {
            for (op = 0; op < NR_OPS; op++) {
                const int ops[] = { first, second, op };
                uint8_t state = STATE(EMPTY);
                uint64_t written = 0;
                unsigned i;

                for (i = 0; i < ARRAY_SIZE(ops); i++) {
                    uint64_t before = written;
                    uint16_t status = model(ops[i], &state, &written);

                    g_assert_cmphex(do_op(d, ops[i], 1, before), ==, status);
                    assert_zone(d, 1, state, written);
                }
                g_assert_cmphex(zone_send(d, 1, ACTION(RESET)), ==, 0);
            }
        }
    }
    /* No resource has been lost */
    g_assert_cmphex(write_at(d, 0, 1), ==, 0);
    g_assert_cmphex(write_at(d, ZONE(1), 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    disk_free(d);
}

/*
 * ZRWA: 16 blocks, flushed by 4, for two zones at a time
 */

#define ZRWAS 16
#define ZRWAFG 4
#define ZRWA_PROPS(numzrwa) \
    ",zoned.zrwas=8K,zoned.zrwafg=2K,zoned.numzrwa=" numzrwa

static uint16_t open_zrwa(Disk *d, unsigned n)
{
    return nvme_raw_zone_send(d->ns, ZONE(n), ACTION(OPEN),
                              NVME_ZSFLAG_ZRWA_ALLOC);
}

static uint16_t flush_zrwa(Disk *d, uint64_t lba)
{
    return nvme_raw_zone_send(d->ns, lba, ACTION(ZRWA_FLUSH), 0);
}

static void test_zns88(void)
{
    Disk *d = disk_new(ZRWA_PROPS("2"));

    g_assert_cmphex(open_zrwa(d, 0), ==, 0);
    assert_zone(d, 0, STATE(EXPLICITLY_OPEN), 0);
    /* In none but empty zones */
    g_assert_cmphex(open_zrwa(d, 0), ==, ERR(INVALID_ZONE_OP));
    g_assert_cmphex(write_at(d, ZONE(1), 4), ==, 0);
    g_assert_cmphex(open_zrwa(d, 1), ==, ERR(INVALID_ZONE_OP));
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 4);
    g_assert_cmphex(zone_send(d, 1, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(open_zrwa(d, 1), ==, ERR(INVALID_ZONE_OP));
    assert_zone(d, 1, STATE(CLOSED), 4);
    g_assert_cmphex(nvme_raw_zone_send(d->ns, 0, ACTION(OPEN),
                                       ALL | NVME_ZSFLAG_ZRWA_ALLOC),
                    ==, ERR(INVALID_ZONE_OP));
    assert_zone(d, 1, STATE(CLOSED), 4);
    g_assert_cmphex(zone_send(d, 1, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(open_zrwa(d, 1), ==, ERR(INVALID_ZONE_OP));
    /* One is left */
    g_assert_cmphex(open_zrwa(d, 2), ==, 0);
    g_assert_cmphex(open_zrwa(d, 3), ==, ERR(NOZRWA));
    assert_zone(d, 3, STATE(EMPTY), 0);
    disk_free(d);
}

static void zrwa_given_back(Disk *d, unsigned n)
{
    unsigned round, i;

    for (round = 0; round < 6; round++) {
        for (i = 0; i < n; i++) {
            g_assert_cmphex(open_zrwa(d, i), ==, 0);
            /* Opened again, without or with a close in between */
            g_assert_cmphex(zone_send(d, i, ACTION(OPEN)), ==, 0);
            g_assert_cmphex(zone_send(d, i, ACTION(CLOSE)), ==, 0);
            g_assert_cmphex(zone_send(d, i, ACTION(OPEN)), ==, 0);
        }
        if (n < NR_ZONES) {
            g_assert_cmphex(open_zrwa(d, n), ==, ERR(NOZRWA));
        }
        for (i = 0; i < n; i++) {
            switch (round % 3) {
            case 0:
                g_assert_cmphex(zone_send(d, i, ACTION(FINISH)), ==, 0);
                break;
            case 1:
                g_assert_cmphex(write_at(d, ZONE(i), ZRWAS), ==, 0);
                break;
            }
            g_assert_cmphex(zone_send(d, i, ACTION(RESET)), ==, 0);
            assert_zone(d, i, STATE(EMPTY), 0);
        }
    }
}

static void test_zns92(void)
{
    Disk *d = disk_new(ZRWA_PROPS("2"));

    zrwa_given_back(d, 2);
    disk_free(d);
}

/* As many as there are zones */
static void test_zns92_unlimited(void)
{
    Disk *d = disk_new(ZRWA_PROPS("0"));

    zrwa_given_back(d, NR_ZONES);
    disk_free(d);
}

/* The window's last block, with flushes of single blocks */
static void test_zns91_block(void)
{
    Disk *d = disk_new(",zoned.zrwas=8K");

    g_assert_cmphex(open_zrwa(d, 1), ==, 0);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + ZRWAS),
                    ==, ERR(ZONE_BOUNDARY_ERROR));
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 0);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + ZRWAS - 1), ==, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), ZRWAS);
    disk_free(d);
}

static void test_zns91(void)
{
    Disk *d = disk_new(ZRWA_PROPS("1"));
    uint64_t lba;

    g_assert_cmphex(open_zrwa(d, 1), ==, 0);
    g_assert_cmphex(write_at(d, ZONE(1) + 8, 8), ==, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 0);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + 2), ==, ERR(INVALID_FIELD));
    /* The window ends at block 15 */
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + ZRWAS), !=, 0);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + ZRWAS + ZRWAFG - 1), !=, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 0);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + ZRWAFG - 1), ==, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), ZRWAFG);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + ZRWAFG + ZRWAS - 1), ==, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), ZRWAFG + ZRWAS);

    /* Up to the end of the capacity, which is not at a window's */
    for (lba = ZRWAFG + 2 * ZRWAS; lba <= CAP; lba += ZRWAS) {
        g_assert_cmphex(flush_zrwa(d, ZONE(1) + lba - 1), ==, 0);
    }
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 84);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + CAP + ZRWAFG - 1), !=, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 84);
    g_assert_cmphex(flush_zrwa(d, ZONE(1) + CAP - 1), ==, 0);
    assert_zone(d, 1, STATE(FULL), 0);
    /* And gave its resource back */
    g_assert_cmphex(open_zrwa(d, 2), ==, 0);
    /* Implicit flushes fill a zone, too */
    for (lba = 0; lba < CAP; lba += 8) {
        g_assert_cmphex(write_at(d, ZONE(2) + lba, 8), ==, 0);
    }
    assert_zone(d, 2, STATE(EXPLICITLY_OPEN), CAP - ZRWAS);
    g_assert_cmphex(flush_zrwa(d, ZONE(2) + CAP - 1), ==, 0);
    assert_zone(d, 2, STATE(FULL), 0);
    disk_free(d);
}

/*
 * Copy, Compare and Verify
 */

typedef struct Range {
    uint64_t slba;
    uint16_t nlb;
} Range;

static uint16_t copy(Disk *d, uint64_t to, const Range *from, unsigned nr)
{
    NvmeCopySourceRangeFormat0 ranges[4] = { 0 };
    NvmeRawCmd cmd = {
        .opcode = NVME_CMD_COPY,
        .nsid = 1,
        .cdw10 = to,
        .cdw11 = to >> 32,
        .cdw12 = nr - 1,
    };
    unsigned i;

    g_assert_cmpuint(nr, <=, ARRAY_SIZE(ranges));
    for (i = 0; i < nr; i++) {
        ranges[i].slba = cpu_to_le64(from[i].slba);
        ranges[i].nlb = cpu_to_le16(from[i].nlb - 1);
    }
    return nvme_raw_out(d->c, 1, cmd, ranges, sizeof(ranges)).status;
}

#define COPY(d, to, ...) ({                                     \
        static const Range ranges_[] = { __VA_ARGS__ };         \
        copy(d, to, ranges_, ARRAY_SIZE(ranges_));              \
    })

static void fill(Disk *d, uint8_t seed)
{
    size_t i;

    for (i = 0; i < sizeof(d->buf); i++) {
        d->buf[i] = seed + i + i / BS;
    }
}

static void test_zns76(void)
{
    Disk *d = disk_new("");
    uint8_t got[40 * BS];

    fill(d, 1);
    g_assert_cmphex(write_at(d, ZONE(0), 96), ==, 0);
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 16 }, { 32, 8 }), ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 24);
    g_assert_cmphex(COPY(d, ZONE(1) + 24, { 48, 16 }), ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 40);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 40, got), ==, 0);
    g_assert_cmpmem(got, 16 * BS, d->buf, 16 * BS);
    g_assert_cmpmem(got + 16 * BS, 8 * BS, d->buf + 32 * BS, 8 * BS);
    g_assert_cmpmem(got + 24 * BS, 16 * BS, d->buf + 48 * BS, 16 * BS);
    g_assert_cmphex(COPY(d, ZONE(1) + 40, { 0, 56 }), ==, 0);
    assert_zone(d, 1, STATE(FULL), 0);
    disk_free(d);
}

static void test_zns77(void)
{
    Disk *d = disk_new(",zoned.max_active=3");

    g_assert_cmphex(write_at(d, ZONE(0), 96), ==, 0);
    /* The destination is not at the write pointer, full, or too small */
    g_assert_cmphex(COPY(d, ZONE(1) + 1, { 0, 1 }),
                    ==, ERR(ZONE_INVALID_WRITE));
    g_assert_cmphex(COPY(d, ZONE(0), { 0, 1 }), ==, ERR(ZONE_FULL));
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 90 }, { 0, 7 }),
                    ==, ERR(ZONE_BOUNDARY_ERROR));
    /* The source crosses zones, or is not there */
    g_assert_cmphex(COPY(d, ZONE(1), { ZS - 1, 2 }),
                    ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 1 }, { ZS - 1, 2 }),
                    ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(COPY(d, ZONE(1), { ZONE(NR_ZONES), 1 }),
                    ==, ERR(LBA_RANGE));
    /* No zone has been opened */
    assert_zone(d, 1, STATE(EMPTY), 0);

    write_and_close(d, 2, 4);
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 1 }), ==,
                    ERR(ZONE_TOO_MANY_ACTIVE));
    assert_zone(d, 1, STATE(EMPTY), 0);
    disk_free(d);
}

/* A destination whose zone number has more than 32 bits */
static void test_zns77_far(void)
{
    Disk *d = disk_new("");

    g_assert_cmphex(write_at(d, ZONE(0), 8), ==, 0);
    g_assert_cmphex(COPY(d, (1ull << 39) + ZONE(1), { 0, 1 }),
                    ==, ERR(LBA_RANGE));
    assert_zone(d, 1, STATE(EMPTY), 0);
    disk_free(d);
}

static void test_zns77_limits(void)
{
    Disk *d = disk_new(",mcl=8,mssrl=6,msrc=2");

    g_assert_cmphex(write_at(d, ZONE(0), 96), ==, 0);
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 7 }), ==, ERR(CMD_SIZE_LIMIT));
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 5 }, { 0, 4 }),
                    ==, ERR(CMD_SIZE_LIMIT));
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 }),
                    ==, ERR(CMD_SIZE_LIMIT));
    assert_zone(d, 1, STATE(EMPTY), 0);
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 5 }, { 0, 3 }), ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 8);
    disk_free(d);
}

/* The write pointer that is reported after a Copy whose write fails */
static void test_zns34_copy(void)
{
    Disk *d = disk_new_on(FAULTY ",inject-error.0.event=pwritev,"
                          "inject-error.0.iotype=write,"
                          "inject-error.0.once=on,"
                          "inject-error.0.sector=128", "", "");
    NvmeRawZone z;

    g_assert_cmphex(write_at(d, ZONE(0), 96), ==, 0);
    g_assert_cmphex(COPY(d, ZONE(1), { 0, 8 }), !=, 0);
    z = nvme_raw_zone(d->ns, ZONE(1));
    g_assert_cmphex(z.wp, <=, ZONE(1) + 8);
    g_assert_cmphex(write_at(d, z.wp, 8), ==, 0);
    assert_fills(d, 1);
    disk_free(d);
}

static uint16_t verify(Disk *d, uint64_t slba, uint32_t nlb)
{
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_VERIFY, slba, nlb);

    return nvme_raw_exec(d->c, 1, &cmd).status;
}

static uint16_t compare(Disk *d, uint64_t slba, uint32_t nlb)
{
    return nvme_raw_out(d->c, 1, nvme_raw_rw(d->ns, NVME_CMD_COMPARE, slba,
                                             nlb), d->buf, nlb * BS).status;
}

static void test_zns74(void)
{
    Disk *d = disk_new("");
    uint8_t got[2 * BS];

    fill(d, 7);
    g_assert_cmphex(write_at(d, ZONE(0), 8), ==, 0);
    g_assert_cmphex(compare(d, ZONE(0), 8), ==, 0);
    g_assert_cmphex(verify(d, ZONE(0), 8), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZS - 1, 2, got),
                    ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(compare(d, ZS - 1, 2), ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(verify(d, ZS - 1, 2), ==, ERR(ZONE_BOUNDARY_ERROR));
    disk_free(d);

    d = disk_new(",zoned.cross_read=on");
    g_assert_cmphex(nvme_raw_read(d->ns, ZS - 1, 2, got), ==, 0);
    g_assert_cmphex(compare(d, ZS - 1, 2), ==, 0);
    g_assert_cmphex(verify(d, ZS - 1, 2), ==, 0);
    disk_free(d);
}

/*
 * Two controllers that share a namespace
 */

static NvmeRaw *boot_shared(NvmeRawCtrl *c[2])
{
    NvmeRaw *m = nvme_raw_boot(DRIVE "-device nvme-subsys,id=s "
                               "-device nvme,serial=raw,subsys=s "
                               "-device nvme,serial=raw,subsys=s "
                               "-device nvme-ns,nsid=1," ZONED);

    c[0] = nvme_raw_ctrl(m, 0);
    c[1] = nvme_raw_ctrl(m, 1);
    return m;
}

static void assert_state(NvmeRawNs *ns, unsigned n, uint8_t state)
{
    g_assert_cmphex(nvme_raw_zone(ns, ZONE(n)).state, ==, state);
}

static void test_zns102(void)
{
    NvmeRawCtrl *c[2];
    NvmeRaw *m = boot_shared(c);
    NvmeRawNs *ns[2];
    uint8_t buf[BS] = { 0 };
    int i;

    for (i = 0; i < 2; i++) {
        nvme_raw_enable(c[i], NULL);
        ns[i] = nvme_raw_ns(c[i], 1);
    }
    g_assert_cmphex(nvme_raw_write(ns[0], ZONE(0), 1, buf), ==, 0);
    g_assert_cmphex(nvme_raw_write(ns[1], ZONE(0) + 1, 1, buf), ==, 0);
    g_assert_cmphex(nvme_raw_zone_send(ns[0], ZONE(1), ACTION(OPEN), 0), ==, 0);

    nvme_raw_shutdown(c[1]);
    assert_state(ns[0], 0, STATE(IMPLICITLY_OPEN));
    assert_state(ns[0], 1, STATE(EXPLICITLY_OPEN));
    /* Nor does the reset of a controller change zones */
    nvme_raw_disable(c[1]);
    assert_state(ns[0], 1, STATE(EXPLICITLY_OPEN));

    /* The last one */
    nvme_raw_shutdown(c[0]);
    nvme_raw_disable(c[0]);
    nvme_raw_enable(c[1], NULL);
    assert_state(ns[1], 0, STATE(CLOSED));
    assert_state(ns[1], 1, STATE(EMPTY));

    /* One that was shut down, but not reset, is none that uses zones */
    nvme_raw_enable(c[0], NULL);
    g_assert_cmphex(nvme_raw_zone_send(ns[0], ZONE(0), ACTION(OPEN), 0), ==, 0);
    nvme_raw_shutdown(c[0]);
    assert_state(ns[1], 0, STATE(EXPLICITLY_OPEN));
    nvme_raw_shutdown(c[1]);
    nvme_raw_disable(c[1]);
    nvme_raw_enable(c[1], NULL);
    assert_state(ns[1], 0, STATE(CLOSED));

    g_free(ns[0]);
    g_free(ns[1]);
    nvme_raw_quit(m);
}

static void test_zns5(void)
{
    const NvmeRawConfig nvm_only = { .css = 0, .queues = 1, .depth = 16 };
    NvmeRawCtrl *c[2];
    NvmeRaw *m = boot_shared(c);
    NvmeRawNs *ns[2];
    uint8_t buf[BS] = { 0 };

    nvme_raw_enable(c[0], NULL);
    nvme_raw_enable(c[1], &nvm_only);
    ns[0] = nvme_raw_ns(c[0], 1);
    ns[1] = nvme_raw_ns(c[1], 1);
    g_assert_cmphex(nvme_raw_append(ns[0], 0, 1, buf, NULL), ==, 0);
    g_assert_cmphex(nvme_raw_append(ns[1], 0, 1, buf, NULL),
                    ==, ERR(INVALID_OPCODE));
    g_assert_cmphex(nvme_raw_zone_send(ns[1], 0, ACTION(CLOSE), 0),
                    ==, ERR(INVALID_OPCODE));
    g_assert_cmphex(nvme_raw_read(ns[1], 0, 1, buf), ==, 0);
    nvme_raw_disable(c[1]);
    nvme_raw_enable(c[1], NULL);
    g_assert_cmphex(nvme_raw_append(ns[1], 0, 1, buf, NULL), ==, 0);
    g_assert_cmphex(nvme_raw_append(ns[0], 0, 1, buf, NULL), ==, 0);
    g_free(ns[0]);
    g_free(ns[1]);
    nvme_raw_quit(m);
}

/*
 * Limits count in pages of CAP.MPSMIN, whatever CC.MPS is
 */

static void test_zns19(void)
{
    Disk *d = disk_new_on(DRIVE, ",mdts=3,vsl=3,zoned.zasl=1", "");
    NvmeRawConfig config = NVME_RAW_CONFIG_DEFAULT;

    for (config.mps = 0; config.mps <= 2; config.mps++) {
        nvme_raw_disable(d->c);
        nvme_raw_enable(d->c, &config);
        g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
        g_assert_cmphex(nvme_raw_append(d->ns, 0, 17, d->buf, NULL),
                        ==, ERR(INVALID_FIELD));
        g_assert_cmphex(nvme_raw_append(d->ns, 0, 16, d->buf, NULL), ==, 0);
        g_assert_cmphex(write_at(d, 16, 65), ==, ERR(INVALID_FIELD));
        g_assert_cmphex(write_at(d, 16, 64), ==, 0);
        g_assert_cmphex(verify(d, 0, 65), ==, ERR(INVALID_FIELD));
        g_assert_cmphex(verify(d, 0, 64), ==, 0);
    }
    disk_free(d);
}

static void test_zns19_metadata(void)
{
    Disk *d = disk_new_on(DRIVE, ",zoned.zasl=1", ",ms=8,mset=1");

    g_assert_cmphex(nvme_raw_append(d->ns, 0, 16, d->buf, NULL),
                    ==, ERR(INVALID_FIELD));
    g_assert_cmphex(nvme_raw_append(d->ns, 0, 15, d->buf, NULL), ==, 0);
    disk_free(d);
}

static void test_zns18(void)
{
    g_autofree char *err = NULL;
    Disk *d = disk_new_on(DRIVE, ",mdts=0,zoned.zasl=2", "");

    g_assert_cmphex(nvme_raw_append(d->ns, 0, 33, d->buf, NULL),
                    ==, ERR(INVALID_FIELD));
    g_assert_cmphex(nvme_raw_append(d->ns, 0, 32, d->buf, NULL), ==, 0);
    disk_free(d);

    err = nvme_raw_refused("-device nvme,serial=raw,mdts=3,zoned.zasl=4");
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(err, "zoned.zasl"));

    /* A limit of more than 32 bits is none that refuses everything */
    d = disk_new_on(DRIVE, ",mdts=20", "");
    g_assert_cmphex(write_at(d, 0, 96), ==, 0);
    disk_free(d);
}

/*
 * The data, and the drive below
 */

static void test_zns52(void)
{
    Disk *d = disk_new_on("-blockdev driver=null-co,node-name=disk,"
                          "memory-backed=on,size=1048576,read-only=on", "",
                          ",zoned.descr_ext_size=64");
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_WRITE_ZEROES, 0, 1);
    unsigned action;

    g_assert_cmphex(write_at(d, 0, 1), ==, ERR(NS_WRITE_PROT));
    g_assert_cmphex(nvme_raw_append(d->ns, 0, 1, d->buf, NULL),
                    ==, ERR(NS_WRITE_PROT));
    g_assert_cmphex(nvme_raw_exec(d->c, 1, &cmd).status,
                    ==, ERR(NS_WRITE_PROT));
    g_assert_cmphex(COPY(d, 0, { ZONE(1), 1 }), ==, ERR(NS_WRITE_PROT));
    for (action = ACTION(CLOSE); action <= ACTION(OFFLINE); action++) {
        g_assert_cmphex(zone_send(d, 0, action), ==, ERR(NS_WRITE_PROT));
        g_assert_cmphex(send_all(d, action), ==, ERR(NS_WRITE_PROT));
    }
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, d->buf, 64),
                    ==, ERR(NS_WRITE_PROT));
    assert_zone(d, 0, STATE(EMPTY), 0);
    g_assert_cmphex(nvme_raw_read(d->ns, 0, 8, d->buf), ==, 0);
    disk_free(d);
}

/* A file, on which no flush succeeds, and that is removed at once */
static Disk *disk_no_flush(const char *props)
{
    g_autofree char *path = NULL, *drive = NULL;
    Disk *d;
    int fd = g_file_open_tmp("qtest-nvme-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 2 * MiB), ==, 0);
    close(fd);
    drive = g_strdup_printf("-blockdev driver=blkdebug,node-name=disk,"
                            "image.driver=file,image.filename=%s,"
                            "inject-error.0.event=none,"
                            "inject-error.0.iotype=flush", path);
    d = disk_new_on(drive, "", props);
    unlink(path);
    return d;
}

static uint16_t write_fua(Disk *d, uint8_t opcode, uint64_t slba, bool fua)
{
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, opcode, slba, 1);

    cmd.cdw12 |= fua ? NVME_RW_FUA << 16 : 0;
    if (d->ns->ms) {
        /* Insert protection information, for an Append with its place */
        cmd.cdw12 |= 8u << 26 | (opcode == NVME_CMD_ZONE_APPEND) << 25;
        cmd.cdw14 = slba;
    }
    return nvme_raw_out(d->c, 1, cmd, d->buf, BS).status;
}

static void assert_fua(Disk *d)
{
    static const uint8_t opcodes[] = {
        NVME_CMD_WRITE, NVME_CMD_ZONE_APPEND, NVME_CMD_WRITE_ZEROES,
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
        g_assert_cmphex(write_fua(d, opcodes[i], ZONE(i), false), ==, 0);
        g_assert_cmphex(zone_send(d, i, ACTION(RESET)), ==, 0);
        g_assert_cmphex(write_fua(d, opcodes[i], ZONE(i), true),
                        ==, NVME_WRITE_FAULT);
    }
}

static void test_zns71(void)
{
    Disk *d = disk_no_flush("");
    NvmeRawCmd flush = { .opcode = NVME_CMD_FLUSH, .nsid = 1 };

    assert_fua(d);
    g_assert_cmphex(write_at(d, ZONE(8), 1), ==, 0);
    g_assert_cmphex(nvme_raw_exec(d->c, 1, &flush).status,
                    ==, NVME_WRITE_FAULT);
    disk_free(d);
}

static void test_zns71_pi(void)
{
    Disk *d = disk_no_flush(",ms=8,mset=1,pi=1");

    assert_fua(d);
    disk_free(d);
}

static void test_zns71_copy(void)
{
    Disk *d = disk_no_flush("");
    NvmeCopySourceRangeFormat0 range = { .slba = 0, .nlb = 0 };
    NvmeRawCmd cmd = { .opcode = NVME_CMD_COPY, .nsid = 1, .cdw10 = ZONE(1) };

    g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, &range, sizeof(range)).status,
                    ==, 0);
    cmd.cdw10++;
    cmd.cdw12 = 1u << 30;
    g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, &range, sizeof(range)).status,
                    !=, 0);
    disk_free(d);
}

/* An image of zones that have been full */
static char *old_image(void)
{
    char *path = NULL;
    g_autofree uint8_t *old = g_malloc(2 * MiB);
    int fd = g_file_open_tmp("qtest-nvme-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    memset(old, 0xdd, 2 * MiB);
    g_assert_cmpint(write(fd, old, 2 * MiB), ==, 2 * MiB);
    close(fd);
    return path;
}

static Disk *disk_old(const char *props)
{
    g_autofree char *path = old_image();
    g_autofree char *drive = g_strdup_printf("-blockdev driver=file,"
                                             "node-name=disk,filename=%s",
                                             path);
    Disk *d = disk_new_on(drive, "", props);

    unlink(path);
    return d;
}

static void test_zns27(void)
{
    Disk *d = disk_old(",zoned.cross_read=on");
    const size_t len = 32 * BS;
    uint8_t got[32 * BS];
    Range unwritten = { ZONE(3), 8 };

    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 32, got), ==, 0);
    g_assert_true(buffer_is_zero(got, len));
    fill(d, 3);
    g_assert_cmphex(write_at(d, ZONE(1), 20), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 32, got), ==, 0);
    g_assert_cmpmem(got, 20 * BS, d->buf, 20 * BS);
    g_assert_true(buffer_is_zero(got + 20 * BS, 12 * BS));
    /* From the end of an empty zone into one that has data */
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1) - 16, 32, got), ==, 0);
    g_assert_true(buffer_is_zero(got, 16 * BS));
    g_assert_cmpmem(got + 16 * BS, 16 * BS, d->buf, 16 * BS);
    /* A zone that was finished has no more data than before */
    g_assert_cmphex(zone_send(d, 1, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1) + 16, 32, got), ==, 0);
    g_assert_cmpmem(got, 4 * BS, d->buf + 16 * BS, 4 * BS);
    g_assert_true(buffer_is_zero(got + 4 * BS, 28 * BS));

    memset(d->buf, 0, sizeof(d->buf));
    g_assert_cmphex(compare(d, ZONE(2), 32), ==, 0);
    g_assert_cmphex(copy(d, ZONE(2), &unwritten, 1), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(2), 8, got), ==, 0);
    g_assert_true(buffer_is_zero(got, 8 * BS));
    disk_free(d);
}

static void test_zns27_zrwa(void)
{
    Disk *d = disk_old(ZRWA_PROPS("2"));
    uint8_t got[24 * BS];

    g_assert_cmphex(open_zrwa(d, 1), ==, 0);
    fill(d, 5);
    g_assert_cmphex(write_at(d, ZONE(1), 8), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 24, got), ==, 0);
    g_assert_cmpmem(got, 8 * BS, d->buf, 8 * BS);
    g_assert_true(buffer_is_zero(got + 8 * BS, 16 * BS));
    disk_free(d);
}

/* Metadata, which travel with the data */
static void test_zns27_metadata(void)
{
    Disk *d = disk_old(",ms=8,mset=1");
    uint8_t got[8 * (BS + 8)];

    fill(d, 9);
    g_assert_cmphex(write_at(d, ZONE(1), 4), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 8, got), ==, 0);
    g_assert_cmpmem(got, 4 * (BS + 8), d->buf, 4 * (BS + 8));
    g_assert_true(buffer_is_zero(got + 4 * (BS + 8), 4 * (BS + 8)));
    memset(d->buf, 0, sizeof(d->buf));
    g_assert_cmphex(nvme_raw_out(d->c, 1, nvme_raw_rw(d->ns, NVME_CMD_COMPARE,
                                                      ZONE(1) + 4, 4), d->buf,
                                 4 * (BS + 8)).status, ==, 0);
    disk_free(d);
}

static void test_zns27_pi(void)
{
    Disk *d = disk_old(",ms=8,mset=1,pi=1");
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_READ, ZONE(1), 8);
    uint8_t got[8 * (BS + 8)];
    unsigned i;

    fill(d, 11);
    cmd.opcode = NVME_CMD_WRITE;
    cmd.cdw12 = 3 | 8u << 26;   /* insert protection information */
    cmd.cdw14 = ZONE(1);
    g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, d->buf, 4 * BS).status, ==, 0);
    cmd.opcode = NVME_CMD_READ;
    cmd.cdw12 = 7 | 4u << 26;   /* check the guard, and transfer it */
    g_assert_cmphex(nvme_raw_in(d->c, 1, cmd, got, sizeof(got)).status, ==, 0);
    for (i = 0; i < 8; i++) {
        const uint8_t *block = got + i * (BS + 8);

        if (i < 4) {
            g_assert_cmpmem(block, BS, d->buf + i * BS, BS);
        } else {
            g_assert_true(buffer_is_zero(block, BS));
            /* What says that there is none */
            g_assert_cmphex(ldq_le_p(block + BS), ==, UINT64_MAX);
        }
    }
    cmd.opcode = NVME_CMD_VERIFY;
    g_assert_cmphex(nvme_raw_exec(d->c, 1, &cmd).status, ==, 0);
    disk_free(d);
}

/* A write that ends after the zone was reset */
static void test_zns27_reset_in_flight(void)
{
    Disk *d = disk_new_on(FAULTY, "", "");
    NvmeRawCmd cmd = nvme_raw_zone_cmd(d->ns, ZONE(1), ACTION(RESET), 0);
    NvmeRawCmd write = nvme_raw_rw(d->ns, NVME_CMD_WRITE, ZONE(1), 8);
    Flight f = { .addr = nvme_raw_alloc(d->m, NVME_RAW_PAGE) };
    uint8_t got[8 * BS];
    uint16_t cid;

    fill(d, 1);
    nvme_raw_put(d->m, f.addr, d->buf, NVME_RAW_PAGE);
    nvme_raw_prps(d->c, &write, f.addr, NVME_RAW_PAGE);
    hmp_io(d, "break pwritev A");
    f.cid = nvme_raw_submit(d->c, 1, &write);
    settle(d);
    cid = nvme_raw_submit(d->c, 1, &cmd);
    settle(d);
    g_assert_cmphex(resume(d, f), ==, 0);
    g_assert_cmphex(nvme_raw_wait(d->c, 1, cid).status, ==, 0);
    assert_zone(d, 1, STATE(EMPTY), 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 8, got), ==, 0);
    g_assert_true(buffer_is_zero(got, sizeof(got)));
    disk_free(d);
}

/* Metadata in a buffer of their own, of more than a sector and not of whole */
static void test_separate_metadata(void)
{
    const unsigned n = 65;
    NvmeRaw *m = nvme_raw_boot(DRIVE "-device nvme,serial=raw "
                               "-device nvme-ns,nsid=1,drive=disk,ms=8,"
                               "logical_block_size=512");
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    uint64_t addr = nvme_raw_alloc(m, NVME_RAW_PAGE);
    g_autofree NvmeRawNs *ns = NULL;
    g_autofree uint8_t *data = g_malloc0(n * BS);
    uint8_t md[65 * 8], got[65 * 8];
    NvmeRawCmd cmd;
    unsigned i;

    for (i = 0; i < sizeof(md); i++) {
        md[i] = i + i / 256 + 1;
    }
    nvme_raw_enable(c, NULL);
    ns = nvme_raw_ns(c, 1);
    nvme_raw_put(m, addr, md, sizeof(md));
    cmd = nvme_raw_rw(ns, NVME_CMD_WRITE, 3, n);
    cmd.mptr = addr;
    g_assert_cmphex(nvme_raw_out(c, 1, cmd, data, n * BS).status, ==, 0);
    memset(got, 0, sizeof(got));
    nvme_raw_put(m, addr, got, sizeof(got));
    cmd.opcode = NVME_CMD_READ;
    g_assert_cmphex(nvme_raw_in(c, 1, cmd, data, n * BS).status, ==, 0);
    nvme_raw_get(m, addr, got, sizeof(got));
    g_assert_cmpmem(got, sizeof(got), md, sizeof(md));
    nvme_raw_quit(m);
}

/*
 * A controller reset finds commands in flight that take several steps
 */

#define SLOW \
    "-blockdev driver=null-co,node-name=disk,memory-backed=on," \
    "latency-ns=3000000,size=1114112 "

static void reset_in_flight(const char *props, uint8_t opcode)
{
    Disk *d = disk_new_on(SLOW, "", props);
    uint64_t addr = nvme_raw_alloc(d->m, NVME_RAW_PAGE);
    NvmeRawCmd cmd = nvme_raw_zone_cmd(d->ns, 0, ACTION(RESET), ALL);
    unsigned round, i;

    if (opcode != NVME_CMD_ZONE_MGMT_SEND) {
        cmd = nvme_raw_rw(d->ns, opcode, ZONE(3), 8);
        cmd.mptr = addr;
    }
    nvme_raw_prps(d->c, &cmd, addr, NVME_RAW_PAGE);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < 3; i++) {
            g_assert_cmphex(zone_send(d, i, ACTION(FINISH)), ==, 0);
        }
        nvme_raw_submit(d->c, 1, &cmd);
        nvme_raw_disable(d->c);
        nvme_raw_enable(d->c, NULL);
        settle(d);
        g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
        for (i = 0; i < 4; i++) {
            assert_zone(d, i, STATE(EMPTY), 0);
        }
    }
    nvme_raw_free(d->m, addr);
    disk_free(d);
}

static void test_zns103_reset_all(void)
{
    reset_in_flight("", NVME_CMD_ZONE_MGMT_SEND);
}

static void test_zns103_metadata(void)
{
    reset_in_flight(",ms=8", NVME_CMD_WRITE);
}

/*
 * The write of a Copy begins when the drain of a shutdown has waited for its
 * read, and the zone that it writes to is closed meanwhile.
 */
static void shutdown_in_copy(bool zrwa)
{
    Disk *d = disk_new_on(SLOW, "", zrwa ? ZRWA_PROPS("2") : "");
    uint64_t addr = nvme_raw_alloc(d->m, NVME_RAW_PAGE);
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_COPY, ZONE(1), 1);
    unsigned round;
    NvmeRawZone z;
    uint16_t cid;

    cmd.prp1 = addr;
    for (round = 0; round < 3; round++) {
        if (zrwa) {
            g_assert_cmphex(open_zrwa(d, 1), ==, 0);
        }
        cid = nvme_raw_submit(d->c, 1, &cmd);
        /* It has begun */
        nvme_raw_zone(d->ns, 0);
        nvme_raw_shutdown(d->c);
        g_assert_cmphex(nvme_raw_wait(d->c, 1, cid).status, ==, 0);
        z = nvme_raw_zone(d->ns, ZONE(1));
        g_assert_true(z.state != STATE(EMPTY) || z.wp == ZONE(1));
        nvme_raw_disable(d->c);
        nvme_raw_enable(d->c, NULL);
        g_assert_cmphex(write_at(d, z.wp, 1), ==, 0);
        g_assert_cmphex(zone_send(d, 1, ACTION(RESET)), ==, 0);
        assert_zone(d, 1, STATE(EMPTY), 0);
    }
    nvme_raw_free(d->m, addr);
    disk_free(d);
}

static void test_shutdown_copy(void)
{
    shutdown_in_copy(false);
}

static void test_shutdown_copy_zrwa(void)
{
    shutdown_in_copy(true);
}

/*
 * A queue of 4 entries, without a driver: all of them are the same command.
 * Returns its memory.
 */
static uint64_t small_queue(Disk *d, uint16_t id, const NvmeCmd *sqe)
{
    uint64_t addr = nvme_raw_alloc(d->m, 2 * NVME_RAW_PAGE);
    NvmeRawCmd cmd = {
        .opcode = NVME_ADM_CMD_CREATE_CQ,
        .prp1 = addr,
        .cdw10 = 7 << 16 | id,
        .cdw11 = NVME_CQ_PC,
    };
    unsigned i;

    g_assert_cmphex(nvme_raw_exec(d->c, 0, &cmd).status, ==, 0);
    cmd.opcode = NVME_ADM_CMD_CREATE_SQ;
    cmd.prp1 = addr + NVME_RAW_PAGE;
    cmd.cdw10 = 3 << 16 | id;
    cmd.cdw11 = id << 16 | NVME_SQ_PC;
    for (i = 0; i < 4; i++) {
        nvme_raw_put(d->m, cmd.prp1 + i * sizeof(*sqe), sqe, sizeof(*sqe));
    }
    g_assert_cmphex(nvme_raw_exec(d->c, 0, &cmd).status, ==, 0);
    return addr;
}

/*
 * While the last commands of one queue are cancelled, another one whose
 * commands have just ended must not begin those that wait in it.
 */
static void test_zns103_waiting(void)
{
    const NvmeRawConfig config = { .css = 6, .queues = 0, .depth = 16 };
    Disk *d = disk_new_on(SLOW "-blockdev driver=null-co,node-name=slower,"
                          "latency-ns=20000000,size=65536 ", "",
                          " -device nvme-ns,nsid=2,drive=slower");
    NvmeRawCmd reset = nvme_raw_zone_cmd(d->ns, 0, ACTION(RESET), ALL);
    uint64_t data = nvme_raw_alloc(d->m, NVME_RAW_PAGE);
    NvmeCmd read = {
        .opcode = NVME_CMD_READ,
        .nsid = cpu_to_le32(2),
        .dptr.prp1 = cpu_to_le64(data),
    };
    unsigned round, i;
    uint64_t queue;

    nvme_raw_disable(d->c);
    d->ns->qid = 2;
    for (round = 0; round < 3; round++) {
        nvme_raw_enable(d->c, &config);
        nvme_raw_create_queue(d->c, 2, 16);
        queue = small_queue(d, 1, &read);
        for (i = 0; i < NR_ZONES; i++) {
            g_assert_cmphex(zone_send(d, i, ACTION(FINISH)), ==, 0);
        }
        nvme_raw_submit(d->c, 2, &reset);
        nvme_raw_poke(d->c, 0x1008, 3);
        nvme_raw_poke(d->c, 0x1008, 2);
        nvme_raw_disable(d->c);
        nvme_raw_free(d->m, queue);
    }
    nvme_raw_enable(d->c, NULL);
    settle(d);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    nvme_raw_free(d->m, data);
    disk_free(d);
}

/*
 * A queue is deleted twice, and the second command waits for a free request of
 * the admin queue, which there is while the first one cancels what is in
 * flight.
 */
static void test_delete_twice(void)
{
    enum { DEPTH = 3 };
    const NvmeRawConfig config = { .css = 6, .queues = 0, .depth = DEPTH };
    NvmeRaw *m = nvme_raw_boot(SLOW "-blockdev driver=null-co,node-name=slower,"
                               "latency-ns=20000000,size=65536 "
                               "-device nvme,serial=raw "
                               "-device nvme-ns,nsid=1,drive=disk "
                               "-device nvme-ns,nsid=2,drive=slower");
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    NvmeRawCmd event = { .opcode = NVME_ADM_CMD_ASYNC_EV_REQ };
    NvmeRawCmd format = { .opcode = NVME_ADM_CMD_FORMAT_NVM, .nsid = 1 };
    NvmeDeleteQ sqe = { .opcode = NVME_ADM_CMD_DELETE_SQ,
                        .qid = cpu_to_le16(1) };
    g_autofree NvmeRawNs *ns = NULL;
    uint8_t got[4096];
    NvmeRawCmd read;
    unsigned i, tail = 0;
    uint64_t asq;

    nvme_raw_enable(c, &config);
    nvme_raw_create_queue(c, 1, 16);
    tail += 2;
    ns = nvme_raw_ns(c, 2);
    tail += 1;
    read = nvme_raw_rw(ns, NVME_CMD_READ, 0, 1);
    read.prp1 = nvme_raw_alloc(m, NVME_RAW_PAGE);
    nvme_raw_submit(c, 1, &read);
    nvme_raw_submit(c, 0, &event);
    nvme_raw_submit(c, 0, &format);
    tail += 2;

    /* Until all three have begun */
    for (i = 0; i < 3; i++) {
        asq = nvme_raw_reg(c, NVME_REG_ASQ);
    }
    for (i = 0; i < 2; i++) {
        nvme_raw_put(m, asq + tail++ % DEPTH * sizeof(sqe), &sqe, sizeof(sqe));
    }
    nvme_raw_poke(c, 0x1000, tail % DEPTH);
    nvme_raw_disable(c);
    nvme_raw_enable(c, NULL);
    g_assert_cmphex(nvme_raw_read(ns, 0, 1, got), ==, 0);
    nvme_raw_quit(m);
}

/*
 * A read into another device's BAR needs the one bounce buffer that there is.
 * The next one waits for it, not for the drive, when it is cancelled.
 */
static void test_cancel_waiting_for_memory(void)
{
    NvmeRaw *m = nvme_raw_boot(SLOW "-device nvme,serial=raw "
                               "-device nvme-ns,nsid=1,drive=disk "
                               "-device edu,addr=10");
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    QPCIDevice *edu = qpci_device_find(nvme_raw_qos(m)->pcibus,
                                       QPCI_DEVFN(0x10, 0));
    g_autofree NvmeRawNs *ns = NULL;
    uint8_t got[BS];
    NvmeRawCmd cmd;
    uint16_t cid;

    g_assert_nonnull(edu);
    qpci_device_enable(edu);
    nvme_raw_enable(c, NULL);
    ns = nvme_raw_ns(c, 1);
    cmd = nvme_raw_rw(ns, NVME_CMD_READ, 0, 1);
    cmd.prp1 = qpci_iomap(edu, 0, NULL).addr + 4096;

    cid = nvme_raw_submit(c, 1, &cmd);
    nvme_raw_submit(c, 2, &cmd);
    nvme_raw_delete_queue(c, 2);
    g_assert_cmphex(nvme_raw_wait(c, 1, cid).status, ==, 0);

    nvme_raw_submit(c, 1, &cmd);
    nvme_raw_submit(c, 1, &cmd);
    nvme_raw_disable(c);
    nvme_raw_enable(c, NULL);
    g_assert_cmphex(nvme_raw_exec(c, 1, &cmd).status, ==, 0);
    g_assert_cmphex(nvme_raw_read(ns, 0, 1, got), ==, 0);
    g_free(edu);
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
    { "ZNS-28", test_zns28 },
    { "ZNS-34", test_zns34 },
    { "ZNS-34/metadata", test_zns34_metadata },
    { "ZNS-34/pi", test_zns34_pi },
    { "ZNS-39", test_zns39 },
    { "ZNS-39/shutdown", test_zns39_shutdown },
    { "ZNS-42", test_zns42 },
    { "ZNS-51", test_zns51 },
    { "ZNS-51/no-auto-transition", test_zns51_no_auto_transition },
    { "ZNS-84", test_zns84 },
    { "ZNS-88", test_zns88 },
    { "ZNS-91", test_zns91 },
    { "ZNS-91/block", test_zns91_block },
    { "ZNS-92", test_zns92 },
    { "ZNS-92/unlimited", test_zns92_unlimited },
    { "ZNS-34/copy", test_zns34_copy },
    { "ZNS-74", test_zns74 },
    { "ZNS-76", test_zns76 },
    { "ZNS-77", test_zns77 },
    { "ZNS-77/far", test_zns77_far },
    { "ZNS-77/limits", test_zns77_limits },
    { "ZNS-5", test_zns5 },
    { "ZNS-18", test_zns18 },
    { "ZNS-19", test_zns19 },
    { "ZNS-19/metadata", test_zns19_metadata },
    { "ZNS-102", test_zns102 },
    { "ZNS-52", test_zns52 },
    { "ZNS-71", test_zns71 },
    { "ZNS-71/copy", test_zns71_copy },
    { "ZNS-71/pi", test_zns71_pi },
    { "ZNS-27", test_zns27 },
    { "ZNS-27/metadata", test_zns27_metadata },
    { "ZNS-27/pi", test_zns27_pi },
    { "ZNS-27/reset-in-flight", test_zns27_reset_in_flight },
    { "ZNS-27/zrwa", test_zns27_zrwa },
    { "separate-metadata", test_separate_metadata },
    { "ZNS-103/reset-all", test_zns103_reset_all },
    { "ZNS-103/metadata", test_zns103_metadata },
    { "ZNS-103/waiting", test_zns103_waiting },
    { "delete-twice", test_delete_twice },
    { "shutdown-copy", test_shutdown_copy },
    { "shutdown-copy/zrwa", test_shutdown_copy_zrwa },
    { "cancel-waiting-for-memory", test_cancel_waiting_for_memory },
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
