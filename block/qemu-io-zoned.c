/*
 * qemu-io commands for zoned nodes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "block/accounting.h"
#include "block/block.h"
#include "block/block_int.h"
#include "block/qemu-io-zoned.h"
#include "block/zoned-io.h"
#include "block/zoned-qapi.h"
#include "qemu-io.h"

/*
 * Zones asked for at a time: what a report costs in memory.  As many as
 * host_device asks the kernel for at a time.
 */
#define REPORT_CHUNK 4096

#define DEFAULT_PATTERN 0xcd

/*
 * What each error of the contract means.  %s stands for the zones of the
 * request.
 */
static const struct {
    int err;
    const char *sentence;
} zone_errors[] = {
    { EINVAL, "%s cannot take this request: wrong start, length or zone type" },
    { ERANGE, "the request leaves %s or exceeds its capacity" },
    { ESPIPE, "the request is not at the write pointer of %s" },
    { EFBIG, "%s is full" },
    { EROFS, "%s is read-only" },
    { ENXIO, "%s is offline" },
    { EPERM, "%s is in a state that does not allow this" },
    { ETOOMANYREFS, "%s cannot be opened: too many zones are open" },
    { EOVERFLOW, "%s cannot be activated: too many zones are active" },
};

/* In the largest unit that is exact, since a position cannot be rounded */
static char *position_str(int64_t pos)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    int i = 0;

    if (pos == 0) {
        return g_strdup("0");
    }
    while (i < ARRAY_SIZE(units) - 1 && pos % KiB == 0) {
        pos /= KiB;
        i++;
    }
    return g_strdup_printf("%" PRId64 " %s", pos, units[i]);
}

static char *zones_str(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    int64_t zone_size = blk_zone_limits(blk)->zone_size;
    int64_t start = QEMU_ALIGN_DOWN(offset, zone_size);
    g_autofree char *from = position_str(start);
    g_autofree char *to = NULL;

    if (bytes <= zone_size) {
        return g_strdup_printf("zone at %s", from);
    }
    to = position_str(offset + bytes);
    return g_strdup_printf("a zone from %s to %s", from, to);
}

static const char *zone_error_sentence(int err)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(zone_errors); i++) {
        if (zone_errors[i].err == err) {
            return zone_errors[i].sentence;
        }
    }
    return NULL;
}

char *zone_strerror(BlockBackend *blk, int64_t offset, int64_t bytes, int ret)
{
    const char *sentence = zone_error_sentence(-ret);
    const int64_t length = blk_getlength(blk);
    g_autofree char *zones = NULL;
    const char *p;

    if (!sentence || !blk_is_zoned(blk)) {
        return g_strdup(strerror(-ret));
    }
    if (ret == -EINVAL && (offset >= length || bytes > length - offset)) {
        g_autofree char *pos = position_str(MAX(offset, length));

        return g_strdup_printf("%s is beyond the end of the disk", pos);
    }

    zones = zones_str(blk, offset, MIN(bytes, length - offset));
    p = strstr(sentence, "%s");
    return g_strdup_printf("%.*s%s%s", (int)(p - sentence), sentence, zones,
                           p + strlen("%s"));
}

void qemuio_print_error(BlockBackend *blk, const char *cmd, int64_t offset,
                        int64_t bytes, int ret)
{
    g_autofree char *reason = zone_strerror(blk, offset, bytes, ret);

    printf("%s failed: %s\n", cmd, reason);
}

static bool check_zoned(BlockBackend *blk, const char *cmd)
{
    BlockDriverState *bs = blk_bs(blk);

    if (!bs) {
        printf("%s failed: there is no medium\n", cmd);
        return false;
    }
    if (!blk_is_zoned(blk)) {
        printf("%s failed: node '%s' is not zoned\n", cmd,
               bdrv_get_node_name(bs));
        return false;
    }
    return true;
}

/* Append @label and a number to the text at @p; returns the new end */
static inline char *put_number(char *p, const char *label, uint64_t value,
                               unsigned base)
{
    char digits[20];
    int n = 0;

    p = g_stpcpy(p, label);
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n > 0) {
        *p++ = digits[--n];
    }
    return p;
}

