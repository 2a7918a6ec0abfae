/*
 * test_latency.c - quantiles of what was measured, and of nothing older.
 */
#include "unit.h"

#include "core/latency.h"

int
main(void)
{
	static Latency l;
	static const uint64_t values[] = {0, 1, 7, 8, 9, 15, 16, 100, 1000, 123456, 99999999};

	unit_case("one value is every quantile, to within 25 %%");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		uint64_t	v = values[i];
		uint64_t	q;

		l = (Latency) {0};
		latency_add(&l, v, 1000);
		q = latency_quantile(&l, 500, 1000);
		CHECK(q >= v && q <= v + v / 4);
		CHECK(latency_quantile(&l, 990, 1000) == q && latency_quantile(&l, 1, 1000) == q);
		CHECK(l.count == 1 && l.sum == v);
	}

	unit_case("quantiles of many");
	l = (Latency) {0};
	CHECK(latency_quantile(&l, 500, 0) == 0);
	for (uint64_t v = 1; v <= 10000; v++)
		latency_add(&l, v, 0);
	CHECK(latency_quantile(&l, 500, 0) >= 5000 && latency_quantile(&l, 500, 0) < 6250);
	CHECK(latency_quantile(&l, 990, 0) >= 9900 && latency_quantile(&l, 990, 0) < 12375);
	CHECK(l.count == 10000 && l.sum == 50005000);

	unit_case("what is longer ago than two minutes is forgotten, but counted");
	latency_add(&l, 1000000, LATENCY_WINDOW + 1);
	CHECK(latency_quantile(&l, 500, LATENCY_WINDOW + 1) < 6250);
	CHECK(latency_quantile(&l, 1, 2 * LATENCY_WINDOW + 1) >= 1000000);
	CHECK(latency_quantile(&l, 500, 4 * LATENCY_WINDOW + 2) == 0);
	CHECK(l.count == 10001);

	unit_case("the longest");
	l = (Latency) {0};
	latency_add(&l, UINT64_MAX, 0);
	CHECK(latency_quantile(&l, 500, 0) > 1ull << 35);
	return unit_done();
}
