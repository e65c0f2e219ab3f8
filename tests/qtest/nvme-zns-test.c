/*
 * QTest testcase for zoned NVMe namespaces (ZNS)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cases are named after the requirements that they prove, which are listed in
 * docs/devel/zoned-conformance-nvme.rst.  Most run in several modes: with zones
 * of a null disk, of a zoned image, and of the device itself (RAM mode).
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#include "nvme-raw.h"
#include "zoned-qmp.h"

/* The namespace that most cases use, in logical blocks of 512 bytes */
#define BS 512
#define ZS 128          /* zone size */
#define CAP 96          /* zone capacity */
#define NR_ZONES 16
#define NSZE (NR_ZONES * ZS)
#define ZONE(n) ((uint64_t)(n) * ZS)
#define SIZE "1048576"

/* Zones of an image that are what nothing else makes them */
#define RDONLY_ZONE 10
#define OFFLINE_ZONE 11

/* Limits, where there are any */
#define MAX_OPEN 3
#define MAX_ACTIVE 5

#define STATE(name) NVME_ZONE_STATE_##name
#define ACTION(name) NVME_ZONE_ACTION_##name
#define ALL NVME_ZSFLAG_SELECT_ALL
#define ERR(name) (NVME_##name | NVME_DNR)
#define WRITE_PROTECTED (0x20 | NVME_DNR)

typedef enum Mode {
    NULL_DISK = 1 << 0,
    IMAGE = 1 << 1,
    RAM = 1 << 2,
} Mode;

#define BLOCK (NULL_DISK | IMAGE)
#define ANY (BLOCK | RAM)

/* What a disk is like; zeroes are a default */
typedef struct Config {
    Mode mode;
    unsigned max_open, max_active;
    unsigned ext;               /* size of a descriptor extension */
    const char *ctrl;           /* properties of the controllers */
    const char *ns;             /* properties of the namespace */
    const char *node;           /* options of the node below */
    const char *errors;         /* of blkdebug, below an image or on a disk */
    const char *more;           /* more of the command line */
    unsigned nr_ctrls;          /* on one subsystem, unless 0 */
    bool not_enabled;
    bool special;               /* RDONLY_ZONE and OFFLINE_ZONE, IMAGE only */
} Config;

typedef struct Disk {
    Config conf;
    char *image;
    NvmeRaw *m;
    NvmeRawCtrl *c;
    NvmeRawNs *ns;
    uint8_t buf[2 * ZS * BS];
} Disk;

/*
 * Disks
 */

static char *new_image(const Config *conf)
{
    g_autofree char *ext = conf->ext
        ? g_strdup_printf(",descriptor_extension_size=%u", conf->ext)
        : g_strdup("");
    char *path = nvme_raw_image("zone_size=64K,zone_capacity=48K,"
                                "max_open_zones=%u,max_active_zones=%u%s",
                                conf->max_open, conf->max_active, ext);

    if (conf->special) {
        nvme_raw_image_special(path, RDONLY_ZONE, OFFLINE_ZONE);
    }
    return path;
}

static const char *str(const char *s)
{
    return s ? s : "";
}

static char *errors_options(const Config *conf, const char *name)
{
    return conf->errors
        ? g_strdup_printf(" -blockdev driver=blkdebug,node-name=%s,image=below,"
                          "%s", name, conf->errors)
        : g_strdup("");
}

static char *drive_options(const Config *conf, const char *image)
{
    const char *below = conf->errors ? "below" : "disk";
    g_autofree char *errors = NULL;

    switch (conf->mode) {
    case NULL_DISK:
        errors = errors_options(conf, "disk");
        return g_strdup_printf("-blockdev driver=null-co,node-name=%s,"
                               "memory-backed=on,size=" SIZE
                               ",zoned.zone-size=64K,zoned.zone-capacity=48K,"
                               "zoned.max-open-zones=%u,"
                               "zoned.max-active-zones=%u,"
                               "zoned.descriptor-extension-size=%u%s%s",
                               below, conf->max_open, conf->max_active,
                               conf->ext, str(conf->node), errors);
    case IMAGE:
        errors = errors_options(conf, "errors");
        /* blkdebug hears of a flush only from drivers like raw */
        return g_strdup_printf("-blockdev driver=file,node-name=below,"
                               "filename=%s%s -blockdev driver=zoned,"
                               "node-name=disk,file.driver=raw,file.file=%s%s",
                               image, errors,
                               conf->errors ? "errors" : "below",
                               str(conf->node));
    default:
        return g_strdup_printf("-blockdev driver=null-co,node-name=disk,"
                               "memory-backed=on,size=" SIZE "%s",
                               str(conf->node));
    }
}

static char *ns_options(const Config *conf)
{
    if (conf->mode != RAM) {
        return g_strdup_printf("nvme-ns,nsid=1,drive=disk%s", str(conf->ns));
    }
    return g_strdup_printf("nvme-ns,nsid=1,drive=disk,logical_block_size=512,"
                           "zoned=on,zoned.zone_size=64K,"
                           "zoned.zone_capacity=48K,zoned.max_open=%u,"
                           "zoned.max_active=%u,zoned.descr_ext_size=%u%s",
                           conf->max_open, conf->max_active, conf->ext,
                           str(conf->ns));
}

static char *ctrl_options(const Config *conf)
{
    GString *s = g_string_new("");
    unsigned i;

    if (!conf->nr_ctrls) {
        g_string_printf(s, "-device nvme,serial=zns%s", str(conf->ctrl));
        return g_string_free(s, false);
    }
    g_string_printf(s, "-device nvme-subsys,id=subsys0");
    for (i = 0; i < conf->nr_ctrls; i++) {
        g_string_append_printf(s, " -device nvme,serial=zns,subsys=subsys0%s",
                               str(conf->ctrl));
    }
    return g_string_free(s, false);
}

static void disk_boot(Disk *d)
{
    const Config *conf = &d->conf;
    g_autofree char *drive = drive_options(conf, d->image);
    g_autofree char *ctrl = ctrl_options(conf);
    g_autofree char *ns = ns_options(conf);

    d->m = nvme_raw_boot("%s %s -device %s %s", drive, ctrl, ns,
                         str(conf->more));
    d->c = nvme_raw_ctrl(d->m, 0);
    if (!conf->not_enabled) {
        nvme_raw_enable(d->c, NULL);
        d->ns = nvme_raw_ns(d->c, 1);
    }
}

static Disk *disk_new_conf(Config conf)
{
    Disk *d = g_new0(Disk, 1);

    d->conf = conf;
    if (conf.mode == IMAGE) {
        d->image = new_image(&conf);
    }
    memset(d->buf, 0x5a, sizeof(d->buf));
    disk_boot(d);
    return d;
}

static Disk *disk_new(Mode mode)
{
    return disk_new_conf((Config) { .mode = mode });
}

/* With MAX_OPEN and MAX_ACTIVE */
static Disk *disk_new_limited(Mode mode)
{
    return disk_new_conf((Config) { .mode = mode, .max_open = MAX_OPEN,
                                    .max_active = MAX_ACTIVE });
}

static void disk_quit(Disk *d)
{
    g_free(d->ns);
    d->ns = NULL;
    nvme_raw_quit(d->m);
}

static void disk_free(Disk *d)
{
    disk_quit(d);
    if (d->image) {
        unlink(d->image);
    }
    g_free(d->image);
    g_free(d);
}

/*
 * Commands
 */

static uint16_t zone_send(Disk *d, unsigned zone, uint8_t action)
{
    return nvme_raw_zone_send(d->ns, ZONE(zone), action, 0);
}

static uint16_t send_all(Disk *d, uint8_t action)
{
    return nvme_raw_zone_send(d->ns, 0, action, ALL);
}

static uint16_t write_at(Disk *d, uint64_t slba, uint32_t nlb)
{
    return nvme_raw_write(d->ns, slba, nlb, d->buf);
}

static uint16_t read_at(Disk *d, uint64_t slba, uint32_t nlb)
{
    static uint8_t buf[2 * ZS * BS];

    return nvme_raw_read(d->ns, slba, nlb, buf);
}

static uint16_t append_to(Disk *d, unsigned zone, uint32_t nlb)
{
    return nvme_raw_append(d->ns, ZONE(zone), nlb, d->buf, NULL);
}

static uint16_t exec(Disk *d, NvmeRawCmd cmd)
{
    return nvme_raw_exec(d->c, 1, &cmd).status;
}

static uint16_t write_zeroes(Disk *d, uint64_t slba, uint32_t nlb)
{
    return exec(d, nvme_raw_rw(d->ns, NVME_CMD_WRITE_ZEROES, slba, nlb));
}

static uint16_t verify(Disk *d, uint64_t slba, uint32_t nlb)
{
    return exec(d, nvme_raw_rw(d->ns, NVME_CMD_VERIFY, slba, nlb));
}

static uint16_t compare(Disk *d, uint64_t slba, uint32_t nlb)
{
    return nvme_raw_out(d->c, 1, nvme_raw_rw(d->ns, NVME_CMD_COMPARE, slba,
                                             nlb), d->buf, nlb * BS).status;
}

typedef struct Range {
    uint64_t slba;
    uint32_t nlb;
} Range;

static NvmeRawCpl copy_cpl(Disk *d, uint64_t sdlba, const Range *ranges,
                           unsigned nr)
{
    NvmeCopySourceRangeFormat0 list[8] = { 0 };
    NvmeRawCmd cmd = {
        .opcode = NVME_CMD_COPY,
        .nsid = 1,
        .cdw10 = sdlba,
        .cdw11 = sdlba >> 32,
        .cdw12 = nr - 1,
    };
    unsigned i;

    for (i = 0; i < nr; i++) {
        list[i].slba = cpu_to_le64(ranges[i].slba);
        list[i].nlb = cpu_to_le16(ranges[i].nlb - 1);
    }
    return nvme_raw_out(d->c, 1, cmd, list, nr * sizeof(list[0]));
}

static uint16_t copy(Disk *d, uint64_t sdlba, uint64_t slba, uint32_t nlb)
{
    Range range = { slba, nlb };

    return copy_cpl(d, sdlba, &range, 1).status;
}

static uint16_t deallocate(Disk *d, uint64_t slba, uint32_t nlb)
{
    NvmeDsmRange range = {
        .nlb = cpu_to_le32(nlb),
        .slba = cpu_to_le64(slba),
    };
    NvmeRawCmd cmd = {
        .opcode = NVME_CMD_DSM,
        .nsid = 1,
        .cdw11 = NVME_DSMGMT_AD,
    };

    return nvme_raw_out(d->c, 1, cmd, &range, sizeof(range)).status;
}

/* Zone @n is in @state; where that has a write pointer, @written blocks are */
static void assert_zone(Disk *d, unsigned n, uint8_t state, uint64_t written)
{
    NvmeRawZone z = nvme_raw_zone(d->ns, ZONE(n));

    g_assert_cmphex(z.zslba, ==, ZONE(n));
    g_assert_cmphex(z.type, ==, NVME_ZONE_TYPE_SEQ_WRITE);
    g_assert_cmphex(z.cap, ==, CAP);
    g_assert_cmphex(z.state, ==, state);
    switch (state) {
    case STATE(FULL):
    case STATE(READ_ONLY):
    case STATE(OFFLINE):
        g_assert_cmphex(z.wp, ==, UINT64_MAX);
        break;
    default:
        g_assert_cmphex(z.wp, ==, ZONE(n) + written);
        break;
    }
}

static void assert_all(Disk *d, uint8_t state)
{
    unsigned i;

    for (i = 0; i < NR_ZONES; i++) {
        assert_zone(d, i, state, 0);
    }
}

/* How many zones are in @state */
static uint64_t count(Disk *d, uint8_t option)
{
    uint64_t nr;

    g_assert_cmphex(nvme_raw_report(d->ns, 0, option, false, NULL, 0, &nr),
                    ==, 0);
    return nr;
}

#define WRITTEN 4

/* Bring an empty zone into @state, with WRITTEN blocks where that can be */
static void make(Disk *d, unsigned zone, uint8_t state)
{
    switch (state) {
    case STATE(EMPTY):
        break;
    case STATE(FULL):
        g_assert_cmphex(zone_send(d, zone, ACTION(FINISH)), ==, 0);
        break;
    case STATE(IMPLICITLY_OPEN):
        g_assert_cmphex(write_at(d, ZONE(zone), WRITTEN), ==, 0);
        break;
    case STATE(EXPLICITLY_OPEN):
        g_assert_cmphex(write_at(d, ZONE(zone), WRITTEN), ==, 0);
        g_assert_cmphex(zone_send(d, zone, ACTION(OPEN)), ==, 0);
        break;
    case STATE(CLOSED):
        g_assert_cmphex(write_at(d, ZONE(zone), WRITTEN), ==, 0);
        g_assert_cmphex(zone_send(d, zone, ACTION(CLOSE)), ==, 0);
        break;
    default:
        g_assert_not_reached();
    }
    assert_zone(d, zone, state, state == STATE(EMPTY) ? 0 : WRITTEN);
}

/*
 * Discovery
 */

static void test_zns1(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t got[8 * BS];

    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, 0, 8, got), ==, 0);
    g_assert_cmpmem(got, sizeof(got), d->buf, sizeof(got));
    g_assert_cmphex(compare(d, 0, 8), ==, 0);
    g_assert_cmphex(verify(d, 0, 8), ==, 0);
    g_assert_cmphex(write_zeroes(d, 8, 8), ==, 0);
    g_assert_cmphex(copy(d, 16, 0, 8), ==, 0);
    g_assert_cmphex(deallocate(d, 0, 8), ==, 0);
    g_assert_cmphex(exec(d, (NvmeRawCmd) { .opcode = NVME_CMD_FLUSH,
                                           .nsid = 1 }), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 24);
    disk_free(d);
}

static void test_zns2(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t report[128];

    g_assert_cmphex(exec(d, nvme_raw_zone_cmd(d->ns, 0, ACTION(OPEN), 0)), ==,
                    0);
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, NVME_ZONE_REPORT, 0, true, report,
                                  sizeof(report)), ==, 0);
    g_assert_cmphex(append_to(d, 0, 1), ==, 0);
    disk_free(d);
}

static void test_zns3(Mode mode)
{
    Disk *d = disk_new(mode);
    uint64_t cap = nvme_raw_reg(d->c, NVME_REG_CAP);

    g_assert_true(cap & (1ull << (37 + 6)));
    disk_free(d);
}

