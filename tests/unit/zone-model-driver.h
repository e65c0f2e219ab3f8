/*
 * Random zone operations on the zone model and its oracle alike
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_ZONE_MODEL_DRIVER_H
#define TESTS_UNIT_ZONE_MODEL_DRIVER_H

/* Returns: a number below @n */
typedef uint32_t ZoneDraw(void *opaque, uint32_t n);

/**
 * zone_driver_run:
 * @draw: where the choices come from
 * @opaque: passed to @draw
 * @nr_steps: how many operations
 *
 * Make up a geometry and run operations on it.  Each of them must end alike
 * in the model and in the oracle, and leave the same zones behind; otherwise
 * this aborts and tells the operation.
 */
void zone_driver_run(ZoneDraw *draw, void *opaque, unsigned int nr_steps);

#endif /* TESTS_UNIT_ZONE_MODEL_DRIVER_H */