static char *put_sectors(char *p, const char *label, int64_t bytes)
{
    return put_number(p, label, bytes >> BDRV_SECTOR_BITS, 16);
}

/* Most of a long report's time goes into this: printf() takes three times it */
static void print_zone(const BlockZoneDescriptor *zone)
{
    int64_t wp = zone->wp >= 0 ? zone->wp : zone->start + zone->length;
    char line[160];
    char *p = line;

    p = put_sectors(p, "start: 0x", zone->start);
    p = put_sectors(p, ", len 0x", zone->length);
    p = put_sectors(p, ", cap 0x", zone->cap);
    p = put_sectors(p, ", wptr 0x", wp);
    p = put_number(p, ", zcond:", zone->state, 10);
    p = put_number(p, ", [type: ", zone->type, 10);
    p = g_stpcpy(p, "]");
    p = g_stpcpy(p, zone->non_seq ? " [non-seq]" : "");
    p = g_stpcpy(p, zone->has_extension ? " [extension]" : "");
    p = g_stpcpy(p, "\n");
    fwrite(line, 1, p - line, stdout);
}

/* Report up to @nr zones from @offset on, in chunks */
static int report_zones(BlockBackend *blk, int64_t offset, int64_t nr)
{
    g_autofree BlockZoneDescriptor *zones = NULL;
    int64_t length = blk_getlength(blk);
    unsigned int room, n, i;
    int ret;

    if (length < 0) {
        return length;
    }

    zones = g_new(BlockZoneDescriptor, MIN(nr, REPORT_CHUNK));
    do {
        n = room = MIN(nr, REPORT_CHUNK);
        ret = blk_zone_report(blk, offset, &n, zones);
        if (ret < 0) {
            return ret;
        }
        for (i = 0; i < n; i++) {
            print_zone(&zones[i]);
        }
        nr -= n;
        if (n > 0) {
            offset = zones[n - 1].start + zones[n - 1].length;
        }
    } while (n == room && nr > 0 && offset < length);

    return 0;
}

static void zone_report_help(void)
{
    printf(
"\n"
" reports zones, from the one that holds the given offset on\n"
"\n"
" Example:\n"
" 'zone_report 64M 2' - shows the zone that holds byte 64M and the next one\n"
"\n"
" Prints a line for each zone, and fewer than asked for where the disk ends:\n"
"   start: 0x0, len 0x20000, cap 0x20000, wptr 0x0, zcond:1, [type: 2]\n"
" Positions and sizes are in sectors of 512 bytes; positions count from the\n"
" start of the disk.\n"
" zcond is 0 for a conventional zone, 1 empty, 2 implicitly open, 3 explicitly\n"
" open, 4 closed, 13 read-only, 14 full, 15 offline.\n"
" type is 1 for conventional, 2 for sequential write required, 3 for sequential\n"
" write preferred.\n"
" wptr is where the next write goes.  It is the end of the zone if the zone is\n"
" full, conventional, read-only or offline.\n"
" [non-seq] follows where a zone that prefers sequential writes had others, and\n"
" [extension] where the descriptor of a zone has an extension.\n"
"\n");
}

static int zone_report_f(BlockBackend *blk, int argc, char **argv)
{
    int64_t offset, nr;
    int ret;

    offset = qemuio_parse_size(argv[1]);
    if (offset < 0) {
        return offset;
    }
    nr = qemuio_parse_size(argv[2]);
    if (nr < 0) {
        return nr;
    }
    if (!check_zoned(blk, "zone_report")) {
        return -ENOTSUP;
    }

    ret = report_zones(blk, offset, nr);
    if (ret < 0) {
        qemuio_print_error(blk, "zone_report", offset, 0, ret);
    }
    return ret;
}

static const cmdinfo_t zone_report_cmd = {
    .name       = "zone_report",
    .altname    = "zrp",
    .cfunc      = zone_report_f,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off nr",
    .oneline    = "reports a number of zones from an offset on",
    .help       = zone_report_help,
};

