/*
 * QTest testcase for zoned NVMe namespaces: random commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All opcodes are sent, with fields that often make sense and sometimes do
 * not, alone and many at a time; controllers are reset and queues deleted
 * meanwhile.  A command that is refused, and was alone, must have changed
 * nothing.  Other than that, what must be true of zones at any time is looked
 * at now and then, QEMU must not end, and must not need more and more memory.
 *
 * The environment variable NVME_ZNS_FUZZ is the number of commands for each
 * disk, and NVME_ZNS_SEED starts another sequence of them.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "nvme-raw.h"

/* Of each disk */
#define MAX_ZONES 16

#define DEFAULT_COMMANDS 5000

/* The end of guest memory */
#define MEMORY_END (64 * MiB)
#define MEMORY_OPTION "-m 64"
/* Nothing that matters lies in the first MiB */
#define LOW_MEMORY (64 * KiB)
/* Where devices are */
#define PCI_HOLE 0xe0000000ull

/* Addresses are in the buffer.  No data gets further than the slack. */
#define BUF_SIZE (256 * KiB)
#define BUF_SLACK (2 * MiB)
#define MAX_BATCH 32

/* Queues of the driver.  Those behind are created and deleted at random. */
#define QUEUES 3
/* The one that is deleted together with its commands */
#define VICTIM 3
#define DEPTH 64

/* Descriptors of the page with addresses */
#define NR_WILD 64

/* More than this is a leak.  The sanitizer keeps what is freed. */
#ifdef QEMU_SANITIZE_ADDRESS
#define MAX_GROWTH (300 * MiB)
#else
#define MAX_GROWTH (24 * MiB)
#endif

#define STATE(name) NVME_ZONE_STATE_##name
#define ACTION(name) NVME_ZONE_ACTION_##name
#define ERR(name) (NVME_##name | NVME_DNR)

/* A report of all zones, with extensions if there are any */
typedef struct Report {
    uint8_t data[NVME_RAW_PAGE];
} Report;

typedef struct Fuzz {
    NvmeRawNs *ns;
    NvmeRawCtrl *c;
    NvmeRaw *m;
    GRand *rand;

    uint64_t size;              /* of a zone, in blocks */
    uint64_t cap;
    unsigned nr_zones;
    unsigned max_open, max_active;
    unsigned ext;               /* bytes of a descriptor extension */
    unsigned zrwas;             /* random write areas */
    bool metadata;

    uint64_t buf;               /* data, never what holds addresses */
    uint64_t list;              /* PRPs of all of buf */
    uint64_t wild;              /* a page of PRPs or SGL descriptors */
    uint64_t report_buf;
    Report report;              /* the last one */
    NvmeRawZone zones[MAX_ZONES];

    NvmeRawCmd last;            /* the last command */
    uint64_t good, failed;      /* commands that were alone */
    unsigned nr_events;         /* requests for events that may be pending */
    bool need_reset;            /* the driver's queues do not work any more */
} Fuzz;

static uint32_t below(Fuzz *f, uint32_t n)
{
    return g_rand_int(f->rand) % n;
}

static bool one_in(Fuzz *f, uint32_t n)
{
    return !below(f, n);
}

static uint64_t random64(Fuzz *f)
{
    return (uint64_t)g_rand_int(f->rand) << 32 | g_rand_int(f->rand);
}

/*
 * Zones
 */

static uint64_t zone_start(Fuzz *f, unsigned n)
{
    return n * f->size;
}

/* Read all zones */
static void look(Fuzz *f)
{
    NvmeRawCmd cmd = {
        .opcode = NVME_CMD_ZONE_MGMT_RECV,
        .nsid = f->ns->nsid,
        .cdw12 = NVME_RAW_PAGE / 4 - 1,
        .cdw13 = f->ext ? NVME_ZONE_REPORT_EXTENDED : NVME_ZONE_REPORT,
        .prp1 = f->report_buf,
    };
    size_t entry = sizeof(NvmeZoneDescr) + f->ext;
    unsigned i;

    g_assert_cmphex(nvme_raw_exec(f->c, 1, &cmd).status, ==, 0);
    nvme_raw_get(f->m, f->report_buf, f->report.data,
                 sizeof(NvmeZoneReportHeader) + f->nr_zones * entry);
    g_assert_cmpuint(ldq_le_p(f->report.data), ==, f->nr_zones);
    for (i = 0; i < f->nr_zones; i++) {
        nvme_raw_parse_zone(f->report.data + sizeof(NvmeZoneReportHeader) +
                            i * entry, &f->zones[i]);
    }
}