static void test_zns4(Mode mode)
{
    static const uint8_t opcodes[] = { 0x79, 0x7a, 0x7d };
    Disk *d = disk_new(mode);
    NvmeRawConfig config = NVME_RAW_CONFIG_DEFAULT;
    size_t i;

    nvme_raw_disable(d->c);
    config.css = 0;
    nvme_raw_enable(d->c, &config);
    for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
        g_assert_cmphex(exec(d, nvme_raw_rw(d->ns, opcodes[i], 0, 1)), ==,
                        ERR(INVALID_OPCODE));
    }
    /* The rules of zones are there nevertheless */
    g_assert_cmphex(write_at(d, 1, 1), ==, ERR(ZONE_INVALID_WRITE));
    g_assert_cmphex(write_at(d, 0, 1), ==, 0);
    disk_free(d);
}

/* Two controllers, the second of which knows no zones */
static void test_zns5(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .nr_ctrls = 2 });
    NvmeRawConfig config = NVME_RAW_CONFIG_DEFAULT;

    config.css = 0;
    nvme_raw_enable(nvme_raw_ctrl(d->m, 1), &config);
    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(append_to(d, 0, 1), ==, 0);
    assert_zone(d, 0, STATE(EXPLICITLY_OPEN), 1);
    disk_free(d);
}

static void test_zns6(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];
    NvmeRawCmd get = { .opcode = NVME_ADM_CMD_GET_FEATURES, .cdw10 = 0x19 };

    g_assert_cmphex(nvme_raw_identify(d->c, 0x1c, 0, 0, page), ==, 0);
    g_assert_true(page[0] & (1 << 2));
    g_assert_cmphex(nvme_raw_exec(d->c, 0, &get).dw0 & 0x1ff, ==, 0);
    disk_free(d);
}

static void test_zns7(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];
    bool found = false;
    size_t i;

    g_assert_cmphex(nvme_raw_identify(d->c, 0x03, 0, 1, page), ==, 0);
    for (i = 0; page[i]; i += 4 + page[i + 1]) {
        if (page[i] == 4) {
            g_assert_cmphex(page[i + 1], ==, 1);
            g_assert_cmphex(page[i + 4], ==, 2);
            found = true;
        }
    }
    g_assert_true(found);
    disk_free(d);
}

/* With a second namespace that is not zoned */
static Disk *disk_new_two(Mode mode)
{
    return disk_new_conf((Config) {
        .mode = mode,
        .more = "-blockdev driver=null-co,node-name=plain,size=" SIZE
                " -device nvme-ns,nsid=2,drive=plain",
    });
}

static void test_zns8(Mode mode)
{
    Disk *d = disk_new_two(mode);
    uint8_t page[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x07, 2, 0, page), ==, 0);
    g_assert_cmphex(ldl_le_p(page), ==, 1);
    g_assert_cmphex(ldl_le_p(page + 4), ==, 0);
    g_assert_cmphex(nvme_raw_identify(d->c, 0x1a, 2, 0, page), ==, 0);
    g_assert_cmphex(ldl_le_p(page), ==, 1);
    g_assert_cmphex(ldl_le_p(page + 4), ==, 0);
    g_assert_cmphex(nvme_raw_identify(d->c, 0x02, 0, 0, page), ==, 0);
    g_assert_cmphex(ldl_le_p(page), ==, 1);
    g_assert_cmphex(ldl_le_p(page + 4), ==, 2);
    g_assert_cmphex(nvme_raw_identify(d->c, 0x10, 0, 0, page), ==, 0);
    g_assert_cmphex(ldl_le_p(page), ==, 1);
    g_assert_cmphex(ldl_le_p(page + 4), ==, 2);
    disk_free(d);
}

static void test_zns9(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x00, 0, 1, page), ==, 0);
    g_assert_cmphex(ldq_le_p(page), ==, NSZE);
    disk_free(d);
}

static void test_zns10(Mode mode)
{
    Disk *d = disk_new_two(mode);
    static const uint8_t zeroes[4096];
    uint8_t page[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x05, 2, 2, page), ==,
                    ERR(INVALID_FIELD));
    g_assert_cmphex(nvme_raw_identify(d->c, 0x05, 2, 9, page), ==, 0);
    g_assert_cmpmem(page, sizeof(page), zeroes, sizeof(zeroes));
    disk_free(d);
}

static void test_zns11(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t log[4096];

    g_assert_cmphex(nvme_raw_log(d->c, 0x05, 2, 0, log, sizeof(log)), ==, 0);
    g_assert_true(ldl_le_p(&log[1024 + 4 * 0x79]) & 1);
    g_assert_true(ldl_le_p(&log[1024 + 4 * 0x7a]) & 1);
    g_assert_true(ldl_le_p(&log[1024 + 4 * 0x7d]) & 1);
    disk_free(d);
}

static void test_zns12(Mode mode)
{
    static const uint8_t opcodes[] = { 0x79, 0x7a, 0x7d };
    Disk *d = disk_new(mode);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
        NvmeRawCmd cmd = nvme_raw_rw(d->ns, opcodes[i], 0, 1);

        cmd.nsid = UINT32_MAX;
        g_assert_cmphex(exec(d, cmd), !=, 0);
        cmd.nsid = 1;
        cmd.flags = 1;
        g_assert_cmphex(exec(d, cmd), !=, 0);
    }
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

/*
 * Identify
 */

static void id_ns_zoned(Disk *d, uint8_t *page)
{
    g_assert_cmphex(nvme_raw_identify(d->c, 0x05, 2, 1, page), ==, 0);
}

static void test_zns13(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t id[4096], page[4096];
    unsigned lbaf;

    g_assert_cmphex(nvme_raw_identify(d->c, 0x00, 0, 1, id), ==, 0);
    lbaf = id[26] & 0xf;
    id_ns_zoned(d, page);
    g_assert_cmphex(ldq_le_p(&page[2816 + 16 * lbaf]), ==, ZS);
    disk_free(d);
}

/* MAR and MOR of a disk with limits */
static void assert_limits(Mode mode, unsigned max_open, unsigned max_active,
                          uint32_t mor, uint32_t mar)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .max_open = max_open,
                                       .max_active = max_active });
    uint8_t page[4096];

    id_ns_zoned(d, page);
    g_assert_cmphex((uint32_t)ldl_le_p(&page[4]), ==, mar);
    g_assert_cmphex((uint32_t)ldl_le_p(&page[8]), ==, mor);
    disk_free(d);
}

static void test_zns14(Mode mode)
{
    assert_limits(mode, 3, 5, 2, 4);
    assert_limits(mode, 0, 5, 4, 4);
    assert_limits(mode, 0, 0, UINT32_MAX, UINT32_MAX);
    assert_limits(mode, 3, 0, 2, UINT32_MAX);
}

static void test_zns15(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];
    uint8_t report[4096];

    id_ns_zoned(d, page);
    g_assert_cmphex(page[2816 + 8], ==, 0);
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, NVME_ZONE_REPORT_EXTENDED, 0, true,
                                  report, sizeof(report)), ==,
                    ERR(INVALID_FIELD));
    disk_free(d);
}

static void test_zns16(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t id[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x00, 0, 1, id), ==, 0);
    g_assert_cmphex(ldq_le_p(id) % ZS, ==, 0);
    g_assert_cmpuint(ldq_le_p(id + 8), <=, ldq_le_p(id));
    g_assert_cmpuint(ldq_le_p(id + 16), <=, ldq_le_p(id + 8));
    disk_free(d);
}

static uint8_t id_zasl(Disk *d)
{
    uint8_t page[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x06, 2, 0, page), ==, 0);
    return page[0];
}

static void test_zns17(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .ctrl = ",zoned.zasl=2" });

    g_assert_cmphex(id_zasl(d), ==, 2);
    g_assert_cmphex(append_to(d, 0, 33), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(append_to(d, 0, 32), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 32);
    disk_free(d);

    /* MDTS is the limit */
    d = disk_new_conf((Config) { .mode = mode, .ctrl = ",mdts=2" });
    g_assert_cmphex(id_zasl(d), ==, 0);
    g_assert_cmphex(append_to(d, 0, 33), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(append_to(d, 0, 32), ==, 0);
    disk_free(d);
}

/* The node's limit, where it is the lowest one */
static void test_zns17_node(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode });

    /* 48 KiB, the capacity: 8 pages, and less than 16 */
    g_assert_cmphex(id_zasl(d), ==, 3);
    g_assert_cmphex(append_to(d, 0, 65), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(append_to(d, 0, 64), ==, 0);
    disk_free(d);

    d = disk_new_conf((Config) { .mode = mode, .ctrl = ",mdts=0",
                                 .node = ",zoned.max-append-size=8K" });
    g_assert_cmphex(id_zasl(d), ==, 1);
    g_assert_cmphex(append_to(d, 0, 17), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(append_to(d, 0, 16), ==, 0);
    disk_free(d);
}

static void assert_append_limit(Disk *d, uint8_t zasl, uint32_t nlb)
{
    g_assert_cmphex(id_zasl(d), ==, zasl);
    g_assert_cmphex(append_to(d, 0, nlb + 1), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(append_to(d, 0, nlb), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==, 0);
}

/* The lowest limit goes with its namespace, and comes back with it */
static void test_zns17_attachment(Mode mode)
{
    Disk *d = disk_new_conf((Config) {
        .mode = mode,
        .nr_ctrls = 1,
        .more = "-blockdev driver=null-co,node-name=short,size=" SIZE
                ",zoned.zone-size=64K,zoned.max-append-size=8K "
                "-device nvme-ns,nsid=2,drive=short",
    });
    NvmeRawCmd cmd = { .opcode = NVME_ADM_CMD_NS_ATTACHMENT, .nsid = 2 };
    uint16_t list[2048] = { cpu_to_le16(1), 0 };

    assert_append_limit(d, 1, 16);
    cmd.cdw10 = NVME_NS_ATTACHMENT_DETACH;
    g_assert_cmphex(nvme_raw_out(d->c, 0, cmd, list, sizeof(list)).status, ==,
                    0);
    assert_append_limit(d, 3, 64);
    cmd.cdw10 = NVME_NS_ATTACHMENT_ATTACH;
    g_assert_cmphex(nvme_raw_out(d->c, 0, cmd, list, sizeof(list)).status, ==,
                    0);
    assert_append_limit(d, 1, 16);
    disk_free(d);
}

static void test_zns19(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .ctrl = ",zoned.zasl=2" });
    NvmeRawConfig config = NVME_RAW_CONFIG_DEFAULT;

    nvme_raw_disable(d->c);
    config.mps = 1;
    nvme_raw_enable(d->c, &config);
    g_assert_cmphex(append_to(d, 0, 33), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(append_to(d, 0, 32), ==, 0);
    disk_free(d);
}

static void test_zns20(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];

    id_ns_zoned(d, page);
    g_assert_cmphex(lduw_le_p(page), ==, 0);
    disk_free(d);
}

static void test_zns21(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];

    id_ns_zoned(d, page);
    g_assert_cmphex(lduw_le_p(&page[2]), ==, 0);
    g_assert_cmphex(read_at(d, ZS - 1, 2), ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(read_at(d, ZS - 1, 1), ==, 0);
    disk_free(d);

    d = disk_new_conf((Config) { .mode = mode, .ns = ",zoned.cross_read=on",
                                 .special = true });
    id_ns_zoned(d, page);
    g_assert_cmphex(lduw_le_p(&page[2]), ==, 1);
    g_assert_cmphex(read_at(d, ZS - 1, 2), ==, 0);
    if (mode == IMAGE) {
        g_assert_cmphex(read_at(d, ZONE(OFFLINE_ZONE) - 1, 2), ==,
                        ERR(ZONE_OFFLINE));
        g_assert_cmphex(read_at(d, ZONE(RDONLY_ZONE) - 1, 2), ==, 0);
    }
    disk_free(d);
}

/*
 * Zones and states
 */

static void test_zns22(Mode mode)
{
    static const uint8_t states[] = {
        STATE(EMPTY), STATE(IMPLICITLY_OPEN), STATE(EXPLICITLY_OPEN),
        STATE(CLOSED), STATE(FULL),
    };
    Disk *d = disk_new(mode);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(states); i++) {
        make(d, i, states[i]);
    }
    disk_free(d);
}

static void test_zns23(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });

    make(d, 0, STATE(FULL));
    g_assert_cmphex(nvme_raw_zone(d->ns, 0).wp, ==, UINT64_MAX);
    if (mode == IMAGE) {
        g_assert_cmphex(nvme_raw_zone(d->ns, ZONE(RDONLY_ZONE)).wp, ==,
                        UINT64_MAX);
        g_assert_cmphex(nvme_raw_zone(d->ns, ZONE(OFFLINE_ZONE)).wp, ==,
                        UINT64_MAX);
    }
    disk_free(d);
}

/* Several commands of one zone at once, whatever comes of it, then its state */
static void race(Disk *d, const NvmeRawCmd *cmds, unsigned nr)
{
    uint16_t cids[8];
    NvmeRawZone z;
    unsigned i;

    for (i = 0; i < nr; i++) {
        cids[i] = nvme_raw_queue(d->c, 1, &cmds[i]);
    }
    nvme_raw_ring(d->c, 1);
    for (i = 0; i < nr; i++) {
        nvme_raw_wait(d->c, 1, cids[i]);
    }
    z = nvme_raw_zone(d->ns, 0);
    switch (z.state) {
    case STATE(EMPTY):
        g_assert_cmphex(z.wp, ==, 0);
        break;
    case STATE(FULL):
        break;
    default:
        g_assert_cmphex(z.wp, <=, CAP);
        g_assert_cmphex(write_at(d, z.wp, 1), ==, 0);
        break;
    }
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
}

static void test_zns24(Mode mode)
{
    static const uint8_t actions[] = {
        ACTION(RESET), ACTION(FINISH), ACTION(CLOSE), ACTION(OPEN),
    };
    Disk *d = disk_new_limited(mode);
    uint64_t data = nvme_raw_alloc(d->m, 8 * BS);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        NvmeRawCmd w = nvme_raw_rw(d->ns, NVME_CMD_WRITE, 0, 8);
        NvmeRawCmd w2 = nvme_raw_rw(d->ns, NVME_CMD_WRITE, 8, 8);
        NvmeRawCmd a = nvme_raw_rw(d->ns, NVME_CMD_ZONE_APPEND, 0, 8);
        NvmeRawCmd m = nvme_raw_zone_cmd(d->ns, 0, actions[i], 0);

        w.prp1 = w2.prp1 = a.prp1 = data;
        race(d, (NvmeRawCmd[]) { w, m }, 2);
        race(d, (NvmeRawCmd[]) { w, w2, m }, 3);
        race(d, (NvmeRawCmd[]) { m, w, w2 }, 3);
        race(d, (NvmeRawCmd[]) { a, m, a }, 3);
        race(d, (NvmeRawCmd[]) { w, m, w, a, m }, 5);
    }
    /* No resource has been lost: as many zones as can be, can be open */
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmphex(zone_send(d, i, ACTION(OPEN)), ==, 0);
    }
    g_assert_cmphex(zone_send(d, MAX_OPEN, ACTION(OPEN)), ==,
                    ERR(ZONE_TOO_MANY_OPEN));
    nvme_raw_free(d->m, data);
    disk_free(d);
}