static int zone_mgmt(BlockBackend *blk, const cmdinfo_t *cmd, BlockZoneOp op,
                     char **argv)
{
    int64_t offset, len;
    int ret;

    offset = qemuio_parse_size(argv[1]);
    if (offset < 0) {
        return offset;
    }
    len = qemuio_parse_size(argv[2]);
    if (len < 0) {
        return len;
    }
    if (!check_zoned(blk, cmd->name)) {
        return -ENOTSUP;
    }

    ret = blk_zone_mgmt(blk, op, offset, len);
    if (ret < 0) {
        qemuio_print_error(blk, cmd->name, offset, len, ret);
    }
    return ret;
}

static void zone_mgmt_help(void)
{
    printf(
"\n"
" changes the state of every zone in the given range, or of none\n"
"\n"
" Example:\n"
" 'zone_reset 64M 128M' - makes the zones from 64M to 192M empty\n"
"\n"
" The range begins at the start of a zone and covers whole zones.\n"
" zone_open    opens zones explicitly; of a whole disk, those that are closed\n"
" zone_close   closes zones; of a whole disk, those that are open\n"
" zone_finish  makes zones full without writing the rest of them; of a whole\n"
"              disk, those that are open or closed\n"
" zone_reset   makes zones empty; what they held is lost\n"
" zone_offline makes read-only zones unusable; what they held is lost\n"
"\n");
}

static int zone_open_f(BlockBackend *blk, int argc, char **argv);
static int zone_close_f(BlockBackend *blk, int argc, char **argv);
static int zone_finish_f(BlockBackend *blk, int argc, char **argv);
static int zone_reset_f(BlockBackend *blk, int argc, char **argv);
static int zone_offline_f(BlockBackend *blk, int argc, char **argv);

static const cmdinfo_t zone_open_cmd = {
    .name       = "zone_open",
    .altname    = "zo",
    .cfunc      = zone_open_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off len",
    .oneline    = "opens the zones of a range explicitly",
    .help       = zone_mgmt_help,
};

static const cmdinfo_t zone_close_cmd = {
    .name       = "zone_close",
    .altname    = "zc",
    .cfunc      = zone_close_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off len",
    .oneline    = "closes the open zones of a range",
    .help       = zone_mgmt_help,
};

static const cmdinfo_t zone_finish_cmd = {
    .name       = "zone_finish",
    .altname    = "zf",
    .cfunc      = zone_finish_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off len",
    .oneline    = "makes the zones of a range full",
    .help       = zone_mgmt_help,
};

static const cmdinfo_t zone_reset_cmd = {
    .name       = "zone_reset",
    .altname    = "zrs",
    .cfunc      = zone_reset_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off len",
    .oneline    = "makes the zones of a range empty",
    .help       = zone_mgmt_help,
};

static const cmdinfo_t zone_offline_cmd = {
    .name       = "zone_offline",
    .altname    = "zoff",
    .cfunc      = zone_offline_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off len",
    .oneline    = "puts the read-only zones of a range offline",
    .help       = zone_mgmt_help,
};

static int zone_open_f(BlockBackend *blk, int argc, char **argv)
{
    return zone_mgmt(blk, &zone_open_cmd, BLK_ZO_OPEN, argv);
}

static int zone_close_f(BlockBackend *blk, int argc, char **argv)
{
    return zone_mgmt(blk, &zone_close_cmd, BLK_ZO_CLOSE, argv);
}

static int zone_finish_f(BlockBackend *blk, int argc, char **argv)
{
    return zone_mgmt(blk, &zone_finish_cmd, BLK_ZO_FINISH, argv);
}

static int zone_reset_f(BlockBackend *blk, int argc, char **argv)
{
    return zone_mgmt(blk, &zone_reset_cmd, BLK_ZO_RESET, argv);
}

static int zone_offline_f(BlockBackend *blk, int argc, char **argv)
{
    return zone_mgmt(blk, &zone_offline_cmd, BLK_ZO_OFFLINE, argv);
}

/*
 * Check that there are extensions, and tell their size
 *
 * Returns: 0 on failure
 */