static bool is_dead(const NvmeRawZone *z)
{
    return z->state == STATE(READ_ONLY) || z->state == STATE(OFFLINE);
}

/* What must be true of all zones at any time */
static void assert_zones(Fuzz *f)
{
    unsigned i, open = 0, active = 0;

    for (i = 0; i < f->nr_zones; i++) {
        const NvmeRawZone *z = &f->zones[i];

        g_assert_cmphex(z->type, ==, NVME_ZONE_TYPE_SEQ_WRITE);
        g_assert_cmphex(z->zslba, ==, zone_start(f, i));
        g_assert_cmphex(z->cap, ==, f->cap);
        switch (z->state) {
        case STATE(EMPTY):
            g_assert_cmphex(z->wp, ==, zone_start(f, i));
            g_assert_cmphex(z->attrs, ==, 0);
            break;
        case STATE(IMPLICITLY_OPEN):
        case STATE(EXPLICITLY_OPEN):
            open++;
            /* fallthrough */
        case STATE(CLOSED):
            active++;
            g_assert_cmphex(z->wp, >=, zone_start(f, i));
            g_assert_cmphex(z->wp, <, zone_start(f, i) + f->cap);
            break;
        default:
            g_assert_true(z->state == STATE(FULL) || is_dead(z));
        }
    }
    g_assert_cmpuint(open, <=, f->max_open);
    g_assert_cmpuint(active, <=, f->max_active);
}

/* Reports of zones in one state count what there is */
static void assert_reports(Fuzz *f)
{
    static const uint8_t states[] = {
        [NVME_ZONE_REPORT_EMPTY] = STATE(EMPTY),
        [NVME_ZONE_REPORT_IMPLICITLY_OPEN] = STATE(IMPLICITLY_OPEN),
        [NVME_ZONE_REPORT_EXPLICITLY_OPEN] = STATE(EXPLICITLY_OPEN),
        [NVME_ZONE_REPORT_CLOSED] = STATE(CLOSED),
        [NVME_ZONE_REPORT_FULL] = STATE(FULL),
        [NVME_ZONE_REPORT_READ_ONLY] = STATE(READ_ONLY),
        [NVME_ZONE_REPORT_OFFLINE] = STATE(OFFLINE),
    };
    unsigned option, i;

    for (option = 1; option < ARRAY_SIZE(states); option++) {
        unsigned expected = 0;
        uint64_t nr;

        for (i = 0; i < f->nr_zones; i++) {
            expected += f->zones[i].state == states[option];
        }
        g_assert_cmphex(nvme_raw_report(f->ns, 0, option, false, NULL, 0, &nr),
                        ==, 0);
        g_assert_cmpuint(nr, ==, expected);
    }
}

static uint16_t zone_send(Fuzz *f, unsigned n, uint8_t action, uint8_t flags)
{
    return nvme_raw_zone_send(f->ns, zone_start(f, n), action, flags);
}

static uint16_t write_zeroes(Fuzz *f, uint64_t slba, uint32_t nlb)
{
    NvmeRawCmd cmd = nvme_raw_rw(f->ns, NVME_CMD_WRITE_ZEROES, slba, nlb);

    return nvme_raw_exec(f->c, 1, &cmd).status;
}

/* With nothing in flight, the next write goes where the report says */
static void assert_writable(Fuzz *f, unsigned n)
{
    NvmeRawZone z = nvme_raw_zone(f->ns, zone_start(f, n));
    uint16_t status;

    if (z.state != STATE(FULL) && !is_dead(&z)) {
        status = write_zeroes(f, z.wp, 1);
        if (status != ERR(ZONE_TOO_MANY_ACTIVE) &&
            status != ERR(ZONE_TOO_MANY_OPEN)) {
            g_assert_cmphex(status, ==, 0);
        }
    }
}

static void reset_all(Fuzz *f)
{
    g_assert_cmphex(zone_send(f, 0, ACTION(RESET), NVME_ZSFLAG_SELECT_ALL), ==,
                    0);
}

