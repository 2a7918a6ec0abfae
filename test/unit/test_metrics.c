/* with: src/gateway/metrics.c */
/*
 * test_metrics.c - Prometheus' text format, as its parser and promtool's
 * checks want it, and who may read it.
 */
#include "unit.h"

#include "gateway/metrics.h"

static const char *line;		/* where the next one begins */

/* The next line, without its end; NULL: none is left. */
static char *
next_line(void)
{
	static char copy[400];
	const char *end = strchr(line, '\n');

	if (*line == '\0')
		return NULL;
	CHECK(end != NULL && (size_t) (end - line) < sizeof(copy));
	snprintf(copy, sizeof(copy), "%.*s", (int) (end - line), line);
	line = end + 1;
	return copy;
}

static bool
is_name(const char *name)
{
	return strncmp(name, "pg_rooms_", 9) == 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static bool
ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void
test_format(void)
{
	static char seen[GATEWAY_COUNTER_COUNT + WORKER_COUNTER_COUNT][100];
	uint64_t	gateway[GATEWAY_COUNTER_COUNT];
	uint64_t	worker[WORKER_COUNTER_COUNT];
	Text		t = {0};
	int			count = 0;
	char	   *l;

	unit_case("each metric has its help, its type and its value, in this order, and once");
	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
		gateway[i] = (uint64_t) i + 1;
	for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
		worker[i] = UINT64_MAX - (uint64_t) i;
	metrics_text(&t, gateway, worker);
	text_add(&t, slice("", 1));
	line = (const char *) t.bytes;
	while ((l = next_line()) != NULL)
	{
		char		name[100];
		char		type[20];
		char		value_name[100];
		unsigned long long value;
		int			at = 0;

		CHECK(sscanf(l, "# HELP %99s %n", name, &at) == 1 && is_name(name) && l[at] != '\0' && strchr(l, '\\') == NULL);
		l = next_line();
		CHECK(l != NULL && sscanf(l, "# TYPE %99s %19s%n", value_name, type, &at) == 2 && l[at] == '\0' && strcmp(name, value_name) == 0);
		for (int i = 0; i < count; i++)
			CHECK(strcmp(seen[i], name) != 0);
		strcpy(seen[count++], name);
		if (strcmp(type, "summary") == 0)
		{
			for (int i = 0; i < 5; i++)
				CHECK((l = next_line()) != NULL && strncmp(l, name, strlen(name)) == 0);
			continue;
		}
		CHECK(strcmp(type, ends_with(name, "_total") ? "counter" : "gauge") == 0);
		CHECK(!ends_with(name, "_us") && !ends_with(name, "_count") && !ends_with(name, "_sum"));
		l = next_line();
		CHECK(l != NULL && sscanf(l, "%99s %llu%n", value_name, &value, &at) == 2 && l[at] == '\0' && strcmp(name, value_name) == 0);
	}
	CHECK(count == GATEWAY_COUNTER_COUNT - 5 + 1 + WORKER_COUNTER_COUNT);

	unit_case("values");
	CHECK(strstr((const char *) t.bytes, "\npg_rooms_connections 1\n") != NULL);
	CHECK(strstr((const char *) t.bytes, "\npg_rooms_sockets 2\n") != NULL);
	CHECK(strstr((const char *) t.bytes, "\npg_rooms_bus_transactions_total 18446744073709551615\n") != NULL);
	text_free(&t);
	gateway[COUNTER_LATENCY_P50] = 1234567;
	gateway[COUNTER_LATENCY_SUM] = 42;
	gateway[COUNTER_LATENCY_COUNT] = 7;
	metrics_text(&t, gateway, worker);
	text_add(&t, slice("", 1));
	CHECK(strstr((const char *) t.bytes, "\npg_rooms_commit_to_send_seconds{quantile=\"0.5\"} 1.234567\n") != NULL);
	CHECK(strstr((const char *) t.bytes, "\npg_rooms_commit_to_send_seconds_sum 0.000042\n") != NULL);
	CHECK(strstr((const char *) t.bytes, "\npg_rooms_commit_to_send_seconds_count 7\n") != NULL);
	text_free(&t);
}

static void
test_token(void)
{
	unit_case("who shows the token may read, nobody else");
	CHECK(metrics_authorized("Bearer 0123456789abcdef", "0123456789abcdef"));
	CHECK(metrics_authorized("bearer 0123456789abcdef", "0123456789abcdef"));
	CHECK(!metrics_authorized("Bearer 0123456789abcdeF", "0123456789abcdef"));
	CHECK(!metrics_authorized("Bearer 1123456789abcdef", "0123456789abcdef"));
	CHECK(!metrics_authorized("Bearer 0123456789abcde", "0123456789abcdef"));
	CHECK(!metrics_authorized("Bearer 0123456789abcdef0", "0123456789abcdef"));
	CHECK(!metrics_authorized("0123456789abcdef", "0123456789abcdef"));
	CHECK(!metrics_authorized("Basic 0123456789abcdef", "0123456789abcdef"));
	CHECK(!metrics_authorized("Bearer ", ""));
	CHECK(!metrics_authorized("", "0123456789abcdef"));
	CHECK(!metrics_authorized(NULL, "0123456789abcdef"));

	unit_case("tokens that are fit for it");
	CHECK(metrics_token_valid("") && metrics_token_valid("0123456789abcdef"));
	CHECK(!metrics_token_valid("0123456789abcde") && !metrics_token_valid("0123456789 abcdef"));
	CHECK(!metrics_token_valid("0123456789abcdef\n") && !metrics_token_valid("0123456789abcd\303\274ef"));
}

int
main(void)
{
	test_format();
	test_token();
	return unit_done();
}
