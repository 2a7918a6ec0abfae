/*
 * log.h - the gateway's log lines; they travel over the link into the
 * PostgreSQL log.  Before the link is up, and when it is gone, to stderr.
 */
#ifndef ROOMS_GATEWAY_LOG_H
#define ROOMS_GATEWAY_LOG_H

#include "wire/link.h"

/* Takes a finished line; `hint` is "" for none.  False: could not, use stderr. */
typedef bool (*LogSink) (void *ctx, LinkLogLevel level, const char *message, const char *hint);

extern void log_set_sink(LogSink sink, void *ctx);

/* `hint` may be NULL.  Texts are cut at LINK_MAX_LOG bytes and made valid UTF-8 without control characters. */
extern void log_message(LinkLogLevel level, const char *hint, const char *format,...)
			__attribute__((format(printf, 3, 4)));

#endif							/* ROOMS_GATEWAY_LOG_H */