static size_t extension_size(BlockBackend *blk, const cmdinfo_t *cmd)
{
    if (!check_zoned(blk, cmd->name)) {
        return 0;
    }
    if (!blk_zone_limits(blk)->extension_size) {
        printf("%s failed: node '%s' has no zone descriptor extensions\n",
               cmd->name, bdrv_get_node_name(blk_bs(blk)));
    }
    return blk_zone_limits(blk)->extension_size;
}

/* What the command line of a command for extensions says */
typedef struct ZoneExtension {
    int pattern;                /* -1: none */
    const char *file_name;
    bool dump;
    int64_t zone;
    size_t size;
} ZoneExtension;

static int extension_parse(ZoneExtension *e, BlockBackend *blk,
                           const cmdinfo_t *cmd, const char *optstring,
                           int argc, char **argv)
{
    int c;

    *e = (ZoneExtension) { .pattern = -1 };
    while ((c = getopt(argc, argv, optstring)) != -1) {
        switch (c) {
        case 'P':
            e->pattern = parse_pattern(optarg);
            if (e->pattern < 0) {
                return -EINVAL;
            }
            break;
        case 's':
            e->file_name = optarg;
            break;
        case 'v':
            e->dump = true;
            break;
        default:
            qemuio_command_usage(cmd);
            return -EINVAL;
        }
    }
    if (e->pattern >= 0 && e->file_name) {
        printf("Only one of -P and -s can be specified at the same time\n");
        return -EINVAL;
    }
    if (optind != argc - 1) {
        qemuio_command_usage(cmd);
        return -EINVAL;
    }
    e->zone = qemuio_parse_size(argv[optind]);
    if (e->zone < 0) {
        return e->zone;
    }
    e->size = extension_size(blk, cmd);
    return e->size ? 0 : -ENOTSUP;
}

static void zone_set_extension_help(void)
{
    printf(
"\n"
" sets the extension of the descriptor of the zone at the given offset\n"
"\n"
" Example:\n"
" 'zone_set_extension -P 0x5a 64M' - fills the extension of the zone at 64M with\n"
" 0x5a\n"
"\n"
" The zone has to be empty and becomes closed.  It keeps the extension until it\n"
" is reset or put offline.  Without an option, the pattern is 0xcd.\n"
" -P, -- use different pattern to fill the extension\n"
" -s, -- use a pattern file to fill the extension\n"
"\n");
}

static int zone_set_extension_f(BlockBackend *blk, int argc, char **argv);

static const cmdinfo_t zone_set_extension_cmd = {
    .name       = "zone_set_extension",
    .altname    = "zse",
    .cfunc      = zone_set_extension_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 1,
    .argmax     = -1,
    .args       = "[-P pattern | -s source_file] off",
    .oneline    = "sets the descriptor extension of the zone at an offset",
    .help       = zone_set_extension_help,
};

static int zone_set_extension_f(BlockBackend *blk, int argc, char **argv)
{
    ZoneExtension e;
    void *buf;
    int ret;

    ret = extension_parse(&e, blk, &zone_set_extension_cmd, "P:s:", argc,
                          argv);
    if (ret < 0) {
        return ret;
    }
    if (e.file_name) {
        buf = qemu_io_alloc_from_file(blk, e.size, e.file_name);
    } else {
        buf = qemu_io_alloc(blk, e.size,
                            e.pattern >= 0 ? e.pattern : DEFAULT_PATTERN);
    }
    if (!buf) {
        return -EINVAL;
    }
    ret = blk_zone_set_extension(blk, e.zone, buf);
    qemu_io_free(buf);
    if (ret < 0) {
        qemuio_print_error(blk, zone_set_extension_cmd.name, e.zone, 0, ret);
    }
    return ret;
}

static void zone_get_extension_help(void)
{
    printf(
"\n"
" reads the extension of the descriptor of the zone at the given offset\n"
"\n"
" Example:\n"
" 'zone_get_extension -P 0x5a 64M' - checks that the extension of the zone at 64M\n"
" is full of 0x5a\n"
"\n"
" Without an extension there are zeroes.\n"
" -P, -- use a pattern to verify the extension\n"
" -v, -- dump the extension to standard output\n"
"\n");
}