/* All zones and resources are there in the end */
static void assert_whole(Fuzz *f)
{
    unsigned i;

    reset_all(f);
    for (i = 0; i < f->zrwas; i++) {
        g_assert_cmphex(zone_send(f, i, ACTION(OPEN), NVME_ZSFLAG_ZRWA_ALLOC),
                        ==, 0);
    }
    if (f->zrwas) {
        g_assert_cmphex(zone_send(f, i, ACTION(OPEN), NVME_ZSFLAG_ZRWA_ALLOC),
                        ==, ERR(NOZRWA));
    }
    reset_all(f);
    look(f);
    for (i = 0; i < f->nr_zones; i++) {
        if (!is_dead(&f->zones[i])) {
            g_assert_cmphex(f->zones[i].state, ==, STATE(EMPTY));
            g_assert_cmphex(write_zeroes(f, zone_start(f, i), f->cap), ==, 0);
            g_assert_cmphex(nvme_raw_zone(f->ns, zone_start(f, i)).state, ==,
                            STATE(FULL));
        }
    }
    reset_all(f);
    for (i = 0; i < f->max_open; i++) {
        g_assert_cmphex(zone_send(f, i, ACTION(OPEN), 0), ==, 0);
    }
    if (i < f->nr_zones) {
        g_assert_cmphex(zone_send(f, i, ACTION(OPEN), 0), ==,
                        ERR(ZONE_TOO_MANY_OPEN));
    }
}

/*
 * Addresses
 */

/* One that a device may read and write, or that is no memory at all */
static uint64_t wild_addr(Fuzz *f)
{
    uint64_t addr;

    switch (below(f, 16)) {
    case 0:
        addr = below(f, LOW_MEMORY);
        break;
    case 1:
        addr = MEMORY_END - 16 * KiB + below(f, 32 * KiB);
        break;
    case 2:
        addr = PCI_HOLE + below(f, 64 * MiB);
        break;
    case 3:
        addr = (uint64_t)g_rand_int(f->rand) << 32;
        break;
    case 4:
        addr = UINT64_MAX - below(f, 64 * KiB);
        break;
    default:
        addr = f->buf + below(f, BUF_SIZE);
    }
    return one_in(f, 4) ? addr : addr & ~3ull;
}

/* PRPs, or SGL descriptors, or commands that use them: it is all the same */
static void fill_wild(Fuzz *f)
{
    static const uint8_t types[] = {
        NVME_SGL_DESCR_TYPE_DATA_BLOCK, NVME_SGL_DESCR_TYPE_DATA_BLOCK,
        NVME_SGL_DESCR_TYPE_DATA_BLOCK, NVME_SGL_DESCR_TYPE_DATA_BLOCK,
        NVME_SGL_DESCR_TYPE_DATA_BLOCK, NVME_SGL_DESCR_TYPE_BIT_BUCKET,
        NVME_SGL_DESCR_TYPE_SEGMENT, NVME_SGL_DESCR_TYPE_LAST_SEGMENT,
        NVME_SGL_DESCR_TYPE_KEYED_DATA_BLOCK,
        NVME_SGL_DESCR_TYPE_VENDOR_SPECIFIC,
    };
    NvmeSglDescriptor d[NR_WILD] = { 0 };
    unsigned i;

    for (i = 0; i < NR_WILD; i++) {
        uint8_t type = types[below(f, ARRAY_SIZE(types))];
        uint64_t addr = wild_addr(f);

        if (one_in(f, 2)) {
            addr &= ~(uint64_t)(NVME_RAW_PAGE - 1);
        }
        /* Taken for a PRP, a length must not be an address of memory */
        d[i].len = cpu_to_le32(one_in(f, 16) ? g_rand_int(f->rand) >> 13 | 4
                               : below(f, 17) * f->ns->lbasz / 4);
        if (type == NVME_SGL_DESCR_TYPE_SEGMENT ||
            type == NVME_SGL_DESCR_TYPE_LAST_SEGMENT) {
            addr = f->wild + below(f, NR_WILD) * 16;
            d[i].len = cpu_to_le32((1 + below(f, 4)) * 16);
        }
        d[i].addr = cpu_to_le64(addr);
        d[i].type = type << 4 | (one_in(f, 16) ? below(f, 16) : 0);
    }
    QEMU_BUILD_BUG_ON(sizeof(d) > NVME_RAW_PAGE);
    nvme_raw_put(f->m, f->wild, d, sizeof(d));
}