static void test_zns26(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t got[BS];
    static const uint8_t zeroes[BS];

    g_assert_cmphex(write_at(d, CAP, 1), !=, 0);
    g_assert_cmphex(write_at(d, 0, CAP), ==, 0);
    g_assert_cmphex(write_at(d, CAP, 1), ==, ERR(ZONE_FULL));
    g_assert_cmphex(nvme_raw_read(d->ns, CAP, 1, got), ==, 0);
    g_assert_cmpmem(got, BS, zeroes, BS);
    disk_free(d);
}

static void test_zns27(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t id[4096];

    /* Nothing is promised for blocks that a zoned drive has not been given */
    g_assert_cmphex(nvme_raw_identify(d->c, 0x00, 0, 1, id), ==, 0);
    g_assert_cmphex(id[33] & 0x7, ==, 0);
    disk_free(d);
}

/*
 * The state table
 */

enum Command {
    WRITE_WP, WRITE_FILL, WRITE_ELSEWHERE, APPEND, READ, OPEN, CLOSE, FINISH,
    RESET, SET_EXT, OFFLINE, NR_COMMANDS
};

static const char *const command_names[] = {
    "write", "fill", "write-elsewhere", "append", "read", "open", "close",
    "finish", "reset", "set-extension", "offline",
};

#define NR_STATES 7
#define EXT 128

static const struct {
    uint8_t state;
    const char *name;
} state_names[NR_STATES] = {
    { STATE(EMPTY), "ZSE" },
    { STATE(IMPLICITLY_OPEN), "ZSIO" },
    { STATE(EXPLICITLY_OPEN), "ZSEO" },
    { STATE(CLOSED), "ZSC" },
    { STATE(FULL), "ZSF" },
    { STATE(READ_ONLY), "ZSRO" },
    { STATE(OFFLINE), "ZSO" },
};

/* The new state, or the status of a command that is refused */
#define E STATE(EMPTY)
#define I STATE(IMPLICITLY_OPEN)
#define X STATE(EXPLICITLY_OPEN)
#define C STATE(CLOSED)
#define F STATE(FULL)
#define R STATE(READ_ONLY)
#define O STATE(OFFLINE)
#define FU ERR(ZONE_FULL)
#define RO ERR(ZONE_READ_ONLY)
#define OF ERR(ZONE_OFFLINE)
#define WR ERR(ZONE_INVALID_WRITE)
#define BF ERR(ZONE_INVAL_TRANSITION)

static const uint16_t state_table[NR_STATES][NR_COMMANDS] = {
    /* write fill else app read open close finish reset set-ext. offline */
    { I,  F,  WR, I,  E,  X,  BF, F,  E,  C,  BF },     /* empty */
    { I,  F,  WR, I,  I,  X,  C,  F,  E,  BF, BF },     /* implicitly open */
    { X,  F,  WR, X,  X,  X,  C,  F,  E,  BF, BF },     /* explicitly open */
    { I,  F,  WR, I,  C,  X,  C,  F,  E,  BF, BF },     /* closed */
    { FU, FU, FU, FU, F,  BF, BF, F,  E,  BF, BF },     /* full */
    { RO, RO, RO, RO, R,  BF, BF, BF, BF, BF, O  },     /* read-only */
    { OF, OF, OF, OF, OF, BF, BF, BF, BF, BF, O  },     /* offline */
};

#undef E
#undef I
#undef X
#undef C
#undef F
#undef R
#undef O

static uint16_t run_cell(Disk *d, unsigned zone, enum Command cmd,
                         uint64_t written)
{
    static const uint8_t actions[NR_COMMANDS] = {
        [OPEN] = ACTION(OPEN), [CLOSE] = ACTION(CLOSE),
        [FINISH] = ACTION(FINISH), [RESET] = ACTION(RESET),
        [OFFLINE] = ACTION(OFFLINE),
    };

    switch (cmd) {
    case WRITE_WP:
        return write_at(d, ZONE(zone) + written, 2);
    case WRITE_FILL:
        return write_at(d, ZONE(zone) + written, CAP - written);
    case WRITE_ELSEWHERE:
        return write_at(d, ZONE(zone) + written + 1, 1);
    case APPEND:
        return append_to(d, zone, 2);
    case READ:
        return read_at(d, ZONE(zone), 8);
    case SET_EXT:
        return nvme_raw_set_ext(d->ns, ZONE(zone), d->buf, EXT);
    default:
        return zone_send(d, zone, actions[cmd]);
    }
}

static unsigned cell_zone(uint8_t state)
{
    return state == STATE(READ_ONLY) ? RDONLY_ZONE
         : state == STATE(OFFLINE) ? OFFLINE_ZONE : 3;
}

static uint64_t written_after(uint8_t state, enum Command cmd,
                              uint64_t written)
{
    if (state == STATE(EMPTY)) {
        return 0;
    }
    return cmd == WRITE_WP || cmd == APPEND ? written + 2 : written;
}

static void check_cell(Disk *d, unsigned s, enum Command cmd)
{
    const uint8_t state = state_names[s].state;
    const uint16_t expected = state_table[s][cmd];
    const unsigned zone = cell_zone(state);
    uint64_t written = state == STATE(EMPTY) || zone != 3 ? 0 : WRITTEN;
    uint16_t status;

    g_test_message("%s %s", state_names[s].name, command_names[cmd]);
    if (zone == 3) {
        make(d, zone, state);
    }
    status = run_cell(d, zone, cmd, written);
    if (expected & NVME_DNR) {
        g_assert_cmphex(status, ==, expected);
        assert_zone(d, zone, state, written);
    } else {
        g_assert_cmphex(status, ==, 0);
        assert_zone(d, zone, expected, written_after(expected, cmd, written));
    }
    if (zone == 3) {
        g_assert_cmphex(zone_send(d, zone, ACTION(RESET)), ==, 0);
    }
}

static void test_zns28(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true,
                                       .ext = EXT });
    unsigned s, cmd;

    for (s = 0; s < NR_STATES; s++) {
        if (mode != IMAGE && cell_zone(state_names[s].state) != 3) {
            continue;
        }
        for (cmd = 0; cmd < NR_COMMANDS; cmd++) {
            check_cell(d, s, cmd);
        }
    }
    disk_free(d);
}

static void test_zns29(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });
    unsigned next = OFFLINE_ZONE + 1;

    make(d, next, STATE(FULL));
    g_assert_cmphex(zone_send(d, RDONLY_ZONE, ACTION(RESET)), ==, BF);
    g_assert_cmphex(zone_send(d, OFFLINE_ZONE, ACTION(RESET)), ==, BF);
    assert_zone(d, RDONLY_ZONE, STATE(READ_ONLY), 0);
    assert_zone(d, OFFLINE_ZONE, STATE(OFFLINE), 0);
    assert_zone(d, next, STATE(FULL), 0);
    disk_free(d);
}

static void test_zns32(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t got[BS];

    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    g_assert_cmphex(write_at(d, 8, CAP - 7), ==, ERR(ZONE_BOUNDARY_ERROR));
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 8);
    g_assert_cmphex(write_at(d, 8, ZS), ==, ERR(ZONE_BOUNDARY_ERROR));
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 8);
    g_assert_cmphex(write_zeroes(d, 8, CAP - 7), ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(write_zeroes(d, 8, 4 * ZS), ==, ERR(ZONE_BOUNDARY_ERROR));
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 8);
    g_assert_cmphex(nvme_raw_read(d->ns, 8, 1, got), ==, 0);
    g_assert_cmphex(got[0], ==, 0);
    /* An empty zone stays one */
    g_assert_cmphex(write_at(d, ZONE(1), CAP + 1), ==,
                    ERR(ZONE_BOUNDARY_ERROR));
    assert_zone(d, 1, STATE(EMPTY), 0);
    disk_free(d);
}

static void test_zns33(Mode mode)
{
    Disk *d = disk_new(mode);

    g_assert_cmphex(write_at(d, 0, 5), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 5);
    g_assert_cmphex(append_to(d, 0, 7), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 12);
    g_assert_cmphex(write_zeroes(d, 12, 4), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 16);
    g_assert_cmphex(copy(d, 16, 0, 8), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 24);
    g_assert_cmphex(write_at(d, 24, CAP - 24), ==, 0);
    assert_zone(d, 0, STATE(FULL), 0);
    disk_free(d);
}

static void test_zns34(Mode mode)
{
    Disk *d = disk_new(mode);
    NvmeRawCmd bad = nvme_raw_rw(d->ns, NVME_CMD_WRITE, 0, 16);

    /* The second PRP must be the start of a page */
    bad.prp1 = nvme_raw_alloc(d->m, 4096);
    bad.prp2 = bad.prp1 + 8;
    g_assert_cmphex(exec(d, bad), !=, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    bad.opcode = NVME_CMD_ZONE_APPEND;
    g_assert_cmphex(exec(d, bad), !=, 0);
    g_assert_cmphex(write_at(d, 0, 1), ==, 0);
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), 1);
    disk_free(d);
}

static void test_zns35(Mode mode)
{
    Disk *d = disk_new(mode);

    make(d, 0, STATE(CLOSED));
    g_assert_cmphex(write_at(d, WRITTEN, CAP - WRITTEN), ==, 0);
    assert_zone(d, 0, STATE(FULL), 0);
    g_assert_cmphex(write_at(d, ZONE(1), CAP), ==, 0);
    assert_zone(d, 1, STATE(FULL), 0);
    disk_free(d);
}

static void test_zns36(Mode mode)
{
    Disk *d = disk_new_limited(mode);

    make(d, 0, STATE(CLOSED));
    g_assert_cmphex(zone_send(d, 1, ACTION(OPEN)), ==, 0);
    assert_zone(d, 1, STATE(EXPLICITLY_OPEN), 0);
    g_assert_cmphex(zone_send(d, 1, ACTION(CLOSE)), ==, 0);
    assert_zone(d, 1, STATE(CLOSED), 0);
    g_assert_cmphex(zone_send(d, 2, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(CLOSE)), ==, 0);
    assert_zone(d, 2, STATE(CLOSED), 0);
    /* It is an active one, and can be written to */
    g_assert_cmphex(write_at(d, ZONE(1), 1), ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 1);
    g_assert_cmphex(zone_send(d, 2, ACTION(RESET)), ==, 0);
    assert_zone(d, 2, STATE(EMPTY), 0);
    disk_free(d);
}

/* Make as many zones active as can be, from zone 4 on, and none open */
static void use_up_active(Disk *d)
{
    unsigned i;

    for (i = 0; i < MAX_ACTIVE; i++) {
        make(d, 4 + i, STATE(CLOSED));
    }
}

/* Open explicitly as many zones as can be, from zone 4 on */
static void use_up_open(Disk *d)
{
    unsigned i;

    for (i = 0; i < MAX_OPEN; i++) {
        make(d, 4 + i, STATE(EXPLICITLY_OPEN));
    }
}

static void test_zns37(Mode mode)
{
    Disk *d = disk_new_limited(mode);

    use_up_active(d);
    g_assert_cmphex(zone_send(d, 0, ACTION(FINISH)), ==, 0);
    assert_zone(d, 0, STATE(FULL), 0);
    g_assert_cmphex(zone_send(d, 1, ACTION(OPEN)), ==,
                    ERR(ZONE_TOO_MANY_ACTIVE));
    disk_free(d);
}

static void test_zns38(Mode mode)
{
    Disk *d = disk_new(mode);
    unsigned i;

    make(d, 0, STATE(FULL));
    make(d, 1, STATE(CLOSED));
    make(d, 2, STATE(IMPLICITLY_OPEN));
    for (i = 0; i < 3; i++) {
        NvmeRawZone z;

        g_assert_cmphex(zone_send(d, i, ACTION(RESET)), ==, 0);
        assert_zone(d, i, STATE(EMPTY), 0);
        z = nvme_raw_zone(d->ns, ZONE(i));
        g_assert_cmphex(z.attrs, ==, 0);
    }
    disk_free(d);
}

/*
 * Resources
 */