static int zone_get_extension_f(BlockBackend *blk, int argc, char **argv);

static const cmdinfo_t zone_get_extension_cmd = {
    .name       = "zone_get_extension",
    .altname    = "zge",
    .cfunc      = zone_get_extension_f,
    .argmin     = 1,
    .argmax     = -1,
    .args       = "[-v] [-P pattern] off",
    .oneline    = "reads the descriptor extension of the zone at an offset",
    .help       = zone_get_extension_help,
};

static bool has_pattern(const uint8_t *buf, size_t size, uint8_t pattern)
{
    size_t i = 0;

    while (i < size && buf[i] == pattern) {
        i++;
    }
    return i == size;
}

static int zone_get_extension_f(BlockBackend *blk, int argc, char **argv)
{
    g_autofree uint8_t *buf = NULL;
    ZoneExtension e;
    int ret;

    ret = extension_parse(&e, blk, &zone_get_extension_cmd, "P:v", argc, argv);
    if (ret < 0) {
        return ret;
    }
    buf = g_malloc(e.size);
    ret = blk_zone_get_extension(blk, e.zone, buf);
    if (ret < 0) {
        qemuio_print_error(blk, zone_get_extension_cmd.name, e.zone, 0, ret);
        return ret;
    }
    if (e.dump) {
        dump_buffer(buf, 0, e.size);
    }
    if (e.pattern >= 0 && !has_pattern(buf, e.size, e.pattern)) {
        printf("Pattern verification failed in the extension of the zone at "
               "%" PRId64 ", %zd bytes\n", e.zone, e.size);
        return -EINVAL;
    }
    return 0;
}

static void zone_set_state_help(void)
{
    printf(
"\n"
" forces the emulated zone at the given offset into a state\n"
"\n"
" Example:\n"
" 'zone_set_state 64M read-only' - nothing can be written to the zone at 64M\n"
"\n"
" The state is empty, full, read-only or offline.\n"
"\n");
}

static int zone_set_state_f(BlockBackend *blk, int argc, char **argv);

static const cmdinfo_t zone_set_state_cmd = {
    .name       = "zone_set_state",
    .altname    = "zss",
    .cfunc      = zone_set_state_f,
    .argmin     = 2,
    .argmax     = 2,
    .args       = "off state",
    .oneline    = "forces the emulated zone at an offset into a state",
    .help       = zone_set_state_help,
};

static int zone_set_state_f(BlockBackend *blk, int argc, char **argv)
{
    int64_t offset = qemuio_parse_size(argv[1]);
    int ret, fault;

    if (offset < 0) {
        return offset;
    }
    fault = qapi_enum_parse(&BlockdevZoneFault_lookup, argv[2], -1, NULL);
    if (fault < 0) {
        printf("%s failed: the state must be empty, full, read-only or "
               "offline\n", zone_set_state_cmd.name);
        return -EINVAL;
    }
    if (!check_zoned(blk, zone_set_state_cmd.name)) {
        return -ENOTSUP;
    }
    ret = bdrv_zone_set_state(blk_bs(blk), offset,
                              block_zone_fault_from_qapi(fault));
    if (ret < 0) {
        qemuio_print_error(blk, zone_set_state_cmd.name, offset, 0, ret);
    }
    return ret;
}

/* An append: what the command line says, and the request while it runs */
typedef struct ZoneAppend {
    BlockBackend *blk;
    const cmdinfo_t *cmd;
    bool parsable;
    bool print_position;
    bool quiet;
    bool invalid;
    int flags;
    int pattern;
    const char *file_name;

    int64_t zone;
    int64_t offset;
    QEMUIOVector qiov;
    void *buf;
    int64_t start_ns;
    BlockAcctCookie acct;
} ZoneAppend;

