/*
 * stats_log.h - a line of statistics in the log, every stats_interval.
 */
#ifndef ROOMS_BACKEND_STATS_LOG_H
#define ROOMS_BACKEND_STATS_LOG_H

#include "postgres.h"

/* Once each turn of the worker: counts the lag, and writes a line when it is due. */
extern void stats_log_service(int64 now);

#endif							/* ROOMS_BACKEND_STATS_LOG_H */