static void test_zns40(Mode mode)
{
    Disk *d = disk_new_limited(mode);
    unsigned i;

    use_up_open(d);
    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==,
                    ERR(ZONE_TOO_MANY_OPEN));
    /* To close gives back an open resource, and no active one */
    g_assert_cmphex(zone_send(d, 4, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==, 0);
    make(d, 0, STATE(CLOSED));
    make(d, 1, STATE(CLOSED));
    g_assert_cmphex(zone_send(d, 2, ACTION(OPEN)), ==,
                    ERR(ZONE_TOO_MANY_ACTIVE));
    /* To finish and to reset give back both */
    g_assert_cmphex(zone_send(d, 5, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(zone_send(d, 2, ACTION(OPEN)), ==, 0);
    for (i = 0; i < NR_ZONES; i++) {
        g_assert_cmphex(zone_send(d, i, ACTION(RESET)), ==, 0);
    }
    use_up_active(d);
    disk_free(d);
}

static void test_zns41(Mode mode)
{
    Disk *d = disk_new_limited(mode);

    use_up_active(d);
    g_assert_cmphex(write_at(d, 0, 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    g_assert_cmphex(append_to(d, 0, 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    g_assert_cmphex(write_zeroes(d, 0, 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==,
                    ERR(ZONE_TOO_MANY_ACTIVE));
    disk_free(d);

    /* Where both limits are the same, too many are active */
    d = disk_new_conf((Config) { .mode = mode, .max_open = MAX_OPEN,
                                 .max_active = MAX_OPEN });
    use_up_open(d);
    g_assert_cmphex(write_at(d, 0, 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    disk_free(d);
}

static void test_zns42(Mode mode)
{
    Disk *d = disk_new_limited(mode);
    unsigned i;

    use_up_active(d);
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmphex(write_at(d, ZONE(4 + i) + WRITTEN, 1), ==, 0);
    }
    g_assert_cmpuint(count(d, NVME_ZONE_REPORT_IMPLICITLY_OPEN), ==, MAX_OPEN);
    g_assert_cmphex(write_at(d, 0, 1), ==, ERR(ZONE_TOO_MANY_ACTIVE));
    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==,
                    ERR(ZONE_TOO_MANY_ACTIVE));
    g_assert_cmpuint(count(d, NVME_ZONE_REPORT_IMPLICITLY_OPEN), ==, MAX_OPEN);
    assert_zone(d, 0, STATE(EMPTY), 0);
    disk_free(d);
}

static void test_zns43(Mode mode)
{
    Disk *d = disk_new_limited(mode);
    unsigned i;

    for (i = 0; i < MAX_OPEN; i++) {
        make(d, i, STATE(IMPLICITLY_OPEN));
    }
    g_assert_cmphex(write_at(d, ZONE(MAX_OPEN), 1), ==, 0);
    assert_zone(d, 0, STATE(CLOSED), WRITTEN);
    assert_zone(d, MAX_OPEN, STATE(IMPLICITLY_OPEN), 1);
    disk_free(d);
}

static void test_zns44(Mode mode)
{
    Disk *d = disk_new_limited(mode);

    make(d, 0, STATE(CLOSED));
    use_up_open(d);
    g_assert_cmphex(write_at(d, ZONE(1), 1), ==, ERR(ZONE_TOO_MANY_OPEN));
    g_assert_cmphex(append_to(d, 1, 1), ==, ERR(ZONE_TOO_MANY_OPEN));
    g_assert_cmphex(copy(d, ZONE(1), ZONE(4), 1), ==, ERR(ZONE_TOO_MANY_OPEN));
    g_assert_cmphex(write_at(d, WRITTEN, 1), ==, ERR(ZONE_TOO_MANY_OPEN));
    assert_zone(d, 0, STATE(CLOSED), WRITTEN);
    assert_zone(d, 1, STATE(EMPTY), 0);
    disk_free(d);
}

/* With two controllers.  The second is enabled, too. */
static Disk *disk_new_shared(Mode mode, NvmeRawNs **other)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .max_open = MAX_OPEN,
                                       .max_active = MAX_ACTIVE,
                                       .nr_ctrls = 2 });

    nvme_raw_enable(nvme_raw_ctrl(d->m, 1), NULL);
    *other = nvme_raw_ns(nvme_raw_ctrl(d->m, 1), 1);
    return d;
}

static void test_zns45(Mode mode)
{
    NvmeRawNs *other;
    Disk *d = disk_new_shared(mode, &other);

    use_up_open(d);
    g_assert_cmphex(nvme_raw_zone_send(other, 0, ACTION(OPEN), 0), ==,
                    ERR(ZONE_TOO_MANY_OPEN));
    g_assert_cmphex(nvme_raw_zone_send(other, ZONE(4), ACTION(CLOSE), 0), ==,
                    0);
    assert_zone(d, 4, STATE(CLOSED), WRITTEN);
    g_assert_cmphex(nvme_raw_zone_send(other, 0, ACTION(OPEN), 0), ==, 0);
    assert_zone(d, 0, STATE(EXPLICITLY_OPEN), 0);
    g_free(other);
    disk_free(d);
}

/*
 * Zone Management Send
 */

static const uint8_t all_actions[] = {
    ACTION(OPEN), ACTION(CLOSE), ACTION(FINISH), ACTION(RESET),
    ACTION(OFFLINE),
};

static void test_zns46(Mode mode)
{
    Disk *d = disk_new(mode);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(all_actions); i++) {
        g_assert_cmphex(nvme_raw_zone_send(d->ns, 1, all_actions[i], 0), ==,
                        ERR(INVALID_FIELD));
        g_assert_cmphex(nvme_raw_zone_send(d->ns, ZS + CAP, all_actions[i],
                                           0), ==, ERR(INVALID_FIELD));
    }
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

static void test_zns47(Mode mode)
{
    static const uint64_t slbas[] = {
        NSZE, NSZE + ZS, 1ull << 32, 1ull << 55, 1ull << 63, UINT64_MAX,
        UINT64_MAX - ZS + 1,
    };
    Disk *d = disk_new(mode);
    size_t i, j;

    for (i = 0; i < ARRAY_SIZE(all_actions); i++) {
        for (j = 0; j < ARRAY_SIZE(slbas); j++) {
            g_assert_cmphex(nvme_raw_zone_send(d->ns, slbas[j],
                                               all_actions[i], 0), ==,
                            ERR(LBA_RANGE));
        }
    }
    disk_free(d);
}

/* Zones 0 to 4 in the five ordinary states */
static void make_each(Disk *d)
{
    make(d, 0, STATE(EMPTY));
    make(d, 1, STATE(IMPLICITLY_OPEN));
    make(d, 2, STATE(EXPLICITLY_OPEN));
    make(d, 3, STATE(CLOSED));
    make(d, 4, STATE(FULL));
}

static void test_zns48(Mode mode)
{
    static const struct {
        uint8_t action;
        uint8_t after[5];
    } table[] = {
        { ACTION(OPEN), { STATE(EMPTY), STATE(IMPLICITLY_OPEN),
                          STATE(EXPLICITLY_OPEN), STATE(EXPLICITLY_OPEN),
                          STATE(FULL) } },
        { ACTION(CLOSE), { STATE(EMPTY), STATE(CLOSED), STATE(CLOSED),
                           STATE(CLOSED), STATE(FULL) } },
        { ACTION(FINISH), { STATE(EMPTY), STATE(FULL), STATE(FULL),
                            STATE(FULL), STATE(FULL) } },
        { ACTION(RESET), { STATE(EMPTY), STATE(EMPTY), STATE(EMPTY),
                           STATE(EMPTY), STATE(EMPTY) } },
        { ACTION(OFFLINE), { STATE(EMPTY), STATE(IMPLICITLY_OPEN),
                             STATE(EXPLICITLY_OPEN), STATE(CLOSED),
                             STATE(FULL) } },
    };
    Disk *d = disk_new(mode);
    size_t i, z;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        make_each(d);
        /* SLBA does not matter */
        g_assert_cmphex(nvme_raw_zone_send(d->ns, UINT64_MAX - 5,
                                           table[i].action, ALL), ==, 0);
        for (z = 0; z < 5; z++) {
            assert_zone(d, z, table[i].after[z],
                        table[i].after[z] == STATE(EMPTY) ? 0 : WRITTEN);
        }
        g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
        assert_all(d, STATE(EMPTY));
        /* No zone is concerned */
        g_assert_cmphex(send_all(d, table[i].action), ==, 0);
        assert_all(d, STATE(EMPTY));
    }
    disk_free(d);
}

/* Zones that nothing can be done with are passed over */
static void test_zns48_special(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });

    make_each(d);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    assert_zone(d, 4, STATE(EMPTY), 0);
    assert_zone(d, RDONLY_ZONE, STATE(READ_ONLY), 0);
    assert_zone(d, OFFLINE_ZONE, STATE(OFFLINE), 0);
    g_assert_cmphex(send_all(d, ACTION(OFFLINE)), ==, 0);
    assert_zone(d, RDONLY_ZONE, STATE(OFFLINE), 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    disk_free(d);
}

/* A namespace of a single zone has all zones, too */
static void test_zns48_single(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .node = ",size=65536" });

    g_assert_cmphex(send_all(d, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    make(d, 0, STATE(CLOSED));
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    assert_zone(d, 0, STATE(EXPLICITLY_OPEN), WRITTEN);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    disk_free(d);
}

static void test_zns49(Mode mode)
{
    Disk *d = disk_new(mode);
    unsigned action;

    for (action = 0; action < 256; action++) {
        if ((action >= 0x01 && action <= 0x05) || action == 0x11) {
            continue;
        }
        g_assert_cmphex(nvme_raw_zone_send(d->ns, 0, action, 0), ==,
                        ERR(INVALID_FIELD));
        g_assert_cmphex(nvme_raw_zone_send(d->ns, 0, action, ALL), ==,
                        ERR(INVALID_FIELD));
    }
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

static void test_zns49_flush(Mode mode)
{
    Disk *d = disk_new(mode);

    g_assert_cmphex(zone_send(d, 0, 0x11), ==, ERR(INVALID_FIELD));
    g_assert_cmphex(nvme_raw_zone_send(d->ns, 5, 0x11, 0), ==,
                    ERR(INVALID_FIELD));
    disk_free(d);
}

/* Without a write cache, what an action has done is durable */
static void test_write_cache(Mode mode)
{
    Config conf = {
        .mode = mode,
        .ext = 64,
        .errors = "inject-error.0.event=none,inject-error.0.errno=5,"
                  "inject-error.0.iotype=flush",
        .ns = ",write-cache=off",
    };
    const uint8_t ext[64] = { 0 };
    Disk *d = disk_new_conf(conf);

    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(FINISH)), ==,
                    NVME_INTERNAL_DEV_ERROR);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==,
                    NVME_INTERNAL_DEV_ERROR);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, NVME_INTERNAL_DEV_ERROR);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, ext, sizeof(ext)), ==,
                    NVME_INTERNAL_DEV_ERROR);
    disk_free(d);

    conf.ns = ",write-cache=on";
    d = disk_new_conf(conf);
    g_assert_cmphex(zone_send(d, 0, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, ext, sizeof(ext)), ==, 0);
    disk_free(d);
}

static void test_zns50(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t ext[64] = { 0 };

    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, ext, sizeof(ext)), ==,
                    ERR(INVALID_FIELD));
    g_assert_cmphex(send_all(d, ACTION(SET_ZD_EXT)), ==, ERR(INVALID_FIELD));
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

static void test_zns51(Mode mode)
{
    Disk *d = disk_new_limited(mode);

    use_up_active(d);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, ERR(ZONE_TOO_MANY_OPEN));
    g_assert_cmpuint(count(d, NVME_ZONE_REPORT_CLOSED), ==, MAX_ACTIVE);
    g_assert_cmphex(zone_send(d, 4, ACTION(RESET)), ==, 0);
    g_assert_cmphex(zone_send(d, 5, ACTION(RESET)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(OPEN)), ==, 0);
    g_assert_cmpuint(count(d, NVME_ZONE_REPORT_EXPLICITLY_OPEN), ==,
                     MAX_OPEN);
    disk_free(d);
}

static void test_zns52(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .node = ",read-only=on" });
    uint8_t id[4096];
    size_t i;

    g_assert_cmphex(nvme_raw_identify(d->c, 0x00, 0, 1, id), ==, 0);
    g_assert_cmphex(id[99] & 1, ==, 1);
    for (i = 0; i < ARRAY_SIZE(all_actions); i++) {
        g_assert_cmphex(zone_send(d, 0, all_actions[i]), ==, WRITE_PROTECTED);
        g_assert_cmphex(send_all(d, all_actions[i]), ==, WRITE_PROTECTED);
    }
    g_assert_cmphex(write_at(d, 0, 1), ==, WRITE_PROTECTED);
    g_assert_cmphex(write_zeroes(d, 0, 1), ==, WRITE_PROTECTED);
    g_assert_cmphex(append_to(d, 0, 1), ==, WRITE_PROTECTED);
    g_assert_cmphex(copy(d, 0, ZONE(1), 1), ==, WRITE_PROTECTED);
    g_assert_cmphex(read_at(d, 0, 1), ==, 0);
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

/*
 * Zone Management Receive
 */

static void test_zns55(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t report[128];
    unsigned zra;

    g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, 0, true, report,
                                  sizeof(report)), ==, 0);
    for (zra = 1; zra < 256; zra++) {
        g_assert_cmphex(nvme_raw_recv(d->ns, 0, zra, 0, true, report,
                                      sizeof(report)), ==, ERR(INVALID_FIELD));
    }
    disk_free(d);
}

static void test_zns56(Mode mode)
{
    static const uint64_t counts[] = { 16, 9, 1, 1, 1, 2, 1, 1 };
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });
    uint8_t report[128];
    unsigned option;

    make_each(d);
    make(d, 5, STATE(FULL));
    for (option = 0; option < ARRAY_SIZE(counts); option++) {
        uint64_t expected = counts[option];

        if (mode != IMAGE && option >= NVME_ZONE_REPORT_READ_ONLY) {
            expected = 0;
        } else if (mode != IMAGE && option == NVME_ZONE_REPORT_EMPTY) {
            expected += 2;
        }
        g_assert_cmpuint(count(d, option), ==, expected);
    }
    for (option = 8; option < 256; option++) {
        if (option != 9) {
            g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, option, true, report,
                                          sizeof(report)), ==,
                            ERR(INVALID_FIELD));
        }
    }
    disk_free(d);
}

static void test_zns57(Mode mode)
{
    Disk *d = disk_new(mode);

    g_assert_cmpuint(count(d, 9), ==, 0);
    disk_free(d);
}

static void test_zns58(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t report[64 + 64 * NR_ZONES];
    unsigned i, j;

    make_each(d);
    memset(report, 0xff, sizeof(report));
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, 0, true, report,
                                  sizeof(report)), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, NR_ZONES);
    for (i = 8; i < 64; i++) {
        g_assert_cmphex(report[i], ==, 0);
    }
    for (i = 0; i < NR_ZONES; i++) {
        const uint8_t *z = &report[64 + 64 * i];

        g_assert_cmphex(z[0], ==, 2);
        g_assert_cmphex(z[1] & 0xf, ==, 0);
        g_assert_cmphex(ldq_le_p(z + 8), ==, CAP);
        g_assert_cmphex(ldq_le_p(z + 16), ==, ZONE(i));
        for (j = 4; j < 8; j++) {
            g_assert_cmphex(z[j], ==, 0);
        }
        for (j = 32; j < 64; j++) {
            g_assert_cmphex(z[j], ==, 0);
        }
    }
    disk_free(d);
}