static void random_sgl(Fuzz *f, NvmeRawCmd *cmd)
{
    uint64_t type = below(f, 4);
    uint64_t len = (1 + below(f, 8)) * f->ns->lbasz;

    cmd->flags = one_in(f, 8) ? NVME_PSDT_SGL_MPTR_SGL << 6
                              : NVME_PSDT_SGL_MPTR_CONTIGUOUS << 6;
    cmd->prp1 = one_in(f, 8) ? wild_addr(f) : f->buf;
    if (type >= NVME_SGL_DESCR_TYPE_SEGMENT) {
        len = (1 + below(f, 16)) * 16 + one_in(f, 16);
        cmd->prp1 = f->wild + below(f, NR_WILD - 16) * 16;
    }
    cmd->prp2 = len | type << 60;
    if (cmd->flags == NVME_PSDT_SGL_MPTR_SGL << 6) {
        cmd->mptr = f->wild + below(f, NR_WILD) * 16;
    }
}

/* Where the data are, or not */
static void random_dptr(Fuzz *f, NvmeRawCmd *cmd)
{
    cmd->prp1 = f->buf + (one_in(f, 16) ? below(f, BUF_SIZE) : 0);
    cmd->prp2 = one_in(f, 16) ? f->buf + below(f, BUF_SIZE) : f->list;
    cmd->mptr = f->buf + below(f, BUF_SIZE);
    if (one_in(f, 16)) {
        cmd->prp1 = wild_addr(f);
    }
    if (one_in(f, 16)) {
        cmd->prp2 = one_in(f, 2) ? wild_addr(f) : f->wild + below(f, 16) * 8;
    }
    if (one_in(f, 32)) {
        cmd->mptr = wild_addr(f);
    }
    if (one_in(f, 8)) {
        random_sgl(f, cmd);
    }
    if (one_in(f, 32)) {
        cmd->flags = g_rand_int(f->rand);
    }
}

/*
 * Commands
 */

/* A place where something may happen */
static uint64_t random_lba(Fuzz *f)
{
    const NvmeRawZone *z = &f->zones[below(f, f->nr_zones)];

    switch (below(f, 32)) {
    case 0:
        return random64(f);
    case 1:
        return zone_start(f, f->nr_zones) - 2 + below(f, 4);
    case 2 ... 4:
        return below(f, f->nr_zones * f->size);
    case 5:
        return z->zslba + f->cap - 2 + below(f, 4);
    case 6 ... 18:
        return z->zslba;
    default:
        return z->wp < zone_start(f, f->nr_zones) ? z->wp : z->zslba;
    }
}

static NvmeRawCmd random_io(Fuzz *f)
{
    static const uint8_t opcodes[] = {
        NVME_CMD_FLUSH, NVME_CMD_WRITE, NVME_CMD_WRITE, NVME_CMD_READ,
        NVME_CMD_COMPARE, NVME_CMD_WRITE_ZEROES, NVME_CMD_DSM, NVME_CMD_VERIFY,
        NVME_CMD_COPY, NVME_CMD_ZONE_APPEND, NVME_CMD_ZONE_APPEND,
        NVME_CMD_ZONE_MGMT_SEND, NVME_CMD_ZONE_MGMT_SEND,
        NVME_CMD_ZONE_MGMT_SEND, NVME_CMD_ZONE_MGMT_RECV,
    };
    static const uint8_t actions[] = {
        ACTION(CLOSE), ACTION(FINISH), ACTION(OPEN), ACTION(OPEN),
        ACTION(RESET), ACTION(OFFLINE), ACTION(SET_ZD_EXT), ACTION(ZRWA_FLUSH),
    };
    NvmeRawCmd cmd = {
        .opcode = opcodes[below(f, ARRAY_SIZE(opcodes))],
        .nsid = f->ns->nsid,
    };
    uint64_t lba = random_lba(f);

    cmd.cdw10 = lba;
    cmd.cdw11 = lba >> 32;
    switch (cmd.opcode) {
    case NVME_CMD_ZONE_MGMT_SEND:
        cmd.cdw13 = actions[below(f, ARRAY_SIZE(actions))];
        cmd.cdw13 |= one_in(f, 16) << 8 | one_in(f, 4) << 9;
        break;
    case NVME_CMD_ZONE_MGMT_RECV:
        cmd.cdw12 = one_in(f, 8) ? g_rand_int(f->rand) >> below(f, 32)
                                 : below(f, 2048);
        cmd.cdw13 = below(f, 3) | below(f, 11) << 8 | below(f, 2) << 16;
        break;
    case NVME_CMD_DSM:
        cmd.cdw10 = one_in(f, 8) ? below(f, 256) : below(f, 4);
        cmd.cdw11 = 4;
        break;
    case NVME_CMD_COPY:
        cmd.cdw12 = below(f, 3) | (g_rand_int(f->rand) & 1u << 30);
        break;
    default:
        cmd.cdw12 = below(f, one_in(f, 8) ? 256 : 16) |
            (g_rand_int(f->rand) & (1u << 30 | 1u << 29));
        cmd.cdw14 = lba;
    }
    return cmd;
}

