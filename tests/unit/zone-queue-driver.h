/*
 * Random requests to the zone queue, on a simulated disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_ZONE_QUEUE_DRIVER_H
#define TESTS_UNIT_ZONE_QUEUE_DRIVER_H

/* Returns: a number below @n */
typedef uint32_t ZoneQueueDraw(void *opaque, uint32_t n);

/**
 * zone_queue_driver_run:
 * @draw: where the choices come from
 * @opaque: passed to @draw
 * @nr_steps: how many events
 *
 * Make up a disk and let requests come, be carried on, and fail; let zones
 * change behind the queue's back and be forgotten.  What the queue has each
 * request do, and the requests' results, must be what the disk and the order of
 * arrival allow; otherwise this aborts and tells why.  At the end, all requests
 * must have ended.
 */
void zone_queue_driver_run(ZoneQueueDraw *draw, void *opaque,
                           unsigned int nr_steps);

#endif /* TESTS_UNIT_ZONE_QUEUE_DRIVER_H */