static void test_zns59(Mode mode)
{
    Disk *d = disk_new(mode);
    NvmeRawZone zones[NR_ZONES];
    uint64_t nr;

    make(d, 2, STATE(FULL));
    make(d, 7, STATE(FULL));
    make(d, 9, STATE(FULL));
    g_assert_cmphex(nvme_raw_report(d->ns, ZONE(4) - 1, NVME_ZONE_REPORT_ALL,
                                    true, zones, NR_ZONES, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, NR_ZONES - 3);
    g_assert_cmphex(zones[0].zslba, ==, ZONE(3));
    g_assert_cmphex(zones[12].zslba, ==, ZONE(15));
    g_assert_cmphex(nvme_raw_report(d->ns, ZONE(2) + 1, NVME_ZONE_REPORT_FULL,
                                    true, zones, NR_ZONES, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 3);
    g_assert_cmphex(zones[0].zslba, ==, ZONE(2));
    g_assert_cmphex(zones[1].zslba, ==, ZONE(7));
    g_assert_cmphex(zones[2].zslba, ==, ZONE(9));
    g_assert_cmphex(nvme_raw_report(d->ns, ZONE(3), NVME_ZONE_REPORT_FULL,
                                    true, zones, NR_ZONES, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 2);
    disk_free(d);
}

static void test_zns60(Mode mode)
{
    Disk *d = disk_new(mode);
    NvmeRawZone zones[NR_ZONES];
    uint64_t nr;
    uint8_t report[124];

    g_assert_cmphex(nvme_raw_report(d->ns, ZONE(2), NVME_ZONE_REPORT_ALL,
                                    false, zones, 3, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, NR_ZONES - 2);
    g_assert_cmphex(nvme_raw_report(d->ns, ZONE(2), NVME_ZONE_REPORT_ALL,
                                    true, zones, 3, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 3);
    /* No entry fits */
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, 0, true, report,
                                  sizeof(report)), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, 0);
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, 0, false, report,
                                  sizeof(report)), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, NR_ZONES);
    disk_free(d);
}

static NvmeRawCmd recv_cmd(uint32_t dwords, bool partial)
{
    return (NvmeRawCmd) {
        .opcode = NVME_CMD_ZONE_MGMT_RECV,
        .nsid = 1,
        .cdw12 = dwords - 1,
        .cdw13 = partial << 16,
    };
}

static void test_zns61(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t report[512];
    unsigned i;

    /* Two and a half entries */
    nvme_raw_in_fill(d->c, 1, recv_cmd((64 + 160) / 4, true), report,
                     sizeof(report), 0xaa);
    g_assert_cmpuint(ldq_le_p(report), ==, 2);
    for (i = 64 + 128; i < 64 + 160; i++) {
        g_assert_cmphex(report[i], ==, 0);
    }
    /* Nothing of what is behind the buffer has been touched */
    for (i = 64 + 160; i < sizeof(report); i++) {
        g_assert_cmphex(report[i], ==, 0xaa);
    }
    disk_free(d);
}

static void test_zns62(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .ctrl = ",mdts=1" });
    uint8_t report[128];
    NvmeRawCmd cmd = recv_cmd(8192 / 4, true);

    g_assert_cmphex(nvme_raw_recv(d->ns, NSZE, 0, 0, true, report,
                                  sizeof(report)), ==, ERR(LBA_RANGE));
    g_assert_cmphex(nvme_raw_recv(d->ns, UINT64_MAX, 0, 0, true, report,
                                  sizeof(report)), ==, ERR(LBA_RANGE));
    cmd.prp1 = nvme_raw_alloc(d->m, 4 * 4096);
    cmd.prp2 = cmd.prp1 + 4096;
    g_assert_cmphex(exec(d, cmd), ==, 0);
    cmd.cdw12 = 8192 / 4;
    g_assert_cmphex(exec(d, cmd), ==, ERR(INVALID_FIELD));
    cmd.cdw12 = UINT32_MAX / 4 + 16;
    g_assert_cmphex(exec(d, cmd), ==, ERR(INVALID_FIELD));
    cmd.cdw12 = UINT32_MAX;
    g_assert_cmphex(exec(d, cmd), ==, ERR(INVALID_FIELD));
    nvme_raw_free(d->m, cmd.prp1);
    disk_free(d);
}

/* Without MDTS, what is asked for does not decide how much memory is used */
static void test_zns62_no_mdts(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .ctrl = ",mdts=0" });
    NvmeRawCmd cmd = recv_cmd(0, false);

    cmd.prp1 = nvme_raw_alloc(d->m, 4096);
    g_assert_cmphex(exec(d, cmd), !=, 0);
    cmd.cdw12 = UINT32_MAX / 4 - 1;
    g_assert_cmphex(exec(d, cmd), !=, 0);
    /* An SGL of 4 GiB - 64, of which a kilobyte is written */
    cmd.flags = NVME_PSDT_SGL_MPTR_CONTIGUOUS << 6;
    cmd.prp2 = UINT32_MAX - 63;
    cmd.cdw12 = (UINT32_MAX - 63) / 4 - 1;
    g_assert_cmphex(exec(d, cmd), ==, 0);
    nvme_raw_free(d->m, cmd.prp1);
    disk_free(d);
}

static void test_zns63(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t report[64];

    g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, 0, false, report, 64), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, NR_ZONES);
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, 0, 0, false, report, 60), ==,
                    ERR(INVALID_FIELD));
    disk_free(d);
}

static void test_zns64(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true,
                                       .node = ",read-only=on" });

    g_assert_cmpuint(count(d, NVME_ZONE_REPORT_ALL), ==, NR_ZONES);
    disk_free(d);
}

/* More zones than are read at a time */
static void test_report_many(Mode mode)
{
    const unsigned nr_zones = 5000;
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .node = ",size=327680000" });
    g_autofree NvmeRawZone *zones = g_new(NvmeRawZone, nr_zones);
    uint64_t nr;
    unsigned i;

    make(d, 4321, STATE(FULL));
    g_assert_cmphex(nvme_raw_report(d->ns, 0, NVME_ZONE_REPORT_ALL, true,
                                    zones, nr_zones, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, nr_zones);
    for (i = 0; i < nr_zones; i++) {
        g_assert_cmphex(zones[i].zslba, ==, ZONE(i));
        g_assert_cmphex(zones[i].state, ==,
                        i == 4321 ? STATE(FULL) : STATE(EMPTY));
    }
    g_assert_cmphex(nvme_raw_report(d->ns, 0, NVME_ZONE_REPORT_ALL, false,
                                    zones, 10, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, nr_zones);
    g_assert_cmphex(nvme_raw_report(d->ns, 0, NVME_ZONE_REPORT_FULL, true,
                                    zones, 10, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    g_assert_cmphex(zones[0].zslba, ==, ZONE(4321));
    disk_free(d);
}

/*
 * Zone Append
 */

static void test_zns65(Mode mode)
{
    Disk *d = disk_new(mode);
    uint64_t alba;
    uint8_t got[8 * BS];

    g_assert_cmphex(write_at(d, ZONE(15), 3), ==, 0);
    memset(d->buf, 0x77, 8 * BS);
    g_assert_cmphex(nvme_raw_append(d->ns, ZONE(15), 8, d->buf, &alba), ==, 0);
    g_assert_cmphex(alba, ==, ZONE(15) + 3);
    g_assert_cmphex(nvme_raw_read(d->ns, alba, 8, got), ==, 0);
    g_assert_cmpmem(got, sizeof(got), d->buf, sizeof(got));
    disk_free(d);
}

static void test_zns66(Mode mode)
{
    Disk *d = disk_new(mode);
    uint64_t i;

    for (i = 1; i < ZS; i += 13) {
        g_assert_cmphex(nvme_raw_append(d->ns, i, 1, d->buf, NULL), ==,
                        ERR(INVALID_FIELD));
    }
    g_assert_cmphex(nvme_raw_append(d->ns, NSZE, 1, d->buf, NULL), ==,
                    ERR(LBA_RANGE));
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

static void test_zns67(Mode mode)
{
    enum { NR = 24, NLB = 4 };
    Disk *d = disk_new(mode);
    uint64_t data[NR];
    uint16_t cids[NR];
    bool seen[NR] = { false };
    unsigned i;

    for (i = 0; i < NR; i++) {
        NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_ZONE_APPEND, ZONE(2),
                                     NLB);

        memset(d->buf, i + 1, NLB * BS);
        data[i] = nvme_raw_alloc(d->m, NLB * BS);
        nvme_raw_put(d->m, data[i], d->buf, NLB * BS);
        cmd.prp1 = data[i];
        cids[i] = nvme_raw_queue(d->c, 1 + i % 2, &cmd);
    }
    nvme_raw_ring(d->c, 1);
    nvme_raw_ring(d->c, 2);
    for (i = 0; i < NR; i++) {
        NvmeRawCpl cpl = nvme_raw_wait(d->c, 1 + i % 2, cids[i]);
        uint8_t got[NLB * BS], expected[NLB * BS];
        uint64_t slot = (cpl.dw0 - ZONE(2)) / NLB;

        g_assert_cmphex(cpl.status, ==, 0);
        g_assert_cmphex(cpl.dw1, ==, 0);
        g_assert_cmphex((cpl.dw0 - ZONE(2)) % NLB, ==, 0);
        g_assert_cmpuint(slot, <, NR);
        g_assert_false(seen[slot]);
        seen[slot] = true;
        memset(expected, i + 1, sizeof(expected));
        g_assert_cmphex(nvme_raw_read(d->ns, cpl.dw0, NLB, got), ==, 0);
        g_assert_cmpmem(got, sizeof(got), expected, sizeof(expected));
        nvme_raw_free(d->m, data[i]);
    }
    assert_zone(d, 2, STATE(FULL), 0);
    disk_free(d);
}

static void test_zns68(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });
    unsigned nlb = 64;

    g_assert_cmphex(append_to(d, 0, nlb), ==, 0);
    g_assert_cmphex(append_to(d, 0, CAP - nlb + 1), ==,
                    ERR(ZONE_BOUNDARY_ERROR));
    assert_zone(d, 0, STATE(IMPLICITLY_OPEN), nlb);
    g_assert_cmphex(append_to(d, 0, CAP - nlb), ==, 0);
    g_assert_cmphex(append_to(d, 0, 1), ==, ERR(ZONE_FULL));
    if (mode == IMAGE) {
        g_assert_cmphex(append_to(d, RDONLY_ZONE, 1), ==,
                        ERR(ZONE_READ_ONLY));
        g_assert_cmphex(append_to(d, OFFLINE_ZONE, 1), ==, ERR(ZONE_OFFLINE));
    }
    disk_free(d);
}

/* Memory that is no RAM is copied: here, the buffer is in many small parts */
static void test_append_parts(Mode mode)
{
    Disk *d = disk_new(mode);
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_ZONE_APPEND, 0, 24);
    uint64_t data = nvme_raw_alloc(d->m, 8 * 4096);
    uint8_t got[24 * BS];
    uint64_t list;
    unsigned i;

    for (i = 0; i < sizeof(got); i++) {
        d->buf[i] = i % 251;
    }
    nvme_raw_put(d->m, data + 4, d->buf, sizeof(got));
    list = nvme_raw_prps(d->c, &cmd, data + 4, sizeof(got));
    g_assert_cmphex(exec(d, cmd), ==, 0);
    cmd.opcode = NVME_CMD_WRITE;
    cmd.cdw10 = 24;
    g_assert_cmphex(exec(d, cmd), ==, 0);
    for (i = 0; i < 2; i++) {
        g_assert_cmphex(nvme_raw_read(d->ns, 24 * i, 24, got), ==, 0);
        g_assert_cmpmem(got, sizeof(got), d->buf, sizeof(got));
    }
    if (list) {
        nvme_raw_free(d->m, list);
    }
    nvme_raw_free(d->m, data);
    disk_free(d);
}

/*
 * NVM commands
 */

static void test_zns73(Mode mode)
{
    Disk *d = disk_new(mode);

    g_assert_cmphex(write_zeroes(d, 1, 1), ==, ERR(ZONE_INVALID_WRITE));
    g_assert_cmphex(copy(d, 1, ZONE(1), 1), ==, ERR(ZONE_INVALID_WRITE));
    g_assert_cmphex(write_zeroes(d, 0, CAP), ==, 0);
    assert_zone(d, 0, STATE(FULL), 0);
    g_assert_cmphex(write_zeroes(d, 0, 1), ==, ERR(ZONE_FULL));
    g_assert_cmphex(write_zeroes(d, CAP - 1, 8), ==, ERR(ZONE_FULL));
    g_assert_cmphex(copy(d, 0, ZONE(1), 1), ==, ERR(ZONE_FULL));
    disk_free(d);
}

static void test_zns74(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });

    g_assert_cmphex(read_at(d, ZS - 4, 8), ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(verify(d, ZS - 4, 8), ==, ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(compare(d, ZS - 4, 8), ==, ERR(ZONE_BOUNDARY_ERROR));
    if (mode == IMAGE) {
        g_assert_cmphex(read_at(d, ZONE(OFFLINE_ZONE), 1), ==,
                        ERR(ZONE_OFFLINE));
        g_assert_cmphex(verify(d, ZONE(OFFLINE_ZONE), 1), ==,
                        ERR(ZONE_OFFLINE));
        g_assert_cmphex(compare(d, ZONE(OFFLINE_ZONE), 1), ==,
                        ERR(ZONE_OFFLINE));
        g_assert_cmphex(verify(d, ZONE(RDONLY_ZONE), 1), ==, 0);
    }
    disk_free(d);
}

static void test_zns75(Mode mode)
{
    Disk *d = disk_new(mode);
    static const uint8_t zeroes[8 * BS];
    uint8_t got[8 * BS];

    g_assert_cmphex(write_at(d, 0, 4), ==, 0);
    g_assert_cmphex(nvme_raw_read(d->ns, 4, 8, got), ==, 0);
    g_assert_cmpmem(got, sizeof(got), zeroes, sizeof(zeroes));
    g_assert_cmphex(read_at(d, 0, ZS), ==, 0);
    disk_free(d);
}

static void test_zns76(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });
    Range ranges[] = { { 0, 4 }, { 8, 4 } };
    uint8_t got[8 * BS];
    unsigned i;

    for (i = 0; i < 16; i++) {
        memset(&d->buf[i * BS], i + 1, BS);
    }
    g_assert_cmphex(write_at(d, 0, 16), ==, 0);
    g_assert_cmphex(copy_cpl(d, ZONE(1), ranges, 2).status, ==, 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), 8);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), 8, got), ==, 0);
    g_assert_cmpmem(got, 4 * BS, d->buf, 4 * BS);
    g_assert_cmpmem(got + 4 * BS, 4 * BS, d->buf + 8 * BS, 4 * BS);
    if (mode == IMAGE) {
        g_assert_cmphex(copy(d, ZONE(1) + 8, ZONE(OFFLINE_ZONE), 1), ==,
                        ERR(ZONE_OFFLINE));
        g_assert_cmphex(copy(d, ZONE(RDONLY_ZONE), 0, 1), ==,
                        ERR(ZONE_READ_ONLY));
    }
    disk_free(d);
}

