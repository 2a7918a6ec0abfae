/*
 * watchdog.h - a hung gateway is a dead one.
 */
#ifndef ROOMS_GATEWAY_WATCHDOG_H
#define ROOMS_GATEWAY_WATCHDOG_H

/*
 * From here on the process exits with status 1 when watchdog_tick() has not
 * been called for `seconds`.
 */
extern void watchdog_start(int seconds);
extern void watchdog_tick(void);

#endif							/* ROOMS_GATEWAY_WATCHDOG_H */