/* A page for a queue.  What is taken for commands must have wild addresses. */
static uint64_t queue_page(Fuzz *f, uint8_t opcode)
{
    if (opcode == NVME_ADM_CMD_CREATE_SQ) {
        return one_in(f, 8) ? PCI_HOLE : f->wild;
    }
    return wild_addr(f) & ~(uint64_t)(NVME_RAW_PAGE - 1);
}

/* The driver's own queues are left alone */
static uint16_t wild_qid(Fuzz *f)
{
    return one_in(f, 8) ? QUEUES + 1 + below(f, 0xffff - QUEUES)
                        : QUEUES + 1 + below(f, 4);
}

/* What is behind a page of memory must not be taken for a queue */
static uint16_t queue_size(Fuzz *f)
{
    return one_in(f, 8) ? 0x8000 + below(f, 0x8000) : below(f, 64);
}

static void random_queue(Fuzz *f, NvmeRawCmd *cmd)
{
    cmd->prp1 = queue_page(f, cmd->opcode);
    cmd->cdw10 = queue_size(f) << 16 | wild_qid(f);
    cmd->cdw11 = (cmd->opcode == NVME_ADM_CMD_CREATE_SQ ? wild_qid(f)
                                                         : below(f, 2)) << 16 |
        below(f, 4) | !one_in(f, 8);
}

static NvmeRawCmd random_admin(Fuzz *f)
{
    static const uint8_t opcodes[] = {
        NVME_ADM_CMD_IDENTIFY, NVME_ADM_CMD_IDENTIFY,
        NVME_ADM_CMD_GET_LOG_PAGE, NVME_ADM_CMD_GET_LOG_PAGE,
        NVME_ADM_CMD_GET_FEATURES, NVME_ADM_CMD_SET_FEATURES,
        NVME_ADM_CMD_ABORT, NVME_ADM_CMD_FORMAT_NVM,
        NVME_ADM_CMD_CREATE_CQ, NVME_ADM_CMD_CREATE_SQ,
        NVME_ADM_CMD_DELETE_SQ, NVME_ADM_CMD_DELETE_CQ,
        NVME_ADM_CMD_ASYNC_EV_REQ, NVME_ADM_CMD_NS_ATTACHMENT,
        NVME_ADM_CMD_VIRT_MNGMT, NVME_ADM_CMD_DBBUF_CONFIG,
    };
    static const uint8_t disruptive[] = {
        NVME_ADM_CMD_NS_ATTACHMENT, NVME_ADM_CMD_VIRT_MNGMT,
        NVME_ADM_CMD_DBBUF_CONFIG, NVME_ADM_CMD_FORMAT_NVM,
    };
    NvmeRawCmd cmd = {
        .opcode = opcodes[below(f, ARRAY_SIZE(opcodes))],
        .nsid = below(f, 3),
        .cdw10 = below(f, 32),
        .cdw11 = below(f, 3) << 24 | below(f, 16),
    };

    if (memchr(disruptive, cmd.opcode, sizeof(disruptive)) && !one_in(f, 8)) {
        cmd.opcode = NVME_ADM_CMD_IDENTIFY;
    }
    return cmd;
}

static uint32_t *random_dword(Fuzz *f, NvmeRawCmd *cmd)
{
    uint32_t *dwords[] = {
        &cmd->nsid, &cmd->cdw2, &cmd->cdw3, &cmd->cdw10, &cmd->cdw11,
        &cmd->cdw12, &cmd->cdw13, &cmd->cdw14, &cmd->cdw15,
    };

    return dwords[below(f, ARRAY_SIZE(dwords))];
}