static void test_zns77(Mode mode)
{
    Disk *d = disk_new(mode);
    Range ranges[] = { { 0, 4 }, { ZS - 1, 2 } };
    NvmeRawCpl cpl;

    g_assert_cmphex(copy(d, ZONE(1), ZS - 1, 2), ==,
                    ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(copy(d, ZONE(1), 0, CAP + 1), ==,
                    ERR(ZONE_BOUNDARY_ERROR));
    g_assert_cmphex(copy(d, ZONE(1), NSZE, 1), ==, ERR(LBA_RANGE));
    g_assert_cmphex(copy(d, NSZE, 0, 1), ==, ERR(LBA_RANGE));
    g_assert_cmphex(copy(d, ZONE(1) | 1ull << 40, 0, 1), ==, ERR(LBA_RANGE));
    /* MSSRL is 128 */
    g_assert_cmphex(copy(d, ZONE(1), 0, 129), ==, ERR(CMD_SIZE_LIMIT));
    assert_all(d, STATE(EMPTY));
    /* Of several ranges, none is copied if one cannot be */
    cpl = copy_cpl(d, ZONE(1), ranges, 2);
    g_assert_cmphex(cpl.status, ==, ERR(ZONE_BOUNDARY_ERROR));
    ranges[1] = (Range) { 4, CAP - 3 };
    cpl = copy_cpl(d, ZONE(1), ranges, 2);
    g_assert_cmphex(cpl.status, ==, ERR(ZONE_BOUNDARY_ERROR));
    ranges[1] = (Range) { 4, 128 };
    cpl = copy_cpl(d, ZONE(1), ranges, 2);
    g_assert_cmphex(cpl.status, ==, ERR(CMD_SIZE_LIMIT));
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

static void test_zns78(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .special = true });
    uint8_t got[8 * BS];

    make_each(d);
    g_assert_cmphex(deallocate(d, 0, 10 * ZS), ==, 0);
    g_assert_cmphex(deallocate(d, ZONE(1) + 1, 2), ==, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), WRITTEN);
    assert_zone(d, 2, STATE(EXPLICITLY_OPEN), WRITTEN);
    assert_zone(d, 3, STATE(CLOSED), WRITTEN);
    assert_zone(d, 4, STATE(FULL), 0);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), WRITTEN, got), ==, 0);
    g_assert_cmpmem(got, WRITTEN * BS, d->buf, WRITTEN * BS);
    /* Beyond the end, it is passed over */
    g_assert_cmphex(deallocate(d, NSZE, 1), ==, 0);
    g_assert_cmphex(deallocate(d, UINT64_MAX, UINT32_MAX), ==, 0);
    if (mode == IMAGE) {
        g_assert_cmphex(deallocate(d, ZONE(OFFLINE_ZONE), 1), ==,
                        ERR(ZONE_OFFLINE));
        g_assert_cmphex(deallocate(d, 0, NSZE), ==, ERR(ZONE_OFFLINE));
        g_assert_cmphex(deallocate(d, 0, ZONE(OFFLINE_ZONE)), ==, 0);
    }
    disk_free(d);
}

static void test_zns79(Mode mode)
{
    Disk *d = disk_new(mode);

    make_each(d);
    g_assert_cmphex(exec(d, (NvmeRawCmd) { .opcode = NVME_CMD_FLUSH,
                                           .nsid = 1 }), ==, 0);
    g_assert_cmphex(exec(d, (NvmeRawCmd) { .opcode = NVME_CMD_FLUSH,
                                           .nsid = UINT32_MAX }), ==, 0);
    disk_free(d);
}

/* Writes that follow each other can be in flight together */
static void test_zns80(Mode mode)
{
    enum { NR = 12 };
    Disk *d = disk_new(mode);
    uint64_t data = nvme_raw_alloc(d->m, 4096);
    uint16_t cids[NR];
    unsigned i;

    for (i = 0; i < NR; i++) {
        NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_WRITE, i * 8, 8);

        cmd.prp1 = data;
        cids[i] = nvme_raw_queue(d->c, 1, &cmd);
    }
    nvme_raw_ring(d->c, 1);
    for (i = 0; i < NR; i++) {
        g_assert_cmphex(nvme_raw_wait(d->c, 1, cids[i]).status, ==, 0);
    }
    assert_zone(d, 0, STATE(FULL), 0);
    nvme_raw_free(d->m, data);
    disk_free(d);
}

/*
 * Descriptor extensions
 */

static Disk *disk_new_ext(Mode mode)
{
    return disk_new_conf((Config) { .mode = mode, .ext = EXT,
                                    .max_open = MAX_OPEN,
                                    .max_active = MAX_ACTIVE });
}

/* The extension that an extended report has for zone @n, and its attributes */
static uint8_t get_ext(Disk *d, unsigned n, uint8_t *ext)
{
    uint8_t report[64 + 64 + EXT];

    g_assert_cmphex(nvme_raw_recv(d->ns, ZONE(n), NVME_ZONE_REPORT_EXTENDED,
                                  0, true, report, sizeof(report)), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, 1);
    g_assert_cmphex(ldq_le_p(&report[64 + 16]), ==, ZONE(n));
    memcpy(ext, &report[128], EXT);
    return report[64 + 2];
}

static void assert_ext(Disk *d, unsigned n, const void *expected)
{
    uint8_t ext[EXT];

    if (expected) {
        g_assert_cmphex(get_ext(d, n, ext), ==, NVME_ZA_ZD_EXT_VALID);
        g_assert_cmpmem(ext, EXT, expected, EXT);
    } else {
        g_assert_cmphex(get_ext(d, n, ext), ==, 0);
    }
}

static void test_zns83(Mode mode)
{
    Disk *d = disk_new_ext(mode);
    uint8_t page[4096];
    unsigned i;

    id_ns_zoned(d, page);
    g_assert_cmphex(page[2816 + 8], ==, EXT / 64);
    for (i = 0; i < EXT; i++) {
        d->buf[i] = i + 1;
    }
    assert_ext(d, 3, NULL);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(3), d->buf, EXT), ==, 0);
    assert_zone(d, 3, STATE(CLOSED), 0);
    assert_ext(d, 3, d->buf);
    assert_ext(d, 2, NULL);
    assert_ext(d, 4, NULL);
    disk_free(d);
}

static void test_zns84(Mode mode)
{
    Disk *d = disk_new_ext(mode);
    uint8_t first[EXT], second[EXT];
    NvmeRawCmd bad;
    uint64_t data;

    memset(first, 1, EXT);
    memset(second, 2, EXT);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(3), first, EXT), ==, 0);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(3), second, EXT), ==, BF);
    assert_ext(d, 3, first);
    assert_zone(d, 3, STATE(CLOSED), 0);

    /* The second PRP must be the start of a page */
    data = nvme_raw_alloc(d->m, 2 * 4096);
    bad = nvme_raw_zone_cmd(d->ns, 0, ACTION(SET_ZD_EXT), 0);
    bad.prp1 = data + 4096 - 64;
    bad.prp2 = data + 4;
    g_assert_cmphex(exec(d, bad), !=, 0);
    assert_zone(d, 0, STATE(EMPTY), 0);
    assert_ext(d, 0, NULL);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 1, second, EXT), ==,
                    ERR(INVALID_FIELD));
    g_assert_cmphex(nvme_raw_set_ext(d->ns, NSZE, second, EXT), ==,
                    ERR(LBA_RANGE));

    g_assert_cmphex(zone_send(d, 3, ACTION(RESET)), ==, 0);
    use_up_active(d);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, 0, second, EXT), ==,
                    ERR(ZONE_TOO_MANY_ACTIVE));
    assert_zone(d, 0, STATE(EMPTY), 0);
    assert_ext(d, 0, NULL);
    nvme_raw_free(d->m, data);
    disk_free(d);
}

static void test_zns85(Mode mode)
{
    Disk *d = disk_new_ext(mode);
    uint8_t ext[EXT];

    memset(ext, 0x42, EXT);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(3), ext, EXT), ==, 0);
    g_assert_cmphex(write_at(d, ZONE(3), 1), ==, 0);
    assert_ext(d, 3, ext);
    g_assert_cmphex(zone_send(d, 3, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(zone_send(d, 3, ACTION(CLOSE)), ==, 0);
    assert_ext(d, 3, ext);
    g_assert_cmphex(zone_send(d, 3, ACTION(FINISH)), ==, 0);
    assert_ext(d, 3, ext);
    nvme_raw_shutdown(d->c);
    nvme_raw_disable(d->c);
    nvme_raw_enable(d->c, NULL);
    assert_ext(d, 3, ext);
    g_assert_cmphex(zone_send(d, 3, ACTION(RESET)), ==, 0);
    assert_zone(d, 3, STATE(EMPTY), 0);
    assert_ext(d, 3, NULL);
    disk_free(d);
}

/* Shutdown does not empty a closed zone that has an extension (ZNS-101) */
static void test_zns85_shutdown(Mode mode)
{
    Disk *d = disk_new_ext(mode);
    uint8_t ext[EXT];

    memset(ext, 0x42, EXT);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(3), ext, EXT), ==, 0);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(5), ext, EXT), ==, 0);
    g_assert_cmphex(zone_send(d, 5, ACTION(OPEN)), ==, 0);
    nvme_raw_shutdown(d->c);
    nvme_raw_disable(d->c);
    nvme_raw_enable(d->c, NULL);
    assert_zone(d, 3, STATE(CLOSED), 0);
    assert_zone(d, 5, STATE(CLOSED), 0);
    assert_ext(d, 3, ext);
    assert_ext(d, 5, ext);
    if (mode == IMAGE) {
        disk_quit(d);
        disk_boot(d);
        assert_zone(d, 3, STATE(CLOSED), 0);
        assert_ext(d, 3, ext);
    }
    disk_free(d);
}

static void test_zns86(Mode mode)
{
    Disk *d = disk_new_ext(mode);
    const size_t entry = 64 + EXT;
    uint8_t report[64 + NR_ZONES * (64 + EXT)];
    static const uint8_t zeroes[EXT];
    unsigned i;

    for (i = 0; i < 3; i++) {
        memset(d->buf, 0x10 + i, EXT);
        g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(2 + i), d->buf, EXT), ==,
                        0);
    }
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, NVME_ZONE_REPORT_EXTENDED, 0, true,
                                  report, sizeof(report)), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, NR_ZONES);
    for (i = 0; i < NR_ZONES; i++) {
        const uint8_t *z = &report[64 + i * entry];
        bool has = i >= 2 && i < 5;

        g_assert_cmphex(ldq_le_p(z + 16), ==, ZONE(i));
        g_assert_cmphex(z[2], ==, has ? NVME_ZA_ZD_EXT_VALID : 0);
        memset(d->buf, 0x10 + i - 2, EXT);
        g_assert_cmpmem(z + 64, EXT, has ? d->buf : zeroes, EXT);
    }
    /* Only whole entries, and the count of all of them */
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, NVME_ZONE_REPORT_EXTENDED, 0, true,
                                  report, 64 + 2 * entry - 4), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, 1);
    g_assert_cmphex(nvme_raw_recv(d->ns, 0, NVME_ZONE_REPORT_EXTENDED,
                                  NVME_ZONE_REPORT_CLOSED, false,
                                  report, 64 + entry), ==, 0);
    g_assert_cmpuint(ldq_le_p(report), ==, 3);
    g_assert_cmphex(ldq_le_p(&report[64 + 16]), ==, ZONE(2));
    disk_free(d);
}

/* No resources for random writes */
static void test_zns88(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];

    id_ns_zoned(d, page);
    g_assert_cmphex(lduw_le_p(&page[2]) & 2, ==, 0);
    g_assert_cmphex(nvme_raw_zone_send(d->ns, 0, ACTION(OPEN),
                                       NVME_ZSFLAG_ZRWA_ALLOC), ==,
                    ERR(INVALID_ZONE_OP));
    assert_all(d, STATE(EMPTY));
    disk_free(d);
}

/* No events, no recommendations */
static void test_zns97(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x01, 0, 0, page), ==, 0);
    g_assert_cmphex(ldl_le_p(&page[92]) & (1u << 27), ==, 0);
    g_assert_cmphex(nvme_raw_log(d->c, 0xbf, 0, 1, page, sizeof(page)), !=, 0);
    disk_free(d);
}

static void test_zns100(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t page[4096];
    unsigned i;

    id_ns_zoned(d, page);
    for (i = 12; i < 44; i++) {
        g_assert_cmphex(page[i], ==, 0);
    }
    make_each(d);
    for (i = 0; i < NR_ZONES; i++) {
        NvmeRawZone z = nvme_raw_zone(d->ns, ZONE(i));

        g_assert_cmphex(z.attrs, ==, 0);
        g_assert_cmphex(z.info, ==, 0);
    }
    disk_free(d);
}

/*
 * Reset, shutdown, restart
 */

static void assert_shut_down(Disk *d)
{
    assert_zone(d, 0, STATE(EMPTY), 0);
    assert_zone(d, 1, STATE(CLOSED), WRITTEN);
    assert_zone(d, 2, STATE(CLOSED), WRITTEN);
    assert_zone(d, 3, STATE(CLOSED), WRITTEN);
    assert_zone(d, 4, STATE(FULL), 0);
    assert_zone(d, 5, STATE(EMPTY), 0);
}

static void test_zns101(Mode mode)
{
    Disk *d = disk_new(mode);

    make_each(d);
    g_assert_cmphex(zone_send(d, 5, ACTION(OPEN)), ==, 0);
    nvme_raw_shutdown(d->c);
    nvme_raw_disable(d->c);
    nvme_raw_enable(d->c, NULL);
    assert_shut_down(d);
    disk_free(d);
}

static void test_zns102(Mode mode)
{
    NvmeRawNs *other;
    Disk *d = disk_new_shared(mode, &other);

    make_each(d);
    g_assert_cmphex(zone_send(d, 5, ACTION(OPEN)), ==, 0);
    nvme_raw_shutdown(other->ctrl);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), WRITTEN);
    assert_zone(d, 2, STATE(EXPLICITLY_OPEN), WRITTEN);
    assert_zone(d, 5, STATE(EXPLICITLY_OPEN), 0);
    nvme_raw_shutdown(d->c);
    nvme_raw_disable(d->c);
    nvme_raw_enable(d->c, NULL);
    assert_shut_down(d);
    g_free(other);
    disk_free(d);
}

static void test_zns103(Mode mode)
{
    Disk *d = disk_new(mode);

    make_each(d);
    nvme_raw_disable(d->c);
    nvme_raw_enable(d->c, NULL);
    assert_zone(d, 1, STATE(IMPLICITLY_OPEN), WRITTEN);
    assert_zone(d, 2, STATE(EXPLICITLY_OPEN), WRITTEN);
    assert_zone(d, 3, STATE(CLOSED), WRITTEN);
    assert_zone(d, 4, STATE(FULL), 0);
    disk_free(d);
}

static void test_zns104(Mode mode)
{
    Disk *d = disk_new(mode);
    uint8_t got[WRITTEN * BS];

    make_each(d);
    disk_quit(d);
    disk_boot(d);
    assert_shut_down(d);
    g_assert_cmphex(nvme_raw_read(d->ns, ZONE(1), WRITTEN, got), ==, 0);
    g_assert_cmpmem(got, sizeof(got), d->buf, sizeof(got));
    g_assert_cmphex(write_at(d, ZONE(1) + WRITTEN, 1), ==, 0);
    disk_free(d);
}

static void test_zns105(Mode mode)
{
    Disk *d = disk_new(mode);
    NvmeRawCmd cmd = { .opcode = NVME_ADM_CMD_FORMAT_NVM, .nsid = 1 };

    make(d, 0, STATE(CLOSED));
    g_assert_cmphex(nvme_raw_exec(d->c, 0, &cmd).status & 0x7ff, ==,
                    NVME_INVALID_FORMAT);
    assert_zone(d, 0, STATE(CLOSED), WRITTEN);
    disk_free(d);
}

