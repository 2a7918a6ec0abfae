/*
 * metrics.h - the counters as Prometheus reads them.
 */
#ifndef ROOMS_GATEWAY_METRICS_H
#define ROOMS_GATEWAY_METRICS_H

#include "core/text.h"
#include "wire/counters.h"

/* The content type of what metrics_text() makes. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* All of rooms.stats in Prometheus' text format, appended to `t`. */
extern void metrics_text(Text *t, const uint64_t *gateway, const uint64_t *worker);

/*
 * Is it "Bearer " and `token`?  Takes as long for a wrong token as for the
 * right one.  False for an empty token.
 */
extern bool metrics_authorized(const char *authorization, const char *token);

/* Long enough for a secret, and nothing but visible ASCII, or empty: no metrics. */
extern bool metrics_token_valid(const char *token);

#endif							/* ROOMS_GATEWAY_METRICS_H */