static NvmeRawCmd random_cmd(Fuzz *f, uint16_t qid)
{
    NvmeRawCmd cmd = qid ? random_io(f) : random_admin(f);

    random_dptr(f, &cmd);
    if (one_in(f, 8)) {
        *random_dword(f, &cmd) ^= 1u << below(f, 32);
    }
    if (one_in(f, 32)) {
        *random_dword(f, &cmd) = g_rand_int(f->rand);
    }
    if (one_in(f, 64)) {
        cmd.opcode = g_rand_int(f->rand);
    }
    if (!qid) {
        switch (cmd.opcode) {
        case NVME_ADM_CMD_CREATE_CQ:
        case NVME_ADM_CMD_CREATE_SQ:
        case NVME_ADM_CMD_DELETE_SQ:
        case NVME_ADM_CMD_DELETE_CQ:
            random_queue(f, &cmd);
            break;
        case NVME_ADM_CMD_DBBUF_CONFIG:
            cmd.prp1 &= ~(uint64_t)(NVME_RAW_PAGE - 1);
            cmd.prp2 = cmd.prp1;
            /* fallthrough */
        case NVME_ADM_CMD_NS_ATTACHMENT:
        case NVME_ADM_CMD_VIRT_MNGMT:
            f->need_reset = true;
            break;
        default:
            break;
        }
    }
    return cmd;
}

/* Ranges of Copy and Dataset Management, a list of controllers, data */
static void fill_buf(Fuzz *f)
{
    NvmeCopySourceRangeFormat0 ranges[4] = { 0 };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(ranges); i++) {
        ranges[i].slba = cpu_to_le64(random_lba(f));
        ranges[i].nlb = cpu_to_le16(below(f, one_in(f, 8) ? 256 : 16));
        /* A list of controller 0, and the length of a DSM range */
        stl_le_p(&ranges[i], 1);
        stl_le_p((uint8_t *)&ranges[i] + 4, below(f, 256));
    }
    nvme_raw_put(f->m, f->buf, ranges, sizeof(ranges));
}

/* Doorbells of queues that the driver does not use */
static void ring_wild(Fuzz *f)
{
    unsigned qid = QUEUES + 1 + below(f, one_in(f, 8) ? 0x100 : 4);

    nvme_raw_poke(f->c, 0x1000 + qid * 8 + below(f, 2) * 4,
                  below(f, one_in(f, 8) ? 0x10000 : 16));
}

/*
 * The driver
 */

static void start(Fuzz *f)
{
    NvmeRawConfig config = NVME_RAW_CONFIG_DEFAULT;

    config.queues = QUEUES;
    config.depth = DEPTH;
    nvme_raw_enable(f->c, &config);
    f->nr_events = 0;
}

static void reset(Fuzz *f)
{
    if (one_in(f, 2)) {
        nvme_raw_shutdown(f->c);
    }
    nvme_raw_disable(f->c);
    start(f);
}

/* The namespace may have been detached */
static void attach(Fuzz *f)
{
    NvmeRawCmd cmd = {
        .opcode = NVME_ADM_CMD_NS_ATTACHMENT,
        .nsid = f->ns->nsid,
    };
    uint16_t list[2] = { cpu_to_le16(1), 0 };

    nvme_raw_out(f->c, 0, cmd, list, sizeof(list));
}

/* Returns false if the command will not end */
static bool submit(Fuzz *f, uint16_t qid, uint16_t *cid)
{
    NvmeRawCmd cmd = random_cmd(f, qid);

    f->last = cmd;
    if (!qid && cmd.opcode == NVME_ADM_CMD_ASYNC_EV_REQ) {
        if (f->nr_events < 3) {
            f->nr_events++;
            nvme_raw_queue(f->c, qid, &cmd);
        }
        return false;
    }
    *cid = nvme_raw_queue(f->c, qid, &cmd);
    return true;
}

/* Send a command and wait for it.  Returns its status. */
static uint16_t send_one(Fuzz *f)
{
    uint16_t qid = one_in(f, 16) ? 0 : 1;
    uint16_t cid, status;
    bool ends = submit(f, qid, &cid);

    nvme_raw_ring(f->c, qid);
    if (!ends || f->need_reset) {
        return 0;
    }
    status = nvme_raw_wait(f->c, qid, cid).status;
    f->good += !status;
    f->failed += !!status;
    return status;
}