/* Requests that are on their way when the controller is reset */
static void test_reset_in_flight(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .max_open = MAX_OPEN,
                                       .more = "", });
    uint64_t data = nvme_raw_alloc(d->m, 64 * KiB);
    unsigned round, i;

    for (round = 0; round < 8; round++) {
        for (i = 0; i < 8; i++) {
            NvmeRawCmd cmds[] = {
                nvme_raw_rw(d->ns, NVME_CMD_ZONE_APPEND, ZONE(i), 8),
                nvme_raw_rw(d->ns, NVME_CMD_WRITE_ZEROES, ZONE(i), 8),
                nvme_raw_rw(d->ns, NVME_CMD_WRITE_ZEROES, ZONE(i), ZS),
                recv_cmd(1024, false),
                nvme_raw_zone_cmd(d->ns, 0, ACTION(CLOSE), ALL),
            };
            size_t j;

            for (j = 0; j < ARRAY_SIZE(cmds); j++) {
                cmds[j].prp1 = data;
                nvme_raw_queue(d->c, 1, &cmds[j]);
            }
        }
        nvme_raw_ring(d->c, 1);
        nvme_raw_disable(d->c);
        nvme_raw_enable(d->c, NULL);
    }
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    assert_all(d, STATE(EMPTY));
    nvme_raw_free(d->m, data);
    disk_free(d);
}

/* Likewise, with a drive that takes its time, and a queue that is deleted */
static void test_delete_queue(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .node = ",latency-ns=20000000" });
    NvmeRawCmd del = { .opcode = NVME_ADM_CMD_DELETE_SQ, .cdw10 = 1 };
    uint64_t data = nvme_raw_alloc(d->m, 64 * KiB);
    unsigned i;

    for (i = 0; i < 8; i++) {
        NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_ZONE_APPEND, ZONE(i), 8);
        NvmeRawCmd zeroes = nvme_raw_rw(d->ns, NVME_CMD_WRITE_ZEROES,
                                        ZONE(i) + 90, 8);
        NvmeRawCmd recv = recv_cmd(1024, false);

        cmd.prp1 = recv.prp1 = data;
        nvme_raw_queue(d->c, 1, &cmd);
        nvme_raw_queue(d->c, 1, &zeroes);
        nvme_raw_queue(d->c, 1, &recv);
    }
    nvme_raw_ring(d->c, 1);
    g_assert_cmphex(nvme_raw_exec(d->c, 0, &del).status, ==, 0);
    d->ns->qid = 2;
    for (i = 0; i < 8; i++) {
        NvmeRawZone z = nvme_raw_zone(d->ns, ZONE(i));

        g_assert_true(z.wp == ZONE(i) || z.wp == ZONE(i) + 8);
    }
    nvme_raw_free(d->m, data);
    disk_free(d);
}

/* When the machine is stopped, a report of several steps ends first */
static void test_stop_in_flight(Mode mode)
{
    Disk *d = disk_new_conf((Config) {
        .mode = mode, .node = ",latency-ns=200000000,size=20971520" });
    NvmeRawCmd recv = recv_cmd(1024, false);
    NvmeRawCmd bad = { .opcode = 0x7f, .nsid = 1 };
    uint64_t nr;
    uint16_t cid;

    recv.prp1 = nvme_raw_alloc(d->m, NVME_RAW_PAGE);
    cid = nvme_raw_submit(d->c, 1, &recv);
    /* It is answered at once, after the other one has been begun */
    g_assert_cmphex(nvme_raw_exec(d->c, 1, &bad).status, !=, 0);
    nvme_raw_get(d->m, recv.prp1, &nr, sizeof(nr));
    g_assert_cmpuint(nr, ==, 0);
    qtest_qmp_assert_success(nvme_raw_qts(d->m), "{'execute': 'stop'}");
    nvme_raw_get(d->m, recv.prp1, &nr, sizeof(nr));
    g_assert_cmpuint(le64_to_cpu(nr), ==, 20971520 / (64 * KiB));
    qtest_qmp_assert_success(nvme_raw_qts(d->m), "{'execute': 'cont'}");
    g_assert_cmphex(nvme_raw_wait(d->c, 1, cid).status, ==, 0);
    nvme_raw_free(d->m, recv.prp1);
    disk_free(d);
}

/*
 * Errors of the drive, and what is counted
 */

static void test_io_error(Mode mode)
{
    Disk *d = disk_new_conf((Config) {
        .mode = mode,
        .errors = "inject-error.0.event=none,inject-error.0.errno=5,"
                  "inject-error.0.once=on,inject-error.0.iotype=write",
    });

    g_assert_cmphex(write_at(d, 0, 8), ==, NVME_WRITE_FAULT);
    assert_zone(d, 0, STATE(EMPTY), 0);
    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    disk_free(d);
}

/*
 * FUA, on a file that no flush of reaches the medium from the second one on.
 * The first one is part of the first change of an image.
 */
static void test_zns71(Mode mode)
{
    static const uint8_t opcodes[] = {
        NVME_CMD_WRITE, NVME_CMD_ZONE_APPEND, NVME_CMD_WRITE_ZEROES,
        NVME_CMD_COPY,
    };
    Disk *d = disk_new_conf((Config) {
        .mode = mode,
        .errors = "set-state.0.event=flush_to_disk,set-state.0.new_state=2,"
                  "inject-error.0.event=flush_to_disk,inject-error.0.state=2,"
                  "inject-error.0.iotype=flush",
    });
    NvmeRawCmd flush = { .opcode = NVME_CMD_FLUSH, .nsid = 1 };
    NvmeCopySourceRangeFormat0 range = { .slba = cpu_to_le64(ZONE(9)) };
    unsigned i;

    memcpy(d->buf, &range, sizeof(range));
    g_assert_cmphex(write_at(d, ZONE(9), 1), ==, 0);
    g_assert_cmphex(exec(d, flush), ==, NVME_WRITE_FAULT);
    for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
        bool append = opcodes[i] == NVME_CMD_ZONE_APPEND;
        NvmeRawCmd cmd = nvme_raw_rw(d->ns, opcodes[i], ZONE(i), 1);

        g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, d->buf, BS).status, ==, 0);
        cmd.cdw10 += !append;
        cmd.cdw12 |= NVME_RW_FUA << 16;
        g_assert_cmphex(nvme_raw_out(d->c, 1, cmd, d->buf, BS).status, ==,
                        opcodes[i] == NVME_CMD_COPY ? NVME_INTERNAL_DEV_ERROR
                                                    : NVME_WRITE_FAULT);
        assert_zone(d, i, STATE(IMPLICITLY_OPEN), 2);
    }
    disk_free(d);
}

/* Of the only device.  @rsp is to be unreferenced. */
static const QDict *block_stats(Disk *d, QDict **rsp)
{
    const QListEntry *e;

    *rsp = qtest_qmp(nvme_raw_qts(d->m), "{'execute': 'query-blockstats'}");
    e = qlist_first(qdict_get_qlist(*rsp, "return"));
    return qdict_get_qdict(qobject_to(QDict, qlist_entry_obj(e)), "stats");
}

static void test_accounting(Mode mode)
{
    Disk *d = disk_new(mode);
    QDict *rsp;
    const QDict *stats;
    uint8_t smart[512];

    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    g_assert_cmphex(append_to(d, 0, 16), ==, 0);
    g_assert_cmphex(append_to(d, 0, 8), ==, 0);
    g_assert_cmphex(write_at(d, 1, 8), ==, ERR(ZONE_INVALID_WRITE));
    g_assert_cmphex(nvme_raw_append(d->ns, 1, 1, d->buf, NULL), ==,
                    ERR(INVALID_FIELD));
    stats = block_stats(d, &rsp);
    g_assert_cmpint(qdict_get_int(stats, "wr_operations"), ==, 1);
    g_assert_cmpint(qdict_get_int(stats, "wr_bytes"), ==, 8 * BS);
    g_assert_cmpint(qdict_get_int(stats, "zone_append_operations"), ==, 2);
    g_assert_cmpint(qdict_get_int(stats, "zone_append_bytes"), ==, 24 * BS);
    g_assert_cmpint(qdict_get_int(stats, "invalid_wr_operations"), ==, 1);
    g_assert_cmpint(qdict_get_int(stats, "failed_wr_operations"), ==, 0);
    qobject_unref(rsp);
    g_assert_cmphex(nvme_raw_log(d->c, 0x02, 0, UINT32_MAX, smart,
                                 sizeof(smart)), ==, 0);
    /* Host write commands */
    g_assert_cmpuint(ldq_le_p(&smart[80]), ==, 3);
    disk_free(d);
}

/* Operations are counted apart from one another, and by how they ended */
static void test_zone_stats(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode, .ext = 64 });
    QTestState *qts = nvme_raw_qts(d->m);
    uint8_t ext[64] = { 1 };

    g_assert_cmphex(zone_send(d, 0, ACTION(OPEN)), ==, 0);
    g_assert_cmphex(nvme_raw_zone_send(d->ns, NSZE, ACTION(OPEN), 0), ==,
                    ERR(LBA_RANGE));
    g_assert_cmphex(zone_send(d, 0, ACTION(CLOSE)), ==, 0);
    g_assert_cmphex(zone_send(d, 1, ACTION(CLOSE)), ==,
                    ERR(ZONE_INVAL_TRANSITION));
    g_assert_cmphex(zone_send(d, 0, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==, 0);
    g_assert_cmphex(send_all(d, ACTION(RESET)), ==, 0);
    g_assert_cmphex(nvme_raw_zone_send(d->ns, 1, ACTION(RESET), 0), ==,
                    ERR(INVALID_FIELD));
    g_assert_cmphex(zone_send(d, 0, ACTION(OFFLINE)), ==,
                    ERR(ZONE_INVAL_TRANSITION));
    g_assert_cmphex(send_all(d, ACTION(OFFLINE)), ==, 0);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(2), ext, sizeof(ext)), ==, 0);
    g_assert_cmphex(nvme_raw_set_ext(d->ns, ZONE(2), ext, sizeof(ext)), ==,
                    ERR(ZONE_INVAL_TRANSITION));
    g_assert_cmphex(append_to(d, 3, 8), ==, 0);
    zoned_assert_stats(qts, "open", 1, 0, 1);
    zoned_assert_stats(qts, "close", 1, 0, 1);
    zoned_assert_stats(qts, "finish", 1, 0, 0);
    zoned_assert_stats(qts, "reset", 2, 0, 1);
    zoned_assert_stats(qts, "offline", 1, 0, 1);
    zoned_assert_stats(qts, "set-extension", 1, 0, 1);
    zoned_assert_stats(qts, "append", 1, 0, 0);
    disk_free(d);
}

static void test_failed_stats(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode });

    disk_quit(d);
    d->m = nvme_raw_boot("-blockdev driver=null-co,node-name=disk,"
                         "size=" SIZE ",zoned.zone-size=64K "
                         "-blockdev driver=blkdebug,node-name=debug,image=disk,"
                         "inject-error.0.event=zone_reset,"
                         "inject-error.0.errno=5,inject-error.0.once=on "
                         "-device nvme,serial=zns "
                         "-device nvme-ns,nsid=1,drive=debug");
    d->c = nvme_raw_ctrl(d->m, 0);
    nvme_raw_enable(d->c, NULL);
    d->ns = nvme_raw_ns(d->c, 1);
    g_assert_cmphex(zone_send(d, 0, ACTION(FINISH)), ==, 0);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==,
                    NVME_INTERNAL_DEV_ERROR);
    g_assert_cmphex(zone_send(d, 0, ACTION(RESET)), ==, 0);
    zoned_assert_stats(nvme_raw_qts(d->m), "finish", 1, 0, 0);
    zoned_assert_stats(nvme_raw_qts(d->m), "reset", 1, 1, 0);
    disk_free(d);
}

/*
 * Zones that are lost while the host looks on, and what management is told
 */

#define SECOND_NS 1000000000

static void set_state(Disk *d, unsigned zone, const char *state)
{
    zoned_set_state(nvme_raw_qts(d->m), "disk", ZONE(zone) * BS, state);
}

static void assert_lost(Disk *d, unsigned first, unsigned nr,
                        const char *state)
{
    zoned_assert_lost(nvme_raw_qts(d->m), ZONE(first) * BS, ZONE(nr) * BS, nr,
                      state);
}

static void test_lost_zones(Mode mode)
{
    static const uint8_t actions[] = {
        ACTION(OPEN), ACTION(CLOSE), ACTION(FINISH), ACTION(RESET),
    };
    Disk *d = disk_new(mode);
    unsigned i;

    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    set_state(d, 0, "read-only");
    assert_lost(d, 0, 1, "read-only");
    assert_zone(d, 0, STATE(READ_ONLY), 0);
    g_assert_cmphex(read_at(d, 0, 8), ==, 0);
    g_assert_cmphex(write_at(d, 8, 8), ==, ERR(ZONE_READ_ONLY));
    g_assert_cmphex(append_to(d, 0, 8), ==, ERR(ZONE_READ_ONLY));
    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        g_assert_cmphex(zone_send(d, 0, actions[i]), ==,
                        ERR(ZONE_INVAL_TRANSITION));
    }
    set_state(d, 0, "offline");
    assert_zone(d, 0, STATE(OFFLINE), 0);
    g_assert_cmphex(read_at(d, 0, 8), ==, ERR(ZONE_OFFLINE));
    g_assert_cmphex(write_at(d, 8, 8), ==, ERR(ZONE_OFFLINE));
    g_assert_cmphex(append_to(d, 0, 8), ==, ERR(ZONE_OFFLINE));
    for (i = 0; i < ARRAY_SIZE(actions); i++) {
        g_assert_cmphex(zone_send(d, 0, actions[i]), ==,
                        ERR(ZONE_INVAL_TRANSITION));
    }
    set_state(d, 0, "full");
    g_assert_cmphex(write_at(d, 0, 8), ==, ERR(ZONE_FULL));
    set_state(d, 0, "empty");
    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    disk_free(d);
}

/* The host puts zones offline: management is told runs of them */
static void test_lost_by_host(Mode mode)
{
    Disk *d = disk_new(mode);
    QTestState *qts = nvme_raw_qts(d->m);
    unsigned i;

    set_state(d, 9, "read-only");
    assert_lost(d, 9, 1, "read-only");
    for (i = 3; i <= 6; i++) {
        set_state(d, i, "read-only");
    }
    qtest_clock_step(qts, SECOND_NS);
    assert_lost(d, 3, 4, "read-only");
    g_assert_cmphex(send_all(d, ACTION(OFFLINE)), ==, 0);
    qtest_clock_step(qts, SECOND_NS);
    assert_lost(d, 3, 4, "offline");
    assert_lost(d, 9, 1, "offline");
    /* These are offline already */
    g_assert_cmphex(send_all(d, ACTION(OFFLINE)), ==, 0);
    g_assert_cmphex(zone_send(d, 3, ACTION(OFFLINE)), ==, 0);
    set_state(d, 12, "read-only");
    g_assert_cmphex(zone_send(d, 12, ACTION(OFFLINE)), ==, 0);
    qtest_clock_step(qts, SECOND_NS);
    assert_lost(d, 12, 1, "read-only");
    assert_lost(d, 12, 1, "offline");
    disk_free(d);
}