static int append_parse_options(ZoneAppend *a, const char *optstring, int argc,
                                char **argv)
{
    bool Pflag = false;
    int c;

    a->pattern = DEFAULT_PATTERN;
    while ((c = getopt(argc, argv, optstring)) != -1) {
        switch (c) {
        case 'C':
            a->parsable = true;
            break;
        case 'f':
            a->flags |= BDRV_REQ_FUA;
            break;
        case 'i':
            a->invalid = true;
            return 0;
        case 'p':
            a->print_position = true;
            break;
        case 'P':
            Pflag = true;
            a->pattern = parse_pattern(optarg);
            if (a->pattern < 0) {
                return -EINVAL;
            }
            break;
        case 'q':
            a->quiet = true;
            break;
        case 's':
            a->file_name = optarg;
            break;
        default:
            qemuio_command_usage(a->cmd);
            return -EINVAL;
        }
    }

    if (Pflag && a->file_name) {
        printf("Only one of -P and -s can be specified at the same time\n");
        return -EINVAL;
    }
    if (optind > argc - 2) {
        qemuio_command_usage(a->cmd);
        return -EINVAL;
    }
    return 0;
}

static int append_fill_from_file(ZoneAppend *a)
{
    void *data = qemu_io_alloc_from_file(a->blk, a->qiov.size, a->file_name);

    if (!data) {
        return -EINVAL;
    }
    qemu_iovec_from_buf(&a->qiov, 0, data, a->qiov.size);
    qemu_io_free(data);
    return 0;
}

static void append_release(ZoneAppend *a)
{
    qemu_iovec_destroy(&a->qiov);
    qemu_io_free(a->buf);
}

static int append_prepare(ZoneAppend *a, const char *optstring, int argc,
                          char **argv)
{
    int ret = append_parse_options(a, optstring, argc, argv);

    if (ret < 0 || a->invalid) {
        return ret;
    }

    a->zone = qemuio_parse_size(argv[optind]);
    if (a->zone < 0) {
        return a->zone;
    }
    if (!check_zoned(a->blk, a->cmd->name)) {
        return -ENOTSUP;
    }
    if (!blk_zone_limits(a->blk)->max_append_bytes) {
        printf("%s failed: node '%s' takes no zone appends\n", a->cmd->name,
               bdrv_get_node_name(blk_bs(a->blk)));
        return -ENOTSUP;
    }

    a->offset = a->zone;
    optind++;
    a->buf = create_iovec(a->blk, &a->qiov, &argv[optind], argc - optind,
                          a->pattern);
    if (!a->buf) {
        return -EINVAL;
    }
    if (a->file_name && append_fill_from_file(a) < 0) {
        append_release(a);
        return -EINVAL;
    }
    a->start_ns = get_clock();
    return 0;
}

/* Tell how the request ended and free what append_prepare() allocated */
static void append_finish(ZoneAppend *a, int ret)
{
    int64_t ns = get_clock() - a->start_ns;
    struct timespec t = {
        .tv_sec = ns / NANOSECONDS_PER_SECOND,
        .tv_nsec = ns % NANOSECONDS_PER_SECOND,
    };

    if (ret < 0) {
        qemuio_print_error(a->blk, a->cmd->name, a->zone, a->qiov.size, ret);
    } else {
        if (a->print_position) {
            printf("appended at sector 0x%" PRIx64 "\n",
                   a->offset >> BDRV_SECTOR_BITS);
        }
        if (!a->quiet) {
            print_report("appended", &t, a->offset, a->qiov.size,
                         a->qiov.size, 1, a->parsable);
        }
    }
    append_release(a);
}

static void zone_append_help(void)
{
    printf(
"\n"
" appends a range of bytes to the zone that starts at the given offset, from\n"
" multiple buffers\n"
"\n"
" Example:\n"
" 'zone_append -p 64M 4k 4k' - appends 8 kilobytes to the zone at 64M and tells\n"
" where they are\n"
"\n"
" Writes at the write pointer of the zone, using a buffer filled with a set\n"
" pattern (0xcdcdcdcd).\n"
" -p, -- print where the data went, in sectors of 512 bytes\n"
" -P, -- use different pattern to fill the buffer\n"
" -s, -- use a pattern file to fill the buffer\n"
" -C, -- report statistics in a machine parsable format\n"
" -f, -- use Force Unit Access semantics\n"
" -q, -- quiet mode, do not show I/O statistics\n"
"\n");
}