/* Returns how many were sent */
static unsigned send_many(Fuzz *f)
{
    uint16_t cids[MAX_BATCH], qids[MAX_BATCH];
    unsigned i, nr, sent = 2 + below(f, MAX_BATCH - 2);

    for (i = 0, nr = 0; i < sent; i++) {
        qids[nr] = one_in(f, 16) ? 0 : 1 + below(f, QUEUES);
        nr += submit(f, qids[nr], &cids[nr]);
    }
    for (i = 0; i <= QUEUES; i++) {
        nvme_raw_ring(f->c, i);
    }
    if (f->need_reset || one_in(f, 16)) {
        f->need_reset = true;
        return sent;
    }
    if (one_in(f, 16)) {
        nvme_raw_delete_queue(f->c, VICTIM);
        nvme_raw_create_queue(f->c, VICTIM, DEPTH);
        for (i = 0; i < nr; i++) {
            qids[i] = qids[i] == VICTIM ? UINT16_MAX : qids[i];
        }
    }
    for (i = 0; i < nr; i++) {
        if (qids[i] != UINT16_MAX) {
            nvme_raw_wait(f->c, qids[i], cids[i]);
        }
    }
    return sent;
}

/*
 * What the last command, which ended with @status, must not have changed
 * anything for.  The ranges of a Copy are copied one by one, and metadata are
 * written behind the data.
 */
static bool is_refusal(Fuzz *f, uint16_t status)
{
    if (f->last.opcode == NVME_CMD_COPY && f->last.cdw12 & 0xff) {
        return false;
    }
    return status && !(f->metadata && status == NVME_WRITE_FAULT);
}

static void assert_same(Fuzz *f, const Report *before, uint16_t status)
{
    if (memcmp(before, &f->report, sizeof(*before))) {
        g_test_message("command %02x: status %x, and zones have changed",
                       f->last.opcode, status);
        g_assert_not_reached();
    }
}

/*
 * Set-up
 */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static void get_geometry(Fuzz *f)
{
    g_autofree NvmeIdNsZoned *id = g_new0(NvmeIdNsZoned, 1);
    g_autofree NvmeIdNs *id_ns = g_new0(NvmeIdNs, 1);
    NvmeRawZone zones[MAX_ZONES];
    unsigned lbaf;
    uint64_t nr;

    g_assert_cmphex(nvme_raw_identify(f->c, NVME_ID_CNS_NS, 0, f->ns->nsid,
                                      id_ns), ==, 0);
    g_assert_cmphex(nvme_raw_identify(f->c, NVME_ID_CNS_CS_NS, NVME_CSI_ZONED,
                                      f->ns->nsid, id), ==, 0);
    lbaf = NVME_ID_NS_FLBAS_INDEX(id_ns->flbas);
    g_assert_cmphex(nvme_raw_report(f->ns, 0, NVME_ZONE_REPORT_ALL, false,
                                    zones, MAX_ZONES, &nr), ==, 0);
    g_assert_cmpuint(nr, <=, MAX_ZONES);
    f->nr_zones = nr;
    f->size = le64_to_cpu(id->lbafe[lbaf].zsze);
    f->cap = zones[0].cap;
    f->ext = id->lbafe[lbaf].zdes * 64;
    f->metadata = id_ns->lbaf[lbaf].ms;
    f->max_open = MIN(nr, le32_to_cpu(id->mor) + 1ull);
    f->max_active = MIN(nr, le32_to_cpu(id->mar) + 1ull);
    if (le16_to_cpu(id->ozcs) & NVME_ID_NS_ZONED_OZCS_ZRWASUP) {
        f->zrwas = le32_to_cpu(id->numzrwa);
    }
}

static void allocate(Fuzz *f)
{
    NvmeRawCmd cmd;

    f->buf = nvme_raw_alloc(f->m, BUF_SIZE + BUF_SLACK);
    f->list = nvme_raw_prps(f->c, &cmd, f->buf, BUF_SIZE);
    /* All but the first, which prp1 is */
    f->list = cmd.prp2;
    f->wild = nvme_raw_alloc(f->m, NVME_RAW_PAGE);
    f->report_buf = nvme_raw_alloc(f->m, NVME_RAW_PAGE);
}