/*
 * Options
 */

#define NODE(zoned) \
    "-blockdev driver=null-co,node-name=disk,size=1048576," zoned " "
#define HM NODE("zoned.zone-size=64K,zoned.zone-capacity=48K," \
                "zoned.max-open-zones=3,zoned.max-active-zones=5")
#define HM_EXT NODE("zoned.zone-size=64K,zoned.descriptor-extension-size=64")
#define NS(options) "-device nvme,serial=s -device nvme-ns,drive=disk" options

static const struct {
    const char *options;
    const char *message;        /* NULL if they are accepted */
} option_cases[] = {
    { HM NS(""), NULL },
    { HM NS(",zoned=on,zoned.zone_size=64K,zoned.zone_capacity=48K,"
            "zoned.max_open=3,zoned.max_active=5"), NULL },
    { HM NS(",zoned.zone_size=128M"), "zoned.zone_size=134217728" },
    { HM NS(",zoned.zone_capacity=64K"), "zoned.zone_capacity=65536" },
    { HM NS(",zoned.max_open=4"), "zoned.max_open=4" },
    { HM NS(",zoned.max_active=6"), "zoned.max_active=6" },
    { HM NS(",zoned.descr_ext_size=64"), "zoned.descr_ext_size=64" },
    { HM_EXT NS(",zoned.descr_ext_size=64"), NULL },
    { HM_EXT NS(",zoned.descr_ext_size=128"), "zoned.descr_ext_size=128" },
    { HM NS(",zoned.numzrwa=1"), "zoned.numzrwa" },
    { HM NS(",zoned.zrwas=4K"), "zoned.zrwas" },
    { HM NS(",zoned.zrwafg=4K"), "zoned.zrwafg" },
    { HM NS(",ms=8"), "ms is not possible" },
    { HM NS(",pi=1"), "pi is not possible" },
    { HM NS(",pil=1"), "pil is not possible" },
    { HM NS(",pif=2"), "pif is not possible" },
    { HM NS(",mset=1"), "mset is not possible" },
    { HM NS(",logical_block_size=4096"), NULL },
    { HM NS(",logical_block_size=32768"),
      "logical_block_size=32768" },
    { NODE("zoned.zone-size=64K,zoned.write-granularity=4096")
      NS(",logical_block_size=512"), "logical_block_size=512" },
    { NODE("zoned.zone-size=64K,zoned.write-granularity=4096") NS(""), NULL },
    { NODE("zoned.zone-size=64K,zoned.conventional-zones=1") NS(""),
      "conventional" },
    { "-blockdev driver=null-co,node-name=disk,size=1000448,"
      "zoned.zone-size=64K " NS(""), "one size" },
    { "-blockdev driver=raw,node-name=disk,offset=65536,file.driver=null-co,"
      "file.size=1048576,file.zoned.zone-size=64K,"
      "file.zoned.conventional-zones=1 " NS(""), NULL },
    { NODE("zoned.zone-size=64K,zoned.max-append-size=4096") NS(""),
      "appends" },
    { NODE("zoned.zone-size=64K,zoned.max-append-size=0") NS(""), "appends" },
    /* Linux does not take it, others may */
    { "-blockdev driver=null-co,node-name=disk,size=983040,"
      "zoned.zone-size=48K " NS(""), NULL },
    { NODE("zoned.zone-size=64K,zoned.model=host-aware") NS(""), NULL },
    { NODE("zoned.zone-size=64K,zoned.model=host-aware") NS(",zoned=on"),
      "host-aware" },
    { HM "-device nvme,serial=s,drive=disk", "Host-managed" },
};

static void test_options(Mode mode)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(option_cases); i++) {
        g_autofree char *said = nvme_raw_refused("%s",
                                                 option_cases[i].options);

        g_test_message("%s: %s", option_cases[i].options, str(said));
        if (option_cases[i].message) {
            g_assert_nonnull(said);
            g_assert_nonnull(strstr(said, option_cases[i].message));
        } else {
            g_assert_null(said);
        }
    }
}

/* A host-aware drive is a namespace like others */
static void test_host_aware(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .node = ",zoned.model=host-aware,"
                                               "zoned.zone-capacity=64K" });
    uint8_t page[4096];

    g_assert_cmphex(nvme_raw_identify(d->c, 0x05, 2, 1, page), ==,
                    ERR(INVALID_FIELD));
    g_assert_cmphex(write_at(d, 1000, 8), ==, 0);
    g_assert_cmphex(write_at(d, 16, 8), ==, 0);
    disk_free(d);
}

/* Logical blocks that are larger than the write granularity */
static void test_large_blocks(Mode mode)
{
    Disk *d = disk_new_conf((Config) { .mode = mode,
                                       .ns = ",logical_block_size=4096" });
    NvmeRawZone z;

    g_assert_cmphex(nvme_raw_write(d->ns, 16, 1, d->buf), ==, 0);
    z = nvme_raw_zone(d->ns, 16);
    g_assert_cmphex(z.zslba, ==, 16);
    g_assert_cmphex(z.cap, ==, 12);
    g_assert_cmphex(z.wp, ==, 17);
    g_assert_cmphex(nvme_raw_append(d->ns, 16, 1, d->buf, NULL), ==, 0);
    z = nvme_raw_zone(d->ns, 16);
    g_assert_cmphex(z.wp, ==, 18);
    disk_free(d);
}

/* A flush that is cancelled is no error to be logged */
static void test_log(Mode mode)
{
    NvmeRawCmd flush = { .opcode = NVME_CMD_FLUSH, .nsid = 1 };
    g_autofree char *path = NULL, *redirect = NULL, *log = NULL;
    Disk *d;
    int fd = g_file_open_tmp("qtest-zns-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    redirect = g_strdup_printf("2>%s", path);
    d = disk_new_conf((Config) { .mode = mode, .node = ",latency-ns=20000000",
                                 .more = redirect });
    g_assert_cmphex(write_at(d, 0, 8), ==, 0);
    nvme_raw_submit(d->c, 2, &flush);
    nvme_raw_delete_queue(d->c, 2);
    nvme_raw_submit(d->c, 1, &flush);
    nvme_raw_disable(d->c);
    disk_free(d);
    g_assert_true(g_file_get_contents(path, &log, NULL, NULL));
    g_assert_null(strstr(log, "failed"));
    unlink(path);
}

/* A segment that is nothing but the address of the next one, itself */
static void test_sgl_loop(Mode mode)
{
    Disk *d = disk_new(mode);
    uint64_t page = nvme_raw_alloc(d->m, NVME_RAW_PAGE);
    NvmeSglDescriptor segment = {
        .addr = cpu_to_le64(page),
        .len = cpu_to_le32(sizeof(segment)),
        .type = NVME_SGL_DESCR_TYPE_SEGMENT << 4,
    };
    NvmeRawCmd cmd = nvme_raw_rw(d->ns, NVME_CMD_WRITE, 0, 1);

    nvme_raw_put(d->m, page, &segment, sizeof(segment));
    cmd.flags = NVME_PSDT_SGL_MPTR_CONTIGUOUS << 6;
    cmd.prp1 = page;
    cmd.prp2 = sizeof(segment) | (uint64_t)segment.type << 56;
    g_assert_cmphex(exec(d, cmd), ==, ERR(INVALID_NUM_SGL_DESCRS));
    nvme_raw_free(d->m, page);
    disk_free(d);
}

static const struct {
    const char *name;
    void (*fn)(Mode mode);
    unsigned modes;
} tests[] = {
    { "ZNS-1", test_zns1, ANY },
    { "ZNS-2", test_zns2, ANY },
    { "ZNS-3", test_zns3, ANY },
    { "ZNS-4", test_zns4, ANY },
    { "ZNS-5", test_zns5, ANY },
    { "ZNS-6", test_zns6, ANY },
    { "ZNS-7", test_zns7, ANY },
    { "ZNS-8", test_zns8, ANY },
    { "ZNS-9", test_zns9, ANY },
    { "ZNS-10", test_zns10, ANY },
    { "ZNS-11", test_zns11, ANY },
    { "ZNS-12", test_zns12, ANY },
    { "ZNS-13", test_zns13, ANY },
    { "ZNS-14", test_zns14, ANY },
    { "ZNS-15", test_zns15, ANY },
    { "ZNS-16", test_zns16, ANY },
    { "ZNS-17", test_zns17, ANY },
    { "ZNS-17/node", test_zns17_node, NULL_DISK },
    { "ZNS-17/attachment", test_zns17_attachment, BLOCK },
    { "ZNS-19", test_zns19, ANY },
    { "ZNS-20", test_zns20, ANY },
    { "ZNS-21", test_zns21, ANY },
    { "ZNS-22", test_zns22, ANY },
    { "ZNS-23", test_zns23, ANY },
    { "ZNS-24", test_zns24, ANY },
    { "ZNS-26", test_zns26, ANY },
    { "ZNS-27", test_zns27, BLOCK },
    { "ZNS-28", test_zns28, ANY },
    { "ZNS-29", test_zns29, IMAGE },
    { "ZNS-32", test_zns32, ANY },
    { "ZNS-33", test_zns33, ANY },
    { "ZNS-34", test_zns34, ANY },
    { "ZNS-35", test_zns35, ANY },
    { "ZNS-36", test_zns36, ANY },
    { "ZNS-37", test_zns37, ANY },
    { "ZNS-38", test_zns38, ANY },
    { "ZNS-40", test_zns40, ANY },
    { "ZNS-41", test_zns41, ANY },
    { "ZNS-42", test_zns42, ANY },
    { "ZNS-43", test_zns43, ANY },
    { "ZNS-44", test_zns44, ANY },
    { "ZNS-45", test_zns45, ANY },
    { "ZNS-46", test_zns46, ANY },
    { "ZNS-47", test_zns47, ANY },
    { "ZNS-48", test_zns48, ANY },
    { "ZNS-48/special", test_zns48_special, IMAGE },
    { "ZNS-48/single", test_zns48_single, NULL_DISK },
    { "ZNS-49", test_zns49, ANY },
    { "ZNS-49/flush", test_zns49_flush, BLOCK },
    { "ZNS-50", test_zns50, ANY },
    { "ZNS-51", test_zns51, ANY },
    { "ZNS-52", test_zns52, BLOCK },
    { "ZNS-55", test_zns55, ANY },
    { "ZNS-56", test_zns56, ANY },
    { "ZNS-57", test_zns57, ANY },
    { "ZNS-58", test_zns58, ANY },
    { "ZNS-59", test_zns59, ANY },
    { "ZNS-60", test_zns60, ANY },
    { "ZNS-61", test_zns61, ANY },
    { "ZNS-62", test_zns62, ANY },
    { "ZNS-62/no-mdts", test_zns62_no_mdts, NULL_DISK },
    { "ZNS-63", test_zns63, ANY },
    { "ZNS-64", test_zns64, ANY },
    { "report-many", test_report_many, NULL_DISK },
    { "ZNS-65", test_zns65, ANY },
    { "ZNS-66", test_zns66, ANY },
    { "ZNS-67", test_zns67, ANY },
    { "ZNS-68", test_zns68, ANY },
    { "append-parts", test_append_parts, ANY },
    { "ZNS-71", test_zns71, IMAGE },
    { "ZNS-73", test_zns73, ANY },
    { "ZNS-74", test_zns74, ANY },
    { "ZNS-75", test_zns75, ANY },
    { "ZNS-76", test_zns76, ANY },
    { "ZNS-77", test_zns77, ANY },
    { "ZNS-78", test_zns78, ANY },
    { "ZNS-79", test_zns79, ANY },
    { "ZNS-80", test_zns80, ANY },
    { "ZNS-83", test_zns83, ANY },
    { "ZNS-84", test_zns84, ANY },
    { "ZNS-85", test_zns85, ANY },
    { "ZNS-85/shutdown", test_zns85_shutdown, ANY },
    { "ZNS-86", test_zns86, ANY },
    { "ZNS-88", test_zns88, ANY },
    { "ZNS-97", test_zns97, ANY },
    { "ZNS-100", test_zns100, ANY },
    { "ZNS-101", test_zns101, ANY },
    { "ZNS-102", test_zns102, ANY },
    { "ZNS-103", test_zns103, ANY },
    { "ZNS-104", test_zns104, IMAGE },
    { "ZNS-105", test_zns105, ANY },
    { "reset-in-flight", test_reset_in_flight, ANY },
    { "stop-in-flight", test_stop_in_flight, NULL_DISK },
    { "delete-queue", test_delete_queue, NULL_DISK },
    { "io-error", test_io_error, NULL_DISK },
    { "write-cache", test_write_cache, NULL_DISK },
    { "accounting", test_accounting, BLOCK },
    { "accounting/zones", test_zone_stats, BLOCK },
    { "accounting/failed", test_failed_stats, NULL_DISK },
    { "lost-zones", test_lost_zones, BLOCK },
    { "lost-zones/by-host", test_lost_by_host, BLOCK },
    { "options", test_options, NULL_DISK },
    { "host-aware", test_host_aware, NULL_DISK },
    { "large-blocks", test_large_blocks, NULL_DISK },
    { "log", test_log, NULL_DISK | RAM },
    { "sgl-loop", test_sgl_loop, ANY },
};

typedef struct Run {
    Mode mode;
    void (*fn)(Mode mode);
} Run;

static void run(const void *data)
{
    const Run *r = data;

    r->fn(r->mode);
}

int main(int argc, char **argv)
{
    static const struct {
        Mode mode;
        const char *name;
    } modes[] = { { NULL_DISK, "null" }, { IMAGE, "image" }, { RAM, "ram" } };
    size_t i, m;

    g_test_init(&argc, &argv, NULL);
    for (m = 0; m < ARRAY_SIZE(modes); m++) {
        for (i = 0; i < ARRAY_SIZE(tests); i++) {
            g_autofree char *path = g_strdup_printf("/nvme/zns/%s/%s",
                                                    modes[m].name,
                                                    tests[i].name);
            Run *r;

            if (!(tests[i].modes & modes[m].mode)) {
                continue;
            }
            r = g_new(Run, 1);
            *r = (Run) { .mode = modes[m].mode, .fn = tests[i].fn };
            qtest_add_data_func_full(path, r, run, g_free);
        }
    }
    return g_test_run();
}
