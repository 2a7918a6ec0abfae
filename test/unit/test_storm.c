/*
 * test_storm.c - all clients come at once, and handlers begin at a rate.
 */
#include "calls.h"

static void
start(uint32_t rate)
{
	ServerOptions options = rig_options;

	options.ping_interval = 1000000000;
	options.max_handler_calls_per_second = rate;
	rig_start_with(&options);
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("c /\ne / add\n") == WIRE_OK);
}

/* As handlers.c does, every 100 ms: how many were let in? */
static int
serve(uint64_t ms)
{
	int			n = 0;

	for (uint64_t until = rig.now + ms; rig.now < until;)
	{
		Call	   *c;

		rig_wait(100);
		server_expire_calls(rig.server, rig.now, 1000);
		server_flush(rig.server);
		while ((c = server_call_next(rig.server)) != NULL)
		{
			answer(c, "[]");
			n++;
		}
	}
	return n;
}

int
main(void)
{
	int			n;

	unit_case("CONNECTs take their turn, longer than a handler_timeout");
	start(2);
	for (int i = 0; i < 10; i++)
		rig_connect(i, "ada", "x");
	n = serve(1000);
	CHECK(n == 3 || n == 4);	/* a burst of one second's worth, and that second's */
	CHECK(serve(1000) == 2);
	CHECK(n + 2 + serve(3000) == 10);
	for (int i = 0; i < 10; i++)
		SAID(&rig.clients[i], "40{\"sid\":\"*\"}");

	unit_case("events wait their turn too, no longer than a handler_timeout");
	for (int i = 0; i < 10; i++)
		rig_send(&rig.clients[i], "420[\"add\"]");
	n = serve(1000);
	CHECK(n == 3 || n == 4);
	CHECK(serve(200) == 0 && strstr(rig.clients[9].log, "\"code\":\"unavailable\"") != NULL);
	rig_stop();

	unit_case("whose turn does not come within connect_timeout is hung up on, to come again");
	start(1);
	rig_connect(0, "ada", "x");
	CHECK(serve(100) == 1);
	for (int i = 1; i < 3; i++)
		rig_connect(i, "ada", "x");
	rig_wait(rig_options.connect_timeout + 2 * TIMER_TICK_MS);
	server_expire_calls(rig.server, rig.now, 1000);
	server_flush(rig.server);
	SAID(&rig.clients[0], "40{\"sid\":\"*\"}");
	SAID(&rig.clients[1], "closed(forced server close)");
	SAID(&rig.clients[2], "closed(forced server close)");
	CHECK(server_call_next(rig.server) == NULL);
	rig_stop();

	unit_case("without a limit all are let in at once");
	start(0);
	for (int i = 0; i < 10; i++)
		rig_connect(i, "ada", "x");
	CHECK(serve(100) == 10);
	rig_stop();
	return unit_done();
}
