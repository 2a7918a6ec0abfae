/*
 * metrics.c - Prometheus' text format, and who may read it.
 *
 * http.c answers GET /metrics with it.  Pure: no I/O, unit-tested.
 */
#include "gateway/metrics.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MIN 16

typedef enum Kind
{
	TOTAL,
	GAUGE
} Kind;

typedef struct Metric
{
	const char *name;
	Kind		kind;
	const char *text;
} Metric;

#define C(id, name, kind, text) {name, kind, text},
static const Metric gateway_metrics[] = {GATEWAY_COUNTERS(C)};
static const Metric worker_metrics[] = {WORKER_COUNTERS(C)};
#undef C

static void
add_head(Text *t, const char *name, const char *suffix, const char *type, const char *text)
{
	text_add_string(t, "# HELP pg_rooms_");
	text_add_string(t, name);
	text_add_string(t, suffix);
	text_add_string(t, " ");
	text_add_string(t, text);
	text_add_string(t, "\n# TYPE pg_rooms_");
	text_add_string(t, name);
	text_add_string(t, suffix);
	text_add_string(t, " ");
	text_add_string(t, type);
	text_add_string(t, "\n");
}

static void
add_metric(Text *t, const Metric *m, uint64_t value)
{
	const char *suffix = m->kind == TOTAL ? "_total" : "";

	add_head(t, m->name, suffix, m->kind == TOTAL ? "counter" : "gauge", m->text);
	text_add_string(t, "pg_rooms_");
	text_add_string(t, m->name);
	text_add_string(t, suffix);
	text_add_string(t, " ");
	text_add_number(t, value);
	text_add_string(t, "\n");
}

static void
add_seconds(Text *t, const char *rest, uint64_t us)
{
	char		number[40];

	snprintf(number, sizeof(number), " %llu.%06llu\n", (unsigned long long) us / 1000000, (unsigned long long) us % 1000000);
	text_add_string(t, "pg_rooms_commit_to_send_seconds");
	text_add_string(t, rest);
	text_add_string(t, number);
}

/* Those of latency are one summary, in Prometheus' units. */
static void
add_latency(Text *t, const uint64_t *gateway)
{
	add_head(t, "commit_to_send_seconds", "", "summary", "from COMMIT to the sending of its events; quantiles are of the last one to two minutes");
	add_seconds(t, "{quantile=\"0.5\"}", gateway[COUNTER_LATENCY_P50]);
	add_seconds(t, "{quantile=\"0.95\"}", gateway[COUNTER_LATENCY_P95]);
	add_seconds(t, "{quantile=\"0.99\"}", gateway[COUNTER_LATENCY_P99]);
	add_seconds(t, "_sum", gateway[COUNTER_LATENCY_SUM]);
	text_add_string(t, "pg_rooms_commit_to_send_seconds_count ");
	text_add_number(t, gateway[COUNTER_LATENCY_COUNT]);
	text_add_string(t, "\n");
}

void
metrics_text(Text *t, const uint64_t *gateway, const uint64_t *worker)
{
	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
	{
		if (strncmp(gateway_metrics[i].name, "latency_", 8) != 0)
			add_metric(t, &gateway_metrics[i], gateway[i]);
	}
	add_latency(t, gateway);
	for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
		add_metric(t, &worker_metrics[i], worker[i]);
}

bool
metrics_authorized(const char *authorization, const char *token)
{
	size_t		len = strlen(token);
	unsigned char differs = 0;

	if (authorization == NULL || len == 0 || strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	authorization += 7;
	if (strlen(authorization) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char) (authorization[i] ^ token[i]);
	return differs == 0;
}

bool
metrics_token_valid(const char *token)
{
	size_t		len = strlen(token);

	for (size_t i = 0; i < len; i++)
	{
		if (token[i] <= ' ' || token[i] > '~')
			return false;
	}
	return len == 0 || len >= TOKEN_MIN;
}