static int zone_append_f(BlockBackend *blk, int argc, char **argv);

static const cmdinfo_t zone_append_cmd = {
    .name       = "zone_append",
    .altname    = "zap",
    .cfunc      = zone_append_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = -1,
    .args       = "[-Cfpq] [-P pattern | -s source_file] off len [len..]",
    .oneline    = "appends a number of bytes to the zone at an offset",
    .help       = zone_append_help,
};

static int zone_append_f(BlockBackend *blk, int argc, char **argv)
{
    ZoneAppend a = { .blk = blk, .cmd = &zone_append_cmd };
    int ret;

    ret = append_prepare(&a, "CfpP:qs:", argc, argv);
    if (ret < 0) {
        return ret;
    }
    ret = blk_zone_append(blk, &a.offset, &a.qiov, a.flags);
    append_finish(&a, ret);
    return ret;
}

static void aio_zone_append_help(void)
{
    printf(
"\n"
" asynchronously appends a range of bytes to the zone that starts at the given\n"
" offset, from multiple buffers\n"
"\n"
" Example:\n"
" 'aio_zone_append -p 64M 4k 4k' - appends 8 kilobytes to the zone at 64M and\n"
" tells where they are\n"
"\n"
" Takes the options of zone_append.  The aio_flush command must be used to\n"
" ensure all outstanding aio requests have been completed.\n"
" Note that due to its asynchronous nature, this command will be considered\n"
" successful once the request is submitted, independently of potential I/O\n"
" errors.\n"
" -i, -- treat request as invalid, for exercising stats\n"
"\n");
}

static int aio_zone_append_f(BlockBackend *blk, int argc, char **argv);

static const cmdinfo_t aio_zone_append_cmd = {
    .name       = "aio_zone_append",
    .cfunc      = aio_zone_append_f,
    .perm       = BLK_PERM_WRITE,
    .argmin     = 2,
    .argmax     = -1,
    .args       = "[-Cfipq] [-P pattern | -s source_file] off len [len..]",
    .oneline    = "asynchronously appends a number of bytes to a zone",
    .help       = aio_zone_append_help,
};

static void aio_zone_append_done(void *opaque, int ret)
{
    ZoneAppend *a = opaque;

    if (ret < 0) {
        block_acct_failed(blk_get_stats(a->blk), &a->acct);
    } else {
        block_acct_done(blk_get_stats(a->blk), &a->acct);
    }
    append_finish(a, ret);
    g_free(a);
}

static int aio_zone_append_f(BlockBackend *blk, int argc, char **argv)
{
    g_autofree ZoneAppend *a = g_new0(ZoneAppend, 1);
    ZoneAppend *req;
    int ret;

    a->blk = blk;
    a->cmd = &aio_zone_append_cmd;
    ret = append_prepare(a, "CfipP:qs:", argc, argv);
    if (ret < 0) {
        return ret;
    }
    if (a->invalid) {
        printf("injecting invalid zone append request\n");
        block_acct_invalid(blk_get_stats(blk), BLOCK_ACCT_ZONE_APPEND);
        return 0;
    }

    req = g_steal_pointer(&a);
    block_acct_start(blk_get_stats(blk), &req->acct, req->qiov.size,
                     BLOCK_ACCT_ZONE_APPEND);
    blk_aio_zone_append(blk, &req->offset, &req->qiov, req->flags,
                        aio_zone_append_done, req);
    return 0;
}

void qemuio_add_zone_commands(void)
{
    qemuio_add_command(&zone_report_cmd);
    qemuio_add_command(&zone_open_cmd);
    qemuio_add_command(&zone_close_cmd);
    qemuio_add_command(&zone_finish_cmd);
    qemuio_add_command(&zone_reset_cmd);
    qemuio_add_command(&zone_offline_cmd);
    qemuio_add_command(&zone_set_extension_cmd);
    qemuio_add_command(&zone_get_extension_cmd);
    qemuio_add_command(&zone_set_state_cmd);
    qemuio_add_command(&zone_append_cmd);
    qemuio_add_command(&aio_zone_append_cmd);
}