static void fuzz(NvmeRawNs *ns)
{
    uint64_t todo = from_environment("NVME_ZNS_FUZZ", DEFAULT_COMMANDS);
    uint64_t warm = todo - todo / 4;
    uint64_t memory = 0;
    Fuzz f = {
        .ns = ns,
        .c = ns->ctrl,
        .m = nvme_raw_machine(ns->ctrl),
        .rand = g_rand_new_with_seed(from_environment("NVME_ZNS_SEED", 1)),
    };

    nvme_raw_disable(f.c);
    start(&f);
    get_geometry(&f);
    allocate(&f);
    look(&f);
    while (todo) {
        Report before = f.report;
        uint16_t status = 0;
        unsigned sent = 1;

        if (one_in(&f, 8)) {
            fill_wild(&f);
            fill_buf(&f);
        }
        if (one_in(&f, 4)) {
            sent = send_many(&f);
        } else {
            status = send_one(&f);
        }
        todo -= MIN(todo, sent);
        if (f.need_reset || one_in(&f, 256)) {
            ring_wild(&f);
            reset(&f);
            attach(&f);
            f.need_reset = false;
            status = 0;
        }
        look(&f);
        if (is_refusal(&f, status)) {
            assert_same(&f, &before, status);
        }
        assert_zones(&f);
        if (one_in(&f, 32) || !todo) {
            ring_wild(&f);
            assert_reports(&f);
            assert_writable(&f, below(&f, f.nr_zones));
            look(&f);
        }
        if (!memory && todo < warm) {
            memory = nvme_raw_rss(f.m);
        }
    }
    g_test_message("alone, %" PRIu64 " commands succeeded, %" PRIu64 " failed",
                   f.good, f.failed);
    g_assert_cmpuint(f.good, >, f.failed / 16);
    g_assert_cmpuint(f.failed, >, f.good / 16);
    g_assert_cmpuint(nvme_raw_rss(f.m), <, memory + MAX_GROWTH);
    assert_whole(&f);
    g_rand_free(f.rand);
}

/*
 * Disks
 */

#define LIMITS_OF_NODE \
    ",zoned.max-open-zones=4,zoned.max-active-zones=6," \
    "zoned.descriptor-extension-size=64"

/* Of a namespace that keeps its zones itself */
#define RAM_ZONES \
    ",logical_block_size=512,zoned=on,zoned.zone_size=64K," \
    "zoned.zone_capacity=48K,zoned.max_open=4,zoned.max_active=6," \
    "zoned.descr_ext_size=64,zoned.zrwas=8K,zoned.zrwafg=2K," \
    "zoned.numzrwa=3"

typedef struct Disk {
    const char *name;
    const char *node;           /* options of a null node, NULL for an image */
    const char *ctrl;           /* properties of the controller */
    const char *ns;             /* and of the namespace */
} Disk;

static const Disk disks[] = {
    {
        .name = "null",
        .node = ",size=1048576,zoned.zone-size=64K,zoned.zone-capacity=48K"
                LIMITS_OF_NODE,
        .ctrl = "",
        .ns = "",
    },
    {
        .name = "image",
        .ctrl = "",
        .ns = ",zoned.cross_read=on",
    },
    {
        .name = "ram",
        .node = ",size=1048576",
        .ctrl = "",
        .ns = RAM_ZONES,
    },
    {
        .name = "ram/metadata",
        .node = ",size=1114112",
        .ctrl = ",mdts=0",
        .ns = RAM_ZONES ",ms=16,zoned.cross_read=on",
    },
    {
        .name = "ram/pi",
        .node = ",size=1114112",
        .ctrl = ",zoned.auto_transition=off",
        .ns = RAM_ZONES ",ms=8,mset=1,pi=1",
    },
};

static char *new_image(void)
{
    char *path = nvme_raw_image("zone_size=64K,zone_capacity=48K,"
                                "max_open_zones=4,max_active_zones=6,"
                                "descriptor_extension_size=64");

    nvme_raw_image_special(path, 10, 11);
    return path;
}

static void test_fuzz(const void *data)
{
    const Disk *disk = data;
    g_autofree char *image = disk->node ? NULL : new_image();
    g_autofree char *drive = disk->node
        ? g_strdup_printf("driver=null-co,memory-backed=on%s", disk->node)
        : g_strdup_printf("driver=zoned,file.driver=file,file.filename=%s",
                          image);
    NvmeRaw *m = nvme_raw_boot(MEMORY_OPTION " -blockdev %s,node-name=disk "
                               "-device nvme,serial=fuzz%s "
                               "-device nvme-ns,nsid=1,drive=disk%s",
                               drive, disk->ctrl, disk->ns);
    NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
    g_autofree NvmeRawNs *ns = NULL;

    nvme_raw_enable(c, NULL);
    ns = nvme_raw_ns(c, 1);
    fuzz(ns);
    nvme_raw_quit(m);
    if (image) {
        unlink(image);
    }
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(disks); i++) {
        g_autofree char *path = g_strdup_printf("/nvme/zns/fuzz/%s",
                                                disks[i].name);

        qtest_add_data_func(path, &disks[i], test_fuzz);
    }
    return g_test_run();
}
