/*
 * What the zone model costs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Prints one "NAME VALUE UNIT" line for each figure.  A figure is the best of
 * a few runs where these are alike: what disturbs a run makes it slower only.
 */

#include "qemu/osdep.h"
#include <math.h>
#include "qapi/error.h"
#include "block/zone-model.h"

#define FEW_ZONES 1000
#define MANY_ZONES 1000000
#define GRANULARITY 4096
#define ZONE_SIZE (256LL * 1024 * 1024)
#define APPENDS 2000000
#define RUNS 5

static const ZoneGeometryNames names = {
    .length = "length",
    .zone_size = "zone-size",
    .zone_capacity = "zone-capacity",
    .conventional_zones = "conventional-zones",
    .max_open_zones = "max-open-zones",
    .max_active_zones = "max-active-zones",
    .write_granularity = "write-granularity",
};

static ZoneModel *new_model(int64_t nr_zones, int64_t max_open)
{
    ZoneGeometry g = {
        .model = BLK_Z_HM,
        .length = nr_zones * ZONE_SIZE,
        .zone_size = ZONE_SIZE,
        .zone_capacity = ZONE_SIZE,
        .max_open_zones = max_open,
        .write_granularity = GRANULARITY,
    };
    ZoneModel *m;

    zone_geometry_check(&g, &names, &error_abort);
    m = zone_model_new(&g);
    if (!m) {
        fprintf(stderr, "no memory for %" PRId64 " zones\n", nr_zones);
        exit(1);
    }
    return m;
}

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/*
 * Memory that the process really uses, in bytes, without that of its code.
 * Other sources of this number
 * lag behind by up to a quarter of a byte a zone.
 */
static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kib = -1;

    while (f && kib < 0 && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "Anonymous: %ld kB", &kib) != 1) {
            kib = -1;
        }
    }
    if (kib < 0) {
        fprintf(stderr, "cannot read /proc/self/smaps_rollup\n");
        exit(1);
    }
    fclose(f);
    return (int64_t)kib * 1024;
}

static double report_ns(const ZoneModel *m, BlockZoneDescriptor *zones)
{
    double start = now_ns();

    if (zone_model_report(m, 0, MANY_ZONES, zones) != MANY_ZONES) {
        abort();
    }
    return now_ns() - start;
}

static double reset_all_ns(ZoneModel *m)
{
    double start = now_ns();

    if (zone_model_mgmt(m, BLK_ZO_RESET, 0, MANY_ZONES * ZONE_SIZE, NULL,
                        NULL) < 0) {
        abort();
    }
    return now_ns() - start;
}

/* One append to a random zone, on average */
static double append_ns(ZoneModel *m, uint32_t nr_zones)
{
    uint64_t x = 1;
    double start = now_ns();

    for (int i = 0; i < APPENDS; i++) {
        int64_t offset;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        offset = (x >> 32) % nr_zones * ZONE_SIZE;
        if (zone_model_begin_append(m, &offset, GRANULARITY) < 0) {
            abort();
        }
        zone_model_end_write(m, offset, GRANULARITY, 0);
    }
    return (now_ns() - start) / APPENDS;
}

static void print_appends(const char *name, int64_t max_open)
{
    ZoneModel *few = new_model(FEW_ZONES, max_open);
    ZoneModel *many = new_model(MANY_ZONES, max_open);
    double few_ns = INFINITY, many_ns = INFINITY;

    for (int i = 0; i < RUNS; i++) {
        few_ns = MIN(few_ns, append_ns(few, FEW_ZONES));
        many_ns = MIN(many_ns, append_ns(many, MANY_ZONES));
    }
    printf("%s_1k %.1f ns\n", name, few_ns);
    printf("%s_1m %.1f ns\n", name, many_ns);
    printf("%s_1m_to_1k %.2f ratio\n", name, many_ns / few_ns);
    zone_model_free(few);
    zone_model_free(many);
}

int main(void)
{
    BlockZoneDescriptor *zones = g_new0(BlockZoneDescriptor, MANY_ZONES);
    double report = INFINITY, reset = INFINITY;
    int64_t before = resident_bytes();
    double start = now_ns();
    ZoneModel *m = new_model(MANY_ZONES, 0);

    /* Once only: later ones would get memory that is mapped already */
    printf("create_1m %.1f ms\n", (now_ns() - start) / 1e6);
    printf("bytes_per_zone %.1f bytes\n",
           (double)(resident_bytes() - before) / MANY_ZONES);
    for (int i = 0; i < RUNS; i++) {
        append_ns(m, MANY_ZONES);
        report = MIN(report, report_ns(m, zones));
        reset = MIN(reset, reset_all_ns(m));
    }
    printf("report_1m %.1f ms\n", report / 1e6);
    printf("reset_all_1m %.1f ms\n", reset / 1e6);
    zone_model_free(m);
    g_free(zones);

    print_appends("append", 0);
    print_appends("append_limited", 128);
    return 0;
}
